/**
 * The protected headers of CCF's COSE messages: of what a service signs, and of what members and users do.
 *
 * In: typed values; or a parsed message, or the body of a request. Out: the header's bytes; or typed values.
 * Knows nothing of keys, or of what a request asks for.
 * Format: ledger-and-receipts.md §6.2 and §7.1; http-api.md §8.2; operations.md §6
 *
 * What services write has one form, down to the order of its parameters, and any other is refused. What clients write
 * comes in any order, among other parameters; **its errors have CCF's own words** where CCF has some, since clients see
 * them (CCF `src/node/cose_common.h`, `src/endpoints/authentication/cose_auth.cpp`).
 */

import { assert, FormatError } from "../assert.ts";
import { equalBytes, fromUtf8, fromUtf8Lenient, toUtf8 } from "../bytes.ts";
import { formatTxId, parseTxId, type TxId } from "../tx_id.ts";
import { asBytes, asInteger, asMap, asText, type CborMap, type CborValue, encodeCbor } from "./cbor.ts";
import { COSE_ALGORITHMS, COSE_LABELS, type CoseSign1, parseCoseSign1 } from "./cose.ts";
import type { CurveName } from "./primitives.ts";

/** The header that covers one signature transaction; the payload is the root of the ledger, detached. */
export interface LedgerSignatureHeader {
  /** Of the service's key. */
  readonly curve: CurveName;
  /** hex(sha256(SubjectPublicKeyInfo of the service's key)) */
  readonly keyId: string;
  readonly issuedAtSeconds: number;
  readonly issuer: string;
  readonly subject: string;
  /** Of the signature transaction itself. */
  readonly txId: TxId;
}

/** The header under which a service endorses the key of an earlier one; the payload is that key, attached. */
export interface EndorsementHeader {
  /** Of the endorsing, newer key. */
  readonly curve: CurveName;
  readonly issuedAtSeconds: number;
  /** First transaction of the endorsed service. */
  readonly begin: TxId;
  /** Last transaction of the endorsed service, and the root that its last signature signed; absent while it lasts. */
  readonly end: { readonly txId: TxId; readonly root: Uint8Array } | undefined;
}

/** Who made a request. */
export interface SignedRequestHeader {
  /** One of `COSE_ALGORITHMS`, or a number that is not supported. */
  readonly algorithm: number;
  /** Hex ID of the member or user: sha256 of the certificate. */
  readonly keyId: string;
}

/** What a member says in the header of a request to governance. */
export interface GovernanceRequestHeader extends SignedRequestHeader {
  /** "proposal", "ballot", "withdrawal", "ack", "state_digest", "recovery_share", … */
  readonly type: string | undefined;
  readonly createdAtSeconds: number;
  readonly proposalId: string | undefined;
}

/** What a user says in the header of a request to the application. */
export interface UserRequestHeader extends SignedRequestHeader {
  readonly type: string | undefined;
  readonly createdAtSeconds: number | undefined;
}

export interface SignedRequest<Header> {
  readonly message: CoseSign1;
  readonly header: Header;
}

/** Labels of RFC 8392's claims inside `COSE_LABELS.cwtClaims`. */
const CWT = { issuer: 1, subject: 2, issuedAt: 6 } as const;
/** CCF's own map of parameters. */
const CCF = "ccf.v1";
/** The verifiable data structure CCF_LEDGER_SHA256. */
const CCF_LEDGER_SHA256 = 2;

const GOVERNANCE_LABELS = {
  type: "ccf.gov.msg.type",
  createdAt: "ccf.gov.msg.created_at",
  proposalId: "ccf.gov.msg.proposal_id",
} as const;
const USER_LABELS = { type: "ccf.msg.type", createdAt: "ccf.msg.created_at" } as const;

export function serialiseLedgerSignatureHeader(header: LedgerSignatureHeader): Uint8Array {
  return encodeCbor(
    new Map<number | string, CborValue>([
      [COSE_LABELS.alg, COSE_ALGORITHMS[header.curve]],
      [COSE_LABELS.kid, toUtf8(header.keyId)],
      [COSE_LABELS.vds, CCF_LEDGER_SHA256],
      [
        COSE_LABELS.cwtClaims,
        new Map<number, CborValue>([
          [CWT.issuedAt, header.issuedAtSeconds],
          [CWT.issuer, header.issuer],
          [CWT.subject, header.subject],
        ]),
      ],
      [CCF, new Map([["txid", formatTxId(header.txId)]])],
    ]),
  );
}

