/**
 * Bare consensus in a world without network: nodes, their stub ledgers, and the messages that wait in them.
 *
 * In: what is to happen to which node. Out: steps, each checked against every property before anything else happens.
 * Nothing moves by itself. The scenario driver and the random simulation are two ways to move it.
 */

import { AssertionFailed } from "../../shared/assert.ts";
import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import type { EntryEffects, RaftPort } from "../../shared/consensus/port.ts";
import { Raft } from "../../shared/consensus/raft.ts";
import type { RaftTrace } from "../../shared/consensus/state.ts";
import type { Seqno, TxId, View } from "../../shared/tx_id.ts";
import { configurationsOf, type NodePicture, type Property, type Step, type StepEvent } from "./picture.ts";
import { type Body, membersOf, type StubEntry, StubLedger } from "./stub_ledger.ts";

/** A property that does not hold, or consensus that asserts against itself. */
export class Violation extends Error {
  override name = "Violation";

  constructor(readonly property: string, readonly what: string, options?: ErrorOptions) {
    super(`${property}: ${what}`, options);
  }
}

export interface WorldOptions {
  readonly messageTimeoutMs: number;
  readonly electionTimeoutMs: number;
  readonly properties: readonly Property[];
  readonly randomBelow: (n: number) => number;
  readonly trace?: (event: RaftTrace) => void;
}

export interface Envelope {
  readonly to: NodeId;
  readonly message: RaftMessage;
}

export class World {
  readonly #nodes = new Map<NodeId, BareNode>();
  readonly #pictures = new Map<NodeId, NodePicture>();
  readonly #ledger = new StubLedger();
  /** The old command `nodes` was used: no primary made the first configuration. */
  withoutGenesis = false;

  constructor(readonly options: WorldOptions) {}

