/**
 * `Math.random`: from the node's entropy, so that scripts may draw secrets with it (js-apps.md §8.8).
 */

import type { Binding } from "../binding.ts";

export const math: Binding = {
  functions: {
    "Math.random": {
      length: 0,
      run({ context, machine }) {
        const bytes = context.random(8);
        const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
        // 53 bits, as many as a number from 0 to 1 can hold.
        return machine.newNumber(((view.getUint32(0) >>> 5) * 2 ** 26 + (view.getUint32(4) >>> 6)) / 2 ** 53);
      },
    },
  },
};
