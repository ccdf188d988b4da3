/**
 * What a transaction did, in one line, from its writes and from the request that a member signed.
 *
 * In: a verified transaction. Out: sentences, and what they link to. Knows nothing of markup; names come from the caller.
 * Tables: shared/governance/tables.ts
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromUtf8, fromUtf8Lenient } from "../../../shared/bytes.ts";
import { parseCoseSign1 } from "../../../shared/crypto/cose.ts";
import { readMemberRequest, type ReadRequest } from "../../../shared/governance/member_request.ts";
import { proposalWords } from "../../../shared/governance/proposal_words.ts";
import { plainVote, shortId } from "../../../shared/governance/request_words.ts";
import { NODES_INFO, PROPOSALS, PROPOSALS_INFO, SERVICE_INFO, SIGNATURES } from "../../../shared/governance/tables.ts";
import type { TransactionDetail } from "../../ledger/protocol.ts";

export type NameOf = (id: string) => string;

/** What a member signed, read again from the bytes; undefined where they are of another form. */
export function requestOf({ requestedBy }: TransactionDetail): ReadRequest | undefined {
  if (requestedBy === undefined) return undefined;
  try {
    const { protectedBytes, payload } = parseCoseSign1(requestedBy.request);
    return payload === undefined ? undefined : readMemberRequest({ protectedBytes, payload });
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** The proposal that a transaction is about. */
export function proposalIdOf(transaction: TransactionDetail, request: ReadRequest | undefined): string | undefined {
  if (request !== undefined && "proposalId" in request.request) return request.request.proposalId;
  const write = transaction.writes.find(({ table, after }) => table === PROPOSALS.name && after !== undefined);
  return write && fromUtf8Lenient(write.key);
}

/** One line. @param nameOf a member's or node's name, or the short form of its ID */
export function summaryOf(
  transaction: TransactionDetail,
  request: ReadRequest | undefined,
  nameOf: NameOf,
): string {
  if (request !== undefined) return requestSummary(request, nameOf) + outcomeOf(transaction);
  switch (transaction.kind) {
    case "signature":
      return signatureSummary(transaction, nameOf);
    case "snapshot evidence":
      return "Evidence that a snapshot was made";
    default:
      return nodeSummary(transaction, nameOf) ?? serviceSummary(transaction) ?? writesSummary(transaction);
  }
}

/** What the same transaction decided. */
function outcomeOf({ writes }: TransactionDetail): string {
  const states = writes.flatMap(({ table, after }) => {
    if (table !== PROPOSALS_INFO.name || after === undefined) return [];
    try {
      return [PROPOSALS_INFO.value.decode(after).state];
    } catch (error) {
      if (error instanceof FormatError) return [];
      throw error;
    }
  });
  if (states.includes("Accepted")) return ", which accepted the proposal and carried it out";
  return states.includes("Rejected") ? ", which rejected the proposal" : "";
}

function signatureSummary({ writes, proofSteps }: TransactionDetail, nameOf: NameOf): string {
  const after = writes.find(({ table }) => table === SIGNATURES.name)?.after;
  const node = after && memberOf(after, "node");
  const by = node === undefined ? "" : ` by node ${nameOf(node)}`;
  return `A signature${by} over everything before it${
    proofSteps === undefined ? "" : `, covered in turn by ${proofSteps.signature.txId}`
  }`;
}

function requestSummary({ request, signer }: ReadRequest, nameOf: NameOf): string {
  const who = nameOf(signer.memberId);
  switch (request.kind) {
    case "proposal":
      return `${who} proposed: ${actionNames(request.proposal)}`;
    case "proposal_dry_run":
      return `${who} asked what would become of a proposal`;
    case "ballot": {
      const vote = plainVote(request.ballot);
      return `${who} voted ${vote ?? "by a program"} on proposal ${shortId(request.proposalId)}…`;
    }
    case "withdrawal":
      return `${who} withdrew proposal ${shortId(request.proposalId)}…`;
    case "state_digest":
      return `${who} asked for the newest state digest`;
    case "ack":
      return `${who} acknowledged the state, and is active with it`;
    case "recovery_share":
      return `${who} submitted a recovery share`;
  }
}

function actionNames(proposal: Uint8Array): string {
  try {
    const { actions } = proposalWords(fromUtf8(proposal));
    if (actions !== undefined) return actions.map(({ name }) => name).join(", ") || "no action";
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return "something that is no list of actions";
}

/** Joins, trust and retirement: what a node's row became. */
function nodeSummary({ writes }: TransactionDetail, nameOf: NameOf): string | undefined {
  const changes = writes.filter(({ table }) => table === NODES_INFO.name);
  if (changes.length === 0) return undefined;
  const lines = changes.map(({ key, after }) => {
    const who = `node ${nameOf(fromUtf8Lenient(key))}`;
    if (after === undefined) return `${who} was removed`;
    const status = memberOf(after, "status");
    return status === undefined ? `${who} changed` : `${who} became ${status}`;
  });
  return sentence(lines.join("; "));
}

function serviceSummary({ writes }: TransactionDetail): string | undefined {
  const after = writes.find(({ table }) => table === SERVICE_INFO.name)?.after;
  const status = after && memberOf(after, "status");
  return status === undefined ? undefined : `The service's status became ${status}`;
}

function memberOf(json: Uint8Array, name: string): string | undefined {
  try {
    const value = (JSON.parse(fromUtf8Lenient(json)) as Record<string, unknown> | null)?.[name];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function writesSummary({ writes, tables, hasPrivate }: TransactionDetail): string {
  const removed = writes.filter(({ after }) => after === undefined).length;
  const written = writes.length - removed;
  const parts = [
    ...written > 0 ? [`wrote ${count(written, "key")}`] : [],
    ...removed > 0 ? [`removed ${count(removed, "key")}`] : [],
  ];
  const where = tables.length === 1 ? ` of ${tables[0]}` : ` of ${count(tables.length, "table")}`;
  const open = parts.length === 0 ? [] : [parts.join(" and ") + where];
  return sentence(
    [...open, ...hasPrivate ? ["wrote private tables, which only the service can read"] : []].join(", and "),
  ) ||
    "Wrote nothing";
}

const count = (n: number, what: string) => n === 1 ? `1 ${what}` : `${n} ${what}s`;
const sentence = (text: string) => text.slice(0, 1).toUpperCase() + text.slice(1);
