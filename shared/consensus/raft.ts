/**
 * Consensus: several nodes keep one ledger, although messages are lost and nodes stop.
 *
 * In: messages of peers, entries that this node appends as the leader, and time. Out: calls of a `RaftPort`.
 * Knows nothing of bytes, stores, signatures or clocks; nothing is drawn but through `randomBelow`.
 * Source: consensus.md; this is Raft with commits at signatures only, changes of membership in one step, pre-votes,
 * check-quorum, and nodes that leave in four phases. Where it differs from the paper, the files beside this one say so.
 */

import { assert } from "../assert.ts";
import type { Seqno, View } from "../tx_id.ts";
import {
  becomeAwareOfView,
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  receiveRequestVote,
  receiveVote,
  startElection,
} from "./elections.ts";
import { addConfiguration } from "./membership.ts";
import type { NodeId, ProposeRequestVote, RaftMessage } from "./messages.ts";
import type { EntryEffects, Members, RaftPort } from "./port.ts";
import { append, receiveAppendEntries, receiveAppendEntriesResponse } from "./replication.ts";
import { nominateSuccessor, sendFrom, sendToAll } from "./sending.ts";
import {
  type Configuration,
  type Leadership,
  type Membership,
  type Peer,
  type RaftOptions,
  RaftState,
  type RetirementPhase,
} from "./state.ts";
import { ViewStarts } from "./view_starts.ts";

/** Where a log begins that does not begin with the first entry. */
export interface LogStart {
  /** The last entry, a signature; it and all before it are committed. */
  readonly seqno: Seqno;
  /** The view of that entry. */
  readonly view: View;
  /** `viewStarts[v - 1]` is the first seqno of view v. */
  readonly viewStarts: readonly Seqno[];
  /** Who votes there, where it is known. */
  readonly members?: Members;
}

export class Raft<Entry> {
  readonly #state: RaftState<Entry>;

  /** @param randomBelow draws an integer from 0 up to below `n`, each as likely */
  constructor(options: RaftOptions, port: RaftPort<Entry>, randomBelow: (n: number) => number) {
    this.#state = new RaftState(options, port, randomBelow);
  }

  // How a node enters (§8).

