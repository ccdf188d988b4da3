/**
 * Writing certificates: the fields of each kind that CCF issues, the bytes to be signed, and the signed certificate.
 *
 * In: keys, names, times, serial numbers. Out: DER. Signing lies between the two halves, so that it may happen in a
 * browser or a security module; `signCertificate` does it at once where the key is here.
 * Format: ledger-and-receipts.md §7.4 and §11; CCF src/crypto/openssl/ec_key_pair.cpp
 *
 *     const tbs = toBeSigned(serviceCertificate({ … }));
 *     const certificate = withSignature(tbs, signature);
 */

import { assert } from "../assert.ts";
import { toUtf8 } from "../bytes.ts";
import {
  contextTag,
  integerContents,
  readDer,
  TAG,
  writeBitString,
  writeDer,
  writeSequence,
  writeUnsigned,
} from "./der.ts";
import type { CertificateRequest } from "./csr.ts";
import { EC_CURVES, ecdsaSign, type EcPrivateKey, type EcPublicKey, serialiseDerSignature } from "./ecdsa.ts";
import type { CurveName, Random } from "./primitives.ts";
import { ecdsaAlgorithm } from "./public_key.ts";
import type { Certificate } from "./x509.ts";
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  type Extension,
  EXTENSION_OID,
  keyIdentifierOf,
  keyUsageExtension,
  type SubjectAltName,
  subjectAltNameExtension,
  subjectKeyIdentifier,
  subjectKeyIdentifierExtension,
  writeExtensions,
} from "./x509_extensions.ts";

