/**
 * Runs scenarios in the language of CCF's Raft driver.
 *
 * In: commands. Out: a transcript, a line an event; a failure if a command, an assertion in it or a property of consensus
 * does not hold. Time passes and messages move only where a command says so.
 * Source: raft-scenario-language.md; sections named below are of this document.
 */

import type { NodeId } from "../../shared/consensus/messages.ts";
import type { View } from "../../shared/tx_id.ts";
import { specificationProperties } from "./invariants.ts";
import { holds, quorumOf } from "./picture.ts";
import { ruleProperties } from "./rules.ts";
import type { SeededRandom } from "./random.ts";
import { type Command, parseScenario } from "./scenario.ts";
import { networkLine, scoreLine } from "./score.ts";
import type { Body } from "./stub_ledger.ts";
import { type BareNode, type Envelope, Violation, World } from "./world.ts";

const MESSAGE_TIMEOUT_MS = 10;
const ELECTION_TIMEOUT_MS = 100;
/** `dispatch_all` gives up after so many rounds; what is left stays in its queue (§3.5). */
const DISPATCH_ROUNDS = 5;
/** `loop_until_sync` gives up after so many (§5). */
const SYNC_ROUNDS = 20;

/** When removals are said to be committed is for a scenario to choose: no rule of consensus. */
const ASKED_OF_THE_SCENARIO = "RetiredCommittedInv";

/** A line of the scenario that cannot be followed, or an assertion in it that does not hold. */
export class ScenarioFailure extends Error {
  override name = "ScenarioFailure";
}

/**
 * Runs a whole scenario, and the agreement that every one ends with (§1).
 *
 * @param random what election timers draw from
 * @param print takes the transcript; without it none is made
 * @throws ScenarioFailure naming the line
 */
export function runScenario(text: string, random: SeededRandom, print?: (line: string) => void): void {
  const driver = new Driver(random, print);
  const commands = parseScenario(text);
  const end = {
    line: (commands.at(-1)?.line ?? 0) + 1,
    name: "loop_until_sync",
    fields: [],
    text: "loop_until_sync (end)",
  };
  for (const command of [...commands, end]) {
    try {
      driver.run(command);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new ScenarioFailure(`Line ${command.line}, ${command.text}: ${error.message}`, { cause: error });
    }
  }
}

export class Driver {
  readonly world: World;
  readonly #random: SeededRandom;
  readonly #print: ((line: string) => void) | undefined;
  /** "source,destination" for each way that is open. */
  readonly #connected = new Set<string>();
  #preVote = true;

  constructor(random: SeededRandom, print?: (line: string) => void) {
    this.#random = random;
    this.#print = print;
    this.world = new World({
      messageTimeoutMs: MESSAGE_TIMEOUT_MS,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      properties: [...specificationProperties(), ...ruleProperties(ELECTION_TIMEOUT_MS)]
        .filter(({ name }) => name !== ASKED_OF_THE_SCENARIO),
      randomBelow: random.below,
      ...print !== undefined && {
        trace: (event) => {
          const line = scoreLine(event);
          if (line !== undefined) print(line);
        },
      },
    });
  }

  /** @throws ScenarioFailure, or Violation where a property does not hold */
  run({ name, fields, text }: Command): void {
    this.#print?.(`\n${text}`);
    const command = COMMANDS[name];
    if (command === undefined) throw new ScenarioFailure(`There is no command ${JSON.stringify(name)}`);
    const [least, most] = command.fields;
    if (fields.length < least || fields.length > most) {
      const expected = most === least ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
      throw new ScenarioFailure(`${name} takes ${expected} fields; there are ${fields.length}`);
    }
    command.run(this, fields);
    if (command.unchecked !== true) this.world.nodes.forEach((node) => this.assertCommitSafety(node));
  }

  // Nodes and configurations (§3.1).

  setPreVote(value: string): void {
    if (value !== "true" && value !== "false") {
      throw new ScenarioFailure(`pre_vote_enabled is true or false, not ${value}`);
    }
    this.#preVote = value === "true";
  }

