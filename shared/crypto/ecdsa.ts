/**
 * Elliptic-curve keys and ECDSA signatures on P-256, P-384 and P-521.
 *
 * In: keys as DER or scalars, messages or ready digests. Out: keys, signatures r ‖ s, DER of both, verdicts.
 * Knows nothing of files, certificates or COSE.
 * Format: SEC 1 §2.3, RFC 5480, RFC 5915; nonces of RFC 6979
 *
 * Signing is always noble, with nonces derived from key and digest: two runs give the same bytes. High s is written and
 * accepted, as by OpenSSL.
 */

import { assert, FormatError } from "../assert.ts";
import { concat, equalBytes } from "../bytes.ts";
import {
  contextTag,
  DerReader,
  readDer,
  writeBitString,
  writeDer,
  writeOctetString,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "./der.ts";
import { hash, type HashName } from "./hashes.ts";
import {
  type AlgorithmIdentifier,
  parsePrivateKeyInfo,
  parsePublicKeyInfo,
  serialisePrivateKeyInfo,
  serialisePublicKeyInfo,
} from "./key_info.ts";
import { type CurveName, NOBLE_CURVES, type Primitives, type Random } from "./primitives.ts";

export interface EcPublicKey {
  readonly kind: "EC";
  readonly curve: CurveName;
  /** Uncompressed: 0x04 ‖ x ‖ y. */
  readonly point: Uint8Array;
  /** SubjectPublicKeyInfo, DER: 91 bytes on P-256, 120 on P-384, 158 on P-521. */
  readonly spki: Uint8Array;
}

export interface EcPrivateKey {
  readonly kind: "EC";
  readonly curve: CurveName;
  /** Big-endian, of the curve's width. */
  readonly scalar: Uint8Array;
  readonly publicKey: EcPublicKey;
}

/** What a curve is called in keys, how wide its numbers are, and which hash goes with it (ledger-and-receipts.md §11). */
export const EC_CURVES: Readonly<Record<CurveName, { oid: string; widthBytes: number; hash: HashName }>> = {
  "P-256": { oid: "1.2.840.10045.3.1.7", widthBytes: 32, hash: "SHA-256" },
  "P-384": { oid: "1.3.132.0.34", widthBytes: 48, hash: "SHA-384" },
  "P-521": { oid: "1.3.132.0.35", widthBytes: 66, hash: "SHA-512" },
};

export const EC_KEY_OID = "1.2.840.10045.2.1";

/** What verifying needs of the primitives. */
export type EcdsaVerifier = Pick<Primitives, "ecdsaVerifyHashed">;

export function generateEcPrivateKey(curve: CurveName, random: Random): EcPrivateKey {
  const { utils, lengths } = NOBLE_CURVES[curve];
  assert(lengths.seed !== undefined, "A NIST curve says how many random bytes make a scalar");
  return ecPrivateKey(curve, utils.randomSecretKey(random(lengths.seed)));
}

/** @throws FormatError where the scalar is not of the curve's width, zero, or not below the curve's order */
export function ecPrivateKey(curve: CurveName, scalar: Uint8Array): EcPrivateKey {
  const { getPublicKey, utils } = NOBLE_CURVES[curve];
  if (!utils.isValidSecretKey(scalar)) {
    throw new FormatError(`Cannot read a private key: ${scalar.length} bytes are no scalar of ${curve}`);
  }
  return { kind: "EC", curve, scalar, publicKey: describePoint(curve, getPublicKey(scalar, false)) };
}

/** @throws FormatError where the point is not uncompressed or not on the curve */
export function ecPublicKey(curve: CurveName, point: Uint8Array): EcPublicKey {
  const { widthBytes } = EC_CURVES[curve];
  if (point.length !== 1 + 2 * widthBytes || point[0] !== 0x04) {
    throw new FormatError(`Cannot read a public key: its point is not an uncompressed one of ${curve}`);
  }
  try {
    NOBLE_CURVES[curve].Point.fromBytes(point);
  } catch {
    throw new FormatError(`Cannot read a public key: its point is not on ${curve}`);
  }
  return describePoint(curve, point);
}

function describePoint(curve: CurveName, point: Uint8Array): EcPublicKey {
  return { kind: "EC", curve, point, spki: serialisePublicKeyInfo({ algorithm: algorithmOf(curve), key: point }) };
}

/**
 * Signs a message.
 *
 * @param hashName the curve's own hash unless said otherwise; a node's certificate request uses SHA-512 on any curve
 * @returns r ‖ s
 */
export function ecdsaSign(key: EcPrivateKey, message: Uint8Array, hashName = EC_CURVES[key.curve].hash): Uint8Array {
  return ecdsaSignDigest(key, hash(hashName, message));
}

/**
 * Signs a digest that is already made, of any length: only as many leading bits count as the curve has, and a short one
 * is taken as it is. So the 32-byte root of the ledger is signed even on P-384 (ledger-and-receipts.md §6.1).
 *
 * @returns r ‖ s
 */
export function ecdsaSignDigest(key: EcPrivateKey, digest: Uint8Array): Uint8Array {
  return NOBLE_CURVES[key.curve].sign(digest, key.scalar, { prehash: false, lowS: false });
}

/** @param signature r ‖ s; of the wrong length it is false */
export function ecdsaVerify(
  primitives: EcdsaVerifier,
  key: EcPublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  hashName = EC_CURVES[key.curve].hash,
): boolean {
  return ecdsaVerifyDigest(primitives, key, hash(hashName, message), signature);
}

/** @param signature r ‖ s; of the wrong length it is false */
export function ecdsaVerifyDigest(
  primitives: EcdsaVerifier,
  key: EcPublicKey,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 2 * EC_CURVES[key.curve].widthBytes) return false;
  return primitives.ecdsaVerifyHashed(key.curve, key.point, digest, signature);
}

