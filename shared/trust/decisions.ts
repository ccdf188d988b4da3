/**
 * Which of a ledger's changes members decided: each proposal with who signed what, entry by entry.
 *
 * In: entries that were verified, tables before each. Out: what stands behind an entry; a decision names its proposal, its
 * proposer and every ballot with the entry that its voter signed, and what is wrong with any of it.
 * Whether the constitution would have decided so again is for who can run scripts. Knows nothing of nodes and of evidence.
 * Formats: ledger-and-receipts.md §10.2; governance.md §3
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromBase64, fromUtf8Lenient } from "../bytes.ts";
import { verifyCoseSign1 } from "../crypto/cose.ts";
import { parseGovernanceRequest } from "../crypto/cose_headers.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../crypto/x509.ts";
import {
  COSE_HISTORY,
  MEMBERS_ACKS,
  MEMBERS_CERTS,
  MEMBERS_INFO,
  type ProposalInfo,
  PROPOSALS,
  PROPOSALS_INFO,
} from "../governance/tables.ts";
import { proposalWords } from "../governance/proposal_words.ts";
import { parseJsonBytes } from "../json.ts";
import { object, text } from "../json_shape.ts";
import type { Transaction } from "../kv/transaction.ts";
import type { TableWrites } from "../kv/write_set.ts";
import { formatTxId, type TxId } from "../tx_id.ts";

/** A ballot as its voter signed it. */
export interface SignedBallot {
  readonly memberId: string;
  /** The entry that holds the voter's signature; undefined where none does. */
  readonly txId: TxId | undefined;
  /** What the constitution counted; undefined where it counted nothing of this member. */
  readonly vote: boolean | undefined;
}

/** A proposal that was accepted. */
export interface Decision {
  readonly proposalId: string;
  readonly proposerId: string;
  /** Where it was submitted; undefined where the ledger does not have that. */
  readonly proposedAt: TxId | undefined;
  readonly acceptedAt: TxId;
  /** The proposal, byte for byte. */
  readonly proposal: Uint8Array | undefined;
  /** By member. None where the constitution accepted it without a vote. */
  readonly ballots: readonly SignedBallot[];
  /** What of it no member's signature stands behind; none where all is right. */
  readonly problems: readonly string[];
}

/** What stands behind an entry. */
export type Cause =
  /** The first transaction of the ledger: the members who started the service are in it. */
  | { readonly kind: "genesis" }
  /** The first transaction of a service that took the ledger over. */
  | { readonly kind: "recovery" }
  | { readonly kind: "decision"; readonly decision: Decision }
  /** A member acknowledges the state of the service, and is active from then on. */
  | { readonly kind: "acknowledgement"; readonly memberId: string }
  /** A request of a member that decided nothing. */
  | { readonly kind: "request"; readonly memberId: string; readonly type: string }
  /** No member: a node by itself. */
  | { readonly kind: "node" };

interface Submitted {
  readonly proposerId: string;
  readonly txId: TxId;
  readonly proposal: Uint8Array;
  /** Text of the ballot and where it was signed, by member. */
  readonly ballots: Map<string, { readonly text: string; readonly txId: TxId }>;
}

const BALLOT = object({ ballot: text });

export class Decisions {
  readonly #primitives: Primitives;
  /** Proposals that are in the tables, by ID: what is taken out of them is forgotten here too. */
  readonly #submitted = new Map<string, Submitted>();

  constructor(primitives: Primitives) {
    this.#primitives = primitives;
  }

