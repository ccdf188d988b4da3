/**
 * Lists of revoked certificates: what one says, whether its issuer signed it, and whom it revokes.
 *
 * In: DER. Out: the fields; a verdict on certificates of the same issuer. Only complete lists are understood: one that
 * covers a part, adds to another list, or speaks for other issuers is refused, since it cannot say that a certificate is
 * good.
 * Format: RFC 5280 §5; checks: §6.3, for a list that its issuer's own key signed
 */

import { FormatError } from "../assert.ts";
import { type ByteString, equalBytes, toByteString, toHex } from "../bytes.ts";
import { MAX_CRL_BYTES, MAX_CRL_ENTRIES } from "../limits.ts";
import { contextTag, readDer, TAG } from "./der.ts";
import type { EcdsaVerifier } from "./ecdsa.ts";
import { parseSignatureAlgorithm, verifySignature } from "./public_key.ts";
import { type Certificate, publicKeyOf, readTime } from "./x509.ts";
import { describeSubject } from "./x509_chain.ts";
import {
  authorityKeyIdentifier,
  type Extension,
  EXTENSION_OID,
  keyUsage,
  readExtensions,
  subjectKeyIdentifier,
} from "./x509_extensions.ts";

export interface RevocationList {
  readonly der: Uint8Array;
  /** TBSCertList, DER: the bytes that are signed. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2;
  /** AlgorithmIdentifier, DER. */
  readonly signatureAlgorithm: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970. */
  readonly thisUpdateMs: number;
  /** Milliseconds since 1970; undefined where the list does not say until when it counts. */
  readonly nextUpdateMs: number | undefined;
  /** Contents of the serial number's INTEGER, and since when that certificate is revoked, in milliseconds since 1970. */
  readonly revoked: ReadonlyMap<ByteString, number>;
  readonly extensions: readonly Extension[];
  /** As the algorithm writes it: DER for ECDSA. */
  readonly signature: Uint8Array;
}

export interface CrlRefusal {
  readonly code: "crl_invalid" | "crl_expired" | "cert_revoked";
  /** A sentence. */
  readonly detail: string;
}

const EXTENSIONS_TAG = contextTag(0, "constructed");
/** Such a list is a part of one, or of several issuers (RFC 5280 §5.2.4 and §5.2.5). */
const PARTIAL: Readonly<Record<string, string>> = {
  "2.5.29.27": "it only adds to another list",
  "2.5.29.28": "it covers a part of the certificates, or those of others",
};
const UNDERSTOOD: ReadonlySet<string> = new Set([
  EXTENSION_OID.authorityKeyIdentifier,
  "2.5.29.20", // the list's own number
]);

/**
 * Reads a list without judging it.
 *
 * @throws FormatError also where an entry has a critical extension: it may be about a certificate of another issuer
 */
export function parseRevocationList(der: Uint8Array): RevocationList {
  if (der.length > MAX_CRL_BYTES) {
    throw new FormatError(`Cannot read a revocation list: it is longer than ${MAX_CRL_BYTES} bytes`);
  }
  const outer = readDer(der, "a revocation list");
  const tbs = outer.der(TAG.sequence, "the part that is signed");
  const signatureAlgorithm = outer.der(TAG.sequence, "the signature algorithm");
  const signature = outer.bitStringBytes("the signature");
  outer.end();

  const reader = readDer(tbs, "a revocation list");
  const isV2 = reader.peek() === TAG.integer;
  if (isV2 && reader.smallInteger("the version") !== 1) throw reader.error("its version is not known");
  const innerAlgorithm = reader.der(TAG.sequence, "the signature algorithm");
  const issuer = reader.der(TAG.sequence, "the issuer");
  const thisUpdateMs = readTime(reader, "the time of this list");
  const saysNext = reader.peek() === TAG.utcTime || reader.peek() === TAG.generalizedTime;
  const nextUpdateMs = saysNext ? readTime(reader, "the time of the next list") : undefined;

  const revoked = new Map<ByteString, number>();
  const entries = reader.optional(TAG.sequence, "the revoked certificates");
  for (let count = 0; entries !== undefined && !entries.done; count++) {
    if (count === MAX_CRL_ENTRIES) throw reader.error(`it has more than ${MAX_CRL_ENTRIES} entries`);
    const entry = entries.sequence("a revoked certificate");
    const serial = toByteString(entry.integerContents("a serial number"));
    const sinceMs = readTime(entry, "the time of a revocation");
    const extensions = entry.done ? [] : readExtensions(entry.sequence("the extensions of an entry"));
    entry.end();
    const critical = extensions.find(({ critical }) => critical);
    if (critical !== undefined) throw reader.error(`an entry has a critical extension, ${critical.oid}`);
    if (extensions.length > 0 && !isV2) throw reader.error("an entry has extensions, but its version is 1");
    if (!revoked.has(serial)) revoked.set(serial, sinceMs);
  }

  const extensionPart = reader.optional(EXTENSIONS_TAG, "the extensions");
  const extensions = extensionPart === undefined ? [] : readExtensions(extensionPart.sequence("the extensions"));
  extensionPart?.end();
  reader.end();
  if (extensions.length > 0 && !isV2) throw reader.error("it has extensions, but its version is 1");
  if (!equalBytes(signatureAlgorithm, innerAlgorithm)) throw reader.error("it names two signature algorithms");
  return {
    der,
    tbs,
    version: isV2 ? 2 : 1,
    signatureAlgorithm,
    issuer,
    thisUpdateMs,
    nextUpdateMs,
    revoked,
    extensions,
    signature,
  };
}

