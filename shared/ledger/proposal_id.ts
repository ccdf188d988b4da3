/**
 * What names a proposal, and what tells its request from others.
 *
 * Rules: governance.md §3.1, §3.2
 */

import { assert } from "../assert.ts";
import { concat, toHex } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";

type Sha256 = Pick<Primitives, "sha256">;

/** 32 bytes that stand for one signed request. @param signature of its COSE_Sign1 message */
export function requestDigestOf(primitives: Sha256, signature: Uint8Array): Uint8Array {
  return primitives.sha256(signature);
}

/**
 * Hex ID of a proposal. The same request at another state of the service gets another one.
 *
 * @param root of the ledger as the request found it, 32 bytes
 */
export function proposalIdOf(primitives: Sha256, root: Uint8Array, requestDigest: Uint8Array): string {
  assert(root.length === 32 && requestDigest.length === 32, "A root and a digest have 32 bytes each");
  return toHex(primitives.sha256(concat(root, requestDigest)));
}
