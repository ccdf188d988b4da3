import assert from "node:assert/strict";
import { FormatError } from "../assert.ts";
import { EvidenceSteps } from "./evidence_steps.ts";

const RULES = { size: "it has 4 bytes", signature: "the key signed it", date: "it is in time" } as const;

Deno.test("steps that were not reached are listed, as not checked", () => {
  const steps = new EvidenceSteps(RULES);
  steps.check("size", true, "malformed", "it has 4 bytes", { bytes: "4" });
  assert.equal(steps.check("signature", false, "bad_signature", "another key signed it"), false);
  const { verdict, code, reason, steps: all } = steps.end();
  assert.deepEqual([verdict, code, reason], ["refused", "bad_signature", "signature: another key signed it"]);
  assert.deepEqual(all.map(({ name, result }) => [name, result]), [
    ["size", "verified"],
    ["signature", "failed"],
    ["date", "not checked"],
  ]);
  assert.deepEqual(all[0], {
    name: "size",
    rule: "it has 4 bytes",
    result: "verified",
    detail: "it has 4 bytes",
    inputs: { bytes: "4" },
  });
});

Deno.test("a step that nobody asked for does not refuse, one that cannot be checked does", () => {
  const lenient = new EvidenceSteps(RULES);
  lenient.check("size", true, "malformed", "");
  lenient.skip("signature", "nobody asked");
  assert.equal(lenient.found("date", undefined, "in time"), true);
  assert.deepEqual(lenient.end().verdict, "verified");

  const strict = new EvidenceSteps(RULES);
  strict.check("size", true, "malformed", "");
  strict.cannot("signature", "missing_collateral", "no key is at hand");
  const { verdict, code } = strict.end();
  assert.deepEqual([verdict, code], ["refused", "missing_collateral"]);
});

Deno.test("malformed bytes fail the step that reads them, our own faults are thrown", () => {
  const steps = new EvidenceSteps(RULES);
  const read = steps.read("size", "malformed", () => {
    throw new FormatError("Cannot read it: it ends early");
  }, "");
  assert.equal(read, undefined);
  assert.equal(steps.end().reason, "size: Cannot read it: it ends early");
  assert.throws(() =>
    new EvidenceSteps(RULES).read("size", "malformed", () => {
      throw new TypeError("ours");
    }, ""), TypeError);
});

Deno.test("a verifier that forgets a step cannot answer that it verified", () => {
  const steps = new EvidenceSteps(RULES);
  steps.check("size", true, "malformed", "");
  assert.throws(() => steps.end(), /has taken all its steps/);
  assert.throws(() => steps.check("size", true, "malformed", ""), /is taken once/);
});
