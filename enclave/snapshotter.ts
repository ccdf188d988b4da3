/**
 * Snapshots: the state at a signature, sealed; its digest as evidence in the ledger; its receipt once that is committed.
 *
 * In: signatures, commits and rollbacks, the time. Out: drafts, part by part, and their receipts: files that a joining or
 * recovering node can start from.
 * A snapshot is sealed a little at a time, so that requests do not wait for it, and no faster than the host writes it.
 * Only the primary makes snapshots, since only it can record their evidence. One that loses its office gives up what is not
 * recorded; what is, it completes if the next primary commits it. (CCF does the same: its backups make none.)
 * Rules: ledger-and-receipts.md §9
 */

import { assert } from "../shared/assert.ts";
import { toHex, toUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { SNAPSHOT_EVIDENCE } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { formatSnapshotName } from "../shared/ledger/snapshot.ts";
import {
  type SealedSnapshot,
  sealSnapshotInParts,
  type SnapshotContent,
  type SnapshotStep,
} from "../shared/ledger/snapshot_writer.ts";
import {
  MAX_REMEMBERED_SNAPSHOTS,
  MAX_SNAPSHOT_BYTES,
  MAX_SNAPSHOT_PAUSE_MS,
  MAX_UNPROVED_SNAPSHOTS,
  MAX_UNWRITTEN_SNAPSHOT_BYTES,
  SNAPSHOT_BUSY_TRANSACTIONS,
  SNAPSHOT_BUSY_WORK,
  SNAPSHOT_IDLE_WORK,
  SNAPSHOT_PAUSE_MS,
} from "../shared/limits.ts";
import { buildReceipt } from "../shared/receipt/build_receipt.ts";
import { serialiseReceipt } from "../shared/receipt/receipt.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { CommitPath } from "./commit_path.ts";
import type { EnclaveOutput } from "./messages.ts";

/** A snapshot file that the host has, whole. */
export interface KnownSnapshot {
  readonly name: string;
  /** Of the state it holds. */
  readonly seqno: Seqno;
  readonly sizeBytes: number;
}

/** A state that is to become a snapshot, as it stays whatever happens to the store. */
interface Picture {
  readonly seqno: Seqno;
  readonly content: SnapshotContent;
}

interface Sealing {
  readonly seqno: Seqno;
  readonly steps: Generator<SnapshotStep, SealedSnapshot | undefined, undefined>;
  sentBytes: number;
  writtenBytes: number;
}

/** A snapshot whose evidence is in the ledger. */
interface Unproved {
  readonly seqno: Seqno;
  readonly sizeBytes: number;
  readonly evidence: LedgerEntry;
  /** The first signature that covers the evidence. */
  signature: LedgerEntry | undefined;
}

export class Snapshotter {
  readonly #path: CommitPath;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  readonly #known: KnownSnapshot[] = [];
  /** The newest that is wanted: until it is committed, and the one before it is sealed. */
  #next: Picture | undefined;
  #sealing: Sealing | undefined;
  readonly #unproved: Unproved[] = [];
  #workedMs = 0;
  #versionThen: Seqno = 0;

  constructor(path: CommitPath, primitives: Primitives, emit: (output: EnclaveOutput) => void) {
    this.#path = path;
    this.#primitives = primitives;
    this.#emit = emit;
  }

  /** Snapshots that this process has written, and the one it began with, oldest first. Other files only the host knows. */
  get known(): readonly KnownSnapshot[] {
    return this.#known;
  }

  /** Whether a snapshot is wanted, being sealed, or waits for its evidence to be committed. */
  get isBusy(): boolean {
    return this.#next !== undefined || this.#sealing !== undefined || this.#unproved.length > 0;
  }

  /** Takes note of a file that the host has: the snapshot that this node began with. */
  remember(snapshot: KnownSnapshot): void {
    this.#known.push(snapshot);
    this.#known.sort((a, b) => a.seqno - b.seqno);
    if (this.#known.length > MAX_REMEMBERED_SNAPSHOTS) this.#known.shift();
  }

  /**
   * A signature was appended, by this node or by the primary; it is the last entry.
   *
   * @param isSnapshotPoint whether the state at this signature becomes a snapshot; only a primary says so
   */
  onSignature(seqno: Seqno, isSnapshotPoint: boolean): void {
    const uncovered = this.#unproved.filter(({ signature }) => signature === undefined);
    if (uncovered.length > 0) {
      const signature = LedgerEntry.parse(this.#path.lastEntry);
      assert(signature.seqno === seqno, "The last entry is the signature");
      for (const snapshot of uncovered) snapshot.signature = signature;
    }
    if (isSnapshotPoint) this.#next = this.#picture(seqno);
    // A node that is alone has committed it by now. Small states are sealed in one go.
    this.onCommitted(this.#path.committed.seqno);
    if (isSnapshotPoint) this.#work(SNAPSHOT_IDLE_WORK);
  }

  /** Everything up to `seqno` is committed: evidence up to there is proved. */
  onCommitted(seqno: Seqno): void {
    while (this.#unproved[0]?.signature !== undefined && this.#unproved[0].signature.seqno <= seqno) {
      this.#finish(this.#unproved.shift()!);
    }
  }

  /** Everything after `to` has never been. */
  onRollback(to: Seqno): void {
    if (this.#next !== undefined && this.#next.seqno > to) this.#next = undefined;
    while (this.#unproved.length > 0 && this.#unproved.at(-1)!.evidence.seqno > to) {
      this.#discard(this.#unproved.pop()!.seqno, "the transaction with its digest was rolled back");
    }
    for (const snapshot of this.#unproved) {
      if (snapshot.signature !== undefined && snapshot.signature.seqno > to) snapshot.signature = undefined;
    }
  }

  /**
   * The host has written so much of a draft; null: it cannot write it, and has removed it.
   *
   * A host that never says so stops a large snapshot, and nothing else.
   */
  onWritten(seqno: Seqno, sizeBytes: number | null): void {
    if (sizeBytes !== null) {
      if (this.#sealing?.seqno === seqno) this.#sealing.writtenBytes = sizeBytes;
      return;
    }
    if (this.#sealing?.seqno === seqno) this.#sealing = undefined;
    for (const list of [this.#unproved, this.#known] as { readonly seqno: Seqno }[][]) {
      const at = list.findIndex((snapshot) => snapshot.seqno === seqno);
      if (at !== -1) list.splice(at, 1);
    }
  }

  /**
   * Goes on with what is to be done, for a millisecond or a few: to be called with every batch.
   *
   * @param nowMs by the host's clock, which only delays when it lies
   * @param canWrite whether this node may record evidence
   */
  step(nowMs: number, canWrite: boolean): void {
    if (!canWrite) return this.#giveUp();
    const canBegin = this.#next !== undefined && this.#next.seqno <= this.#path.committed.seqno;
    if (this.#sealing === undefined && !canBegin) return;
    const { version } = this.#path.store;
    const transactions = Math.abs(version - this.#versionThen);
    // A clock that was set back does not hold it up.
    const pausedMs = Math.abs(nowMs - this.#workedMs);
    // What it takes is measured by what else gets done, since only that tells how much of a processor there is.
    const isBusy = transactions > 0 && transactions < SNAPSHOT_BUSY_TRANSACTIONS;
    if (pausedMs < (isBusy ? MAX_SNAPSHOT_PAUSE_MS : SNAPSHOT_PAUSE_MS)) return;
    this.#workedMs = nowMs;
    this.#versionThen = version;
    this.#work(transactions === 0 ? SNAPSHOT_IDLE_WORK : SNAPSHOT_BUSY_WORK);
  }

  #work(pieces: number): void {
    this.#beginNext();
    const sealing = this.#sealing;
    if (sealing === undefined) return;
    for (let piece = 0; piece < pieces; piece++) {
      if (sealing.sentBytes - sealing.writtenBytes > MAX_UNWRITTEN_SNAPSHOT_BYTES) return;
      const { done, value } = sealing.steps.next();
      if (done) return this.#record(sealing.seqno, value);
      if (value === undefined) continue;
      if (sealing.sentBytes === 0) this.#emit({ kind: "snapshotBegin", seqno: sealing.seqno });
      this.#emit({ kind: "snapshotPart", seqno: sealing.seqno, bytes: value });
      sealing.sentBytes += value.length;
    }
  }

  #picture(seqno: Seqno): Picture {
    const { store, tree, viewHistory } = this.#path;
    const content = { store: store.snapshot(seqno), leaf: tree.leaf(seqno), viewStarts: viewHistory.slice() };
    return { seqno, content };
  }

  /** Only what is committed is sealed: another state at the same seqno would have the same key and IV. */
  #beginNext(): void {
    const next = this.#next;
    if (next === undefined || this.#sealing !== undefined || this.#unproved.length >= MAX_UNPROVED_SNAPSHOTS) return;
    if (next.seqno > this.#path.committed.seqno) return;
    const secret = this.#path.secrets.at(next.seqno);
    assert(secret !== undefined, "A node that writes has the ledger secret of what it writes");
    const steps = sealSnapshotInParts(this.#primitives, secret.key, next.content);
    this.#sealing = { seqno: next.seqno, steps, sentBytes: 0, writtenBytes: 0 };
    this.#next = undefined;
  }

  #record(seqno: Seqno, sealed: SealedSnapshot | undefined): void {
    this.#sealing = undefined;
    if (sealed === undefined) {
      return this.#log("fail", `There is no snapshot at ${seqno}: it would have more than ${MAX_SNAPSHOT_BYTES} bytes`);
    }
    const tx = this.#path.store.begin();
    tx.open(SNAPSHOT_EVIDENCE).put({ hash: toHex(sealed.digest), version: seqno });
    this.#path.append(tx.writeSet(), sealed.digest);
    const evidence = LedgerEntry.parse(this.#path.lastEntry);
    this.#unproved.push({ seqno, sizeBytes: sealed.sizeBytes, evidence, signature: undefined });
  }

  #finish({ seqno, sizeBytes, evidence, signature }: Unproved): void {
    const secret = this.#path.secrets.at(evidence.seqno);
    assert(
      secret !== undefined && signature !== undefined,
      "What this node has recorded and seen signed, it can prove",
    );
    const proof = buildReceipt(this.#primitives, {
      entry: evidence,
      signatureEntry: signature,
      commitEvidence: secret.commitEvidence(evidence.txId),
    });
    const receipt = toUtf8(serialiseReceipt(proof));
    const name = formatSnapshotName({ seqno, evidenceSeqno: evidence.seqno, committed: true });
    this.#emit({ kind: "snapshotCommit", seqno, name, receipt });
    this.remember({ name, seqno, sizeBytes: sizeBytes + receipt.length });
  }

  /** Another node leads now. */
  #giveUp(): void {
    this.#next = undefined;
    if (this.#sealing === undefined) return;
    const { seqno, sentBytes } = this.#sealing;
    this.#sealing = undefined;
    if (sentBytes > 0) this.#discard(seqno, "this node is not the primary any more");
  }

  #discard(seqno: Seqno, reason: string): void {
    this.#emit({ kind: "snapshotDiscard", seqno });
    this.#log("info", `The snapshot at ${seqno} is given up: ${reason}`);
  }

  #log(level: "info" | "fail", message: string): void {
    this.#emit({ kind: "log", level, tag: "snapshot", message });
  }
}
