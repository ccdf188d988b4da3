/**
 * What nodes say to each other to agree on one ledger: the words, and their bytes.
 *
 * In: a message. Out: its header, as the channel authenticates it; entries travel behind it, outside.
 * Format: consensus.md §6: little-endian u64 fields, packed; the first says which message it is.
 */

import { FormatError, unreachable } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import { MAX_VIEWS } from "../limits.ts";
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
  /** The leader has not seen these entries: it began behind them, and cannot say which of them have flags. */
  readonly flagsUnknown?: true;
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

/** What the first u64 says, and the size of the header in bytes. Kind 2 was used once and is not any more. */
const KINDS: readonly ({ readonly kind: RaftMessage["kind"]; readonly bytes: number } | undefined)[] = [
  { kind: "append entries", bytes: 57 },
  { kind: "append entries response", bytes: 25 },
  undefined,
  { kind: "request vote", bytes: 32 },
  { kind: "request vote response", bytes: 17 },
  { kind: "propose request vote", bytes: 16 },
  { kind: "request pre-vote", bytes: 32 },
  { kind: "request pre-vote response", bytes: 17 },
];

/**
 * How many bytes at the front of a message are its header; what follows are ledger entries.
 *
 * @param start at least the first eight bytes of the message
 * @throws FormatError where no message begins so
 */
export function raftHeaderBytes(start: Uint8Array): number {
  return kindOf(new Reader(start)).bytes;
}

/**
 * A header, alone: entries are cut off before (`raftHeaderBytes`).
 *
 * @throws FormatError where it is no message, or one that no correct node sends
 */
export function parseRaftMessage(bytes: Uint8Array): RaftMessage {
  const reader = new Reader(bytes);
  const { kind, bytes: size } = kindOf(reader);
  if (bytes.length !== size) {
    throw new FormatError(`Cannot read a consensus message "${kind}" of ${bytes.length} bytes: it has ${size}`);
  }
  switch (kind) {
    case "append entries":
      return parseAppendEntries(reader);
    case "append entries response": {
      const view = readView(reader);
      const last = reader.u64();
      // Zero is success, as in the program that wrote the format.
      return { kind, view, last, success: !readFlag(reader) };
    }
    case "request vote":
    case "request pre-vote": {
      const view = readView(reader);
      return { kind, view, lastCommittable: reader.u64(), viewOfLastCommittable: readView(reader) };
    }
    case "request vote response":
    case "request pre-vote response": {
      const view = readView(reader);
      return { kind, view, granted: readFlag(reader) };
    }
    case "propose request vote":
      return { kind, view: readView(reader) };
    default:
      return unreachable(kind);
  }
}

/** The header of a message. Entries, where there are any, go behind it. */
export function serialiseRaftMessage(message: RaftMessage): Uint8Array {
  const { kind } = message;
  const number = KINDS.findIndex((known) => known?.kind === kind);
  const out = new Writer(64).u64(number);
  switch (kind) {
    case "append entries":
      out.u64(message.last).u64(message.previous).u64(message.view).u64(message.previousView);
      // The last byte once told of a new view. CCF writes 0 there and does not look; the meaning of 1 is Quorate's own.
      return out.u64(message.committed).u64(message.viewOfEntries).u8(message.flagsUnknown ? 1 : 0).finish();
    case "append entries response":
      return out.u64(message.view).u64(message.last).u8(message.success ? 0 : 1).finish();
    case "request vote":
    case "request pre-vote":
      return out.u64(message.view).u64(message.lastCommittable).u64(message.viewOfLastCommittable).finish();
    case "request vote response":
    case "request pre-vote response":
      return out.u64(message.view).u8(message.granted ? 1 : 0).finish();
    case "propose request vote":
      return out.u64(message.view).finish();
    default:
      return unreachable(kind);
  }
}

function kindOf(reader: Reader): { readonly kind: RaftMessage["kind"]; readonly bytes: number } {
  const number = reader.u64();
  const known = KINDS[number];
  if (known === undefined) throw new FormatError(`Cannot read a consensus message of kind ${number}: there is none`);
  return known;
}

function parseAppendEntries(reader: Reader): AppendEntries {
  const last = reader.u64();
  const previous = reader.u64();
  const view = readView(reader);
  const previousView = readView(reader);
  const committed = reader.u64();
  const viewOfEntries = readView(reader);
  const flagsUnknown = readFlag(reader);
  if (last < previous) {
    throw new FormatError(`Cannot read an append entries: it ends at ${last}, before it begins at ${previous}`);
  }
  // What section 4 promises of every log; replication builds on it.
  if (viewOfEntries < previousView || viewOfEntries > view) {
    throw new FormatError(
      `Cannot read an append entries: entries of view ${viewOfEntries} cannot follow one of ${previousView} in view ${view}`,
    );
  }
  const message = { kind: "append entries", view, last, previous, previousView, committed, viewOfEntries } as const;
  return flagsUnknown ? { ...message, flagsUnknown } : message;
}

function readView(reader: Reader): View {
  const view = reader.u64();
  if (view > MAX_VIEWS) throw new FormatError(`Cannot follow a node into view ${view}: at most ${MAX_VIEWS}`);
  return view;
}

function readFlag(reader: Reader): boolean {
  const flag = reader.u8();
  if (flag > 1) throw new FormatError(`Cannot read a consensus message: ${flag} stands where 0 or 1 must be`);
  return flag === 1;
}