  /**
   * What stands behind the next entry, the first transaction of a service left aside.
   *
   * @param before tables before the entry
   * @throws FormatError where the entry cannot be read
   */
  causeOf(txId: TxId, before: Transaction, tables: readonly TableWrites[]): Cause {
    const requests = writesOf(tables, COSE_HISTORY.name);
    const accepted = this.#accepted(before, tables);
    if (requests.length === 0) {
      if (accepted.length > 0) {
        throw new FormatError(`Proposal ${accepted[0]![0]} is accepted without any member's request`);
      }
      const acknowledging = this.#acknowledging(before, tables);
      return acknowledging === undefined ? { kind: "node" } : { kind: "acknowledgement", memberId: acknowledging };
    }
    if (requests.length > 1) throw new FormatError("The entry files several members' requests; each has its own");
    const [key, value] = requests[0]!;
    const memberId = COSE_HISTORY.key.decode(key);
    const { header, message } = parseGovernanceRequest(COSE_HISTORY.value.decode(value));
    if (!isSignedBy(this.#primitives, before, memberId, COSE_HISTORY.value.decode(value))) {
      throw new FormatError(`Member ${memberId} did not sign the request`);
    }
    const problems = before.open(MEMBERS_INFO).get(memberId)?.status === "Active"
      ? []
      : [`${memberId}, whose request it is, was no active member`];
    const type = header.type ?? "none";
    const payload = message.payload ?? new Uint8Array();
    const subject = type === "proposal"
      ? this.#submit(txId, memberId, payload, tables)
      : type === "ballot"
      ? this.#vote(txId, memberId, header.proposalId, payload)
      : undefined;
    const cause: Cause = accepted.length === 0
      ? { kind: "request", memberId, type }
      : { kind: "decision", decision: this.#decision(txId, accepted, subject, problems) };
    for (const removed of tables.find(({ name }) => name === PROPOSALS.name)?.removes ?? []) {
      this.#submitted.delete(PROPOSALS.key.decode(removed));
    }
    return cause;
  }

  /** Proposals that this entry makes accepted. */
  #accepted(before: Transaction, tables: readonly TableWrites[]): [id: string, info: ProposalInfo][] {
    return writesOf(tables, PROPOSALS_INFO.name).flatMap(([key, value]) => {
      const id = PROPOSALS_INFO.key.decode(key);
      const info = PROPOSALS_INFO.value.decode(value);
      const was = before.open(PROPOSALS_INFO).get(id)?.state;
      return info.state === "Accepted" && was !== "Accepted" ? [[id, info] as [string, ProposalInfo]] : [];
    });
  }

  /** The replay has compared its ID with the signature. */
  #submit(txId: TxId, proposerId: string, payload: Uint8Array, tables: readonly TableWrites[]): string | undefined {
    for (const [key, proposal] of writesOf(tables, PROPOSALS.name)) {
      if (!equalBytes(proposal, payload)) continue;
      const id = PROPOSALS.key.decode(key);
      this.#submitted.set(id, { proposerId, txId, proposal, ballots: new Map() });
      return id;
    }
    return undefined;
  }

