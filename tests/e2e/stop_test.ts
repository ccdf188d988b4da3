import { strict as assert } from "node:assert";
import { connect } from "node:tls";
import { run, RunningSandbox } from "./sandbox.ts";

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
