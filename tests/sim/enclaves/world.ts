/**
 * Whole enclaves in a made-up world: time, a network between nodes, connections, disks, and what goes wrong with them.
 *
 * In: a plan, a source of numbers, what clients and operators begin. Out: events one after the other, each checked before
 * the next. Nothing happens but what is in the queue, so the same seed gives the same world.
 */

import { Enclave } from "../../../enclave/enclave.ts";
import type { EnclaveOutput, HttpRequest, HttpResponse } from "../../../enclave/messages.ts";
import { parseRaftMessage, raftHeaderBytes } from "../../../shared/consensus/messages.ts";
import type { NodeId } from "../../../shared/consensus/messages.ts";
import { concat, fromUtf8 } from "../../../shared/bytes.ts";
import { ENTRY_HEADER_BYTES, entryBytes, LedgerEntry, splitEntriesUpTo } from "../../../shared/ledger/entry.ts";
import { MAX_ENTRIES_PER_APPEND } from "../../../shared/limits.ts";
import { isSignature } from "../../../shared/ledger/signature.ts";
import type { Property, Step } from "../picture.ts";
import type { SeededRandom } from "../random.ts";
import { describeMessage } from "../score.ts";
import { Violation } from "../world.ts";
import { type Directory, Disk, type SnapshotFile } from "./disk.ts";
import { EventQueue } from "./event_queue.ts";
import { directoryOf, Host, type Surroundings } from "./host.ts";
import { LedgerTree, type TreeEntry } from "./ledger_tree.ts";
import type { Plan } from "./plan.ts";
import { nodeProperties } from "./node_rules.ts";
import type { Machinery } from "./powers.ts";
import { joinConfig, rpcAddressOf, type SimulatedService } from "./service.ts";
import { NodeWatch, type WatchedPicture } from "./watch.ts";

const TICK_MS = 10;
/** Leads to any node of the service, or to nobody. */
const SERVICE_ADDRESS = "service.example:443";
/** A question to another node that gets no answer ends after so long. */
const HTTP_TIMEOUT_MS = 1000;

export interface WorldOptions {
  readonly seed: number;
  readonly plan: Plan;
  readonly machinery: Machinery;
  readonly random: SeededRandom;
  readonly service: SimulatedService;
  readonly properties: readonly Property[];
  /** Takes the score, a line an event. */
  readonly print: ((line: string) => void) | undefined;
}

type Message = EnclaveOutput & { readonly kind: "nodeOutbound" };
type Question = EnclaveOutput & { readonly kind: "httpRequest" };

