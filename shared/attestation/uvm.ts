/**
 * Endorsements of utility VMs: Azure's signed word that a launch measurement is that of its own VM, and which version.
 *
 * In: the COSE_Sign1 document, the measurement of a report that was verified, and whom to believe. Out: the steps of the
 * check, and what the document says.
 * Knows nothing of reports; what it says of a measurement holds for whichever report has it.
 * Format: attestation/formats.md §2; nodes-and-attestation.md §8.4; CCF src/node/uvm_endorsements.cpp
 *
 * The order of the steps is CCF's. The certificates' dates are not looked at there, since signers' certificates end after
 * a year and what they signed does not (`at: "ignore dates"`). Stricter than CCF: the chain must end in a root that
 * signed itself, numbers and measurements have one way to be written, and an RSA key has 2048 bits at least.
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromHex, toHex } from "../bytes.ts";
import { asArray, asBytes, asInteger, asMap, asText, type CborMap } from "../crypto/cbor.ts";
import {
  COSE_ALGORITHMS,
  COSE_LABELS,
  COSE_PSS_ALGORITHMS,
  type CoseSign1,
  parseCoseSign1,
  verifyCoseSign1,
} from "../crypto/cose.ts";
import type { EcdsaVerifier } from "../crypto/ecdsa.ts";
import { type Certificate, parseCertificate, publicKeyOf } from "../crypto/x509.ts";
import { describeSubject } from "../crypto/x509_chain.ts";
import { parseJsonBytes } from "../json.ts";
import { MAX_DID_CHARACTERS, MAX_ENDORSEMENTS_BYTES, MAX_EVIDENCE_CHAIN, MAX_FEED_CHARACTERS } from "../limits.ts";
import { authorityRefusal, parseDidX509, predicatesRefusal } from "./did_x509.ts";
import { checkEvidenceChain } from "./evidence_chain.ts";
import { EvidenceSteps, type EvidenceVerdict, type Refusal } from "./evidence_steps.ts";

/** Whom to believe: an issuer, for one kind of VM, from a version on. */
export interface UvmRoot {
  /** Compared as text. */
  readonly did: string;
  readonly feed: string;
  /** The lowest security version number that is accepted. */
  readonly minSvn: number;
}

/**
 * Whom a CCF node believes that members have told nothing else (CCF src/node/uvm_endorsements.h). The first follows from
 * the second; both are there as CCF has them.
 */
export const CCF_UVM_ROOTS: readonly UvmRoot[] = [
  [".2", "ContainerPlat-AMD-UVM", 104] as const,
  [".2", "ContainerPlat-AMD-UVM", 100] as const,
  [".5", "ConfAKS-AMD-UVM", 1] as const,
].map(([product, feed, minSvn]) => ({
  did: "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1" + product,
  feed,
  minSvn,
}));

/** What CCF lets a document be. Quirk: of the newer layout, whose payload is no JSON, it asks this too. */
export const CCF_UVM_CONTENT_TYPES: readonly string[] = ["application/json"];

export interface UvmPolicy {
  /** Milliseconds since 1970, at which the certificates must be valid; "ignore dates" as CCF does. */
  readonly at: number | "ignore dates";
  /** Of the report that this is to endorse, 48 bytes. Without it nothing is compared. */
  readonly measurement?: Uint8Array;
  /** Without them everybody is believed: what a document says is then for the caller to judge. */
  readonly roots?: readonly UvmRoot[];
  /** `CCF_UVM_CONTENT_TYPES` where they are not given. */
  readonly contentTypes?: readonly string[];
}

/** What a document says. */
export interface UvmEndorsement {
  /** Of the header: claims of a CBOR web token since version 0.2.10 of ContainerPlat, own parameters before. */
  readonly layout: "cwt" | "legacy";
  /** COSE algorithm, e.g. -38 for PS384. */
  readonly algorithm: number;
  readonly did: string;
  readonly feed: string;
  readonly contentType: string;
  readonly svn: number;
  /** Launch measurement, 48 bytes. */
  readonly measurement: Uint8Array;
}

export interface UvmVerdict extends EvidenceVerdict {
  /** As far as it could be read; to be believed only where the verdict is "verified". */
  readonly endorsement: Partial<UvmEndorsement>;
}

