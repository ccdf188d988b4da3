/**
 * One log on all nodes: a leader appends, backups take over, answers tell the leader what they have.
 *
 * Source: consensus.md §9 "Append", §10, §11.
 */

import { assert } from "../assert.ts";
import type { Seqno } from "../tx_id.ts";
import { becomeAwareOfView, endPreVote } from "./elections.ts";
import { commitUpTo, rollback, tryCommit } from "./log.ts";
import { addConfiguration, noteSignature } from "./membership.ts";
import type { AppendEntries, AppendEntriesResponse, NodeId } from "./messages.ts";
import type { EntryEffects } from "./port.ts";
import { sendFrom, sendToAll } from "./sending.ts";
import type { RaftState } from "./state.ts";

/** The leader's next entry. It is sent with the next heartbeat, or at once where enough has come together. */
export function append<Entry>(state: RaftState<Entry>, seqno: Seqno, sizeBytes: number, effects: EntryEffects): void {
  assert(state.isLeader && !state.isRetiredCommitted, "Only a leader appends entries");
  assert(seqno === state.last + 1, "Entries are appended in order");
  state.trace("replicate", { seqno, committable: effects.committable });
  if (effects.members !== undefined) addConfiguration(state, seqno, effects.members);
  if (effects.committable) {
    noteSignature(state, seqno);
    state.shouldSign = false;
  }
  state.last = seqno;
  state.viewStarts.update(seqno, state.view);
  if (state.batch.count(sizeBytes)) {
    state.batch.update();
    state.batch.startOver();
    sendToAll(state);
  }
  if (state.isAlone) tryCommit(state);
}

/**
 * @param entries those after `message.previous`, up to `message.last` or as many as could be carried; undefined where
 *   their bytes are not entries. What could not be carried is refused, so that it is sent again
 */
export function receiveAppendEntries<Entry>(
  state: RaftState<Entry>,
  from: NodeId,
  message: AppendEntries,
  entries: readonly Entry[] | undefined,
): void {
  state.trace("recv_append_entries", { peer: from, message });
  if (message.view < state.view) return refuse(state, from);
  if (message.view > state.view || state.leadership === "Candidate") becomeAwareOfView(state, message.view);
  if (state.leadership === "PreVoteCandidate") endPreVote(state);
  // Two leaders of one view cannot be; to answer would make it worse.
  if (state.isLeader) return;

  const ownPreviousView = state.viewOf(message.previous);
  if (ownPreviousView !== message.previousView) {
    if (ownPreviousView === 0) return refuse(state, from);
    return refuseFrom(state, from, state.highestPossibleMatch(message.previousView, message.previous));
  }

  state.leaderId = from;
  state.restartElectionTimer();
  // What is committed cannot differ, so an old message says nothing new. A leader asks nobody about what comes after
  // the end of his log, unless it has none itself.
  if (message.previous < state.committed || message.previous > state.last) return;

  const next = firstDifference(state, message);
  if (next <= Math.min(message.last, state.last)) {
    // Entries that conflict with ours are replaced once for each view that we follow: a second time, the message is
    // older than what replaced them.
    if (!state.isNewFollower) return;
    state.isNewFollower = false;
    rollback(state, next - 1);
  }
  if (next <= message.last) {
    if (entries === undefined || entries.length > message.last - message.previous) return refuse(state, from);
    if (!execute(state, message, entries, next)) return refuse(state, from);
  }
  commitUpTo(state, Math.min(message.committed, agreedUpTo(state, message)));
  // Of what comes after the message's last entry nobody knows yet whether it is the leader's too.
  answer(state, from, { kind: "append entries response", view: state.view, last: message.last, success: true });
}

/**
 * How far the log is the leader's for certain.
 *
 * A log that ends in the leader's view has it all from this leader. One that ends in an older view may go on behind the
 * message with entries that the leader never had, signed ones too: `committed` does not speak of those. CCF does not ask
 * (§10, step 7), and commits them where a refusal of an earlier view makes the leader begin too low.
 */
function agreedUpTo<Entry>(state: RaftState<Entry>, message: AppendEntries): Seqno {
  return state.viewOf(state.last) === state.view ? state.last : message.last;
}

/** The first entry of a message that is not in the log, or is another one there; the one after its last if all are. */
function firstDifference<Entry>(state: RaftState<Entry>, message: AppendEntries): Seqno {
  const end = Math.min(message.last, state.last);
  let seqno = message.previous + 1;
  while (seqno <= end && state.viewOf(seqno) === message.viewOfEntries) seqno++;
  return seqno;
}

/**
 * Takes the entries from `next` on.
 *
 * @returns false where one of them is not what it should be, or did not come; those before it are kept
 */
function execute<Entry>(state: RaftState<Entry>, message: AppendEntries, entries: readonly Entry[], next: Seqno) {
  for (let seqno = next; seqno <= message.last; seqno++) {
    const entry = entries[seqno - message.previous - 1];
    if (entry === undefined) return false;
    state.trace("execute_append_entries_sync", { seqno });
    const effects = state.port.execute(entry, { view: message.viewOfEntries, seqno });
    if (effects === undefined) return false;
    state.last = seqno;
    // At once, where CCF waits for a signature or the end of the message (§10, steps 6 and 8): if the next entry is
    // refused, the leader is told how far this log is right. Nothing else is needed; a heartbeat has no views to tell.
    state.viewStarts.update(seqno, message.viewOfEntries);
    if (effects.members !== undefined) addConfiguration(state, seqno, effects.members);
    if (effects.committable) {
      noteSignature(state, seqno);
      commitUpTo(state, message.committed);
    }
  }
  return true;
}

/** "Not from there: this is my view, and here my log ends." */
function refuse<Entry>(state: RaftState<Entry>, to: NodeId): void {
  answer(state, to, { kind: "append entries response", view: state.view, last: state.last, success: false });
}

/** "The entry before yours is another one here; up to `seqno` we may agree." The view is that of the entry, not ours. */
function refuseFrom<Entry>(state: RaftState<Entry>, to: NodeId, seqno: Seqno): void {
  const view = state.viewOf(seqno);
  answer(state, to, { kind: "append entries response", view, last: seqno, success: false });
}

function answer<Entry>(state: RaftState<Entry>, to: NodeId, message: AppendEntriesResponse): void {
  state.trace("send_append_entries_response", { peer: to, message });
  state.port.send(to, message);
}

export function receiveAppendEntriesResponse<Entry>(
  state: RaftState<Entry>,
  from: NodeId,
  message: AppendEntriesResponse,
): void {
  const peer = state.peers.get(from);
  state.trace("recv_append_entries_response", {
    peer: from,
    message,
    ...(peer === undefined ? {} : { sent: peer.sent, match: peer.match }),
  });
  if (peer === undefined || !state.isLeader) return;
  peer.lastAckMs = 0;
  if (message.view > state.view) return becomeAwareOfView(state, message.view);

  if (!message.success) {
    // A refusal says where to begin again, nothing of what the peer has: `match` stays, and nothing is committed.
    const possible = state.highestPossibleMatch(message.view, message.last);
    peer.sent = Math.max(Math.min(possible, peer.sent), peer.match);
    return;
  }
  if (message.view !== state.view || message.last < peer.match) return;
  // No correct backup says that it has more of a view than the leader of that view.
  if (message.last > state.last) return;
  peer.match = message.last;
  tryCommit(state);
  // Where the last sending carried all that one may, its last answer asks for the next.
  if (state.isLeader && peer.behind && message.last === peer.sent) sendFrom(state, from, peer.sent + 1);
}