export interface Validity {
  /** Milliseconds since 1970, whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What a certificate of version 3 says. A `Certificate` that was read is one, and is written as it was. */
export interface CertificateFields extends Validity {
  /** Contents of the INTEGER, see `randomSerial`. */
  readonly serial: Uint8Array;
  /** AlgorithmIdentifier, DER, of the signature to come. */
  readonly signatureAlgorithm: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly extensions: readonly Extension[];
}

/** What every self-signed certificate needs. */
export interface SelfSigned {
  readonly key: EcPublicKey;
  /** Name, DER. */
  readonly subject: Uint8Array;
  readonly validity: Validity;
  readonly serial: Uint8Array;
}

/** Days as CCF counts them: the end is one second before the same time of day. */
export function validityOfDays(startMs: number, days: number): Validity {
  const notBeforeMs = Math.floor(startMs / 1000) * 1000;
  return { notBeforeMs, notAfterMs: notBeforeMs + days * 86_400_000 - 1000 };
}

/** 16 random bytes as a positive number. */
export function randomSerial(random: Random): Uint8Array {
  return integerContents(random(16));
}

/** A service's own certificate. */
export function serviceCertificate({ key, subject, validity, serial }: SelfSigned): CertificateFields {
  return selfSigned(key, subject, validity, serial, authorityExtensions(key.spki, keyIdentifierOf(key.spki)));
}

/** A node's certificate before the service has endorsed it. It may sign like an authority, oddly, as CCF's does. */
export function selfSignedNodeCertificate(
  { key, subject, validity, serial, subjectAltNames }: SelfSigned & { subjectAltNames: readonly SubjectAltName[] },
): CertificateFields {
  const extensions = authorityExtensions(key.spki, keyIdentifierOf(key.spki));
  if (subjectAltNames.length > 0) extensions.push(subjectAltNameExtension(subjectAltNames));
  return selfSigned(key, subject, validity, serial, extensions);
}

/** A member's or user's certificate, as CCF's key generator makes it: no extensions, only the key counts. */
export function memberCertificate({ key, subject, validity, serial }: SelfSigned): CertificateFields {
  return selfSigned(key, subject, validity, serial, []);
}

/** What the service needs to endorse somebody. */
export interface Endorsement {
  /** The service's certificate and the key in it, which will sign. */
  readonly issuer: Certificate;
  readonly issuerKey: EcPublicKey;
  readonly serial: Uint8Array;
}

/** A node's certificate, endorsed by the service; its subject alternative names are those of the request. */
export function endorsedNodeCertificate(
  { request, validity, issuer, issuerKey, serial }: Endorsement & { request: CertificateRequest; validity: Validity },
): CertificateFields {
  return {
    serial,
    signatureAlgorithm: algorithmFor(issuerKey.curve),
    issuer: issuer.subject,
    ...validity,
    subject: request.subject,
    spki: request.spki,
    extensions: [
      basicConstraintsExtension({ ca: false, pathLength: undefined }),
      ...identifierExtensions(request.spki, identifierOf(issuer)),
      ...request.extensions.filter(({ oid }) => oid === EXTENSION_OID.subjectAltName),
    ],
  };
}

/**
 * An older service key, endorsed by the current service for receipts from before a recovery (ledger-and-receipts.md §7.4).
 * Validity and both names are the current service's.
 */
export function endorsedServiceCertificate(
  { previousSpki, issuer, issuerKey, serial }: Endorsement & { previousSpki: Uint8Array },
): CertificateFields {
  return {
    serial,
    signatureAlgorithm: algorithmFor(issuerKey.curve),
    issuer: issuer.subject,
    notBeforeMs: issuer.notBeforeMs,
    notAfterMs: issuer.notAfterMs,
    subject: issuer.subject,
    spki: previousSpki,
    extensions: authorityExtensions(previousSpki, identifierOf(issuer)),
  };
}

/** TBSCertificate, DER: the bytes to sign. */
export function toBeSigned(fields: CertificateFields): Uint8Array {
  return writeSequence(
    writeDer(contextTag(0, "constructed"), writeUnsigned(2)),
    writeDer(TAG.integer, fields.serial),
    fields.signatureAlgorithm,
    fields.issuer,
    writeSequence(writeTime(fields.notBeforeMs), writeTime(fields.notAfterMs)),
    fields.subject,
    fields.spki,
    fields.extensions.length === 0
      ? new Uint8Array()
      : writeDer(contextTag(3, "constructed"), writeExtensions(fields.extensions)),
  );
}

/**
 * Certificate, DER.
 *
 * @param tbs as `toBeSigned` made it; it names the signature algorithm
 * @param signature as the algorithm writes it: DER for ECDSA (`serialiseDerSignature`)
 */
export function withSignature(tbs: Uint8Array, signature: Uint8Array): Uint8Array {
  const reader = readDer(tbs, "a certificate to be signed");
  reader.any("the version");
  reader.any("the serial number");
  return writeSequence(tbs, reader.der(TAG.sequence, "the signature algorithm"), writeBitString(signature));
}

/** Both halves and the signature, with a key whose curve the fields name. */
export function signCertificate(fields: CertificateFields, key: EcPrivateKey): Uint8Array {
  const tbs = toBeSigned(fields);
  return withSignature(tbs, serialiseDerSignature(ecdsaSign(key, tbs)));
}

/** ECDSA with the hash of the signer's curve, whatever the subject's is. */
function algorithmFor(curve: CurveName): Uint8Array {
  return ecdsaAlgorithm(EC_CURVES[curve].hash);
}

function selfSigned(
  key: EcPublicKey,
  subject: Uint8Array,
  validity: Validity,
  serial: Uint8Array,
  extensions: readonly Extension[],
): CertificateFields {
  return {
    serial,
    signatureAlgorithm: algorithmFor(key.curve),
    issuer: subject,
    ...validity,
    subject,
    spki: key.spki,
    extensions,
  };
}

/** In CCF's order, which is that of the bytes in every certificate. */
function authorityExtensions(spki: Uint8Array, authority: Uint8Array): Extension[] {
  return [
    basicConstraintsExtension({ ca: true, pathLength: 1 }),
    keyUsageExtension("digitalSignature", "keyCertSign"),
    ...identifierExtensions(spki, authority),
  ];
}

function identifierExtensions(spki: Uint8Array, authority: Uint8Array): Extension[] {
  return [subjectKeyIdentifierExtension(keyIdentifierOf(spki)), authorityKeyIdentifierExtension(authority)];
}

function identifierOf(issuer: Certificate): Uint8Array {
  return subjectKeyIdentifier(issuer.extensions) ?? keyIdentifierOf(issuer.spki);
}

/** UTCTime from 1950 to 2049, else GeneralizedTime (RFC 5280 §4.1.2.5). */
function writeTime(ms: number): Uint8Array {
  assert(ms % 1000 === 0, "A time in a certificate is of whole seconds");
  const iso = new Date(ms).toISOString();
  assert(iso.length === 24, "A time in a certificate lies in the years 0 to 9999");
  const digits = `${iso.slice(0, 19).replace(/[-T:]/g, "")}Z`;
  const year = Number(digits.slice(0, 4));
  return year >= 1950 && year < 2050
    ? writeDer(TAG.utcTime, toUtf8(digits.slice(2)))
    : writeDer(TAG.generalizedTime, toUtf8(digits));
}
