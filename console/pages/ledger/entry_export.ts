/**
 * Rows of the list as files, and a range of the ledger as a ledger file.
 *
 * In: rows; entries as bytes. Out: text or bytes to save. Knows nothing of the worker.
 * Formats: RFC 4180 for CSV; ledger-and-receipts.md §2 for the slice
 */

import { formatChunkName, serialiseChunk } from "../../../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE, parseFrame } from "../../../shared/ledger/entry.ts";
import type { EntryRow } from "../../ledger/protocol.ts";

export type RowFormat = "csv" | "json" | "ndjson";

const COLUMNS = ["seqno", "txId", "kind", "sizeBytes", "tables", "hasPrivate", "hasClaims", "proof", "time"] as const;

export function rowsFile(
  rows: readonly EntryRow[],
  format: RowFormat,
): { readonly text: string; readonly type: string } {
  switch (format) {
    case "csv":
      return { text: [COLUMNS.join(","), ...rows.map(csvLine)].join("\r\n") + "\r\n", type: "text/csv" };
    case "json":
      return { text: `${JSON.stringify(rows.map(plainRow), null, 2)}\n`, type: "application/json" };
    case "ndjson":
      return { text: rows.map((row) => `${JSON.stringify(plainRow(row))}\n`).join(""), type: "application/x-ndjson" };
  }
}

export interface LedgerFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * Entries say where a file ends, and verifying holds files to it: the range becomes as many files, and what is left behind
 * the last such place an open one, without a last seqno in its name, as the newest file of a node is.
 *
 * @param entries neighbouring entries, whole, from seqno `first` on
 */
export function ledgerSlice(first: number, entries: readonly Uint8Array[]): LedgerFile[] {
  const files: LedgerFile[] = [];
  let start = 0;
  for (let i = 0; i < entries.length; i++) {
    const next = entries[i + 1];
    const committed = (parseFrame(entries[i]!).flags & FORCE_CHUNK_AFTER) !== 0 ||
      (next !== undefined && (parseFrame(next).flags & FORCE_CHUNK_BEFORE) !== 0);
    if (!committed && next !== undefined) continue;
    const last = committed ? first + i : undefined;
    const name = formatChunkName({ first: first + start, last, committed, recovery: false, ignored: false });
    files.push({ name, bytes: serialiseChunk(entries.slice(start, i + 1), committed) });
    start = i + 1;
  }
  return files;
}

function plainRow({ timeMs, ...row }: EntryRow): Readonly<Record<string, unknown>> {
  return { ...row, ...(timeMs !== undefined && { time: new Date(timeMs).toISOString() }) };
}

function csvLine(row: EntryRow): string {
  const plain = plainRow(row);
  return COLUMNS.map((column) => {
    const value = plain[column];
    return csvField(Array.isArray(value) ? value.join(" ") : value === undefined ? "" : String(value));
  }).join(",");
}

/** Quoted where it must be. A first character that spreadsheets take for a formula is kept from being one. */
function csvField(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
