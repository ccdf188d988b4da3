import { strict as assert } from "node:assert";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { gcm } from "@noble/ciphers/aes.js";
import fc from "fast-check";
import { toHex } from "../shared/bytes.ts";
import { createShortAesGcm, MAX_GCM_KEYS, MAX_SHORT_GCM_BYTES } from "./aes_gcm_wasm.ts";

const NO_BYTES = new Uint8Array();

/** As `node:crypto` seals. */
function sealed(key: Uint8Array, iv: Uint8Array, additionalData: Uint8Array, plaintext: Uint8Array) {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(additionalData);
  const ciphertext = new Uint8Array(cipher.update(plaintext));
  cipher.final();
  return { ciphertext, tag: new Uint8Array(cipher.getAuthTag()) };
}

function bytes(length: number, first: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (first + 7 * i + (i >> 8)) & 0xff);
}

Deno.test("every byte goes through the S-box as FIPS 197 defines it, in every block of a pass", () => {
  const aes = createShortAesGcm();
  const iv = bytes(12, 1);
  for (let value = 0; value < 256; value++) {
    // 256 keys, each byte of them another one: key schedule and rounds meet every value in every place.
    const key = Uint8Array.from({ length: 32 }, (_, i) => (value + 37 * i) & 0xff);
    const text = new Uint8Array(16 * 17);
    assert.equal(
      toHex(aes.seal(key, iv, NO_BYTES, text).ciphertext),
      toHex(sealed(key, iv, NO_BYTES, text).ciphertext),
    );
  }
});

Deno.test("short messages are sealed at every length as by other implementations, and opened again", () => {
  const aes = createShortAesGcm();
  const key = bytes(32, 5);
  for (let length = 0; length <= MAX_SHORT_GCM_BYTES; length++) {
    const [additionalData, text] = [bytes(MAX_SHORT_GCM_BYTES - length, length), bytes(length, 3)];
    const iv = bytes(12, length);
    const result = aes.seal(key, iv, additionalData, text);
    assert.deepEqual(result, sealed(key, iv, additionalData, text), `${length} bytes`);
    if (length % 50 === 0) {
      const whole = gcm(key, iv, additionalData).encrypt(text);
      assert.equal(toHex(whole), toHex(result.ciphertext) + toHex(result.tag));
    }
    assert.deepEqual(aes.open(key, iv, additionalData, result.ciphertext, result.tag), text);
  }
});

Deno.test("keys, IVs and messages of any kind, used in turns, do not disturb each other", () => {
  const aes = createShortAesGcm();
  const part = (max: number) => fc.uint8Array({ maxLength: max });
  const keyBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const iv = fc.uint8Array({ minLength: 8, maxLength: 12 });
  fc.assert(fc.property(keyBytes, iv, part(300), part(400), (key, iv, additionalData, text) => {
    const result = aes.seal(key, iv, additionalData, text);
    assert.deepEqual(result, sealed(key, iv, additionalData, text));
    assert.deepEqual(aes.open(key, iv, additionalData, result.ciphertext, result.tag), text);
    const wrongTag = result.tag.map((byte, i) => i === 15 ? byte ^ 1 : byte);
    assert.equal(aes.open(key, iv, additionalData, result.ciphertext, wrongTag), undefined);
  }));
});

Deno.test("a counter that begins close to the end of its 32 bits starts again from zero", () => {
  const key = bytes(32, 2);
  const iv = ivWithCounter(key, 0xffff_fffd);
  const text = bytes(400, 0);
  assert.deepEqual(createShortAesGcm().seal(key, iv, NO_BYTES, text), sealed(key, iv, NO_BYTES, text));
});

/** An IV of 8 bytes whose first counter block ends in this number: that block is a linear function of the IV, plus one. */
function ivWithCounter(key: Uint8Array, counter: number): Uint8Array {
  const counterOf = (iv: bigint): number => {
    const { tag } = sealed(key, bigEndian(iv), NO_BYTES, NO_BYTES); // of nothing at all: the encrypted counter block
    const decipher = createDecipheriv("aes-256-ecb", key, null).setAutoPadding(false);
    return new DataView(new Uint8Array(decipher.update(tag)).buffer).getUint32(12);
  };
  const zero = counterOf(0n);
  // Gauss: single bits of the IV, joined until each has a highest bit of the counter for itself.
  const pivots = new Map<number, { difference: number; iv: bigint }>();
  const reduced = (difference: number, iv: bigint) => {
    for (let bit = 31; bit >= 0; bit--) {
      const pivot = pivots.get(bit);
      if ((difference >>> bit & 1) === 0 || pivot === undefined) continue;
      difference = (difference ^ pivot.difference) >>> 0;
      iv ^= pivot.iv;
    }
    return { difference, iv };
  };
  for (let i = 0n; i < 64n; i++) {
    const each = reduced((counterOf(1n << i) ^ zero) >>> 0, 1n << i);
    if (each.difference !== 0) pivots.set(31 - Math.clz32(each.difference), each);
  }
  const { difference, iv } = reduced((counter ^ zero) >>> 0, 0n);
  assert.equal(difference, 0, "64 bits reach every counter");
  assert.equal(counterOf(iv), counter);
  return bigEndian(iv);
}

function bigEndian(value: bigint): Uint8Array {
  const result = new Uint8Array(8);
  new DataView(result.buffer).setBigUint64(0, value);
  return result;
}

Deno.test("more keys than are kept ready seal and open all the same, also one that its owner has overwritten", () => {
  const aes = createShortAesGcm();
  const iv = bytes(12, 9);
  const keys = Array.from({ length: 2 * MAX_GCM_KEYS + 3 }, (_, i) => bytes(32, i));
  for (let turn = 0; turn < 2; turn++) {
    for (const key of keys) assert.deepEqual(aes.seal(key, iv, iv, key), sealed(key, iv, iv, key));
  }
  const key = bytes(32, 1);
  aes.seal(key, iv, iv, key);
  key.fill(0xee);
  assert.deepEqual(aes.seal(key, iv, iv, iv), sealed(key, iv, iv, iv));
});
