/**
 * Watches the consensus of one whole enclave: what goes in, what comes out, and how the node stands after it.
 *
 * In: a node of an enclave. Out: a `Step` for each call of its `Raft`, as the checkers of bare consensus take them.
 * It listens at the doors between the node's parts and changes nothing. Errors of checkers are kept, since an enclave
 * takes any error for a bug of its own and stops.
 */

import { type NodeId, parseRaftMessage, type RaftMessage } from "../../../shared/consensus/messages.ts";
import type { WriteSet } from "../../../shared/kv/write_set.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import type { Node } from "../../../enclave/node.ts";
import type { NodePicture, Step, StepEvent } from "../picture.ts";
import type { LedgerTree, TreeEntry } from "./ledger_tree.ts";

export interface WatchedPicture extends NodePicture {
  readonly log: readonly TreeEntry[];
}

export interface WatchOptions {
  readonly name: string;
  readonly tree: LedgerTree;
  readonly nameOf: (id: NodeId) => string;
  /** The ledger up to a snapshot, as somebody has it who committed it. */
  readonly ledgerUpTo: (seqno: Seqno) => readonly TreeEntry[];
  readonly onStep: (step: Omit<Step, "nodes" | "withoutGenesis"> & { readonly after: WatchedPicture }) => void;
  /** What cannot be looked at as a step: a sentence. */
  readonly onDifference: (what: string) => void;
}

export class NodeWatch {
  /** Entries with a new ledger secret that it has, or had once. */
  readonly rekeys = new Set<TreeEntry>();
  readonly #node: Node;
  readonly #options: WatchOptions;
  #log: readonly TreeEntry[] = [];
  /** Applied, and not seen as bytes yet. */
  #applied: WriteSet | undefined;
  #sent: { readonly to: string; readonly message: RaftMessage }[] = [];
  #picture: WatchedPicture | undefined;

  constructor(node: Node, options: WatchOptions) {
    this.#node = node;
    this.#options = options;
    this.#listenToStore();
    this.#listenToMessages();
    this.#listenToRaft();
  }

  get log(): readonly TreeEntry[] {
    this.#takeApplied();
    return this.#log;
  }

  get picture(): WatchedPicture | undefined {
    return this.#picture;
  }

  /** The node began before it was watched, with these entries. */
  began(entries: readonly (readonly [bytes: Uint8Array, writeSet: WriteSet])[]): void {
    for (const [bytes, writeSet] of entries) this.#push(bytes, writeSet);
    this.#step({ kind: "start" }, () => {});
  }

  #listenToStore(): void {
    const { store } = this.#node.path;
    const { apply, rollback, load } = {
      apply: store.apply.bind(store),
      rollback: store.rollback.bind(store),
      load: store.load.bind(store),
    };
    store.apply = (seqno, writeSet) => {
      this.#takeApplied();
      apply(seqno, writeSet);
      this.#applied = writeSet;
    };
    store.rollback = (to) => {
      this.#takeApplied();
      rollback(to);
      this.#log = this.#log.slice(0, to);
    };
    store.load = (snapshot) => {
      load(snapshot);
      this.#log = this.#options.ledgerUpTo(snapshot.version);
    };
  }

  #listenToMessages(): void {
    const { channels } = this.#node;
    const sendConsensus = channels.sendConsensus.bind(channels);
    channels.sendConsensus = (to, header, nowMs, entries) => {
      this.#sent.push({ to: this.#options.nameOf(to), message: parseRaftMessage(header) });
      sendConsensus(to, header, nowMs, entries);
    };
  }

  #listenToRaft(): void {
    const { raft } = this.#node.path;
    const { receive, periodic, append, flush, nominateSuccessor, startFrom, becomeAwareOfView } = raft;
    raft.receive = (from, message, entries) =>
      this.#step({ kind: "receive", from: this.#options.nameOf(from), message }, () => {
        receive.call(raft, from, message, entries);
      });
    raft.periodic = (elapsedMs) => this.#step({ kind: "tick", elapsedMs }, () => periodic.call(raft, elapsedMs));
    raft.append = (...entry) => this.#step({ kind: "append" }, () => append.call(raft, ...entry));
    raft.flush = () => this.#step({ kind: "flush" }, () => flush.call(raft));
    raft.nominateSuccessor = () => this.#step({ kind: "nominate" }, () => nominateSuccessor.call(raft));
    raft.startFrom = (start) => this.#step({ kind: "start" }, () => startFrom.call(raft, start));
    raft.becomeAwareOfView = (view) => this.#step({ kind: "start" }, () => becomeAwareOfView.call(raft, view));
  }

  #step(event: StepEvent, act: () => void): void {
    this.#sent = [];
    const before = this.#picture;
    act();
    const after = this.#take();
    this.#picture = after;
    this.#options.onStep({ event, before, after, sent: this.#sent });
  }

  /** The bytes of an entry are shown after it was applied. */
  #takeApplied(): void {
    const writeSet = this.#applied;
    if (writeSet === undefined) return;
    this.#applied = undefined;
    this.#push(this.#node.path.lastEntry, writeSet);
  }

  #push(bytes: Uint8Array, writeSet: WriteSet): void {
    const entry = this.#options.tree.entryAfter(this.#log.at(-1), bytes, writeSet);
    if (typeof entry === "string") return this.#options.onDifference(`${this.#options.name}: ${entry}`);
    this.#log = [...this.#log, entry];
    if (entry.isRekey) this.rekeys.add(entry);
  }

  #take(): WatchedPicture {
    const { raft } = this.#node.path;
    const { name, nameOf } = this.#options;
    return {
      id: name,
      view: raft.view,
      leader: raft.leaderId === undefined ? undefined : nameOf(raft.leaderId),
      leadership: raft.leadership,
      retirementPhase: raft.membership === "Retired" ? raft.retirementPhase : undefined,
      preVote: true,
      log: this.log,
      committed: raft.committedSeqno,
      committable: raft.committables.slice(),
      configurations: raft.configurations.map(({ seqno, members }) => ({
        seqno,
        members: [...members.keys()].map(nameOf).sort(),
      })),
      peers: new Map([...raft.peers].map(([id, { sent, match }]) => [nameOf(id), { sent, match }])),
    };
  }
}
