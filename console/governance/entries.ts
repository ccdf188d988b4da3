/**
 * What one entry of the ledger did to proposals, and who signed the request in it.
 *
 * In: a transaction as the worker has it. Out: changed rows of proposals, and the member's request with a verdict on its
 * signature. Knows nothing of what proposals ask for.
 * Formats: ledger-and-receipts.md §10.2, governance.md §3
 */

import { FormatError } from "../../shared/assert.ts";
import { fromByteString, fromUtf8, toByteString } from "../../shared/bytes.ts";
import { verifyCoseSign1 } from "../../shared/crypto/cose.ts";
import { parseGovernanceRequest } from "../../shared/crypto/cose_headers.ts";
import { type Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import {
  COSE_HISTORY,
  MEMBERS_CERTS,
  type ProposalInfo,
  PROPOSALS,
  PROPOSALS_INFO,
} from "../../shared/governance/tables.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { LedgerApi, ProofState, TransactionDetail } from "../ledger/protocol.ts";

/** Four states: verified; failed or cannot with a reason. What was not looked at yet has none. */
export type Check =
  | { readonly kind: "verified" }
  | { readonly kind: "failed" | "cannot"; readonly why: string };

export const VERIFIED: Check = { kind: "verified" };

/** A member's request, as it was filed with the entry that it brought about. */
export interface FiledRequest {
  readonly memberId: string;
  readonly type: string;
  readonly proposalId: string | undefined;
  /** By the member's own clock. */
  readonly signedAtMs: number;
  readonly payload: Uint8Array;
  /** The envelope, COSE_Sign1. */
  readonly envelope: Uint8Array;
  /** Of the signature, by the certificate that the member had then. */
  readonly check: Check;
}

export interface ProposalChange {
  readonly id: string;
  readonly before: ProposalInfo | undefined;
  /** undefined: taken out of the table. */
  readonly after: ProposalInfo | undefined;
  /** The proposal's text, where the entry wrote it. */
  readonly text: Uint8Array | undefined;
}

/** One entry that touched proposals. */
export interface GovernanceEntry {
  readonly seqno: Seqno;
  readonly txId: string;
  readonly timeMs?: number;
  readonly proof: ProofState;
  readonly changes: readonly ProposalChange[];
  readonly request: FiledRequest | undefined;
  /** What of the entry could not be read. */
  readonly odd: readonly string[];
}

type Certificates = Pick<LedgerApi, "value">;

export async function governanceEntryOf(
  ledger: Certificates,
  primitives: Primitives,
  transaction: TransactionDetail,
): Promise<GovernanceEntry> {
  const { seqno, txId, timeMs, proof, writes } = transaction;
  const odd: string[] = [];
  const texts = new Map<string, Uint8Array>();
  const changes: ProposalChange[] = [];
  let request: FiledRequest | undefined;
  for (const { table, key, after } of writes) {
    if (table === PROPOSALS.name && after !== undefined) texts.set(textOf(key), after);
  }
  for (const { table, key, before, after } of writes) {
    try {
      if (table === PROPOSALS_INFO.name) {
        const id = fromUtf8(key);
        const row = (bytes: Uint8Array | undefined) => bytes && PROPOSALS_INFO.value.decode(bytes);
        changes.push({ id, before: row(before), after: row(after), text: texts.get(id) });
      } else if (table === COSE_HISTORY.name && after !== undefined) {
        request = await filedRequestOf(ledger, primitives, fromUtf8(key), COSE_HISTORY.value.decode(after), seqno);
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      odd.push(`${table} in ${txId}: ${error.message}`);
    }
  }
  return { seqno, txId, ...(timeMs !== undefined && { timeMs }), proof, changes, request, odd };
}

const textOf = (key: Uint8Array): string => toByteString(key);

async function filedRequestOf(
  ledger: Certificates,
  primitives: Primitives,
  memberId: string,
  envelope: Uint8Array,
  seqno: Seqno,
): Promise<FiledRequest> {
  const { header, message } = parseGovernanceRequest(envelope);
  const certificate = await certificateOf(ledger, memberId, seqno);
  return {
    memberId,
    type: header.type ?? "",
    proposalId: header.proposalId,
    signedAtMs: header.createdAtSeconds * 1000,
    payload: message.payload ?? new Uint8Array(),
    envelope,
    check: checkOf(),
  };

  function checkOf(): Check {
    if (header.keyId !== memberId) {
      return failed(`it names ${header.keyId} as its signer and is filed under ${memberId}`);
    }
    if (certificate === undefined) {
      return { kind: "cannot", why: `the certificate of member ${memberId} of that time is not in what was folded` };
    }
    const key = publicKeyOf(parseCertificatePem(certificate));
    if (key.kind === "EC" && verifyCoseSign1(primitives, key, message)) return VERIFIED;
    return failed(`the signature is not by the key of member ${memberId}`);
  }
}

export const failed = (why: string): Check => ({ kind: "failed", why });

/** Before the entry, since a member's own request may remove it; a fold that begins right here has the one after. */
async function certificateOf(ledger: Certificates, memberId: string, seqno: Seqno): Promise<string | undefined> {
  const key = fromByteString(MEMBERS_CERTS.key.encode(memberId));
  for (const at of [seqno - 1, seqno]) {
    if (at < 1) continue;
    const row = await ledger.value(MEMBERS_CERTS.name, key, at).catch(() => undefined);
    if (row !== undefined) return MEMBERS_CERTS.value.decode(row.value);
  }
  return undefined;
}
