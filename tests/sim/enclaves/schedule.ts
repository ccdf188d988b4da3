/**
 * Random schedules over whole enclaves: a service of several nodes in a network and on disks that fail in all ways, while
 * clients use it, members decide, and nodes join, retire and crash.
 *
 * In: a seed. Out: a report, or a `ScheduleFailure`. Everything follows from the seed, so a failure replays exactly.
 * After each step every property is checked; at the end all is healed, and what lives must agree (ending.ts).
 */

import { openingRequests } from "../../../node/sandbox_opening.ts";
import type { TxId } from "../../../shared/tx_id.ts";
import { ScheduleFailure } from "../bare.ts";
import { specificationProperties } from "../invariants.ts";
import { type NodePicture, type Property, quorumOf } from "../picture.ts";
import { SeededRandom } from "../random.ts";
import { ruleProperties } from "../rules.ts";
import { Violation } from "../world.ts";
import { Client } from "./clients.ts";
import { Consortium } from "./consortium.ts";
import { type Directory, EMPTY_DIRECTORY } from "./disk.ts";
import { checkEnding, checkState } from "./ending.ts";
import { History } from "./history.ts";
import type { Host } from "./host.ts";
import { drawPlan, type Plan } from "./plan.ts";
import { type Machinery, randomOf } from "./powers.ts";
import { drawService, ELECTION_TIMEOUT_MS, FIRST_MOMENT_MS } from "./service.ts";
import { EnclaveWorld } from "./world.ts";

const TURN_MS = 10;
const MAX_MEMBERS = 5;
/** Nodes that one schedule may make. */
const MAX_NODES = 12;
/** Share of moments at which members look who waits for them, where nodes are added at all. */
const TRUST = 0.03;
/** Share of moments at which the tables of nodes are compared; they are compared at the end in any case. */
const STATE_CHECKS = 0.01;
/** A process that is asked to stop has ended by then. */
const STOP_MS = 100;
/** What begins in peace is done within so long. */
const PEACE_MS = 20_000;

export interface EnclaveReport {
  readonly nodes: number;
  readonly steps: number;
  readonly committed: number;
  readonly elections: number;
  readonly operations: number;
  readonly receipts: number;
  readonly crashed: number;
  readonly retired: number;
  /** From when all was healed. */
  readonly agreedMs: number;
}

/** What is checked after every step of consensus. */
export function enclaveProperties(): Property[] {
  return [...specificationProperties(), ...ruleProperties(ELECTION_TIMEOUT_MS)];
}

export interface EnclaveScheduleOptions {
  /** Takes the score, a line an event; without it none is made. */
  readonly print?: ((line: string) => void) | undefined;
  /** What is not drawn from the seed, but as it is here. */
  readonly plan?: Partial<Plan> | undefined;
}

/** Runs one schedule. @throws ScheduleFailure */
export function runEnclaveSchedule(
  seed: number,
  machinery: Machinery,
  options: EnclaveScheduleOptions = {},
): EnclaveReport {
  try {
    return new EnclaveSchedule(seed, machinery, options).run();
  } catch (error) {
    if (error instanceof Violation) throw new ScheduleFailure(seed, error);
    // Nodes answer what nobody expects, or the simulation is at a loss: it is to be replayed too.
    const what = error instanceof Error ? error.stack ?? error.message : String(error);
    throw new ScheduleFailure(seed, new Violation("Exception", what, { cause: error }));
  }
}

class EnclaveSchedule {
  readonly #world: EnclaveWorld;
  readonly #plan: Plan;
  readonly #random: SeededRandom;
  readonly #consortium: Consortium;
  readonly #history = new History();
  readonly #clients: readonly Client[];
  /** Of nodes that crashed, for others to find. */
  readonly #left: Directory[] = [];
  #crashed = 0;
  /** About to end. */
  readonly #stopping = new Set<string>();
  /** Members that the last decision on nodes leads to, while it may still be on its way. */
  #planned: readonly string[] = [];

  constructor(seed: number, machinery: Machinery, { print, plan }: EnclaveScheduleOptions) {
    this.#random = new SeededRandom(seed);
    this.#plan = { ...drawPlan(this.#random), ...plan };
    const service = drawService(this.#plan, machinery, randomOf(seed * 1000));
    this.#world = new EnclaveWorld({
      seed,
      plan: this.#plan,
      machinery,
      random: this.#random,
      service,
      properties: enclaveProperties(),
      print,
    });
    this.#consortium = new Consortium(this.#world);
    const remembered: TxId[] = [];
    this.#clients = Array.from(
      { length: this.#plan.clients },
      (_, at) => new Client(`c${at}`, this.#world, this.#history, remembered),
    );
  }

