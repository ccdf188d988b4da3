/**
 * Reads entries of ledger files, with a bounded number of files and positions tables held.
 *
 * In: a chunk and seqnos in it. Out: their bytes as they lie, each entry's length checked against the positions.
 */

import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { concat, Reader } from "../shared/bytes.ts";
import { CHUNK_HEADER_BYTES, parseTableOffset } from "../shared/ledger/chunk.ts";
import { entryBytes } from "../shared/ledger/entry.ts";
import { MAX_CHUNK_BYTES, MAX_OPEN_LEDGER_FILES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { LedgerChunk } from "./ledger_chunk.ts";
import type { LedgerFile, LedgerFileSystem } from "./ledger_file_system.ts";

/** Consecutive entries, back to back. */
export interface LedgerRange {
  readonly from: Seqno;
  readonly to: Seqno;
  readonly bytes: Uint8Array;
}

/** Entries of one file, and where they lie. */
export interface ChunkRange extends LedgerRange {
  /** First seqno of the file, which keeps naming it when it is renamed. */
  readonly chunkFirst: Seqno;
  /** Where each entry starts in the file. */
  readonly offsets: readonly number[];
}

/** An open file. It is closed when it is let go of and nobody reads it any more. */
interface HeldFile {
  readonly file: Promise<LedgerFile>;
  readers: number;
  released: boolean;
}

export class LedgerReader {
  readonly #fileSystem: LedgerFileSystem;
  /** Least recently used first. */
  readonly #files = new Map<LedgerChunk, HeldFile>();
  /** Committed chunks whose positions are in memory, the one that has been there longest first. */
  readonly #withOffsets = new Set<LedgerChunk>();

  constructor(fileSystem: LedgerFileSystem) {
    this.#fileSystem = fileSystem;
  }

  /**
   * The entries from `from` on: up to `to`, the end of the chunk, or as many as `maxBytes` holds, but at least one.
   *
   * @returns undefined where a rollback took place meanwhile: look again
   * @throws FormatError where the file is damaged, or what the file system throws
   */
  async read(chunk: LedgerChunk, from: Seqno, to: Seqno, maxBytes: number): Promise<ChunkRange | undefined> {
    const truncations = chunk.truncations;
    while (chunk.offsets === undefined) await this.#loadOffsets(chunk);
    const first = chunk.offsetOf(from);
    let last = Math.min(to, chunk.last);
    if (chunk.offsetOf(last + 1) - first > maxBytes) last = lastThatFits(chunk, from, last, first + maxBytes);
    const end = chunk.offsetOf(last + 1);
    const offsets = chunk.offsets!.slice(from - chunk.first, last + 1 - chunk.first);

    // Both halves are taken from one state of the chunk: nothing is awaited in between.
    const firstUnwritten = Math.max(first, Math.min(end, chunk.unwritten[0]?.offset ?? end));
    const unwritten = chunk.unwritten.filter((part) => part.offset >= firstUnwritten && part.offset < end)
      .map((part) => part.bytes);
    const length = firstUnwritten - first;
    const written = length > 0 ? [await this.#withFile(chunk, (file) => file.read(first, length))] : [];
    if (chunk.truncations !== truncations) return undefined;
    if (length > written.reduce((sum, bytes) => sum + bytes.length, 0)) {
      throw new FormatError(`Cannot read ledger file ${chunk.diskName}: it ends before byte ${firstUnwritten}`);
    }

    const parts = [...written, ...unwritten];
    const bytes = parts.length === 1 ? parts[0]! : concat(...parts);
    checkLengths(bytes, offsets, chunk);
    return { from, to: last, bytes, chunkFirst: chunk.first, offsets };
  }

  /** To be called for a chunk that is committed: its positions are kept only as long as there is room for them. */
  retain(chunk: LedgerChunk): void {
    this.#withOffsets.add(chunk);
    for (const other of this.#withOffsets) {
      if (this.#withOffsets.size <= MAX_OPEN_LEDGER_FILES) break;
      // They can be read again from a file that has come to its last name.
      if (other.diskName !== other.name || other.unwritten.length > 0) continue;
      this.#withOffsets.delete(other);
      other.offsets = undefined;
    }
  }

  /** Lets go of a chunk's file, e.g. because it is removed. */
  async release(chunk: LedgerChunk): Promise<void> {
    const held = this.#files.get(chunk);
    this.#files.delete(chunk);
    if (held === undefined) return;
    held.released = true;
    await closeIfUnused(held);
  }

  async close(): Promise<void> {
    for (const chunk of [...this.#files.keys()]) await this.release(chunk);
  }

  async #withFile<Result>(chunk: LedgerChunk, use: (file: LedgerFile) => Promise<Result>): Promise<Result> {
    const held = this.#hold(chunk);
    held.readers += 1;
    try {
      return await use(await held.file);
    } finally {
      held.readers -= 1;
      await closeIfUnused(held);
    }
  }

  #hold(chunk: LedgerChunk): HeldFile {
    const known = this.#files.get(chunk);
    const path = join(chunk.directory, chunk.diskName ?? chunk.name);
    const held = known ?? { file: this.#fileSystem.open(path, "read"), readers: 0, released: false };
    if (known === undefined) {
      held.file.catch(() => {
        if (this.#files.get(chunk) === held) this.#files.delete(chunk);
      });
    }
    this.#files.delete(chunk);
    this.#files.set(chunk, held);
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= MAX_OPEN_LEDGER_FILES) break;
      void this.release(oldest);
    }
    return held;
  }

  /** Reads the positions table of a committed chunk, which must have as many entries as its name says. */
  async #loadOffsets(chunk: LedgerChunk): Promise<void> {
    const refuse = (why: string): never => {
      throw new FormatError(`Cannot read ledger file ${chunk.diskName}: ${why}`);
    };
    const count = chunk.last - chunk.first + 1;
    const { tableOffset, table } = await this.#withFile(chunk, async (file) => {
      const sizeBytes = await file.sizeBytes();
      const header = await file.read(0, CHUNK_HEADER_BYTES);
      if (header.length < CHUNK_HEADER_BYTES) refuse("it has no header");
      const tableOffset = parseTableOffset(header);
      if (tableOffset === 0) refuse("it is called committed but has no positions table");
      if (sizeBytes > MAX_CHUNK_BYTES || sizeBytes - tableOffset !== 4 * count) {
        refuse(`its ${sizeBytes} bytes do not hold a positions table of ${count} entries at byte ${tableOffset}`);
      }
      return { tableOffset, table: new Reader(await file.read(tableOffset, 4 * count)) };
    });
    const offsets: number[] = [];
    for (let i = 0; i < count; i++) {
      const offset = table.u32();
      const least = offsets.at(-1) ?? CHUNK_HEADER_BYTES - 1;
      if (offset <= least || offset >= tableOffset || (i === 0 && offset !== CHUNK_HEADER_BYTES)) {
        refuse(`its positions table puts entry ${i} at byte ${offset}`);
      }
      offsets.push(offset);
    }
    chunk.offsets = offsets;
    chunk.endOffset = tableOffset;
    this.retain(chunk);
  }
}

async function closeIfUnused(held: HeldFile): Promise<void> {
  if (!held.released || held.readers > 0) return;
  await held.file.then((file) => file.close(), () => undefined);
}

/** The last entry that ends by `endOffset`; `from` even if it does not. */
function lastThatFits(chunk: LedgerChunk, from: Seqno, to: Seqno, endOffset: number): Seqno {
  let fits = from;
  let tooMany = to;
  while (fits + 1 < tooMany) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (chunk.offsetOf(middle + 1) <= endOffset) fits = middle;
    else tooMany = middle;
  }
  return fits;
}

/** Bytes that are not entries must not leave as such. */
function checkLengths(bytes: Uint8Array, offsets: readonly number[], chunk: LedgerChunk): void {
  const start = offsets[0]!;
  offsets.forEach((offset, i) => {
    const end = offsets[i + 1] ?? start + bytes.length;
    if (entryBytes(bytes.subarray(offset - start, end - start)) === end - offset) return;
    throw new FormatError(
      `Cannot read ledger file ${chunk.diskName}: no entry ends at byte ${end}, as its positions say`,
    );
  });
}
