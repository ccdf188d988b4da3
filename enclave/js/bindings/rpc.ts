/**
 * `ccf.rpc`: what an endpoint decides about its own transaction.
 *
 * Rules and texts: js-apps.md §8.3, CCF src/js/extensions/ccf/rpc.cpp
 */

import type { Binding } from "../binding.ts";
import { ScriptError } from "../machine.ts";

const DIGEST_BYTES = 32;
const ONE_ARGUMENT = "Passed %d arguments but expected 1";

export const rpc: Binding = {
  functions: {
    "ccf.rpc.setApplyWrites": {
      length: 1,
      run({ context, machine }, given) {
        given.expect(1, ONE_ARGUMENT);
        context.setApplyWrites(machine.isTruthy(given.at(0)));
        return 0;
      },
    },

    "ccf.rpc.setClaimsDigest": {
      length: 1,
      run({ context }, given) {
        given.expect(1, ONE_ARGUMENT);
        const digest = given.buffer(0);
        if (digest.length !== DIGEST_BYTES) {
          const text = `Argument must be an ArrayBuffer of the right size: ${DIGEST_BYTES}`;
          throw new ScriptError("TypeError", text);
        }
        context.setClaimsDigest(digest.slice());
        return 0;
      },
    },
  },
};