  create(id: NodeId): BareNode {
    if (this.world.has(id)) throw new ScenarioFailure(`There is a node ${id} already`);
    return this.world.create(id, this.#preVote);
  }

  startNode(id: NodeId): void {
    if (this.world.nodes.length > 0) {
      throw new ScenarioFailure("start_node makes the first node; there are others already");
    }
    this.world.startFirst(this.create(id));
  }

  /** The old way: all are told from outside. */
  giveNodes(ids: readonly NodeId[]): void {
    ids.forEach((id) => this.create(id));
    this.world.nodes.forEach((node) => this.world.giveConfiguration(node, ids));
  }

  /** Quirk: who was taken out earlier comes back, as the new configuration is made of all nodes there ever were. */
  swap(term: string, added: readonly NodeId[], removed: readonly NodeId[]): void {
    for (const id of added) {
      this.create(id);
      this.connectNode(id);
    }
    const nodes = this.world.nodes.map(({ id }) => id).filter((id) => !removed.includes(id));
    this.append(term, { kind: "reconfiguration", nodes });
  }

  /** `in,a,b,out,c` or the other way round. */
  swapNodes(term: string, fields: readonly string[]): void {
    const lists: Record<string, NodeId[]> = { in: [], out: [] };
    let list: NodeId[] | undefined;
    for (const field of fields) {
      if (field === "in" || field === "out") list = lists[field]!;
      else if (list === undefined) throw new ScenarioFailure(`The nodes follow "in" or "out", not ${field}`);
      else list.push(field);
    }
    this.swap(term, lists.in!, lists.out!);
  }

  replicateConfiguration(term: string, ids: readonly NodeId[]): void {
    ids.filter((id) => !this.world.has(id)).forEach((id) => this.create(id));
    this.append(term, { kind: "reconfiguration", nodes: ids });
  }

  cleanUp(term: string, ids: readonly NodeId[]): void {
    this.append(term, { kind: "retired_committed", nodes: ids.map((id) => this.world.node(id).id) });
  }

  // Appending (§2 "Choosing a primary", §3.2).

  append(term: string, body: Body, committable = false): void {
    const primary = this.#primary(term);
    if (primary !== undefined) this.world.append(primary, body, committable);
  }

  sign(term: string): void {
    this.append(term, { kind: "raw", text: "signature" }, true);
  }

  #primary(term: string): BareNode | undefined {
    if (term === "latest") return this.#latestPrimary();
    const view = integer(term);
    const primary = this.world.nodes.find(({ raft }) => raft.isPrimary && raft.view === view);
    if (primary === undefined) throw new ScenarioFailure(`No node is primary in view ${view}`);
    return primary;
  }

