/**
 * A node without host, sockets or Worker: the same enclave, called directly, its ledger kept in memory.
 *
 * In: a start configuration, requests. Out: responses, the ledger's entries. For tests and benchmarks; time stands still
 * but where a test moves it.
 */

import { strict as assert } from "node:assert";
import { toUtf8 } from "../shared/bytes.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { serialiseChunk } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, LedgerEntry } from "../shared/ledger/entry.ts";
import { parseSnapshotName } from "../shared/ledger/snapshot.ts";
import { Enclave } from "../enclave/enclave.ts";
import type {
  EnclaveInput,
  EnclaveOutput,
  HeaderList,
  HttpResponse,
  JoinConfig,
  StartConfig,
} from "../enclave/messages.ts";
import type { EnclavePowers } from "../enclave/powers.ts";
import { openingRequests, type SandboxOpening } from "../node/sandbox_opening.ts";

export interface InlineRequest {
  readonly method: string;
  readonly target: string;
  readonly headers?: HeaderList;
  /** Text, bytes, or anything else to be sent as JSON. */
  readonly body?: unknown;
  /** DER of the client's certificate; absent: none. */
  readonly certificate?: Uint8Array;
}

export interface InlineSnapshot {
  readonly name: string;
  readonly file: Uint8Array;
}

/** Outputs that concern other nodes. */
export type OutsideOutput = EnclaveOutput & {
  readonly kind: "nodeOutbound" | "peerAddress" | "peerConnection" | "httpRequest";
};

export class InlineNode {
  readonly enclave: Enclave;
  /** Every entry of the ledger and every snapshot, unless `keepEntries` is false. */
  readonly entries: Uint8Array[] = [];
  keepEntries = true;
  ledgerBytes = 0;
  readonly snapshots = new Map<string, Uint8Array>();
  readonly #drafts = new Map<number, Uint8Array[]>();
  readonly #draftBytes = new Map<number, number>();
  readonly #written: EnclaveInput[] = [];
  readonly logs: string[] = [];
  committed = 0;
  nowMs: number;
  nodeId = "";
  servicePem = "";
  /** The node's self-signed certificate. */
  nodePem = "";
  /** What the host would have to do, other than what is done here. */
  fatal: string | undefined;
  /** Turns an honest host into another one: what `ledgerRead` is answered with. */
  readEntries = (from: number, to: number): Uint8Array | null => {
    const parts = this.entries.slice(from - 1, to);
    return parts.length === to - from + 1 ? concatAll(parts) : null;
  };
  /** What goes to other nodes, for whoever has some. */
  outside: (output: OutsideOutput) => void = () => {};
  /** Report data for which evidence of hardware is asked, and to be sent by the test. */
  readonly quotesAsked: Uint8Array[] = [];
  #nextId = 1;
  #lastSeqno = 0;
  #responses = new Map<number, HttpResponse>();
  readonly #sessions = new Map<string, number>();
  #lastSession = 0;

  constructor(powers: EnclavePowers, nowMs: number) {
    this.enclave = new Enclave(powers);
    this.nowMs = nowMs;
  }

  /** Starts a service and, where an opening is given, has its members open it. */
  static start(powers: EnclavePowers, config: StartConfig, nowMs: number, opening?: SandboxOpening): InlineNode {
    const node = new InlineNode(powers, nowMs);
    node.send({ kind: "start", config });
    assert.equal(node.fatal, undefined);
    if (opening !== undefined) node.open(opening);
    return node;
  }

  /** Begins to join a service. */
  static join(powers: EnclavePowers, config: JoinConfig, nowMs: number, snapshot?: InlineSnapshot): InlineNode {
    const node = new InlineNode(powers, nowMs);
    node.#lastSeqno = snapshot === undefined ? 0 : parseSnapshotName(snapshot.name)!.seqno;
    node.entries.length = node.#lastSeqno; // without what is in the snapshot
    node.send({ kind: "join", config, snapshot: snapshot ?? null });
    assert.equal(node.fatal, undefined);
    return node;
  }

  /** Members acknowledge, propose and vote. What follows a snapshot is signed too, so that all of it is committed. */
  open(opening: SandboxOpening): void {
    const requests = openingRequests(opening, this.servicePem, Math.floor(this.nowMs / 1000));
    const interfaceName = "members"; // of which no configuration knows, so no rules are in the way
    let step = requests.next();
    while (!step.done) {
      if (this.enclave.node!.tooManyUncommitted) this.enclave.node!.sign();
      const { method, target, contentType, body } = step.value;
      step = requests.next(
        this.request({ method, target, headers: [["content-type", contentType]], body }, interfaceName),
      );
    }
    this.enclave.node!.signWhatIsLeft();
    this.send();
    assert.equal(this.fatal, undefined);
  }

  send(...inputs: readonly EnclaveInput[]): void {
    for (const output of this.enclave.handle(inputs, this.nowMs)) this.#perform(output);
  }

