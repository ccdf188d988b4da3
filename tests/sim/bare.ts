/**
 * Random schedules over bare consensus: a network that loses, delays, repeats, reorders and divides, nodes that stop for
 * good, pause, and whose clocks leap, while entries are appended and members come and go.
 *
 * In: a seed. Out: a report, or a `ScheduleFailure`. Everything follows from the seed, so a failure replays exactly.
 * After each step every property is checked (world.ts); at the end all is healed, and what lives must agree.
 */

import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import { drawPlan, type Plan } from "./bare_plan.ts";
import { specificationProperties } from "./invariants.ts";
import { type NodePicture, type Property, quorumOf, retiredIn } from "./picture.ts";
import { ruleProperties } from "./rules.ts";
import { SeededRandom } from "./random.ts";
import { networkLine, scoreLine } from "./score.ts";
import type { StubEntry } from "./stub_ledger.ts";
import { type BareNode, Violation, World } from "./world.ts";

const MESSAGE_TIMEOUT_MS = 10;
const ELECTION_TIMEOUT_MS = 100;
const TURN_MS = 5;
const MAX_MEMBERS = 7;
/** Nodes that one schedule may make: members that come and go. */
const MAX_NODES = 25;
/** What is healed agrees within so many election timeouts; a few are the rule. */
const AGREEMENT_TIMEOUTS = 100;
/** Where there are no pre-votes, backups wait so much longer once all is healed. */
const PATIENCE = 5;

/** What a schedule came to, so that a run can say what it has seen. */
export interface ScheduleReport {
  readonly nodes: number;
  readonly steps: number;
  readonly committed: number;
  readonly elections: number;
  readonly configurations: number;
  readonly retired: number;
  readonly crashed: number;
}

export class ScheduleFailure extends Error {
  override name = "ScheduleFailure";

  constructor(readonly seed: number, readonly violation: Violation) {
    super(violation.message, { cause: violation });
  }
}

export interface ScheduleOptions {
  /** Takes the score, a line an event; without it none is made. */
  readonly print?: ((line: string) => void) | undefined;
  /** Only these are checked, and liveness; without it all are. */
  readonly properties?: readonly string[] | undefined;
}

/** What is checked; `names` as in `ScheduleOptions`. */
export function bareProperties(names?: readonly string[]): Property[] {
  const all = [...specificationProperties(), ...ruleProperties(ELECTION_TIMEOUT_MS)];
  return names === undefined ? all : all.filter(({ name }) => names.includes(name));
}

/**
 * Runs one schedule.
 *
 * @throws ScheduleFailure
 */
export function runSchedule(seed: number, options: ScheduleOptions = {}): ScheduleReport {
  const schedule = new Schedule(seed, options);
  try {
    return schedule.run();
  } catch (error) {
    if (error instanceof Violation) throw new ScheduleFailure(seed, error);
    throw error;
  }
}

/** A message on its way. */
interface Flight {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
  readonly entries: readonly StubEntry[] | undefined;
  readonly dueMs: number;
}

/** What a node is like as long as it lives, or until all is healed. */
interface Habit {
  /** It does something in one of so many turns. */
  readonly turns: number;
  /** Of its clock: how much of the time passes for it. */
  readonly pace: number;
}

class Schedule {
  readonly #random: SeededRandom;
  readonly #plan: Plan;
  readonly #world: World;
  readonly #print: ((line: string) => void) | undefined;
  #nowMs = 0;
  #steps = 0;
  #flights: Flight[] = [];
  /** "from,to" for each way that is cut. */
  readonly #cut = new Set<string>();
  /** Crashed, or stopped after their retirement. */
  readonly #dead = new Set<NodeId>();
  readonly #pausedUntilMs = new Map<NodeId, number>();
  readonly #habits = new Map<NodeId, Habit>();
  #crashed = 0;
  #healed = false;

