/**
 * X.509 certificates: what one says, and whether a key signed it.
 *
 * In: DER or PEM. Out: the fields, as bytes where nobody needs more. Chains are in `x509_chain.ts`, writing is in
 * `x509_build.ts`, extensions are read by the functions of `x509_extensions.ts`, names by those of `x509_name.ts`.
 * Format: RFC 5280 §4.1; CCF's certificates are listed in ledger-and-receipts.md §7.4 and §11
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromUtf8Lenient } from "../bytes.ts";
import { MAX_CERTIFICATE_BYTES } from "../limits.ts";
import { contextTag, type DerReader, readDer, TAG } from "./der.ts";
import type { EcdsaVerifier } from "./ecdsa.ts";
import { parsePem, parsePemBlock, serialisePem } from "./pem.ts";
import { parsePublicKey, parseSignatureAlgorithm, type PublicKey, verifySignature } from "./public_key.ts";
import { type Extension, readExtensions } from "./x509_extensions.ts";

export interface Certificate {
  readonly der: Uint8Array;
  /** TBSCertificate, DER: the bytes that are signed. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2 | 3;
  /** Contents of the INTEGER: two's complement, big-endian. AMD's chip certificates have 0. */
  readonly serial: Uint8Array;
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970; the second that begins here is the first one inside. */
  readonly notBeforeMs: number;
  /** Milliseconds since 1970; the second that begins here is the last one inside. */
  readonly notAfterMs: number;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER, of any kind of key. */
  readonly spki: Uint8Array;
  readonly extensions: readonly Extension[];
  /** As the algorithm writes it: DER for ECDSA. */
  readonly signature: Uint8Array;
}

const VERSION_TAG = contextTag(0, "constructed");
const UNIQUE_ID_TAGS = [contextTag(1, "primitive"), contextTag(2, "primitive")];
const EXTENSIONS_TAG = contextTag(3, "constructed");

/**
 * Reads a certificate without judging it: key and algorithm may be of kinds that nobody here knows.
 *
 * @throws FormatError
 */
export function parseCertificate(der: Uint8Array): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new FormatError(`Cannot read a certificate: it is longer than ${MAX_CERTIFICATE_BYTES} bytes`);
  }
  const outer = readDer(der, "a certificate");
  const tbs = outer.der(TAG.sequence, "the part that is signed");
  const signatureAlgorithm = outer.der(TAG.sequence, "the signature algorithm");
  const signature = outer.bitStringBytes("the signature");
  outer.end();

  const reader = readDer(tbs, "a certificate");
  const version = readVersion(reader);
  const serial = reader.integerContents("the serial number");
  const innerAlgorithm = reader.der(TAG.sequence, "the signature algorithm");
  const issuer = reader.der(TAG.sequence, "the issuer");
  const validity = reader.sequence("the validity");
  const notBeforeMs = readTime(validity, "the start of the validity");
  const notAfterMs = readTime(validity, "the end of the validity");
  validity.end();
  const subject = reader.der(TAG.sequence, "the subject");
  const spki = reader.der(TAG.sequence, "the public key");
  for (const tag of UNIQUE_ID_TAGS) if (reader.peek() === tag) reader.any("a unique identifier");
  const extensionPart = reader.optional(EXTENSIONS_TAG, "the extensions");
  const extensions = extensionPart === undefined ? [] : readExtensions(extensionPart.sequence("the extensions"));
  extensionPart?.end();
  reader.end();

  if (extensions.length > 0 && version !== 3) throw reader.error(`it has extensions, but its version is ${version}`);
  if (!equalBytes(signatureAlgorithm, innerAlgorithm)) throw reader.error("it names two signature algorithms");
  return {
    der,
    tbs,
    version,
    serial,
    signatureAlgorithm,
    issuer,
    notBeforeMs,
    notAfterMs,
    subject,
    spki,
    extensions,
    signature,
  };
}

/** Reads a text with one `CERTIFICATE` block. @throws FormatError */
export function parseCertificatePem(text: string): Certificate {
  return parseCertificate(parsePemBlock(text, "CERTIFICATE"));
}

/** Reads every `CERTIFICATE` block of a text, in order; there may be none. @throws FormatError */
export function parseCertificateBundle(text: string): Certificate[] {
  return parsePem(text).filter(({ label }) => label === "CERTIFICATE").map(({ der }) => parseCertificate(der));
}

export function serialiseCertificatePem(certificate: Uint8Array): string {
  return serialisePem("CERTIFICATE", certificate);
}

/** @throws FormatError where the key is malformed or neither EC nor RSA */
export function publicKeyOf(certificate: Certificate): PublicKey {
  return parsePublicKey(certificate.spki);
}

/**
 * Whether this key signed the certificate; nothing else is looked at.
 *
 * @throws FormatError where the certificate's signature algorithm is not known
 */
export function isSignedBy(primitives: EcdsaVerifier, certificate: Certificate, issuerKey: PublicKey): boolean {
  const algorithm = parseSignatureAlgorithm(certificate.signatureAlgorithm);
  return verifySignature(primitives, issuerKey, algorithm, certificate.tbs, certificate.signature);
}

/** Whether a moment lies inside the validity, whose last second counts whole. */
export function isValidAt(certificate: Certificate, nowMs: number): boolean {
  return nowMs >= certificate.notBeforeMs && nowMs < certificate.notAfterMs + 1000;
}

function readVersion(reader: DerReader): 1 | 2 | 3 {
  const part = reader.optional(VERSION_TAG, "the version");
  if (part === undefined) return 1;
  const version = part.smallInteger("the version");
  part.end();
  if (version !== 1 && version !== 2) throw reader.error(`version ${version + 1} is not known`);
  return version === 1 ? 2 : 3;
}

/**
 * UTCTime or GeneralizedTime, to the second, in UTC: the only forms of RFC 5280 §4.1.2.5.
 *
 * @returns milliseconds since 1970
 * @throws FormatError
 */
export function readTime(reader: DerReader, field: string): number {
  const tag = reader.peek();
  const long = tag === TAG.generalizedTime;
  const text = fromUtf8Lenient(reader.contents(long ? TAG.generalizedTime : TAG.utcTime, field));
  const match = (long ? /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(
    text,
  );
  const [year = NaN, month = NaN, ...rest] = match?.slice(1).map(Number) ?? [];
  // Two digits stand for 1950 to 2049.
  const fullYear = long ? year : year < 50 ? 2000 + year : 1900 + year;
  const [day = NaN, hour = NaN, minute = NaN, second = NaN] = rest;
  const date = new Date(0);
  date.setUTCFullYear(fullYear, month - 1, day);
  date.setUTCHours(hour, minute, second);
  // A date that does not exist, such as 30 February, comes back as another one.
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute && date.getUTCSeconds() === second;
  if (!same) throw reader.error(`${field} is no time`);
  return date.getTime();
}
