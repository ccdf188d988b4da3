/**
 * How a node comes to lead, and how it falls back.
 *
 * Source: consensus.md §12, §13. Votes compare logs by their last signature, never by their last entry.
 */

import { assert } from "../assert.ts";
import { MAX_VIEWS } from "../limits.ts";
import type { View } from "../tx_id.ts";
import { rollback } from "./log.ts";
import type { NodeId, RequestVote, RequestVoteResponse } from "./messages.ts";
import { sendFrom } from "./sending.ts";
import type { RaftState } from "./state.ts";

/** An election takes two round trips: this part of the election timeout is time enough, or no timeout would be. */
const RUN_DIVISOR = 8;

/** Gives up leading or running, in the same view: after check-quorum, or when another was elected. */
export function becomeFollower<Entry>(state: RaftState<Entry>): void {
  state.leaderId = undefined;
  state.restartElectionTimer();
  state.resetAckTimers();
  rollback(state, state.lastCommittable);
  state.leadership = "Follower";
  state.trace("become_follower");
}

/**
 * Somebody has reached `view`, which is not lower than ours.
 *
 * In a view that was ours already a vote stands, which in CCF is forgotten (§13): had it made the sender the leader,
 * and were the sender's entries refused, a request that comes late could have the vote for a second leader of the view.
 */
export function becomeAwareOfView<Entry>(state: RaftState<Entry>, view: View): void {
  assert(view >= state.view, "Views do not go back");
  if (view > state.view) state.votedFor = undefined;
  state.view = view;
  state.voters.clear();
  becomeFollower(state);
  state.isNewFollower = true;
}

/**
 * A node that only asked hears the leader of its view, and follows.
 *
 * Here we differ from CCF (§10, step 1), where the node drops its unsigned tail. The leader may have been told that the
 * tail is here, and never sends what was acknowledged again: nothing it sends would fit, as long as it leads.
 */
export function endPreVote<Entry>(state: RaftState<Entry>): void {
  state.restartElectionTimer();
  stopAsking(state);
}

function stopAsking<Entry>(state: RaftState<Entry>): void {
  state.leadership = "Follower";
  // It may have run in this view before it asked for the next: then it follows here for the first time.
  state.isNewFollower = true;
  state.trace("become_follower");
}

/** The election timer fired: asks whether it is worth running, which disturbs nobody, or runs. */
export function startElection<Entry>(state: RaftState<Entry>): void {
  if (state.options.preVote ?? true) becomePreVoteCandidate(state);
  else becomeCandidate(state);
}

function becomePreVoteCandidate<Entry>(state: RaftState<Entry>): void {
  if (state.configurations.length === 0) return;
  state.leadership = "PreVoteCandidate";
  state.leaderId = undefined;
  state.voters.clear();
  state.restartElectionTimer();
  state.trace("become_pre_vote_candidate");
  addVote(state, state.id);
  askForVotes(state, "request pre-vote");
}

/** Runs in a new view. Without a configuration nothing happens, nor where somebody has used up the views. */
export function becomeCandidate<Entry>(state: RaftState<Entry>): void {
  if (state.configurations.length === 0 || state.view >= MAX_VIEWS) return;
  state.leadership = "Candidate";
  state.leaderId = undefined;
  state.votedFor = state.id;
  state.voters.clear();
  state.view++;
  state.restartElectionTimer();
  state.resetAckTimers();
  state.trace("become_candidate");
  addVote(state, state.id);
  askForVotes(state, "request vote");
}

/** Asks every other member of every configuration. A node that has won by its own vote has nobody to ask. */
function askForVotes<Entry>(state: RaftState<Entry>, kind: RequestVote["kind"]): void {
  const voters = new Set(state.configurations.flatMap(({ members }) => [...members.keys()]));
  voters.delete(state.id);
  const lastCommittable = state.lastCommittable;
  for (const to of voters) {
    const message = { kind, view: state.view, lastCommittable, viewOfLastCommittable: state.viewOf(lastCommittable) };
    state.trace("send_request_vote", { peer: to, message });
    state.port.send(to, message);
  }
}

function addVote<Entry>(state: RaftState<Entry>, from: NodeId): void {
  state.voters.add(from);
  if (!state.isQuorumInEach((id) => state.voters.has(id))) return;
  if (state.leadership === "PreVoteCandidate") becomeCandidate(state);
  else becomeLeader(state);
}

