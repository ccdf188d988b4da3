/**
 * What consensus asks of what stands around it: send, execute, roll back, commit.
 *
 * Calls are made in the order in which their effects must be seen, each while a message, an append or a tick is being
 * handled; none of them may call consensus back. Consensus knows nothing of bytes, stores or keys.
 */

import type { Seqno, TxId, View } from "../tx_id.ts";
import type { NodeId, RaftMessage } from "./messages.ts";

/** Who votes, and where each is reached: "host:port". */
export type Members = ReadonlyMap<NodeId, string>;

/** What an entry means to consensus. */
export interface EntryEffects {
  /** A signature: only such entries are committed, with all before them. */
  readonly committable: boolean;
  /** The new configuration, whole, where the entry changes it. */
  readonly members?: Members;
}

export interface RaftPort<Entry> {
  /**
   * Sends one message, if it can. Entries after `previous` up to `last` travel with an "append entries", or the first of
   * them where all are too much: the rest is asked for.
   */
  send(to: NodeId, message: RaftMessage): void;

  /**
   * Where a message that begins with the entry `from` is to end, at the latest with `to`: what goes behind some entries
   * must go in another message. Without it, at `to`.
   */
  endOfMessage?(from: Seqno, to: Seqno): Seqno;

  /**
   * A backup takes an entry: checks it, applies it to the state, writes it to the ledger.
   *
   * @returns undefined, with nothing changed, where the entry is malformed, is not `id`, or does not apply
   */
  execute(entry: Entry, id: TxId): EntryEffects | undefined;

  /** Forgets all entries after `to`, of which none is committed. What comes next is written in `view`. */
  rollback(to: TxId, view: View): void;

  /**
   * Everything up to `seqno`, a signature, is final.
   *
   * @returns nodes whose retirement is now known to every future primary: those for which a committed entry says so
   */
  commit(seqno: Seqno): readonly NodeId[];

  /** From here on messages may go to a node. */
  peerAdded(id: NodeId, address: string): void;

  /** No message goes to a node any more. */
  peerRemoved(id: NodeId): void;

  /** A primary may have committed removals that nobody has recorded yet: once it can, it is to write them down. */
  retirementsMayBeRecorded(): void;
}
