/**
 * One key of a channel, with the count of what it protected: sealing in one direction, opening in the other.
 *
 * In: a header that is only authenticated, a plaintext that is hidden too. Out: the protection between them, and back.
 * Knows nothing of what is protected.
 * Format: nodes-and-attestation.md §1.3
 *
 *     header, as it is
 *      0  16  tag
 *     16   1  IV: always 0
 *     17   7  IV: how many messages the key has protected, this one included
 *     24      ciphertext
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { Reader, Writer } from "../../shared/bytes.ts";
import { type Gcm, GCM_TAG_BYTES } from "../../shared/crypto/aes_gcm.ts";

const IV_BYTES = 8;
export const PROTECTION_BYTES = GCM_TAG_BYTES + IV_BYTES;

/** Tag and IV, as they came. */
export interface Protection {
  readonly tag: Uint8Array;
  readonly iv: Uint8Array;
  readonly counter: number;
}

/** @throws FormatError where the bytes run out, or the IV is none that a node writes */
export function readProtection(reader: Reader): Protection {
  const tag = reader.bytes(GCM_TAG_BYTES);
  const iv = reader.bytes(IV_BYTES);
  if (iv[0] !== 0) throw new FormatError(`Cannot open a message: its IV begins with ${iv[0]}, which is always 0`);
  const counter = new Reader(Uint8Array.of(...iv.subarray(1), 0)).u64();
  return { tag, iv, counter };
}

function ivOf(counter: number): Uint8Array {
  const whole = new Writer(IV_BYTES).u64(counter).finish();
  assert(whole[7] === 0, "A counter fits the seven bytes that the IV has for it");
  return Uint8Array.of(0, ...whole.subarray(0, 7));
}

export class SendKey {
  readonly #key: Uint8Array;
  #next = 1;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The counter of the next message. */
  get next(): number {
    return this.#next;
  }

  /**
   * The whole message: header, tag, IV, ciphertext.
   *
   * @param authenticated what the tag covers, where that is more than the header
   */
  seal(primitives: Gcm, header: Uint8Array, plaintext: Uint8Array, authenticated = header): Uint8Array {
    const iv = ivOf(this.#next++);
    const { ciphertext, tag } = primitives.gcmSeal(this.#key, iv, authenticated, plaintext);
    const message = new Writer(header.length + PROTECTION_BYTES + ciphertext.length);
    return message.bytes(header).bytes(tag).bytes(iv).bytes(ciphertext).finish();
  }
}

export class ReceiveKey {
  readonly #key: Uint8Array;
  #last = 0;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The highest counter accepted. */
  get last(): number {
    return this.#last;
  }

  /** Whether a message with this counter may have been accepted already; one that came late counts as if it had. */
  isPast({ counter }: Protection): boolean {
    return counter <= this.#last;
  }

  /** @returns undefined where it was not sealed with this key, has changed since, or is not new; then nothing changes here */
  open(
    primitives: Gcm,
    authenticated: Uint8Array,
    protection: Protection,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined {
    if (this.isPast(protection)) return undefined;
    const plaintext = primitives.gcmOpen(this.#key, protection.iv, authenticated, ciphertext, protection.tag);
    if (plaintext !== undefined) this.#last = protection.counter;
    return plaintext;
  }
}
