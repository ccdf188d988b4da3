/**
 * Proposals as the ledger proves them: text, ballots and history, each with the signed request that stands behind it.
 *
 * In: entries that touched proposals, in order; rows as they stand now. Out: a record for each proposal. A row alone proves
 * nothing of what a member meant: its text must be the one that its proposer signed, each ballot the one that its voter
 * signed, for this proposal. Whether the constitution would decide so again is for the audit.
 * Formats: governance.md §3; ledger-and-receipts.md §10.2
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes } from "../../shared/bytes.ts";
import type { ProposalInfo, ProposalState } from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { object, text } from "../../shared/json_shape.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { type Check, failed, type GovernanceEntry, VERIFIED } from "./entries.ts";

export type ProposalEventKind =
  | "submitted"
  | "ballot"
  | "accepted"
  | "rejected"
  | "withdrawn"
  | "dropped"
  | "reopened"
  | "removed";

/** One thing that happened to a proposal. */
export interface ProposalEvent {
  readonly kind: ProposalEventKind;
  readonly seqno: Seqno;
  readonly txId: string;
  /** Of the signature that covers it. */
  readonly timeMs?: number;
  /** Whose request it was. */
  readonly memberId?: string;
  /** By that member's clock. */
  readonly signedAtMs?: number;
  readonly check: Check;
  /** For dropped: the proposal that was accepted in the same entry. */
  readonly by?: string;
}

export interface BallotRecord {
  readonly memberId: string;
  /** Source of a module that exports `vote`. */
  readonly text: string;
  readonly seqno?: Seqno;
  readonly txId?: string;
  readonly timeMs?: number;
  readonly signedAtMs?: number;
  /** That the member signed this text for this proposal. */
  readonly check: Check;
  /** What it counted as when the proposal was decided. */
  readonly counted?: boolean;
  /** Why it counted as nothing then. */
  readonly failure?: string;
}

export interface ProposalRecord {
  readonly id: string;
  readonly proposerId: string;
  readonly state: ProposalState;
  /** As it was submitted; undefined where no entry that was folded has it. */
  readonly text: Uint8Array | undefined;
  /** That the proposer signed this text. */
  readonly check: Check;
  /** undefined: before what was folded. */
  readonly submittedAt: Seqno | undefined;
  readonly submittedMs?: number;
  /** In order of seqno. */
  readonly ballots: readonly BallotRecord[];
  readonly events: readonly ProposalEvent[];
  readonly failure?: string;
  /** Entry of the last change. */
  readonly changedAt: Seqno;
  /** Its row is not in the table any more: CCF keeps open ones and the last that was closed. */
  readonly isRemoved: boolean;
}

/** A row that stands in the table now. */
export interface LiveProposal {
  readonly id: string;
  readonly info: ProposalInfo;
  readonly text: Uint8Array | undefined;
  readonly writtenAt: Seqno;
}

const BALLOT = object({ ballot: text });

/**
 * Records of every proposal that the entries or the live rows have, newest first.
 *
 * @param entries in order of seqno
 */
export function proposalRecords(
  entries: readonly GovernanceEntry[],
  live: readonly LiveProposal[],
): readonly ProposalRecord[] {
  const drafts = new Map<string, Draft>();
  for (const entry of entries) {
    for (const change of entry.changes) {
      const draft = drafts.get(change.id) ?? new Draft(change.id);
      drafts.set(change.id, draft);
      draft.add(entry, change);
    }
  }
  for (const row of live) {
    const draft = drafts.get(row.id) ?? new Draft(row.id);
    drafts.set(row.id, draft);
    draft.standsAs(row);
  }
  return [...drafts.values()].flatMap((draft) => draft.record() ?? []).toSorted((a, b) =>
    (b.submittedAt ?? 0) - (a.submittedAt ?? 0) || b.changedAt - a.changedAt
  );
}

type Change = GovernanceEntry["changes"][number];

/** A proposal on its way through the entries. */
class Draft {
  readonly #id: string;
  #info: ProposalInfo | undefined;
  #text: Uint8Array | undefined;
  #textCheck: Check | undefined;
  #submitted: GovernanceEntry | undefined;
  #changedAt = 0;
  #isRemoved = false;
  readonly #ballots = new Map<string, BallotRecord>();
  readonly #events: ProposalEvent[] = [];

  constructor(id: string) {
    this.#id = id;
  }

