/**
 * HKDF with SHA-256: keys from a shared secret.
 *
 * In: the secret, a salt, what the key is for. Out: as many bytes as asked for.
 * Format: RFC 5869
 */

import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { assert } from "../assert.ts";

/** RFC 5869 §2.3: one byte counts the blocks. */
const MAX_OUTPUT_BYTES = 255 * 32;

/**
 * Extracts and expands.
 *
 * @param info names the use, so that two uses of one secret get two keys
 */
export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  assert(lengthBytes > 0 && lengthBytes <= MAX_OUTPUT_BYTES, "HKDF is asked for 1 to 8160 bytes");
  return hkdf(sha256, secret, salt, info, lengthBytes);
}