  run(): EnclaveReport {
    this.#world.note(`plan ${JSON.stringify(this.#plan)}`);
    this.#open();
    this.#fail();
    this.#world.note("all is HEALED");
    return this.#report(checkEnding(this.#world, this.#history, this.#clients[0]!));
  }

  /** A service with its first nodes, in peace. */
  #open(): void {
    const world = this.#world;
    const first = world.startFirst();
    for (let joined = 1; joined < this.#plan.firstMembers; joined++) {
      const host = world.join(first, undefined, EMPTY_DIRECTORY);
      this.#await(() => host.takesPart, `${host.name} takes part`);
    }
    const { opening } = world.service;
    const requests = openingRequests(opening, first.servicePem, FIRST_MOMENT_MS / 1000);
    const session = first.openSession(null);
    let step = requests.next();
    while (!step.done) {
      const { method, target, contentType, body } = step.value;
      let answer: { readonly status: number; readonly body: Uint8Array } | undefined;
      first.ask(session, { method, target, headers: [["content-type", contentType]], body }, (response) => {
        answer = response;
      });
      this.#await(() => answer !== undefined, "members are answered");
      step = requests.next(answer!);
    }
    first.closeSession(session);
    this.#await(() => {
      const length = world.pictures.get(first.name)!.log.length;
      const members = world.pictures.get(first.name)!.configurations.at(-1)!.members;
      return members.every((name) => world.pictures.get(name)?.committed === length);
    }, "all is committed");
  }

  #await(holds: () => boolean, what: string): void {
    if (!holds() && this.#world.run(PEACE_MS, holds)) {
      throw new Violation("Liveness", `In peace it never comes that ${what}`);
    }
  }

  /** Everything at once. */
  #fail(): void {
    const world = this.#world;
    world.isCalm = false;
    for (const client of this.#clients) client.begin();
    const endMs = world.nowMs() + this.#plan.durationMs;
    while (world.nowMs() < endMs) {
      this.#faults();
      this.#govern();
      world.run(TURN_MS);
      if (this.#random.chance(STATE_CHECKS)) this.#compareStates();
    }
    world.isCalm = true;
    world.cut.clear();
    for (const host of world.alive) {
      host.pausedUntilMs = 0;
      host.clockRate = 1000;
    }
  }

  /** Of nodes that have the same ledger at this moment. */
  #compareStates(): void {
    for (const host of this.#world.alive) if (host.takesPart && host.watch!.log.length > 0) checkState(host);
  }

  #faults(): void {
    const { partition, heal, crash, pause, pauseMs, leap } = this.#plan;
    const [random, world] = [this.#random, this.#world];
    if (random.chance(partition)) this.#divide();
    if (world.cut.size > 0 && random.chance(heal)) {
      world.cut.clear();
      world.note("the network is whole");
    }
    const awake = world.alive.filter(({ isPaused }) => !isPaused);
    if (awake.length === 0) return;
    if (random.chance(crash)) this.#crash(random.pick(awake));
    if (random.chance(crash)) random.pick(awake).give({ kind: "stopNotice" });
    if (random.chance(pause)) {
      const host = random.pick(awake);
      host.pausedUntilMs = world.nowMs() + random.between(...pauseMs);
      world.note(`${host.name} PAUSES until ${host.pausedUntilMs}`);
    }
    if (random.chance(leap)) {
      const host = random.pick(awake);
      const ms = random.between(-3000, 3000);
      host.clockLeapMs += ms;
      world.note(`the clock of ${host.name} LEAPS by ${ms} ms`);
    }
  }

  /** Some nodes on one side, the others on the other, and both ways cut or one. */
  #divide(): void {
    const [random, world] = [this.#random, this.#world];
    const nodes = random.shuffled(world.alive.map(({ name }) => name));
    if (nodes.length < 2) return;
    const side = nodes.splice(0, random.between(1, nodes.length - 1));
    const oneWay = random.chance(this.#plan.oneWay);
    for (const a of side) {
      for (const b of nodes) {
        world.cut.add(`${a} ${b}`);
        if (!oneWay) world.cut.add(`${b} ${a}`);
      }
    }
    world.note(`nothing gets from ${side.join(" ")} to ${nodes.join(" ")}${oneWay ? "" : ", nor back"}`);
  }

  #crash(host: Host): void {
    if (!this.#canLose([host.name])) return;
    this.#crashed++;
    if (this.#random.chance(this.#plan.stop)) return this.#stop(host);
    this.#world.note(`${host.name} CRASHES`);
    this.#left.push(host.disk.leftBehind(this.#random));
    host.die();
  }

  /** What is not signed is signed, and another is asked to lead; then the process ends. */
  #stop(host: Host): void {
    this.#world.note(`${host.name} STOPS`);
    this.#stopping.add(host.name);
    if (this.#random.chance(0.5)) host.give({ kind: "stopNotice" });
    host.give({ kind: "stop" });
    this.#world.after(STOP_MS, () => {
      if (host.isDead) return;
      this.#left.push(host.disk.leftBehind(this.#random));
      host.die();
    });
  }

  // What members and operators do.

  #govern(): void {
    const { addNode, decision, removeNode } = this.#plan;
    const random = this.#random;
    this.#stopRetired();
    if (random.chance(addNode)) this.#add();
    if (this.#consortium.isDeciding) return;
    if (random.chance(removeNode)) return this.#remove();
    if (addNode > 0 && random.chance(TRUST)) this.#trust();
    if (this.#consortium.isDeciding) return;
    if (random.chance(decision)) this.#decide();
  }

  #add(): void {
    const [random, world] = [this.#random, this.#world];
    const hosts = world.alive.filter(({ takesPart }) => takesPart);
    if (hosts.length === 0 || world.hosts.length >= MAX_NODES) return;
    const target = random.pick(hosts);
    const left = this.#left.length > 0 && random.chance(this.#plan.staleDirectory)
      ? this.#left.splice(random.below(this.#left.length), 1)[0]!
      : EMPTY_DIRECTORY;
    const known = [...hosts.flatMap(({ disk }) => disk.snapshots), ...left.snapshots].sort((a, b) => b.seqno - a.seqno);
    // Entries before a snapshot may be missing on the node that would have to send them.
    const isNeeded = world.hosts.some(({ enclave }) => (enclave.node?.startupSeqno ?? 0) > 0);
    const snapshot = isNeeded || random.chance(this.#plan.fromSnapshot) ? known[0] : undefined;
    const host = world.join(target, snapshot, left);
    world.note(
      `${host.name} JOINS through ${target.name} with ${snapshot?.name ?? "no snapshot"}` +
        `${left.entries.length > 0 ? `, after ${left.entries.length} entries of an earlier node` : ""}`,
    );
  }

  #trust(): void {
    const members = this.#latestMembers();
    const waiting = this.#waiting(members);
    if (waiting.length === 0 || members.length >= MAX_MEMBERS) return;
    const { nodeId, name } = this.#random.pick(waiting);
    this.#planned = [...members, name];
    this.#consortium.decide([this.#trustAction(nodeId)]);
  }

  /** One or two go; others that wait may come in the same moment. */
  #remove(): void {
    const [random, world] = [this.#random, this.#world];
    const members = this.#latestMembers();
    const leaving = random.shuffled(members).slice(0, random.between(1, 2));
    const staying = members.filter((name) => !leaving.includes(name));
    // A node that is removed before it has got the service's keys never gets them, and cannot agree to its removal.
    const outside = leaving.filter((name) => !world.hosts.some((host) => host.name === name && host.takesPart));
    if (!this.#canLose(outside)) return;
    const living = staying.filter((name) =>
      !this.#stopping.has(name) && world.alive.some((host) => host.name === name)
    );
    if (living.length < quorumOf(staying) || staying.length === 0) return;
    const waiting = this.#waiting(members);
    const coming = random.chance(0.5) ? waiting.slice(0, 1) : [];
    this.#planned = [...staying, ...coming.map(({ name }) => name)];
    this.#consortium.decide([
      ...coming.map(({ nodeId }) => this.#trustAction(nodeId)),
      ...leaving.map((name) => ({ name: "remove_node", args: { node_id: this.#idOf(name) } })),
    ]);
  }

  /** Nodes that members may trust. */
  #waiting(members: readonly string[]): Host[] {
    return this.#world.alive.filter(({ name, enclave }) =>
      enclave.node?.state === "Pending" && !members.includes(name) && !this.#stopping.has(name)
    );
  }

  #trustAction(nodeId: string) {
    return { name: "transition_node_to_trusted", args: { node_id: nodeId, valid_from: "2025-12-31T00:00:00Z" } };
  }

  #decide(): void {
    const { certificatePem } = this.#world.service.user;
    const validity = { valid_from: "2025-12-31T00:00:00Z", validity_period_days: this.#random.between(60, 90) };
    this.#consortium.decide([this.#random.pick([
      // The most delicate of all, and so the most frequent.
      ...Array.from({ length: 5 }, () => ({ name: "trigger_ledger_rekey", args: null })),
      { name: "trigger_recovery_shares_refresh", args: null },
      { name: "trigger_snapshot", args: null },
      { name: "trigger_ledger_chunk", args: null },
      { name: "set_user", args: { cert: certificatePem, user_data: { at: this.#world.nowMs() } } },
      { name: "set_all_nodes_certificate_validity", args: validity },
      { name: "set_service_certificate_validity", args: validity },
    ])]);
  }

  /** Operators stop nodes that nobody needs any more, and have them deleted. */
  #stopRetired(): void {
    const world = this.#world;
    const gone = retiredIn(world.committed);
    for (const host of world.alive) {
      if (!gone.has(host.name) || !this.#random.chance(0.02)) continue;
      world.note(`${host.name} is stopped by its operator`);
      this.#left.push(host.disk.leftBehind(this.#random));
      host.die();
      this.#delete(host.nodeId);
    }
  }

  #delete(nodeId: string): void {
    const { primary } = this.#world;
    if (primary === undefined) return;
    const session = primary.openSession(null);
    const request = { method: "DELETE", target: `/node/network/nodes/${nodeId}`, headers: [], body: new Uint8Array() };
    this.#world.exchange(primary, session, request, () => primary.closeSession(session));
  }

  /** As the node says that leads, or that has committed most. */
  #latestMembers(): readonly string[] {
    const world = this.#world;
    const picture = world.primary === undefined ? undefined : world.pictures.get(world.primary.name);
    return picture?.configurations.at(-1)?.members ?? world.committed.at(-1)!.trusted;
  }

  #idOf(name: string): string {
    return this.#world.hosts.find((host) => host.name === name)!.nodeId;
  }

  /**
   * Whether nodes may be lost, for good: every configuration that may still have a say keeps a majority that lives.
   *
   * A configuration has none any more once a node that it lost is retired for good. What nodes that died had in their logs
   * may be on its way, or with another node, unless a later configuration is committed.
   */
  #canLose(names: readonly string[]): boolean {
    const world = this.#world;
    const committed = world.committed;
    const gone = retiredIn(committed);
    const isAlive = (name: string) =>
      !names.includes(name) && !this.#stopping.has(name) && world.alive.some((host) => host.name === name);
    const inForce = [...world.pictures.values()].flatMap(({ id, configurations }: NodePicture) =>
      // A node that lives may not know that a later one is committed, and still need this one for that.
      configurations.filter(({ seqno }) => seqno > committed.length || isAlive(id))
    );
    const latest = [committed.at(-1)!.trusted, this.#latestMembers(), this.#planned];
    return [...latest, ...inForce.map(({ members }) => members)].every((members) =>
      members.length === 0 || members.some((name) => gone.has(name)) ||
      members.filter(isAlive).length >= quorumOf(members)
    );
  }

  #report(agreedMs: number): EnclaveReport {
    const { committed, hosts, pictures, steps } = this.#world;
    return {
      nodes: hosts.length,
      steps,
      committed: committed.length,
      elections: Math.max(...[...pictures.values()].map(({ view }) => view)) - 2,
      operations: this.#history.operations.filter(({ entry }) => entry !== undefined).length,
      receipts: this.#history.receipts.length,
      crashed: this.#crashed,
      retired: retiredIn(committed).size,
      agreedMs,
    };
  }
}

/** Nodes whose retirement is committed for good, as a ledger says. */
function retiredIn(log: NodePicture["log"]): Set<string> {
  return new Set(log.flatMap(({ retiredCommitted }) => retiredCommitted ?? []));
}
