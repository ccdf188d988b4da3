/**
 * Nodes that know nothing but consensus, each with a list for a ledger, for unit tests.
 *
 * In: messages written by hand, or what other nodes sent. Out: what a node sent and did, in order.
 */

import { strict as assert } from "node:assert";
import type { NodeId, RaftMessage } from "../shared/consensus/messages.ts";
import type { EntryEffects, Members } from "../shared/consensus/port.ts";
import { Raft } from "../shared/consensus/raft.ts";
import type { RaftOptions } from "../shared/consensus/state.ts";
import { formatTxId, type Seqno, type View } from "../shared/tx_id.ts";

export interface TestEntry {
  readonly view: View;
  readonly seqno: Seqno;
  readonly committable: boolean;
  readonly members?: readonly NodeId[];
  /** Nodes whose removal is said to be committed. */
  readonly retired?: readonly NodeId[];
  /** Executing it fails. */
  readonly isBad?: boolean;
}

/** What an entry is, in short: nothing special, a signature, who the members are, or who is gone for good. */
export type Body = "entry" | "sign" | { readonly members: readonly NodeId[] } | { readonly retired: readonly NodeId[] };

export function entry(view: View, seqno: Seqno, body: Body = "entry"): TestEntry {
  return { view, seqno, committable: body === "sign", ...(typeof body === "string" ? {} : body) };
}

export function entries(view: View, first: Seqno, ...bodies: Body[]): TestEntry[] {
  return bodies.map((body, i) => entry(view, first + i, body));
}

export interface Sent {
  readonly to: NodeId;
  readonly message: RaftMessage;
}

export class TestNode {
  readonly raft: Raft<TestEntry>;
  readonly ledger: TestEntry[] = [];
  /** What consensus asked for, but for messages: `execute 2.5`, `rollback 2.4 for 3`, `commit 5`, … */
  readonly calls: string[] = [];
  /** What it sent and nobody took yet. */
  outbox: Sent[] = [];
  /** The arguments of `randomBelow`; answers are 0, or `draw`. */
  readonly draws: number[] = [];
  draw = 0;
  /** Behind these entries nothing else goes in one message. */
  readonly lastInMessage = new Set<Seqno>();

  constructor(readonly id: NodeId, options: Partial<RaftOptions> = {}) {
    this.raft = new Raft<TestEntry>(
      { id, messageTimeoutMs: 10, electionTimeoutMs: 100, maxUncommitted: 0, ticking: true, ...options },
      {
        send: (to, message) => void this.outbox.push({ to, message }),
        endOfMessage: (from, to) => [...this.lastInMessage].filter((end) => end >= from && end <= to)[0] ?? to,
        execute: (entry, id) => {
          if (entry.isBad || entry.view !== id.view || entry.seqno !== id.seqno) return undefined;
          assert.equal(this.ledger.length, id.seqno - 1, "entries are executed in order");
          this.calls.push(`execute ${formatTxId(id)}`);
          this.ledger.push(entry);
          return effectsOf(entry);
        },
        rollback: (to, view) => {
          if (to.seqno < this.ledger.length) this.calls.push(`rollback ${formatTxId(to)} for ${view}`);
          this.ledger.length = to.seqno;
        },
        commit: (seqno) => {
          this.calls.push(`commit ${seqno}${this.raft.retirementPhase === "Completed" ? " completed" : ""}`);
          const final = this.ledger.slice(this.#committed, seqno);
          this.#committed = seqno;
          return final.flatMap(({ retired }) => retired ?? []);
        },
        peerAdded: (id, address) => void this.calls.push(`peer ${id} at ${address}`),
        peerRemoved: (id) => void this.calls.push(`no peer ${id}`),
        retirementsMayBeRecorded: () => void this.calls.push("record retirements"),
      },
      (n) => {
        this.draws.push(n);
        return this.draw;
      },
    );
  }
  #committed = 0;

  /** What it sent since it was last asked. */
  take(): Sent[] {
    return this.outbox.splice(0);
  }

  /** As the leader. @returns the seqno of the last one */
  append(...bodies: Body[]): Seqno {
    for (const body of bodies) this.appendOf(100, body);
    return this.raft.lastSeqno;
  }

  appendOf(sizeBytes: number, body: Body): void {
    const next = entry(this.raft.view, this.raft.lastSeqno + 1, body);
    this.ledger.push(next);
    this.raft.append(next.seqno, sizeBytes, effectsOf(next));
  }

  /** Takes entries of one view that `from`, the leader of `view`, sends. @returns the answers */
  follow(from: NodeId, view: View, list: readonly TestEntry[], committed: Seqno = 0): Sent[] {
    const first = list[0]!;
    this.receive(from, {
      kind: "append entries",
      view,
      last: list.at(-1)!.seqno,
      previous: first.seqno - 1,
      previousView: this.raft.viewOf(first.seqno - 1),
      committed,
      viewOfEntries: first.view,
    }, list);
    return this.take();
  }

  receive(from: NodeId, message: RaftMessage, entries?: readonly TestEntry[]): void {
    this.raft.receive(from, message, entries);
    assert.equal(this.ledger.length, this.raft.lastSeqno);
    for (const { view, seqno } of this.ledger) assert.equal(this.raft.viewOf(seqno), view, "views are known");
  }
}

function effectsOf({ committable, members }: TestEntry): EntryEffects {
  return { committable, ...(members === undefined ? {} : { members: addresses(members) }) };
}

export function addresses(ids: readonly NodeId[]): Members {
  return new Map(ids.map((id) => [id, `${id}.example:1`]));
}

/** Nodes and what is under way between them: everything arrives in order, but where `loses` says so. */
export class TestCluster {
  readonly nodes = new Map<NodeId, TestNode>();

