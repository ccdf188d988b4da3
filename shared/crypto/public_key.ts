/**
 * Public keys of either kind, and the signature algorithms that certificates name.
 *
 * In: SubjectPublicKeyInfo, AlgorithmIdentifier, a message and its signature. Out: a key, an algorithm, a verdict.
 * Knows nothing of certificates.
 * Format: RFC 5280 §4.1.1.2, RFC 5758 §3.2, RFC 4055 §3
 */

import { FormatError } from "../assert.ts";
import { equalBytes } from "../bytes.ts";
import { contextTag, DerReader, readDer, writeNull } from "./der.ts";
import {
  EC_KEY_OID,
  type EcdsaVerifier,
  ecdsaVerify,
  type EcPublicKey,
  parseDerSignature,
  parseEcPublicKey,
} from "./ecdsa.ts";
import type { HashName } from "./hashes.ts";
import { parsePublicKeyInfo, readAlgorithmIdentifier, writeAlgorithmIdentifier } from "./key_info.ts";
import { parsePemBlock, serialisePem } from "./pem.ts";
import { HASH_OIDS, parseRsaPublicKey, RSA_KEY_OID, type RsaPublicKey, rsaVerifyPkcs1, rsaVerifyPss } from "./rsa.ts";

export type PublicKey = EcPublicKey | RsaPublicKey;

export type SignatureAlgorithm =
  | { readonly kind: "ECDSA" | "RSASSA-PKCS1-v1_5"; readonly hash: HashName }
  | { readonly kind: "RSASSA-PSS"; readonly hash: HashName; readonly saltBytes: number };

const ECDSA_OIDS: Readonly<Record<HashName, string>> = {
  "SHA-256": "1.2.840.10045.4.3.2",
  "SHA-384": "1.2.840.10045.4.3.3",
  "SHA-512": "1.2.840.10045.4.3.4",
};
const PKCS1_OIDS: Readonly<Record<HashName, string>> = {
  "SHA-256": "1.2.840.113549.1.1.11",
  "SHA-384": "1.2.840.113549.1.1.12",
  "SHA-512": "1.2.840.113549.1.1.13",
};
const PSS_OID = "1.2.840.113549.1.1.10";
const MGF1_OID = "1.2.840.113549.1.1.8";

/** Reads a SubjectPublicKeyInfo. @throws FormatError where it is malformed or neither EC nor RSA */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  const { oid } = parsePublicKeyInfo(spki).algorithm;
  switch (oid) {
    case EC_KEY_OID:
      return parseEcPublicKey(spki);
    case RSA_KEY_OID:
      return parseRsaPublicKey(spki);
    default:
      throw new FormatError(`Cannot read a public key: its algorithm ${oid} is neither EC nor RSA`);
  }
}

/** Reads a file with one `PUBLIC KEY` block. @throws FormatError */
export function parsePublicKeyPem(text: string): PublicKey {
  return parsePublicKey(parsePemBlock(text, "PUBLIC KEY"));
}

export function serialisePublicKeyPem(key: PublicKey): string {
  return serialisePem("PUBLIC KEY", key.spki);
}

/**
 * Whether this key signed this message with this algorithm.
 *
 * @param signature as a certificate carries it: DER for ECDSA, as wide as the modulus for RSA
 * @returns false also where the signature is malformed, or the algorithm is not one of this kind of key
 */
export function verifySignature(
  primitives: EcdsaVerifier,
  key: PublicKey,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (key.kind === "EC") {
    const fixed = algorithm.kind === "ECDSA" ? fixedWidth(key, signature) : undefined;
    return fixed !== undefined && ecdsaVerify(primitives, key, message, fixed, algorithm.hash);
  }
  switch (algorithm.kind) {
    case "ECDSA":
      return false;
    case "RSASSA-PKCS1-v1_5":
      return rsaVerifyPkcs1(key, algorithm.hash, message, signature);
    case "RSASSA-PSS":
      return rsaVerifyPss(key, algorithm.hash, message, signature, algorithm.saltBytes);
  }
}

