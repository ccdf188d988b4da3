/**
 * The few cryptographic operations on the hot path, and RSA decryption, as one record that the caller may replace by a
 * faster one (for RSA also a safer one, see `rsa.ts`).
 *
 * `noblePrimitives` runs everywhere (browser, simulator); the enclave and the command line pass native ones
 * (`enclave/native_primitives.ts`). Every vector runs on both. Signing is not here: it is always noble, see `ecdsa.ts`.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { ctr, gcm } from "@noble/ciphers/aes.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { concat } from "../bytes.ts";
import { parseRsaPrivateKey, rsaOaepDecrypt } from "./rsa.ts";

/** Bytes from a source nobody can predict. The simulator passes a seeded one. */
export type Random = (length: number) => Uint8Array;

/** Names as in COSE and JOSE; CCF's configuration says Secp256R1 and Secp384R1. */
export type CurveName = "P-256" | "P-384" | "P-521";

export interface Primitives {
  /** @param into where the digest is written; without it, in a new array */
  sha256(message: Uint8Array, into?: Uint8Array): Uint8Array;
  /** SHA-256 of a message that comes part by part. */
  sha256Stream(): Sha256Stream;
  /** HMAC-SHA256 under a fixed key: the key's own two blocks are hashed once, here. `into` as for `sha256`. */
  hmacSha256(key: Uint8Array): (message: Uint8Array, into?: Uint8Array) => Uint8Array;
  /**
   * AES-256-GCM.
   *
   * @param into where ciphertext and tag are written, the ciphertext in the plaintext's own place if one likes; without it,
   * in new arrays
   */
  gcmSeal(
    key: Uint8Array,
    iv: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
    into?: Sealed,
  ): Sealed;
  /** AES-256-GCM; undefined where the tag does not match. */
  gcmOpen(
    key: Uint8Array,
    iv: Uint8Array,
    additionalData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Uint8Array | undefined;
  /** AES-256 in counter mode: of a message of up to 2^32 blocks, encrypted or decrypted. @param counter of the first block */
  aesCtr(key: Uint8Array, counter: Uint8Array, message: Uint8Array): Uint8Array;
  /**
   * ECDSA over a digest that is already made.
   *
   * @param publicKey uncompressed point, 0x04 ‖ x ‖ y
   * @param signature r ‖ s, each of the curve's width; high s is accepted, as CCF and hardware write it
   */
  ecdsaVerifyHashed(curve: CurveName, publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean;
  /**
   * RSAES-OAEP with SHA-256 for the label and for MGF1; undefined where the ciphertext is not one for this key and label.
   *
   * @param privateKey PKCS#8, DER, not encrypted
   * @param label empty where it is not given
   * @throws FormatError where the private key cannot be read
   */
  rsaOaepDecrypt(privateKey: Uint8Array, ciphertext: Uint8Array, label?: Uint8Array): Uint8Array | undefined;
}

/** Apart, since CCF stores the tag in front. */
export interface Sealed {
  readonly ciphertext: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

export interface Sha256Stream {
  update(part: Uint8Array): void;
  /** Ends it. */
  digest(): Uint8Array;
}

export const NOBLE_CURVES = { "P-256": p256, "P-384": p384, "P-521": p521 } as const;

export const noblePrimitives: Primitives = {
  sha256: (message, into) => written(sha256(message), into),

  sha256Stream() {
    const hash = sha256.create();
    return { update: (part) => void hash.update(part), digest: () => hash.digest() };
  },

  hmacSha256(key) {
    const keyed = hmac.create(sha256, key);
    return (message, into) => written(keyed.clone().update(message).digest(), into);
  },

  gcmSeal(key, iv, additionalData, plaintext, into) {
    const sealed = gcm(key, iv, additionalData).encrypt(plaintext);
    const parts = { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.subarray(plaintext.length) };
    if (into === undefined) return parts;
    into.ciphertext.set(parts.ciphertext);
    into.tag.set(parts.tag);
    return into;
  },

  gcmOpen(key, iv, additionalData, ciphertext, tag) {
    try {
      return gcm(key, iv, additionalData).decrypt(concat(ciphertext, tag));
    } catch {
      return undefined;
    }
  },

  aesCtr: (key, counter, message) => ctr(key, counter).encrypt(message),

  ecdsaVerifyHashed(curve, publicKey, digest, signature) {
    try {
      return NOBLE_CURVES[curve].verify(signature, digest, publicKey, { prehash: false, lowS: false });
    } catch {
      return false; // a point off the curve, or a signature of the wrong length
    }
  },

  rsaOaepDecrypt: (privateKey, ciphertext, label) => rsaOaepDecrypt(parseRsaPrivateKey(privateKey), ciphertext, label),
};

function written(digest: Uint8Array, into: Uint8Array | undefined): Uint8Array {
  if (into === undefined) return digest;
  into.set(digest);
  return into;
}
