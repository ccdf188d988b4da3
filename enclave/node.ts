/**
 * One node of a service: what it is, what it holds, and the few things that endpoints may ask of it.
 *
 * In: built by `start.ts`; fed by `enclave.ts`. Out: outputs, through `emit`.
 */

import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import { NODES_ENDORSED_CERTIFICATES, SERVICE_INFO } from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import { assert, FormatError } from "../shared/assert.ts";
import type { AppEngine } from "./app_engine.ts";
import type { CommitPath } from "./commit_path.ts";
import type { Frontends } from "./frontend/frontend.ts";
import { DryRunAllowance } from "./governance/dry_run_allowance.ts";
import type { ScriptHost } from "./governance/scripts.ts";
import { HistoricalCache } from "./historical_cache.ts";
import {
  type NodeIdentity,
  privateKeyPem,
  renewNode,
  type ServiceIdentity,
  withServiceCertificate,
} from "./identity.ts";
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
  readonly dryRuns = new DryRunAllowance();
  readonly #interfaces: ReadonlyMap<string, InterfaceRules>;
  #appIsOpen = false;
  /** The transaction that opened the service, until that is announced. */
  #openedBy: TxId | undefined;
  #identity: NodeIdentity;
  #endorsedPem: string;
  #service: ServiceIdentity;

  constructor(
    readonly config: StartConfig,
    identity: NodeIdentity,
    endorsedPem: string,
    service: ServiceIdentity,
    readonly path: CommitPath,
    readonly frontends: Frontends,
    readonly primitives: Primitives,
    readonly random: Random,
    /** Runs the constitution, ballots and the app. */
    readonly engine: AppEngine,
    readonly emit: (output: EnclaveOutput) => void,
  ) {
    this.#identity = identity;
    this.#endorsedPem = endorsedPem;
    this.#service = service;
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

  /** The keys never change while the node runs; the self-signed certificate may be renewed. */
  get identity(): NodeIdentity {
    return this.#identity;
  }

  /** The service's certificate for this node. */
  get endorsedPem(): string {
    return this.#endorsedPem;
  }

  get service(): ServiceIdentity {
    return this.#service;
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

  /** Whether this node leads, as far as it knows. */
  get isPrimary(): boolean {
    return true;
  }

  /** Whether this node may write: it leads, and its retirement is not complete. */
  get canReplicate(): boolean {
    return true;
  }

  /** Who leads, as far as this node knows. */
  get primaryId(): string | undefined {
    return this.id;
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
    const limit = this.config.consensus.maxUncommittedTransactions;
    return limit !== 0 && this.store.version - this.path.committed.seqno >= limit;
  }

  /** What governance's scripts reach besides tables. */
  get scriptHost(): ScriptHost {
    return {
      engine: this.engine,
      primitives: this.primitives,
      random: this.random,
      nowMs: this.nowMs,
      log: (level, tag, message) => this.log(level, tag, message),
      lastCommittedTxId: () => this.committedTxId,
      statusOf: (id) => this.statusOf(id),
      viewOf: (seqno) => this.path.viewOf(seqno),
    };
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
    this.#observeService(id);
    return id;
  }

  /** Signs what waits for a signature, if it has waited for long enough, is much, or has opened the service. */
  signIfDue(): void {
    const hasJustOpened = this.#openedBy !== undefined && this.path.lastSigned < this.#openedBy.seqno;
    if (hasJustOpened || this.signer.isDue(this.path, this.nowMs)) this.sign();
  }

  /** Before a clean stop. Snapshot evidence, which follows a signature, may need a second one. */
  signWhatIsLeft(): void {
    for (let rounds = 0; rounds < 2 && this.store.version > this.path.lastSigned; rounds++) this.sign();
  }

  /** Signs everything now, and writes the snapshot that may be due there. */
  sign(): void {
    const isRenewed = this.#adoptCertificates();
    const { seqno, snapshot } = this.signer.sign(this.path, {
      node: { id: this.id, key: this.identity.key, endorsedCertificatePem: this.endorsedPem },
      service: this.service,
    }, this.nowMs);
    this.snapshotter.onSignature(seqno, snapshot);
    if (isRenewed) this.presentCertificates();
    // A snapshot is taken when a service opens; who waits for the service finds it complete, with its evidence signed.
    if (this.#openedBy === undefined || this.store.version > this.path.lastSigned) return;
    this.emit({ kind: "serviceOpened", txId: this.#openedBy });
    this.#openedBy = undefined;
  }

  /** Gives the host what its listeners and its operator show. Running sessions are not touched. */
  presentCertificates(): void {
    const { id, key, selfSignedPem } = this.#identity;
    const keyPem = privateKeyPem(key);
    const servicePem = this.#service.certificatePem;
    const chainPem = this.#endorsedPem + servicePem;
    this.emit({ kind: "tlsIdentity", authority: "Service", certificateChainPem: chainPem, privateKeyPem: keyPem });
    this.emit({ kind: "tlsIdentity", authority: "Node", certificateChainPem: selfSignedPem, privateKeyPem: keyPem });
    this.emit({ kind: "certificates", servicePem, nodePem: selfSignedPem, nodeId: id });
  }

  /**
   * Takes up the certificates that members have renewed since the last signature, which the next one commits.
   *
   * One that cannot be used is logged, at every signature until it is mended; the one before it stays in use.
   *
   * @returns whether there are any
   */
  #adoptCertificates(): boolean {
    const tx = this.store.beginReadOnly();
    const inUse = { service: this.#service, identity: this.#identity };
    try {
      const servicePem = tx.open(SERVICE_INFO).get()?.cert;
      if (servicePem !== undefined && servicePem !== this.#service.certificatePem) {
        this.#service = withServiceCertificate(this.#service, servicePem);
      }
      const endorsedPem = tx.open(NODES_ENDORSED_CERTIFICATES).get(this.id);
      if (endorsedPem !== undefined && endorsedPem !== this.#endorsedPem) {
        this.#identity = renewNode(this.#identity, this.config.node, endorsedPem, this.random);
        this.#endorsedPem = endorsedPem;
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "node", error.message);
    }
    return inUse.service !== this.#service || inUse.identity !== this.#identity;
  }

  log(level: LogLevel, tag: string, message: string): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.config.logLevel)) return;
    this.emit({ kind: "log", level, tag, message });
  }

  #observeService(id: TxId): void {
    if (this.#appIsOpen) return;
    try {
      this.#appIsOpen = this.store.beginReadOnly().open(SERVICE_INFO).get()?.status === "Open";
    } catch (error) {
      // A constitution may write anything there, and must not stop the node by it.
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "gov", `Cannot tell whether the service is open: ${error.message}`);
    }
    if (this.#appIsOpen) this.#openedBy = id;
  }
}