/** @throws FormatError where a service would not have written it so */
export function parseLedgerSignatureHeader(message: CoseSign1): LedgerSignatureHeader {
  const protectedHeader = message.protectedHeader;
  const claims = asMap(protectedHeader.get(COSE_LABELS.cwtClaims), "the claims of a ledger signature");
  const ccf = asMap(protectedHeader.get(CCF), "the CCF parameters of a ledger signature");
  const header = {
    curve: curveOf(protectedHeader, "a ledger signature"),
    keyId: fromUtf8(asBytes(protectedHeader.get(COSE_LABELS.kid), "the key ID of a ledger signature")),
    issuedAtSeconds: asInteger(claims.get(CWT.issuedAt), "the time of a ledger signature"),
    issuer: asText(claims.get(CWT.issuer), "the issuer of a ledger signature"),
    subject: asText(claims.get(CWT.subject), "the subject of a ledger signature"),
    txId: parseTxId(asText(ccf.get("txid"), "the transaction ID of a ledger signature")),
  };
  if (header.issuedAtSeconds < 0 || !/^[0-9a-f]{64}$/.test(header.keyId)) {
    throw new FormatError("Cannot read the header of a ledger signature: its time or its key ID is none");
  }
  checkForm(message, serialiseLedgerSignatureHeader(header), "a ledger signature");
  return header;
}

export function serialiseEndorsementHeader(header: EndorsementHeader): Uint8Array {
  const ccf = new Map<string, CborValue>([["epoch.start.txid", formatTxId(header.begin)]]);
  if (header.end !== undefined) {
    assert(header.end.root.length === 32, "The root in an endorsement is 32 bytes");
    ccf.set("epoch.end.txid", formatTxId(header.end.txId));
    ccf.set("epoch.end.merkle.root", header.end.root);
  }
  return encodeCbor(
    new Map<number | string, CborValue>([
      [COSE_LABELS.alg, COSE_ALGORITHMS[header.curve]],
      [COSE_LABELS.cwtClaims, new Map([[CWT.issuedAt, header.issuedAtSeconds]])],
      [CCF, ccf],
    ]),
  );
}

/** @throws FormatError where a service would not have written it so */
export function parseEndorsementHeader(message: CoseSign1): EndorsementHeader {
  const protectedHeader = message.protectedHeader;
  const claims = asMap(protectedHeader.get(COSE_LABELS.cwtClaims), "the claims of an endorsement");
  const ccf = asMap(protectedHeader.get(CCF), "the CCF parameters of an endorsement");
  const header = {
    curve: curveOf(protectedHeader, "an endorsement"),
    issuedAtSeconds: asInteger(claims.get(CWT.issuedAt), "the time of an endorsement"),
    begin: parseTxId(asText(ccf.get("epoch.start.txid"), "the first transaction of an endorsement")),
    end: ccf.has("epoch.end.txid") ? parseEnd(ccf) : undefined,
  };
  if (header.issuedAtSeconds < 0) {
    throw new FormatError("Cannot read the header of an endorsement: its time is negative");
  }
  checkForm(message, serialiseEndorsementHeader(header), "an endorsement");
  return header;
}

function parseEnd(ccf: CborMap): EndorsementHeader["end"] {
  const txId = parseTxId(asText(ccf.get("epoch.end.txid"), "the last transaction of an endorsement"));
  const root = asBytes(ccf.get("epoch.end.merkle.root"), "the root of an endorsement");
  if (root.length !== 32) throw new FormatError(`Cannot read the root of an endorsement: it has ${root.length} bytes`);
  return { txId, root };
}

/** The header in the order in which CCF's own client writes it. */
export function serialiseGovernanceRequestHeader(header: GovernanceRequestHeader): Uint8Array {
  const parameters = new Map<number | string, CborValue>([
    [COSE_LABELS.alg, header.algorithm],
    [COSE_LABELS.kid, toUtf8(header.keyId)],
  ]);
  if (header.type !== undefined) parameters.set(GOVERNANCE_LABELS.type, header.type);
  parameters.set(GOVERNANCE_LABELS.createdAt, header.createdAtSeconds);
  if (header.proposalId !== undefined) parameters.set(GOVERNANCE_LABELS.proposalId, header.proposalId);
  return encodeCbor(parameters);
}

