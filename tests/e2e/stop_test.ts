import { strict as assert } from "node:assert";
import { join } from "node:path";
import { connect } from "node:tls";
import { statSyncOrUndefined } from "../paths.ts";
import { outputOf, run, RunningSandbox, startTask } from "./sandbox.ts";

Deno.test("a client that never sends the rest of its request does not keep a node from stopping cleanly", async () => {
  await using sandbox = await RunningSandbox.start("--native-app", "logging");
  const written = await sandbox.request("POST", "/app/log/private", { as: "user0", body: '{"id":1,"msg":"a"}' });
  assert.equal(written.status, 200);
  const { hostname, port } = new URL(sandbox.webUrl);
  const ca = Deno.readTextFileSync(sandbox.credential("service_cert.pem"));
  const socket = connect({ host: hostname, port: Number(port), ca });
  socket.on("error", () => {}); // the node ends while it is connected
  await new Promise<void>((connected) => socket.once("secureConnect", connected));
  socket.write("POST /app/log/private HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nabc");
  await sandbox.request("GET", "/node/commit");

  const { code } = await sandbox.stop("SIGTERM");
  socket.destroy();
  assert.equal(code, 0);
  const service = ["--service-cert", sandbox.credential("service_cert.pem")];
  const { stdout } = await run("ledger", "verify", sandbox.ledgerFolder, ...service, "--json");
  assert.equal(JSON.parse(stdout).verdict, "verified");
});

Deno.test("a node that cannot write its ledger says so and stops, with exit code 1", async () => {
  await using sandbox = await RunningSandbox.start("--native-app", "logging");
  // What it has open it can still write, but the next file cannot be made: as good as a full disk.
  await Deno.remove(sandbox.ledgerFolder, { recursive: true });
  const body = JSON.stringify({ id: 1, msg: "x".repeat(100_000) });
  const isGone = async () => {
    try {
      await sandbox.request("POST", "/app/log/private", { as: "user0", body });
      await new Promise((done) => setTimeout(done, 20));
      return false;
    } catch {
      return true;
    }
  };
  let writes = 0;
  while (!await isGone()) assert.ok(++writes < 1000, "it stops when the file that it has is to get its last name");
  const { code, stderr } = await sandbox.ended();
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot \w+ the ledger file .*there is no such (file|directory)/);
});

Deno.test("a signal while a sandbox starts leaves nothing of it, and an exit code that says which signal", async () => {
  const folder = await Deno.makeTempDir({ prefix: "quorate_e2e_" });
  const workspace = join(folder, "workspace");
  try {
    for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 0]] as const) {
      const process = startTask("node", "--workspace", workspace, "--port", "0");
      const output = outputOf(process);
      // The folder appears when signals are heeded already, and long before the service is open.
      while (statSyncOrUndefined(join(workspace, "sandbox_common")) === undefined) {
        await new Promise((done) => setTimeout(done, 5));
      }
      process.kill(signal);
      const { code, stderr } = await output;
      assert.equal(stderr, "Stopped before the service was open; nothing is left of it\n");
      assert.equal(code, expected, signal);
      assert.equal(statSyncOrUndefined(workspace), undefined);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--fresh wipes no folder that is not a sandbox's, and none of a sandbox that runs", async () => {
  await using sandbox = await RunningSandbox.start("--native-app", "logging");
  const live = await run("node", "--workspace", sandbox.workspace, "--port", "0", "--fresh");
  assert.equal(live.code, 2);
  assert.match(live.stderr, /^Cannot /);
  assert.equal((await sandbox.request("GET", "/node/commit")).status, 200);
  assert.ok([...Deno.readDirSync(sandbox.ledgerFolder)].length > 0);

  const folder = join(sandbox.workspace, "..", "precious");
  await Deno.mkdir(folder);
  await Deno.writeTextFile(join(folder, "letter.txt"), "dear");
  const { code, stderr } = await run("node", "--workspace", folder, "--port", "0", "--fresh");
  assert.equal(code, 2);
  assert.match(stderr, /^Cannot wipe .*it is not the workspace of a sandbox/);
  assert.equal(await Deno.readTextFile(join(folder, "letter.txt")), "dear");
});
