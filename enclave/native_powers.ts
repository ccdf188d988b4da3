/**
 * The powers of a real node: the runtime's entropy and native arithmetic. The simulator has its own.
 *
 * One of the few files of this room that may name `node:crypto` and the runtime's random source.
 */

import { generateKeyPairSync } from "node:crypto";
import type { Random } from "../shared/crypto/primitives.ts";
import { loadScriptEngine } from "./js/runtime.ts";
import { loadNativePrimitives } from "./native_primitives.ts";
import type { EnclavePowers } from "./powers.ts";

/** The runtime gives at most this much entropy at once (Web Cryptography API §10.1.1). */
const MAX_ENTROPY_BYTES = 65536;

const systemRandom: Random = (length) => {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += MAX_ENTROPY_BYTES) {
    crypto.getRandomValues(bytes.subarray(at, at + MAX_ENTROPY_BYTES));
  }
  return bytes;
};

export async function loadNativePowers(): Promise<EnclavePowers> {
  const [primitives, scripts] = await Promise.all([loadNativePrimitives(), loadScriptEngine(() => performance.now())]);
  return { primitives, random: systemRandom, rsaKeyPair, scripts };
}

function rsaKeyPair(): ReturnType<EnclavePowers["rsaKeyPair"]> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicExponent: 0x10001,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  return { publicKeyPem: publicKey, privateKeyPkcs8: new Uint8Array(privateKey) };
}
