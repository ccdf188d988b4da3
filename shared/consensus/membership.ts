/**
 * Who votes and who is sent entries, as the log changes it; and this node's own way out.
 *
 * A change is in force from the entry that makes it, not from its commit. Source: consensus.md §17, §18.
 */

import { assert } from "../assert.ts";
import type { Seqno } from "../tx_id.ts";
import { MAX_RETIRED_NODES } from "../limits.ts";
import { compareUtf8 } from "../utf8_order.ts";
import type { NodeId } from "./messages.ts";
import type { Members } from "./port.ts";
import { nominateSuccessor, sendFrom } from "./sending.ts";
import type { RaftState } from "./state.ts";

/** The entry at `seqno` says who the members are. A leader calls this before it counts the entry as its last. */
export function addConfiguration<Entry>(state: RaftState<Entry>, seqno: Seqno, members: Members): void {
  state.trace("add_configuration", { seqno, members: [...members.keys()] });
  const latest = state.configurations.at(-1);
  // A node that is out stays out, whatever later entries say: a node ID is never used again.
  if (state.membership === "Active" && latest?.members.has(state.id) && !members.has(state.id)) {
    state.membership = "Retired";
    state.retirementPhase = "Ordered";
    state.retirementSeqno = seqno;
  }
  if (latest !== undefined && sameMembers(latest.members, members)) return;
  assert(latest === undefined || seqno > latest.seqno, "Configurations are added in order");
  state.configurations.push({ seqno, members });
  refreshPeers(state);
}

/**
 * Takes note of members that are not peers yet; a leader probes them at the end of its log.
 *
 * Peers that are in no configuration any more stay: until every future leader knows that their removal is committed,
 * their votes may be needed.
 */
export function refreshPeers<Entry>(state: RaftState<Entry>): void {
  const addresses = new Map<NodeId, string>();
  for (const { members } of state.configurations) {
    for (const [id, address] of members) {
      if (id !== state.id && !state.peers.has(id)) addresses.set(id, address);
    }
  }
  for (const id of [...addresses.keys()].sort(compareUtf8)) {
    state.peers.set(id, { sent: state.last + 1, match: 0, lastAckMs: 0, behind: false });
    state.port.peerAdded(id, addresses.get(id)!);
    if (state.isLeader) sendFrom(state, id, state.last + 1);
  }
}

/** A signature is at `seqno`: it may be committed, and with it a removal of this node that it covers. */
export function noteSignature<Entry>(state: RaftState<Entry>, seqno: Seqno): void {
  if (state.retirementPhase === "Ordered") {
    state.retirementPhase = "Signed";
    state.retirementCommittable = seqno;
  }
  state.committables.push(seqno);
  if (!state.ticking && state.isInLatestConfiguration) {
    state.ticking = true;
    state.timeoutElapsedMs = 0;
  }
}

/** The removal of this node is final. It goes on as before, since others may not know it yet. */
export function completeRetirementAt<Entry>(state: RaftState<Entry>, committed: Seqno): void {
  if (state.retirementPhase === "Signed" && committed >= state.retirementCommittable!) {
    state.retirementPhase = "Completed";
  }
}

/** Takes back what entries after `seqno` said. What is committed never is. */
export function rollbackMembership<Entry>(state: RaftState<Entry>, seqno: Seqno): void {
  if (state.retirementPhase === "Signed" && state.retirementCommittable! > seqno) {
    state.retirementPhase = "Ordered";
    state.retirementCommittable = undefined;
  }
  if (state.retirementPhase === "Ordered" && state.retirementSeqno! > seqno) {
    state.membership = "Active";
    state.retirementPhase = undefined;
    state.retirementSeqno = undefined;
  }
  const kept = state.configurations.filter((configuration) => configuration.seqno <= seqno);
  if (kept.length === state.configurations.length) return;
  state.configurations = kept;
  refreshPeers(state);
}

/** It is committed that a node's removal is committed: every future leader knows it, so the node is not needed. */
export function setRetiredCommitted<Entry>(state: RaftState<Entry>, id: NodeId): void {
  if (id !== state.id) {
    if (state.peers.delete(id)) state.port.peerRemoved(id);
    state.retired.add(id);
    if (state.retired.size > MAX_RETIRED_NODES) state.retired.delete(state.retired.values().next().value!);
    return;
  }
  // Whoever began behind a snapshot of after its own removal has seen no phase of it, and is as much not needed.
  state.membership = "Retired";
  if (state.isLeader) nominateSuccessor(state);
  state.retirementPhase = "RetiredCommitted";
  state.leadership = "None";
  state.leaderId = undefined;
}

/** Addresses do not count: an ID has one address for good. */
function sameMembers(a: Members, b: Members): boolean {
  return a.size === b.size && [...a.keys()].every((id) => b.has(id));
}
