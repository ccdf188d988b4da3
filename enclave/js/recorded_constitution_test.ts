/**
 * The constitution of a real service, on our engine: it says the same, word for word and line for line.
 */

import { strict as assert } from "node:assert";
import { fromHex, fromUtf8Lenient, toUtf8 } from "../../shared/bytes.ts";
import { parseCoseSign1 } from "../../shared/crypto/cose.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import { CONSTITUTION } from "../../shared/governance/tables.ts";
import { teamTest } from "../../tests/team_data.ts";
import { methodAndTarget, readRecordedTables, readTranscript, recordedValue } from "../../tests/transcripts.ts";
import { DEFAULT_LIMITS, FakeContext } from "./fake_context.ts";
import { CONSTITUTION_MODULE, constitutionProgram } from "./governance_modules.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

/** What a node says of a proposal that its constitution does not take; undefined for one that it does. */
function refusal(constitution: string, proposal: string): string | undefined {
  const outcome = engine.run({
    program: constitutionProgram(constitution, { sha256: (data) => hash("SHA-256", data) }),
    module: CONSTITUTION_MODULE,
    functionName: "validate",
    arguments: [proposal],
    context: new FakeContext("read-only governance"),
    limits: DEFAULT_LIMITS,
  }, "validation");
  switch (outcome.kind) {
    case "unusable":
      return outcome.message;
    case "threw":
      return `Failed to execute validation: ${outcome.exception.message} ${outcome.exception.trace ?? ""}`;
    case "returned":
      return outcome.value?.valid === true ? undefined : `Proposal failed to validate: ${outcome.value?.description}`;
  }
}

teamTest("a recorded constitution takes and refuses the proposals that were recorded, in the same words", () => {
  const constitution = CONSTITUTION.value.decode(recordedValue(readRecordedTables().get(1), CONSTITUTION.name));
  assert.equal(engine.constitutionProblem(constitution), undefined);
  let taken = 0, refused = 0;
  for (const name of ["one_node_open", "one_node_proposals", "one_node_errors"]) {
    for (const exchange of readTranscript(name)) {
      const { request, response } = exchange;
      if (!/\/gov\/members\/proposals:create\?/.test(methodAndTarget(exchange)[1])) continue;
      if (request.bodyHex === undefined) continue;
      const message: string | undefined = JSON.parse(response.body!).error?.message;
      const isAboutValidity = /^(Failed to execute validation|Proposal failed to validate): /.test(message ?? "");
      if (response.status !== 200 && !isAboutValidity) continue;
      const proposal = fromUtf8Lenient(parseCoseSign1(fromHex(request.bodyHex)).payload!);
      assert.equal(refusal(constitution, proposal), message, proposal.slice(0, 200));
      if (message === undefined) taken++;
      else refused++;
    }
  }
  assert.ok(taken >= 8 && refused === 5, `${taken} taken, ${refused} refused`);
});

teamTest("a recorded constitution finds the same wrong with constitutions that were proposed", () => {
  const constitution = CONSTITUTION.value.decode(recordedValue(readRecordedTables().get(1), CONSTITUTION.name));
  const said = (text: string) => {
    const proposal = JSON.stringify({ actions: [{ name: "set_constitution", args: { constitution: text } }] });
    return refusal(constitution, proposal)?.replaceAll(/:\d+\)/g, ":line)");
  };
  const frames = [
    "    at validateConstitution (native)",
    "    at <anonymous> (public:ccf.gov.constitution[0]:line)",
    "    at validate (public:ccf.gov.constitution[0]:line)\n",
  ].join("\n");
  const start =
    "Proposal failed to validate: set_constitution at position 0 failed validation: TypeError: proposed constitution";
  // recorded_governance/steps.json, "constitution that does not compile" and "constitution without resolve"
  assert.equal(
    said("export function ("),
    `${start} does not export a function named apply: Failed to compile proposed constitution\n${frames}`,
  );
  assert.equal(
    said("export function validate(i) {} export function apply() {}"),
    `${start} exports function apply with 0 args, expected 2 args (proposal, proposerId)\n${frames}`,
  );
  assert.equal(said(constitution), undefined);
  assert.ok(toUtf8(constitution).length > 40_000);
});
