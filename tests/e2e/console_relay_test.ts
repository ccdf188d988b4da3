import { strict as assert } from "node:assert";
import { join } from "node:path";
import { toHex } from "../../shared/bytes.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { RunningRelay } from "./relay.ts";
import { outputOf, run, RunningSandbox, startTask } from "./sandbox.ts";
import { makeTlsService } from "../tls_service.ts";

/** A request as the page makes it, but for what is changed. */
async function ask(relay: RunningRelay, path: string, headers: Record<string, string> = {}, init: RequestInit = {}) {
  const token = new URL(relay.url).hash.split("relay=")[1]!;
  const response = await fetch(relay.origin + path, {
    headers: { "x-quorate-relay-token": token, ...headers },
    ...init,
  });
  const text = await response.text();
  let json: Record<string, unknown> = {};
  try {
    json = JSON.parse(text);
  } catch {
    // Not every answer is JSON.
  }
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    code: (json.error as { code?: string })?.code,
  };
}

/** Host and other names that `fetch` does not send as they are given: by a socket. */
async function askRaw(relay: RunningRelay, lines: readonly string[]): Promise<string> {
  const port = Number(new URL(relay.origin).port);
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  await socket.write(new TextEncoder().encode([...lines, "connection: close", "", ""].join("\r\n")));
  return await new Response(socket.readable).text();
}

Deno.test("the relay gives its own page the node, and nobody else", async (t) => {
  await using sandbox = await RunningSandbox.start();
  await using relay = await RunningRelay.start("--workspace", sandbox.workspace);
  const token = new URL(relay.url).hash.split("relay=")[1]!;

  await t.step("it passes on what the node answers, with the headers that matter", async () => {
    const commit = await ask(relay, "/relay/node/node/commit");
    assert.equal(commit.status, 200);
    assert.match(String(commit.json.transaction_id), /^2\.\d+$/);
    const entries = await ask(relay, "/relay/node/node/ledger/entries?from=1&to=3");
    assert.equal(entries.headers.get("x-quorate-ledger-range"), "1-3");
    const missing = await ask(relay, "/relay/node/node/network/nodes/nobody");
    assert.equal(missing.status, 404);
    const posted = await ask(relay, "/relay/node/rpc", { "content-type": "application/json" }, {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "node/getCommit" }),
      headers: { "x-quorate-relay-token": token, "content-type": "application/json" },
    });
    assert.match(posted.text, /transaction_id/);
  });

  await t.step("it tells which certificate the node shows", async () => {
    const { json } = await ask(relay, "/relay/peer");
    assert.equal(json.pinned, true);
    assert.equal(json.node_url, sandbox.webUrl);
    assert.match(String(json.certificate), /BEGIN CERTIFICATE/);
    assert.equal(json.service_certificate, await Deno.readTextFile(sandbox.credential("service_cert.pem")));
  });

  await t.step("without its token it passes on nothing", async () => {
    for (
      const wrong of ["", "x", token.slice(1), `${token}0`, token.toUpperCase() === token ? "y" : token.toUpperCase()]
    ) {
      const answer = await ask(relay, "/relay/node/node/commit", { "x-quorate-relay-token": wrong });
      assert.deepEqual([answer.status, answer.code], [403, "TokenMissing"]);
    }
  });

  await t.step("requests of other sites, and under other names, are refused", async () => {
    for (const origin of ["https://example.org", "null", `${relay.origin}0`, "http://127.0.0.1:1"]) {
      const answer = await ask(relay, "/relay/node/node/commit", { origin });
      assert.deepEqual([answer.status, answer.code], [403, "OriginNotAllowed"], origin);
    }
    const crossed = await ask(relay, "/relay/peer", { "sec-fetch-site": "cross-site" });
    assert.equal(crossed.code, "OriginNotAllowed");
    const { host } = new URL(relay.origin);
    for (
      const name of [
        "rebound.example.org",
        `example.org:${host.split(":")[1]}`,
        "127.0.0.1",
        `0.0.0.0:${host.split(":")[1]}`,
      ]
    ) {
      const text = await askRaw(relay, [
        "GET /relay/node/node/commit HTTP/1.1",
        `host: ${name}`,
        `x-quorate-relay-token: ${token}`,
      ]);
      assert.match(text, /^HTTP\/1\.1 403 [\s\S]*HostNotAllowed/, name);
    }
    const own = await askRaw(relay, [
      "GET /relay/node/node/commit HTTP/1.1",
      `host: ${host}`,
      `x-quorate-relay-token: ${token}`,
    ]);
    assert.match(own, /^HTTP\/1\.1 200/);
    const { headers } = await ask(relay, "/relay/peer");
    assert.equal(headers.get("access-control-allow-origin"), null);
    const changed = await ask(relay, "/relay/node/app/log/private", {}, { method: "DELETE" });
    assert.deepEqual([changed.status, changed.code], [405, "MethodNotAllowed"]);
  });

  await t.step("the page comes with its policy, and nothing but the page comes", async () => {
    const page = await fetch(relay.origin + "/");
    assert.match(page.headers.get("content-security-policy")!, /^default-src 'none'/);
    assert.equal(page.headers.get("x-frame-options"), "DENY");
    const html = await page.text();
    const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(html)![1]!;
    const pressed = await fetch(`${relay.origin}/${script}`);
    assert.match(pressed.headers.get("cache-control")!, /immutable/);
    await pressed.body!.cancel();
    const again = await fetch(`${relay.origin}/${script}`, {
      headers: { "if-none-match": pressed.headers.get("etag")! },
    });
    assert.equal(again.status, 304);
    for (
      const path of ["/policy.json", "/assets/../policy.json", "/assets/%2e%2e/%2e%2e/%2e%2e/deno.json", "/assets/"]
    ) {
      const answer = await fetch(relay.origin + path);
      assert.equal(answer.status, 404, path);
      await answer.body?.cancel();
    }
  });

  await t.step("a node serves the same page at /console/, and its description says so", async () => {
    const description = JSON.parse(await Deno.readTextFile(join(sandbox.workspace, "sandbox.json")));
    assert.equal(description.nodes[0].console_url, `${sandbox.webUrl}/console/`);
    const page = await sandbox.request("GET", "/console/");
    assert.equal(page.text, await (await fetch(relay.origin + "/")).text());
    assert.match(page.headers.get("content-security-policy")!, /frame-ancestors 'none'/);
    assert.equal((await sandbox.request("GET", "/console")).headers.get("location"), "/console/");
    assert.equal((await sandbox.request("GET", "/console/../node/x")).status, 404);
  });
});

