/**
 * What bindings that bring about effects have in common, and those of them that stand on `ccf` itself.
 *
 * Rules and texts: js-apps.md §8.7, CCF src/js/extensions/ccf/gov_effects.cpp
 */

import { assert } from "../../../shared/assert.ts";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import type { GovernanceEffects } from "../../app_engine.ts";
import type { Binding, Call, HostFunction } from "../binding.ts";
import { type Machine, PendingException, ScriptError } from "../machine.ts";
import type { Pointer } from "../wasm_instance.ts";

export function effectsOf({ context }: Call): GovernanceEffects {
  const { effects } = context;
  assert(effects !== undefined, "A script with effects runs where they can happen");
  return effects;
}

/** A function that takes nothing and brings one effect about. @param counts whether it refuses arguments */
export function plainEffect(bringAbout: (effects: GovernanceEffects) => void, counts = true): HostFunction {
  return {
    length: 0,
    run(call, given) {
      if (counts) given.expect(0, "Passed %d arguments but expected none");
      bringAbout(effectsOf(call));
      return 0;
    },
  };
}

export const effects: Binding = {
  functions: {
    "ccf.refreshAppBytecodeCache": plainEffect((effects) => effects.refreshBytecodeCache()),

    "ccf.setJwtPublicSigningKeys": {
      length: 3,
      run(call, given) {
        given.expect(3, "Passed %d arguments but expected 3");
        const issuer = issuerOf(call, given.at(0));
        const metadata = textOfJson(call, given.at(1), "metadata");
        const jwks = textOfJson(call, given.at(2), "jwks");
        effectsOf(call).setJwtPublicSigningKeys(issuer, parsed(metadata), parsed(jwks));
        return 0;
      },
    },

    "ccf.removeJwtPublicSigningKeys": {
      length: 1,
      run(call, given) {
        given.expect(1, "Passed %d arguments but expected 1");
        effectsOf(call).removeJwtPublicSigningKeys(issuerOf(call, given.at(0)));
        return 0;
      },
    },
  },
};

/** Anything that can become text is an issuer. */
function issuerOf({ machine }: Call, value: Pointer): string {
  return orTypeError(machine, "issuer argument is not a string", () => machine.textOf(value));
}

function textOfJson({ machine }: Call, value: Pointer, name: string): string {
  return orTypeError(
    machine,
    `${name} argument is not a JSON object`,
    () => fromUtf8Lenient(machine.jsonOf(value)),
  );
}

/** Of what has no JSON, such as a function, the text is "undefined". */
function parsed(text: string): unknown {
  if (text === "undefined") {
    throw new ScriptError("InternalError", "Error setting JWT public signing keys: an argument is not JSON");
  }
  return JSON.parse(text);
}

/** CCF puts an error of its own in place of what a conversion throws. */
function orTypeError(machine: Machine, message: string, convert: () => string): string {
  try {
    return convert();
  } catch (error) {
    if (!(error instanceof PendingException)) throw error;
    machine.free(machine.takeException());
    throw new ScriptError("TypeError", message);
  }
}