const MEASUREMENT_BYTES = 48;
/** Labels beyond RFC 9052's: RFC 8152 §3.1 and draft-ietf-cose-hash-envelope. */
const LABEL = { contentType: 3, payloadHash: 258, preimageContentType: 259 } as const;
/** Claims of RFC 8392; the version has a name and no number. */
const CLAIM = { issuer: 1, subject: 2, svn: "svn" } as const;
const SHA384 = -43;
const ALGORITHMS: ReadonlySet<number> = new Set([
  ...Object.values(COSE_ALGORITHMS),
  ...Object.values(COSE_PSS_ALGORITHMS),
]);

const RULES = {
  "document":
    `it is one tagged COSE_Sign1 message of at most ${MAX_ENDORSEMENTS_BYTES} bytes that carries its payload ` +
    "(RFC 9052 §4.2)",
  "header": "it names algorithm, content type, issuer, feed and certificates, in one of two layouts " +
    "(attestation/formats.md §2)",
  "algorithm": "it is ECDSA or RSASSA-PSS with SHA-2 (RFC 9053 §2.1, RFC 8230 §2)",
  "certificates": "each was issued by the next, the last by itself (RFC 5280 §6.1)",
  "issuer": "its DID can be read (did:x509 method specification)",
  "authority": "the DID has the fingerprint of a certificate above the signer's (attestation/formats.md §2.1)",
  "signer": "the signer's certificate says what the DID wants of it (attestation/formats.md §2.1)",
  "signature": "the signer's key signed header and payload (RFC 9052 §4.4)",
  "payload": "it gives a launch measurement of 48 bytes, and a version where the header gives none " +
    "(attestation/formats.md §2)",
  "content type": "the payload is of a type that is expected (nodes-and-attestation.md §8.4)",
  "measurement": "the endorsed measurement is that of the report (nodes-and-attestation.md §8.4)",
  "root of trust": "issuer and feed are trusted from this version on (nodes-and-attestation.md §8.4)",
} as const;

type Steps = EvidenceSteps<typeof RULES>;
type Said = { -readonly [K in keyof UvmEndorsement]?: UvmEndorsement[K] };

/** @param document COSE_Sign1, as base64 in Azure's `reference-info-base64` holds it */
export function verifyUvm(document: Uint8Array, policy: UvmPolicy, primitives: EcdsaVerifier): UvmVerdict {
  const steps: Steps = new EvidenceSteps(RULES);
  const endorsement: Said = {};
  const signed = takeSignature(steps, document, policy.at, primitives, endorsement);
  if (signed !== undefined) takePayload(steps, signed, policy, endorsement);
  return { ...steps.end(), endorsement };
}

interface Signed {
  readonly header: Header;
  readonly payload: Uint8Array;
}

/** Header and payload, where the one whom the header names has signed them. */
function takeSignature(
  steps: Steps,
  document: Uint8Array,
  at: UvmPolicy["at"],
  primitives: EcdsaVerifier,
  endorsement: Said,
): Signed | undefined {
  const bytes = { bytes: String(document.length) };
  const message = steps.read("document", "malformed", () => parseDocument(document), "it is such a message", bytes);
  if (message === undefined) return undefined;
  const header = steps.read("header", "malformed", () => parseHeader(message.protectedHeader), "it names all of these");
  if (header === undefined) return undefined;
  const { did, feed, layout, contentType, algorithm, chain, svn } = header;
  Object.assign(endorsement, { layout, algorithm, did, feed, contentType, ...(svn !== undefined && { svn }) });

  const isKnown = ALGORITHMS.has(algorithm);
  const named = `COSE algorithm ${algorithm} is ${isKnown ? "one of these" : "none of these"}`;
  if (!steps.check("algorithm", isKnown, "unsupported_key_type", named)) return undefined;
  const untrusted = checkEvidenceChain(primitives, chain, at, {
    pins: "any root",
    leafUsages: ["digitalSignature", "keyAgreement"],
  });
  const dates = at === "ignore dates" ? "their dates were not looked at" : "all are valid";
  const path = chain.map(describeSubject).join(" < ");
  if (!steps.found("certificates", untrusted, `all ${chain.length} were issued so; ${dates}`, { path })) {
    return undefined;
  }
  const issuer = steps.read("issuer", "did_mismatch", () => parseDidX509(did), "the DID can be read", { did });
  if (issuer === undefined) return undefined;
  const leaf = chain[0]!;
  const isSigned = steps.found("authority", authorityRefusal(issuer, chain), "one of them has it") &&
    steps.found("signer", predicatesRefusal(issuer, leaf), "it says all of that") &&
    steps.found("signature", signatureRefusal(primitives, leaf, message), "the signature is of that key");
  return isSigned ? { header, payload: message.payload! } : undefined;
}