  #latestPrimary(): BareNode | undefined {
    const rank = (node: BareNode): View => node.raft.isPrimary ? node.raft.view : -1;
    const best = this.world.nodes.reduce<BareNode | undefined>(
      (best, node) => best === undefined || rank(node) >= rank(best) ? node : best,
      undefined,
    );
    return best?.raft.isPrimary ? best : undefined;
  }

  // Time (§3.3).

  tick(id: NodeId, ms: number): void {
    this.world.tick(this.world.node(id), ms);
  }

  // Connections (§3.4).

  connect(a: NodeId, b: NodeId): void {
    if (a === b) return;
    this.#connected.add(`${a},${b}`).add(`${b},${a}`);
  }

  disconnect(a: NodeId, b: NodeId): void {
    this.#connected.delete(`${a},${b}`);
    this.#connected.delete(`${b},${a}`);
  }

  connectNode(id: NodeId): void {
    this.world.nodes.forEach((other) => this.connect(id, other.id));
  }

  disconnectNode(id: NodeId): void {
    this.world.nodes.forEach((other) => this.disconnect(id, other.id));
  }

  // Delivering and losing (§2 "Delivering one message", §3.5).

  /** @returns false where the message was lost */
  #deliver(from: BareNode, { to, message }: Envelope): boolean {
    const entries = message.kind === "append entries" ? from.entriesFor(message) : undefined;
    const isLost = !this.#connected.has(`${from.id},${to}`) ||
      (message.kind === "append entries" && entries === undefined);
    if (isLost) {
      this.#print?.(networkLine(from.id, to, message, "lost"));
      return false;
    }
    this.world.deliver(from.id, this.world.node(to), message, entries);
    return true;
  }

  /** Delivers from the front of a queue until it is empty or enough was delivered. What is lost does not count. */
  dispatch(from: BareNode, most: number): void {
    for (let delivered = 0; delivered < most && from.outbox.length > 0;) {
      if (this.#deliver(from, from.outbox.shift()!)) delivered++;
    }
  }

  dispatchAllOnce(): void {
    const lengths = this.world.nodes.map(({ outbox }) => outbox.length);
    this.world.nodes.forEach((node, at) => this.dispatch(node, lengths[at]!));
  }

  dispatchAll(): void {
    for (let round = 0; round < DISPATCH_ROUNDS && this.world.nodes.some(({ outbox }) => outbox.length > 0); round++) {
      this.dispatchAllOnce();
    }
  }

  dispatchSingle(from: NodeId, to: NodeId): void {
    const { outbox } = this.world.node(from);
    const at = outbox.findIndex((envelope) => envelope.to === to);
    if (at < 0) return;
    const [envelope] = outbox.splice(at, 1);
    this.#deliver(this.world.node(from), envelope!);
  }

  dropPending(from: NodeId, isDropped: (to: NodeId) => boolean): void {
    const node = this.world.node(from);
    for (const { to, message } of node.outbox.filter(({ to }) => isDropped(to))) {
      this.#print?.(networkLine(from, to, message, "dropped"));
    }
    node.outbox = node.outbox.filter(({ to }) => !isDropped(to));
  }

  shuffle(node: BareNode): void {
    node.outbox = this.#random.shuffled(node.outbox);
  }

  // Printing (§3.7).

  printState({ raft }: BareNode): void {
    const { id, leadership, membership, retirementPhase, view, lastSeqno, committedSeqno } = raft;
    this.#print?.(
      `    ${id}: ${leadership}, ${membership}${retirementPhase === undefined ? "" : ` ${retirementPhase}`}, ` +
        `view ${view}, ${lastSeqno} entries, committed ${committedSeqno}`,
    );
  }

  printLog({ id, ledger, raft }: BareNode): void {
    const entries = ledger.map(({ view, seqno }) =>
      seqno === raft.committedSeqno ? `[${view}.${seqno}]` : `${view}.${seqno}`
    );
    this.#print?.(`    ${id}: ${entries.join(" ")}`);
  }

  printMessages(from: NodeId, to: NodeId): void {
    for (const envelope of this.world.node(from).outbox.filter((envelope) => envelope.to === to)) {
      this.#print?.(networkLine(from, to, envelope.message, "waiting"));
    }
  }

  // Assertions (§3.8).

  assertCommitted(id: NodeId, seqno: number): void {
    const { committedSeqno } = this.world.node(id).raft;
    if (committedSeqno !== seqno) throw new ScenarioFailure(`${id} committed ${committedSeqno}, not ${seqno}`);
  }

  assertDetail(id: NodeId, key: string, value: string, equal: boolean): void {
    const details: Readonly<Record<string, unknown>> = this.world.node(id).raft.details();
    if (!Object.hasOwn(details, key)) throw new ScenarioFailure(`${id} has no detail ${key}`);
    const text = typeof details[key] === "string" ? details[key] : JSON.stringify(details[key]);
    if ((text === value) !== equal) throw new ScenarioFailure(`${key} of ${id} is ${text}`);
  }

  assertConfiguration(id: NodeId, seqno: number, ids: readonly NodeId[] | undefined): void {
    const configuration = this.world.node(id).raft.configurations.find((each) => each.seqno === seqno);
    const found = configuration && [...configuration.members.keys()].sort();
    if (ids === undefined ? found === undefined : found?.join() === [...new Set(ids)].sort().join()) return;
    throw new ScenarioFailure(
      `${id} has ${found === undefined ? "no configuration" : `{${found.join(" ")}}`} of ${seqno}`,
    );
  }

  /** §6: what a node committed is held by a majority of each configuration that it knows to be committed. */
  assertCommitSafety(node: BareNode): void {
    const { committed, log, configurations } = this.world.pictures.get(node.id)!;
    for (const { seqno, members } of configurations.filter((each) => each.seqno <= committed)) {
      const count = members.filter((id) => holds(this.world.pictures.get(id), log, committed)).length;
      if (count < quorumOf(members)) {
        throw new Violation(
          "commit safety",
          `${node.id} committed ${committed}; ${count} of ${members} (of ${seqno}) hold it`,
        );
      }
    }
  }

  assertSync(): void {
    const difference = this.#difference(this.world.nodes);
    if (difference !== undefined) throw new ScenarioFailure(difference);
  }

  /** §4. */
  #difference([first, ...others]: readonly BareNode[]): string | undefined {
    for (const other of others) {
      const [a, b] = [first!.raft, other.raft];
      if (a.view !== b.view) return `${a.id} is in view ${a.view}, ${b.id} in view ${b.view}`;
      if (a.lastSeqno !== b.lastSeqno) return `${a.id} has ${a.lastSeqno} entries, ${b.id} has ${b.lastSeqno}`;
      if (first!.ledger.at(-1)?.chain !== other.ledger.at(-1)?.chain) {
        return `The entries of ${a.id} and ${b.id} differ`;
      }
      if (a.committedSeqno !== b.committedSeqno) {
        return `${a.id} committed ${a.committedSeqno}, ${b.id} ${b.committedSeqno}`;
      }
    }
    return undefined;
  }

  /** §5. The same primary ticks to the end, deposed or not. */
  loopUntilSync(): void {
    const primary = this.#latestPrimary();
    if (primary === undefined) throw new ScenarioFailure("There is no primary to agree with");
    const active = this.world.nodes.filter(({ raft }) => raft.membership === "Active");
    this.sign(String(primary.raft.view));
    active.forEach(({ id }) => this.connectNode(id));
    let difference: string | undefined;
    for (let round = 0; round < SYNC_ROUNDS; round++) {
      this.world.tick(primary, MESSAGE_TIMEOUT_MS);
      this.dispatchAll();
      difference = this.#difference(active);
      if (difference === undefined) return;
    }
    throw new ScenarioFailure(`No agreement after ${SYNC_ROUNDS} rounds: ${difference}`);
  }
}