/** Reads a SubjectPublicKeyInfo with a named curve and an uncompressed point. @throws FormatError */
export function parseEcPublicKey(spki: Uint8Array): EcPublicKey {
  const { algorithm, key } = parsePublicKeyInfo(spki);
  return ecPublicKey(curveOf(algorithm), key);
}

/** Reads PKCS#8. @throws FormatError */
export function parseEcPrivateKey(pkcs8: Uint8Array): EcPrivateKey {
  const { algorithm, key } = parsePrivateKeyInfo(pkcs8);
  return parseSec1PrivateKey(key, curveOf(algorithm));
}

/** Writes PKCS#8 with the public key inside, as OpenSSL does. */
export function serialiseEcPrivateKey(privateKey: EcPrivateKey): Uint8Array {
  const key = writeSequence(
    writeUnsigned(1),
    writeOctetString(privateKey.scalar),
    writeDer(contextTag(1, "constructed"), writeBitString(privateKey.publicKey.point)),
  );
  return serialisePrivateKeyInfo({ algorithm: algorithmOf(privateKey.curve), key });
}

/**
 * Reads RFC 5915's ECPrivateKey, the contents of `EC PRIVATE KEY` files and of PKCS#8.
 *
 * @param outerCurve the curve named outside, if there is an outside
 * @throws FormatError also where it contradicts itself: two curves, or a public key that is not the private key's
 */
export function parseSec1PrivateKey(der: Uint8Array, outerCurve?: CurveName): EcPrivateKey {
  const reader = readDer(der, "a private key");
  const version = reader.smallInteger("the version");
  if (version !== 1) throw reader.error(`version ${version} is not known`);
  const scalar = reader.octetString("the scalar");
  const parameters = reader.optional(contextTag(0, "constructed"), "the curve");
  const curve = parameters === undefined ? outerCurve : curveNamed(parameters.oid("the curve"));
  parameters?.end();
  const publicPart = reader.optional(contextTag(1, "constructed"), "the public key");
  const point = publicPart?.bitStringBytes("the public key");
  publicPart?.end();
  reader.end();
  if (curve === undefined) throw reader.error("it names no curve");
  if (outerCurve !== undefined && curve !== outerCurve) throw reader.error(`it names both ${outerCurve} and ${curve}`);
  const key = ecPrivateKey(curve, scalar);
  if (point !== undefined && !equalBytes(point, key.publicKey.point)) {
    throw reader.error("its public key belongs to another private key");
  }
  return key;
}

/** DER of a signature r ‖ s, as X.509 and CCF's classic signatures carry it. */
export function serialiseDerSignature(signature: Uint8Array): Uint8Array {
  const width = signature.length / 2;
  return writeSequence(writeUnsigned(signature.subarray(0, width)), writeUnsigned(signature.subarray(width)));
}

/** r ‖ s of a DER signature. @throws FormatError where it is not strict DER, or a number is too wide for the curve */
export function parseDerSignature(curve: CurveName, der: Uint8Array): Uint8Array {
  const reader = readDer(der, "an ECDSA signature");
  const { widthBytes } = EC_CURVES[curve];
  const padded = (field: string) => {
    const magnitude = reader.unsigned(field);
    if (magnitude.length > widthBytes) throw reader.error(`${field} is too wide for ${curve}`);
    return concat(new Uint8Array(widthBytes - magnitude.length), magnitude);
  };
  const signature = concat(padded("r"), padded("s"));
  reader.end();
  return signature;
}

function algorithmOf(curve: CurveName): AlgorithmIdentifier {
  return { oid: EC_KEY_OID, parameters: writeOid(EC_CURVES[curve].oid) };
}

function curveOf(algorithm: AlgorithmIdentifier): CurveName {
  if (algorithm.oid !== EC_KEY_OID) throw new FormatError(`Cannot read an EC key: its algorithm is ${algorithm.oid}`);
  const reader = new DerReader(algorithm.parameters, "an EC key");
  const curve = curveNamed(reader.oid("the curve"));
  reader.end();
  return curve;
}

function curveNamed(oid: string): CurveName {
  for (const [name, curve] of Object.entries(EC_CURVES)) if (curve.oid === oid) return name as CurveName;
  throw new FormatError(`Cannot read an EC key: its curve ${oid} is none of P-256, P-384 and P-521`);
}
