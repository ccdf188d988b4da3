import { strict as assert } from "node:assert";
import { join } from "node:path";
import { makeTlsService } from "../../tests/tls_service.ts";
import { callCommand, type CallOptions, runCall } from "./call.ts";

/** A folder with what two services have, `a` and `b`, and a file `big` that is nothing. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "quorate_call_" });

  constructor() {
    for (const name of ["a", "b"]) {
      const { service, certificate, key } = makeTlsService(name);
      this.write(`${name}_service.pem`, service);
      this.write(`${name}.pem`, certificate);
      this.write(`${name}_key.pem`, key);
    }
    this.write("big", "x".repeat(100_000));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  text(name: string): string {
    return Deno.readTextFileSync(this.file(name));
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(this.file(name), text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** What one call ends with, and says to a person. */
async function call(url: string, options: Partial<CallOptions>): Promise<[code: number, note: string]> {
  const notes: string[] = [];
  const code = await runCall(url, { header: [], workspace: "/nowhere", ...options }, (note) => notes.push(note));
  return [code, notes.join("\n")];
}

/** Answers every request over TLS as a node of `a`, and remembers their methods and bodies. */
function serve(folder: Folder) {
  const requests: string[] = [];
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: folder.text("a.pem"),
    key: folder.text("a_key.pem"),
    onListen: () => {},
  }, async (request) => {
    requests.push(`${request.method} ${request.headers.get("content-type")} ${await request.text()}`);
    return new Response("hello", { status: request.method === "PUT" ? 400 : 200 });
  });
  return { requests, url: `https://127.0.0.1:${server.addr.port}/app`, stop: () => server.shutdown() };
}

Deno.test("call sends, writes the answer to a file, and ends with 0 for a 2xx and 1 for another status", async () => {
  using folder = new Folder();
  const { requests, url, stop } = serve(folder);
  const options = { serviceCert: folder.file("a_service.pem"), output: folder.file("answer") };
  try {
    assert.deepEqual(await call(url, options), [0, "200 OK"]);
    assert.equal(folder.text("answer"), "hello");
    const own = { cert: folder.file("b.pem"), key: folder.file("b_key.pem") };
    assert.deepEqual(await call(url, { ...options, ...own, request: "PUT", data: "{}" }), [1, "400 Bad Request"]);
    assert.deepEqual(requests, ["GET null ", "PUT application/json {}"]);
  } finally {
    await stop();
  }
});

Deno.test("call refuses a node of another service with exit code 3, and says what is wrong with its certificate", async () => {
  using folder = new Folder();
  const { requests, url, stop } = serve(folder);
  try {
    const [code, note] = await call(url, { serviceCert: folder.file("b_service.pem") });
    assert.equal(code, 3);
    assert.match(
      note,
      /^Cannot reach https:\S+: .*invalid peer certificate: UnknownIssuer; is the service certificate that of/,
    );
    assert.deepEqual(requests, []);
  } finally {
    await stop();
  }
  const [code, note] = await call(url, { serviceCert: folder.file("a_service.pem") });
  assert.equal(code, 3);
  assert.match(note, /^Cannot reach https:\S+: .*refused.*; is the node running\?$/);
});

