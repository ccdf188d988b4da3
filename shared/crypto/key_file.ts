/**
 * Private key files, as OpenSSL writes them.
 *
 * In: PEM text, and a passphrase where the file is encrypted. Out: the key; and PEM of an EC key, not encrypted.
 * Read: `PRIVATE KEY` (PKCS#8), `ENCRYPTED PRIVATE KEY` (PKCS#8 under PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC),
 * `EC PRIVATE KEY` (SEC 1, with or without `EC PARAMETERS` before it) and `RSA PRIVATE KEY` (PKCS#1).
 * Knows nothing of where files are. Its messages never hold a byte of a key or a passphrase.
 * Format: RFC 5958, RFC 8018 §6.2 and §A.4
 */

import { cbc } from "@noble/ciphers/aes.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../assert.ts";
import { toHex, toUtf8 } from "../bytes.ts";
import { MAX_PBKDF2_ITERATIONS } from "../limits.ts";
import { DerReader, readDer, TAG } from "./der.ts";
import {
  EC_KEY_OID,
  type EcPrivateKey,
  parseEcPrivateKey,
  parseSec1PrivateKey,
  serialiseEcPrivateKey,
} from "./ecdsa.ts";
import { type AlgorithmIdentifier, parsePrivateKeyInfo, readAlgorithmIdentifier } from "./key_info.ts";
import { parsePem, serialisePem } from "./pem.ts";
import { parsePkcs1PrivateKey, parseRsaPrivateKey, RSA_KEY_OID, type RsaPrivateKey } from "./rsa.ts";

export type PrivateKey = EcPrivateKey | RsaPrivateKey;

const OID = {
  pbes2: "1.2.840.113549.1.5.13",
  pbkdf2: "1.2.840.113549.1.5.12",
  hmacSha256: "1.2.840.113549.2.9",
  aes256Cbc: "2.16.840.1.101.3.4.1.42",
} as const;

const AES_KEY_BYTES = 32;
const AES_BLOCK_BYTES = 16;

/** The passphrase does not open the file, or its first bytes are damaged: from outside both look alike. */
export class WrongPassphrase extends FormatError {}

/**
 * Reads the one private key of a file. Other blocks, certificates say, are passed over.
 *
 * @param passphrase used where the file is encrypted, else ignored
 * @throws FormatError where there is no key or more than one, its kind or encryption is not known, it is encrypted and no
 *   passphrase is given, or the passphrase is wrong
 */
export function parsePrivateKeyFile(text: string, passphrase?: string): PrivateKey {
  const [block, ...others] = parsePem(text).filter(({ label }) => label.endsWith("PRIVATE KEY"));
  if (block === undefined) throw new FormatError("Cannot read a private key file: there is no private key in it");
  if (others.length > 0) throw new FormatError("Cannot read a private key file: there are several private keys in it");
  switch (block.label) {
    case "PRIVATE KEY":
      return parsePrivateKey(block.der);
    case "ENCRYPTED PRIVATE KEY":
      return parsePrivateKey(decryptPrivateKeyInfo(block.der, passphrase));
    case "EC PRIVATE KEY":
      return parseSec1PrivateKey(block.der);
    case "RSA PRIVATE KEY":
      return parsePkcs1PrivateKey(block.der);
    default:
      throw new FormatError(`Cannot read a private key file: keys of the form ${block.label} are not known`);
  }
}

/** As `parsePrivateKeyFile`, for a key that must be an elliptic-curve one. @throws FormatError */
export function parseEcPrivateKeyFile(text: string, passphrase?: string): EcPrivateKey {
  const key = parsePrivateKeyFile(text, passphrase);
  if (key.kind !== "EC") {
    throw new FormatError("Cannot use a private key file: it holds an RSA key, expected an EC key");
  }
  return key;
}

/** As `parsePrivateKeyFile`, for a key that must be an RSA one. @throws FormatError */
export function parseRsaPrivateKeyFile(text: string, passphrase?: string): RsaPrivateKey {
  const key = parsePrivateKeyFile(text, passphrase);
  if (key.kind !== "RSA") {
    throw new FormatError("Cannot use a private key file: it holds an EC key, expected an RSA key");
  }
  return key;
}

/** A file with a `PRIVATE KEY` block, not encrypted. */
export function serialisePrivateKeyFile(key: EcPrivateKey): string {
  return serialisePem("PRIVATE KEY", serialiseEcPrivateKey(key));
}