  constructor(seed: number, { print, properties }: ScheduleOptions) {
    this.#random = new SeededRandom(seed);
    this.#plan = drawPlan(this.#random);
    this.#print = print;
    this.#world = new World({
      messageTimeoutMs: MESSAGE_TIMEOUT_MS,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      properties: bareProperties(properties),
      randomBelow: this.#random.below,
      ...print !== undefined && {
        trace: (event) => {
          const line = scoreLine(event);
          if (line !== undefined) this.#note(line);
        },
      },
    });
  }

  run(): ScheduleReport {
    this.#note(`plan ${JSON.stringify(this.#plan)}`);
    const first = this.#world.create("0", this.#plan.preVote);
    this.#world.startFirst(first);
    this.#sign(first);
    if (this.#plan.firstMembers > 1) this.#propose(first, ["0", ...this.#create(this.#plan.firstMembers - 1)]);
    for (let turn = 0; turn < this.#plan.turns; turn++) this.#turn();
    this.#heal();
    const most = AGREEMENT_TIMEOUTS * (this.#plan.preVote ? 1 : PATIENCE) * ELECTION_TIMEOUT_MS / TURN_MS;
    let difference: string | undefined = "nothing was tried";
    for (let turn = 0; turn < most && difference !== undefined; turn++) {
      this.#turn();
      difference = this.#disagreement();
    }
    if (difference !== undefined) throw new Violation("Liveness", `${difference}, long after all was healed`);
    return this.#report();
  }

  // A turn: faults, what primaries do, what arrives, and time.

  #turn(): void {
    this.#nowMs += TURN_MS;
    if (!this.#healed) this.#faults();
    for (const node of this.#random.shuffled(this.#awake())) {
      if (node.raft.canReplicate) this.#duties(node);
    }
    this.#arrivals();
    for (const node of this.#random.shuffled(this.#awake())) this.#tick(node, this.#turnOf(node));
  }

  /** How much time a turn is to a node, in ms. */
  #turnOf({ id, raft }: BareNode): number {
    const { turns, pace } = this.#habit(id);
    // Without pre-votes a node that is behind unseats every leader before the two have found where their logs part, a
    // round trip for each view, if its timeout is ten heartbeats. With fifty, as configured by default, it waits.
    const patience = this.#healed && !this.#plan.preVote && !raft.isPrimary ? PATIENCE : 1;
    return Math.max(1, Math.round(TURN_MS * turns * pace / patience));
  }

  #alive(): BareNode[] {
    return this.#world.nodes.filter(({ id }) => !this.#dead.has(id));
  }

  #awake(): BareNode[] {
    return this.#alive().filter(({ id }) => this.#isAwake(id));
  }

  #isAwake(id: NodeId): boolean {
    return !this.#pausedUntilMs.has(id) && this.#nowMs / TURN_MS % this.#habit(id).turns === 0;
  }

  #habit(id: NodeId): Habit {
    if (this.#healed) return { turns: 1, pace: 1 };
    const { slow, pace: [least, most] } = this.#plan;
    const known = this.#habits.get(id);
    if (known !== undefined) return known;
    const random = this.#random;
    const habit = {
      turns: random.chance(slow) ? random.between(2, 8) : 1,
      pace: random.between(least * 100, most * 100) / 100,
    };
    this.#habits.set(id, habit);
    return habit;
  }

  #faults(): void {
    const { partition, heal, crash, pause, pauseMs, leap } = this.#plan;
    const random = this.#random;
    if (random.chance(partition)) this.#divide();
    if (this.#cut.size > 0 && random.chance(heal)) {
      this.#cut.clear();
      this.#note("the network is whole");
    }
    if (random.chance(crash)) this.#crash(random.pick(this.#alive()));
    for (const [id, until] of this.#pausedUntilMs) {
      if (until > this.#nowMs) continue;
      this.#pausedUntilMs.delete(id);
      this.#note(`${id} goes on`);
      if (!this.#dead.has(id)) this.#tick(this.#world.node(id), random.between(...pauseMs));
    }
    const awake = this.#awake();
    if (awake.length > 0 && random.chance(pause)) {
      const { id } = random.pick(awake);
      this.#pausedUntilMs.set(id, this.#nowMs + random.between(...pauseMs));
      this.#note(`${id} pauses`);
    }
    if (awake.length > 0 && random.chance(leap)) {
      const node = random.pick(awake);
      this.#note(`the clock of ${node.id} leaps`);
      this.#tick(node, random.between(50, 500));
    }
  }

  /** Some nodes on one side, the others on the other, and both ways cut or one. */
  #divide(): void {
    const random = this.#random;
    const nodes = random.shuffled(this.#alive().map(({ id }) => id));
    if (nodes.length < 2) return;
    const side = nodes.splice(0, random.between(1, nodes.length - 1));
    const oneWay = random.chance(this.#plan.oneWay);
    for (const a of side) {
      for (const b of nodes) {
        this.#cut.add(`${a},${b}`);
        if (!oneWay) this.#cut.add(`${b},${a}`);
      }
    }
    this.#note(`nothing gets from ${side.join(" ")} to ${nodes.join(" ")}${oneWay ? "" : ", nor back"}`);
  }

  #crash({ id }: BareNode): void {
    if (!this.#canLose(id)) return;
    this.#dead.add(id);
    this.#crashed++;
    this.#note(`${id} CRASHES`);
  }

  /** What a primary does by itself, or is asked to by clients, members and operators. */
  #duties(node: BareNode): void {
    const { append, sign, reconfigure, nominate, recordRetirement, stopRetired } = this.#plan;
    const random = this.#random;
    const { raft } = node;
    if (node.retirementsAreDue && random.chance(recordRetirement)) this.#recordRetirements(node);
    if (!this.#healed) {
      if (random.chance(append)) this.#world.append(node, { kind: "raw", text: `at ${this.#nowMs}` }, false);
      if (random.chance(reconfigure)) this.#reconfigure(node);
      if (random.chance(nominate)) this.#world.nominateSuccessor(node);
    }
    const isSignatureDue = raft.shouldSign || raft.lastSeqno > raft.lastCommittable;
    if (raft.canReplicate && isSignatureDue && random.chance(this.#healed ? 1 : sign)) this.#sign(node);
    if (random.chance(stopRetired)) this.#stopRetired(node);
    this.#collect(node);
  }

  #sign(node: BareNode): void {
    this.#world.append(node, { kind: "raw", text: "signature" }, true);
    if (this.#plan.flush) this.#world.flush(node);
    this.#collect(node);
  }

  /** Some come, some go, at least one stays or comes. New nodes are there before they are members. */
  #reconfigure(node: BareNode): void {
    const random = this.#random;
    const members = [...node.raft.latestMembers!.keys()];
    const leaving = random.shuffled(members).slice(0, random.between(0, Math.min(members.length, 3)));
    const staying = members.filter((id) => !leaving.includes(id));
    const room = Math.min(MAX_MEMBERS - staying.length, MAX_NODES - this.#world.nodes.length, 3);
    const coming = random.between(staying.length === 0 ? 1 : 0, Math.max(room, 0));
    if (staying.length + coming === 0 || (coming === 0 && leaving.length === 0) || room < coming) return;
    // The new nodes live, so a majority lives if they and the living of those who stay are one.
    const living = coming + staying.filter((id) => !this.#dead.has(id)).length;
    if (living <= (staying.length + coming) / 2) return;
    this.#propose(node, [...staying, ...this.#create(coming)]);
  }

  #create(count: number): NodeId[] {
    return Array.from({ length: count }, () => {
      const id = String(this.#world.nodes.length);
      const { preVote, snapshot } = this.#plan;
      const donor = this.#random.pick(this.#alive());
      if (donor.raft.committedSeqno > 0 && this.#random.chance(snapshot)) {
        const signatures = donor.ledger.slice(0, donor.raft.committedSeqno).filter(({ committable }) => committable);
        this.#world.createFrom(id, preVote, donor, this.#random.pick(signatures).seqno);
      } else {
        this.#world.create(id, preVote);
      }
      return id;
    });
  }

  #propose(node: BareNode, nodes: readonly NodeId[]): void {
    this.#world.append(node, { kind: "reconfiguration", nodes }, false);
    this.#collect(node);
  }

  /** Writes down whose removal is committed, as a node does through its own endpoint (consensus.md §18). */
  #recordRetirements(node: BareNode): void {
    node.retirementsAreDue = false;
    const { log, committed } = this.#picture(node.id);
    const removed = new Set<NodeId>();
    const members = log.slice(0, committed).flatMap((entry) => entry.members === undefined ? [] : [entry.members]);
    for (const id of members.flat()) if (!members.at(-1)!.includes(id)) removed.add(id);
    for (const { retiredCommitted } of log) for (const id of retiredCommitted ?? []) removed.delete(id);
    if (removed.size > 0) this.#world.append(node, { kind: "retired_committed", nodes: [...removed] }, false);
  }

  #stopRetired(node: BareNode): void {
    for (const id of retiredIn(this.#picture(node.id))) {
      if (id === node.id || this.#dead.has(id)) continue;
      this.#dead.add(id);
      this.#note(`${id} is stopped by its operator`);
    }
  }

  #tick(node: BareNode, elapsedMs: number): void {
    this.#steps++;
    this.#world.tick(node, elapsedMs);
    this.#collect(node);
  }

  // The network.

  /** Takes what a node has sent. Entries are those of its log at this moment. */
  #collect(node: BareNode): void {
    const { lost, duplicated, garbled, delayMs } = this.#plan;
    const random = this.#random;
    for (const { to, message } of node.outbox) {
      let entries = message.kind === "append entries" ? node.entriesFor(message) : undefined;
      if (!this.#healed && random.chance(garbled)) entries = this.#garbled(entries);
      const copies = this.#healed ? 1 : (random.chance(lost) ? 0 : 1) + (random.chance(duplicated) ? 1 : 0);
      if (copies === 0) this.#note(networkLine(node.id, to, message, "lost"));
      for (let copy = 0; copy < copies; copy++) {
        const delay = this.#healed ? random.between(0, 10) : random.between(...delayMs);
        this.#flights.push({ from: node.id, to, message, entries, dueMs: this.#nowMs + delay });
      }
    }
    node.outbox = [];
  }

  /** Entries that nobody can read, or that are fewer than they should be. */
  #garbled(entries: StubEntry[] | undefined): StubEntry[] | undefined {
    return this.#random.chance(0.5) ? undefined : entries?.slice(0, this.#random.below(entries.length));
  }

  #arrivals(): void {
    const due = this.#flights.filter(({ dueMs }) => dueMs <= this.#nowMs);
    this.#flights = this.#flights.filter(({ dueMs }) => dueMs > this.#nowMs);
    for (const { from, to, message, entries } of this.#random.shuffled(due)) {
      if (this.#dead.has(to) || !this.#world.has(to)) continue;
      if (this.#cut.has(`${from},${to}`)) {
        this.#note(networkLine(from, to, message, "cut off"));
        continue;
      }
      if (!this.#isAwake(to)) {
        this.#flights.push({ from, to, message, entries, dueMs: this.#pausedUntilMs.get(to) ?? this.#nowMs + TURN_MS });
        continue;
      }
      const node = this.#world.node(to);
      this.#steps++;
      this.#world.deliver(from, node, message, entries);
      this.#collect(node);
    }
  }

  // The end.

  #heal(): void {
    this.#healed = true;
    this.#cut.clear();
    this.#pausedUntilMs.clear();
    this.#note("all is HEALED");
  }

  /** Why the living members of the latest configuration do not agree yet. */
  #disagreement(): string | undefined {
    const primary = this.#alive().filter(({ raft }) => raft.canReplicate).sort((a, b) => b.raft.view - a.raft.view)[0];
    if (primary === undefined) return "Nobody leads";
    const { id, view, log, committed } = this.#picture(primary.id);
    if (committed < log.length || log.at(-1)!.view !== view) {
      return `${id} leads view ${view} and has not committed all`;
    }
    for (const member of primary.raft.latestMembers!.keys()) {
      if (this.#dead.has(member)) continue;
      const other = this.#picture(member);
      if (other.view !== view || other.committed !== committed || other.log.length !== log.length) {
        return `${member} is at ${other.view}.${other.log.length}, committed ${other.committed}; ` +
          `${id}, which leads, at ${view}.${log.length}`;
      }
    }
    return undefined;
  }

  /**
   * Whether a node may be lost, for good: every configuration that may still have a say keeps a majority that lives.
   *
   * A configuration has none any more once a node that it lost is retired for good: then no future leader needs it.
   */
  #canLose(id: NodeId): boolean {
    const pictures = this.#alive().map((node) => this.#picture(node.id));
    const best = pictures.reduce((a, b) => b.committed > a.committed ? b : a);
    const gone = retiredIn(best);
    const inForce = pictures.flatMap(({ configurations }) => configurations.map(({ members }) => members));
    const onTheWay = this.#flights.flatMap(({ entries }) =>
      entries?.flatMap(({ members }) => members ? [members] : []) ?? []
    );
    return [...inForce, ...onTheWay].every((members) =>
      members.some((member) => gone.has(member)) ||
      members.filter((member) => member !== id && !this.#dead.has(member)).length >= quorumOf(members)
    );
  }

  #picture(id: NodeId): NodePicture {
    return this.#world.pictures.get(id)!;
  }

  #report(): ScheduleReport {
    const best = [...this.#world.pictures.values()].reduce((a, b) => b.committed > a.committed ? b : a);
    return {
      nodes: this.#world.nodes.length,
      steps: this.#steps,
      committed: best.committed,
      elections: best.view - 2,
      configurations: best.log.filter(({ members }) => members !== undefined).length,
      retired: retiredIn(best).size,
      crashed: this.#crashed,
    };
  }

  #note(line: string): void {
    this.#print?.(`${String(this.#nowMs).padStart(6)} ms ${line}`);
  }
}
