import { strict as assert } from "node:assert";
import { run, RunningSandbox } from "./sandbox.ts";

/** How long after the first answer each node is killed: from just begun to some signatures on. */
const KILLED_AFTER_MS = [0, 150, 700, 1500];

Deno.test("a node killed with SIGKILL in the middle of writes leaves a ledger that verifies up to its last signature", async () => {
  for (const afterMs of KILLED_AFTER_MS) {
    await using sandbox = await RunningSandbox.start("--native-app", "logging");
    let answered = 0;
    let stopped = false;
    const first = Promise.withResolvers<void>();
    const write = async (writer: number) => {
      for (let id = 0; !stopped; id++) {
        try {
          const body = JSON.stringify({ id: `${writer}.${id}`, msg: "x".repeat((id * 37) % 2000) });
          const { status } = await sandbox.request("POST", "/app/log/private", { as: "user0", body });
          if (status !== 200) continue;
          answered++;
          first.resolve();
        } catch {
          return; // the node has gone
        }
      }
    };
    const writers = Promise.all([0, 1, 2, 3].map(write));
    await Promise.race([first.promise, writers]);
    assert(answered > 0, "something was written before the kill");
    await new Promise((done) => setTimeout(done, afterMs));
    await sandbox.stop("SIGKILL");
    stopped = true;
    await writers;

    const keys = [0, 1, 2].flatMap((i) => ["--member-key", sandbox.credential(`member${i}_enc_privk.pem`)]);
    const service = ["--service-cert", sandbox.credential("service_cert.pem")];
    const { code, stdout, stderr } = await run("ledger", "verify", sandbox.ledgerFolder, ...service, ...keys, "--json");
    assert.equal(code, 0, `after ${answered} writes: ${stdout}${stderr}`);
    assert.equal(JSON.parse(stdout).verdict, "verified");
  }
});
