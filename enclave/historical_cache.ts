/**
 * Committed transactions of the past, fetched from the host and checked.
 *
 * In: a seqno; later the host's bytes. Out: the transaction with its receipt, or "pending", or "failed".
 * The host's disk is not trusted: an entry counts only if it is sealed with this ledger's secret, is the one that was
 * asked for, and lies in the tree of the signature that covers it, which is sealed likewise. A host that does not answer
 * is asked again.
 */

import { FormatError } from "../shared/assert.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { entryBytes, LedgerEntry } from "../shared/ledger/entry.ts";
import { HISTORICAL_RETRY_MS, MAX_HISTORICAL_BYTES, MAX_HISTORICAL_STATES } from "../shared/limits.ts";
import { buildReceipt } from "../shared/receipt/build_receipt.ts";
import { type Receipt, receiptMembers } from "../shared/receipt/receipt.ts";
import type { Seqno, TxId } from "../shared/tx_id.ts";
import type { CommitPath } from "./commit_path.ts";
import type { EnclaveOutput } from "./messages.ts";

/** One committed transaction, verified. */
export interface HistoricalState {
  readonly txId: TxId;
  readonly receipt: Receipt;
  readonly publicTables: readonly TableWrites[];
  readonly privateTables: readonly TableWrites[];
  /** The receipt as `/receipt` answers it (ledger-and-receipts.md §8.1). */
  receiptJson(): unknown;
}

/** What is known of a seqno that somebody asked for. */
type Slot =
  | {
    readonly kind: "waiting";
    readonly signature: Seqno;
    readonly parts: Map<Seqno, Uint8Array>;
    bytes: number;
    askedMs: number;
  }
  | { readonly kind: "there"; readonly state: HistoricalState; readonly bytes: number }
  | { readonly kind: "failed"; readonly bytes: 0 };
type Waiting = Slot & { readonly kind: "waiting" };

export class HistoricalCache {
  readonly #path: CommitPath;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  readonly #maxBytes: number;
  /** In order of last use; the oldest is forgotten first. */
  readonly #slots = new Map<Seqno, Slot>();
  /** Of all slots. */
  #bytes = 0;

  constructor(
    path: CommitPath,
    primitives: Primitives,
    emit: (output: EnclaveOutput) => void,
    maxBytes: number = MAX_HISTORICAL_BYTES,
  ) {
    this.#maxBytes = maxBytes;
    this.#path = path;
    this.#primitives = primitives;
    this.#emit = emit;
  }

  /**
   * A committed transaction, if it is here; asking for one that is not fetches it. A failure is told once.
   *
   * @param nowMs by the host's clock, which only delays when it lies
   */
  get(seqno: Seqno, nowMs: number): HistoricalState | "pending" | "failed" {
    const slot = this.#slots.get(seqno);
    switch (slot?.kind) {
      case undefined:
        this.#want(seqno, nowMs);
        return "pending";
      case "failed":
        this.#slots.delete(seqno);
        return "failed";
      case "waiting":
        this.#touch(seqno, slot);
        if (nowMs - slot.askedMs >= HISTORICAL_RETRY_MS) this.#ask(seqno, slot, nowMs);
        return "pending";
      case "there":
        this.#touch(seqno, slot);
        return slot.state;
    }
  }

  /** Takes what the host read. Entries nobody asked for are ignored. */
  deliver(from: Seqno, to: Seqno, entries: Uint8Array | null): void {
    const delivered = entries === null ? null : splitEntries(from, to, entries);
    const isConcerned = (seqno: Seqno) => seqno >= from && seqno <= to;
    for (const [seqno, slot] of this.#slots) {
      if (slot.kind !== "waiting") continue;
      const missing = [seqno, slot.signature].filter((each) => isConcerned(each) && !slot.parts.has(each));
      if (missing.length === 0) continue;
      if (delivered === null) {
        this.#fail(seqno, `the host could not read entries ${from} to ${to}`);
        continue;
      }
      for (const each of missing) {
        const entry = delivered.get(each)!;
        slot.parts.set(each, entry);
        slot.bytes += entry.length;
        this.#bytes += entry.length;
      }
      this.#finish(seqno, slot);
    }
    this.#makeRoom();
  }