Deno.test("what keeps the relay from a node is told apart", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "quorate_relay_" });
  const { service, certificate, key } = makeTlsService("node");
  const serviceFile = join(folder, "service.pem");
  await Deno.writeTextFile(serviceFile, service);
  const stageFor = async (url: string, file = serviceFile) => {
    await using relay = await RunningRelay.start("--node", url, "--service-cert", file);
    const { status, json } = await ask(relay, "/relay/node/node/commit");
    for (const member of ["what", "why", "todo", "code"]) assert.ok(String(json[member]).length > 3, member);
    return `${status} ${json.stage} ${json.code}`;
  };
  const url = (port: number) => `https://127.0.0.1:${port}`;
  try {
    await t.step("no host has the name", async () => {
      assert.equal(await stageFor("https://nowhere.invalid:8000"), "502 dns NameNotFound");
    });
    await t.step("nothing listens", async () => {
      const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = listener.addr;
      listener.close();
      assert.equal(await stageFor(url(port)), "502 tcp ConnectionRefused");
    });
    await t.step("what listens says nothing", async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      assert.equal(await stageFor(url(listener.addr.port)), "502 tls TlsTimeout");
    });
    await t.step("what listens does not speak TLS", async () => {
      const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("hello"));
      assert.equal(await stageFor(url(server.addr.port)), "502 tls TlsFailed");
      await server.shutdown();
    });
    await t.step("another service's node answers", async () => {
      const other = makeTlsService("other");
      const server = Deno.serve({
        hostname: "127.0.0.1",
        port: 0,
        cert: other.certificate,
        key: other.key,
        onListen: () => {},
      }, () => new Response("{}"));
      assert.equal(await stageFor(url(server.addr.port)), "502 tls CertificateNotOfService");
      await server.shutdown();
    });
    await t.step("what speaks TLS does not speak HTTP", async () => {
      const listener = Deno.listenTls({
        hostname: "127.0.0.1",
        port: 0,
        cert: certificate,
        key,
      });
      const serving = (async () => {
        for await (const connection of listener) {
          await connection.write(new TextEncoder().encode("220 mail.example.org ESMTP\r\n")).catch(() => {});
          connection.close();
        }
      })().catch(() => {});
      assert.equal(await stageFor(url((listener.addr as Deno.NetAddr).port)), "502 http NoHttp");
      listener.close();
      await serving;
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the relay says what it cannot use", async () => {
  for (
    const [args, wanted] of [
      [["--node", "http://127.0.0.1:1"], /https/],
      [["--node", "https://127.0.0.1:1", "--service-cert", "/nowhere"], /Cannot read the service certificate/],
      [["--node", "https://127.0.0.1:1", "--port", "x"], /--port x/],
      [["--node", "https://x", "--service-cert", "deno.json"], /deno\.json: there is no certificate/],
      [["--node", "https://x", "--console-directory", "/nowhere"], /there is no \/nowhere; build it with/],
      [["--workspace", "/nowhere"], /sandbox/],
    ] as const
  ) {
    const { code, stderr } = await run("console", ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, wanted);
  }
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, stderr } = await run("console", "--node", "https://127.0.0.1:1", "--port", `${taken.addr.port}`);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /Cannot listen on 127\.0\.0\.1:\d+: .*--port/);
});

