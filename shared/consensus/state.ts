/**
 * What a node keeps for consensus, and what follows from it without changing it.
 *
 * Every other file here works on one `RaftState`. All of it is in memory alone: a node that stops never comes back
 * under its name (consensus.md §21).
 * Source: consensus.md §2, §3.
 */

import type { Seqno, View } from "../tx_id.ts";
import { BatchSize } from "./batch_size.ts";
import type { NodeId, RaftMessage } from "./messages.ts";
import type { Members, RaftPort } from "./port.ts";
import { ViewStarts } from "./view_starts.ts";

export type Leadership = "None" | "Follower" | "PreVoteCandidate" | "Candidate" | "Leader";
export type Membership = "Active" | "Retired";

/** How far a node's removal is: in its log, below a signature, committed, known by every future primary to be so. */
export type RetirementPhase = "Ordered" | "Signed" | "Completed" | "RetiredCommitted";

export interface RaftOptions {
  readonly id: NodeId;
  /** Between heartbeats. */
  readonly messageTimeoutMs: number;
  /** Without word from a leader before a backup may run; without word from a quorum before a leader steps down. */
  readonly electionTimeoutMs: number;
  /** Entries that a leader may have uncommitted before the front end refuses new ones; 0: no limit. */
  readonly maxUncommitted: number;
  /** Ask whether an election could be won before starting one; default true. */
  readonly preVote?: boolean;
  /** Whether the election timer runs from the start; default: from the first signature on. */
  readonly ticking?: boolean;
  /** Is told what happens, in order: of a new role once it is taken, of all else before it has any effect. */
  readonly trace?: (event: RaftTrace) => void;
}

/** Members, from the entry at `seqno` on. */
export interface Configuration {
  readonly seqno: Seqno;
  readonly members: Members;
}

/** Another node that this one sends to, member or not any more. */
export interface Peer {
  /** Everything up to here was sent, or is taken to be there. */
  sent: Seqno;
  /** Everything up to here is in its log, in this leader's view. */
  match: Seqno;
  /** Since its last answer to this leader. */
  lastAckMs: number;
  /** More is waiting than one sending may carry. */
  behind: boolean;
}

/** One line of what happened, named as in consensus.md §25.1. */
export interface RaftTrace {
  readonly event:
    | "become_pre_vote_candidate"
    | "become_candidate"
    | "become_leader"
    | "become_follower"
    | "add_configuration"
    | "replicate"
    | "execute_append_entries_sync"
    | "commit"
    | "send_append_entries"
    | "recv_append_entries"
    | "send_append_entries_response"
    | "recv_append_entries_response"
    | "send_request_vote"
    | "recv_request_vote"
    | "send_request_vote_response"
    | "recv_request_vote_response"
    | "send_propose_request_vote"
    | "recv_propose_request_vote"
    | "step_down_and_nominate_successor";
  readonly state: RaftSummary;
  /** Whom a message goes to or comes from. */
  readonly peer?: NodeId;
  readonly message?: RaftMessage;
  /** What the leader knows of `peer`. */
  readonly sent?: Seqno;
  readonly match?: Seqno;
  /** What an entry, a commit or a configuration is about. */
  readonly seqno?: Seqno;
  readonly committable?: boolean;
  readonly members?: readonly NodeId[];
}

export interface RaftSummary {
  readonly id: NodeId;
  readonly view: View;
  readonly last: Seqno;
  readonly committed: Seqno;
  /** The first and the last signature after the committed one, if there are any. */
  readonly committable: readonly [Seqno, Seqno] | undefined;
  readonly leadership: Leadership;
  readonly membership: Membership;
  readonly retirementPhase: RetirementPhase | undefined;
  readonly preVote: boolean;
}

export class RaftState<Entry> {
  view: View = 0;
  /** In `view`. */
  votedFor: NodeId | undefined;
  leaderId: NodeId | undefined;
  leadership: Leadership = "None";

  membership: Membership = "Active";
  retirementPhase: RetirementPhase | undefined;
  /** The entry that removed this node. */
  retirementSeqno: Seqno | undefined;
  /** The first signature at or after it. */
  retirementCommittable: Seqno | undefined;

  last: Seqno = 0;
  committed: Seqno = 0;
  /** Signatures after `committed`, ascending; those of older views too. */
  committables: Seqno[] = [];
  viewStarts = new ViewStarts();

