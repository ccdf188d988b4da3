import { strict as assert } from "node:assert";
import { notReached, type Rung, skipped, step } from "../../shared/trust/report.ts";
import { shownRung, stepKind } from "./trust_rungs.ts";

const rung = (name: Rung["name"], verdict: Rung["verdict"], ...steps: Rung["steps"]): Rung => ({
  name,
  verdict,
  steps,
});

Deno.test("shownRung() shows virtual evidence as virtual, and no step of it as verified", () => {
  const virtual = rung("hardware", "virtual", step("format", true, "it is well formed"));
  assert.equal(shownRung(virtual).kind, "virtual");
  assert.equal(stepKind(virtual.steps[0]!, virtual), "virtual");
  const genuine = rung("hardware", "verified", step("format", true, "it is well formed"));
  assert.deepEqual([shownRung(genuine).kind, stepKind(genuine.steps[0]!, genuine)], ["verified", "verified"]);
});

Deno.test("shownRung() does not call a key bound to a connection that nothing saw", () => {
  const unseen = rung("key", "verified", step("report data", true, "same"), skipped("connection", "not seen"));
  assert.equal(shownRung(unseen).kind, "cannot");
  assert.match(shownRung(unseen).why, /relay/);
  assert.equal(shownRung(rung("key", "virtual", skipped("connection", "not seen"))).kind, "cannot");
  assert.equal(shownRung(rung("key", "verified", step("connection", true, "seen"))).kind, "verified");
});

Deno.test("shownRung() does not call a network verified whose decisions were not decided again", () => {
  assert.equal(shownRung(rung("network", "verified", skipped("decisions", "no scripts"))).kind, "unchecked");
  assert.equal(shownRung(rung("network", "verified", step("decisions", true, "7 requests"))).kind, "verified");
});

Deno.test("shownRung() tells what failed from what cannot be checked and from what was not reached", () => {
  const cannot = { name: "ledger", result: "cannot be checked", detail: "none is here" } as const;
  assert.deepEqual(shownRung(rung("service", "refused", cannot)), { kind: "cannot", why: "Ledger: none is here" });
  assert.deepEqual(shownRung(rung("service", "refused", cannot, step("row", false, "other"))), {
    kind: "failed",
    why: "Row: other",
  });
  assert.deepEqual(shownRung(notReached("code", "before")), { kind: "unchecked", why: "Before" });
});
