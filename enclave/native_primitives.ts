/**
 * The primitives of the enclave and of the command line: the same results as noble's, sooner.
 *
 * Each choice was measured with Deno 2.9 (microseconds, medians of interleaved runs) against whatever else is at hand:
 *
 * - SHA-256 and HMAC of short messages: `sha256_wasm.ts`, 0.7 for 64 bytes (hash-wasm 0.9, noble 1.5, node:crypto 1.4)
 *   and 1.0 for an HMAC (hash-wasm 2.1, noble 2.7, node:crypto 5.1); of long ones node:crypto.
 * - AES-GCM of short messages: `aes_gcm_wasm.ts`, half of what node:crypto takes for 150 bytes of additional data and 120
 *   sealed (noble six times as much as that); of long ones node:crypto.
 * - AES-CTR: node:crypto, 64 KiB in 125 (noble 510).
 * - ECDSA: noble's curves with tables for known keys, 400 on P-384 (noble alone 1300). node:crypto verifies no ready
 *   digest.
 * - RSA: node:crypto, 1000 for 2048 bits.
 *
 * On the write path a small array costs as much as hashing a block, 0.2 and, while garbage is collected, up to 1. So
 * nothing is allocated here but the result, and not even that where the caller has a place for it. Results have buffers of their own: a view into something shared would take
 * its neighbours along when it is posted to another thread.
 */

import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  privateDecrypt,
} from "node:crypto";
import type { KeyObject } from "node:crypto";
import { assert, FormatError } from "../shared/assert.ts";
import { GCM_IV_BYTES, GCM_KEY_BYTES, GCM_TAG_BYTES } from "../shared/crypto/aes_gcm.ts";
import { createEcdsaVerifier } from "../shared/crypto/ecdsa_known_keys.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { createShortAesGcm, MAX_SHORT_GCM_BYTES } from "./aes_gcm_wasm.ts";
import { createShortSha256, MAX_SHORT_MESSAGE_BYTES } from "./sha256_wasm.ts";

const CIPHER = "aes-256-gcm";
/** What noble takes too. Ledger entries have 12 bytes, channels between nodes 8, which GCM hashes into a counter block. */
const MIN_IV_BYTES = 8;

/** Fresh primitives: they share nothing with others. They remember the last keys, public ones and those of AES-GCM. */
export function loadNativePrimitives(): Primitives {
  const short = createShortSha256();
  const shortGcm = createShortAesGcm();
  return {
    sha256(message, into) {
      if (message.length <= MAX_SHORT_MESSAGE_BYTES) return short.sha256(message, into);
      return written(createHash("sha256").update(message).digest(), into);
    },

    sha256Stream() {
      const hash = createHash("sha256");
      return { update: (part) => void hash.update(part), digest: () => plain(hash.digest()) };
    },

    hmacSha256(key) {
      const ownKey = key.slice();
      const shortHmac = short.hmacSha256(ownKey);
      return (message, into) => {
        if (message.length <= MAX_SHORT_MESSAGE_BYTES) return shortHmac(message, into);
        return written(createHmac("sha256", ownKey).update(message).digest(), into);
      };
    },

    gcmSeal(key, iv, additionalData, plaintext, into) {
      assertGcm(key, iv);
      const isShort = additionalData.length + plaintext.length <= MAX_SHORT_GCM_BYTES && iv.length <= GCM_IV_BYTES;
      return (isShort ? shortGcm.seal : gcmSeal)(key, iv, additionalData, plaintext, into);
    },

    gcmOpen(key, iv, additionalData, ciphertext, tag) {
      assertGcm(key, iv);
      assert(tag.length === GCM_TAG_BYTES, "A tag of AES-GCM is 16 bytes here");
      const isShort = additionalData.length + ciphertext.length <= MAX_SHORT_GCM_BYTES && iv.length <= GCM_IV_BYTES;
      return (isShort ? shortGcm.open : gcmOpen)(key, iv, additionalData, ciphertext, tag);
    },

    aesCtr,
    ecdsaVerifyHashed: createEcdsaVerifier(),
    rsaOaepDecrypt,
  };
}

function assertGcm(key: Uint8Array, iv: Uint8Array): void {
  assert(
    key.length === GCM_KEY_BYTES && iv.length >= MIN_IV_BYTES,
    "AES-256-GCM takes a 32-byte key and an IV of 8 bytes or more",
  );
}

const gcmSeal: Primitives["gcmSeal"] = (key, iv, additionalData, plaintext, into) => {
  const cipher = createCipheriv(CIPHER, key, iv);
  cipher.setAAD(additionalData);
  const ciphertext = plaintext.length === 0 ? new Uint8Array() : plain(cipher.update(plaintext));
  cipher.final();
  const tag = plain(cipher.getAuthTag());
  if (into === undefined) return { ciphertext, tag };
  into.ciphertext.set(ciphertext);
  into.tag.set(tag);
  return into;
};

const gcmOpen: Primitives["gcmOpen"] = (key, iv, additionalData, ciphertext, tag) => {
  const decipher = createDecipheriv(CIPHER, key, iv);
  decipher.setAAD(additionalData);
  decipher.setAuthTag(tag);
  const plaintext = ciphertext.length === 0 ? new Uint8Array() : plain(decipher.update(ciphertext));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
};

const aesCtr: Primitives["aesCtr"] = (key, counter, message) => {
  assert(key.length === GCM_KEY_BYTES && counter.length === 16, "AES-256-CTR takes a 32-byte key and 16-byte counter");
  return message.length === 0 ? new Uint8Array() : plain(createCipheriv("aes-256-ctr", key, counter).update(message));
};

const rsaOaepDecrypt: Primitives["rsaOaepDecrypt"] = (privateKey, ciphertext, label) => {
  const key = readRsaKey(privateKey);
  try {
    const options = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
    return plain(privateDecrypt(label === undefined ? options : { ...options, oaepLabel: label }, ciphertext));
  } catch {
    return undefined;
  }
};

function readRsaKey(pkcs8: Uint8Array): KeyObject {
  let key: KeyObject | undefined;
  try {
    // It takes any Uint8Array, although its type asks for a Buffer.
    key = createPrivateKey({ key: pkcs8 as Buffer, format: "der", type: "pkcs8" });
  } catch {
    // The runtime's reason may quote the key.
  }
  if (key?.asymmetricKeyType !== "rsa") throw new FormatError("Cannot read an RSA key: it must be PKCS#8 in DER");
  return key;
}

function written(digest: Uint8Array, into: Uint8Array | undefined): Uint8Array {
  if (into === undefined) return plain(digest);
  into.set(digest);
  return into;
}

/** A Buffer as what the interface promises: a Buffer's `slice` would share memory. */
function plain({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
