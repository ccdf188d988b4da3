/**
 * The relay and the node's own page as their users have them: processes, sockets, TLS.
 *
 * The page is a made-up one, so that nothing here waits for a build; that of the checkout is tests/console's.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { toHex } from "../../shared/bytes.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { outputOf, run, RunningSandbox, startTask } from "./sandbox.ts";

/** The relay, as `deno task run console` starts it on a free port. */
class RunningRelay implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly base: string;
  readonly token: string;

  private constructor(process: Deno.ChildProcess, readonly told: { url: string; node_url: string; pinned: boolean }) {
    this.#process = process;
    const url = new URL(told.url);
    this.base = url.origin;
    this.token = /^#\/connect\?relay=([0-9a-f]{64})$/.exec(url.hash)![1]!;
  }

  static async start(...options: string[]): Promise<RunningRelay> {
    const process = startTask("console", "--port", "0", "--json", "--console-directory", PAGE, ...options);
    const [own, rest] = process.stdout.tee();
    let line = "";
    for await (const piece of own.pipeThrough(new TextDecoderStream())) if ((line += piece).includes("\n")) break;
    void rest.cancel();
    if (!line.startsWith("{")) throw new Error(`The relay did not start: ${await new Response(process.stderr).text()}`);
    return new RunningRelay(process, JSON.parse(line));
  }

  ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { "x-quorate-relay-token": this.token, ...init.headers as Record<string, string> };
    return fetch(`${this.base}${path}`, { ...init, headers });
  }

  /** Stage and code of a problem. */
  async problem(path: string): Promise<string> {
    const { stage, error } = await (await this.ask(path)).json();
    return `${stage} ${error?.code}`;
  }

  async stop(signal: Deno.Signal): Promise<number> {
    this.#process.kill(signal);
    const { code } = await this.#process.status;
    await this.#process.stderr.cancel();
    return code;
  }

  async [Symbol.asyncDispose]() {
    await this.stop("SIGTERM");
  }
}

const PAGE = await Deno.makeTempDir({ prefix: "quorate_page_" });
await Deno.writeTextFile(join(PAGE, "index.html"), "<!doctype html><title>page</title>");
await Deno.writeTextFile(join(PAGE, "policy.json"), `{"content_security_policy": "default-src 'none'"}`);
globalThis.addEventListener("unload", () => Deno.removeSync(PAGE, { recursive: true }));