  /** All of these are in force: the first is committed (or the oldest known), the rest pending. Ascending. */
  configurations: Configuration[] = [];
  /** In the order in which they were added. A superset of the members: removed nodes stay until all know of it. */
  readonly peers = new Map<NodeId, Peer>();
  /** Nodes whose removal every future leader knows to be committed. The oldest are forgotten first. */
  readonly retired = new Set<NodeId>();
  readonly batch = new BatchSize();
  /** Who granted this candidate its vote, or pre-vote. */
  readonly voters = new Set<NodeId>();

  timeoutElapsedMs = 0;
  ticking: boolean;
  /** A conflicting suffix may be dropped, once, after having become follower of a new view. */
  isNewFollower = false;
  /** A new leader is to sign, even where nothing is new: until it has, it can commit nothing. */
  shouldSign = false;

  constructor(
    readonly options: RaftOptions,
    readonly port: RaftPort<Entry>,
    readonly randomBelow: (n: number) => number,
  ) {
    this.ticking = options.ticking ?? false;
  }

  get id(): NodeId {
    return this.options.id;
  }

  get isLeader(): boolean {
    return this.leadership === "Leader";
  }

  get isRetiredCommitted(): boolean {
    return this.retirementPhase === "RetiredCommitted";
  }

  /** The last signature: what votes are compared by, and where a rollback of a new leader or follower ends. */
  get lastCommittable(): Seqno {
    return this.committables.at(-1) ?? this.committed;
  }

  /** The view of an entry; 0 where there is none. */
  viewOf(seqno: Seqno): View {
    return seqno > this.last ? 0 : this.viewStarts.viewAt(seqno);
  }

  /** No other node is in any configuration. */
  get isAlone(): boolean {
    return this.configurations.every(({ members }) => [...members.keys()].every((id) => id === this.id));
  }

  get isInLatestConfiguration(): boolean {
    return this.configurations.at(-1)?.members.has(this.id) ?? false;
  }

  /**
   * Whether the nodes that `counts` says yes to are a quorum in every configuration, each on its own: never of their
   * union, and never of the latest alone. True where there is none.
   */
  isQuorumInEach(counts: (id: NodeId) => boolean): boolean {
    return this.configurations.every(({ members }) => {
      let count = 0;
      for (const id of members.keys()) if (counts(id)) count++;
      return count >= quorumOf(members.size);
    });
  }

  /** The highest committable seqno that is at most `seqno`. */
  committableUpTo(seqno: Seqno): Seqno | undefined {
    return this.committables.findLast((committable) => committable <= seqno);
  }

  /**
   * The last entry that may be the same as in a log whose entry at `seqno` is of `view`: whole views that are too new
   * are passed over, so that two logs find where they part in about as many steps as they have views apart (§10).
   */
  highestPossibleMatch(view: View, seqno: Seqno): Seqno {
    let probe = Math.min(seqno, this.last);
    while (this.viewStarts.viewAt(probe) > view) {
      probe = Math.max(this.viewStarts.startOf(this.viewStarts.viewAt(probe)) - 1, 0);
    }
    return probe;
  }

  /** Waits between half and the whole of the election timeout from now on, so that not all run at once. */
  restartElectionTimer(): void {
    this.timeoutElapsedMs = this.randomBelow(Math.floor(this.options.electionTimeoutMs / 2) + 1);
  }

  resetAckTimers(): void {
    for (const peer of this.peers.values()) peer.lastAckMs = 0;
  }

  /** Nothing is made ready for a trace that nobody reads. */
  trace(event: RaftTrace["event"], about?: Omit<RaftTrace, "event" | "state">): void {
    this.options.trace?.({ event, state: this.#summary(), ...about });
  }

  #summary(): RaftSummary {
    const first = this.committables[0];
    return {
      id: this.id,
      view: this.view,
      last: this.last,
      committed: this.committed,
      committable: first === undefined ? undefined : [first, this.lastCommittable],
      leadership: this.leadership,
      membership: this.membership,
      retirementPhase: this.retirementPhase,
      preVote: this.options.preVote ?? true,
    };
  }
}

export function quorumOf(members: number): number {
  return Math.floor(members / 2) + 1;
}
