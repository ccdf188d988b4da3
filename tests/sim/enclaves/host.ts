/**
 * The host of one simulated node: it does what hosts do, on a disk and with a clock that are made up.
 *
 * In: inputs for its enclave, one at a time, from the world. Out: what the enclave has it do, through the world.
 * After each input the node is looked at: its consensus, its tree and its secrets must be those of its ledger.
 */

import type { Enclave } from "../../../enclave/enclave.ts";
import type { EnclaveInput, EnclaveOutput, HttpRequest, HttpResponse, SessionId } from "../../../enclave/messages.ts";
import { parsePemBlock } from "../../../shared/crypto/pem.ts";
import { toHex } from "../../../shared/bytes.ts";
import { Violation } from "../world.ts";
import type { Directory, Disk } from "./disk.ts";
import { FIRST_MOMENT_MS } from "./service.ts";
import type { NodeWatch } from "./watch.ts";

/** What a host needs of the world around it. */
export interface Surroundings {
  /** Milliseconds since the world began. */
  nowMs(): number;
  after(delayMs: number, run: () => void): void;
  /** How long the enclave is busy with something else this time. */
  batchDelayMs(): number;
  /** How long the disk takes this time. */
  diskDelayMs(): number;
  /** What a read gives: the bytes, others, or nothing. */
  asRead(bytes: Uint8Array | null): Uint8Array | null;
  cannotWrite(): boolean;
  carry(from: Host, message: EnclaveOutput & { readonly kind: "nodeOutbound" }): void;
  askNode(from: Host, question: EnclaveOutput & { readonly kind: "httpRequest" }): void;
  note(line: string): void;
  /** A checker's verdict on the input being handled, if it is a bad one. */
  takeViolation(): Violation | undefined;
}

export type Outcome = HttpResponse | undefined;

export class Host {
  nodeId = "";
  servicePem = "";
  /** DER of the self-signed certificate. */
  nodeCertificate = new Uint8Array();
  isDead = false;
  pausedUntilMs = 0;
  /** Milliseconds that its clock makes of 1000, and how far it has leapt. */
  clockRate = 1000;
  clockLeapMs = 0;
  watch: NodeWatch | undefined;
  #nextSession = 1;
  #nextRequest = 1;
  readonly #waiting = new Map<number, { readonly session: SessionId; readonly done: (outcome: Outcome) => void }>();
  readonly #started: EnclaveOutput[] = [];
  /** First seqno of the newest ledger secret that it joined with. */
  #toldUpTo: number | undefined;
  /** What arrives while the enclave is busy comes in one batch. */
  readonly #inbox: EnclaveInput[] = [];

  constructor(
    readonly name: string,
    readonly number: number,
    readonly enclave: Enclave,
    readonly disk: Disk,
    readonly world: Surroundings,
  ) {}

  get clockMs(): number {
    return FIRST_MOMENT_MS + Math.floor(this.world.nowMs() * this.clockRate / 1000) + this.clockLeapMs;
  }

  get isPaused(): boolean {
    return this.pausedUntilMs > this.world.nowMs();
  }

  /** Whether it is one of the service, as far as it knows. */
  get takesPart(): boolean {
    return this.enclave.node?.state === "PartOfNetwork";
  }

  /** What the enclave has done so far with its ledger, for whoever begins to watch it. */
  get appendedAtStart(): readonly Uint8Array[] {
    return this.#started.flatMap((output) => output.kind === "ledgerAppend" ? [output.entry] : []);
  }

  /** The first thing that the enclave is told, at once. */
  begin(input: EnclaveInput): void {
    const outputs = this.#handle([input]);
    if (input.kind === "start") this.#started.push(...outputs);
  }

  /** Gives the enclave an input with the next batch, once the process runs. */
  give(input: EnclaveInput): void {
    if (this.isDead) return;
    this.#inbox.push(input);
    if (this.#inbox.length === 1) this.world.after(this.world.batchDelayMs(), () => this.#deliver());
  }

  #deliver(): void {
    if (this.isDead) return;
    if (this.isPaused) return this.world.after(this.pausedUntilMs - this.world.nowMs(), () => this.#deliver());
    this.#handle(this.#inbox.splice(0));
    this.#look();
  }

  #handle(inputs: readonly EnclaveInput[]): EnclaveOutput[] {
    const outputs = this.enclave.handle(inputs, this.clockMs);
    const violation = this.world.takeViolation();
    if (violation !== undefined) throw violation;
    for (const output of outputs) this.#perform(output);
    return outputs;
  }