function fixedWidth(key: EcPublicKey, signature: Uint8Array): Uint8Array | undefined {
  try {
    return parseDerSignature(key.curve, signature);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Reads an AlgorithmIdentifier. @throws FormatError where it is malformed or none of the three kinds */
export function parseSignatureAlgorithm(der: Uint8Array): SignatureAlgorithm {
  const outer = new DerReader(der, "a signature algorithm");
  const { oid, parameters } = readAlgorithmIdentifier(outer, "the algorithm");
  outer.end();
  if (oid === PSS_OID) return parsePss(parameters);
  const ecdsaHash = hashNamed(ECDSA_OIDS, oid);
  if (ecdsaHash !== undefined && parameters.length === 0) return { kind: "ECDSA", hash: ecdsaHash };
  const pkcs1Hash = hashNamed(PKCS1_OIDS, oid);
  if (pkcs1Hash !== undefined && equalBytes(parameters, writeNull())) {
    return { kind: "RSASSA-PKCS1-v1_5", hash: pkcs1Hash };
  }
  throw new FormatError(`Cannot read a signature algorithm: ${oid} with its parameters is not known`);
}

/** AlgorithmIdentifier of ECDSA with this hash. */
export function ecdsaAlgorithm(hash: HashName): Uint8Array {
  return writeAlgorithmIdentifier({ oid: ECDSA_OIDS[hash], parameters: new Uint8Array() });
}

/**
 * RSASSA-PSS-params of RFC 4055 §3.1, with one hash for both places.
 *
 * AMD's roots write the trailer field although 1 is its default, which DER forbids; it is accepted.
 */
function parsePss(parameters: Uint8Array): SignatureAlgorithm {
  const reader = readDer(parameters, "a signature algorithm");
  const hashPart = reader.optional(contextTag(0, "constructed"), "the hash");
  const maskPart = reader.optional(contextTag(1, "constructed"), "the mask generation function");
  const saltPart = reader.optional(contextTag(2, "constructed"), "the salt length");
  const trailerPart = reader.optional(contextTag(3, "constructed"), "the trailer field");
  reader.end();
  // Where they are absent, the standard means SHA-1 and 20 bytes of salt, which nobody should.
  if (hashPart === undefined || maskPart === undefined || saltPart === undefined) {
    throw reader.error("RSASSA-PSS with SHA-1 is not supported");
  }
  const hash = readHash(hashPart);
  const mask = readAlgorithmIdentifier(maskPart, "the mask generation function");
  maskPart.end();
  const maskHash = readHash(new DerReader(mask.parameters, "a signature algorithm"));
  const saltBytes = saltPart.smallInteger("the salt length");
  saltPart.end();
  const trailer = trailerPart?.smallInteger("the trailer field") ?? 1;
  trailerPart?.end();
  if (mask.oid !== MGF1_OID || maskHash !== hash || trailer !== 1) {
    throw reader.error("RSASSA-PSS with two hashes or another trailer is not supported");
  }
  return { kind: "RSASSA-PSS", hash, saltBytes };
}

/** The only thing in the reader: the AlgorithmIdentifier of a hash, with NULL or without. */
function readHash(reader: DerReader): HashName {
  const { oid, parameters } = readAlgorithmIdentifier(reader, "the hash");
  reader.end();
  const name = hashNamed(HASH_OIDS, oid);
  if (name === undefined || (parameters.length !== 0 && !equalBytes(parameters, writeNull()))) {
    throw reader.error(`the hash ${oid} is not supported`);
  }
  return name;
}

function hashNamed(oids: Readonly<Record<HashName, string>>, oid: string): HashName | undefined {
  for (const [name, candidate] of Object.entries(oids)) if (candidate === oid) return name as HashName;
  return undefined;
}
