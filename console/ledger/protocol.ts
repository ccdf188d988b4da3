/**
 * What the page and its ledger worker say to each other: the whole boundary on one page.
 *
 * The worker reads a ledger (from a node, or from files), verifies every entry, folds public tables and keeps an index; the
 * page asks it. Everything answered here was folded from entries; nothing of it is a node's word. All values can be cloned
 * by `postMessage`; bytes are `Uint8Array`, hashes are hex.
 */

import type { NodeAdmission } from "../../shared/trust/admissions.ts";
import type { TrustReport } from "../../shared/trust/report.ts";
import type { PolicyChange } from "../../shared/trust/trust_fold.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { Problem } from "../problem.ts";

/** Where entries come from. */
export type LedgerSource =
  /** `url` without a path, e.g. `https://127.0.0.1:9000`, or "" for the page's own origin; headers go with each request. */
  | { readonly kind: "node"; readonly url: string; readonly headers?: Readonly<Record<string, string>> }
  /** Ledger files (`ledger_1-20.committed`, …) and snapshots (`snapshot_…`), in any order. */
  | { readonly kind: "files"; readonly files: readonly File[] };

/** What the page remembers of a service: an older or another ledger is noticed (pins.ts). */
export interface Pin {
  /** Hex SHA-256 of the service's public key (SPKI), as of the signature. */
  readonly serviceIdentity: string;
  /** TxID of the highest signature transaction that was verified, such as "2.27". */
  readonly lastSigned: string;
  /** Hex: the root that it signed. */
  readonly root: string;
}

export interface OpenOptions {
  /** The ledger must continue it: be at least as long, with the same root there. */
  readonly pin?: Pin;
  /** PEM: must be the certificate of the current service, by its key. */
  readonly serviceCertificatePem?: string;
  /** Take what older writers left (`--lenient`). */
  readonly lenient?: boolean;
}

/** A signature transaction that was verified. */
export interface SignedAt {
  readonly txId: string;
  readonly seqno: Seqno;
  /** Hex. */
  readonly root: string;
  /** Milliseconds since 1970, as the signing node says in the COSE signature; absent in ledgers from before 6.0. */
  readonly timeMs?: number;
  readonly nodeId: string;
}

/** Where the worker stands. Sent at each change, at most some ten times a second. */
export interface LedgerState {
  /**
   * idle: nothing opened. reading: behind what the source has. following: everything the source has is folded, and it is
   * asked again now and then. complete: all files are folded. stopped: `problem` says why; what was signed before it stands.
   */
  readonly status: "idle" | "reading" | "following" | "complete" | "stopped";
  readonly sourceName: string;
  /** 1, or the entry after the snapshot that the fold began with; 0 where nothing was read. */
  readonly firstSeqno: Seqno;
  /** The last entry that was read and accepted. */
  readonly readSeqno: Seqno;
  /** What the source says that it has: a hint for progress bars, not a fact. */
  readonly sourceSeqno: Seqno;
  readonly entriesPerSecond: number;
  /** Everything up to here is proved by a signature: "complete up to the signature at seqno N of time T". */
  readonly signed?: SignedAt;
  readonly service?: ServiceFacts;
  /** The fold began with a snapshot: what was before it is not verified. */
  readonly fromSnapshot?: { readonly seqno: Seqno; readonly evidenceVerified: boolean };
  /** Ranges that no file covers. */
  readonly gaps: readonly { readonly from: Seqno; readonly to: Seqno }[];
  /** Strange, but no reason to stop: sentences. */
  readonly warnings: readonly string[];
  readonly problem?: Problem & { readonly seqno?: Seqno };
  /** What this fold may be pinned as; the page stores it. */
  readonly pin?: Pin;
}

/** Nothing is open. */
export const IDLE_STATE: LedgerState = {
  status: "idle",
  sourceName: "",
  firstSeqno: 0,
  readSeqno: 0,
  sourceSeqno: 0,
  entriesPerSecond: 0,
  gaps: [],
  warnings: [],
};

/** Of the service as of the last signature. */
export interface ServiceFacts {
  /** "Opening", "Open", "WaitingForRecoveryShares", … as in `public:ccf.gov.service.info`. */
  readonly status: string;
  readonly certificatePem: string;
  /** Hex SHA-256 of its public key (SPKI). */
  readonly identity: string;
  /** The first service, and one for each recovery, in order. */
  readonly identities: readonly {
    readonly identity: string;
    readonly certificatePem: string;
    readonly fromSeqno: Seqno;
  }[];
}

/** user: writes tables of apps only. governance: writes `public:ccf.gov.*`. */
export type EntryKind = "user" | "governance" | "signature" | "reconfiguration" | "snapshot evidence" | "internal";

