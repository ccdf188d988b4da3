/**
 * Private keys that the browser holds and never hands out: signing and opening with WebCrypto.
 *
 * In: PKCS#8 to take in, or nothing to make a new pair; messages. Out: CryptoKeys that cannot be exported; signatures r ‖ s;
 * plaintexts. Format of the signatures: Web Cryptography API §23.7 (ECDSA): r ‖ s, as COSE has it.
 */

import { EC_CURVES } from "../../shared/crypto/ecdsa.ts";

/** The curves that every browser's WebCrypto knows. */
export type BrowserCurve = "P-256" | "P-384";

const OAEP = { name: "RSA-OAEP", hash: "SHA-256" } as const;
/** What CCF's own key generator makes (operations.md); the recovery share is 44 bytes. */
const RSA_BITS = 2048;

/** A pair of which only the public half can leave the browser, as SubjectPublicKeyInfo. */
export async function makeSigningPair(curve: BrowserCurve): Promise<{ key: CryptoKey; spki: Uint8Array }> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    { name: "ECDSA", namedCurve: curve },
    false,
    ["sign", "verify"],
  ) as CryptoKeyPair;
  return { key: privateKey, spki: await spkiOf(publicKey) };
}

/** The same, for recovery shares. */
export async function makeEncryptionPair(): Promise<{ key: CryptoKey; spki: Uint8Array }> {
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    { ...OAEP, modulusLength: RSA_BITS, publicExponent: Uint8Array.of(1, 0, 1) },
    false,
    ["encrypt", "decrypt"],
  ) as CryptoKeyPair;
  return { key: privateKey, spki: await spkiOf(publicKey) };
}

export function takeSigningKey(pkcs8: Uint8Array, curve: BrowserCurve): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", own(pkcs8), { name: "ECDSA", namedCurve: curve }, false, ["sign"]);
}

export function takeEncryptionKey(pkcs8: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", own(pkcs8), OAEP, false, ["decrypt"]);
}

/** @returns r ‖ s, over the hash of the curve */
export async function signWith(key: CryptoKey, curve: BrowserCurve, message: Uint8Array): Promise<Uint8Array> {
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: EC_CURVES[curve].hash }, key, own(message));
  return new Uint8Array(signature);
}

/** RSAES-OAEP with SHA-256. @returns undefined where the ciphertext is not one for this key */
export async function openWith(key: CryptoKey, ciphertext: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: OAEP.name }, key, own(ciphertext)));
  } catch (error) {
    if (error instanceof DOMException && error.name === "OperationError") return undefined;
    throw error;
  }
}

async function spkiOf(key: CryptoKey): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.exportKey("spki", key));
}

/** WebCrypto wants bytes in memory that no other thread has. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}
