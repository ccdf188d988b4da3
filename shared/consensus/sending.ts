/**
 * What a leader sends of its log, and to whom; and whom it would rather have lead.
 *
 * Source: consensus.md §9 "Send to peer", §19.
 */

import { assert } from "../assert.ts";
import { MAX_APPENDS_PER_SENDING } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import type { NodeId } from "./messages.ts";
import type { Peer, RaftState } from "./state.ts";

/**
 * Sends a peer the log from `start` on, at most `MAX_APPENDS_PER_SENDING` messages; the heartbeat, if there is nothing.
 *
 * What was sent is taken to have arrived: a refusal says where to begin again.
 */
export function sendFrom<Entry>(state: RaftState<Entry>, to: NodeId, start: Seqno): void {
  assert(state.isLeader, "Only a leader sends entries");
  const peer = state.peers.get(to);
  assert(peer !== undefined, "Entries are sent to known peers");
  let next = start;
  for (let messages = 0; messages < MAX_APPENDS_PER_SENDING; messages++) {
    // Entries of two views never travel together. A view without an end is the latest.
    const endOfView = state.viewStarts.endOf(state.viewOf(next)) || state.last;
    const most = Math.min(next + state.batch.entries - 1, endOfView, state.last);
    const end = next > most ? most : state.port.endOfMessage?.(next, most) ?? most;
    assert(end <= most && (end >= next || next > most), "A message that could have entries has one, and none too many");
    sendEntries(state, to, peer, next - 1, end);
    peer.behind = end < state.last;
    if (!peer.behind) return;
    next = end + 1;
  }
}

/** One message with the entries after `previous` up to `last`. */
function sendEntries<Entry>(state: RaftState<Entry>, to: NodeId, peer: Peer, previous: Seqno, last: Seqno): void {
  const message = {
    kind: "append entries",
    view: state.view,
    last,
    previous,
    previousView: state.viewOf(previous),
    committed: state.committed,
    viewOfEntries: state.viewOf(last),
  } as const;
  state.trace("send_append_entries", { peer: to, message, sent: peer.sent, match: peer.match });
  state.port.send(to, message);
  peer.sent = last;
}

/** Sends every peer what it has not been sent, or the heartbeat. */
export function sendToAll<Entry>(state: RaftState<Entry>): void {
  for (const [id, peer] of state.peers) sendFrom(state, id, peer.sent + 1);
}

/** Asks the peer that is best placed to lead to run for it. Nothing happens where there is no peer. */
export function nominateSuccessor<Entry>(state: RaftState<Entry>): void {
  state.trace("step_down_and_nominate_successor");
  const successor = bestSuccessor(state);
  if (successor === undefined) return;
  const message = { kind: "propose request vote", view: state.view } as const;
  state.trace("send_propose_request_vote", { peer: successor, message });
  state.port.send(successor, message);
}

/** Who has most of the log; then who is in the latest configuration; then who was added first. */
function bestSuccessor<Entry>(state: RaftState<Entry>): NodeId | undefined {
  let best: { id: NodeId; match: Seqno; configuredAt: Seqno } | undefined;
  for (const [id, { match }] of state.peers) {
    const configuredAt = state.configurations.findLast(({ members }) => members.has(id))?.seqno ?? 0;
    const isBetter = best === undefined || match > best.match ||
      (match === best.match && configuredAt > best.configuredAt);
    if (isBetter) best = { id, match, configuredAt };
  }
  return best?.id;
}
