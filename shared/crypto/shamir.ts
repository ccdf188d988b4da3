/**
 * Sharing the key that wraps the ledger secret among the members (Shamir's scheme).
 *
 * In: a threshold, a number of shares, entropy; or shares. Out: shares, the secret they share, the key it gives.
 * Knows nothing of members, of who holds which share, or of how a share is encrypted to its holder.
 * Format: ledger-and-receipts.md §4.3; CCF `src/crypto/sharing.cpp`
 *
 * The field has 2^31 - 1 elements, so one secret is ten of them, each shared by a polynomial of its own:
 *
 *     share 1   01000000 d451e409 98959713 1984c54e ef54eb34 007e4534 db63920e b890ac1a 8726d40f 6b876638 88111968
 *               x        y of limb 0, limb 1, …, limb 9, all u32
 *
 * Not constant time: the remainders below take a time that depends on the shares. It runs when shares are issued and
 * when a service recovers, so an observer sees few samples.
 */

import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { assert, FormatError } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import { MAX_SHARES } from "../limits.ts";
import { type Gcm, GCM_HEADER_BYTES, GCM_IV_BYTES, GCM_KEY_BYTES, openBox, sealBox } from "./aes_gcm.ts";
import type { Random } from "./primitives.ts";

/** The Mersenne prime 2^31 - 1. */
const PRIME = 0x7fff_ffff;
const LIMBS = 10;

export const SHARE_BYTES = 4 + 4 * LIMBS;
/** Shares of before 5.0, made by another scheme. */
const OLD_SHARE_BYTES = 113;

/** One point on each of the ten polynomials. At x = 0 it is the full secret, which an owner holds. */
export interface Share {
  readonly x: number;
  readonly limbs: readonly number[];
}

export interface Sharing {
  /** What the shares combine to; x is 0. */
  readonly secret: Share;
  /** x counts from 1. */
  readonly shares: readonly Share[];
}

/**
 * Draws a fresh secret and shares of it.
 *
 * @param threshold how many shares are needed, 1 to count
 */
export function shareFreshSecret(threshold: number, count: number, random: Random): Sharing {
  assert(
    threshold >= 1 && threshold <= count && count <= MAX_SHARES,
    "The threshold is from 1 to the number of shares",
  );
  // Lowest coefficient first: that one is the limb itself.
  const polynomials = Array.from(
    { length: LIMBS },
    () => Array.from({ length: threshold }, () => randomElement(random)),
  );
  const at = (x: number): Share => ({ x, limbs: polynomials.map((coefficients) => evaluate(coefficients, x)) });
  return { secret: at(0), shares: Array.from({ length: count }, (_, i) => at(i + 1)) };
}

/**
 * The secret behind a number of shares, by interpolation at 0. Nothing tells whether the shares belong together: only
 * the wrapped secret does, see `unwrapLedgerSecret`.
 *
 * @param shares at least as many as the threshold; more are ignored
 * @throws FormatError where two of them are for the same x, or one is a full secret
 */
export function combineShares(shares: readonly Share[], threshold: number): Share {
  assert(threshold >= 1 && shares.length >= threshold, "Shares are combined when there are enough");
  const used = shares.slice(0, threshold);
  const weights = used.map(({ x }, i) => {
    if (x === 0) throw new FormatError("Cannot combine shares: one of them is a full secret, which stands alone");
    let [numerator, denominator] = [1, 1];
    used.forEach((other, j) => {
      if (i === j) return;
      if (other.x === x) throw new FormatError(`Cannot combine shares: two of them have the number ${x}`);
      numerator = multiply(numerator, other.x);
      denominator = multiply(denominator, subtract(other.x, x));
    });
    return multiply(numerator, invert(denominator));
  });
  const limbs = Array.from(
    { length: LIMBS },
    (_, limb) => used.reduce((sum, share, i) => (sum + multiply(share.limbs[limb]!, weights[i]!)) % PRIME, 0),
  );
  return { x: 0, limbs };
}