/** All of them, in the order in which they are offered. */
export const ENTRY_KINDS: readonly EntryKind[] = [
  "user",
  "governance",
  "signature",
  "reconfiguration",
  "snapshot evidence",
  "internal",
];

/** verified: a signature covers it. unsigned: none does yet. unproved: its proof failed, or it was before a snapshot. */
export type ProofState = "verified" | "unsigned" | "unproved";

/** One row of the list of transactions. */
export interface EntryRow {
  readonly seqno: Seqno;
  readonly txId: string;
  readonly kind: EntryKind;
  readonly sizeBytes: number;
  /** Public tables it writes to, in order. */
  readonly tables: readonly string[];
  readonly hasPrivate: boolean;
  /** Carries claims of the app. */
  readonly hasClaims: boolean;
  readonly proof: ProofState;
  /** Of the signature which first covers it. */
  readonly timeMs?: number;
}

/** All that is given must hold; nothing given: everything. */
export interface EntryFilter {
  readonly kinds?: readonly EntryKind[];
  /** Exact name of a public table. */
  readonly table?: string;
  /** Key in hex, with `table`. */
  readonly keyHex?: string;
  readonly fromSeqno?: Seqno;
  readonly toSeqno?: Seqno;
  /** Inclusive, by the time of the covering signature. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly view?: number;
  readonly hasPrivate?: boolean;
  readonly hasClaims?: boolean;
}

export interface EntryPage {
  /** How many entries the filter finds in all. */
  readonly total: number;
  readonly rows: readonly EntryRow[];
}

/** One write or removal in a public table. */
export interface WriteDetail {
  readonly table: string;
  readonly key: Uint8Array;
  /** undefined: removed. */
  readonly after?: Uint8Array;
  /** What it was before this transaction, and since when; undefined: not there. */
  readonly before?: Uint8Array;
  readonly beforeSeqno?: Seqno;
}

export interface TransactionDetail extends EntryRow {
  /** The whole entry as it stands in the ledger. */
  readonly bytes: Uint8Array;
  /** For an annotated view of `bytes`: neighbouring ranges, in order, covering all. */
  readonly layout: readonly {
    readonly start: number;
    readonly end: number;
    readonly what: string;
    readonly value?: string;
  }[];
  readonly writes: readonly WriteDetail[];
  /** Bytes of the encrypted part; 0: none. */
  readonly privateBytes: number;
  readonly writeSetDigest: string;
  readonly commitEvidenceDigest?: string;
  readonly claimsDigest?: string;
  readonly leaf: string;
  /** Who signed the request, where the transaction tells (governance). */
  readonly requestedBy?: { readonly memberId: string; readonly request: Uint8Array };
  readonly proofSteps?: MerkleProof;
  /** Other entries that touched a key of this one, nearest first on each side. */
  readonly previous?: Seqno;
  readonly next?: Seqno;
}

/** From an entry's leaf to a signed root, as folded here. */
export interface MerkleProof {
  readonly leaf: string;
  /** From the leaf upwards: the sibling and its side. */
  readonly path: readonly { readonly side: "left" | "right"; readonly hash: string }[];
  readonly root: string;
  readonly signature: SignedAt;
}

export type EntryAnswer =
  | { readonly found: true; readonly transaction: TransactionDetail }
  /** pending: below what the source has, and not read yet. unknown: beyond it. invalid: another view has that seqno. */
  | {
    readonly found: false;
    readonly why: "pending" | "unknown" | "invalid" | "gap" | "before snapshot";
    readonly detail: string;
  };

export interface TableSummary {
  readonly name: string;
  readonly keys: number;
  readonly lastWritten: Seqno;
}

export interface TableRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly writtenAt: Seqno;
}

export interface TablePage {
  readonly total: number;
  readonly rows: readonly TableRow[];
  /** Of the signature up to which this is proved; undefined: not proved yet. */
  readonly proof: ProofState;
}

/** A signature, on the way from the first to the last. */
export interface GrowthPoint {
  readonly seqno: Seqno;
  readonly timeMs: number;
  /** Of the ledger's entries up to here. */
  readonly bytes: number;
  /** How many there are up to here. */
  readonly signatures: number;
}

export interface KeyVersion {
  readonly seqno: Seqno;
  readonly txId: string;
  /** undefined: removed here. */
  readonly value?: Uint8Array;
  readonly timeMs?: number;
}

export interface TableDifference {
  readonly table: string;
  readonly changes: readonly { readonly key: Uint8Array; readonly before?: Uint8Array; readonly after?: Uint8Array }[];
  /** There are more than were asked for. */
  readonly truncated: boolean;
}

