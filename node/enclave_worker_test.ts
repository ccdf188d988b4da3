import { strict as assert } from "node:assert";
import { MAX_WAITING_INPUTS } from "../shared/limits.ts";
import { EnclaveWorker } from "./enclave_worker.ts";

Deno.test("EnclaveWorker.caughtUp() holds back who can wait while much waits for the enclave, and nobody for ever", async () => {
  const worker = await EnclaveWorker.start(() => {}, (message) => assert.fail(message));
  try {
    assert.equal(worker.caughtUp(), undefined);
    for (let i = 0; i < MAX_WAITING_INPUTS - 1; i++) worker.send({ kind: "tick" });
    assert.equal(worker.caughtUp(), undefined);
    for (let i = 0; i < 20 * MAX_WAITING_INPUTS; i++) worker.send({ kind: "tick" });
    const held = worker.caughtUp();
    assert(held !== undefined && held === worker.caughtUp(), "all wait for the same");
    await held;
    assert.equal(worker.caughtUp(), undefined);
    for (let i = 0; i < MAX_WAITING_INPUTS; i++) worker.send({ kind: "tick" });
    const last = worker.caughtUp();
    worker.terminate();
    await last;
  } finally {
    worker.terminate();
  }
});
