/**
 * `ccf.network`: what an accepted proposal gets from the keys of the service.
 *
 * Quirk of CCF: scripts see the `length` of all three as 0.
 * Rules and texts: js-apps.md §8.7, CCF src/js/extensions/ccf/network.cpp
 */

import type { Binding, Call } from "../binding.ts";
import { ScriptError } from "../machine.ts";
import type { Pointer } from "../wasm_instance.ts";
import { effectsOf } from "./effects.ts";

export const network: Binding = {
  functions: {
    "ccf.network.getLatestLedgerSecretSeqno": {
      length: 0,
      run(call, given) {
        given.expect(0, "Passed %d arguments but expected none");
        return call.machine.newNumber(effectsOf(call).latestLedgerSecretSeqno());
      },
    },

    "ccf.network.generateEndorsedCertificate": {
      length: 0,
      run(call, given) {
        given.expect(3, "Passed %d arguments but expected 3");
        const { machine } = call;
        const request = machine.textOf(given.at(0)), validFrom = machine.textOf(given.at(1));
        const days = index(call, given.at(2));
        return machine.newString(effectsOf(call).endorsedCertificate(request, validFrom, days));
      },
    },

    "ccf.network.generateNetworkCertificate": {
      length: 0,
      run(call, given) {
        given.expect(2, "Passed %d arguments but expected 2");
        const { machine } = call;
        const validFrom = machine.textOf(given.at(0));
        const days = index(call, given.at(1));
        return machine.newString(effectsOf(call).serviceCertificate(validFrom, days));
      },
    },
  },
};

/** As ECMAScript's ToIndex: what is not a number is 0, and a fraction is dropped. */
function index({ machine }: Call, value: Pointer): number {
  const number = Math.trunc(machine.toNumber(value)) || 0;
  if (number < 0 || number > Number.MAX_SAFE_INTEGER) throw new ScriptError("RangeError", "invalid array index");
  return number;
}