  add(entry: GovernanceEntry, { before, after, text: written }: Change): void {
    const { seqno, request } = entry;
    this.#changedAt = seqno;
    // Nothing writes a proposal's text again; who could would have another one carried out than was voted on.
    const isOther = written !== undefined && this.#text !== undefined && !equalBytes(written, this.#text);
    if (isOther && before !== undefined) this.#textCheck = failed("its text was changed after it was submitted");
    if (written !== undefined) this.#text = written;
    if (after === undefined) {
      this.#isRemoved = true;
      this.#info ??= before;
      this.#push(entry, "removed", VERIFIED);
      return;
    }
    if (before === undefined) {
      this.#submitted = entry;
      this.#textCheck = this.#submission(entry, after);
      this.#push(entry, "submitted", this.#textCheck, after.proposer_id);
    }
    for (const [memberId, ballot] of Object.entries(after.ballots)) {
      if (before !== undefined && own(before.ballots, memberId) === ballot) continue;
      const check = this.#ballotCheck(entry, memberId, ballot);
      this.#ballots.set(memberId, {
        memberId,
        text: ballot,
        seqno,
        txId: entry.txId,
        ...(entry.timeMs !== undefined && { timeMs: entry.timeMs }),
        ...(check.kind === "verified" && { signedAtMs: request!.signedAtMs }),
        check,
      });
      this.#push(entry, "ballot", check, memberId);
    }
    if (after.state !== (before?.state ?? "Open")) this.#stateChange(entry, after);
    this.#info = after;
  }

  standsAs({ info, text: written, writtenAt }: LiveProposal): void {
    this.#info = info;
    if (written !== undefined && this.#text !== undefined && !equalBytes(written, this.#text)) {
      this.#textCheck = failed("the text that would be carried out is not the one that was submitted");
    }
    this.#text ??= written;
    this.#changedAt = Math.max(this.#changedAt, writtenAt);
    this.#isRemoved = false;
  }

  record(): ProposalRecord | undefined {
    const info = this.#info;
    if (info === undefined) return undefined;
    const ballots = [...Object.entries(info.ballots)].map(([memberId, ballot]): BallotRecord => {
      const known = this.#ballots.get(memberId);
      const record = known?.text === ballot ? known : { memberId, text: ballot, check: UNSEEN };
      const counted = own(info.final_votes, memberId);
      const failure = own(info.vote_failures, memberId);
      return {
        ...record,
        ...(counted !== undefined && { counted }),
        ...(failure !== undefined && { failure: failure.reason }),
      };
    });
    return {
      id: this.#id,
      proposerId: info.proposer_id,
      state: info.state,
      text: this.#text,
      check: this.#textCheck ?? UNSEEN,
      submittedAt: this.#submitted?.seqno,
      ...(this.#submitted?.timeMs !== undefined && { submittedMs: this.#submitted.timeMs }),
      ballots: ballots.toSorted((a, b) => (a.seqno ?? 0) - (b.seqno ?? 0)),
      events: this.#events,
      ...(info.failure !== undefined && { failure: info.failure.reason }),
      changedAt: this.#changedAt,
      isRemoved: this.#isRemoved,
    };
  }

  #submission({ request }: GovernanceEntry, after: ProposalInfo): Check {
    if (request === undefined) return failed("the entry has no member's request");
    if (request.type !== "proposal") return failed(`the request in its entry is of another kind, ${request.type}`);
    if (request.memberId !== after.proposer_id) {
      return failed(`it is filed under member ${after.proposer_id} and was signed by ${request.memberId}`);
    }
    if (this.#text === undefined || !equalBytes(this.#text, request.payload)) {
      return failed("its text is not the one that its proposer signed");
    }
    return request.check;
  }

  #ballotCheck({ request }: GovernanceEntry, memberId: string, ballot: string): Check {
    if (request === undefined) return failed("the entry has no member's request");
    if (request.memberId !== memberId) return failed(`the request in its entry is of another member`);
    if (request.type !== "ballot") return failed(`the request in its entry is of another kind, ${request.type}`);
    if (request.proposalId !== this.#id) return failed("it was signed for another proposal");
    try {
      if (BALLOT(parseJsonBytes(request.payload), "").ballot !== ballot) {
        return failed("its text is not the one that its voter signed");
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return failed(`what its voter signed is no ballot: ${error.message}`);
    }
    return request.check;
  }

  #stateChange(entry: GovernanceEntry, { state, proposer_id }: ProposalInfo): void {
    const { request, changes } = entry;
    switch (state) {
      case "Accepted":
      case "Rejected": {
        const isAbout = request?.proposalId === this.#id || this.#submitted === entry;
        const check = isAbout
          ? request?.check ?? UNSEEN
          : failed("the request in its entry is not about this proposal");
        this.#push(entry, state === "Accepted" ? "accepted" : "rejected", check, request?.memberId);
        break;
      }
      case "Withdrawn": {
        const isRight = request?.type === "withdrawal" && request.proposalId === this.#id &&
          request.memberId === proposer_id;
        const check = isRight ? request.check : failed("its proposer did not sign a withdrawal of it");
        this.#push(entry, "withdrawn", check, request?.memberId);
        break;
      }
      case "Dropped": {
        const by = changes.find(({ id, after, before }) =>
          id !== this.#id && after?.state === "Accepted" && before?.state !== "Accepted"
        )?.id;
        const check = by === undefined ? failed("no proposal was accepted in its entry") : VERIFIED;
        this.#push(entry, "dropped", check, undefined, by);
        break;
      }
      case "Open":
        this.#push(entry, "reopened", failed("it was closed before, and nothing reopens a proposal"));
        break;
      case "Failed":
        this.#push(entry, "rejected", failed("a node never stores that state"));
    }
  }

  #push(entry: GovernanceEntry, kind: ProposalEventKind, check: Check, memberId?: string, by?: string): void {
    const { seqno, txId, timeMs, request } = entry;
    this.#events.push({
      kind,
      seqno,
      txId,
      ...(timeMs !== undefined && { timeMs }),
      ...(memberId !== undefined && { memberId }),
      ...(request !== undefined && request.memberId === memberId && { signedAtMs: request.signedAtMs }),
      check,
      ...(by !== undefined && { by }),
    });
  }
}

const UNSEEN: Check = {
  kind: "cannot",
  why: "the entry with the signed request is not in what was folded: it was before the snapshot or in a gap",
};

function own<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** The worst of all that was checked about a proposal. */
export function recordCheck({ check, ballots, events }: ProposalRecord): Check {
  const all = [check, ...ballots.map((ballot) => ballot.check), ...events.map((event) => event.check)];
  return all.find(({ kind }) => kind === "failed") ?? all.find(({ kind }) => kind === "cannot") ?? VERIFIED;
}
