/**
 * The whole boundary between the host and the enclave: two alphabets, each letter one line with its meaning.
 *
 * The host delivers inputs in batches (`Enclave.handle(inputs, nowMs)`) and performs the outputs in order. A `null` in
 * an input is the host saying no; the enclave must do well with it. The host may drop, delay, reorder, replay, truncate
 * and corrupt: nothing it says is believed for more than liveness.
 */

import type { ByteString } from "../shared/bytes.ts";
import type { Seqno, TxId } from "../shared/tx_id.ts";
import type { CurveName } from "../shared/crypto/primitives.ts";

/** A client connection, numbered by the host; never used again after it is closed. */
export type SessionId = number;

/** Names in lower case, in the order sent; of a name sent twice the first counts. Values have one character a byte. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

export interface HttpRequest {
  /** As sent; upper case for every method that exists. */
  readonly method: string;
  /** The request target as sent, path and query, with one character a byte. */
  readonly target: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names, sorted, without `content-length`, which the listener writes. */
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** Where the body is something that the host has: `body` is empty, and the host puts this in its place. */
  readonly fromHost?: HostBody;
  /** The connection is closed once this is sent. */
  readonly close?: boolean;
}

/** What the host answers with, or refuses where it has it not. Nobody need believe it: entries and snapshots prove themselves. */
export type HostBody =
  /** Bytes `from` up to `to`, without the latter, of a snapshot file. */
  | { readonly kind: "snapshot"; readonly name: string; readonly from: number; readonly to: number }
  /** Ledger entries `from` to `to`, or as many of them as fit into one answer; headers say which. */
  | { readonly kind: "entries"; readonly from: Seqno; readonly to: Seqno }
  /** JSON: seqnos below `before`, newest first, of entries that wrote or removed a key of a public table; null: any key. */
  | { readonly kind: "writes"; readonly table: string; readonly key: ByteString | null; readonly before: Seqno | null };

/** Host → enclave. */
export type EnclaveInput =
  /** Start a new service. Once, first. */
  | { readonly kind: "start"; readonly config: StartConfig }
  /** Time has passed; the moment itself comes with the batch. */
  | { readonly kind: "tick" }
  /** A client connected. `callerCertificate`: DER, null where the client showed none or the interface asks for none. */
  | {
    readonly kind: "sessionOpened";
    readonly session: SessionId;
    readonly interfaceName: string;
    readonly callerCertificate: Uint8Array | null;
  }
  | { readonly kind: "sessionClosed"; readonly session: SessionId }
  /** One request. `id` is the host's, for the answer. */
  | { readonly kind: "request"; readonly session: SessionId; readonly id: number; readonly request: HttpRequest }
  /** Entries asked for by `ledgerRead`, back to back, perhaps only the first of them; null where the host cannot give any. */
  | { readonly kind: "ledgerEntries"; readonly from: Seqno; readonly to: Seqno; readonly entries: Uint8Array | null }
  /**
   * Join a service that runs. Once, first, instead of `start`. `snapshot`: a whole snapshot file to start from, whose name
   * says at which seqno; the ledger files begin after it.
   */
  | {
    readonly kind: "join";
    readonly config: JoinConfig;
    readonly snapshot: { readonly name: string; readonly file: Uint8Array } | null;
  }
  /**
   * What another node's host sent, with the ID that it claims (nodes-and-attestation.md §1.1). `connection`: the host's
   * number for the TCP connection, never used for another.
   */
  | {
    readonly kind: "nodeInbound";
    readonly connection: number;
    readonly from: string;
    readonly messageType: NodeMessageType;
    readonly payload: Uint8Array;
  }
  /** The answer to an `httpRequest`; null with a reason where there is none. */
  | {
    readonly kind: "httpResult";
    readonly id: number;
    readonly response: HttpResponse | null;
    readonly reason?: string;
  }
  /** The answer to `quoteRequest`; null with a reason where there is none: then the node cannot start. */
  | { readonly kind: "quote"; readonly evidence: PlatformEvidence | null; readonly reason?: string }
  /** So many bytes of a draft are written; null where they cannot be, and the draft is gone. */
  | { readonly kind: "snapshotWritten"; readonly seqno: Seqno; readonly sizeBytes: number | null }
  /** Counters of the listeners, for `GET /node/metrics`. */
  | { readonly kind: "metrics"; readonly sessions: SessionMetrics; readonly heapBytes: HeapBytes }
  /** The node is about to stop: what is not signed yet is signed, so that a recovery would keep it. */
  | { readonly kind: "stop" }
  /** The operator wants the node to stop (first SIGTERM under `ignore_first_sigterm`). */
  | { readonly kind: "stopNotice" };

