/**
 * Committed transactions of the past, fetched from the host and checked.
 *
 * In: a seqno; later the host's bytes. Out: the transaction with its receipt, or "pending", or "failed".
 * The host's disk is not trusted: an entry counts only if it is sealed with this ledger's secret, is the one that was
 * asked for, and lies in the tree of the signature that covers it, which is sealed likewise. A host that does not answer
 * is asked again.
 * What was signed before this node began (it joined behind a snapshot), it has not seen: there it reads on from the entry,
 * piece by piece, until the signature comes, at the latest the one that its snapshot was taken at.
 */

import { FormatError } from "../shared/assert.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { LedgerEntry, splitEntries } from "../shared/ledger/entry.ts";
import { isSignature } from "../shared/ledger/signature.ts";
import {
  HISTORICAL_RETRY_MS,
  HISTORICAL_SEARCH_ENTRIES,
  MAX_HISTORICAL_BYTES,
  MAX_HISTORICAL_STATES,
} from "../shared/limits.ts";
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
    /** The signature that covers it; or how far it was looked for. */
    covering: { readonly signature: Seqno } | Search;
    readonly parts: Map<Seqno, Uint8Array>;
    bytes: number;
    askedMs: number;
  }
  | { readonly kind: "there"; readonly state: HistoricalState; readonly bytes: number }
  | { readonly kind: "failed"; readonly bytes: 0 };
type Waiting = Slot & { readonly kind: "waiting" };

/** The first entry that has not been looked at, and how many to read at once. */
interface Search {
  readonly searchFrom: Seqno;
  readonly entries: number;
}

