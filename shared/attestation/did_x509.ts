/**
 * did:x509: an issuer named by an authority's certificate and by what the signer's certificate must say.
 *
 * In: the name as text; a chain of certificates, leaf first, that somebody else has checked. Out: the name's parts;
 * nothing, or why the chain is not the issuer's.
 * Knows nothing of signatures, dates and which issuers are trusted.
 * Format: did:x509 method specification, version 0; attestation/formats.md §2.1
 *
 *     did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromBase64Url, fromHex, fromUtf8, toUtf8 } from "../bytes.ts";
import { isOid } from "../crypto/der.ts";
import { hash, HASHES, type HashName } from "../crypto/hashes.ts";
import type { Certificate } from "../crypto/x509.ts";
import { extendedKeyUsages, subjectAltNames } from "../crypto/x509_extensions.ts";
import { attributeOid, nameAttributes } from "../crypto/x509_name.ts";
import { MAX_DID_CHARACTERS, MAX_DID_PREDICATES } from "../limits.ts";
import type { Refusal } from "./evidence_steps.ts";

export interface DidX509 {
  /** Of the fingerprint. */
  readonly hash: HashName;
  /** Of the DER of one certificate above the leaf. */
  readonly fingerprint: Uint8Array;
  /** At least one; all must hold of the leaf. */
  readonly predicates: readonly DidPredicate[];
}

export type DidPredicate =
  | { readonly kind: "eku"; readonly oid: string }
  /** Values of the subject's attributes by OBJECT IDENTIFIER. */
  | { readonly kind: "subject"; readonly values: ReadonlyMap<string, string> }
  | { readonly kind: "san"; readonly type: SanType; readonly value: string }
  | { readonly kind: "fulcio-issuer"; readonly url: string };

type SanType = "email" | "dns" | "uri";

const DID_HASHES: Readonly<Record<string, HashName>> = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };
const SAN_KINDS = { email: "rfc822Name", dns: "dNSName", uri: "uniformResourceIdentifier" } as const;
/** The names of attributes that the specification knows. */
const SUBJECT_LABELS: ReadonlySet<string> = new Set(["CN", "L", "ST", "O", "OU", "C", "STREET"]);
const FULCIO_ISSUER_OID = "1.3.6.1.4.1.57264.1.1";

/** @throws FormatError also where it is a DID URL, with a path, a query or a fragment */
export function parseDidX509(did: string): DidX509 {
  if (did.length > MAX_DID_CHARACTERS) throw refused(did, `it is longer than ${MAX_DID_CHARACTERS} characters`);
  const [prefix, ...predicates] = did.split("::");
  const [scheme, method, version, hashName = "", fingerprint, ...rest] = prefix!.split(":");
  if (scheme !== "did" || method !== "x509" || fingerprint === undefined || rest.length > 0) {
    throw refused(did, 'it must look like "did:x509:0:sha256:FINGERPRINT::eku:OID"');
  }
  if (version !== "0") throw refused(did, `version ${JSON.stringify(version)} of did:x509 is not known`);
  if (!Object.hasOwn(DID_HASHES, hashName)) throw refused(did, `the hash ${JSON.stringify(hashName)} is not known`);
  if (predicates.length === 0 || predicates.length > MAX_DID_PREDICATES) {
    throw refused(did, `it has ${predicates.length} predicates and must have 1 to ${MAX_DID_PREDICATES}`);
  }
  const fingerprintHash = DID_HASHES[hashName]!;
  const digest = fromBase64Url(fingerprint);
  const expectedBytes = HASHES[fingerprintHash].outputLen;
  if (digest.length !== expectedBytes) {
    throw refused(did, `its fingerprint has ${digest.length} bytes and must have ${expectedBytes}`);
  }
  return {
    hash: fingerprintHash,
    fingerprint: digest,
    predicates: predicates.map((text) => parsePredicate(did, text)),
  };
}

/**
 * Whether the authority that a DID names is in the chain.
 *
 * @param chain leaf first; the leaf's own fingerprint does not count, or anybody could name themselves
 */
export function authorityRefusal(did: DidX509, chain: readonly Certificate[]): Refusal | undefined {
  const found = chain.slice(1).some(({ der }) => equalBytes(hash(did.hash, der), did.fingerprint));
  return found ? undefined : {
    code: "did_mismatch",
    detail: "no certificate above the signer's has the fingerprint in the issuer's DID",
  };
}