/** Enclave → host, performed in order. */
export type EnclaveOutput =
  /** Append one entry to the ledger. A committable one (a signature) is written at once. */
  | { readonly kind: "ledgerAppend"; readonly seqno: Seqno; readonly entry: Uint8Array; readonly committable: boolean }
  /** Everything up to here is committed: completed files take their final names. */
  | { readonly kind: "ledgerCommit"; readonly seqno: Seqno }
  /** Forget everything after this. */
  | { readonly kind: "ledgerTruncate"; readonly seqno: Seqno }
  /** Answer with `ledgerEntries`: all of them, or as many as make `MAX_HISTORICAL_READ_BYTES`, and at least one. */
  | { readonly kind: "ledgerRead"; readonly from: Seqno; readonly to: Seqno }
  /**
   * Send to another node, in order. Where `entries` is there, the host appends those ledger entries to the payload, as they
   * lie in its files when the message leaves; if it cannot read them, nothing is sent.
   */
  | {
    readonly kind: "nodeOutbound";
    readonly to: string;
    readonly messageType: NodeMessageType;
    readonly payload: Uint8Array;
    readonly entries?: { readonly from: Seqno; readonly to: Seqno };
  }
  /** Where another node is reached ("host:port"); null: the connection is closed and forgotten. */
  | { readonly kind: "peerAddress"; readonly nodeId: string; readonly address: string | null }
  /**
   * Signed or authenticated messages of this node come on that connection. `isProved`: none of them can be an old one that
   * somebody sends again.
   */
  | {
    readonly kind: "peerConnection";
    readonly nodeId: string;
    readonly connection: number;
    readonly isProved: boolean;
  }
  /**
   * Ask another node over TLS; answer with `httpResult`. The server must show a certificate that this service certificate
   * issued; the client's is the self-signed one of this node (`tlsIdentity` of authority Node).
   */
  | {
    readonly kind: "httpRequest";
    readonly id: number;
    readonly address: string;
    readonly servicePem: string;
    readonly request: HttpRequest;
  }
  /**
   * Ask the hardware for evidence over this report data, 32 bytes; answer with `quote`. Once, where the node is told to run
   * on hardware, before it starts or asks to join. Evidence proves itself: the host can withhold it, and no more.
   */
  | { readonly kind: "quoteRequest"; readonly reportData: Uint8Array }
  | { readonly kind: "response"; readonly session: SessionId; readonly id: number; readonly response: HttpResponse }
  /**
   * Certificate chain and key for the listeners of one authority; replaces what was there, running sessions go on. It is
   * the key that signs the ledger, as in CCF: while TLS ends in the host, the host can sign as this node.
   */
  | {
    readonly kind: "tlsIdentity";
    readonly authority: "Service" | "Node";
    readonly certificateChainPem: string;
    readonly privateKeyPem: string;
  }
  /** For the files that clients and operators read. */
  | { readonly kind: "certificates"; readonly servicePem: string; readonly nodePem: string; readonly nodeId: string }
  /** The service accepts application requests, and what opened it is committed, its snapshot's evidence included. */
  | { readonly kind: "serviceOpened"; readonly txId: TxId }
  /** Begin a draft: a snapshot of the state at `seqno`, of which nothing may be seen before `snapshotCommit`. */
  | { readonly kind: "snapshotBegin"; readonly seqno: Seqno }
  /** Add to that draft; answer with `snapshotWritten` when it is written. */
  | { readonly kind: "snapshotPart"; readonly seqno: Seqno; readonly bytes: Uint8Array }
  /** Its evidence is committed: add the receipt, and give the draft its name. */
  | { readonly kind: "snapshotCommit"; readonly seqno: Seqno; readonly name: string; readonly receipt: Uint8Array }
  /** Forget the draft. */
  | { readonly kind: "snapshotDiscard"; readonly seqno: Seqno }
  | { readonly kind: "log"; readonly level: LogLevel; readonly tag: string; readonly message: string }
  /** The answer to `stop`: nothing comes after it. */
  | { readonly kind: "stopped" }
  /** The node cannot go on; the host stops the process with this sentence. */
  | { readonly kind: "fatal"; readonly message: string };

/** First field of a frame between nodes: key exchange, consensus, forwarded requests. */
export type NodeMessageType = 0 | 1 | 2;

export type LogLevel = "trace" | "debug" | "info" | "fail" | "fatal";

/** One RPC interface as the configuration has it, our own extension keys and defaults left out (operations.md §2). */
export interface RpcInterface {
  readonly bind_address: string;
  readonly published_address?: string;
  readonly endorsement?: { readonly authority: "Service" | "Node" | "Unsecured" };
  readonly accepted_endpoints?: readonly string[];
  readonly enabled_operator_features?: readonly string[];
  readonly [other: string]: unknown;
}

