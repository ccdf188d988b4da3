/**
 * Certificate requests: how a node asks the service for its certificate.
 *
 * In: DER or PEM; or key, name and alternative names. Out: the fields; or the bytes to be signed and the signed request.
 * Format: RFC 2986; CCF's are signed with SHA-512 on either curve (ledger-and-receipts.md §11)
 */

import { FormatError } from "../assert.ts";
import { MAX_CERTIFICATE_BYTES } from "../limits.ts";
import {
  contextTag,
  type DerReader,
  readDer,
  TAG,
  writeBitString,
  writeDer,
  writeOid,
  writeSequence,
  writeUnsigned,
} from "./der.ts";
import { ecdsaSign, type EcdsaVerifier, type EcPrivateKey, serialiseDerSignature } from "./ecdsa.ts";
import type { HashName } from "./hashes.ts";
import { parsePemBlock, serialisePem } from "./pem.ts";
import { ecdsaAlgorithm, parsePublicKey, parseSignatureAlgorithm, verifySignature } from "./public_key.ts";
import {
  type Extension,
  readExtensions,
  type SubjectAltName,
  subjectAltNameExtension,
  writeExtensions,
} from "./x509_extensions.ts";

export interface CertificateRequest {
  readonly der: Uint8Array;
  /** CertificationRequestInfo, DER: the bytes that are signed. */
  readonly tbs: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Extensions that are asked for. */
  readonly extensions: readonly Extension[];
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** The hash of a node's request, whatever its curve. */
export const NODE_REQUEST_HASH: HashName = "SHA-512";

const EXTENSION_REQUEST_OID = "1.2.840.113549.1.9.14";
const ATTRIBUTES_TAG = contextTag(0, "constructed");

/** Reads a request; whether it is signed is for `isRequestSigned`. @throws FormatError */
export function parseCertificateRequest(der: Uint8Array): CertificateRequest {
  if (der.length > MAX_CERTIFICATE_BYTES) {
    throw new FormatError(`Cannot read a certificate request: it is longer than ${MAX_CERTIFICATE_BYTES} bytes`);
  }
  const outer = readDer(der, "a certificate request");
  const tbs = outer.der(TAG.sequence, "the part that is signed");
  const signatureAlgorithm = outer.der(TAG.sequence, "the signature algorithm");
  const signature = outer.bitStringBytes("the signature");
  outer.end();

  const reader = readDer(tbs, "a certificate request");
  const version = reader.smallInteger("the version");
  if (version !== 0) throw reader.error(`version ${version + 1} is not known`);
  const subject = reader.der(TAG.sequence, "the subject");
  const spki = reader.der(TAG.sequence, "the public key");
  const extensions = readRequestedExtensions(reader.inside(ATTRIBUTES_TAG, "the attributes"));
  reader.end();
  return { der, tbs, subject, spki, extensions, signatureAlgorithm, signature };
}

/** Reads a text with one `CERTIFICATE REQUEST` block. @throws FormatError */
export function parseCertificateRequestPem(text: string): CertificateRequest {
  return parseCertificateRequest(parsePemBlock(text, "CERTIFICATE REQUEST"));
}

export function serialiseCertificateRequestPem(request: Uint8Array): string {
  return serialisePem("CERTIFICATE REQUEST", request);
}

/**
 * Whether the key in the request signed it, that is, whether who asks has that key.
 *
 * @throws FormatError where key or signature algorithm are not known
 */
export function isRequestSigned(primitives: EcdsaVerifier, request: CertificateRequest): boolean {
  const algorithm = parseSignatureAlgorithm(request.signatureAlgorithm);
  return verifySignature(primitives, parsePublicKey(request.spki), algorithm, request.tbs, request.signature);
}

/**
 * CertificationRequestInfo, DER: the bytes to sign.
 *
 * @param subject Name, DER
 * @param spki SubjectPublicKeyInfo, DER
 */
export function requestToBeSigned(
  subject: Uint8Array,
  spki: Uint8Array,
  subjectAltNames: readonly SubjectAltName[],
): Uint8Array {
  const attributes = subjectAltNames.length === 0 ? new Uint8Array() : writeSequence(
    writeOid(EXTENSION_REQUEST_OID),
    writeDer(TAG.set, writeExtensions([subjectAltNameExtension(subjectAltNames)])),
  );
  return writeSequence(writeUnsigned(0), subject, spki, writeDer(ATTRIBUTES_TAG, attributes));
}

/**
 * CertificationRequest, DER.
 *
 * @param signature DER of an ECDSA signature with this hash (`serialiseDerSignature`)
 */
export function requestWithSignature(tbs: Uint8Array, signature: Uint8Array, hash = NODE_REQUEST_HASH): Uint8Array {
  return writeSequence(tbs, ecdsaAlgorithm(hash), writeBitString(signature));
}

/** Both halves and the signature. */
export function signCertificateRequest(
  key: EcPrivateKey,
  subject: Uint8Array,
  subjectAltNames: readonly SubjectAltName[],
): Uint8Array {
  const tbs = requestToBeSigned(subject, key.publicKey.spki, subjectAltNames);
  return requestWithSignature(tbs, serialiseDerSignature(ecdsaSign(key, tbs, NODE_REQUEST_HASH)));
}

/** Other attributes than the request for extensions, a challenge password say, are passed over. */
function readRequestedExtensions(attributes: DerReader): readonly Extension[] {
  let extensions: Extension[] | undefined;
  while (!attributes.done) {
    const attribute = attributes.sequence("an attribute");
    const oid = attribute.oid("the name of an attribute");
    const values = attribute.inside(TAG.set, "the values of an attribute");
    attribute.end();
    if (oid !== EXTENSION_REQUEST_OID) continue;
    if (extensions !== undefined) throw attributes.error("it asks for extensions twice");
    extensions = readExtensions(values.sequence("the extensions"));
    values.end();
  }
  return extensions ?? [];
}
