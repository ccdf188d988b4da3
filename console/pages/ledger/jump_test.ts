import { strict as assert } from "node:assert";
import { parseJump } from "./jump.ts";

Deno.test("a TxID, a seqno and a time are told apart", () => {
  assert.deepEqual(parseJump(" 2.15 "), { kind: "transaction", view: 2, seqno: 15 });
  assert.deepEqual(parseJump("15"), { kind: "seqno", seqno: 15 });
  assert.deepEqual(parseJump("2026-11-01T08:00Z"), { kind: "time", ms: Date.UTC(2026, 10, 1, 8) });
  assert.equal(parseJump("soon"), undefined);
  assert.equal(parseJump("1.2.3"), undefined);
});