/** What the enclave of every node is told. Every file is already read; nothing here is secret. */
export interface CommonConfig {
  readonly nodeToNodeInterface: { readonly bind_address: string; readonly published_address: string };
  readonly rpcInterfaces: Readonly<Record<string, RpcInterface>>;
  readonly node: {
    readonly subjectName: string;
    readonly subjectAltNames: readonly string[];
    readonly curve: CurveName;
    readonly initialValidityDays: number;
    readonly data: unknown;
  };
  readonly platform: VirtualPlatform | HardwarePlatform;
  /** `quietMs`: sign after so long where nothing else is going on; absent: after `delayMs` only. */
  readonly signatures: { readonly txCount: number; readonly delayMs: number; readonly quietMs?: number };
  readonly chunkBytes: number;
  readonly snapshotTxCount: number;
  readonly consensus: {
    readonly messageTimeoutMs: number;
    readonly electionTimeoutMs: number;
    /** 0: no limit. */
    readonly maxUncommittedTransactions: number;
  };
  /** Messages on one key between two nodes, both directions together. */
  readonly nodeToNodeMessageLimit: number;
  /** Less important lines are not sent to the host at all. */
  readonly logLevel: LogLevel;
  /** An app linked into the enclave instead of the member-approved JavaScript bundle (decisions: engines). */
  readonly nativeApp?: "logging";
}

/** All that the enclave is told to start a service. */
export interface StartConfig extends CommonConfig {
  readonly service: {
    readonly subjectName: string;
    readonly initialValidityDays: number;
    readonly data: unknown;
    readonly configuration: ServiceConfiguration;
    /** Parts of the constitution, joined in this order. */
    readonly constitution: readonly string[];
    readonly members: readonly StartMember[];
    readonly coseSignatures: { readonly issuer: string; readonly subject: string };
  };
}

/** All that the enclave is told to join a service. */
export interface JoinConfig extends CommonConfig {
  /** The certificate that this node trusts as the service's. */
  readonly servicePem: string;
  /** "host:port" of an RPC interface of a node of the service. */
  readonly targetAddress: string;
  readonly retryTimeoutMs: number;
  readonly followRedirect: boolean;
}

export interface ServiceConfiguration {
  readonly recoveryThreshold: number;
  readonly maximumNodeCertificateValidityDays: number;
  readonly maximumServiceCertificateValidityDays: number;
  /** Absent where the configuration does not name it; the default is 100. */
  readonly recentCoseProposalsWindowSize?: number;
}

export interface StartMember {
  readonly certificatePem: string;
  readonly encryptionPublicKeyPem?: string;
  readonly data?: unknown;
  readonly recoveryRole?: "NonParticipant" | "Participant" | "Owner";
}

/** What stands in for attested code on the virtual platform, which protects nothing. */
export interface VirtualPlatform {
  readonly kind: "virtual";
  /** Hex SHA-256 that stands for the code that runs. */
  readonly hostData: string;
}

/** What measures the code and vouches for it. */
export type HardwarePlatform =
  | {
    readonly kind: "snp";
    /** What the machine's host data must be the SHA-256 of; null: whatever they are. */
    readonly securityPolicy: string | null;
  }
  | { readonly kind: "tdx" | "sgx" };

/** What the host got from the hardware, and from whoever endorses it. */
export interface PlatformEvidence {
  readonly quote: Uint8Array;
  /** Of SEV-SNP: certificates in PEM, the signing key's first. Of TDX and SGX: what Intel says, as JSON. */
  readonly endorsements: Uint8Array;
  /** COSE Sign1, where the machine's image is endorsed by its maker. */
  readonly uvmEndorsements?: Uint8Array;
  /** Hex of the TCB version that the endorsements are for, where their source says so. */
  readonly endorsedTcb?: string;
}

/** A CCF app bundle (js-apps.md §1). */
export interface AppBundle {
  readonly metadata: { readonly endpoints: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
  readonly modules: readonly { readonly name: string; readonly module: string }[];
}

export interface SessionMetrics {
  readonly active: number;
  readonly peak: number;
  readonly interfaces: Readonly<Record<string, InterfaceMetrics>>;
}

export interface InterfaceMetrics {
  readonly active: number;
  readonly peak: number;
  readonly soft_cap: number;
  readonly hard_cap: number;
  readonly errors: {
    readonly parsing: number;
    readonly request_payload_too_large: number;
    readonly request_header_too_large: number;
  };
}

export interface HeapBytes {
  readonly current: number;
  readonly peak: number;
  readonly max: number;
}