interface CommandRule {
  /** Least and most fields after the name. */
  readonly fields: readonly [number, number];
  /** Commit safety is not asserted afterwards, as the command changes nothing. */
  readonly unchecked?: true;
  run(driver: Driver, fields: readonly string[]): void;
}

const any = Infinity;
const each = (driver: Driver, what: (node: BareNode) => void) => driver.world.nodes.forEach(what);
const one = (driver: Driver, id: string | undefined) => driver.world.node(id!);

/** Every command of §3. */
const COMMANDS: Readonly<Record<string, CommandRule>> = {
  __proto__: null as never,
  pre_vote_enabled: { fields: [1, 1], run: (driver, [value]) => driver.setPreVote(value!) },
  start_node: { fields: [1, 1], run: (driver, [id]) => driver.startNode(id!) },
  trust_node: { fields: [2, 2], run: (driver, [term, id]) => driver.swap(term!, [id!], []) },
  trust_nodes: { fields: [2, any], run: (driver, [term, ...ids]) => driver.swap(term!, ids, []) },
  swap_node: { fields: [3, 3], run: (driver, [term, out, into]) => driver.swap(term!, [into!], [out!]) },
  swap_nodes: { fields: [3, any], run: (driver, [term, ...fields]) => driver.swapNodes(term!, fields) },
  cleanup_nodes: { fields: [2, any], run: (driver, [term, ...ids]) => driver.cleanUp(term!, ids) },
  nodes: { fields: [1, any], run: (driver, ids) => driver.giveNodes(ids) },
  create_new_node: { fields: [1, 1], run: (driver, [id]) => void driver.create(id!) },
  replicate_new_configuration: {
    fields: [2, any],
    run: (driver, [term, ...ids]) => driver.replicateConfiguration(term!, ids),
  },

  replicate: { fields: [2, 2], run: (driver, [term, text]) => driver.append(term!, { kind: "raw", text: text! }) },
  emit_signature: { fields: [1, 1], run: (driver, [term]) => driver.sign(term!) },

  periodic_one: { fields: [2, 2], run: (driver, [id, ms]) => driver.tick(id!, integer(ms!)) },
  periodic_all: { fields: [1, 1], run: (driver, [ms]) => each(driver, ({ id }) => driver.tick(id, integer(ms!))) },

  connect: { fields: [2, 2], run: (driver, [a, b]) => driver.connect(a!, b!) },
  reconnect: { fields: [2, 2], run: (driver, [a, b]) => driver.connect(a!, b!) },
  disconnect: { fields: [2, 2], run: (driver, [a, b]) => driver.disconnect(a!, b!) },
  disconnect_node: { fields: [1, 1], run: (driver, [id]) => driver.disconnectNode(id!) },
  reconnect_node: { fields: [1, 1], run: (driver, [id]) => driver.connectNode(id!) },

  dispatch_one: { fields: [1, 1], run: (driver, [id]) => driver.dispatch(one(driver, id), Infinity) },
  dispatch_all_once: { fields: [0, 0], run: (driver) => driver.dispatchAllOnce() },
  dispatch_all: { fields: [0, 0], run: (driver) => driver.dispatchAll() },
  dispatch_single: { fields: [2, 2], run: (driver, [from, to]) => driver.dispatchSingle(from!, to!) },
  drop_pending_to: { fields: [2, 2], run: (driver, [from, to]) => driver.dropPending(from!, (each) => each === to) },
  drop_pending: { fields: [1, 1], run: (driver, [from]) => driver.dropPending(from!, (to) => driver.world.has(to)) },
  shuffle_one: { fields: [1, 1], run: (driver, [id]) => driver.shuffle(one(driver, id)) },
  shuffle_all: { fields: [0, 0], run: (driver) => each(driver, (node) => driver.shuffle(node)) },

  nominate_successor: { fields: [1, 1], run: (driver, [id]) => driver.world.nominateSuccessor(one(driver, id)) },

  state_one: { fields: [1, 1], unchecked: true, run: (driver, [id]) => driver.printState(one(driver, id)) },
  state_all: { fields: [0, 0], unchecked: true, run: (driver) => each(driver, (node) => driver.printState(node)) },
  summarise_log: { fields: [1, 1], unchecked: true, run: (driver, [id]) => driver.printLog(one(driver, id)) },
  summarise_logs_all: {
    fields: [0, 0],
    unchecked: true,
    run: (driver) => each(driver, (node) => driver.printLog(node)),
  },
  summarise_messages: { fields: [2, 2], unchecked: true, run: (driver, [a, b]) => driver.printMessages(a!, b!) },

  assert_commit_idx: {
    fields: [2, 2],
    unchecked: true,
    run: (driver, [id, seqno]) => driver.assertCommitted(id!, integer(seqno!)),
  },
  assert_detail: { fields: [3, 3], run: (driver, [id, key, value]) => driver.assertDetail(id!, key!, value!, true) },
  "assert_!detail": {
    fields: [3, 3],
    run: (driver, [id, key, value]) => driver.assertDetail(id!, key!, value!, false),
  },
  assert_config: {
    fields: [3, any],
    run: (driver, [id, seqno, ...ids]) => driver.assertConfiguration(id!, integer(seqno!), ids),
  },
  assert_absent_config: {
    fields: [2, 2],
    run: (driver, [id, seqno]) => driver.assertConfiguration(id!, integer(seqno!), undefined),
  },
  assert_state_sync: { fields: [0, 0], unchecked: true, run: (driver) => driver.assertSync() },
  assert_commit_safety: { fields: [1, 1], run: (driver, [id]) => driver.assertCommitSafety(one(driver, id)) },
  loop_until_sync: { fields: [0, 0], run: (driver) => driver.loopUntilSync() },
};

/** A decimal number without sign. */
function integer(text: string): number {
  if (!/^ *[0-9]{1,15}$/.test(text)) throw new ScenarioFailure(`${JSON.stringify(text)} is not a number`);
  return Number(text);
}