/** Whether the signer's certificate says what a DID wants of it. */
export function predicatesRefusal(did: DidX509, leaf: Certificate): Refusal | undefined {
  for (const predicate of did.predicates) {
    try {
      if (!holdsOf(predicate, leaf)) return mismatch(predicate, `has not the ${describe(predicate)}`);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return mismatch(predicate, `cannot be read: ${error.message}`);
    }
  }
  return undefined;
}

function holdsOf(predicate: DidPredicate, { subject, extensions }: Certificate): boolean {
  switch (predicate.kind) {
    case "eku":
      return extendedKeyUsages(extensions)?.includes(predicate.oid) === true;
    case "subject": {
      const attributes = nameAttributes(subject);
      // An attribute that the name has twice is nobody's: which of the two is meant cannot be told.
      return [...predicate.values].every(([oid, value]) => {
        const found = attributes.filter((attribute) => attribute.oid === oid);
        return found.length === 1 && found[0]!.value === value;
      });
    }
    case "san":
      return subjectAltNames(extensions).some((name) =>
        name.kind === SAN_KINDS[predicate.type] && name.value === predicate.value
      );
    case "fulcio-issuer": {
      const extension = extensions.find(({ oid }) => oid === FULCIO_ISSUER_OID);
      // Its value is text without any DER around it.
      return extension !== undefined && fromUtf8(extension.value) === predicate.url;
    }
  }
}

function mismatch({ kind }: DidPredicate, problem: string): Refusal {
  return { code: kind === "eku" ? "eku_mismatch" : "did_mismatch", detail: `the signer's certificate ${problem}` };
}

function describe(predicate: DidPredicate): string {
  switch (predicate.kind) {
    case "eku":
      return `extended key usage ${predicate.oid} of the issuer's DID`;
    case "subject":
      return `attributes ${JSON.stringify([...predicate.values])} of the issuer's DID in its subject`;
    case "san":
      return `alternative name ${predicate.type} ${JSON.stringify(predicate.value)} of the issuer's DID`;
    case "fulcio-issuer":
      return `Fulcio issuer ${JSON.stringify(predicate.url)} of the issuer's DID`;
  }
}

function parsePredicate(did: string, text: string): DidPredicate {
  const [kind, ...parts] = text.split(":");
  const [first = "", second = ""] = parts;
  if (kind === "eku" && parts.length === 1 && isOid(first)) return { kind, oid: first };
  if (kind === "san" && parts.length === 2 && Object.hasOwn(SAN_KINDS, first)) {
    return { kind, type: first as SanType, value: percentDecode(did, second) };
  }
  if (kind === "subject" && parts.length >= 2 && parts.length % 2 === 0) {
    return { kind, values: parseSubject(did, parts) };
  }
  if (kind === "fulcio-issuer" && parts.length === 1) {
    return { kind, url: `https://${percentDecode(did, first)}` };
  }
  throw refused(did, `the predicate ${JSON.stringify(shortened(text))} is not known`);
}

function parseSubject(did: string, parts: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i < parts.length; i += 2) {
    // Quirk: "S" is taken for "ST", since some issuers write it so (didx509cpp, didx509cpp.h).
    const key = parts[i] === "S" ? "ST" : parts[i]!;
    const oid = SUBJECT_LABELS.has(key) ? attributeOid(key === "STREET" ? "street" : key)! : key;
    if (!isOid(oid)) throw refused(did, `the attribute ${JSON.stringify(shortened(key))} is not known`);
    if (values.has(oid)) throw refused(did, `it wants ${key} twice`);
    values.set(oid, percentDecode(did, parts[i + 1]!));
  }
  return values;
}

/** Letters, digits, "-", "." and "_" as they are, all else as %XX of UTF-8. */
function percentDecode(did: string, text: string): string {
  if (!/^(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+$/.test(text)) {
    throw refused(did, `the value ${JSON.stringify(shortened(text))} is empty or not percent-encoded`);
  }
  const hex = text.replace(/%(..)|(.)/g, (_, digits, letter) => digits ?? toUtf8(letter)[0]!.toString(16));
  return fromUtf8(fromHex(hex));
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function refused(did: string, problem: string): FormatError {
  return new FormatError(`Cannot read ${JSON.stringify(shortened(did))} as a did:x509: ${problem}`);
}