Deno.test("the relay reaches other nodes of its service, and says whom it is held to", async (t) => {
  await using sandbox = await RunningSandbox.start("--nodes", "2");
  const [first, second] = sandbox.description.nodes;
  const servicePem = await Deno.readTextFile(sandbox.description.service_cert);

  await t.step("each answer says which node ended the connection", async () => {
    await using relay = await RunningRelay.start("--workspace", sandbox.workspace, "--node", "1");
    for (const [path, node] of [["node", second!], [`to/${new URL(first!.web_url).host}`, first!]] as const) {
      const { headers } = await ask(relay, `/relay/${path}/node/commit`);
      assert.equal(headers.get("x-quorate-relay-peer"), node.id);
    }
    const { json } = await ask(relay, "/relay/peer");
    assert.equal(json.node_id, second!.id);
    assert.equal(nodeIdOf(parseCertificatePem(json.certificate as string).spki), second!.id);
  });

  await t.step("entries of the ledger come byte for byte", async () => {
    await using relay = await RunningRelay.start("--workspace", sandbox.workspace);
    const path = "/node/ledger/entries?from=1&to=8";
    const headers = { "x-quorate-relay-token": new URL(relay.url).hash.split("relay=")[1]! };
    const relayed = await (await fetch(`${relay.origin}/relay/node${path}`, { headers })).bytes();
    using client = clientOf(sandbox.description.service_cert);
    assert.equal(toHex(relayed), toHex(await (await fetch(`${sandbox.webUrl}${path}`, { client })).bytes()));
  });

  await t.step("without a certificate nothing is pinned, and it tells whom the node names", async () => {
    await using relay = await RunningRelay.start("--node", sandbox.webUrl);
    const { json } = await ask(relay, "/relay/peer");
    assert.deepEqual(
      [json.pinned, json.service_certificate, json.named_service_certificate],
      [false, null, servicePem],
    );
    const { code } = await ask(relay, `/relay/to/${new URL(second!.web_url).host}/node/commit`);
    assert.equal(code, "RelayNotPinned");
  });

  await t.step("a node in the place of the pinned one is refused, and it tells whom that one names", async () => {
    const other = sandbox.credential("member0_cert.pem");
    await using relay = await RunningRelay.start("--node", sandbox.webUrl, "--service-cert", other);
    const { code, json } = await ask(relay, "/relay/peer");
    assert.deepEqual([code, json.named_service_certificate], ["CertificateNotOfService", servicePem]);
  });

  await t.step("it stops on Ctrl-C with 130, on SIGTERM with 0, and tells people its URL", async () => {
    for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 0]] as const) {
      const process = startTask("console", "--workspace", sandbox.workspace, "--port", "0");
      const [first, rest] = process.stdout.tee();
      let text = "";
      for await (const piece of first.pipeThrough(new TextDecoderStream())) {
        text += piece;
        if (text.includes("Ctrl-C")) break;
      }
      assert.match(text, /\n {2}http:\/\/127\.0\.0\.1:\d+\/#\/connect\?relay=[0-9a-f]{64}\n/);
      process.kill(signal);
      assert.equal((await process.status).code, code);
      await Promise.all([rest.cancel(), process.stderr.cancel()]);
    }
  });
});

