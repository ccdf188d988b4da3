/**
 * Committed transactions of the past, fetched from the host and checked.
 *
 * In: a seqno; later the host's bytes. Out: the transaction with its receipt, or "pending", or "failed".
 * The host's disk is not trusted: an entry counts only if its leaf lies in the tree of the signature that covers it, and
 * that signature is by a node of this service.
 */

import { FormatError } from "../shared/assert.ts";
import { equalBytes } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { entryBytes, LedgerEntry } from "../shared/ledger/entry.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { MAX_HISTORICAL_STATES } from "../shared/limits.ts";
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

type Slot = HistoricalState | "failed" | { readonly signature: Seqno; entry?: Uint8Array; signatureEntry?: Uint8Array };

export class HistoricalCache {
  readonly #path: CommitPath;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  /** In order of last use; the oldest is forgotten first. */
  readonly #slots = new Map<Seqno, Slot>();

  constructor(path: CommitPath, primitives: Primitives, emit: (output: EnclaveOutput) => void) {
    this.#path = path;
    this.#primitives = primitives;
    this.#emit = emit;
  }

  /** A committed transaction, if it is here; asking for one that is not fetches it. A failure is told once. */
  get(seqno: Seqno): HistoricalState | "pending" | "failed" {
    const slot = this.#slots.get(seqno);
    if (slot === undefined) {
      this.#request(seqno);
      return "pending";
    }
    this.#slots.delete(seqno);
    if (slot === "failed") return "failed";
    this.#slots.set(seqno, slot);
    return "txId" in slot ? slot : "pending";
  }

  /** Takes what the host read. Entries nobody asked for are ignored. */
  deliver(from: Seqno, to: Seqno, entries: Uint8Array | null): void {
    const bySeqno = entries === null ? null : splitEntries(from, to, entries);
    for (const [seqno, slot] of this.#slots) {
      if (slot === "failed" || "txId" in slot) continue;
      const { signature } = slot;
      const concerned = (seqno >= from && seqno <= to) || (signature >= from && signature <= to);
      if (!concerned) continue;
      if (bySeqno === null) {
        this.#slots.set(seqno, "failed");
        continue;
      }
      slot.entry ??= bySeqno.get(seqno)!;
      slot.signatureEntry ??= bySeqno.get(signature)!;
      if (slot.entry !== undefined && slot.signatureEntry !== undefined) {
        this.#slots.set(seqno, this.#verify(slot.entry, slot.signatureEntry));
      }
    }
  }

  #request(seqno: Seqno): void {
    if (this.#slots.size >= MAX_HISTORICAL_STATES) {
      const oldest = this.#slots.keys().next().value;
      if (oldest !== undefined) this.#slots.delete(oldest);
    }
    const signature = this.#path.signatureCovering(seqno);
    this.#slots.set(seqno, { signature });
    this.#emit({ kind: "ledgerRead", from: seqno, to: seqno });
    if (signature !== seqno) this.#emit({ kind: "ledgerRead", from: signature, to: signature });
  }

  #verify(bytes: Uint8Array, signatureBytes: Uint8Array): HistoricalState | "failed" {
    try {
      return verifyState(this.#path.secrets, this.#primitives, bytes, signatureBytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#emit({ kind: "log", level: "fail", tag: "historical", message: error.message });
      return "failed";
    }
  }
}

/** @throws FormatError where the host gave something else than what this ledger holds */
function verifyState(
  secrets: LedgerSecrets,
  primitives: Primitives,
  bytes: Uint8Array,
  signatureBytes: Uint8Array,
): HistoricalState {
  const entry = LedgerEntry.parse(bytes);
  const secret = secrets.at(entry.seqno);
  const privateTables = secret === undefined ? undefined : entry.privateTables(primitives, secret.key);
  if (secret === undefined || privateTables === undefined) {
    throw new FormatError(`Cannot use entry ${entry.seqno} from the host: it is not sealed with our ledger secret`);
  }
  const signatureEntry = equalBytes(bytes, signatureBytes) ? entry : LedgerEntry.parse(signatureBytes);
  const commitEvidence = secret.commitEvidence(entry.txId);
  const receipt = buildReceipt(primitives, { entry, signatureEntry, commitEvidence });
  return {
    txId: entry.txId,
    receipt,
    publicTables: entry.publicTables(),
    privateTables,
    receiptJson: () => receiptMembers(receipt),
  };
}

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
  return bySeqno;
}
