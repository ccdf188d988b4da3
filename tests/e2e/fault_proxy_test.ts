import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { eventually } from "../../node/listener_fixtures.ts";
import { serialiseFrameHead } from "../../node/peer_frames.ts";
import { FaultProxy } from "./fault_proxy.ts";

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

/** Sends back what it gets, in brackets. */
function echo() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const received: string[] = [];
  const connections: Deno.TcpConn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      void (async () => {
        const buffer = new Uint8Array(1000);
        for (;;) {
          const count = await connection.read(buffer).catch(() => null);
          if (count === null) break;
          received.push(fromUtf8(buffer.subarray(0, count)));
          await connection.write(toUtf8(`[${received.at(-1)}]`)).catch(() => {});
        }
        close(connection);
      })();
    }
  })().catch(() => {});
  return {
    address: `127.0.0.1:${listener.addr.port}`,
    received,
    connections,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
    },
  };
}

async function connect(proxy: FaultProxy) {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  const client = {
    received: "",
    isClosed: false,
    send: (text: string) => connection.write(toUtf8(text)),
    [Symbol.dispose]: () => close(connection),
  };
  void (async () => {
    const buffer = new Uint8Array(1000);
    for (;;) {
      const count = await connection.read(buffer).catch(() => null);
      if (count === null) break;
      client.received += fromUtf8(buffer.subarray(0, count));
    }
    client.isClosed = true;
    close(connection);
  })();
  return client;
}

Deno.test("FaultProxy forwards both ways, and passes an end on", async () => {
  await using server = echo();
  const proxy = new FaultProxy(server.address);
  using client = await connect(proxy);
  await client.send("hello");
  await eventually(() => client.received === "[hello]");
  assert.deepEqual(proxy.passed, { up: 5, down: 7 });
  close(server.connections[0]!);
  await eventually(() => client.isClosed);
  await proxy.stop();
});

Deno.test("FaultProxy.cut() drops connections and refuses new ones until heal(), on the same port", async () => {
  await using server = echo();
  const proxy = new FaultProxy(server.address);
  using before = await connect(proxy);
  await before.send("a");
  await eventually(() => before.received === "[a]");
  const { port } = proxy;
  proxy.cut();
  await eventually(() => before.isClosed);
  await assert.rejects(connect(proxy), Deno.errors.ConnectionRefused);
  proxy.heal();
  assert.equal(proxy.port, port);
  using after = await connect(proxy);
  await after.send("b");
  await eventually(() => after.received === "[b]");
  assert.equal(proxy.accepted, 2);
  await proxy.stop();
});

Deno.test("FaultProxy.stall() holds back a direction, and heal() lets it arrive", async () => {
  await using server = echo();
  const proxy = new FaultProxy(server.address);
  using client = await connect(proxy);
  proxy.stall("down");
  await client.send("one");
  await eventually(() => server.received.length === 1);
  assert.equal(client.received, "");
  proxy.heal();
  await eventually(() => client.received === "[one]");

  proxy.stall();
  await client.send("two");
  using other = await connect(proxy);
  await other.send("three");
  await eventually(() => proxy.accepted === 2);
  assert.deepEqual([server.received, client.received, client.isClosed], [["one"], "[one]", false]);
  proxy.heal();
  await eventually(() => client.received === "[one][two]" && other.received === "[three]");
  proxy.stall();
  await client.send("four");
  // Also while something is held back.
  await proxy.stop();
  assert.deepEqual(server.received.includes("four"), false);
});

Deno.test("FaultProxy.delay() keeps the order, and nothing arrives before heal() where the delay is long", async () => {
  await using server = echo();
  const proxy = new FaultProxy(server.address);
  using client = await connect(proxy);
  proxy.delay(60_000);
  await client.send("one");
  await client.send("two");
  using _other = await connect(proxy);
  await eventually(() => proxy.accepted === 2);
  assert.deepEqual(server.received, []);
  proxy.heal();
  await eventually(() => client.received.length >= 8);
  assert.equal(server.received.join(""), "onetwo");
  proxy.delay(1);
  await client.send("three");
  await eventually(() => client.received.endsWith("[three]"));
  await proxy.stop();
});

Deno.test("FaultProxy closes a connection whose target is not there", async () => {
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const proxy = new FaultProxy(`127.0.0.1:${closed.addr.port}`);
  closed.close();
  using client = await connect(proxy);
  await eventually(() => client.isClosed);
  await proxy.stop();
});

Deno.test("FaultProxy.cutNode() cuts the way from one node to another, and leaves others alone", async () => {
  const [a, b] = ["a".repeat(64), "b".repeat(64)];
  const frame = (from: string) => fromUtf8(serialiseFrameHead(from, 1, 2)) + "hi";
  await using server = echo();
  const proxy = new FaultProxy(server.address);
  using fromA = await connect(proxy);
  using fromB = await connect(proxy);
  await fromA.send(frame(a));
  await fromB.send(frame(b));
  await eventually(() => fromA.received !== "" && fromB.received !== "");
  proxy.cutNode(a);
  await eventually(() => fromA.isClosed);
  using again = await connect(proxy);
  await again.send(frame(a));
  await eventually(() => again.isClosed);
  await fromB.send("more");
  await eventually(() => fromB.received.endsWith("[more]"));
  proxy.heal();
  using healed = await connect(proxy);
  await healed.send(frame(a));
  await eventually(() => healed.received !== "");
  assert.equal(server.received.length, 4);
  await proxy.stop();
});
