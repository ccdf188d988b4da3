/**
 * The nodes of a Merkle path, computed once more by the page.
 *
 * In: a leaf and the siblings on the way up, hex, as a proof or a receipt has them. Out: the hash at each level. Never
 * throws: a path that cannot be followed ends where it breaks.
 * Rule: ledger-and-receipts.md §5.3, SHA-256 over left, then right
 */

import { FormatError } from "../../shared/assert.ts";
import { fromHex, toHex } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { foldPath } from "../../shared/merkle/path.ts";

export interface PathStepHex {
  readonly side: "left" | "right";
  readonly hash: string;
}

export interface MerkleLevels {
  /** From the leaf to what the path leads to: one more than there are siblings. */
  readonly hashes: readonly string[];
  /** Why the path could not be followed further. */
  readonly broken?: string;
}

export function merkleLevels(leaf: string, path: readonly PathStepHex[]): MerkleLevels {
  const hashes: string[] = [leaf];
  try {
    let hash = fromHex(leaf);
    if (hash.length !== 32) return { hashes, broken: `The leaf has ${hash.length} bytes, not 32` };
    for (const step of path) {
      hash = foldPath(noblePrimitives, hash, [{ side: step.side, hash: fromHex(step.hash) }]);
      hashes.push(toHex(hash));
    }
    return { hashes };
  } catch (error) {
    if (error instanceof FormatError) return { hashes, broken: error.message };
    throw error;
  }
}
