/**
 * What a node says of proposals, held against the ledger: a node that withholds one, or tells another story, is found.
 *
 * In: the answer of `GET /gov/members/proposals` with the transaction that it is as of; rows folded as of the same
 * transaction. Out: differences. Knows nothing of requests.
 * Format: http-api.md §7
 */

import { formatTxId, parseTxId, type TxId } from "../../shared/tx_id.ts";
import { FormatError } from "../../shared/assert.ts";
import { listOf, object, type Of, text, unsigned } from "../../shared/json_shape.ts";
import type { LiveProposal } from "./proposals.ts";

const toldProposal = object({ proposalId: text, proposalState: text, proposerId: text, ballotCount: unsigned });
const toldList = object({ value: listOf(toldProposal) });

export type ToldProposal = Of<typeof toldProposal>;

export interface ToldProposals {
  readonly proposals: readonly ToldProposal[];
  /** Of which state; undefined where the node does not say. */
  readonly asOf: TxId | undefined;
  /** What was proved of the node's own ledger when it was asked: its answer cannot be older. */
  readonly askedAt: number;
}

/**
 * @param json body of the answer
 * @param txId header `x-ms-ccf-transaction-id`
 * @param askedAt seqno up to which the ledger was proved when the node was asked
 * @throws FormatError
 */
export function parseTold(json: unknown, txId: string | null, askedAt: number): ToldProposals {
  return { proposals: toldList(json, "").value, asOf: txId === null ? undefined : parsedOrNone(txId), askedAt };
}

function parsedOrNone(txId: string): TxId | undefined {
  try {
    return parseTxId(txId);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

export interface Discrepancy {
  readonly kind: "withheld" | "unknown" | "state" | "proposer" | "ballots" | "text";
  readonly proposalId: string;
  /** A sentence without a full stop. */
  readonly what: string;
}

export type Comparison =
  | { readonly kind: "same"; readonly asOf: string }
  | { readonly kind: "different"; readonly asOf: string; readonly discrepancies: readonly Discrepancy[] }
  /** The fold has not come as far as the answer. */
  | { readonly kind: "not yet"; readonly why: string };

/** What a fold must give for a comparison, or why it cannot yet: the seqno as of which rows are wanted. */
export function comparableAt(
  { asOf, askedAt }: ToldProposals,
  signedSeqno: number,
): { readonly at: number } | { readonly why: string } {
  // Whoever shows last week's list is held to what its own ledger had when it was asked.
  if (asOf === undefined || asOf.seqno < askedAt) return { at: askedAt };
  if (asOf.seqno > signedSeqno) {
    return {
      why: `The node answered as of ${formatTxId(asOf)}, and the ledger is proved up to seqno ${signedSeqno} here`,
    };
  }
  return { at: asOf.seqno };
}

/** @param rows folded as of the answer */
export function compareTold({ proposals }: ToldProposals, rows: readonly LiveProposal[]): readonly Discrepancy[] {
  const found: Discrepancy[] = [];
  const told = new Map(proposals.map((proposal) => [proposal.proposalId, proposal]));
  for (const { id, info } of rows) {
    const said = told.get(id);
    const add = (kind: Discrepancy["kind"], what: string) => found.push({ kind, proposalId: id, what });
    if (said === undefined) {
      add("withheld", `The ledger has this proposal (${info.state}), and the node does not list it`);
      continue;
    }
    if (said.proposalState !== info.state) {
      add("state", `The ledger says ${info.state}, and the node says ${said.proposalState}`);
    }
    if (said.proposerId !== info.proposer_id) add("proposer", "The node names another proposer than the ledger");
    const ballots = Object.keys(info.ballots).length;
    if (said.ballotCount !== ballots) {
      add("ballots", `The ledger has ${ballots} ballots, and the node counts ${said.ballotCount}`);
    }
  }
  const folded = new Set(rows.map(({ id }) => id));
  for (const { proposalId, proposalState } of proposals) {
    if (folded.has(proposalId)) continue;
    const what = `The node lists this proposal (${proposalState}), and the ledger does not have it`;
    found.push({ kind: "unknown", proposalId, what });
  }
  return found;
}
