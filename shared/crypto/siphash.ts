/**
 * SipHash-2-4, by which CCF orders the keys of a map in a snapshot.
 *
 * In: a 16-byte key and a message. Out: 64 bits, as two numbers of 32.
 * Format: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), §2; the key in ledger-and-receipts.md §9.2
 *
 * JavaScript has no 64-bit integers that are fast, so each word v of the paper is two halves, vLow and vHigh.
 */

import { assert } from "../assert.ts";
import { toUtf8 } from "../bytes.ts";

/** The same in every service: it keeps nobody out, it only fixes an order. */
const MAP_KEY = toUtf8("Kilroy was here!");

/** What the keys of a map in a snapshot ascend by: the low 32 bits, unsigned. */
export function mapOrder(key: Uint8Array): number {
  return sipHash24(MAP_KEY, key).low;
}

export function sipHash24(key: Uint8Array, message: Uint8Array): { readonly low: number; readonly high: number } {
  assert(key.length === 16, "A SipHash key is 16 bytes");
  const [k0Low, k0High] = [word(key, 0), word(key, 4)];
  const [k1Low, k1High] = [word(key, 8), word(key, 12)];
  let [v0Low, v0High] = [k0Low ^ 0x70736575, k0High ^ 0x736f6d65];
  let [v1Low, v1High] = [k1Low ^ 0x6e646f6d, k1High ^ 0x646f7261];
  let [v2Low, v2High] = [k0Low ^ 0x6e657261, k0High ^ 0x6c796765];
  let [v3Low, v3High] = [k1Low ^ 0x79746573, k1High ^ 0x74656462];

  // The last word is what is left of the message, with the length of all of it in the top byte.
  const lastAt = message.length & ~7;
  for (let at = 0; at <= lastAt + 8; at += 8) {
    const isFinal = at > lastAt;
    const mLow = isFinal ? 0 : word(message, at);
    const mHigh = isFinal ? 0 : word(message, at + 4) ^ (at === lastAt ? message.length << 24 : 0);
    v3Low ^= mLow, v3High ^= mHigh;
    if (isFinal) v2Low ^= 0xff;
    for (let round = isFinal ? 4 : 2; round > 0; round--) {
      // v0 += v1; v1 <<<= 13; v1 ^= v0; v0 <<<= 32
      let low = (v0Low + v1Low) | 0;
      let high = (v0High + v1High + carry(low, v1Low)) | 0;
      let left = (v1High << 13 | v1Low >>> 19) ^ high;
      v1Low = (v1Low << 13 | v1High >>> 19) ^ low, v1High = left;
      v0Low = high, v0High = low;
      // v2 += v3; v3 <<<= 16; v3 ^= v2
      v2Low = (v2Low + v3Low) | 0;
      v2High = (v2High + v3High + carry(v2Low, v3Low)) | 0;
      left = (v3High << 16 | v3Low >>> 16) ^ v2High;
      v3Low = (v3Low << 16 | v3High >>> 16) ^ v2Low, v3High = left;
      // v0 += v3; v3 <<<= 21; v3 ^= v0
      v0Low = (v0Low + v3Low) | 0;
      v0High = (v0High + v3High + carry(v0Low, v3Low)) | 0;
      left = (v3High << 21 | v3Low >>> 11) ^ v0High;
      v3Low = (v3Low << 21 | v3High >>> 11) ^ v0Low, v3High = left;
      // v2 += v1; v1 <<<= 17; v1 ^= v2; v2 <<<= 32
      low = (v2Low + v1Low) | 0;
      high = (v2High + v1High + carry(low, v1Low)) | 0;
      left = (v1High << 17 | v1Low >>> 15) ^ high;
      v1Low = (v1Low << 17 | v1High >>> 15) ^ low, v1High = left;
      v2Low = high, v2High = low;
    }
    v0Low ^= mLow, v0High ^= mHigh;
  }
  return { low: (v0Low ^ v1Low ^ v2Low ^ v3Low) >>> 0, high: (v0High ^ v1High ^ v2High ^ v3High) >>> 0 };
}

/** Four bytes, little-endian; zeros behind the end. */
function word(bytes: Uint8Array, at: number): number {
  if (at + 4 <= bytes.length) {
    return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
  }
  let value = 0;
  for (let i = at; i < bytes.length; i++) value |= bytes[i]! << 8 * (i - at);
  return value;
}

/** Whether adding `addend` to something gave `sum` by passing 2^32. */
function carry(sum: number, addend: number): number {
  return (sum >>> 0) < (addend >>> 0) ? 1 : 0;
}
