/**
 * How members, users, nodes and services are called: by hashes of certificates and keys.
 *
 * Format: ledger-and-receipts.md §11
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex } from "../bytes.ts";

/** Of a member or a user: hex SHA-256 of the certificate's DER. It is also the `kid` of a member's signed requests. */
export function memberIdOf(certificate: Uint8Array): string {
  return toHex(sha256(certificate));
}

/** Of a node: hex SHA-256 of the public key's SubjectPublicKeyInfo DER; the same after its certificate is renewed. */
export function nodeIdOf(spki: Uint8Array): string {
  return toHex(sha256(spki));
}