/** What was signed, and whether it is wanted. */
function takePayload(steps: Steps, { header, payload }: Signed, policy: UvmPolicy, endorsement: Said): void {
  const { layout, contentType, did, feed } = header;
  const said = steps.read("payload", "malformed", () => parsePayload(layout, payload), "it gives what it must");
  if (said === undefined) return;
  Object.assign(endorsement, said);
  const types = policy.contentTypes ?? CCF_UVM_CONTENT_TYPES;
  const type = `it is ${JSON.stringify(contentType)}, wanted is ${
    types.map((one) => JSON.stringify(one)).join(" or ")
  }`;
  if (!steps.check("content type", types.includes(contentType), "content_type_unexpected", type)) return;
  if (!takeMeasurement(steps, said.measurement, policy.measurement)) return;
  const judged = { did, feed, svn: said.svn ?? header.svn! };
  const shown = { ...judged, svn: String(judged.svn) };
  if (policy.roots === undefined) steps.skip("root of trust", "the caller judges who is trusted", shown);
  else steps.found("root of trust", rootRefusal(judged, policy.roots), "a root of trust says so", shown);
}

function takeMeasurement(steps: Steps, endorsed: Uint8Array, reported: Uint8Array | undefined): boolean {
  if (reported === undefined) {
    steps.skip("measurement", "there is no report to compare it with", { endorsed: toHex(endorsed) });
    return true;
  }
  const isSame = equalBytes(endorsed, reported);
  const detail = isSame ? "both are the same" : "the document endorses another measurement than the report's";
  const inputs = { endorsed: toHex(endorsed), reported: toHex(reported) };
  return steps.check("measurement", isSame, "uvm_measurement_mismatch", detail, inputs);
}

/** Why no root of trust accepts an issuer, a feed and a version; undefined where one does. */
export function rootRefusal(
  { did, feed, svn }: { readonly did: string; readonly feed: string; readonly svn: number },
  roots: readonly UvmRoot[],
): Refusal | undefined {
  const ofIssuer = roots.filter((root) => root.did === did);
  if (ofIssuer.length === 0) return { code: "did_not_trusted", detail: `no root of trust names the issuer ${did}` };
  const ofFeed = ofIssuer.filter((root) => root.feed === feed);
  if (ofFeed.length === 0) {
    return { code: "feed_not_trusted", detail: `its issuer is not trusted for the feed ${JSON.stringify(feed)}` };
  }
  const least = Math.min(...ofFeed.map(({ minSvn }) => minSvn));
  // Compared as numbers: as text "99" would be above "100".
  return svn >= least ? undefined : { code: "svn_too_low", detail: `version ${svn} is below ${least}` };
}

/**
 * A security version number as text, as documents and the service's table of trusted endorsements write it.
 *
 * Stricter than CCF, which also takes what begins with digits.
 *
 * @throws FormatError
 */
export function parseSvn(text: string): number {
  const svn = Number(text);
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(svn)) {
    throw new FormatError(`Cannot read ${JSON.stringify(text.slice(0, 40))} as a security version number`);
  }
  return svn;
}

function parseDocument(document: Uint8Array): CoseSign1 {
  if (document.length > MAX_ENDORSEMENTS_BYTES) {
    throw new FormatError(`Cannot read an endorsement of ${document.length} bytes: at most ${MAX_ENDORSEMENTS_BYTES}`);
  }
  const message = parseCoseSign1(document);
  if (message.payload === undefined) throw new FormatError("Cannot read an endorsement: it does not carry its payload");
  return message;
}

interface Header extends Omit<UvmEndorsement, "svn" | "measurement"> {
  /** Of the newer layout. */
  readonly svn: number | undefined;
  readonly chain: readonly Certificate[];
}