export class HistoricalCache {
  readonly #path: CommitPath;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  readonly #maxBytes: number;
  /** In order of last use; the oldest is forgotten first. */
  readonly #slots = new Map<Seqno, Slot>();
  /** Of all slots. */
  #bytes = 0;
  /** Signatures of before this node's time that were found, each with the first seqno that it is known to cover. */
  readonly #found = new Map<Seqno, Seqno>();

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
        if (nowMs - slot.askedMs >= HISTORICAL_RETRY_MS) {
          slot.askedMs = nowMs;
          this.#ask(seqno, slot);
        }
        return "pending";
      case "there":
        this.#touch(seqno, slot);
        return slot.state;
    }
  }

  /** Takes what the host read. Entries nobody asked for are ignored. */
  deliver(from: Seqno, to: Seqno, entries: Uint8Array | null): void {
    const delivered = entries === null || to < from ? undefined : splitEntries(entries, to - from + 1);
    for (const [seqno, slot] of this.#slots) {
      if (slot.kind !== "waiting") continue;
      if (!wantedOf(seqno, slot).some((each) => each >= from && each <= to)) continue;
      if (delivered === undefined) {
        this.#takeNothing(seqno, slot, from, to);
        continue;
      }
      try {
        this.#take(seqno, slot, from, delivered);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        this.#fail(seqno, error.message);
      }
    }
    this.#makeRoom();
  }

  #want(seqno: Seqno, nowMs: number): void {
    const signature = this.#path.signatureCovering(seqno) ?? this.#foundCovering(seqno);
    const covering = signature === undefined
      ? { searchFrom: seqno, entries: HISTORICAL_SEARCH_ENTRIES }
      : { signature };
    const slot: Waiting = { kind: "waiting", covering, parts: new Map(), bytes: 0, askedMs: nowMs };
    this.#slots.set(seqno, slot);
    this.#makeRoom();
    this.#ask(seqno, slot);
  }

  #ask(seqno: Seqno, slot: Waiting): void {
    if ("searchFrom" in slot.covering) {
      const from = slot.covering.searchFrom;
      this.#emit({ kind: "ledgerRead", from, to: this.#searchTo(slot.covering) });
      return;
    }
    for (const each of wantedOf(seqno, slot)) this.#emit({ kind: "ledgerRead", from: each, to: each });
  }

  #searchTo({ searchFrom, entries }: Search): Seqno {
    return Math.min(searchFrom + entries - 1, this.#path.start);
  }

  /** What cannot be read may lie behind the signature that is looked for: then fewer entries will do. */
  #takeNothing(seqno: Seqno, slot: Waiting, from: Seqno, to: Seqno): void {
    const { covering } = slot;
    if ("searchFrom" in covering) {
      // Else it was asked for another transaction, and more of it than is needed here.
      if (from !== covering.searchFrom || to !== this.#searchTo(covering)) return;
      if (to > from) {
        slot.covering = { ...covering, entries: (to - from + 1) >> 1 };
        return this.#ask(seqno, slot);
      }
    }
    this.#fail(seqno, `the host could not read entries ${from} to ${to}${this.#whereToPutFiles(from)}`);
  }

  /** @throws FormatError where the host gave something else than what this ledger holds */
  #take(seqno: Seqno, slot: Waiting, from: Seqno, delivered: readonly Uint8Array[]): void {
    if ("searchFrom" in slot.covering) this.#search(seqno, slot, slot.covering.searchFrom, from, delivered);
    else for (const each of wantedOf(seqno, slot)) this.#keep(slot, each, delivered[each - from]);
    if ("searchFrom" in slot.covering) return this.#ask(seqno, slot);
    const { signature } = slot.covering;
    const [entry, signatureEntry] = [slot.parts.get(seqno), slot.parts.get(signature)];
    if (entry === undefined || signatureEntry === undefined) return;
    const state = this.#verify(seqno, entry, signature, signatureEntry);
    // The entry that is kept, and at most as much again: its private tables in the clear.
    this.#set(seqno, { kind: "there", state, bytes: 2 * entry.length });
  }

  /** Looks for the signature among entries, every one of which must be of this ledger: none can be left out or put in. */
  #search(seqno: Seqno, slot: Waiting, searchFrom: Seqno, from: Seqno, delivered: readonly Uint8Array[]): void {
    for (let at = searchFrom; at < from + delivered.length; at++) {
      const bytes = delivered[at - from]!;
      const { entry } = this.#open(at, bytes);
      if (at === seqno) this.#keep(slot, at, bytes);
      if (!isSignature(entry.publicTables())) continue;
      this.#keep(slot, at, bytes);
      slot.covering = { signature: at };
      return this.#remember(at, seqno);
    }
    slot.covering = { ...slot.covering, searchFrom: from + delivered.length };
    if (from + delivered.length > this.#path.start) {
      throw new FormatError("no signature covers it, although this node began behind one");
    }
  }

  /** A copy: what the host delivered may be much longer. */
  #keep(slot: Waiting, seqno: Seqno, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || slot.parts.has(seqno)) return;
    slot.parts.set(seqno, bytes.slice());
    slot.bytes += bytes.length;
    this.#bytes += bytes.length;
  }

  #remember(signature: Seqno, covered: Seqno): void {
    this.#found.set(signature, Math.min(covered, this.#found.get(signature) ?? covered));
    if (this.#found.size > MAX_HISTORICAL_STATES) this.#found.delete(this.#found.keys().next().value!);
  }

  #foundCovering(seqno: Seqno): Seqno | undefined {
    for (const [signature, first] of this.#found) if (first <= seqno && seqno <= signature) return signature;
    return undefined;
  }

  #whereToPutFiles(seqno: Seqno): string {
    const { start } = this.#path;
    if (seqno > start) return "";
    return `; this node began with the snapshot at ${start}, and finds older ledger files in a read-only ledger directory`;
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
    if (secret === undefined) {
      throw new FormatError(`this node was not given the ledger secret that covers entry ${seqno}`);
    }
    const privateTables = entry.privateTables(this.#primitives, secret.key);
    if (privateTables === undefined) {
      throw new FormatError(`what was given for entry ${seqno} is not sealed with our ledger secret`);
    }
    if (entry.seqno !== seqno || entry.view !== this.#path.viewOf(seqno)) {
      throw new FormatError(`what was given for entry ${seqno} is entry ${entry.view}.${entry.seqno}`);
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

/** Entries that it waits for: the next one that may be the signature, or itself and the signature as far as not here. */
function wantedOf(seqno: Seqno, { covering, parts }: Waiting): Seqno[] {
  if ("searchFrom" in covering) return [covering.searchFrom];
  return [...new Set([seqno, covering.signature])].filter((each) => !parts.has(each));
}