  /** Lets time pass, in which what there is of snapshots gets written. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.send(...this.#written.splice(0), { kind: "tick" });
  }

  request(
    request: InlineRequest,
    interfaceName = "primary_rpc_interface",
  ): HttpResponse {
    const id = this.ask(request, interfaceName);
    const response = this.takeResponse(id);
    assert(response !== undefined, this.fatal ?? "every request is answered");
    return response;
  }

  /** Sends a request whose answer may come later. @returns its number */
  ask(
    { method, target, headers = [], body, certificate }: InlineRequest,
    interfaceName = "primary_rpc_interface",
  ): number {
    const session = this.session(interfaceName, certificate);
    const id = this.#nextId++;
    const bytes = body === undefined
      ? new Uint8Array()
      : body instanceof Uint8Array
      ? body
      : toUtf8(typeof body === "string" ? body : JSON.stringify(body));
    this.send({ kind: "request", session, id, request: { method, target, headers, body: bytes } });
    return id;
  }

  /** The answer to a request, once. */
  takeResponse(id: number): HttpResponse | undefined {
    const response = this.#responses.get(id);
    this.#responses.delete(id);
    if (response?.fromHost?.kind !== "snapshot") return response;
    const { name, from, to } = response.fromHost;
    return { ...response, body: this.snapshots.get(name)!.slice(from, to) };
  }

  /** The number of a client's connection; it is opened where there is none. */
  session(interfaceName: string, certificate: Uint8Array | undefined): number {
    const key = `${interfaceName} ${certificate?.join(",") ?? "none"}`;
    let session = this.#sessions.get(key);
    if (session === undefined) {
      session = ++this.#lastSession;
      this.#sessions.set(key, session);
      this.send({ kind: "sessionOpened", session, interfaceName, callerCertificate: certificate ?? null });
    }
    return session;
  }

  /** Clients close their connections; the next requests come on new ones. */
  reconnect(): void {
    for (const session of this.#sessions.values()) this.send({ kind: "sessionClosed", session });
    this.#sessions.clear();
  }

  /** Writes to tables what no request can, as if members had decided it. @returns the seqno */
  write(change: (tx: Transaction) => void): number {
    const node = this.enclave.node;
    assert(node !== undefined, "the service has started");
    const tx = node.store.begin();
    change(tx);
    const { seqno } = node.commitTransaction(tx);
    this.send(); // performs what that brought about
    return seqno;
  }

  /** The entries as ledger files, names with contents, complete where an entry ends a chunk. */
  ledgerFiles(): Map<string, Uint8Array> {
    const files = new Map<string, Uint8Array>();
    let first = 1;
    for (let seqno = 1; seqno <= this.entries.length; seqno++) {
      const ends = (LedgerEntry.parse(this.entries[seqno - 1]!).flags & FORCE_CHUNK_AFTER) !== 0;
      if (!ends && seqno < this.entries.length) continue;
      const name = ends ? `ledger_${first}-${seqno}.committed` : `ledger_${first}`;
      files.set(name, serialiseChunk(this.entries.slice(first - 1, seqno), ends));
      first = seqno + 1;
    }
    return files;
  }

  #perform(output: EnclaveOutput): void {
    switch (output.kind) {
      case "ledgerAppend":
        assert.equal(output.seqno, ++this.#lastSeqno, "entries are appended in order");
        this.ledgerBytes += output.entry.length;
        if (this.keepEntries) this.entries.push(output.entry);
        return;
      case "ledgerCommit":
        this.committed = output.seqno;
        return;
      case "ledgerRead":
        // Answered later, as a host with files would.
        this.#reads.push(output);
        return;
      case "response":
        this.#responses.set(output.id, output.response);
        return;
      case "certificates":
        this.nodeId = output.nodeId;
        this.servicePem = output.servicePem;
        this.nodePem = output.nodePem;
        return;
      case "snapshotBegin":
        this.#drafts.set(output.seqno, []);
        this.#draftBytes.set(output.seqno, 0);
        return;
      case "snapshotPart": {
        const { seqno, bytes } = output;
        const sizeBytes = this.#draftBytes.get(seqno)! + bytes.length;
        this.#draftBytes.set(seqno, sizeBytes);
        this.#written.push({ kind: "snapshotWritten", seqno, sizeBytes });
        if (this.keepEntries) this.#drafts.get(seqno)!.push(bytes);
        return;
      }
      case "snapshotCommit":
        if (this.keepEntries) {
          this.snapshots.set(output.name, concatAll([...this.#drafts.get(output.seqno)!, output.receipt]));
        }
        this.#drafts.delete(output.seqno);
        return;
      case "snapshotDiscard":
        this.#drafts.delete(output.seqno);
        return;
      case "log":
        this.logs.push(`${output.level} ${output.tag} ${output.message}`);
        return;
      case "fatal":
        this.fatal = output.message;
        return;
      case "ledgerTruncate":
        this.entries.length = this.#lastSeqno = output.seqno;
        return;
      case "nodeOutbound":
      case "peerAddress":
      case "peerConnection":
      case "httpRequest":
        return this.outside(output);
      case "quoteRequest":
        // Answered later, as hardware would.
        this.quotesAsked.push(output.reportData);
        return;
      case "tlsIdentity":
      case "serviceOpened":
      case "stopped":
        return;
    }
  }

  /** Seqnos of snapshots that are not whole yet. */
  get drafts(): readonly number[] {
    return [...this.#drafts.keys()];
  }

  readonly #reads: { readonly from: number; readonly to: number }[] = [];

  /** Answers what the enclave has asked to read. */
  deliverReads(): void {
    for (const { from, to } of this.#reads.splice(0)) {
      this.send({ kind: "ledgerEntries", from, to, entries: this.readEntries(from, to) });
    }
  }
}

function concatAll(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
