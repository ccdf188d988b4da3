/**
 * Reads ledger files block by block, however large they are.
 *
 * In: files of a listing. Out: their entries, one after the other; and where two copies of the same entries differ.
 * Knows nothing of what is inside an entry.
 * Format: ledger-and-receipts.md §2.2
 */

import { FormatError } from "../shared/assert.ts";
import { Reader } from "../shared/bytes.ts";
import {
  CHUNK_HEADER_BYTES,
  type ChunkEnd,
  type ChunkEntry,
  ChunkScanner,
  parseTableOffset,
} from "../shared/ledger/chunk.ts";
import { LEDGER_SCAN_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { type LedgerFile, unreadable } from "./ledger_listing.ts";

/**
 * The entries of one file, with how it ended as the generator's result.
 *
 * @param onBytes told how many bytes were read, for whoever shows progress
 * @throws FormatError where it is not a ledger file
 * @throws UsageError where it cannot be read
 */
export function* scanFile(
  file: LedgerFile,
  onBytes: (count: number) => void = () => {},
): Generator<ChunkEntry, ChunkEnd, undefined> {
  using opened = new OpenedFile(file.path);
  const scanner = new ChunkScanner();
  for (let at = 0;;) {
    // Entries are views into the block, and who keeps one keeps all of it: so each block is a new one.
    const block = opened.read(at, LEDGER_SCAN_BYTES);
    if (block.length === 0) return scanner.end();
    at += block.length;
    yield* scanner.feed(block);
    onBytes(block.length);
  }
}

/** What a walk over a ledger comes upon. */
export type LedgerStep =
  | { readonly kind: "file"; readonly file: LedgerFile }
  | { readonly kind: "entry"; readonly file: LedgerFile; readonly entry: ChunkEntry }
  | { readonly kind: "end"; readonly file: LedgerFile; readonly end: ChunkEnd }
  /** An open file whose first transactions came in another one already; it is passed over. */
  | { readonly kind: "superseded"; readonly file: LedgerFile }
  /** The next file does not follow. Whoever can do without the ones missing goes on. */
  | { readonly kind: "misplaced"; readonly file: LedgerFile; readonly reason: string }
  /** The rest of a file cannot be taken apart. Whoever can do without it goes on. */
  | { readonly kind: "damaged"; readonly file: LedgerFile; readonly reason: string };

/**
 * Walks over files in order.
 *
 * @param first the seqno that is due first
 * @param onBytes told how many bytes were read
 * @throws UsageError where a file cannot be read
 */
export function* walkLedger(
  files: readonly LedgerFile[],
  first: Seqno,
  onBytes?: (count: number) => void,
): Generator<LedgerStep, void, undefined> {
  let previous: LedgerFile | undefined;
  /** The seqno that is due, where it is known. */
  let next: Seqno | undefined = first;
  for (const file of files) {
    const { name } = file;
    if (next !== undefined && name.first < next && !name.committed) {
      yield { kind: "superseded", file };
      continue;
    }
    if (next !== undefined && name.first !== next) {
      yield { kind: "misplaced", file, reason: whyMisplaced(previous, file, next) };
    }
    yield { kind: "file", file };
    next = name.first;
    try {
      const entries = scanFile(file, onBytes);
      let item = entries.next();
      for (; item.done !== true; item = entries.next()) {
        yield { kind: "entry", file, entry: item.value };
        next++;
      }
      yield { kind: "end", file, end: item.value };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      yield { kind: "damaged", file, reason: error.message };
      next = undefined;
    }
    previous = file;
  }
}

/** Why a file does not follow. */
function whyMisplaced(previous: LedgerFile | undefined, file: LedgerFile, next: Seqno): string {
  const { first } = file.name;
  if (first > next) {
    const missing = first - 1 === next ? `Transaction ${next} is` : `Transactions ${next} to ${first - 1} are`;
    const where = previous === undefined
      ? `the first file is ${file.fileName}`
      : `${file.fileName} follows ${previous.fileName}`;
    const remedy = previous === undefined
      ? `; add the directory that has them, or give --snapshots with a snapshot at ${first - 1}`
      : "; add the directory that has them";
    return `${missing} missing: ${where}${remedy}`;
  }
  return `${file.path} begins with transaction ${first}, which ${previous?.path ?? "another file"} has too; ` +
    "keep the files of one node";
}

/** Where the entries of a file lie. */
interface Layout {
  readonly firstSeqno: Seqno;
  /** Offset of each entry, of which only the first is known where there is no positions table. */
  readonly offsets: readonly number[];
  readonly endOffset: number;
}

/**
 * The first transaction in which a copy differs from the original; undefined where all that both have is the same.
 *
 * @param original a committed file, right in itself
 * @param copy one that shares transactions with it, right or not
 * @throws FormatError where the original is not right
 * @throws UsageError where a file cannot be read
 */
export function firstDifference(original: LedgerFile, copy: LedgerFile): Seqno | undefined {
  using a = new OpenedFile(original.path);
  using b = new OpenedFile(copy.path);
  const first = Math.max(original.name.first, copy.name.first);
  const ours = layoutOf(a, original.name.first);
  let theirs: Layout;
  try {
    theirs = layoutOf(b, copy.name.first);
  } catch (error) {
    if (error instanceof FormatError) return first;
    throw error;
  }
  const from = offsetOf(ours, first);
  const theirFrom = offsetOf(theirs, first);
  if (from === undefined || theirFrom === undefined) return first;

  const until = endOf(ours, copy.name.last);
  const theirUntil = endOf(theirs, original.name.last);
  const length = Math.min(until - from, theirUntil - theirFrom);
  const different = firstDifferentByte(a, from, b, theirFrom, length);
  if (different !== undefined) return seqnoAt(ours, from + different);
  // What an open copy lacks at its end was never written there; a committed one must have it all.
  const mustBeEqual = copy.name.committed;
  return mustBeEqual && until - from !== theirUntil - theirFrom ? seqnoAt(ours, from + length) : undefined;
}

function firstDifferentByte(a: OpenedFile, aAt: number, b: OpenedFile, bAt: number, length: number) {
  for (let at = 0; at < length; at += LEDGER_SCAN_BYTES) {
    const count = Math.min(LEDGER_SCAN_BYTES, length - at);
    const [ours, theirs] = [a.read(aAt + at, count), b.read(bAt + at, count)];
    for (let i = 0; i < count; i++) if (ours[i] !== theirs[i]) return at + i;
  }
  return undefined;
}

/** @throws FormatError */
function layoutOf(file: OpenedFile, firstSeqno: Seqno): Layout {
  const tableOffset = parseTableOffset(file.read(0, CHUNK_HEADER_BYTES));
  if (tableOffset === 0) return { firstSeqno, offsets: [CHUNK_HEADER_BYTES], endOffset: file.sizeBytes };
  const tableBytes = file.sizeBytes - tableOffset;
  if (tableBytes <= 0 || tableBytes % 4 !== 0) throw new FormatError("Cannot read a chunk: it has no positions table");
  const reader = new Reader(file.read(tableOffset, tableBytes));
  return { firstSeqno, offsets: Array.from({ length: tableBytes / 4 }, () => reader.u32()), endOffset: tableOffset };
}

function offsetOf({ offsets, firstSeqno }: Layout, seqno: Seqno): number | undefined {
  return offsets[seqno - firstSeqno];
}

/** Where the entries up to `last` end, or all where `last` is not known or not here. */
function endOf(layout: Layout, last: Seqno | undefined): number {
  return (last === undefined ? undefined : offsetOf(layout, last + 1)) ?? layout.endOffset;
}

/** The transaction whose entry has the byte at an offset. */
function seqnoAt({ firstSeqno, offsets }: Layout, offset: number): Seqno {
  const after = offsets.findIndex((start) => start > offset);
  return firstSeqno + (after === -1 ? offsets.length : after) - 1;
}

/** A file that is read from any place. */
class OpenedFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly sizeBytes: number;
  #position = 0;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#file = Deno.openSync(path);
    } catch (error) {
      throw unreadable(path, error);
    }
    this.sizeBytes = this.#file.statSync().size;
  }

  /** The bytes from `offset` on, fewer than `length` only at the end of the file. @throws UsageError */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.sizeBytes - offset)));
    let count = 0;
    try {
      if (offset !== this.#position) this.#file.seekSync(offset, Deno.SeekMode.Start);
      this.#position = offset;
      while (count < bytes.length) {
        const more = this.#file.readSync(bytes.subarray(count));
        if (more === null) break;
        count += more;
        this.#position += more;
      }
    } catch (error) {
      throw unreadable(this.#path, error);
    }
    return bytes.subarray(0, count);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
