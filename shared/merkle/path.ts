/**
 * Proof paths: from a leaf to the root of a Merkle tree.
 *
 * Format: ledger-and-receipts.md §5.3
 */

import { assert, FormatError } from "../assert.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { MAX_MERKLE_PATH_STEPS } from "../limits.ts";

/** One sibling, with the side it stands on. */
export interface PathStep {
  readonly side: "left" | "right";
  readonly hash: Uint8Array;
}

/** From the leaf upward. A level at which the node moves up unchanged has no step. */
export type MerklePath = readonly PathStep[];

/**
 * The root that a leaf and its path lead to.
 *
 * @throws FormatError where the path is longer than any tree is high, or a hash is not 32 bytes
 */
export function foldPath(primitives: Primitives, leaf: Uint8Array, path: MerklePath): Uint8Array {
  assert(leaf.length === 32, "A leaf is 32 bytes");
  if (path.length > MAX_MERKLE_PATH_STEPS) {
    throw new FormatError(`Cannot follow a Merkle path of ${path.length} steps: at most ${MAX_MERKLE_PATH_STEPS}`);
  }
  let hash = leaf;
  const pair = new Uint8Array(64);
  for (const step of path) {
    if (step.hash.length !== 32) {
      throw new FormatError(`Cannot follow a Merkle path: a hash has ${step.hash.length} bytes, not 32`);
    }
    pair.set(step.hash, step.side === "left" ? 0 : 32);
    pair.set(hash, step.side === "left" ? 32 : 0);
    hash = primitives.sha256(pair);
  }
  return hash;
}
