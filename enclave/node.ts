/**
 * One node of a service: what it is, what it holds, and the few things that endpoints may ask of it.
 *
 * In: built by `start.ts`; fed by `enclave.ts`. Out: outputs, through `emit`.
 */

import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import { SERVICE_INFO } from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import { assert } from "../shared/assert.ts";
import type { AppEngine } from "./app_engine.ts";
import type { CommitPath } from "./commit_path.ts";
import type { Frontends } from "./frontend/frontend.ts";
import { HistoricalCache } from "./historical_cache.ts";
import type { NodeIdentity, ServiceIdentity } from "./identity.ts";
import type { EnclaveOutput, HeapBytes, LogLevel, SessionMetrics, StartConfig } from "./messages.ts";
import { Signer } from "./signer.ts";
import { Snapshotter } from "./snapshotter.ts";

/** Where a node is in its life (nodes-and-attestation.md §3.2). */
export type NodeStartupState =
  | "Uninitialized"
  | "Initialized"
  | "Pending"
  | "PartOfPublicNetwork"
  | "PartOfNetwork"
  | "ReadingPublicLedger"
  | "ReadingPrivateLedger";

/** What an interface lets through (http-api.md §2.6). */
export interface InterfaceRules {
  readonly features: ReadonlySet<string>;
  /** Whole-path patterns; undefined: everything. */
  readonly accepted: readonly RegExp[] | undefined;
  readonly unsecured: boolean;
}

const LOG_LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "fail", "fatal"];
const NO_RULES: InterfaceRules = { features: new Set(), accepted: undefined, unsecured: false };
const NO_SESSIONS: SessionMetrics = { active: 0, peak: 0, interfaces: {} };

export class Node {
  /** The moment of the batch being handled, by the host's clock. */
  nowMs = 0;
  stopNotice = false;
  sessionMetrics: SessionMetrics = NO_SESSIONS;
  heapBytes: HeapBytes = { current: 0, peak: 0, max: 0 };
  readonly state: NodeStartupState = "PartOfNetwork";
  readonly historical: HistoricalCache;
  readonly signer: Signer;
  readonly snapshotter: Snapshotter;
  readonly #interfaces: ReadonlyMap<string, InterfaceRules>;
  #appIsOpen = false;

  constructor(
    readonly config: StartConfig,
    readonly identity: NodeIdentity,
    /** The service's certificate for this node. */
    readonly endorsedPem: string,
    readonly service: ServiceIdentity,
    readonly path: CommitPath,
    readonly frontends: Frontends,
    readonly primitives: Primitives,
    readonly random: Random,
    /** Runs the constitution, ballots and the app. */
    readonly engine: AppEngine,
    readonly emit: (output: EnclaveOutput) => void,
  ) {
    this.historical = new HistoricalCache(path, primitives, emit);
    this.signer = new Signer(
      { ...config.signatures, chunkBytes: config.chunkBytes, snapshotTxCount: config.snapshotTxCount },
      config.service.coseSignatures,
    );
    this.snapshotter = new Snapshotter(path, primitives, emit);
    this.#interfaces = new Map(
      Object.entries(config.rpcInterfaces).map(([name, description]) => [name, {
        features: new Set(description.enabled_operator_features ?? []),
        accepted: description.accepted_endpoints?.map((pattern) => new RegExp(`^(?:${pattern})$`)),
        unsecured: description.endorsement?.authority === "Unsecured",
      }]),
    );
  }

  get id(): string {
    return this.identity.id;
  }

  get store(): Store {
    return this.path.store;
  }

  get view(): View {
    return this.path.view;
  }

  get viewHistory(): readonly Seqno[] {
    return this.path.viewHistory;
  }

  get committedTxId(): TxId {
    return this.path.committed;
  }

  get lastSignedSeqno(): Seqno {
    return this.path.lastSigned;
  }

  get appIsOpen(): boolean {
    return this.#appIsOpen;
  }

  get isReadyForApp(): boolean {
    return !this.stopNotice && this.#appIsOpen;
  }

  get isReadyForGov(): boolean {
    return !this.stopNotice;
  }

  get tooManyUncommitted(): boolean {
    const limit = this.config.maxUncommittedTransactions;
    return limit !== 0 && this.store.version - this.path.committed.seqno >= limit;
  }

  statusOf(id: TxId): TxStatus {
    return this.path.statusOf(id);
  }

  txIdAt(seqno: Seqno): TxId {
    const view = this.path.viewOf(seqno);
    assert(view !== undefined, "A transaction reads at a version that exists");
    return { view, seqno };
  }

  interfaceRules(name: string): InterfaceRules {
    return this.#interfaces.get(name) ?? NO_RULES;
  }

  /** Puts a finished transaction on the ledger. */
  commitTransaction(tx: Transaction, claimsDigest?: Uint8Array): TxId {
    assert(tx.readVersion === this.store.version, "A transaction is committed on the version it read");
    const id = this.path.append(tx.writeSet(), claimsDigest);
    // The service may have been opened; the next request must find it so.
    this.#observeService();
    return id;
  }

  /** Signs what waits for a signature, if it has waited for long enough or is much. */
  signIfDue(): void {
    if (this.signer.isDue(this.path, this.nowMs)) this.sign();
  }

  /** Before a clean stop. Snapshot evidence, which follows a signature, may need a second one. */
  signWhatIsLeft(): void {
    for (let rounds = 0; rounds < 2 && this.store.version > this.path.lastSigned; rounds++) this.sign();
  }

  /** Signs everything now, and writes the snapshot that may be due there. */
  sign(): void {
    const { seqno, snapshot } = this.signer.sign(this.path, {
      node: { id: this.id, key: this.identity.key, endorsedCertificatePem: this.endorsedPem },
      service: this.service,
    }, this.nowMs);
    this.snapshotter.onSignature(seqno, snapshot);
  }

  log(level: LogLevel, tag: string, message: string): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.config.logLevel)) return;
    this.emit({ kind: "log", level, tag, message });
  }

  #observeService(): void {
    if (this.#appIsOpen) return;
    this.#appIsOpen = this.store.beginReadOnly().open(SERVICE_INFO).get()?.status === "Open";
  }
}