/**
 * The key that wraps the ledger secret: HKDF-SHA256 over the ten limbs, without x.
 *
 * The limbs are both input key and info. CCF declares the label "CCF Wrapping Key v1" for the latter and does not use
 * it (`src/node/share_manager.h`); this is harmless, and no ledger opens otherwise.
 */
export function wrappingKey(secret: Share): Uint8Array {
  assert(secret.x === 0, "A wrapping key is made from the full secret");
  const limbs = serialiseShare(secret).subarray(4);
  return hkdf(sha256, limbs, new Uint8Array(), limbs, GCM_KEY_BYTES);
}

/** Every wrapping key is used once, so its IV is zero. */
const WRAPPING_IV = new Uint8Array(GCM_IV_BYTES);
const LEDGER_SECRET_BYTES = 32;

/** @returns 60 bytes: tag, zero IV, ciphertext */
export function wrapLedgerSecret(primitives: Gcm, secret: Share, ledgerSecret: Uint8Array): Uint8Array {
  assert(ledgerSecret.length === LEDGER_SECRET_BYTES, "A ledger secret is 32 bytes");
  return sealBox(primitives, wrappingKey(secret), WRAPPING_IV, ledgerSecret);
}

/**
 * @returns the ledger secret, or undefined where the shares behind this secret were not those issued for it
 * @throws FormatError where the wrapped secret does not have 60 bytes
 */
export function unwrapLedgerSecret(primitives: Gcm, secret: Share, wrapped: Uint8Array): Uint8Array | undefined {
  if (wrapped.length !== GCM_HEADER_BYTES + LEDGER_SECRET_BYTES) {
    throw new FormatError(`Cannot unwrap a ledger secret: it has ${wrapped.length} bytes, not 60`);
  }
  return openBox(primitives, wrappingKey(secret), wrapped);
}

/** @throws FormatError where the bytes are no share, or one of an older scheme */
export function parseShare(bytes: Uint8Array): Share {
  if (bytes.length === OLD_SHARE_BYTES) {
    throw new FormatError(
      `Cannot read a share of ${OLD_SHARE_BYTES} bytes: it was made before 5.0; use one that was issued later`,
    );
  }
  if (bytes.length !== SHARE_BYTES) {
    throw new FormatError(`Cannot read a share of ${bytes.length} bytes: it must have ${SHARE_BYTES}`);
  }
  const reader = new Reader(bytes);
  const element = () => {
    const value = reader.u32();
    if (value >= PRIME) throw new FormatError("Cannot read a share: a number in it is over 2^31 - 2");
    return value;
  };
  return { x: element(), limbs: Array.from({ length: LIMBS }, element) };
}

export function serialiseShare({ x, limbs }: Share): Uint8Array {
  assert(limbs.length === LIMBS, "A share has ten limbs");
  const writer = new Writer(SHARE_BYTES).u32(x);
  for (const limb of limbs) writer.u32(limb);
  return writer.finish();
}

/** Uniform: of the 31 bits drawn, the one value outside the field is drawn again. */
function randomElement(random: Random): number {
  for (;;) {
    const value = new Reader(random(4)).u32() & PRIME;
    if (value !== PRIME) return value;
  }
}

/** Horner's rule. */
function evaluate(coefficients: readonly number[], x: number): number {
  return coefficients.reduceRight((sum, coefficient) => (multiply(sum, x) + coefficient) % PRIME, 0);
}

function subtract(a: number, b: number): number {
  return (a - b + PRIME) % PRIME;
}

/** A product has up to 62 bits, and a number holds 53: the upper 15 and the lower 16 bits of `a` go separately. */
function multiply(a: number, b: number): number {
  const upper = ((a >>> 16) * b) % PRIME;
  return (upper * 0x1_0000 + (a & 0xffff) * b) % PRIME;
}

/** a^(p - 2), which is 1 / a. */
function invert(a: number): number {
  assert(a !== 0, "Zero has no inverse");
  let [result, square] = [1, a];
  for (let exponent = PRIME - 2; exponent > 0; exponent >>>= 1) {
    if (exponent & 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}