  /** In the order of their names as strings. */
  get nodes(): readonly BareNode[] {
    return [...this.#nodes.values()];
  }

  get pictures(): ReadonlyMap<NodeId, NodePicture> {
    return this.#pictures;
  }

  has(id: NodeId): boolean {
    return this.#nodes.has(id);
  }

  /** A node that exists. */
  node(id: NodeId): BareNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`There is no node ${id}`);
    return node;
  }

  /** A node that has no state, no entry and no configuration; its election timer runs. */
  create(id: NodeId, preVote: boolean): BareNode {
    if (this.has(id)) throw new Error(`There is a node ${id} already`);
    const node = new BareNode(id, preVote, this.options);
    const sorted = [...this.#nodes, [id, node] as const].sort(([a], [b]) => a < b ? -1 : 1);
    this.#nodes.clear();
    for (const [name, one] of sorted) this.#nodes.set(name, one);
    this.#pictures.set(id, node.picture());
    return node;
  }

  /** A node that begins with what another has committed up to a signature, as if it had read a snapshot there. */
  createFrom(id: NodeId, preVote: boolean, donor: BareNode, seqno: Seqno): BareNode {
    const node = this.create(id, preVote);
    const view = donor.raft.viewOf(seqno);
    const { members } = configurationsOf(donor.ledger, seqno)[0]!;
    this.#step(node, { kind: "start" }, () => {
      donor.ledger.slice(0, seqno).forEach((entry) => node.push(entry));
      node.forgetRetired();
      node.raft.startFrom({ seqno, view, viewStarts: donor.raft.viewStarts.until(seqno), members: membersOf(members) });
      node.raft.becomeAwareOfView(view);
    });
    return node;
  }

  /** Makes the first node of a service primary; it says who is a member in its first entry. */
  startFirst(node: BareNode): void {
    this.#step(node, { kind: "start" }, () => node.raft.forcePrimary());
    this.append(node, { kind: "reconfiguration", nodes: [node.id] }, false);
  }

  /** Tells a node from outside who is a member. */
  giveConfiguration(node: BareNode, nodes: readonly NodeId[]): void {
    this.withoutGenesis = true;
    this.#step(node, { kind: "start" }, () => node.raft.addConfiguration(0, membersOf(nodes)));
  }

  /** A primary appends an entry; it must be able to. */
  append(node: BareNode, body: Body, committable: boolean): void {
    this.#step(node, { kind: "append" }, () => {
      const entry = this.#ledger.entryAfter(node.ledger.at(-1), node.raft.view, committable, body);
      node.push(entry);
      node.raft.append(entry.seqno, entry.sizeBytes, entry.effects);
    });
  }

  tick(node: BareNode, elapsedMs: number): void {
    this.#step(node, { kind: "tick", elapsedMs }, () => node.raft.periodic(elapsedMs));
  }

  flush(node: BareNode): void {
    this.#step(node, { kind: "flush" }, () => node.raft.flush());
  }

  nominateSuccessor(node: BareNode): void {
    this.#step(node, { kind: "nominate" }, () => node.raft.nominateSuccessor());
  }

  /** @param entries what came with an "append entries" */
  deliver(from: NodeId, node: BareNode, message: RaftMessage, entries: readonly StubEntry[] | undefined): void {
    this.#step(node, { kind: "receive", from, message }, () => node.raft.receive(from, message, entries));
  }

  #step(node: BareNode, event: StepEvent, act: () => void): void {
    const before = this.#pictures.get(node.id);
    const sentBefore = node.outbox.length;
    try {
      act();
    } catch (error) {
      // A broken consensus may also run into something that is not asserted, such as a lost entry.
      const kind = error instanceof AssertionFailed ? "Assertion" : "Exception";
      throw new Violation(kind, `${node.id}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    const after = node.picture();
    this.#pictures.set(node.id, after);
    const sent = node.outbox.slice(sentBefore);
    const step: Step = { event, before, after, sent, nodes: this.#pictures, withoutGenesis: this.withoutGenesis };
    for (const { name, check } of this.options.properties) {
      const wrong = check(step);
      if (wrong !== undefined) throw new Violation(name, wrong);
    }
  }
}

export class BareNode {
  readonly raft: Raft<StubEntry>;
  readonly ledger: StubEntry[] = [];
  /** What it sent and nobody has taken, in order. */
  outbox: Envelope[] = [];
  /** Consensus has asked to write down whose removal is committed. */
  retirementsAreDue = false;
  /** Entries that say of nodes that they are retired for good, not yet committed here. */
  #retiredCommitted: { readonly seqno: Seqno; readonly nodes: readonly NodeId[] }[] = [];
  #log: readonly StubEntry[] | undefined;

  constructor(readonly id: NodeId, readonly preVote: boolean, options: WorldOptions) {
    const { messageTimeoutMs, electionTimeoutMs, trace, randomBelow } = options;
    const raftOptions = { id, messageTimeoutMs, electionTimeoutMs, maxUncommitted: 0, preVote, ticking: true };
    this.raft = new Raft(trace === undefined ? raftOptions : { ...raftOptions, trace }, this.#port(), randomBelow);
  }

  push(entry: StubEntry): void {
    this.ledger.push(entry);
    this.#log = undefined;
    if (entry.retiredCommitted) this.#retiredCommitted.push({ seqno: entry.seqno, nodes: entry.retiredCommitted });
  }

  /** What a snapshot holds is no news to consensus. */
  forgetRetired(): void {
    this.#retiredCommitted = [];
  }

  /** The entries that an "append entries" speaks of, as they are now; undefined if one is not there. */
  entriesFor({ previous, last }: { readonly previous: Seqno; readonly last: Seqno }): StubEntry[] | undefined {
    return last <= this.ledger.length ? this.ledger.slice(previous, last) : undefined;
  }

  picture(): NodePicture {
    const { raft } = this;
    this.#log ??= [...this.ledger];
    return {
      id: this.id,
      view: raft.view,
      leader: raft.leaderId,
      leadership: raft.leadership,
      retirementPhase: raft.membership === "Retired" ? raft.retirementPhase : undefined,
      preVote: this.preVote,
      log: this.#log,
      committed: raft.committedSeqno,
      committable: [...raft.committables],
      configurations: raft.configurations.map(({ seqno, members }) => ({ seqno, members: [...members.keys()].sort() })),
      peers: new Map([...raft.peers].map(([id, { sent, match }]) => [id, { sent, match }])),
    };
  }

  #port(): RaftPort<StubEntry> {
    return {
      send: (to, message) => this.outbox.push({ to, message }),
      execute: (entry, id) => this.#execute(entry, id),
      rollback: (to, view) => this.#rollback(to, view),
      commit: (seqno) => this.#commit(seqno),
      peerAdded: () => {},
      peerRemoved: () => {},
      retirementsMayBeRecorded: () => this.retirementsAreDue = true,
    };
  }

  #execute(entry: StubEntry, { view, seqno }: TxId): EntryEffects | undefined {
    if (entry.view !== view || entry.seqno !== seqno) return undefined;
    this.push(entry);
    return entry.effects;
  }

  #rollback({ seqno }: TxId, _view: View): void {
    this.ledger.length = Math.min(this.ledger.length, seqno);
    this.#log = undefined;
    this.#retiredCommitted = this.#retiredCommitted.filter((due) => due.seqno <= seqno);
  }

  #commit(seqno: Seqno): NodeId[] {
    const due = this.#retiredCommitted.filter((entry) => entry.seqno <= seqno);
    this.#retiredCommitted = this.#retiredCommitted.filter((entry) => entry.seqno > seqno);
    return due.flatMap(({ nodes }) => nodes);
  }
}
