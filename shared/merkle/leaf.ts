/**
 * Leaves of the Merkle tree: what of a transaction the tree commits to.
 *
 * In: digests of one ledger entry. Out: its leaf.
 * Format: ledger-and-receipts.md §5.1
 */

import { assert } from "../assert.ts";
import type { Primitives } from "../crypto/primitives.ts";

/** The digests of one entry; which are there depends on its type. */
export interface LeafComponents {
  /** sha256 of the whole entry. */
  readonly writeSetDigest: Uint8Array;
  /** sha256 of the commit evidence string; absent in entries of 1.x. */
  readonly commitEvidenceDigest: Uint8Array | undefined;
  /** 32 zero bytes where the application made no claim; absent in entry types 0 and 3. */
  readonly claimsDigest: Uint8Array | undefined;
}

/** The claims digest of a transaction without a claim. */
export const NO_CLAIMS: Uint8Array = new Uint8Array(32);

const all = new Uint8Array(96);
const two = all.subarray(0, 64);

/**
 * sha256 over the digests that are there; a write-set digest that stands alone is the leaf itself.
 *
 * @param into where the leaf is written; without it, in an array that is no other's
 */
export function leafOf(primitives: Primitives, components: LeafComponents, into?: Uint8Array): Uint8Array {
  const { writeSetDigest, commitEvidenceDigest, claimsDigest } = components;
  const second = commitEvidenceDigest ?? claimsDigest;
  if (second === undefined) return writeSetDigest;
  const third = commitEvidenceDigest === undefined ? undefined : claimsDigest;
  assert(writeSetDigest.length === 32 && second.length === 32, "Digests of a leaf are 32 bytes");
  // This runs once a transaction, and small buffers are what it would spend its time on: these two are reused.
  all.set(writeSetDigest);
  all.set(second, 32);
  if (third === undefined) return primitives.sha256(two, into);
  assert(third.length === 32, "Digests of a leaf are 32 bytes");
  all.set(third, 64);
  return primitives.sha256(all, into);
}
