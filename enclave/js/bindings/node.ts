/**
 * `ccf.node`: what an accepted proposal makes of the service beside its tables.
 *
 * Rules and texts: js-apps.md §8.7, CCF src/js/extensions/ccf/node.cpp
 */

import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import type { Binding } from "../binding.ts";
import { ScriptError } from "../machine.ts";
import { effectsOf, plainEffect } from "./effects.ts";

export const node: Binding = {
  functions: {
    "ccf.node.triggerLedgerRekey": plainEffect((effects) => effects.rekeyLedger()),

    "ccf.node.transitionServiceToOpen": {
      length: 2,
      run(call, given) {
        given.expect(2, "Passed %d arguments but expected two");
        const { machine } = call;
        const pem = (index: number, which: string) =>
          fromUtf8Lenient(given.buffer(index, `${which} service identity argument is not an array buffer`));
        const previous = machine.isUndefined(given.at(0)) ? undefined : pem(0, "Previous");
        // A wrong type is a TypeError in CCF, and an absent one is not.
        if (machine.isUndefined(given.at(1))) {
          throw new ScriptError("InternalError", "Proposal requires a service identity");
        }
        effectsOf(call).openService(previous, pem(1, "Next"));
        return 0;
      },
    },

    "ccf.node.triggerRecoverySharesRefresh": plainEffect((effects) => effects.refreshRecoveryShares()),

    // Quirk of CCF: the next two do not count their arguments.
    "ccf.node.triggerLedgerChunk": plainEffect((effects) => effects.endLedgerChunk(), false),

    "ccf.node.triggerSnapshot": plainEffect((effects) => effects.takeSnapshot(), false),
  },
};
