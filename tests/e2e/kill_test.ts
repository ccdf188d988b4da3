import { strict as assert } from "node:assert";
import { run, RunningSandbox } from "./sandbox.ts";

/** Kills in the loop; each takes a start of a node and about a second of writes. */
const KILLS = 4;

Deno.test("a node killed with SIGKILL in the middle of writes leaves a ledger that verifies up to its last signature", async () => {
  for (let kill = 0; kill < KILLS; kill++) {
    await using sandbox = await RunningSandbox.start("--native-app", "logging");
    let answered = 0;
    let stopped = false;
    const write = async (writer: number) => {
      for (let id = 0; !stopped; id++) {
        try {
          const body = JSON.stringify({ id: `${writer}.${id}`, msg: "x".repeat((id * 37) % 2000) });
          const { status } = await sandbox.request("POST", "/app/log/private", { as: "user0", body });
          if (status === 200) answered++;
        } catch {
          return; // the node has gone
        }
      }
    };
    const writers = [0, 1, 2, 3].map(write);
    // Somewhere between just begun and some signatures on.
    await new Promise((done) => setTimeout(done, 300 + Math.random() * 2000));
    await sandbox.stop("SIGKILL");
    stopped = true;
    await Promise.all(writers);
    assert(answered > 0, "something was written before the kill");

    const keys = [0, 1, 2].flatMap((i) => ["--member-key", sandbox.credential(`member${i}_enc_privk.pem`)]);
    const service = ["--service-cert", sandbox.credential("service_cert.pem")];
    const { code, stdout, stderr } = await run("ledger", "verify", sandbox.ledgerFolder, ...service, ...keys, "--json");
    assert.equal(code, 0, `after ${answered} writes: ${stdout}${stderr}`);
    assert.equal(JSON.parse(stdout).verdict, "verified");
  }
});
