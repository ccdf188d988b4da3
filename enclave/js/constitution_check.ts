/**
 * Whether a text could be a constitution: it compiles, and exports three functions with so many parameters.
 *
 * In: an interpreter that is ready to evaluate the text. Out: nothing, or what is wrong, in CCF's words.
 * Rules and texts: governance.md §4, CCF src/js/extensions/ccf/gov.cpp; recorded in recorded_governance/steps.json
 */

import { accidentOf } from "./accidents.ts";
import { PROPOSED_CONSTITUTION_MODULE } from "./governance_modules.ts";
import { type Interpreter, notCompiled, ProgramUnusable } from "./interpreter.ts";
import { PendingException } from "./machine.ts";
import type { Pointer } from "./wasm_instance.ts";

/** Functions of a constitution in the order of CCF, and how many parameters they may have (gov.cpp). */
const CONSTITUTION_FUNCTIONS = [
  { name: "apply", least: 2, most: 2, parameters: "proposal, proposerId" },
  { name: "resolve", least: 3, most: 4, parameters: "proposal, proposerId, votes[, proposalId]" },
  { name: "validate", least: 1, most: 1, parameters: "input" },
] as const;

/**
 * Why a text cannot be a constitution; undefined where it can.
 *
 * @param interpreter has the text as its program, and none of our bindings
 * @param mostMs the time that it may take
 */
export function problemOfConstitution(interpreter: Interpreter, mostMs: number): string | undefined {
  for (const { name, least, most, parameters } of CONSTITUTION_FUNCTIONS) {
    let length: number;
    try {
      const loaded = interpreter.load(PROPOSED_CONSTITUTION_MODULE, mostMs);
      length = lengthOf(interpreter, interpreter.exportedFunction(PROPOSED_CONSTITUTION_MODULE, loaded, name));
    } catch (error) {
      if (!(error instanceof ProgramUnusable) && accidentOf(error, interpreter.machine) === undefined) throw error;
      // An accident is a text that is nested too deeply, or too large, to be compiled.
      const reason = error instanceof ProgramUnusable ? error.message : notCompiled(PROPOSED_CONSTITUTION_MODULE);
      return `${PROPOSED_CONSTITUTION_MODULE} does not export a function named ${name}: ${reason}`;
    }
    if (length >= least && length <= most) continue;
    const expected = least === most ? inArguments(least) : `between ${least} and ${inArguments(most)}`;
    const exported = `${PROPOSED_CONSTITUTION_MODULE} exports function ${name} with ${inArguments(length)}`;
    return `${exported}, expected ${expected} (${parameters})`;
  }
  return undefined;
}

function inArguments(count: number): string {
  return count === 1 ? "1 arg" : `${count} args`;
}

/** A function's `length` as a 32-bit number; a text may have made a getter of it. @throws ProgramUnusable */
function lengthOf(interpreter: Interpreter, called: Pointer): number {
  const { machine } = interpreter;
  try {
    return machine.toNumber(machine.getMember(called, "length")) >>> 0;
  } catch (error) {
    if (!(error instanceof PendingException)) throw error;
    throw new ProgramUnusable(interpreter.takeException().message);
  }
}
