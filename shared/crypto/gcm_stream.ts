/**
 * AES-256-GCM of what is too long to be held at once: part by part.
 *
 * In: what is authenticated only, then what is sealed, in parts. Out: ciphertexts, then the tag; the same bytes as
 * `gcmSeal` of the whole.
 * Knows nothing of where the parts come from. Since CCF stores the tag in front, whoever writes the parts one after the
 * other makes them twice: for the tag, and with `sealPart` alone.
 * Format: NIST SP 800-38D, whose letters are used here: H, J0, GHASH
 */

import { GHASH } from "@noble/ciphers/_polyval.js";
import { assert } from "../assert.ts";
import { GCM_IV_BYTES, GCM_KEY_BYTES } from "./aes_gcm.ts";
import type { Primitives } from "./primitives.ts";

const BLOCK_BYTES = 16;
/** Blocks of one message, after which its counter would begin anew. */
const MAX_BLOCKS = 2 ** 32 - 2;
/** Makes GHASH build the larger of its tables, with which it is twice as fast. */
const LONG = 1_000_000;

type Ctr = Pick<Primitives, "aesCtr">;

export class GcmStream {
  readonly #primitives: Ctr;
  readonly #key: Uint8Array;
  readonly #iv: Uint8Array;
  readonly #ghash: GHASH;
  #authenticatedBytes = 0;
  #sealedBytes = 0;

  /** @param iv 12 bytes, never used before under this key */
  constructor(primitives: Ctr, key: Uint8Array, iv: Uint8Array) {
    assert(
      key.length === GCM_KEY_BYTES && iv.length === GCM_IV_BYTES,
      "AES-256-GCM takes a 32-byte key and 12-byte IV",
    );
    this.#primitives = primitives;
    this.#key = key;
    this.#iv = iv;
    this.#ghash = new GHASH(primitives.aesCtr(key, new Uint8Array(BLOCK_BYTES), new Uint8Array(BLOCK_BYTES)), LONG);
  }

  /** Takes more of what is authenticated only: before what is sealed; all parts but the last are whole blocks. */
  authenticate(part: Uint8Array): void {
    assert(this.#sealedBytes === 0, "What is authenticated only comes before what is sealed");
    assert(this.#authenticatedBytes % BLOCK_BYTES === 0, "Parts are whole blocks, but for the last");
    this.#ghash.update(part);
    this.#authenticatedBytes += part.length;
  }

  /** The ciphertext of more plaintext; all parts but the last are whole blocks. */
  seal(part: Uint8Array): Uint8Array {
    const ciphertext = sealPart(this.#primitives, this.#key, this.#iv, this.#sealedBytes, part);
    this.#ghash.update(ciphertext);
    this.#sealedBytes += part.length;
    return ciphertext;
  }

  /** Ends it. */
  tag(): Uint8Array {
    const lengths = new DataView(new ArrayBuffer(BLOCK_BYTES));
    lengths.setBigUint64(0, 8n * BigInt(this.#authenticatedBytes));
    lengths.setBigUint64(8, 8n * BigInt(this.#sealedBytes));
    this.#ghash.update(new Uint8Array(lengths.buffer));
    return this.#primitives.aesCtr(this.#key, counterBlock(this.#iv, 1), this.#ghash.digest());
  }
}

/**
 * The ciphertext of a part of a message, without its tag.
 *
 * @param offset of the part in the message: whole blocks
 */
export function sealPart(
  primitives: Ctr,
  key: Uint8Array,
  iv: Uint8Array,
  offset: number,
  part: Uint8Array,
): Uint8Array {
  assert(offset % BLOCK_BYTES === 0, "Parts are whole blocks, but for the last");
  assert((offset + part.length) / BLOCK_BYTES <= MAX_BLOCKS, "A message of AES-GCM has less than 64 GiB");
  // J0 has the counter 1, and the first block of the message the one after it.
  return primitives.aesCtr(key, counterBlock(iv, 2 + offset / BLOCK_BYTES), part);
}

function counterBlock(iv: Uint8Array, counter: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(iv);
  new DataView(block.buffer).setUint32(GCM_IV_BYTES, counter);
  return block;
}
