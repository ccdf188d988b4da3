import { strict as assert } from "node:assert";
import { refusedAt } from "./refusal.ts";

const problem = { code: "LedgerRefused", what: "", why: "", todo: "", seqno: 46 };

Deno.test("only a ledger that stopped at an entry was refused; a node that fell silent refuses nothing", () => {
  assert.equal(refusedAt({ status: "stopped", problem }), 46);
  const { seqno: _, ...silent } = problem;
  assert.equal(refusedAt({ status: "stopped", problem: silent }), undefined);
  assert.equal(refusedAt({ status: "reading", problem }), undefined);
  assert.equal(refusedAt({ status: "complete" }), undefined);
});
