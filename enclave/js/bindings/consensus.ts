/**
 * `ccf.consensus`: what the node knows of transactions.
 *
 * Rules and texts: js-apps.md §8.4, CCF src/js/extensions/ccf/consensus.cpp
 */

import type { Binding, Call } from "../binding.ts";
import { ScriptError } from "../machine.ts";
import type { Pointer } from "../wasm_instance.ts";

export const consensus: Binding = {
  functions: {
    "ccf.consensus.getLastCommittedTxId": {
      length: 0,
      run({ context, machine }, given) {
        given.expect(0);
        const { view, seqno } = context.lastCommittedTxId();
        return machine.newValue({ view, seqno });
      },
    },

    "ccf.consensus.getStatusForTxId": {
      length: 2,
      run(call, given) {
        given.expect(2);
        const view = integer(call, given.at(0)), seqno = integer(call, given.at(1));
        if (view < 0 || seqno < 0) throw new ScriptError("RangeError", "Invalid view or seqno: cannot be negative");
        return call.machine.newString(call.context.statusOf({ view, seqno }));
      },
    },

    "ccf.consensus.getViewForSeqno": {
      length: 1,
      run(call, given) {
        given.expect(1);
        const seqno = integer(call, given.at(0));
        if (seqno < 0) throw new ScriptError("RangeError", "Invalid seqno: cannot be negative");
        const view = call.context.viewOf(seqno);
        return view === undefined ? call.machine.newNull() : call.machine.newNumber(view);
      },
    },
  },
};

/** As QuickJS makes a 64-bit integer: the fraction is dropped, and what is not a number is 0. */
function integer({ machine }: Call, value: Pointer): number {
  const number = Math.trunc(machine.toNumber(value));
  return Number.isNaN(number) ? 0 : Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, number));
}