  /** Leads without an election, two views on: the first node of a service, or the one that recovers it. */
  forcePrimary(): void {
    assert(this.#state.leaderId === undefined, "A node leads by force only where no leader is known");
    this.#state.view += 2;
    becomeLeader(this.#state);
  }

  /**
   * The log of a new node begins as of there, not with the first entry.
   *
   * One that joins calls `becomeAwareOfView(start.view)` afterwards, and follows; one that recovers `forcePrimary()`.
   */
  startFrom({ seqno, view, viewStarts, members }: LogStart): void {
    const state = this.#state;
    assert(state.last === 0 && state.leadership === "None", "A log begins once");
    assert(seqno > 0, "A log that begins with the first entry needs no start");
    state.viewStarts = new ViewStarts(viewStarts);
    state.viewStarts.update(seqno, view);
    assert(state.viewStarts.viewAt(seqno) === view, "A log begins in its latest view");
    state.last = seqno;
    state.committed = seqno;
    state.view = view;
    if (members !== undefined) addConfiguration(state, seqno, members);
  }

  becomeAwareOfView(view: View): void {
    becomeAwareOfView(this.#state, view);
  }

  /** Members that no entry in this log names: they came with a snapshot. */
  addConfiguration(seqno: Seqno, members: Members): void {
    addConfiguration(this.#state, seqno, members);
  }

  // What happens to it.

  /**
   * The leader's next entry, which is in its state and its ledger already. Only where `canReplicate`.
   *
   * @param seqno the one after `lastSeqno`
   * @param sizeBytes of the entry, as peers are sent it
   */
  append(seqno: Seqno, sizeBytes: number, effects: EntryEffects): void {
    append(this.#state, seqno, sizeBytes, effects);
  }

  /**
   * A message, whose sender was authenticated.
   *
   * @param entries of an "append entries": those after `previous` up to `last`, or fewer of them where not all could be
   *   carried; undefined where they are malformed
   */
  receive(from: NodeId, message: RaftMessage, entries: readonly Entry[] | undefined): void {
    assert(from !== this.#state.id, "A node says nothing to itself");
    // It may not know that it is not needed any more. Where that is known it decides nothing: see `receiveRequestVote`.
    if (this.#state.retired.has(from) && !message.kind.startsWith("request")) return;
    switch (message.kind) {
      case "append entries":
        return receiveAppendEntries(this.#state, from, message, entries);
      case "append entries response":
        return receiveAppendEntriesResponse(this.#state, from, message);
      case "request vote":
      case "request pre-vote":
        return receiveRequestVote(this.#state, from, message);
      case "request vote response":
      case "request pre-vote response":
        return receiveVote(this.#state, from, message);
      case "propose request vote":
        return this.#receiveProposal(from, message);
    }
  }

  /** Time has passed (§7). */
  periodic(elapsedMs: number): void {
    const state = this.#state;
    const { messageTimeoutMs, electionTimeoutMs } = state.options;
    state.timeoutElapsedMs += elapsedMs;
    if (!state.isLeader) {
      const isDue = state.ticking && state.timeoutElapsedMs >= electionTimeoutMs;
      if (isDue && !state.isRetiredCommitted) startElection(state);
      return;
    }
    if (state.timeoutElapsedMs >= messageTimeoutMs) {
      state.timeoutElapsedMs = 0;
      state.batch.update();
      sendToAll(state);
    }
    for (const peer of state.peers.values()) peer.lastAckMs += elapsedMs;
    // Check-quorum: a leader that others do not answer may be alone, with another one elected elsewhere.
    const isLive = (id: NodeId) => id === state.id || (state.peers.get(id)?.lastAckMs ?? Infinity) < electionTimeoutMs;
    if (!state.isQuorumInEach(isLive)) becomeFollower(state);
  }

  /** Sends every peer what it has not been sent yet, before the heartbeat would. Only a leader has anything to send. */
  flush(): void {
    if (!this.#state.isLeader) return;
    for (const [id, { sent }] of this.#state.peers) {
      if (sent < this.#state.last) sendFrom(this.#state, id, sent + 1);
    }
  }

  /** A leader that is to stop asks the best placed peer to run. It leads until it is deposed. */
  nominateSuccessor(): void {
    if (this.#state.isLeader) nominateSuccessor(this.#state);
  }

  /** A leader of this view wants this node to run for the next one, without asking first (§19). */
  #receiveProposal(from: NodeId, message: ProposeRequestVote): void {
    const state = this.#state;
    state.trace("recv_propose_request_vote", { peer: from, message });
    if (state.isRetiredCommitted || state.isLeader || !state.ticking || message.view !== state.view) return;
    becomeCandidate(state);
  }

  // What it is like.

  get id(): NodeId {
    return this.#state.id;
  }

  get view(): View {
    return this.#state.view;
  }

  get leaderId(): NodeId | undefined {
    return this.#state.leaderId;
  }

  get leadership(): Leadership {
    return this.#state.leadership;
  }

  get membership(): Membership {
    return this.#state.membership;
  }

  /** Undefined while `membership` is "Active". */
  get retirementPhase(): RetirementPhase | undefined {
    return this.#state.retirementPhase;
  }

  get canReplicate(): boolean {
    return this.#state.isLeader && !this.#state.isRetiredCommitted;
  }

  get isPrimary(): boolean {
    return this.#state.isLeader;
  }

  /** A candidate is neither primary nor backup. */
  get isBackup(): boolean {
    return this.#state.leadership === "Follower";
  }

  /** Whether so much is uncommitted that users have to wait. */
  get isAtMaxCapacity(): boolean {
    const { isLeader, last, committed, options } = this.#state;
    return options.maxUncommitted !== 0 && isLeader && last - committed >= options.maxUncommitted;
  }

  get lastSeqno(): Seqno {
    return this.#state.last;
  }

  get committedSeqno(): Seqno {
    return this.#state.committed;
  }

  /** The last signature. */
  get lastCommittable(): Seqno {
    return this.#state.lastCommittable;
  }

  /** Signatures that are not committed yet, ascending. */
  get committables(): readonly Seqno[] {
    return this.#state.committables;
  }

  /** All in force, ascending: the first is committed, or the oldest known. */
  get configurations(): readonly Configuration[] {
    return this.#state.configurations;
  }

  get latestMembers(): Members | undefined {
    return this.#state.configurations.at(-1)?.members;
  }

  get peers(): ReadonlyMap<NodeId, Readonly<Peer>> {
    return this.#state.peers;
  }

  get viewStarts(): ViewStarts {
    return this.#state.viewStarts;
  }

  /** The view of an entry; 0 where there is none. */
  viewOf(seqno: Seqno): View {
    return this.#state.viewOf(seqno);
  }

  /** A new leader is to sign, even where nothing is new. */
  get shouldSign(): boolean {
    return this.#state.shouldSign;
  }

  get ticking(): boolean {
    return this.#state.ticking;
  }

  /** The "details" of `GET /node/consensus`, with the names that CCF gives them (§22). */
  details() {
    const state = this.#state;
    const acks = [...state.peers].map(([id, { match, lastAckMs }]) => [id, {
      last_received_ms: lastAckMs,
      seqno: match,
    }]);
    const configs = state.configurations.map(({ seqno, members }) => ({
      idx: seqno,
      nodes: Object.fromEntries([...members].map(([id, address]) => [id, { address }])),
      rid: seqno,
    }));
    return {
      acks: Object.fromEntries(acks),
      configs,
      current_view: state.view,
      leadership_state: state.leadership,
      membership_state: state.membership,
      primary_id: state.leaderId ?? null,
      reconfiguration_type: "OneTransaction",
      ...(state.retirementPhase === undefined ? {} : { retirement_phase: state.retirementPhase }),
      ticking: state.ticking,
    };
  }
}