Deno.test("a node serves the page that its configuration names, and does not start where there is none", async () => {
  await using sandbox = await RunningSandbox.start();
  const home = await Deno.makeTempDir({ prefix: "quorate_console_" });
  const configFile = join(home, "config.json");
  const pageFolder = join(home, "page");
  await Deno.mkdir(pageFolder);
  await Deno.writeTextFile(join(pageFolder, "index.html"), "<!doctype html><title>page</title>");
  await Deno.writeTextFile(join(pageFolder, "policy.json"), `{"content_security_policy": "default-src 'none'"}`);
  const written = await Deno.readTextFile(join(sandbox.workspace, "node0", "config.json"));
  const { node_data_json_file: _, ...config } = JSON.parse(
    written.replaceAll(join(sandbox.workspace, "node0"), home),
  );
  config.command.service_certificate_file = join(home, "service_cert.pem");
  const writeConfig = (console_directory: string) =>
    Deno.writeTextFileSync(configFile, JSON.stringify({ ...config, console_directory }));
  try {
    writeConfig(join(home, "nowhere"));
    const { code, stderr } = await run("node", "--config", configFile);
    assert.deepEqual(
      [code, /Cannot serve the console in .*: there is no such directory/.test(stderr)],
      [2, true],
      stderr,
    );
    await Deno.remove(join(home, "ledger"), { recursive: true });
    writeConfig(pageFolder);
    const node = startTask("node", "--config", configFile);
    const output = outputOf(node);
    try {
      const url = `https://${await addressOf(home)}`;
      using client = clientOf(join(home, "service_cert.pem"));
      const page = await fetch(`${url}/console/`, { client });
      assert.match(await page.text(), /<title>page/);
      assert.equal(page.headers.get("content-security-policy"), "default-src 'none'");
      const known = { "if-none-match": page.headers.get("etag")! };
      assert.equal((await fetch(`${url}/console/`, { client, headers: known })).status, 304);
      const redirected = await fetch(`${url}/console`, { client, redirect: "manual" });
      assert.deepEqual([redirected.status, redirected.headers.get("location")], [308, "/console/"]);
      const none = await fetch(`${url}/console/x.js`, { client });
      assert.deepEqual([none.status, (await none.json()).error.code], [404, "ResourceNotFound"]);
      assert.match(await (await fetch(url, { client })).text(), /href="\/console\/"/);
    } finally {
      node.kill("SIGTERM");
      await output;
    }
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

/** Of the interface without client certificates, once the node answers there. */
async function addressOf(home: string): Promise<string> {
  for (const until = performance.now() + 60_000; performance.now() < until;) {
    try {
      const { web_rpc_interface } = JSON.parse(Deno.readTextFileSync(join(home, "rpc_addresses.json")));
      using client = clientOf(join(home, "service_cert.pem"));
      await (await fetch(`https://${web_rpc_interface}/node/state`, { client })).text();
      return web_rpc_interface;
    } catch {
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  throw new Error("The node does not answer");
}

/** Trusts one service. */
function clientOf(serviceCertFile: string): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(serviceCertFile)] });
}
