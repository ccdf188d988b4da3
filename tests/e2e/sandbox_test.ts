import { strict as assert } from "node:assert";
import { join } from "node:path";
import { run, RunningSandbox } from "./sandbox.ts";

/** The files of a folder, by name. */
function namesOf(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("a sandbox is written to and read, its receipts and its ledger verify, and it stops when told", async (t) => {
  await using sandbox = await RunningSandbox.start();
  const service = ["--service-cert", sandbox.credential("service_cert.pem")];
  let txId = "";

  await t.step("a user writes and reads a private record over mutual TLS", async () => {
    const written = await sandbox.request("POST", "/app/log/private", { as: "user0", body: '{"id":42,"msg":"hello"}' });
    assert.deepEqual([written.status, written.text], [200, "true"]);
    txId = written.headers.get("x-ms-ccf-transaction-id")!;
    assert.match(txId, /^2\.\d+$/);
    const read = await sandbox.request("GET", "/app/log/private?id=42", { as: "user0" });
    assert.deepEqual([read.status, read.text], [200, '{"msg":"hello"}']);
  });

  await t.step("a caller without a certificate, and one who is no user, may not", async () => {
    assert.equal((await sandbox.request("GET", "/app/log/private?id=42")).status, 401);
    assert.equal((await sandbox.request("GET", "/app/log/private?id=42", { as: "member0" })).status, 401);
  });

  await t.step("the public record is read on the web interface, with CORS", async () => {
    await sandbox.request("POST", "/app/log/public", { as: "user0", body: '{"id":1,"msg":"all"}' });
    const read = await sandbox.request("GET", "/app/log/public?id=1");
    assert.deepEqual([read.status, read.text], [200, '{"msg":"all"}']);
    assert.equal(read.headers.get("access-control-allow-origin"), "*");
  });

  await t.step("JSON-RPC calls run in order, each a transaction of its own", async () => {
    const calls = [
      { jsonrpc: "2.0", id: 1, method: "app/postLogPrivate", params: { id: 7, msg: "rpc" } },
      { jsonrpc: "2.0", id: 2, method: "app/GET /log/private", params: { query: { id: "7" } } },
      { jsonrpc: "2.0", id: 3, method: "app/nothing" },
    ];
    const answer = await sandbox.request("POST", "/rpc", { as: "user0", body: JSON.stringify(calls) });
    const [post, get, nothing] = JSON.parse(answer.text);
    assert.equal(post.result, true);
    assert.deepEqual(get.result, { msg: "rpc" });
    assert.equal(nothing.error.code, -32601);
  });

  await t.step("a joining node would find the newest snapshot, and get the file as it is", async () => {
    const [name] = namesOf(sandbox.snapshotsFolder);
    const found = await sandbox.request("GET", "/node/snapshot", { as: "user0" });
    assert.equal(found.status, 308);
    assert.equal(found.headers.get("location"), `${sandbox.url}/node/snapshot/${name}`);
    const file = await sandbox.request("GET", `/node/snapshot/${name}`, { as: "user0" });
    assert.equal(file.status, 206);
    assert.equal(file.text, Deno.readTextFileSync(join(sandbox.snapshotsFolder, name!)));
    assert.equal((await sandbox.request("GET", "/node/snapshot")).status, 404, "only where the configuration says so");
  });

  await t.step("a receipt verifies with nothing but the service certificate", async () => {
    const answer = await sandbox.eventually("GET", `/app/receipt?transaction_id=${txId}`, { as: "user0" });
    assert.equal(answer.status, 200);
    const file = join(sandbox.workspace, "receipt.json");
    await Deno.writeTextFile(file, answer.text);
    const good = await run("receipt", "verify", file, ...service, "--tx-id", txId, "--json");
    assert.deepEqual([good.code, JSON.parse(good.stdout).verdict], [0, "verified"]);
    const bad = await run("receipt", "verify", file, ...service, "--tx-id", "2.8");
    assert.equal(bad.code, 1);
    assert.match(bad.stdout, /^Refused/m);
    const unreadable = await run("receipt", "verify", sandbox.credential("user0_cert.pem"), ...service);
    assert.equal(unreadable.code, 2);
  });

  await t.step("call does what curl does", async () => {
    const answer = await run("call", "/app/log/private?id=42", "--as", "user0", "--workspace", sandbox.workspace);
    assert.deepEqual([answer.code, answer.stdout], [0, '{"msg":"hello"}\n']);
    const refused = await run("call", "/app/log/private?id=42", "--workspace", sandbox.workspace);
    assert.equal(refused.code, 1);
    const unreachable = await run("call", "https://127.0.0.1:1/app/commit", ...service);
    assert.equal(unreachable.code, 3);
  });

  await t.step("the page at / says what the node is", async () => {
    const page = await sandbox.request("GET", "/");
    assert.equal(page.status, 200);
    assert.match(page.text, /no hardware protects this node/);
    assert(page.text.includes(sandbox.description.nodes[0]!.id));
  });

  await t.step("a second sandbox in the same workspace is refused, and names --fresh", async () => {
    const second = await run("node", "--workspace", sandbox.workspace, "--port", "0");
    assert.equal(second.code, 2);
    assert.match(second.stderr, /--fresh/);
  });

  await t.step("a port in use is refused before anything is written", async () => {
    const port = new URL(sandbox.url).port;
    const workspace = join(sandbox.workspace, "other");
    const second = await run("node", "--workspace", workspace, "--port", port);
    assert.equal(second.code, 2);
    assert.match(second.stderr, new RegExp(`127\\.0\\.0\\.1:${port}: the port is in use`));
    assert.throws(() => Deno.statSync(workspace), Deno.errors.NotFound);
  });

  await t.step("SIGTERM ends it with 0, everything that was answered is signed, and the ledger verifies", async () => {
    const { code } = await sandbox.stop();
    assert.equal(code, 0);
    const keys = [0, 1, 2].flatMap((i) => ["--member-key", sandbox.credential(`member${i}_enc_privk.pem`)]);
    const snapshots = ["--snapshots", sandbox.snapshotsFolder];
    const verified = await run("ledger", "verify", sandbox.ledgerFolder, ...snapshots, ...service, ...keys, "--json");
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const result = JSON.parse(verified.stdout);
    assert.deepEqual([result.verdict, result.warnings, result.last_signed], ["verified", [], result.last]);
    const decrypted = await run("ledger", "decrypt", sandbox.ledgerFolder, ...keys.slice(0, 4), "--table", "records");
    assert.equal(decrypted.code, 0, decrypted.stderr);
    assert.match(decrypted.stdout, /hello/);
  });
});

Deno.test("a sandbox has the files that clients of CCF look for", async () => {
  await using sandbox = await RunningSandbox.start("--members", "2", "--users", "2", "--native-app", "logging");
  const names = namesOf(sandbox.description.common_dir);
  for (const member of ["member0", "member1"]) {
    for (const suffix of ["cert", "privk", "enc_pubk", "enc_privk"]) assert(names.includes(`${member}_${suffix}.pem`));
  }
  for (const user of ["user0", "user1"]) {
    assert(names.includes(`${user}_cert.pem`) && names.includes(`${user}_privk.pem`));
  }
  assert(names.includes("service_cert.pem"));
  const answer = await sandbox.request("POST", "/app/log/private", { as: "user1", body: '{"id":1,"msg":"native"}' });
  assert.deepEqual([answer.status, answer.text], [200, "true"]);
});

for (
  const [args, message] of [
    [["node", "--port", "eighty"], /Cannot use --port eighty/],
    [["node", "--nodes", "6"], /Cannot use --nodes 6: it must be a whole number from 1 to 5/],
    [["node", "--log-file", "x"], /Cannot use --log-file alone: name a configuration/],
    [["node", "--config", "/nowhere.json"], /Cannot read the configuration \/nowhere\.json: there is no such file/],
    [["node", "--workspace", "/proc/quorate"], /Cannot write to the workspace/],
    [["node", "--app", "/nowhere", "--port", "0"], /Cannot use the app in \/nowhere/],
    [["nothing"], /unknown command 'nothing'/],
    [["receipt", "verify"], /missing required argument|required option/],
    [["receipt", "verify", "/nowhere", "--service-cert", "/nowhere"], /Cannot read the service certificate/],
  ] as const
) {
  Deno.test(`${args.join(" ")} is refused with a sentence and exit code 2`, async () => {
    const { code, stderr } = await run(...args);
    assert.match(stderr, message);
    assert.equal(code, 2);
  });
}
