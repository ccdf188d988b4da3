/**
 * RSA: OAEP and PKCS#1 v1.5 and PSS signatures, with plain bigints.
 *
 * In: keys as DER, messages. Out: ciphertexts, plaintexts, verdicts.
 * Knows nothing of files or certificates, and makes neither keys nor signatures.
 * Format: RFC 8017
 *
 * **Not constant time.** Decryption here takes a time that depends on the private key, so it is for the browser, where
 * the key's owner sits, for the simulator and for the command line. The enclave and the command line's native
 * primitives decrypt with the runtime's own RSA instead (`Primitives.rsaOaepDecrypt`).
 */

import { pow } from "@noble/curves/abstract/modular.js";
import { bytesToNumberBE, numberToBytesBE } from "@noble/curves/utils.js";
import { FormatError } from "../assert.ts";
import { concat, equalBytes } from "../bytes.ts";
import { MAX_RSA_MODULUS_BITS } from "../limits.ts";
import { readDer, writeNull, writeOctetString, writeSequence, writeUnsigned } from "./der.ts";
import { hash, HASHES, type HashName } from "./hashes.ts";
import {
  type AlgorithmIdentifier,
  parsePrivateKeyInfo,
  parsePublicKeyInfo,
  serialisePrivateKeyInfo,
  serialisePublicKeyInfo,
  writeAlgorithmIdentifier,
} from "./key_info.ts";
import type { Random } from "./primitives.ts";

export interface RsaPublicKey {
  readonly kind: "RSA";
  readonly n: bigint;
  readonly e: bigint;
  /** Length of the modulus, and so of ciphertexts and signatures. */
  readonly widthBytes: number;
  readonly modulusBits: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
}

export interface RsaPrivateKey {
  readonly kind: "RSA";
  readonly publicKey: RsaPublicKey;
  readonly p: bigint;
  readonly q: bigint;
  /** d mod p - 1, d mod q - 1, and 1 / q mod p. */
  readonly dp: bigint;
  readonly dq: bigint;
  readonly qInverse: bigint;
  /** PrivateKeyInfo, DER, for whoever decrypts natively. */
  readonly pkcs8: Uint8Array;
}

export const RSA_KEY_OID = "1.2.840.113549.1.1.1";
const RSA_ALGORITHM: AlgorithmIdentifier = { oid: RSA_KEY_OID, parameters: writeNull() };

/** Shorter moduli are refused: they can be factored. */
const MIN_MODULUS_BITS = 1024;
/** Larger public exponents only make verifying slow. */
const MAX_EXPONENT_BITS = 64;

export const HASH_OIDS: Readonly<Record<HashName, string>> = {
  "SHA-256": "2.16.840.1.101.3.4.2.1",
  "SHA-384": "2.16.840.1.101.3.4.2.2",
  "SHA-512": "2.16.840.1.101.3.4.2.3",
};

/** @throws FormatError where modulus or exponent are out of range or even */
export function rsaPublicKey(n: bigint, e: bigint): RsaPublicKey {
  const modulusBits = bitLength(n);
  if (modulusBits < MIN_MODULUS_BITS || modulusBits > MAX_RSA_MODULUS_BITS || n % 2n === 0n) {
    throw new FormatError(
      `Cannot read an RSA key: its modulus has ${modulusBits} bits and must be an odd number of ${MIN_MODULUS_BITS} to ${MAX_RSA_MODULUS_BITS}`,
    );
  }
  if (e < 3n || e % 2n === 0n || bitLength(e) > MAX_EXPONENT_BITS) {
    throw new FormatError("Cannot read an RSA key: its public exponent must be an odd number from 3 to 2^64");
  }
  const key = writeSequence(writeUnsigned(n), writeUnsigned(e));
  const spki = serialisePublicKeyInfo({ algorithm: RSA_ALGORITHM, key });
  return { kind: "RSA", n, e, modulusBits, widthBytes: Math.ceil(modulusBits / 8), spki };
}

/** Reads a SubjectPublicKeyInfo. @throws FormatError */
export function parseRsaPublicKey(spki: Uint8Array): RsaPublicKey {
  const { algorithm, key } = parsePublicKeyInfo(spki);
  checkAlgorithm(algorithm);
  const reader = readDer(key, "an RSA public key");
  const n = bytesToNumberBE(reader.unsigned("the modulus"));
  const e = bytesToNumberBE(reader.unsigned("the public exponent"));
  reader.end();
  return rsaPublicKey(n, e);
}

