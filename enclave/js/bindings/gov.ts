/**
 * `ccf.gov`: whether a text could be a constitution.
 *
 * Rules and texts: governance.md §4, CCF src/js/extensions/ccf/gov.cpp; recorded in recorded_governance/steps.json
 */

import type { Binding } from "../binding.ts";
import { ScriptError } from "../machine.ts";

export const gov: Binding = {
  functions: {
    "ccf.gov.validateConstitution": {
      length: 1,
      anytime: true,
      run(call, given) {
        given.expect(1);
        const { machine } = call;
        if (!machine.isString(given.at(0))) throw new ScriptError("TypeError", "constitution is not a string");
        const problem = call.constitutionProblem(machine.textOf(given.at(0)));
        if (problem !== undefined) throw new ScriptError("TypeError", problem);
        return machine.newBoolean(true);
      },
    },
  },
};
