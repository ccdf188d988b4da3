/**
 * One node of a service: what it is, what it holds, and the few things that endpoints may ask of it.
 *
 * In: built by `start.ts` or `join.ts`; fed by `enclave.ts`. Out: outputs, through `emit`.
 * A node that has not been admitted yet has keys of its own and nothing else; from `becomeMember` on it takes part.
 */

import { assert, FormatError } from "../shared/assert.ts";
import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import { MAX_EVIDENCE_CHECKS_PER_SECOND } from "../shared/limits.ts";
import { type NodeId, parseRaftMessage, serialiseRaftMessage } from "../shared/consensus/messages.ts";
import type { RaftMessage } from "../shared/consensus/messages.ts";
import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import {
  ENCRYPTED_LEDGER_SECRETS,
  NODES_ENDORSED_CERTIFICATES,
  SERVICE_INFO,
  SNAPSHOT_EVIDENCE,
} from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import type { WriteSet } from "../shared/kv/write_set.ts";
import { splitEntriesUpTo } from "../shared/ledger/entry.ts";
import { LedgerSecret, LedgerSecrets } from "../shared/ledger/secrets.ts";
import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import type { AppEngine } from "./app_engine.ts";
import { Channels } from "./channels/channels.ts";
import { CommitPath } from "./commit_path.ts";
import { recordRetirements } from "./endpoints/retirement.ts";
import { answerForwarded } from "./forwarding/answer.ts";
import { Forwarder } from "./forwarding/forwarder.ts";
import type { Frontends } from "./frontend/frontend.ts";
import { createFrontends } from "./frontends.ts";
import { DryRunAllowance } from "./governance/dry_run_allowance.ts";
import type { ScriptHost } from "./governance/scripts.ts";
import { HistoricalCache } from "./historical_cache.ts";
import {
  type NodeIdentity,
  privateKeyPem,
  renewNode,
  requireKey,
  type ServiceIdentity,
  withServiceCertificate,
} from "./identity.ts";
import type { CommonConfig, EnclaveOutput, HeapBytes, LogLevel, NodeMessageType, SessionMetrics } from "./messages.ts";
import { secretFromBroadcast } from "./network_secrets.ts";
import type { EnclavePowers } from "./powers.ts";
import { Budget } from "./budget.ts";
import { RefusedJoiners } from "./refused_joiners.ts";
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
/** A channel that nobody used for so long is closed (nodes-and-attestation.md §1.3). */
const CHANNEL_IDLE_ELECTION_TIMEOUTS = 4;
const NO_SESSIONS: SessionMetrics = { active: 0, peak: 0, interfaces: {} };

/** What makes a node one of a service. */
export interface Membership {
  readonly service: ServiceIdentity;
  /** The service's certificate for this node. */
  readonly endorsedPem: string;
  readonly coseSignatures: { readonly issuer: string; readonly subject: string };
}

export class Node {
  /** The moment of the batch being handled, by the host's clock: for dates. */
  nowMs = 0;
  /** Time that has passed, which never goes back, whatever becomes of that clock: for timers. */
  steadyMs = 0;
  stopNotice = false;
  sessionMetrics: SessionMetrics = NO_SESSIONS;
  heapBytes: HeapBytes = { current: 0, peak: 0, max: 0 };
  readonly path: CommitPath;
  readonly frontends: Frontends;
  readonly channels: Channels;
  readonly forwarder: Forwarder;
  readonly historical: HistoricalCache;
  readonly signer: Signer;
  readonly snapshotter: Snapshotter;
  readonly dryRuns = new DryRunAllowance();
  readonly refusedJoiners = new RefusedJoiners();
  /** Of evidence of hardware, which takes milliseconds. */
  readonly evidenceChecks = new Budget(MAX_EVIDENCE_CHECKS_PER_SECOND);
  readonly primitives: Primitives;
  readonly random: Random;
  /** Root keys of hardware that are believed in the place of their makers': in tests. */
  readonly evidenceAnchors: EvidenceAnchors | undefined;
  /** Runs the constitution, ballots and the app. */
  readonly engine: AppEngine;
  readonly #interfaces: ReadonlyMap<string, InterfaceRules>;
  #state: NodeStartupState = "Initialized";
  #identity: NodeIdentity;
  #membership: Membership | undefined;
  #appIsOpen = false;
  /** The transaction that opened the service, until that is announced. */
  #openedBy: TxId | undefined;
  #lastTickMs = 0;
  #wasPrimary = false;
  /** As the log has told. */
  #knownLeader: { readonly id: NodeId; readonly view: View } | undefined;
  /** What commits have brought, to be looked at when the batch is done. */
  #certificatesMayHaveChanged = false;
  #certificatesShown = false;
  #retirementsMayBeRecorded = false;
  #mustFlush = false;

