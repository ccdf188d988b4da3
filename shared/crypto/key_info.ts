/**
 * The two envelopes that say what kind of key is inside: SubjectPublicKeyInfo and PKCS#8 PrivateKeyInfo.
 *
 * In: DER. Out: the algorithm and the key's own encoding, and back.
 * Knows nothing of what a key of that algorithm looks like; that is for `ecdsa.ts` and `rsa.ts`.
 * Format: RFC 5280 §4.1.2.7, RFC 5958 §2
 */

import {
  contextTag,
  type DerReader,
  readDer,
  writeBitString,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "./der.ts";

/** An algorithm by its OBJECT IDENTIFIER, and what else its AlgorithmIdentifier holds, as DER (maybe nothing). */
export interface AlgorithmIdentifier {
  readonly oid: string;
  readonly parameters: Uint8Array;
}

export interface KeyInfo {
  readonly algorithm: AlgorithmIdentifier;
  /** A public key: the contents of the BIT STRING. A private key: those of the OCTET STRING. */
  readonly key: Uint8Array;
}

/** @throws FormatError */
export function readAlgorithmIdentifier(reader: DerReader, field: string): AlgorithmIdentifier {
  const inside = reader.sequence(field);
  const oid = inside.oid(`the name of ${field}`);
  const parameters = inside.done ? new Uint8Array() : inside.any(`the parameters of ${field}`);
  inside.end();
  return { oid, parameters };
}

export function writeAlgorithmIdentifier({ oid, parameters }: AlgorithmIdentifier): Uint8Array {
  return writeSequence(writeOid(oid), parameters);
}

/** @throws FormatError */
export function parsePublicKeyInfo(spki: Uint8Array): KeyInfo {
  const reader = readDer(spki, "a public key");
  const algorithm = readAlgorithmIdentifier(reader, "the algorithm");
  const key = reader.bitStringBytes("the key");
  reader.end();
  return { algorithm, key };
}

export function serialisePublicKeyInfo({ algorithm, key }: KeyInfo): Uint8Array {
  return writeSequence(writeAlgorithmIdentifier(algorithm), writeBitString(key));
}

/**
 * Attributes and the public key that RFC 5958 allows behind the private one are passed over.
 *
 * @throws FormatError
 */
export function parsePrivateKeyInfo(pkcs8: Uint8Array): KeyInfo {
  const reader = readDer(pkcs8, "a private key");
  const version = reader.smallInteger("the version");
  if (version > 1) throw reader.error(`version ${version} is not known`);
  const algorithm = readAlgorithmIdentifier(reader, "the algorithm");
  const key = reader.octetString("the key");
  reader.optional(contextTag(0, "constructed"), "the attributes");
  if (version === 1 && reader.peek() === contextTag(1, "primitive")) reader.any("the public key");
  reader.end();
  return { algorithm, key };
}

export function serialisePrivateKeyInfo({ algorithm, key }: KeyInfo): Uint8Array {
  return writeSequence(writeUnsigned(0), writeAlgorithmIdentifier(algorithm), writeOctetString(key));
}