Deno.test("deno task run console relays to nodes of the sandbox and to nobody else, for whoever has the printed URL", async (t) => {
  await using sandbox = await RunningSandbox.start("--nodes", "2");
  const { workspace } = sandbox;

  await t.step("the page, the peer and the node's own answers", async () => {
    await using relay = await RunningRelay.start("--workspace", workspace);
    assert.deepEqual([relay.told.node_url, relay.told.pinned], [sandbox.webUrl, true]);
    assert.match(await (await fetch(`${relay.base}/`)).text(), /<title>page/);
    const peer = await (await relay.ask("/relay/peer")).json();
    const [node] = sandbox.description.nodes;
    assert.equal(nodeIdOf(parseCertificatePem(peer.certificate).spki), node!.id);
    assert.equal(peer.node_id, node!.id);
    assert.equal(peer.service_certificate, await Deno.readTextFile(sandbox.description.service_cert));
    const commit = await relay.ask("/relay/node/node/commit");
    assert.equal(commit.headers.get("x-quorate-relay-peer"), node!.id);
    assert.match((await commit.json()).transaction_id, /^\d+\.\d+$/);
    const path = "/node/ledger/entries?from=1&to=8";
    const relayed = await (await relay.ask(`/relay/node${path}`)).bytes();
    using client = clientOf(sandbox.description.service_cert);
    const direct = await (await fetch(`${sandbox.webUrl}${path}`, { client })).bytes();
    assert.equal(toHex(relayed), toHex(direct), "byte for byte");
  });

  await t.step("other nodes of the service are reached through it too", async () => {
    await using relay = await RunningRelay.start("--workspace", workspace, "--node", "1");
    const [first, second] = sandbox.description.nodes;
    assert.equal(relay.told.node_url, second!.web_url);
    for (const [path, node] of [["node", second!], [`to/${new URL(first!.web_url).host}`, first!]] as const) {
      const answer = await relay.ask(`/relay/${path}/node/commit`);
      assert.equal(answer.headers.get("x-quorate-relay-peer"), node.id);
      await answer.body?.cancel();
    }
  });

  await t.step("strangers are refused", async () => {
    await using relay = await RunningRelay.start("--workspace", workspace);
    const refused = async (headers: Record<string, string>) => {
      const { port } = new URL(relay.base);
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      const all = { host: `127.0.0.1:${port}`, "x-quorate-relay-token": relay.token, connection: "close", ...headers };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join("");
      await connection.write(new TextEncoder().encode(`GET /relay/node/node/commit HTTP/1.1\r\n${lines}\r\n`));
      return /"code":"(\w+)"|"transaction_id"/.exec(await new Response(connection.readable).text())?.slice(0, 2);
    };
    assert.deepEqual(await refused({}), ['"transaction_id"', undefined]);
    assert.equal((await refused({ "x-quorate-relay-token": "0".repeat(64) }))![1], "TokenMissing");
    assert.equal((await refused({ host: "evil.example" }))![1], "HostNotAllowed");
    assert.equal((await refused({ origin: "https://evil.example" }))![1], "OriginNotAllowed");
    assert.equal((await refused({ "sec-fetch-site": "cross-site" }))![1], "OriginNotAllowed");
  });

  await t.step("another service's certificate is held against the node", async () => {
    const wrong = sandbox.credential("member0_cert.pem");
    await using relay = await RunningRelay.start("--node", sandbox.webUrl, "--service-cert", wrong);
    assert.equal(await relay.problem("/relay/peer"), "tls CertificateNotOfService");
    assert.equal(await relay.problem("/relay/node/node/commit"), "tls CertificateNotOfService");
  });

  await t.step("without a certificate it says that it pins nothing, and what the node names", async () => {
    await using relay = await RunningRelay.start("--node", sandbox.webUrl);
    assert.equal(relay.told.pinned, false);
    const peer = await (await relay.ask("/relay/peer")).json();
    assert.equal(peer.pinned, false);
    assert.equal(peer.named_service_certificate, await Deno.readTextFile(sandbox.description.service_cert));
  });

  await t.step("it stops on Ctrl-C with 130, and on SIGTERM with 0", async () => {
    const relay = await RunningRelay.start("--workspace", workspace);
    assert.equal(await relay.stop("SIGINT"), 130);
    assert.equal(await (await RunningRelay.start("--workspace", workspace)).stop("SIGTERM"), 0);
  });

  await t.step("people are told the URL, and what it is", async () => {
    const process = startTask("console", "--workspace", workspace, "--port", "0", "--console-directory", PAGE);
    const [own, rest] = process.stdout.tee();
    let text = "";
    for await (const piece of own.pipeThrough(new TextDecoderStream())) if ((text += piece).includes("Ctrl-C")) break;
    void rest.cancel();
    process.kill("SIGINT");
    await process.status;
    await process.stderr.cancel();
    assert.match(text, /http:\/\/127\.0\.0\.1:\d+\/#\/connect\?relay=[0-9a-f]{64}\n/);
  });
});

Deno.test("a node serves the page that its configuration names, and does not start where there is none", async () => {
  await using sandbox = await RunningSandbox.start();
  const home = await Deno.makeTempDir({ prefix: "quorate_console_" });
  const configFile = join(home, "config.json");
  const written = await Deno.readTextFile(join(sandbox.workspace, "node0", "config.json"));
  const { node_data_json_file: _, ...config } = JSON.parse(
    written.replaceAll(join(sandbox.workspace, "node0"), home),
  );
  config.command.service_certificate_file = join(home, "service_cert.pem");
  const writeConfig = (console_directory: string) =>
    Deno.writeTextFileSync(configFile, JSON.stringify({ ...config, console_directory }));
  try {
    writeConfig(join(PAGE, "nowhere"));
    const { code, stderr } = await run("node", "--config", configFile);
    assert.deepEqual(
      [code, /Cannot serve the console in .*: there is no such directory/.test(stderr)],
      [2, true],
      stderr,
    );
    await Deno.remove(join(home, "ledger"), { recursive: true });
    writeConfig(PAGE);
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

Deno.test("the relay runs where the node cannot be reached, and says at which stage it ends", async () => {
  const silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  void (async () => {
    for await (const connection of silent) open.add(connection);
  })();
  const nonsense = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void (async () => {
    for await (const connection of nonsense) {
      await connection.write(new TextEncoder().encode("220 mail.example ESMTP\r\n")).catch(() => {});
      open.add(connection);
    }
  })();
  try {
    const cases: readonly [string, string][] = [
      ["https://127.0.0.1:1", "tcp ConnectionRefused"],
      ["https://quorate.invalid", "dns NameNotFound"],
      [`https://127.0.0.1:${(silent.addr as Deno.NetAddr).port}`, "tls TlsTimeout"],
      [`https://127.0.0.1:${(nonsense.addr as Deno.NetAddr).port}`, "tls TlsFailed"],
    ];
    for (const [url, expected] of cases) {
      await using relay = await RunningRelay.start("--node", url);
      assert.equal(await relay.problem("/relay/peer"), expected, url);
    }
  } finally {
    silent.close();
    nonsense.close();
    for (const connection of open) connection.close();
  }
});

Deno.test("deno task run console refuses what it cannot use with exit code 2, and names the option", async () => {
  const cases: readonly [RegExp, ...string[]][] = [
    [/nodes are asked over https/, "--node", "http://127.0.0.1:8000"],
    [/Cannot use --port 99999/, "--node", "https://127.0.0.1:1", "--port", "99999"],
    [/Cannot read the service certificate \/nowhere/, "--node", "https://127.0.0.1:1", "--service-cert", "/nowhere"],
    [
      /Cannot use the service certificate .*there is no certificate/,
      "--node",
      "https://x",
      "--service-cert",
      "deno.json",
    ],
    [/description of the sandbox/, "--workspace", "/nowhere"],
    [/there is no \/nowhere; build it with/, "--node", "https://x", "--console-directory", "/nowhere"],
  ];
  for (const [says, ...args] of cases) {
    const { code, stderr } = await run("console", ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
  }
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = `${(taken.addr as Deno.NetAddr).port}`;
  const { code, stderr } = await run("console", "--node", "https://x", "--console-directory", PAGE, "--port", port);
  assert.deepEqual([code, /Cannot listen on 127\.0\.0\.1:\d+: .*--port/.test(stderr)], [2, true], stderr);
});

/** Trusts one service. */
function clientOf(serviceCertFile: string): Deno.HttpClient {
  return Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(serviceCertFile)] });
}
