/**
 * What nodes say to each other to agree on one ledger: the words, and their bytes.
 *
 * In: a message. Out: its header, as the channel authenticates it; entries travel behind it, outside.
 * Format: consensus.md §6: little-endian u64 fields, packed; the first says which message it is.
 */

import type { Seqno, View } from "../tx_id.ts";

/** Hex SHA-256 of a node's public key. */
export type NodeId = string;

/**
 * "In view `view` my log has entries after `previous` up to `last`; the one at `previous` has view `previousView`, and all
 * that come with this have view `viewOfEntries`." A heartbeat where `previous` equals `last`.
 */
export interface AppendEntries {
  readonly kind: "append entries";
  readonly view: View;
  readonly last: Seqno;
  readonly previous: Seqno;
  readonly previousView: View;
  readonly committed: Seqno;
  readonly viewOfEntries: View;
}

/** `last`: what was asked about where it succeeded, else how far the responder's log may match (consensus.md §6). */
export interface AppendEntriesResponse {
  readonly kind: "append entries response";
  readonly view: View;
  readonly last: Seqno;
  readonly success: boolean;
}

/** A candidate's log is judged by its last signature alone. */
export interface RequestVote {
  readonly kind: "request vote" | "request pre-vote";
  readonly view: View;
  readonly lastCommittable: Seqno;
  readonly viewOfLastCommittable: View;
}

export interface RequestVoteResponse {
  readonly kind: "request vote response" | "request pre-vote response";
  readonly view: View;
  readonly granted: boolean;
}

/** "Run for election at once." */
export interface ProposeRequestVote {
  readonly kind: "propose request vote";
  readonly view: View;
}

export type RaftMessage =
  | AppendEntries
  | AppendEntriesResponse
  | RequestVote
  | RequestVoteResponse
  | ProposeRequestVote;