/**
 * Checks that a list is the issuer's own and of this time, and that it revokes none of these certificates.
 *
 * @param issuer whose certificate the caller trusts already
 * @param at milliseconds since 1970; the second in which the next list is due still counts
 * @param certificates of any issuer: a serial number counts only for those of the list's own
 * @returns undefined where all holds
 */
export function checkRevocationList(
  primitives: EcdsaVerifier,
  list: RevocationList,
  issuer: Certificate,
  at: number,
  certificates: readonly Certificate[],
): CrlRefusal | undefined {
  const problem = listProblem(primitives, list, issuer);
  if (problem !== undefined) {
    return { code: "crl_invalid", detail: `the revocation list ${problem}` };
  }
  const { thisUpdateMs, nextUpdateMs } = list;
  if (nextUpdateMs === undefined) {
    return { code: "crl_invalid", detail: "the revocation list does not say until when it counts" };
  }
  if (at < thisUpdateMs || at >= nextUpdateMs + 1000) {
    const [moment, from, to] = [at, thisUpdateMs, nextUpdateMs].map(toDate);
    return { code: "crl_expired", detail: `the revocation list counts from ${from} to ${to}, not at ${moment}` };
  }
  for (const certificate of certificates) {
    const sinceMs = equalBytes(certificate.issuer, list.issuer)
      ? list.revoked.get(toByteString(certificate.serial))
      : undefined;
    if (sinceMs !== undefined) {
      const which = `${describeSubject(certificate)}, serial number ${toHex(certificate.serial)},`;
      return { code: "cert_revoked", detail: `${which} is revoked since ${toDate(sinceMs)}` };
    }
  }
  return undefined;
}

/** What is wrong with the list itself, as the end of a sentence about it; the signature is checked last. */
function listProblem(primitives: EcdsaVerifier, list: RevocationList, issuer: Certificate): string | undefined {
  if (!equalBytes(list.issuer, issuer.subject)) return `is not one of ${describeSubject(issuer)}`;
  try {
    for (const { oid, critical } of list.extensions) {
      if (PARTIAL[oid] !== undefined) return `cannot be used: ${PARTIAL[oid]}`;
      if (critical && !UNDERSTOOD.has(oid)) return `has a critical extension that is not understood, ${oid}`;
    }
    if (keyUsage(issuer.extensions)?.has("cRLSign") === false) return "is signed with a key that may not sign lists";
    const wanted = authorityKeyIdentifier(list.extensions);
    const offered = subjectKeyIdentifier(issuer.extensions);
    if (wanted !== undefined && offered !== undefined && !equalBytes(wanted, offered)) {
      return `names another key than that of ${describeSubject(issuer)}`;
    }
    const algorithm = parseSignatureAlgorithm(list.signatureAlgorithm);
    return verifySignature(primitives, publicKeyOf(issuer), algorithm, list.tbs, list.signature)
      ? undefined
      : `is not signed by ${describeSubject(issuer)}`;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return `cannot be used: ${error.message}`;
  }
}

function toDate(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