export class EnclaveWorld implements Surroundings {
  readonly hosts: Host[] = [];
  readonly tree: LedgerTree;
  readonly pictures = new Map<string, WatchedPicture>();
  /** "n0 n1" for each way that is cut. */
  readonly cut = new Set<string>();
  /** Before and after the faults, everything works. */
  isCalm = true;
  steps = 0;
  readonly #queue = new EventQueue();
  readonly #names = new Map<NodeId, string>();
  /** Digests of which each node has found a signature to be good. */
  readonly #verified = new Map<string, Set<string>>();
  readonly #properties: readonly Property[];
  readonly #options: WorldOptions;
  readonly #print: ((line: string) => void) | undefined;
  /** When the last message on each way arrives, where they keep their order. */
  readonly #lastArrival = new Map<string, number>();
  #violation: Violation | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#print = options.print;
    this.tree = new LedgerTree(options.machinery.primitives, this.nameOf);
    const verifiedBy = (name: string) => this.#verified.get(name)!;
    this.#properties = [...options.properties, ...nodeProperties({ tree: this.tree, verifiedBy })];
  }

  get plan(): Plan {
    return this.#options.plan;
  }

  get random(): SeededRandom {
    return this.#options.random;
  }

  get service(): SimulatedService {
    return this.#options.service;
  }

  get machinery(): Machinery {
    return this.#options.machinery;
  }

  get alive(): Host[] {
    return this.hosts.filter(({ isDead }) => !isDead);
  }

  /** Who leads in the latest view, of those that live. */
  get primary(): Host | undefined {
    const leaders = this.alive.filter(({ name }) => this.pictures.get(name)?.leadership === "Leader");
    return leaders.toSorted((a, b) => this.pictures.get(b.name)!.view - this.pictures.get(a.name)!.view)[0];
  }

  /** The longest committed ledger. */
  get committed(): readonly TreeEntry[] {
    let best: readonly TreeEntry[] = [];
    for (const { log, committed } of this.pictures.values()) {
      if (committed > best.length) best = log.slice(0, committed);
    }
    return best;
  }

  readonly nameOf = (id: NodeId): string => {
    let name = this.#names.get(id);
    if (name !== undefined) return name;
    name = this.hosts.find(({ nodeId }) => nodeId === id)?.name;
    if (name === undefined) return id;
    this.#names.set(id, name);
    return name;
  };

  // Time.

  nowMs(): number {
    return this.#queue.nowMs;
  }

  after(delayMs: number, run: () => void): void {
    this.#queue.add(delayMs, run);
  }

  /** Lets time pass. @returns false once `until` holds */
  run(ms: number, until?: () => boolean): boolean {
    const endMs = this.nowMs() + ms;
    while (this.#queue.runNext(endMs)) {
      this.#throwViolation();
      if (until?.() === true) return false;
    }
    return true;
  }

  note(line: string): void {
    this.#print?.(`${String(this.nowMs()).padStart(6)} ms ${line}`);
  }

  takeViolation(): Violation | undefined {
    const violation = this.#violation;
    this.#violation = undefined;
    return violation;
  }

  #throwViolation(): void {
    const violation = this.takeViolation();
    if (violation !== undefined) throw violation;
  }

  // Nodes.

  startFirst(): Host {
    const host = this.#create();
    host.begin({ kind: "start", config: this.service.config });
    const node = host.enclave.node!;
    host.watch = this.#watch(host);
    host.watch.began(host.appendedAtStart.map((bytes) => {
      const entry = LedgerEntry.parse(bytes);
      const secret = node.path.secrets.at(entry.seqno)!;
      const privateTables = entry.privateTables(this.machinery.primitives, secret.key)!;
      return [bytes, { publicTables: entry.publicTables(), privateTables }];
    }));
    this.#tick(host);
    return host;
  }

  /**
   * A node begins to join.
   *
   * @param target whose service certificate and files its operator has copied
   * @param snapshot what it begins with
   * @param left what lay in its directory before
   */
  join(target: Host, snapshot: SnapshotFile | undefined, left: Directory): Host {
    const host = this.#create();
    if (snapshot !== undefined) host.disk.beginBehind(snapshot, left, directoryOf(target));
    const config = joinConfig(this.plan, host.number, target.servicePem, SERVICE_ADDRESS);
    host.begin({ kind: "join", config, snapshot: snapshot ?? null });
    if (!host.isDead) {
      host.watch = this.#watch(host);
      this.#tick(host);
    }
    return host;
  }

  #create(): Host {
    const { machinery, seed } = this.#options;
    const number = this.hosts.length;
    const name = `n${number}`;
    const verified = new Set<string>();
    this.#verified.set(name, verified);
    const enclave = new Enclave(machinery.powers(seed * 1000 + number + 1, verified));
    const host = new Host(name, number, enclave, new Disk(), this);
    host.clockRate = this.random.between(...this.plan.clockRate);
    this.hosts.push(host);
    return host;
  }

  #watch(host: Host): NodeWatch {
    return new NodeWatch(host.enclave.node!, {
      name: host.name,
      tree: this.tree,
      nameOf: this.nameOf,
      ledgerUpTo: (seqno) => this.committed.slice(0, seqno),
      onStep: (step) => this.#check(host, { ...step, nodes: this.pictures, withoutGenesis: false }, step.after),
      onDifference: (what) => this.#violation ??= new Violation("StateMachineEquality", what),
    });
  }

  #check(host: Host, step: Step, after: WatchedPicture): void {
    this.steps++;
    this.pictures.set(host.name, after);
    if (this.#print !== undefined) this.#noteStep(step);
    for (const { name, check } of this.#properties) {
      const wrong = check(step);
      if (wrong !== undefined) this.#violation ??= new Violation(name, wrong);
    }
  }

  #noteStep({ event, before, after, sent }: Step): void {
    const parts: string[] = [];
    if (event.kind === "receive") parts.push(`◀ ${event.from} ${describeMessage(event.message)}`);
    if (event.kind === "append") {
      parts.push(`appends ${after.log.length}${after.log.at(-1)!.committable ? ", a signature" : ""}`);
    }
    if (before?.leadership !== after.leadership || before.view !== after.view) {
      parts.push(`is ${after.leadership} in view ${after.view}`);
    }
    if (before !== undefined && after.log.length < before.log.length) parts.push(`drops all after ${after.log.length}`);
    if (before?.committed !== after.committed) parts.push(`COMMITS ${after.committed}`);
    if (before?.retirementPhase !== after.retirementPhase) parts.push(`is ${after.retirementPhase}`);
    for (const { to, message } of sent) parts.push(`▶ ${to} ${describeMessage(message)}`);
    if (parts.length > 0) this.note(`${after.id} ${parts.join("; ")}`);
  }

  #tick(host: Host): void {
    if (host.isDead) return;
    this.after(TICK_MS + this.random.below(3), () => {
      if (!host.isPaused) host.give({ kind: "tick" });
      this.#tick(host);
    });
  }

  batchDelayMs(): number {
    return this.isCalm ? 0 : this.random.between(...this.plan.busyMs);
  }

  // Disks.

  diskDelayMs(): number {
    return this.isCalm ? 0 : this.random.between(...this.plan.diskMs);
  }

  asRead(bytes: Uint8Array | null, sparesFlags = false): Uint8Array | null {
    if (this.isCalm || bytes === null) return bytes;
    if (this.random.chance(this.plan.unreadable)) return null;
    return this.random.chance(this.plan.corrupted) ? this.#flip(bytes, 0, sparesFlags) : bytes;
  }

  cannotWrite(): boolean {
    return !this.isCalm && this.random.chance(this.plan.unreadable);
  }

  // The network between nodes.

  carry(from: Host, message: Message): void {
    const delayMs = message.entries === undefined ? 0 : this.diskDelayMs();
    if (delayMs === 0) this.#launch(from, message);
    else this.after(delayMs, () => this.#launch(from, message));
  }

  #launch(from: Host, { to, messageType, payload, entries }: Message): void {
    const { lost, duplicated, flipped, delayMs, reordered } = this.plan;
    const { random } = this;
    const way = `${from.name} ${this.nameOf(to)}`;
    const read = entries === undefined ? new Uint8Array() : from.disk.read(entries.from, entries.to);
    const sparesFlags = messageType === 1 && areFlagsUnknown(payload);
    const attached = entries === undefined ? read : this.asRead(read, sparesFlags);
    if (attached === null) return this.note(`${from.name} cannot attach entries ${entries?.from} to ${entries?.to}`);
    let frame = concat(payload, attached);
    const copies = this.isCalm ? 1 : (random.chance(lost) ? 0 : 1) + (random.chance(duplicated) ? 1 : 0);
    if (copies === 0) this.note(`${way} LOST ${describeFrame(messageType, payload)}`);
    // What was read wrong is no longer what could be told apart from a signature, should it have to be.
    if (!this.isCalm && attached === read && random.chance(flipped)) {
      frame = this.#flip(frame, payload.length, sparesFlags);
      this.note(`${way} a bit FLIPPED in ${describeFrame(messageType, payload)}`);
    }
    for (let copy = 0; copy < copies; copy++) {
      let dueMs = this.nowMs() + (this.isCalm ? 1 : random.between(...delayMs));
      if (!reordered) {
        dueMs = Math.max(dueMs, this.#lastArrival.get(way) ?? 0);
        this.#lastArrival.set(way, dueMs);
      }
      this.after(dueMs - this.nowMs(), () => this.#arrive(from, to, messageType, frame));
    }
  }

  #arrive(from: Host, to: NodeId, messageType: Message["messageType"], frame: Uint8Array): void {
    const receiver = this.alive.find(({ nodeId }) => nodeId === to);
    if (receiver === undefined || this.cut.has(`${from.name} ${receiver.name}`)) return;
    const connection = from.number;
    receiver.give({ kind: "nodeInbound", connection, from: from.nodeId, messageType, payload: frame.slice() });
  }

  /**
   * Changes a bit.
   *
   * @param entriesAt where ledger entries begin
   * @param sparesFlags not one of a signature's flags. Where the primary began behind an entry, it cannot vouch for them:
   *   a backup that takes them changed can take no signature after it, as in CCF, until its process is started anew
   */
  #flip(bytes: Uint8Array, entriesAt: number, sparesFlags: boolean): Uint8Array {
    const flipped = bytes.slice();
    // The first bytes of an entry are few, and are not sealed.
    const entries = splitEntriesUpTo(bytes.subarray(entriesAt), MAX_ENTRIES_PER_APPEND) ?? [];
    const isHeader = entries.length > 0 && this.random.chance(0.3);
    const headerAt = isHeader ? this.random.pick(entries).byteOffset - bytes.byteOffset : 0;
    // Most of them the signature covers, and two bits nothing but the channel.
    const isFlags = isHeader && this.random.chance(0.3);
    let at = isFlags ? headerAt + FLAGS_AT : headerAt + this.random.below(isHeader ? ENTRY_HEADER_BYTES : bytes.length);
    if (sparesFlags && isFlagsOfSignature(bytes.subarray(entriesAt), at - entriesAt)) at++;
    if (flipped.length > 0) flipped[at]! ^= 1 << this.random.below(isFlags ? 2 : 8);
    return flipped;
  }

  // Connections.

  /** Sends a request and brings the answer back, unless the connection breaks on the way. */
  exchange(
    host: Host,
    session: number,
    request: HttpRequest,
    done: (response: HttpResponse | undefined) => void,
  ): void {
    let isDone = false;
    const end = (response: HttpResponse | undefined) => {
      if (isDone) return;
      isDone = true;
      done(response);
    };
    const breaks = () => !this.isCalm && this.random.chance(this.plan.brokenConnection);
    this.after(this.#connectionDelayMs(), () => {
      if (breaks()) return end(undefined);
      host.ask(session, request, (response) => {
        this.after(this.#connectionDelayMs(), () => end(breaks() ? undefined : response));
      });
    });
  }

  #connectionDelayMs(): number {
    return this.isCalm ? 0 : this.random.between(0, 5);
  }

  /** Whoever is told secrets was trusted by some entry, whatever became of it; a node cannot wait for its own commit. */
  #requireTrusted({ name }: Host, response: HttpResponse | undefined): void {
    if (response?.status !== 200 || this.tree.everTrusted.has(name)) return;
    if (JSON.parse(fromUtf8(response.body)).network_info !== undefined) {
      throw new Violation(
        "SecretsGoToTrustedNodes",
        `${name} was sent the secrets of the service, and nobody trusts it`,
      );
    }
  }

  /** A joiner asks a node over TLS. */
  askNode(from: Host, { id, address, request }: Question): void {
    const target = address === SERVICE_ADDRESS
      ? this.random.pick([...this.alive.filter(({ takesPart }) => takesPart), undefined])
      : this.hosts.find(({ number }) => rpcAddressOf(number) === address);
    let isDone = false;
    const end = (response: HttpResponse | undefined) => {
      if (isDone) return;
      isDone = true;
      const answer = response === undefined ? { response: null, reason: `${address} does not answer` } : { response };
      from.give({ kind: "httpResult", id, ...answer });
    };
    this.after(HTTP_TIMEOUT_MS, () => end(undefined));
    if (target === undefined || target.isDead) return this.after(1, () => end(undefined));
    if (this.cut.has(`${from.name} ${target.name}`)) return;
    const session = target.openSession(from.nodeCertificate);
    this.exchange(target, session, request, (response) => {
      target.closeSession(session);
      this.#requireTrusted(from, response);
      if (!this.cut.has(`${target.name} ${from.name}`)) end(response);
    });
  }
}

/** Of an entry, behind its version: one byte, of which two bits mean something. */
const FLAGS_AT = 1;

/** @param entries back to back */
function isFlagsOfSignature(entries: Uint8Array, index: number): boolean {
  for (let at = 0; at <= index - FLAGS_AT;) {
    const length = entryBytes(entries.subarray(at));
    if (index === at + FLAGS_AT) {
      return isSignature(LedgerEntry.parse(entries.subarray(at, at + length)).publicTables());
    }
    at += length;
  }
  return false;
}

/** Whether a message brings entries that its sender has not seen. */
function areFlagsUnknown(payload: Uint8Array): boolean {
  const message = parseRaftMessage(payload.subarray(0, raftHeaderBytes(payload)));
  return message.kind === "append entries" && message.flagsUnknown === true;
}

function describeFrame(messageType: number, payload: Uint8Array): string {
  if (messageType === 0) return "a key exchange";
  if (messageType === 2) return "a forwarded message";
  return describeMessage(parseRaftMessage(payload.subarray(0, raftHeaderBytes(payload))));
}