  #vote(txId: TxId, memberId: string, proposalId: string | undefined, payload: Uint8Array): string | undefined {
    if (proposalId === undefined) return undefined;
    const { ballot } = BALLOT(parseJsonBytes(payload), "");
    this.#submitted.get(proposalId)?.ballots.set(memberId, { text: ballot, txId });
    return proposalId;
  }

  #decision(
    acceptedAt: TxId,
    accepted: readonly (readonly [string, ProposalInfo])[],
    subject: string | undefined,
    problems: string[],
  ): Decision {
    const [proposalId, info] = accepted.find(([id]) => id === subject) ?? accepted[0]!;
    const submitted = this.#submitted.get(proposalId);
    if (accepted.length > 1) problems.push("several proposals are accepted in one entry");
    if (proposalId !== subject) problems.push("the request in the entry is not about this proposal");
    if (submitted === undefined) problems.push("no entry has the proposal as its proposer signed it");
    else if (submitted.proposerId !== info.proposer_id) {
      problems.push(`it was signed by member ${submitted.proposerId} and is filed under ${info.proposer_id}`);
    }
    const voters = [...new Set([...Object.keys(info.ballots), ...Object.keys(info.final_votes ?? {})])].sort();
    const ballots = voters.map((memberId): SignedBallot => {
      const signed = submitted?.ballots.get(memberId);
      const isSigned = signed !== undefined && Object.hasOwn(info.ballots, memberId) &&
        info.ballots[memberId] === signed.text;
      if (!isSigned) problems.push(`member ${memberId} did not sign the ballot that is counted`);
      const votes = info.final_votes ?? {};
      return {
        memberId,
        txId: isSigned ? signed.txId : undefined,
        vote: Object.hasOwn(votes, memberId) ? votes[memberId] : undefined,
      };
    });
    return {
      proposalId,
      proposerId: info.proposer_id,
      proposedAt: submitted?.txId,
      acceptedAt,
      proposal: submitted?.proposal,
      ballots,
      problems,
    };
  }

  /** Who acknowledges in an entry without a request of another kind; the signature is the member's. */
  #acknowledging(before: Transaction, tables: readonly TableWrites[]): string | undefined {
    for (const [key, value] of writesOf(tables, MEMBERS_ACKS.name)) {
      const member = MEMBERS_ACKS.key.decode(key);
      const { cose_sign1_req: signed } = MEMBERS_ACKS.value.decode(value);
      if (signed === undefined || signed === before.open(MEMBERS_ACKS).get(member)?.cose_sign1_req) continue;
      const envelope = fromBase64(signed);
      if (
        parseGovernanceRequest(envelope).header.type !== "ack" ||
        !isSignedBy(this.#primitives, before, member, envelope)
      ) {
        throw new FormatError(`Member ${member} did not sign the acknowledgement`);
      }
      return member;
    }
    return undefined;
  }
}

/** Whether this member of that time signed the envelope, under his own ID. @throws FormatError */
function isSignedBy(primitives: Primitives, before: Transaction, memberId: string, envelope: Uint8Array): boolean {
  const { message, header } = parseGovernanceRequest(envelope);
  const certificate = before.open(MEMBERS_CERTS).get(memberId);
  if (certificate === undefined || header.keyId !== memberId) return false;
  const key = publicKeyOf(parseCertificatePem(certificate));
  return key.kind === "EC" && verifyCoseSign1(primitives, key, message);
}

function writesOf(tables: readonly TableWrites[], wanted: string): TableWrites["writes"] {
  return tables.find(({ name }) => name === wanted)?.writes ?? [];
}

/** In a sentence, after "allowed by" and the like. */
export function describeCause(cause: Cause): string {
  switch (cause.kind) {
    case "genesis":
      return "genesis, by the members who started the service";
    case "recovery":
      return "the start of a recovery, by the node that recovered the service; members then opened it";
    case "decision":
      return describeDecision(cause.decision);
    case "acknowledgement":
      return `the acknowledgement of member ${cause.memberId}`;
    case "request":
      return `a request of member ${cause.memberId} (${cause.type}) that decided nothing`;
    case "node":
      return "a node by itself";
  }
}

function describeDecision(decision: Decision): string {
  const { proposalId, proposerId, proposedAt, acceptedAt, ballots } = decision;
  const names = actionNames(decision);
  const actions = names === undefined ? "no list of actions" : names.join(", ") || "no action";
  const votes = ballots.map(({ memberId, txId, vote }) => {
    const word = vote === undefined ? "a ballot" : vote ? "yes" : "no";
    return `member ${memberId} ${word}${txId === undefined ? "" : ` (signed in ${formatTxId(txId)})`}`;
  });
  const proposed = proposedAt === undefined ? "" : ` (signed in ${formatTxId(proposedAt)})`;
  const how = votes.length === 0 ? "without a vote, as the constitution has it" : `with ${votes.join(", ")}`;
  return `proposal ${proposalId} (${actions}) of member ${proposerId}${proposed}, accepted in ${
    formatTxId(acceptedAt)
  } ${how}`;
}

/** Names of a proposal's actions, safe to show; undefined where it is no list of actions. */
export function actionNames({ proposal }: Decision): string[] | undefined {
  try {
    return proposalWords(fromUtf8Lenient(proposal ?? new Uint8Array())).actions?.map(({ name }) => name);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
