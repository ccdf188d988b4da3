/**
 * Elliptic-curve Diffie-Hellman: a secret that two holders of keys on one curve share.
 *
 * In: one's own private key, the other's public key. Out: the x-coordinate of the shared point.
 * Format: SEC 1 §3.3.1, RFC 5903 §9
 */

import { assert } from "../assert.ts";
import { EC_CURVES, type EcPrivateKey, type EcPublicKey } from "./ecdsa.ts";
import { NOBLE_CURVES } from "./primitives.ts";

/** @returns the x-coordinate, big-endian, of the curve's width; never a key itself: derive keys from it */
export function ecdhSharedSecret(own: EcPrivateKey, other: EcPublicKey): Uint8Array {
  assert(own.curve === other.curve, "Both keys of a key exchange are on one curve");
  const point = NOBLE_CURVES[own.curve].getSharedSecret(own.scalar, other.point, false);
  return point.slice(1, 1 + EC_CURVES[own.curve].widthBytes);
}