/** Reads PKCS#8 that is not encrypted. @throws FormatError */
export function parsePrivateKey(pkcs8: Uint8Array): PrivateKey {
  const { oid } = parsePrivateKeyInfo(pkcs8).algorithm;
  switch (oid) {
    case EC_KEY_OID:
      return parseEcPrivateKey(pkcs8);
    case RSA_KEY_OID:
      return parseRsaPrivateKey(pkcs8);
    default:
      throw new FormatError(`Cannot read a private key: its algorithm ${oid} is neither EC nor RSA`);
  }
}

/**
 * Decrypts PKCS#8 under PBES2.
 *
 * @returns PKCS#8 that is not encrypted
 * @throws WrongPassphrase; FormatError where the file is damaged, or no passphrase is given
 */
export function decryptPrivateKeyInfo(der: Uint8Array, passphrase: string | undefined): Uint8Array {
  const reader = readDer(der, "an encrypted private key");
  const scheme = readAlgorithmIdentifier(reader, "the encryption");
  const ciphertext = reader.octetString("the ciphertext");
  reader.end();
  const { salt, iterations, iv } = readEncryption(scheme);
  if (passphrase === undefined) {
    throw new FormatError("Cannot read a private key: it is encrypted; give its passphrase");
  }

  // CBC has no tag. A wrong key shows in the padding or, once in 256 times, in what is not DER; a right one, in a damaged
  // file, in a beginning that is that of every key.
  if (ciphertext.length === 0 || ciphertext.length % AES_BLOCK_BYTES !== 0) {
    throw new FormatError(
      `Cannot decrypt a private key: the file is damaged, its ${ciphertext.length} bytes are no blocks`,
    );
  }
  const key = pbkdf2(sha256, toUtf8(passphrase), salt, { c: iterations, dkLen: AES_KEY_BYTES });
  try {
    const plaintext = cbc(key, iv).decrypt(ciphertext);
    readDer(plaintext, "a private key");
    return plaintext;
  } catch {
    if (
      !KEY_START.test(toHex(cbc(key, iv, { disablePadding: true }).decrypt(ciphertext.subarray(0, AES_BLOCK_BYTES))))
    ) {
      throw new WrongPassphrase("Cannot decrypt a private key: the passphrase is wrong, or the file is damaged");
    }
    throw new FormatError("Cannot decrypt a private key: the passphrase is right, and the file is damaged");
  }
}

/** How PKCS#8 begins, in hex: a sequence, its length in one to three bytes, the version, the algorithm's sequence. */
const KEY_START = /^30(?:[0-7].|81..|82....)02010[01]30/;

function readEncryption(scheme: AlgorithmIdentifier): { salt: Uint8Array; iterations: number; iv: Uint8Array } {
  if (scheme.oid !== OID.pbes2) throw unsupported("scheme", scheme.oid);
  const reader = readDer(scheme.parameters, "an encrypted private key");
  const derivation = readAlgorithmIdentifier(reader, "the key derivation");
  const cipher = readAlgorithmIdentifier(reader, "the cipher");
  reader.end();
  if (derivation.oid !== OID.pbkdf2) throw unsupported("key derivation", derivation.oid);
  if (cipher.oid !== OID.aes256Cbc) throw unsupported("cipher", cipher.oid);
  const ivReader = new DerReader(cipher.parameters, "an encrypted private key");
  const iv = ivReader.octetString("the IV");
  ivReader.end();
  if (iv.length !== AES_BLOCK_BYTES) throw ivReader.error(`its IV has ${iv.length} bytes and not ${AES_BLOCK_BYTES}`);
  return { ...readPbkdf2(derivation.parameters), iv };
}

function readPbkdf2(parameters: Uint8Array): { salt: Uint8Array; iterations: number } {
  const reader = readDer(parameters, "an encrypted private key");
  const salt = reader.octetString("the salt");
  const iterations = reader.smallInteger("the iteration count");
  if (iterations < 1 || iterations > MAX_PBKDF2_ITERATIONS) {
    throw reader.error(`its iteration count ${iterations} is not from 1 to ${MAX_PBKDF2_ITERATIONS}`);
  }
  if (reader.peek() === TAG.integer) {
    const length = reader.smallInteger("the key length");
    if (length !== AES_KEY_BYTES) throw reader.error(`its key length ${length} is not that of AES-256`);
  }
  // Where none is named, the standard means HMAC-SHA1.
  const prf = reader.done ? "HMAC-SHA1" : readAlgorithmIdentifier(reader, "the pseudo-random function").oid;
  reader.end();
  if (prf !== OID.hmacSha256) throw unsupported("pseudo-random function", prf);
  return { salt, iterations };
}

function unsupported(what: string, found: string): FormatError {
  return new FormatError(
    `Cannot decrypt a private key: its ${what} ${found} is not supported; rewrite it with "openssl pkcs8 -topk8 -v2 aes-256-cbc"`,
  );
}