  #want(seqno: Seqno, nowMs: number): void {
    const signature = this.#path.signatureCovering(seqno);
    if (signature === undefined) return this.#fail(seqno, "this node began after it, and does not know its signature");
    const slot: Waiting = {
      kind: "waiting",
      signature,
      parts: new Map(),
      bytes: 0,
      askedMs: nowMs,
    };
    this.#slots.set(seqno, slot);
    this.#makeRoom();
    this.#ask(seqno, slot, nowMs);
  }

  #ask(seqno: Seqno, slot: Waiting, nowMs: number): void {
    slot.askedMs = nowMs;
    for (const each of new Set([seqno, slot.signature])) {
      if (!slot.parts.has(each)) this.#emit({ kind: "ledgerRead", from: each, to: each });
    }
  }

  #finish(seqno: Seqno, { signature, parts }: Waiting): void {
    const entry = parts.get(seqno);
    const signatureEntry = parts.get(signature);
    if (entry === undefined || signatureEntry === undefined) return;
    try {
      const state = this.#verify(seqno, entry, signature, signatureEntry);
      // The entry that is kept, and at most as much again: its private tables in the clear.
      this.#set(seqno, { kind: "there", state, bytes: 2 * entry.length });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#fail(seqno, error.message);
    }
  }

  /** @throws FormatError where the host gave something else than what this ledger holds */
  #verify(seqno: Seqno, bytes: Uint8Array, signature: Seqno, signatureBytes: Uint8Array): HistoricalState {
    const { entry, privateTables, commitEvidence } = this.#open(seqno, bytes);
    const signatureEntry = signature === seqno ? entry : this.#open(signature, signatureBytes).entry;
    const receipt = buildReceipt(this.#primitives, { entry, signatureEntry, commitEvidence });
    return {
      txId: entry.txId,
      receipt,
      publicTables: entry.publicTables(),
      privateTables,
      receiptJson: () => receiptMembers(receipt),
    };
  }

  /** One entry of this ledger, by its seal: only who has the ledger secret can have written it. */
  #open(
    seqno: Seqno,
    bytes: Uint8Array,
  ): {
    readonly entry: LedgerEntry;
    readonly privateTables: readonly TableWrites[];
    readonly commitEvidence: string;
  } {
    const entry = LedgerEntry.parse(bytes);
    const secret = this.#path.secrets.at(seqno);
    const privateTables = secret && entry.privateTables(this.#primitives, secret.key);
    if (secret === undefined || privateTables === undefined) {
      throw new FormatError("it is not sealed with our ledger secret");
    }
    if (entry.seqno !== seqno || entry.view !== this.#path.viewOf(seqno)) {
      throw new FormatError(`it is entry ${entry.view}.${entry.seqno}`);
    }
    return { entry, privateTables, commitEvidence: secret.commitEvidence(entry.txId) };
  }

  #fail(seqno: Seqno, reason: string): void {
    const message = `Cannot use what the host gave for entry ${seqno}: ${reason}`;
    this.#emit({ kind: "log", level: "fail", tag: "historical", message });
    this.#set(seqno, { kind: "failed", bytes: 0 });
  }

  /** Takes the place of what was there. */
  #set(seqno: Seqno, slot: Slot): void {
    this.#bytes += slot.bytes - (this.#slots.get(seqno)?.bytes ?? 0);
    this.#slots.set(seqno, slot);
  }

  #touch(seqno: Seqno, slot: Slot): void {
    this.#slots.delete(seqno);
    this.#slots.set(seqno, slot);
  }

  /** Forgets what was not used for longest. One state alone may be larger than all should be together. */
  #makeRoom(): void {
    for (const [seqno, slot] of this.#slots) {
      const isTooMuch = this.#slots.size > MAX_HISTORICAL_STATES || this.#bytes > this.#maxBytes;
      if (!isTooMuch || this.#slots.size === 1) return;
      this.#slots.delete(seqno);
      this.#bytes -= slot.bytes;
    }
  }
}

/** Entries that lie back to back, by seqno; null where there are not as many as there should be. */
function splitEntries(from: Seqno, to: Seqno, entries: Uint8Array): Map<Seqno, Uint8Array> | null {
  const bySeqno = new Map<Seqno, Uint8Array>();
  let at = 0;
  try {
    for (let seqno = from; seqno <= to; seqno++) {
      const length = entryBytes(entries.subarray(at));
      if (at + length > entries.length) return null;
      bySeqno.set(seqno, entries.subarray(at, at + length));
      at += length;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return null;
  }
  return at === entries.length ? bySeqno : null;
}