  constructor(
    readonly config: CommonConfig,
    identity: NodeIdentity,
    powers: EnclavePowers,
    nowMs: number,
    readonly emit: (output: EnclaveOutput) => void,
  ) {
    const { primitives, random } = powers;
    this.nowMs = nowMs;
    this.primitives = primitives;
    this.random = random;
    this.evidenceAnchors = powers.evidenceAnchors;
    this.engine = powers.scripts;
    this.#identity = identity;
    this.path = new CommitPath({
      id: identity.id,
      consensus: config.consensus,
      primitives,
      random,
      secrets: new LedgerSecrets(),
      emit,
      listener: {
        send: (to, message) => this.#send(to, message),
        executed: (id, writeSet) => this.#onExecuted(id, writeSet),
        rolledBack: (to) => this.#onRollback(to),
        committed: (seqno) => this.snapshotter.onCommitted(seqno),
        peerRemoved: (id) => this.channels.close(id),
        retirementsMayBeRecorded: () => this.#retirementsMayBeRecorded = true,
      },
    });
    this.frontends = createFrontends(config, powers, this.path.store);
    this.channels = new Channels({
      selfId: identity.id,
      primitives,
      random,
      identity: () => this.#membership && { key: this.#identity.key, certificatePem: this.#membership.endorsedPem },
      servicePem: () => this.service.certificatePem,
      send: (to, messageType, payload, entries) =>
        emit({ kind: "nodeOutbound", to, messageType, payload, ...(entries !== undefined && { entries }) }),
      heardOn: (connection, nodeId, isProved) => emit({ kind: "peerConnection", nodeId, connection, isProved }),
      log: (level, message) => this.log(level, "channels", message),
      messageLimit: config.nodeToNodeMessageLimit,
      idleMs: CHANNEL_IDLE_ELECTION_TIMEOUTS * config.consensus.electionTimeoutMs,
    });
    this.forwarder = new Forwarder({
      send: (to, header, content) => this.channels.sendForwarded(to, header, content, this.steadyMs),
      respond: (session, id, response) => emit({ kind: "response", session, id, response }),
      run: (session, request) => answerForwarded(this, session, request),
      log: (level, message) => this.log(level, "forwarder", message),
    });
    this.historical = new HistoricalCache(this.path, primitives, emit);
    this.signer = new Signer({
      ...config.signatures,
      chunkBytes: config.chunkBytes,
      snapshotTxCount: config.snapshotTxCount,
    });
    this.snapshotter = new Snapshotter(this.path, primitives, emit);
    this.#interfaces = new Map(
      Object.entries(config.rpcInterfaces).map(([name, description]) => [name, {
        features: new Set(description.enabled_operator_features ?? []),
        accepted: description.accepted_endpoints?.map((pattern) => new RegExp(`^(?:${pattern})$`)),
        unsecured: description.endorsement?.authority === "Unsecured",
      }]),
    );
    this.#watchTables();
  }

  get state(): NodeStartupState {
    return this.#state;
  }

  /** It has sent its evidence, and nobody has admitted it yet. */
  becomePending(): void {
    this.#state = "Pending";
  }

  /** From here on the node takes part in its service. */
  becomeMember(membership: Membership): void {
    assert(this.#membership === undefined, "A node becomes a member once");
    this.#membership = membership;
    this.#state = "PartOfNetwork";
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
    return this.#member.endorsedPem;
  }

  /** Of the service that this node is a member of. */
  get service(): ServiceIdentity {
    return this.#member.service;
  }

  get coseSignatures(): Membership["coseSignatures"] {
    return this.#member.coseSignatures;
  }

  get #member(): Membership {
    assert(this.#membership !== undefined, "Only a member of a service is asked for the service's keys");
    return this.#membership;
  }

  /** Seqno of the snapshot that this node began with; 0 without one. */
  get startupSeqno(): Seqno {
    return this.path.start;
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
    return this.path.raft.isPrimary;
  }

  /** Whether this node may write: it leads, and its retirement is not complete. */
  get canReplicate(): boolean {
    return this.path.raft.canReplicate;
  }

  /** Who leads, as far as this node knows. */
  get primaryId(): NodeId | undefined {
    return this.path.raft.leaderId;
  }

  get appIsOpen(): boolean {
    return this.#appIsOpen;
  }

  /** Members may govern through a node whose certificate of the service is committed. */
  get govIsOpen(): boolean {
    return this.#certificatesShown;
  }

  get isReadyForApp(): boolean {
    return this.isReadyForGov && this.#appIsOpen;
  }

  get isReadyForGov(): boolean {
    return !this.stopNotice && this.govIsOpen && !this.isRetired;
  }

  /** Whether members have removed this node, as far as it knows: nothing new need reach it any more. */
  get isRetired(): boolean {
    const { retirementPhase } = this.path.raft;
    return retirementPhase === "Completed" || retirementPhase === "RetiredCommitted";
  }

  get tooManyUncommitted(): boolean {
    return this.path.raft.isAtMaxCapacity;
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
    if (seqno === 0) return { view: 0, seqno };
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
    return this.path.append(tx.writeSet(), claimsDigest);
  }

  /** Takes note of the host's clock at the beginning of a batch. */
  setClock(nowMs: number): void {
    this.steadyMs += Math.max(0, nowMs - this.nowMs);
    this.nowMs = nowMs;
  }

  /** Time has passed: elections, heartbeats, channels that nobody uses. */
  tick(): void {
    const elapsedMs = this.steadyMs - this.#lastTickMs;
    this.#lastTickMs = this.steadyMs;
    if (this.#membership === undefined) return;
    this.path.raft.periodic(elapsedMs);
    this.#noticeElection();
    this.channels.tick(this.steadyMs);
    this.forwarder.tick(this.steadyMs);
  }

  /** Takes what another node's host sent; whose it is, the channel finds out. */
  receive(connection: number, from: string, messageType: NodeMessageType, payload: Uint8Array): void {
    if (this.#membership === undefined) return;
    const received = this.channels.receive(connection, from, messageType, payload, this.steadyMs);
    if (received === undefined) return;
    if (received.kind === "forwarded") {
      // Who has retired holds its certificate still, and speaks for nobody's clients any more.
      if (!this.path.raft.peers.has(from)) return;
      return this.forwarder.receive(from, received.header, received.plaintext, this.steadyMs);
    }
    try {
      const message = parseRaftMessage(received.header);
      const count = message.kind === "append entries" ? message.last - message.previous : 0;
      this.path.raft.receive(from, message, splitEntriesUpTo(received.entries, count));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "consensus", `Cannot use a message of node ${from}: ${error.message}`);
    }
    this.#noticeElection();
  }

  /** Another is to lead soon: the operator stops this node. */
  handOver(): void {
    if (this.isPrimary) this.path.raft.nominateSuccessor();
  }

  /**
   * Does what the batch has made due: a signature, what commits have brought, messages that need not wait.
   */
  settle(): void {
    if (this.#membership === undefined) return;
    this.#noticeElection();
    if (this.canReplicate) {
      this.#recordRetirements();
      this.#signIfDue();
    }
    this.snapshotter.step(this.steadyMs, this.canReplicate);
    if (this.#certificatesMayHaveChanged) this.#adoptCertificates();
    this.#announceOpening();
    if (!this.#mustFlush) return;
    this.#mustFlush = false;
    this.path.raft.flush();
  }

  /** In the midst of a batch, where so many transactions may wait for a signature that it cannot. */
  signIfMany(): void {
    if (this.#membership !== undefined && this.canReplicate && this.signer.areMany(this.path)) this.sign();
  }

  /** Before a clean stop. Snapshot evidence, which follows a signature, may need a second one. */
  signWhatIsLeft(): void {
    if (!this.canReplicate) return;
    for (let rounds = 0; rounds < 2 && this.store.version > this.path.lastSigned; rounds++) this.sign();
    this.settle();
  }

  /** Signs everything now, and begins the snapshot that may be due there. */
  sign(): void {
    const { seqno, snapshot } = this.signer.sign(
      this.path,
      {
        node: { id: this.id, key: this.identity.key, endorsedCertificatePem: this.#certificateToSignWith() },
        service: this.service,
      },
      this.coseSignatures,
      this.nowMs,
    );
    this.snapshotter.onSignature(seqno, snapshot);
    // CCF lets signatures wait for the next heartbeat; commit would take that much longer.
    this.#mustFlush = true;
  }

  /**
   * The certificate that goes beside a signature: a renewed one as soon as it is in the table, as in CCF.
   *
   * One that cannot be used is logged, at every signature until it is mended; the one before it stays in use.
   */
  #certificateToSignWith(): string {
    try {
      const renewed = this.store.beginReadOnly().open(NODES_ENDORSED_CERTIFICATES).get(this.id);
      if (renewed === undefined || renewed === this.endorsedPem) return this.endorsedPem;
      requireKey(parseCertificatePem(renewed), this.#identity.key, "this node's certificate");
      return renewed;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "node", error.message);
      return this.endorsedPem;
    }
  }

  /** Gives the host what its listeners and its operator show. Running sessions are not touched. */
  presentCertificates(): void {
    const { id, key, selfSignedPem } = this.#identity;
    const keyPem = privateKeyPem(key);
    const servicePem = this.service.certificatePem;
    const chainPem = this.endorsedPem + servicePem;
    this.emit({ kind: "tlsIdentity", authority: "Service", certificateChainPem: chainPem, privateKeyPem: keyPem });
    this.emit({ kind: "tlsIdentity", authority: "Node", certificateChainPem: selfSignedPem, privateKeyPem: keyPem });
    this.emit({ kind: "certificates", servicePem, nodePem: selfSignedPem, nodeId: id });
    this.#certificatesShown = true;
  }

  log(level: LogLevel, tag: string, message: string): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.config.logLevel)) return;
    this.emit({ kind: "log", level, tag, message });
  }

  #watchTables(): void {
    const { store } = this.path;
    store.onApply(SERVICE_INFO.name, (seqno) => this.#observeService(seqno));
    store.onCommit(SERVICE_INFO.name, () => this.#certificatesMayHaveChanged = true);
    store.onCommit(NODES_ENDORSED_CERTIFICATES.name, () => this.#certificatesMayHaveChanged = true);
  }

  #send(to: NodeId, message: RaftMessage): void {
    const { channels, steadyMs } = this;
    if (message.kind !== "append entries" || message.last === message.previous) {
      return channels.sendConsensus(to, serialiseRaftMessage(message), steadyMs);
    }
    const entries = { from: message.previous + 1, to: message.last };
    const lastFlags = this.path.flagsAt(entries.to);
    if (lastFlags === undefined) {
      return channels.sendConsensus(to, serialiseRaftMessage({ ...message, flagsUnknown: true }), steadyMs, entries);
    }
    channels.sendConsensus(to, serialiseRaftMessage(message), steadyMs, { ...entries, lastFlags });
  }

  #onExecuted(id: TxId, writeSet: WriteSet): void {
    if (this.path.lastSigned === id.seqno) this.snapshotter.onSignature(id.seqno, false);
    this.#takeSecret(id, writeSet);
  }

  /** A rekey tells every node the new secret, sealed for it; the next entry is the first that needs it. */
  #takeSecret({ seqno }: TxId, { publicTables }: WriteSet): void {
    const changes = publicTables.find(({ name }) => name === ENCRYPTED_LEDGER_SECRETS.name);
    if (changes === undefined || this.path.secrets.startingAt(seqno + 1) !== undefined) return;
    try {
      const secret = secretFromBroadcast(changes, this.id, this.#identity, this.primitives);
      if (secret === undefined) return;
      this.path.secrets.add(seqno + 1, new LedgerSecret(this.primitives, secret, seqno));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "node", `Cannot read the ledger secret that follows transaction ${seqno}: ${error.message}`);
    }
  }

  #onRollback(to: Seqno): void {
    this.#observeService(to);
    this.snapshotter.onRollback(to);
  }

  /** A view begins with a signature, whatever else the batch brings: only so can all that was before be committed. */
  #noticeElection(): void {
    this.#noticeLeader();
    if (this.isPrimary === this.#wasPrimary) return;
    this.#wasPrimary = this.isPrimary;
    if (!this.isPrimary) return;
    const evidence = this.store.beginReadOnly().open(SNAPSHOT_EVIDENCE).get();
    this.signer.resumeFrom(Math.max(evidence?.version ?? 0, this.startupSeqno));
    if (this.canReplicate && this.path.raft.shouldSign) this.sign();
  }

  #noticeLeader(): void {
    const { primaryId, view } = this;
    if (primaryId === undefined || (primaryId === this.#knownLeader?.id && view === this.#knownLeader.view)) return;
    this.#knownLeader = { id: primaryId, view };
    this.log("info", "consensus", `Node ${primaryId} leads view ${view}`);
    this.forwarder.leaderChanged(primaryId, this.steadyMs);
  }

  #recordRetirements(): void {
    if (!this.#retirementsMayBeRecorded) return;
    this.#retirementsMayBeRecorded = false;
    recordRetirements(this);
  }

  #signIfDue(): void {
    const opens = this.#openedBy !== undefined && this.path.lastSigned < this.#openedBy.seqno;
    // Until it has signed, a new primary can commit nothing, not even what the one before it has left.
    if (opens || this.path.raft.shouldSign || this.signer.isDue(this.path, this.steadyMs)) this.sign();
  }

  /** A snapshot is taken when a service opens; who waits for the service finds it complete, with its evidence signed. */
  #announceOpening(): void {
    if (this.#openedBy === undefined || this.committedTxId.seqno < this.#openedBy.seqno) return;
    if (this.isPrimary && (this.snapshotter.isBusy || this.store.version > this.path.lastSigned)) return;
    this.emit({ kind: "serviceOpened", txId: this.#openedBy });
    this.#openedBy = undefined;
  }

  /**
   * Takes up the certificates that are committed: the first that the service made for this node, and renewed ones.
   *
   * One that cannot be used is logged; the one before it stays in use.
   */
  #adoptCertificates(): void {
    this.#certificatesMayHaveChanged = false;
    const tx = this.store.beginCommitted();
    const before = this.#member;
    try {
      const servicePem = tx.open(SERVICE_INFO).get()?.cert;
      if (servicePem !== undefined && servicePem !== before.service.certificatePem) {
        this.#membership = { ...before, service: withServiceCertificate(before.service, servicePem) };
      }
      const endorsedPem = tx.open(NODES_ENDORSED_CERTIFICATES).get(this.id);
      if (endorsedPem === undefined) return;
      if (endorsedPem !== before.endorsedPem) {
        this.#identity = renewNode(this.#identity, this.config.node, endorsedPem, this.random);
        this.#membership = { ...this.#member, endorsedPem };
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "node", error.message);
    }
    if (this.#membership !== before || !this.#certificatesShown) this.presentCertificates();
  }

  /** Whether the service is open, as of the newest transaction. */
  #observeService(seqno: Seqno): void {
    const wasOpen = this.#appIsOpen;
    try {
      this.#appIsOpen = this.store.beginReadOnly().open(SERVICE_INFO).get()?.status === "Open";
    } catch (error) {
      // A constitution may write anything there, and must not stop the node by it.
      if (!(error instanceof FormatError)) throw error;
      this.log("fail", "gov", `Cannot tell whether the service is open: ${error.message}`);
    }
    if (this.#appIsOpen === wasOpen) return;
    this.#openedBy = this.#appIsOpen ? { view: this.view, seqno } : undefined;
  }
}