/** Reads PKCS#8. @throws FormatError */
export function parseRsaPrivateKey(pkcs8: Uint8Array): RsaPrivateKey {
  const { algorithm, key } = parsePrivateKeyInfo(pkcs8);
  checkAlgorithm(algorithm);
  return parsePkcs1PrivateKey(key);
}

/**
 * Reads RFC 8017's RSAPrivateKey, the contents of `RSA PRIVATE KEY` files and of PKCS#8.
 *
 * @throws FormatError also where the numbers do not fit together
 */
export function parsePkcs1PrivateKey(der: Uint8Array): RsaPrivateKey {
  const reader = readDer(der, "an RSA private key");
  const version = reader.smallInteger("the version");
  if (version !== 0) throw reader.error(`version ${version} is not known`);
  const number = (field: string) => bytesToNumberBE(reader.unsigned(field));
  const publicKey = rsaPublicKey(number("the modulus"), number("the public exponent"));
  const [d, p, q] = [number("the private exponent"), number("the first prime"), number("the second prime")];
  const [dp, dq] = [number("the first exponent"), number("the second exponent")];
  const qInverse = number("the coefficient");
  reader.end();
  const fits = p > 1n && q > 1n && p * q === publicKey.n &&
    dp === d % (p - 1n) && dq === d % (q - 1n) &&
    publicKey.e * dp % (p - 1n) === 1n && publicKey.e * dq % (q - 1n) === 1n &&
    qInverse < p && qInverse * q % p === 1n;
  if (!fits) throw reader.error("its numbers do not fit together");
  const pkcs8 = serialisePrivateKeyInfo({ algorithm: RSA_ALGORITHM, key: der });
  return { kind: "RSA", publicKey, p, q, dp, dq, qInverse, pkcs8 };
}

/**
 * RSAES-OAEP with SHA-256 in both places (RFC 8017 §7.1.1).
 *
 * @param message at most `widthBytes` - 66 bytes, which the caller has seen to
 * @throws FormatError where the message does not fit the key
 */
export function rsaOaepEncrypt(
  key: RsaPublicKey,
  message: Uint8Array,
  random: Random,
  label: Uint8Array = new Uint8Array(),
): Uint8Array {
  const room = key.widthBytes - 2 * HASH_BYTES - 2;
  if (message.length > room) {
    throw new FormatError(`Cannot encrypt ${message.length} bytes to an RSA key: it has room for ${Math.max(room, 0)}`);
  }
  const block = concat(
    hash("SHA-256", label),
    new Uint8Array(room - message.length),
    Uint8Array.of(1),
    message,
  );
  const seed = random(HASH_BYTES);
  const maskedBlock = xor(block, mgf1("SHA-256", seed, block.length));
  const maskedSeed = xor(seed, mgf1("SHA-256", maskedBlock, HASH_BYTES));
  const encoded = bytesToNumberBE(concat(maskedSeed, maskedBlock));
  return numberToBytesBE(pow(encoded, key.e, key.n), key.widthBytes);
}

/**
 * RSAES-OAEP with SHA-256 in both places (RFC 8017 §7.1.2). Not constant time: see the top of this file.
 *
 * @returns undefined where the ciphertext is not one for this key and label; it never says why
 */
export function rsaOaepDecrypt(
  key: RsaPrivateKey,
  ciphertext: Uint8Array,
  label: Uint8Array = new Uint8Array(),
): Uint8Array | undefined {
  const { n, widthBytes } = key.publicKey;
  if (ciphertext.length !== widthBytes || widthBytes < 2 * HASH_BYTES + 2) return undefined;
  const c = bytesToNumberBE(ciphertext);
  if (c >= n) return undefined;
  const encoded = numberToBytesBE(privatePower(key, c), widthBytes);
  const maskedSeed = encoded.subarray(1, 1 + HASH_BYTES);
  const maskedBlock = encoded.subarray(1 + HASH_BYTES);
  const seed = xor(maskedSeed, mgf1("SHA-256", maskedBlock, HASH_BYTES));
  const block = xor(maskedBlock, mgf1("SHA-256", seed, maskedBlock.length));

  // Every fault ends in the same answer after the same steps (RFC 8017 §7.1.2, note on Manger's attack).
  let faults = encoded[0]!;
  const labelHash = hash("SHA-256", label);
  for (let i = 0; i < HASH_BYTES; i++) faults |= block[i]! ^ labelHash[i]!;
  let separator = 0;
  for (let i = block.length - 1; i >= HASH_BYTES; i--) {
    if (block[i] !== 0) separator = i;
  }
  if (separator === 0 || block[separator] !== 1) faults |= 1;
  return faults === 0 ? block.slice(separator + 1) : undefined;
}

/** RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2), by making the one encoding that is right and comparing. */
export function rsaVerifyPkcs1(
  key: RsaPublicKey,
  hashName: HashName,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const digestInfo = writeSequence(
    writeAlgorithmIdentifier({ oid: HASH_OIDS[hashName], parameters: writeNull() }),
    writeOctetString(hash(hashName, message)),
  );
  const padding = key.widthBytes - digestInfo.length - 3;
  if (padding < 8) return false;
  const expected = concat(Uint8Array.of(0, 1), new Uint8Array(padding).fill(0xff), Uint8Array.of(0), digestInfo);
  const encoded = publicPower(key, signature);
  return encoded !== undefined && equalBytes(numberToBytesBE(encoded, key.widthBytes), expected);
}

/**
 * RSASSA-PSS with MGF1 over the same hash (RFC 8017 §8.1.2 and §9.1.2).
 *
 * @param saltBytes length of the salt: that of the hash in COSE, in JOSE and in AMD's certificates
 */
export function rsaVerifyPss(
  key: RsaPublicKey,
  hashName: HashName,
  message: Uint8Array,
  signature: Uint8Array,
  saltBytes = HASHES[hashName].outputLen,
): boolean {
  const digest = hash(hashName, message);
  const encodedBits = key.modulusBits - 1;
  const encodedBytes = Math.ceil(encodedBits / 8);
  const blockBytes = encodedBytes - digest.length - 1;
  const number = publicPower(key, signature);
  if (number === undefined || blockBytes < saltBytes + 1 || bitLength(number) > 8 * encodedBytes) return false;
  const encoded = numberToBytesBE(number, encodedBytes);
  const maskedBlock = encoded.subarray(0, blockBytes);
  const expected = encoded.subarray(blockBytes, encodedBytes - 1);
  const highBits = 0xff >> (8 * encodedBytes - encodedBits);
  if (encoded[encodedBytes - 1] !== 0xbc || (maskedBlock[0]! & ~highBits) !== 0) return false;

  const block = xor(maskedBlock, mgf1(hashName, expected, blockBytes));
  block[0]! &= highBits;
  const saltAt = blockBytes - saltBytes;
  if (block[saltAt - 1] !== 1 || block.subarray(0, saltAt - 1).some((byte) => byte !== 0)) return false;
  return equalBytes(hash(hashName, concat(new Uint8Array(8), digest, block.subarray(saltAt))), expected);
}

/** Hash of OAEP. */
const HASH_BYTES = 32;

/** c^d mod n by way of the two primes (RFC 8017 §5.1.2). */
function privatePower({ p, q, dp, dq, qInverse }: RsaPrivateKey, c: bigint): bigint {
  const m1 = pow(c % p, dp, p);
  const m2 = pow(c % q, dq, q);
  const h = ((m1 - m2 % p + p) * qInverse) % p;
  return m2 + q * h;
}

/** signature^e mod n, or undefined where the signature is not a number below n of the right length. */
function publicPower(key: RsaPublicKey, signature: Uint8Array): bigint | undefined {
  if (signature.length !== key.widthBytes) return undefined;
  const s = bytesToNumberBE(signature);
  return s < key.n ? pow(s, key.e, key.n) : undefined;
}

/** RFC 8017 §B.2.1 */
function mgf1(hashName: HashName, seed: Uint8Array, length: number): Uint8Array {
  const counter = new Uint8Array(4);
  const view = new DataView(counter.buffer);
  const mask = new Uint8Array(length);
  for (let i = 0, at = 0; at < length; i++) {
    view.setUint32(0, i);
    const piece = hash(hashName, concat(seed, counter));
    mask.set(piece.subarray(0, length - at), at);
    at += piece.length;
  }
  return mask;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i]!);
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

function checkAlgorithm({ oid, parameters }: AlgorithmIdentifier): void {
  if (oid !== RSA_KEY_OID) throw new FormatError(`Cannot read an RSA key: its algorithm is ${oid}`);
  if (!equalBytes(parameters, RSA_ALGORITHM.parameters)) {
    throw new FormatError("Cannot read an RSA key: its algorithm has parameters");
  }
}
