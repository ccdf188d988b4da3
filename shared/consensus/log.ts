/**
 * What is final, and what is dropped again.
 *
 * Source: consensus.md §14 "Commit to c", "commit-if-possible"; §15.
 */

import { assert } from "../assert.ts";
import type { Seqno } from "../tx_id.ts";
import { completeRetirementAt, refreshPeers, rollbackMembership, setRetiredCommitted } from "./membership.ts";
import type { RaftState } from "./state.ts";

/** Forgets entries after `to`, and tells the store in which view the next one is written, whether any was there or not. */
export function rollback<Entry>(state: RaftState<Entry>, to: Seqno): void {
  assert(to >= state.committed, "Committed entries are not rolled back");
  assert(to <= state.last, "A rollback goes back");
  state.port.rollback({ view: state.viewOf(to), seqno: to }, state.view);
  state.last = to;
  state.viewStarts.rollback(to);
  state.committables = state.committables.filter((seqno) => seqno <= to);
  rollbackMembership(state, to);
}

/** A leader says that everything up to `seqno` is committed: so is what this node has of it, up to a signature. */
export function commitUpTo<Entry>(state: RaftState<Entry>, seqno: Seqno): void {
  if (seqno <= state.committed) return;
  const committable = state.committableUpTo(seqno);
  if (committable !== undefined) commit(state, committable);
}

/** A leader commits what a quorum of each configuration has, if it is of its own view. */
export function tryCommit<Entry>(state: RaftState<Entry>): void {
  const agreed = agreedSeqno(state);
  const committable = state.committableUpTo(agreed);
  if (committable === undefined) return;
  // An entry of an older view may still lose against one that its quorum does not know (figure 8 of the Raft paper):
  // it is committed by what stands on it.
  if (state.viewOf(committable) !== state.view) return;
  commit(state, committable);
}

/** The last entry that a quorum of each configuration has; 0 where there is no configuration. */
function agreedSeqno<Entry>(state: RaftState<Entry>): Seqno {
  if (state.configurations.length === 0) return 0;
  const agreedIn = state.configurations.map(({ members }) => {
    const matches = [...members.keys()].map((id) => id === state.id ? state.last : state.peers.get(id)?.match ?? 0);
    return matches.sort((a, b) => a - b)[(matches.length - 1) >> 1] ?? 0;
  });
  return Math.min(...agreedIn);
}

/** Everything up to the signature at `seqno` is final. */
function commit<Entry>(state: RaftState<Entry>, seqno: Seqno): void {
  assert(seqno > state.committed, "What is committed is so once");
  assert(seqno <= state.last, "Only what a node has is committed");
  state.trace("commit", { seqno });
  state.committables = state.committables.filter((committable) => committable > seqno);
  state.committed = seqno;
  // Before the store is told, which may say of this very node that its removal is known.
  completeRetirementAt(state, seqno);
  const retired = state.port.commit(seqno);
  for (const id of retired) if (id !== state.id) setRetiredCommitted(state, id);
  // Last, so that it does not hand over to one of the others.
  if (retired.includes(state.id)) setRetiredCommitted(state, state.id);

  const current = state.configurations.findLastIndex((configuration) => configuration.seqno <= seqno);
  if (current <= 0) return;
  state.configurations = state.configurations.slice(current);
  refreshPeers(state);
  if (state.isLeader) state.port.retirementsMayBeRecorded();
}
