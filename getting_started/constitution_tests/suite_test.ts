/**
 * The suite of all actions, on our constitutions, on CCF's own as a recorded service has it, and on any other in the
 * folder that `QUORATE_TEST_CONSTITUTION` names (files in the order of `node/constitution_folder.ts`).
 */

import { strict as assert } from "node:assert";
import { ccfConstitution } from "../../tests/ccf_constitution.ts";
import { teamTest } from "../../tests/team_data.ts";
import { ourText, textIn } from "./constitutions.ts";
import { ALL_CASES, DEFAULT_CASES, OUR_CASES, testActions } from "./suite.ts";
import { ConstitutionWorld, engine } from "./world.ts";

testActions("our constitution", () => ourText("constitution"), Deno.test, OUR_CASES);
testActions("a sandbox's constitution", () => ourText("constitution_virtual"), Deno.test, ALL_CASES);
testActions("CCF's constitution", ccfConstitution, teamTest, DEFAULT_CASES);

const other = Deno.env.get("QUORATE_TEST_CONSTITUTION");
if (other !== undefined) testActions(other, () => textIn(other), Deno.test, DEFAULT_CASES);

Deno.test("there are cases for each of our actions", () => {
  const named = [...ourText("constitution_virtual").matchAll(/^actions\.set\("(\w+)"/gm)].map(([, name]) => name!);
  assert.deepEqual(named.sort(), Object.keys(ALL_CASES).sort());
});

teamTest("CCF's default actions are ours", () => {
  const named = [...ccfConstitution().matchAll(/^ {4}"(\w+)",\n {4}new Action\(/gm)].map(([, name]) => name!);
  assert.deepEqual(named.sort(), Object.keys(DEFAULT_CASES).sort());
});

Deno.test("our constitution asks for nothing while it is evaluated, so that a node evaluates it once", () => {
  const text = ourText("constitution_virtual");
  const imagesAfter = (addition: string) => {
    assert.deepEqual(new ConstitutionWorld(text + addition).validate('{"actions":[]}'), {
      valid: true,
      description: "",
    });
    return engine.imageBytes;
  };
  const before = engine.imageBytes;
  const kept = imagesAfter("\n// a text of its own");
  assert(kept > before);
  assert.equal(imagesAfter("\nccf.kv['public:ccf.gov.members.info'].size;"), kept);
});
