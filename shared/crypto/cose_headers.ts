/**
 * The protected headers of CCF's COSE messages: the service's signature over the ledger, its endorsement of an earlier
 * identity, and the requests of members and users.
 *
 * In: typed values, or a parsed message. Out: the header's bytes, or typed values.
 * Format: ledger-and-receipts.md §6.2 and §7.1; http-api.md §8.2; operations.md §6
 *
 * What services write has one form, and any other is refused. What clients write is taken in any order, with whatever
 * else they add, as CCF does.
 */

import { assert, FormatError } from "../assert.ts";
import { equalBytes, fromUtf8, fromUtf8Lenient, toUtf8 } from "../bytes.ts";
import { formatTxId, parseTxId, type TxId } from "../tx_id.ts";
import { asBytes, asInteger, asMap, asText, type CborMap, type CborValue, encodeCbor } from "./cbor.ts";
import { COSE_ALGORITHMS, COSE_LABELS, type CoseSign1 } from "./cose.ts";
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

/** What every signed request says. */
export interface SignedRequestHeader {
  /** One of `COSE_ALGORITHMS`, or a number that is not supported. */
  readonly algorithm: number;
  /** ID of the member or user. */
  readonly keyId: string;
}

/** What a signed request of governance says besides. */
export interface GovernanceRequestHeader extends SignedRequestHeader {
  /** "proposal", "ballot", "withdrawal", "ack", "state_digest", "recovery_share", … */
  readonly type: string | undefined;
  readonly createdAtSeconds: number;
  readonly proposalId: string | undefined;
}

/** Labels of RFC 8392's claims inside `COSE_LABELS.cwtClaims`. */
const CWT = { issuer: 1, subject: 2, issuedAt: 6 } as const;
/** CCF's own map of parameters. */
const CCF = "ccf.v1";
/** The verifiable data structure CCF_LEDGER_SHA256. */
const CCF_LEDGER_SHA256 = 2;

const GOVERNANCE = {
  type: "ccf.gov.msg.type",
  createdAt: "ccf.gov.msg.created_at",
  proposalId: "ccf.gov.msg.proposal_id",
} as const;

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

/** The header as CCF's own client writes it. */
export function serialiseGovernanceRequestHeader(header: GovernanceRequestHeader): Uint8Array {
  const parameters = new Map<number | string, CborValue>([
    [COSE_LABELS.alg, header.algorithm],
    [COSE_LABELS.kid, toUtf8(header.keyId)],
  ]);
  if (header.type !== undefined) parameters.set(GOVERNANCE.type, header.type);
  parameters.set(GOVERNANCE.createdAt, header.createdAtSeconds);
  if (header.proposalId !== undefined) parameters.set(GOVERNANCE.proposalId, header.proposalId);
  return encodeCbor(parameters);
}

/** @throws FormatError where algorithm, key ID or time are missing, or a parameter has another type */
export function parseGovernanceRequestHeader(message: CoseSign1): GovernanceRequestHeader {
  const { protectedHeader } = message;
  const optionalText = (label: string) =>
    protectedHeader.has(label) ? asText(protectedHeader.get(label), label) : undefined;
  const createdAtSeconds = asInteger(protectedHeader.get(GOVERNANCE.createdAt), GOVERNANCE.createdAt);
  if (createdAtSeconds < 0) throw new FormatError(`Cannot read ${GOVERNANCE.createdAt}: it is negative`);
  return {
    ...parseSignedRequestHeader(message),
    type: optionalText(GOVERNANCE.type),
    createdAtSeconds,
    proposalId: optionalText(GOVERNANCE.proposalId),
  };
}

/** @throws FormatError where algorithm or key ID are missing or have another type */
export function parseSignedRequestHeader({ protectedHeader }: CoseSign1): SignedRequestHeader {
  return {
    algorithm: asInteger(protectedHeader.get(COSE_LABELS.alg), "the algorithm of a signed request"),
    // An ID is hexadecimal, so what is not text belongs to nobody and is only shown.
    keyId: fromUtf8Lenient(asBytes(protectedHeader.get(COSE_LABELS.kid), "the key ID of a signed request")),
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
