import { strict as assert } from "node:assert";
import { Doors } from "./doors.ts";
import { changed, parse } from "./config_fixtures.ts";
import { RequestBatcher } from "./listener.ts";
import { RawClient, RecordingSink, selfSigned, textResponse } from "./listener_fixtures.ts";
import type { NodeConfig } from "./node_config.ts";

const interfaces = {
  with_certificates: { bind_address: "127.0.0.1:0" },
  web: { bind_address: "127.0.0.1:0", published_address: "ledger.example:0", client_certificates: false },
  operator: { bind_address: "127.0.0.1:0", endorsement: { authority: "Node" } },
};

function configured(rpcInterfaces: object = interfaces): NodeConfig["network"] {
  return parse(changed("/network/rpc_interfaces", rpcInterfaces)).network;
}

function open(network: NodeConfig["network"] = configured()): Promise<Doors> {
  return Doors.open({
    interfaces: network.rpcInterfaces,
    batcher: new RequestBatcher(new RecordingSink(() => textResponse("served"))),
    idleTimeoutMs: 10_000,
    page: () => "",
    document: () => null,
    onConnectionError: () => {},
  });
}

/** What a client gets who trusts anybody: "served" or "nothing". */
async function ask(port: number): Promise<string> {
  let client: RawClient;
  try {
    client = await RawClient.connect(port);
  } catch {
    return "nothing";
  }
  client.send("GET /x HTTP/1.1\r\nhost: h\r\n\r\n");
  await client.until(() => client.isClosed || client.received.includes("served"));
  client.close();
  return client.received.includes("served") ? "served" : "nothing";
}

Deno.test("Doors has its ports at once, and serves nobody on an interface whose certificate has not come", async () => {
  const doors = await open();
  try {
    const ports = Object.fromEntries(doors.ports);
    assert.equal(new Set(Object.values(ports)).size, 3);
    for (const port of Object.values(ports)) {
      assert.throws(() => Deno.listen({ hostname: "127.0.0.1", port }), Deno.errors.AddrInUse);
    }
    const own = selfSigned("node");
    const answers = async () => {
      const asked = Object.entries(ports).map(async ([name, port]) => [name, await ask(port)]);
      return Object.fromEntries(await Promise.all(asked));
    };
    assert.deepEqual(await answers(), { with_certificates: "nothing", web: "nothing", operator: "nothing" });
    await doors.setIdentity("Node", own);
    assert.deepEqual(await answers(), { with_certificates: "nothing", web: "nothing", operator: "served" });
    await doors.setIdentity("Service", own);
    assert.deepEqual(await answers(), { with_certificates: "served", web: "served", operator: "served" });
    assert.deepEqual(Object.fromEntries(doors.ports), ports);
  } finally {
    await doors.stop();
  }
});

Deno.test("Doors says where it listens, in URLs and for the ledger", async () => {
  const doors = await open();
  try {
    const { with_certificates: rpc, web } = Object.fromEntries(doors.ports);
    assert.equal(doors.urls.get("with_certificates"), `https://127.0.0.1:${rpc}`);
    assert.equal(doors.urls.get("web"), `https://ledger.example:${web}`);
    assert.deepEqual(doors.describe()["web"], {
      bind_address: `127.0.0.1:${web}`,
      published_address: `ledger.example:${web}`,
    });
  } finally {
    await doors.stop();
  }
});

Deno.test("Doors.open() takes no port where it cannot have them all", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  try {
    for (const last of [{}, { client_certificates: false }]) {
      const network = configured({
        web: { bind_address: `127.0.0.1:${port}`, client_certificates: false },
        rpc: { bind_address: `127.0.0.1:${taken.addr.port}`, ...last },
      });
      await assert.rejects(open(network), { name: "StartFailure", message: /^Cannot listen on 127\.0\.0\.1:\d+: / });
      Deno.listen({ hostname: "127.0.0.1", port }).close();
    }
  } finally {
    taken.close();
  }
});
