/**
 * The SHA-2 hashes that signatures here are made over, by name.
 */

import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";

/** Names as in WebCrypto and COSE. */
export type HashName = "SHA-256" | "SHA-384" | "SHA-512";

export const HASHES = { "SHA-256": sha256, "SHA-384": sha384, "SHA-512": sha512 } as const;

export function hash(name: HashName, message: Uint8Array): Uint8Array {
  return HASHES[name](message);
}