  constructor(ids: readonly NodeId[], options: Partial<RaftOptions> = {}) {
    for (const id of ids) this.nodes.set(id, new TestNode(id, options));
  }

  get(id: NodeId): TestNode {
    return this.nodes.get(id)!;
  }

  /** Delivers everything, and what comes of it, until nothing is under way. */
  deliver(loses: (from: NodeId, to: NodeId, message: RaftMessage) => boolean = () => false): void {
    for (let round = 0; round < 1000; round++) {
      let moved = false;
      for (const node of this.nodes.values()) {
        for (const { to, message } of node.take()) {
          moved = true;
          if (!this.nodes.has(to) || loses(node.id, to, message)) continue;
          if (message.kind !== "append entries") this.get(to).receive(node.id, message);
          else if (message.last <= node.ledger.length) {
            this.get(to).receive(node.id, message, node.ledger.slice(message.previous, message.last));
          }
        }
      }
      if (!moved) return;
    }
    assert.fail("messages never end");
  }

  /** A node's heartbeat, and everything that comes of it. */
  beat(leader: NodeId, loses?: (from: NodeId, to: NodeId, message: RaftMessage) => boolean): void {
    this.get(leader).raft.periodic(10);
    this.deliver(loses);
  }

  /** The first node leads, all others follow, everything is committed: their configuration at 3, a signature at 4. */
  static settled(ids: readonly NodeId[], options: Partial<RaftOptions> = {}): TestCluster {
    const cluster = new TestCluster(ids, options);
    const first = cluster.get(ids[0]!);
    first.raft.forcePrimary();
    first.append({ members: [ids[0]!] }, "sign", { members: ids }, "sign");
    for (let beats = 0; beats < 4; beats++) cluster.beat(first.id);
    for (const { raft } of cluster.nodes.values()) assert.equal(raft.committedSeqno, 4);
    for (const node of cluster.nodes.values()) node.calls.length = 0;
    return cluster;
  }
}

/** A leader of view 2 with peers that have everything: their configuration at 3, a signature at 4, all committed. */
export function leaderWith(...peers: NodeId[]): TestNode {
  const node = new TestNode("a");
  node.raft.forcePrimary();
  node.append({ members: ["a"] }, "sign", { members: ["a", ...peers] }, "sign");
  node.raft.flush();
  for (const peer of peers) acknowledge(node, peer, 4);
  assert.equal(node.raft.committedSeqno, 4);
  node.take();
  node.calls.length = 0;
  return node;
}

export function acknowledge(node: TestNode, peer: NodeId, last: Seqno, view: View = node.raft.view): void {
  node.receive(peer, { kind: "append entries response", view, last, success: true });
}

/** A follower `b` of `a`, which leads view 2, with the log of `leaderWith(…)` and all of it committed. */
export function followerOf(members: readonly NodeId[], options: Partial<RaftOptions> = {}): TestNode {
  const node = new TestNode("b", options);
  node.follow("a", 2, entries(2, 1, { members: ["a"] }, "sign", { members }, "sign"), 4);
  assert.equal(node.raft.committedSeqno, 4);
  node.calls.length = 0;
  return node;
}