/** A quorum of each configuration wants it, or it is the first. */
export function becomeLeader<Entry>(state: RaftState<Entry>): void {
  assert(!state.isRetiredCommitted, "A node that all know to be removed does not run");
  // What nobody signed is dropped, so that views change right after signatures. Quirk: before anything is committed it
  // is kept; only a network without a first node can come to that.
  rollback(state, state.committed === 0 ? state.last : state.lastCommittable);
  state.leadership = "Leader";
  state.leaderId = state.id;
  state.shouldSign = true;
  state.timeoutElapsedMs = 0;
  state.resetAckTimers();
  state.trace("become_leader");
  for (const [id, peer] of state.peers) {
    peer.match = 0;
    peer.sent = state.last;
    sendFrom(state, id, state.last + 1);
  }
  state.port.retirementsMayBeRecorded();
}

/**
 * Anybody may ask, members or not, and removed nodes answer too: others may not know of the removal yet.
 *
 * Where it is known, a removed node gets no vote, and its view does not count. That is ours: the leader sends it nothing
 * any more, so it may never learn that it is not needed, runs as soon as its timer fires, and where nothing was written
 * since it would win (§18 says so); a service must not lose its leader by each retirement.
 */
export function receiveRequestVote<Entry>(state: RaftState<Entry>, from: NodeId, request: RequestVote): void {
  state.trace("recv_request_vote", { peer: from, message: request });
  const isReal = request.kind === "request vote";
  const isRetired = state.retired.has(from);
  if (request.view > state.view && !isRetired) becomeAwareOfView(state, request.view);
  const granted = !isRetired && request.view === state.view && isUpToDate(state, request) &&
    (!isReal || (state.leaderId === undefined && (state.votedFor ?? from) === from));
  if (granted && isReal) {
    state.restartElectionTimer();
    state.votedFor = from;
  }
  if (granted && state.leadership === "PreVoteCandidate" && (isReal || goesFirst(state, from, request))) {
    stopAsking(state);
  }
  if (granted && !isReal && !state.isLeader) leaveTimeToRun(state);
  const kind = isReal ? "request vote response" : "request pre-vote response";
  const message = { kind, view: state.view, granted } as const;
  state.trace("send_request_vote_response", { peer: from, message });
  state.port.send(from, message);
}

/** Whether a candidate has at least what this node has, as far as signatures reach. */
function isUpToDate<Entry>(state: RaftState<Entry>, { lastCommittable, viewOfLastCommittable }: RequestVote): boolean {
  const ownView = state.viewOf(state.lastCommittable);
  if (viewOfLastCommittable !== ownView) return viewOfLastCommittable > ownView;
  return lastCommittable >= state.lastCommittable;
}

/**
 * Who has just been told that it may run is given the time to, where this node's own timer is about to fire: its vote is
 * wanted, and in the next moment it would ask itself. CCF does not wait.
 */
function leaveTimeToRun<Entry>(state: RaftState<Entry>): void {
  const { electionTimeoutMs } = state.options;
  const latest = electionTimeoutMs - Math.floor(electionTimeoutMs / RUN_DIVISOR);
  state.timeoutElapsedMs = Math.min(state.timeoutElapsedMs, latest);
}

/**
 * Of two nodes that ask for pre-votes at once, whether the other one is to run, which has at least as much as this one.
 *
 * Each says yes to the other, so that both would run, vote for themselves, and leave the view without a leader. CCF lets
 * them. Here the one that has more goes first, of equals the one with the greater ID. It is told nothing else for that,
 * and the election timer of the one that waits goes on: who goes first and cannot win holds up nobody.
 */
function goesFirst<Entry>(state: RaftState<Entry>, from: NodeId, request: RequestVote): boolean {
  const { lastCommittable } = state;
  const isEqual = request.lastCommittable === lastCommittable &&
    request.viewOfLastCommittable === state.viewOf(lastCommittable);
  return state.peers.has(from) && (!isEqual || from > state.id);
}

export function receiveVote<Entry>(state: RaftState<Entry>, from: NodeId, response: RequestVoteResponse): void {
  state.trace("recv_request_vote_response", { peer: from, message: response });
  if (!state.peers.has(from)) return;
  if (response.view > state.view) return becomeAwareOfView(state, response.view);
  const expected = response.kind === "request vote response" ? "Candidate" : "PreVoteCandidate";
  if (response.view === state.view && state.leadership === expected && response.granted) addVote(state, from);
}