/** What a node answered about itself, fetched by the page; the worker judges it. */
export interface NodeEvidence {
  readonly format: string;
  /** The answer of `GET /node/quotes/self`, as it came. */
  readonly answer: unknown;
  /** DER of the certificate that ended the connection, where something could see it (the relay). */
  readonly peerCertificate?: Uint8Array;
  readonly nowMs: number;
}

/** Which code was allowed when, who let which node in; proposals themselves are left out of the decisions. */
export interface TrustHistory {
  /** In order. */
  readonly policyChanges: readonly PolicyChange[];
  readonly admissions: readonly Pick<
    NodeAdmission,
    "nodeId" | "registeredAt" | "registeredBy" | "trusted" | "status" | "problems"
  >[];
}

export interface AuditOptions {
  readonly from?: Seqno;
  readonly to?: Seqno;
}

export interface AuditFinding {
  readonly seqno: Seqno;
  readonly verdict: "failed" | "cannot decide" | "warning";
  readonly what: string;
  readonly detail: string;
}

export interface AuditReport {
  readonly verdict: "verified" | "refused" | "incomplete";
  readonly from: Seqno;
  readonly to: Seqno;
  readonly signatures: number;
  readonly requests: number;
  readonly decisions: number;
  readonly findings: readonly AuditFinding[];
}

export interface AuditProgress {
  readonly done: number;
  readonly of: number;
}

/**
 * What the page may ask. Every method answers with a promise, and is refused with a `Problem`. Seqnos given as `at` are of
 * entries that were read; left out, the last signed one is meant, so that answers are proved wherever anything is.
 */
export interface LedgerApi {
  /** Starts reading; the state events tell the rest. Closes what was open. */
  open(source: LedgerSource, options: OpenOptions): Promise<void>;
  close(): Promise<void>;
  /** Asks the source for more, at once. */
  refresh(): Promise<void>;

  /** `count` rows of those that the filter finds, from the `offset`th, in order of seqno. */
  entries(filter: EntryFilter, offset: number, count: number): Promise<EntryPage>;
  /** How many places in that list stand before this seqno. */
  offsetOf(filter: EntryFilter, seqno: Seqno): Promise<number>;
  /** For a strip over the whole list: entries in each of `buckets` equal parts, by kind. */
  density(buckets: number): Promise<readonly Readonly<Partial<Record<EntryKind, number>>>[]>;
  /** Up to `points` signatures with a time, spread evenly over the ledger, the first and the last among them. */
  growth(points: number): Promise<readonly GrowthPoint[]>;
  transaction(seqno: Seqno, view?: number): Promise<EntryAnswer>;
  proof(seqno: Seqno): Promise<MerkleProof | undefined>;
  /** The first seqno whose covering signature is of that time or later. */
  seqnoAt(timeMs: number): Promise<Seqno | undefined>;

  /** Public tables with at least one key, in order of name. */
  tables(at?: Seqno): Promise<readonly TableSummary[]>;
  /** Keys in the order of their bytes. */
  table(
    name: string,
    options?: { readonly at?: Seqno; readonly offset?: number; readonly count?: number },
  ): Promise<TablePage>;
  value(table: string, key: Uint8Array, at?: Seqno): Promise<TableRow | undefined>;
  /**
   * What happened to a key, newest first: at most `maxVersions` (left out: `MAX_PAGE_KEY_VERSIONS`). How many there are in
   * all `entries({ table, keyHex }, 0, 0)` tells.
   */
  history(table: string, key: Uint8Array, maxVersions?: number): Promise<readonly KeyVersion[]>;
  difference(from: Seqno, to: Seqno, maxChanges: number): Promise<readonly TableDifference[]>;

  /** The rungs from a node's evidence to its network (shared/trust/ladder.ts), over the ledger that is open. */
  climb(evidence: NodeEvidence): Promise<TrustReport>;
  /** undefined: the fold began with a snapshot, and what was before it is not known. */
  trustHistory(): Promise<TrustHistory | undefined>;
  /** Everything of the evidence and the ledger that `quote verify` takes, as JSON text. */
  evidenceBundle(evidence: NodeEvidence): Promise<string>;
  /** Decides again what members asked for, under the constitutions of then. Progress comes as events. */
  audit(options: AuditOptions): Promise<AuditReport>;
  stopAudit(): Promise<void>;
}

export type ToWorker = {
  readonly [M in keyof LedgerApi]: { readonly id: number; readonly method: M; readonly args: Parameters<LedgerApi[M]> };
}[keyof LedgerApi];

export type FromWorker =
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refused"; readonly id: number; readonly problem: Problem }
  | { readonly kind: "state"; readonly state: LedgerState }
  | { readonly kind: "audit"; readonly progress: AuditProgress };