  /** Ends the process. Clients see their connections break. */
  die(): void {
    this.isDead = true;
    for (const { done } of this.#waiting.values()) done(undefined);
    this.#waiting.clear();
  }

  openSession(certificate: Uint8Array | null, interfaceName = "primary_rpc_interface"): SessionId {
    const session = this.#nextSession++;
    this.give({ kind: "sessionOpened", session, interfaceName, callerCertificate: certificate });
    return session;
  }

  closeSession(session: SessionId): void {
    for (const [id, { session: of }] of this.#waiting) if (of === session) this.#waiting.delete(id);
    this.give({ kind: "sessionClosed", session });
  }

  /** @param done is told the answer, or that the connection broke */
  ask(session: SessionId, request: HttpRequest, done: (outcome: Outcome) => void): void {
    if (this.isDead) return done(undefined);
    const id = this.#nextRequest++;
    this.#waiting.set(id, { session, done });
    this.give({ kind: "request", session, id, request });
  }

  #perform(output: EnclaveOutput): void {
    const { disk, world } = this;
    switch (output.kind) {
      case "ledgerAppend":
        return disk.append(output.seqno, output.entry);
      case "ledgerTruncate":
        return disk.truncate(output.seqno);
      case "ledgerCommit":
        return disk.commit(output.seqno);
      case "ledgerRead": {
        const { from, to } = output;
        return world.after(world.diskDelayMs(), () => {
          this.give({ kind: "ledgerEntries", from, to, entries: world.asRead(disk.read(from, to)) });
        });
      }
      case "nodeOutbound":
        return world.carry(this, output);
      case "httpRequest":
        return world.askNode(this, output);
      case "response":
        return this.#answer(output.id, output.response);
      case "certificates":
        this.nodeId = output.nodeId;
        this.servicePem = output.servicePem;
        this.nodeCertificate = parsePemBlock(output.nodePem, "CERTIFICATE").slice();
        return;
      case "snapshotBegin":
        return disk.beginSnapshot(output.seqno);
      case "snapshotPart":
        return this.#writeSnapshot(output.seqno, output.bytes);
      case "snapshotCommit":
        world.note(`${this.name} has the snapshot ${output.name}`);
        return disk.finishSnapshot(output.seqno, output.name, output.receipt);
      case "snapshotDiscard":
        return disk.dropSnapshot(output.seqno);
      case "log":
        return world.note(`${this.name} logs: ${output.tag}: ${output.message}`);
      case "fatal":
        return this.#stop(output.message);
      case "peerAddress":
      case "peerConnection":
      case "tlsIdentity":
      case "serviceOpened":
      case "stopped":
        return;
    }
  }

  #answer(id: number, response: HttpResponse): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.done(response);
  }

  #writeSnapshot(seqno: number, bytes: Uint8Array): void {
    const { disk, world } = this;
    const sizeBytes = world.cannotWrite() ? null : disk.addToSnapshot(seqno, bytes);
    if (sizeBytes === null) disk.dropSnapshot(seqno);
    world.after(world.diskDelayMs(), () => this.give({ kind: "snapshotWritten", seqno, sizeBytes }));
  }

  /** Only a node that has not been let in may find that it cannot go on. */
  #stop(message: string): void {
    if (this.takesPart) throw new Violation("NodesGoOn", `${this.name} stops: ${message}`);
    this.world.note(`${this.name} is not let in: ${message}`);
    this.die();
  }

  #look(): void {
    const { watch } = this;
    const node = this.enclave.node;
    const last = watch?.log.at(-1);
    if (node === undefined || last === undefined || this.isDead) return;
    const { path } = node;
    if (path.store.version !== last.seqno) {
      throw new Violation(
        "StateFollowsTheLog",
        `${this.name} has state ${path.store.version} and ledger ${last.seqno}`,
      );
    }
    const root = toHex(path.tree.root());
    last.root ??= root;
    if (last.root !== root) {
      throw new Violation("OneRoot", `${this.name} has another Merkle root after ${last.view}.${last.seqno}`);
    }
    // A joiner keeps what it was told, whatever its ledger does.
    this.#toldUpTo ??= this.number === 0 ? 0 : path.secrets.latest()!.first;
    for (const rekey of watch!.rekeys) {
      if (rekey.seqno < this.#toldUpTo || watch!.log[rekey.seqno - 1]?.isRekey === true) continue;
      watch!.rekeys.delete(rekey);
      if (path.secrets.startingAt(rekey.seqno + 1) === undefined) continue;
      throw new Violation(
        "SecretsFollowTheLog",
        `${this.name} dropped entry ${rekey.seqno}, and keeps the secret it told of`,
      );
    }
  }
}

/** What an operator copies from a node for another one. */
export function directoryOf({ disk }: Host): Directory["entries"] {
  return disk.committedEntries();
}
