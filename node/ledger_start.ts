/**
 * Where reading a ledger begins: at its first transaction, or behind a snapshot.
 *
 * In: the files of a listing, and snapshot files. Out: which files to read from where; a snapshot with its receipt.
 * Rules: ledger-and-receipts.md §2.1, §9.2
 */

import { FormatError } from "../shared/assert.ts";
import { Snapshot, splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import { MAX_RECEIPT_BYTES, MAX_SNAPSHOT_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { type LedgerFile, type SnapshotFile, unreadable } from "./ledger_listing.ts";

export interface LedgerStart {
  /** What the first transaction comes behind; undefined where that is transaction 1, or nothing leads to it. */
  readonly snapshot: SnapshotFile | undefined;
  /** The seqno that is due first. */
  readonly first: Seqno;
  /** Files with earlier transactions are not among them. */
  readonly files: readonly LedgerFile[];
}

/** At transaction 1 if it is there; else behind the oldest snapshot that a file follows. */
export function chooseStart(files: readonly LedgerFile[], snapshots: readonly SnapshotFile[]): LedgerStart {
  const first = files[0]!.name.first;
  if (first > 1) {
    const followed = new Set(files.map(({ name }) => name.first));
    const snapshot = snapshots.find(({ name }) => followed.has(name.seqno + 1));
    if (snapshot !== undefined) {
      const next = snapshot.name.seqno + 1;
      return { snapshot, first: next, files: files.filter(({ name }) => name.first >= next) };
    }
  }
  return { snapshot: undefined, first: 1, files };
}

/**
 * A snapshot, and the receipt behind it.
 *
 * @throws UsageError where the file cannot be read
 * @throws FormatError where it is no snapshot with a receipt
 */
export function readSnapshotFile(
  { path }: SnapshotFile,
): { readonly snapshot: Snapshot; readonly receipt: Uint8Array } {
  let file: Uint8Array;
  try {
    const { size } = Deno.statSync(path);
    if (size > MAX_SNAPSHOT_BYTES + MAX_RECEIPT_BYTES) {
      throw new FormatError(`Cannot read a snapshot file of ${size} bytes: at most ${MAX_SNAPSHOT_BYTES}`);
    }
    file = Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw unreadable(path, error);
  }
  const { snapshot, receipt } = splitSnapshotFile(file);
  if (receipt.length === 0) throw new FormatError("The snapshot file has no receipt behind the snapshot");
  return { snapshot: Snapshot.parse(snapshot), receipt };
}
