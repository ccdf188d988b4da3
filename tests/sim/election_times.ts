/**
 * How long a network is without a leader after its leader has died, and how many views that takes.
 *
 * In: a seed, how many nodes, how slow messages are. Out: a list of elections. The same seed gives the same list.
 */

import { assert } from "../../shared/assert.ts";
import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import { TestCluster, type TestEntry, type TestNode } from "../raft_nodes.ts";
import { SeededRandom } from "./random.ts";

export interface ElectionPlan {
  readonly seed: number;
  readonly elections: number;
  /** The leader counted, which dies. */
  readonly nodes: number;
  readonly electionTimeoutMs: number;
  readonly messageTimeoutMs: number;
  /** From one node to another; messages of one node to another stay in order. */
  readonly delayMs: readonly [least: number, most: number];
  /** Between signatures, which are sent at once: so that logs differ when the leader dies; 0: none. */
  readonly signMs: number;
}

export interface Election {
  /** From the death of one leader until the next leads. */
  readonly withoutLeaderMs: number;
  /** That were begun; one where the first candidate won. */
  readonly views: number;
}

const TICK_MS = 10;
const MAX_ELECTION_MS = 1_000_000;

export function simulateElections(plan: ElectionPlan): Election[] {
  const random = new SeededRandom(plan.seed);
  return Array.from({ length: plan.elections }, () => new OneElection(plan, random).run());
}

/** A message on its way. */
interface Flight {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
  readonly entries: readonly TestEntry[];
  readonly dueMs: number;
}

class OneElection {
  readonly #plan: ElectionPlan;
  readonly #random: SeededRandom;
  /** The leader is the first. */
  readonly #ids: readonly NodeId[];
  readonly #cluster: TestCluster;
  /** Of each node, within `TICK_MS`. */
  readonly #phases: ReadonlyMap<NodeId, number>;
  readonly #lastArrivals = new Map<string, number>();
  #flights: Flight[] = [];
  #nowMs = 0;

  constructor(plan: ElectionPlan, random: SeededRandom) {
    this.#plan = plan;
    this.#random = random;
    this.#ids = random.shuffled(Array.from({ length: plan.nodes }, (_, i) => `node ${i}`));
    this.#cluster = settled(this.#ids, plan);
    this.#phases = new Map(this.#ids.map((id) => [id, random.below(TICK_MS)]));
  }

  run(): Election {
    const { messageTimeoutMs, signMs } = this.#plan;
    const [leader, ...others] = this.#ids;
    const { raft } = this.#cluster.get(leader!);
    const deathMs = 2 * messageTimeoutMs + this.#random.below(messageTimeoutMs);
    for (; this.#nowMs < deathMs; this.#nowMs++) {
      if (signMs > 0 && this.#nowMs % signMs === 0) this.#sign(leader!);
      for (const id of this.#ids) this.#step(id);
    }
    this.#loseConnectionsOf(leader!);
    for (; this.#nowMs < MAX_ELECTION_MS; this.#nowMs++) {
      for (const id of others) this.#step(id);
      const next = others.map((id) => this.#cluster.get(id).raft).find(({ isPrimary }) => isPrimary);
      if (next !== undefined) return { withoutLeaderMs: this.#nowMs - deathMs, views: next.view - raft.view };
    }
    throw new Error(`Nobody leads after ${MAX_ELECTION_MS} ms`);
  }

  #sign(leader: NodeId): void {
    const node = this.#cluster.get(leader);
    node.append("sign");
    node.raft.flush();
    this.#collect(leader);
  }

  /** What is on its way to a node arrives, or goes down with the connection. */
  #loseConnectionsOf(dead: NodeId): void {
    const lost = new Set(this.#ids.filter(() => this.#random.chance(0.5)));
    this.#flights = this.#flights.filter(({ from, to }) => from !== dead || !lost.has(to));
  }

  /** What a node does in a millisecond: it takes what has arrived, and its clock may tick. */
  #step(id: NodeId): void {
    const node = this.#cluster.get(id);
    const arrived = this.#flights.filter(({ to, dueMs }) => to === id && dueMs <= this.#nowMs);
    const ticks = this.#nowMs % TICK_MS === this.#phases.get(id);
    if (arrived.length === 0 && !ticks) return;
    this.#flights = this.#flights.filter((flight) => !arrived.includes(flight));
    for (const { from, message, entries } of arrived) {
      this.#drawFor(node);
      node.receive(from, message, entries);
    }
    this.#drawFor(node);
    if (ticks) node.raft.periodic(TICK_MS);
    this.#collect(id);
  }

  /** What it draws next, should it restart its election timer. */
  #drawFor(node: TestNode): void {
    node.draw = this.#random.below(this.#plan.electionTimeoutMs / 2 + 1);
  }

  #collect(id: NodeId): void {
    const node = this.#cluster.get(id);
    for (const { to, message } of node.take()) {
      const way = `${id} to ${to}`;
      const delayMs = this.#random.between(...this.#plan.delayMs);
      const dueMs = Math.max(this.#nowMs + delayMs, this.#lastArrivals.get(way) ?? 0);
      this.#lastArrivals.set(way, dueMs);
      const entries = message.kind === "append entries" ? node.ledger.slice(message.previous, message.last) : [];
      this.#flights.push({ from: id, to, message, entries, dueMs });
    }
  }
}

/** The first node leads, and all have the same log. */
function settled(ids: readonly NodeId[], { messageTimeoutMs, electionTimeoutMs }: ElectionPlan): TestCluster {
  const cluster = new TestCluster(ids, { messageTimeoutMs, electionTimeoutMs });
  const first = cluster.get(ids[0]!);
  first.raft.forcePrimary();
  first.append({ members: [ids[0]!] }, "sign", { members: ids }, "sign");
  for (let beats = 0; beats < 4; beats++) {
    first.raft.periodic(messageTimeoutMs);
    cluster.deliver();
  }
  for (const { raft } of cluster.nodes.values()) {
    assert(raft.committedSeqno === first.raft.lastSeqno, "all is everywhere");
  }
  return cluster;
}
