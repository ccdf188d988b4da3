/**
 * Both sets of primitives, for tests that must pass on either.
 */

import { loadNativePrimitives } from "../enclave/native_primitives.ts";
import { noblePrimitives, type Primitives } from "../shared/crypto/primitives.ts";

export const PRIMITIVE_SETS: readonly (readonly [name: string, primitives: Primitives])[] = [
  ["noble", noblePrimitives],
  ["native", loadNativePrimitives()],
];

/** Registers a test once for each set. */
export function testOnBoth(name: string, test: (primitives: Primitives) => void): void {
  for (const [set, primitives] of PRIMITIVE_SETS) Deno.test(`${name} (${set} primitives)`, () => test(primitives));
}