/** The newer layout, or else the older one, as CCF tries them. */
function parseHeader(header: CborMap): Header {
  const algorithm = asInteger(header.get(COSE_LABELS.alg), "the algorithm of an endorsement");
  const claims = readClaims(header) ?? {
    layout: "legacy" as const,
    contentType: asText(header.get(LABEL.contentType), "the content type of an endorsement"),
    did: asText(header.get("iss"), "the issuer of an endorsement"),
    feed: asText(header.get("feed"), "the feed of an endorsement"),
    svn: undefined,
  };
  const { did, feed, contentType } = claims;
  if (did.length > MAX_DID_CHARACTERS || Math.max(feed.length, contentType.length) > MAX_FEED_CHARACTERS) {
    throw new FormatError(
      `Cannot read an endorsement: issuer, feed or content type are longer than ${MAX_DID_CHARACTERS}, ` +
        `${MAX_FEED_CHARACTERS} or ${MAX_FEED_CHARACTERS} characters`,
    );
  }
  // What the payload is a hash of, and made with, where the header says that it is one.
  const payloadHash = header.get(LABEL.payloadHash);
  if (claims.layout === "cwt" && payloadHash !== undefined && payloadHash !== SHA384) {
    throw new FormatError("Cannot read an endorsement: its payload is a hash, but not one with SHA-384");
  }
  return { algorithm, ...claims, chain: parseChain(header) };
}

/** Undefined where the header has not all that the newer layout has. */
function readClaims(header: CborMap) {
  const claims = header.get(COSE_LABELS.cwtClaims);
  if (!(claims instanceof Map)) return undefined;
  const map = asMap(claims, "the claims of an endorsement");
  const [contentType, did, feed, svn] = [
    header.get(LABEL.preimageContentType),
    map.get(CLAIM.issuer),
    map.get(CLAIM.subject),
    map.get(CLAIM.svn),
  ];
  const complete = typeof contentType === "string" && typeof did === "string" && typeof feed === "string" &&
    typeof svn === "number" && svn >= 0;
  return complete ? { layout: "cwt" as const, contentType, did, feed, svn } : undefined;
}

/** Leaf first. One certificate may stand without an array around it (RFC 9360 §2); it is no chain for us. */
function parseChain(header: CborMap): readonly Certificate[] {
  const chain = asArray(header.get(COSE_LABELS.x5chain), "the certificates of an endorsement");
  if (chain.length > MAX_EVIDENCE_CHAIN) {
    throw new FormatError(
      `Cannot read an endorsement: it has ${chain.length} certificates, at most ${MAX_EVIDENCE_CHAIN}`,
    );
  }
  return chain.map((der) => parseCertificate(asBytes(der, "a certificate of an endorsement")));
}

function signatureRefusal(primitives: EcdsaVerifier, leaf: Certificate, message: CoseSign1): Refusal | undefined {
  try {
    if (verifyCoseSign1(primitives, publicKeyOf(leaf), message)) return undefined;
    return { code: "bad_signature", detail: "the signature is not one of the signer's key over header and payload" };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { code: "unsupported_key_type", detail: error.message };
  }
}

function parsePayload(layout: "cwt" | "legacy", payload: Uint8Array): { measurement: Uint8Array; svn?: number } {
  const [measurement, svn] = layout === "cwt" ? [payload, undefined] : parseJsonPayload(payload);
  if (measurement.length !== MEASUREMENT_BYTES) {
    throw new FormatError(
      `Cannot read a launch measurement: it has ${measurement.length} bytes and must have ${MEASUREMENT_BYTES}`,
    );
  }
  return { measurement, ...(svn !== undefined && { svn }) };
}

function parseJsonPayload(payload: Uint8Array): [measurement: Uint8Array, svn: number] {
  const json = parseJsonBytes(payload) as Record<string, unknown> | null;
  const measurement = json?.["x-ms-sevsnpvm-launchmeasurement"];
  const svn = json?.["x-ms-sevsnpvm-guestsvn"];
  // CCF compares the text, and so knows only small letters.
  if (typeof measurement !== "string" || !/^[0-9a-f]+$/.test(measurement)) {
    throw new FormatError("Cannot read an endorsement: its payload has no launch measurement in small hex digits");
  }
  const isNumber = typeof svn === "number" && Number.isSafeInteger(svn) && svn >= 0;
  if (!isNumber && typeof svn !== "string") {
    throw new FormatError("Cannot read an endorsement: its payload has no security version number");
  }
  return [fromHex(measurement), isNumber ? svn : parseSvn(svn as string)];
}