/**
 * Reads the body of a member's request.
 *
 * @throws FormatError where it is no tagged COSE_Sign1; where algorithm, key ID or time are missing; where a parameter
 * has another type
 */
export function parseGovernanceRequest(body: Uint8Array): SignedRequest<GovernanceRequestHeader> {
  const message = readMessage(body);
  const { protectedHeader } = message;
  const type = text(protectedHeader, GOVERNANCE_LABELS.type);
  const proposalId = text(protectedHeader, GOVERNANCE_LABELS.proposalId);
  const createdAt = integer(protectedHeader, GOVERNANCE_LABELS.createdAt);
  const signer = parseSignedRequestHeader(message);
  const createdAtSeconds = present(createdAt, "created_at");
  if (createdAtSeconds < 0) throw new FormatError("Header parameter created_at must be positive");
  return { message, header: { ...signer, type, createdAtSeconds, proposalId } };
}

/**
 * Reads the body of a user's request.
 *
 * @throws FormatError where it is no tagged COSE_Sign1; where algorithm or key ID are missing; where a parameter has
 * another type
 */
export function parseUserRequest(body: Uint8Array): SignedRequest<UserRequestHeader> {
  const message = readMessage(body);
  const { protectedHeader } = message;
  const type = text(protectedHeader, USER_LABELS.type);
  const createdAtSeconds = integer(protectedHeader, USER_LABELS.createdAt);
  return { message, header: { ...parseSignedRequestHeader(message), type, createdAtSeconds } };
}

/** Reads who signed, of a message that is parsed already. @throws FormatError where algorithm or key ID are missing or have another type */
export function parseSignedRequestHeader({ protectedHeader }: CoseSign1): SignedRequestHeader {
  const algorithm = integer(protectedHeader, COSE_LABELS.alg);
  const keyId = protectedHeader.get(COSE_LABELS.kid);
  if (keyId !== undefined && !(keyId instanceof Uint8Array)) throw mistyped();
  return {
    algorithm: present(algorithm, "algorithm"),
    // An ID is hexadecimal, so what is not text belongs to nobody.
    keyId: fromUtf8Lenient(present(keyId, "kid")),
  };
}

/** Services sign with keys on two of the three curves (ledger-and-receipts.md §11). */
function curveOf(header: CborMap, what: string): CurveName {
  const algorithm = asInteger(header.get(COSE_LABELS.alg), `the algorithm of ${what}`);
  const curve = (["P-384", "P-256"] as const).find((name) => COSE_ALGORITHMS[name] === algorithm);
  if (curve === undefined) throw new FormatError(`Cannot read the algorithm of ${what}: ${algorithm} is not supported`);
  return curve;
}

function checkForm(message: CoseSign1, expected: Uint8Array, what: string): void {
  if (!equalBytes(message.protectedBytes, expected)) {
    throw new FormatError(`Cannot read the header of ${what}: a service would not have written it so`);
  }
}

const ARRAY_HEADS_START = 0x80;
const MAP_HEADS_START = 0xa0;
const TAG_HEADS_START = 0xc0;
const TAG_HEADS_END = 0xe0;

function readMessage(body: Uint8Array): CoseSign1 {
  const head = body[0] ?? 0;
  if (head >= ARRAY_HEADS_START && head < MAP_HEADS_START) throw new FormatError("COSE_Sign1 is not tagged");
  if (head < TAG_HEADS_START || head >= TAG_HEADS_END) throw new FormatError("Failed to parse COSE_Sign1 outer array");
  return parseCoseSign1(body);
}

function text(header: CborMap, label: string): string | undefined {
  const value = header.get(label);
  if (value !== undefined && typeof value !== "string") throw mistyped();
  return value;
}

function integer(header: CborMap, label: number | string): number | undefined {
  const value = header.get(label);
  if (value !== undefined && typeof value !== "number") throw mistyped();
  return value;
}

function present<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new FormatError(`Missing ${name} in protected header`);
  return value;
}

/** The number is that of CCF's CBOR decoder for a value of another type than it was asked for. */
function mistyped(): FormatError {
  return new FormatError("Failed to decode protected header: 61");
}