Deno.test("call says what is wrong with how it was called, and sends nothing", async () => {
  using folder = new Folder();
  const { requests, url, stop } = serve(folder);
  const file = (name: string) => folder.file(name);
  const bad: [url: string, options: Partial<CallOptions>, message: RegExp][] = [
    ["nonsense", {}, /^Cannot call "nonsense": give an https URL, or a path that begins with \/$/],
    ["", {}, /^Cannot call "": give an https URL/],
    ["ftp://127.0.0.1/", {}, /^Cannot call "ftp:\/\/127\.0\.0\.1\/": its scheme is ftp, and nodes speak https$/],
    ["http://127.0.0.1/", {}, /its scheme is http, and nodes speak https$/],
    [url, { as: "user0" }, /^Cannot call https:\S+ as user0: --as is for paths of the sandbox; give --cert and --key$/],
    [url, { request: "GET FOO" }, /^Cannot send the method "GET FOO": it must be one word, such as PUT$/],
    [url, { request: "" }, /^Cannot send the method "": it must be one word/],
    [url, { request: "trace" }, /^Cannot send the method trace: the runtime does not send it$/],
    [url, { request: "GET", data: "x" }, /^Cannot send a request body with GET: leave out the data, or the method$/],
    [url, { dataFile: file("none") }, /^Cannot read the request body .*none: there is no such file$/],
    [url, { header: ["x"] }, /^Cannot send the header "x": it must look like "name: value"$/],
    [url, { header: ["x y: 1"] }, /^Cannot send the header "x y: 1": "x y" cannot be the name of a header$/],
    [url, { header: ["x: ł"] }, /^Cannot send the header "x: ł": its value has characters that a header cannot have$/],
    [url, { cert: file("a.pem") }, /^Cannot show a certificate: give both --cert and --key$/],
    [url, { key: file("a_key.pem") }, /^Cannot show a certificate: give both/],
    [
      url,
      { cert: file("a.pem"), key: file("b_key.pem") },
      /^Cannot use the client certificate .*a\.pem with the private key .*b_key\.pem: the key is not that of the/,
    ],
    [url, { cert: file("big"), key: file("big") }, /^Cannot use the client certificate .*big with .*: No certificates/],
    [url, { cert: file("a.pem"), key: file("big") }, /^Cannot use the client certificate .*big: No keys found/],
    [url, { serviceCert: file("big") }, /^Cannot use the service certificate .*big: ./],
    [
      url,
      { serviceCert: file("a_key.pem") },
      /^Cannot use the service certificate .*: there is no certificate \(PEM\)/,
    ],
    [url, { output: file("none/answer") }, /^Cannot write the answer to .*: there is no directory .*none; make it,/],
    [url, { output: file("big/answer") }, /^Cannot write the answer to .*: .*big is a file, and no directory$/],
    [url, { output: folder.path }, /^Cannot write the answer to .*: it is a directory$/],
    [url, { output: "" }, /^Cannot write the answer to a file without a name$/],
  ];
  try {
    for (const [to, options, message] of bad) {
      await assert.rejects(call(to, { serviceCert: file("a_service.pem"), ...options }), {
        name: "UsageError",
        message,
      });
    }
    await assert.rejects(call(url, {}), { message: "Cannot trust the node: give --service-cert FILE" });
    assert.deepEqual(requests, []);
  } finally {
    await stop();
  }
});

Deno.test("call names the description of the sandbox that it cannot use", async () => {
  using folder = new Folder();
  const workspace = folder.path;
  const common = { service_cert: folder.file("a_service.pem"), common_dir: workspace };
  for (const text of ["", "{", "[]", "{}", "null", JSON.stringify({ ...common, nodes: [] }), '{"nodes":[{"url":1}]}']) {
    folder.write("sandbox.json", text);
    await assert.rejects(call("/app", { workspace }), {
      name: "UsageError",
      message: /^Cannot read the description of the sandbox .*sandbox\.json: .+; the sandbox writes it again/,
    });
  }
  const node = { url: "https://127.0.0.1:1", web_url: "https://127.0.0.1:1" };
  folder.write("sandbox.json", JSON.stringify({ ...common, nodes: [node] }));
  assert.equal((await call("/app", { workspace }))[0], 3);
  await assert.rejects(call("/app", { workspace, node: "1" }), {
    message: "Cannot use node 1: the sandbox has nodes 0 to 0",
  });
  await assert.rejects(call("/app", { workspace, node: "one" }), {
    message: /^Cannot use node "one": give its number/,
  });
  const other = { url: "https://127.0.0.1:2", web_url: "https://127.0.0.1:2" };
  folder.write("sandbox.json", JSON.stringify({ ...common, nodes: [node, other] }));
  assert.match((await call("/app", { workspace, node: "1" }))[1], /Cannot reach https:\/\/127\.0\.0\.1:2\/app/);
  await assert.rejects(call("/app", { workspace, as: "nobody" }), {
    message: /^Cannot read the client certificate .*nobody_cert\.pem: there is no such file$/,
  });
});

Deno.test("call names the other nodes of a sandbox whose first one cannot be reached", async () => {
  using folder = new Folder();
  const workspace = folder.path;
  const sandboxOf = (...ports: number[]) => {
    const nodes = ports.map((port) => ({ url: `https://127.0.0.1:${port}`, web_url: `https://127.0.0.1:${port}` }));
    const description = { nodes, service_cert: folder.file("a_service.pem"), common_dir: workspace };
    folder.write("sandbox.json", JSON.stringify(description));
  };
  sandboxOf(1, 2, 3);
  const [code, note] = await call("/app", { workspace });
  assert.equal(code, 3);
  assert.match(note, /^Cannot reach .*; is the node running\? The sandbox has others: --node 1, --node 2$/);
  assert.match((await call("/app", { workspace, node: "0" }))[1], /is the node running\?$/, "that one was asked for");
  sandboxOf(1);
  assert.match((await call("/app", { workspace }))[1], /is the node running\?$/);
});

Deno.test("call takes either --as or a certificate of one's own", () => {
  for (const own of [["--cert", "a.pem"], ["--key", "a_key.pem"], ["--cert", "a.pem", "--key", "a_key.pem"]]) {
    const command = callCommand().exitOverride().configureOutput({ writeErr: () => {} });
    assert.throws(
      () => command.parse(["/app", "--as", "member0", ...own], { from: "user" }),
      { code: "commander.conflictingOption" },
    );
  }
});
