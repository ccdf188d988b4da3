/**
 * The ledger as files in a directory, as CCF lays them out: what auditors read, and the node's only lasting memory.
 *
 * In: entries, commits and rollbacks, in order. Out: ranges of entries. Changes are taken at once and reach the disk in the
 * background, in the same order; `flush` tells when. The bytes are already sealed: nothing here is secret, and nobody
 * trusts this disk.
 * Format: ledger-and-receipts.md §2
 */

import { assert, FormatError } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { CHUNK_HEADER_BYTES, serialisePositions } from "../shared/ledger/chunk.ts";
import { entryBytes, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../shared/ledger/entry.ts";
import {
  LEDGER_WRITE_BYTES,
  MAX_ENTRY_BYTES,
  MAX_LEDGER_READ_ATTEMPTS,
  MAX_UNWRITTEN_LEDGER_BYTES,
  READ_ONLY_RESCAN_INTERVAL_MS,
} from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { LedgerChunk } from "./ledger_chunk.ts";
import { listCommittedChunks, openLedgerDirectory, unusedIgnoredName, withoutOverlap } from "./ledger_directory.ts";
import { denoFileSystem, type LedgerFileSystem } from "./ledger_file_system.ts";
import { type ChunkRange, type LedgerRange, LedgerReader } from "./ledger_reader.ts";
import { LedgerWriter } from "./ledger_writer.ts";
import type { Durability } from "./node_config.ts";
import { isNotFound, StorageError, storageError } from "./storage_error.ts";

export interface LedgerFilesOptions {
  readonly directory: string;
  readonly readOnlyDirectories?: readonly string[];
  /**
   * When `flush` waits for the disk itself: never; where something was committed; always.
   * With `none` a kill loses nothing that was flushed, a power cut may.
   */
  readonly durability?: Durability;
  readonly fileSystem?: LedgerFileSystem;
  /** Bytes of entries that may wait in memory while the disk refuses them. */
  readonly maxUnwrittenBytes?: number;
  /** Told when writing begins to fail. It is tried again with the next committable entry, commit or flush. */
  readonly onFailure?: (error: StorageError) => void;
}

export class LedgerFiles {
  /** What opening the directory cut, renamed or left out, for the log. */
  readonly notices: readonly string[];
  readonly #directory: string;
  readonly #readOnlyDirectories: readonly string[];
  readonly #durability: Durability;
  readonly #fileSystem: LedgerFileSystem;
  readonly #maxUnwrittenBytes: number;
  readonly #writer: LedgerWriter;
  readonly #reader: LedgerReader;
  /** Ascending; the last may be open, those before are complete. */
  #chunks: LedgerChunk[];
  #lastSeqno: Seqno;
  #committedSeqno: Seqno;
  #recovering = false;
  #lastRescanMs = -Infinity;

  private constructor(options: LedgerFilesOptions, chunks: LedgerChunk[], notices: readonly string[]) {
    this.notices = notices;
    this.#directory = options.directory;
    this.#readOnlyDirectories = options.readOnlyDirectories ?? [];
    this.#durability = options.durability ?? "none";
    this.#fileSystem = options.fileSystem ?? denoFileSystem;
    this.#maxUnwrittenBytes = options.maxUnwrittenBytes ?? MAX_UNWRITTEN_LEDGER_BYTES;
    this.#writer = new LedgerWriter(this.#fileSystem, this.#durability, options.onFailure ?? (() => {}));
    this.#reader = new LedgerReader(this.#fileSystem);
    this.#chunks = chunks;
    this.#lastSeqno = chunks.at(-1)?.last ?? 0;
    this.#committedSeqno = chunks.findLast((chunk) => chunk.committed)?.last ?? 0;
  }

  /**
   * Opens the directories as they were left (see `ledger_directory.ts`), and goes on behind their last whole entry.
   *
   * @throws StorageError
   */
  static async open(options: LedgerFilesOptions): Promise<LedgerFiles> {
    const { directory, readOnlyDirectories = [], fileSystem = denoFileSystem } = options;
    const opened = await openLedgerDirectory(fileSystem, directory, readOnlyDirectories);
    return new LedgerFiles(options, opened.chunks, opened.notices);
  }

  /** Seqno of the last entry, 0 where there is none. */
  get lastSeqno(): Seqno {
    return this.#lastSeqno;
  }

  /** What `commit` was last told; after opening, where the files called committed end. 0 where there is none. */
  get committedSeqno(): Seqno {
    return this.#committedSeqno;
  }

  /** Seqno of the first entry that is here, undefined where there is none. */
  get firstSeqno(): Seqno | undefined {
    return this.#chunks[0]?.first;
  }

  /** Seqno of the first entry that is here from `seqno` on: a node that joined behind a snapshot may lack some before it. */
  firstSeqnoFrom(seqno: Seqno): Seqno | undefined {
    const chunk = this.#chunks.find(({ last }) => last >= seqno);
    return chunk === undefined ? undefined : Math.max(chunk.first, seqno);
  }

  /** Bytes of entries that wait in memory for the disk. */
  get unwrittenBytes(): number {
    return this.#writer.unwrittenBytes;
  }

  /**
   * Appends an entry, header included. A committable one is written at the end of this turn of the event loop, others
   * with it, or when enough of them have come together.
   *
   * @throws StorageError where the disk has failed for so long that the node cannot go on
   */
  append(seqno: Seqno, entry: Uint8Array, committable: boolean): void {
    assert(seqno === this.#lastSeqno + 1, "Entries are appended in order");
    assert(entryBytes(entry) === entry.length, "An entry's header says how long it is");
    this.#requireWorkingDisk();
    const flags = entry[1]!;
    let chunk = this.#openChunk();
    if (chunk !== undefined && ((flags & FORCE_CHUNK_BEFORE) !== 0 || !chunk.hasRoomFor(entry.length))) {
      this.#complete(chunk);
      chunk = undefined;
    }
    chunk ??= this.#begin(seqno);
    this.#writer.write(chunk, chunk.append(entry));
    this.#lastSeqno = seqno;
    if ((flags & FORCE_CHUNK_AFTER) !== 0) {
      chunk.endsByFlag = true;
      this.#complete(chunk);
    }
    if (committable || this.#durability === "always" || this.unwrittenBytes >= LEDGER_WRITE_BYTES) this.#writer.start();
  }

  /** Forgets all entries after `seqno`, none of which is committed. */
  truncate(seqno: Seqno): void {
    assert(seqno >= this.#committedSeqno, "Committed entries are never rolled back");
    if (seqno >= this.#lastSeqno) return;
    for (let chunk = this.#chunks.at(-1); chunk !== undefined && chunk.first > seqno; chunk = this.#chunks.at(-1)) {
      this.#chunks.pop();
      chunk.truncations += 1;
      this.#writer.add({ kind: "remove", chunk });
      void this.#reader.release(chunk);
    }
    const chunk = this.#chunks.at(-1);
    if (chunk !== undefined && !chunk.committed && (chunk.last > seqno || !chunk.endsByFlag)) {
      // Where a file ends follows from the entries alone: one that ended before a flag goes on if that entry is gone.
      if (chunk.last > seqno) chunk.truncate(seqno);
      else chunk.reopen();
      this.#writer.add({ kind: "cut", chunk, endOffset: chunk.endOffset });
    }
    this.#lastSeqno = seqno;
    this.#writer.start();
  }

  /** Everything up to `seqno` is committed: complete files that end there or before get their last names. */
  commit(seqno: Seqno): void {
    assert(seqno <= this.#lastSeqno, "Only entries that are here are committed");
    const afterCommitted = this.#chunks.findLastIndex((chunk) => chunk.committed) + 1;
    for (const chunk of this.#chunks.slice(afterCommitted)) {
      if (!chunk.complete || chunk.last > seqno) break;
      chunk.committed = true;
      this.#writer.add({ kind: "rename", chunk, name: chunk.name });
      this.#reader.retain(chunk);
    }
    this.#committedSeqno = Math.max(this.#committedSeqno, seqno);
    this.#writer.wantSync();
    this.#writer.start();
  }

  /**
   * Waits until everything so far is in the files, and on the disk as far as the durability asks for.
   *
   * @throws StorageError where a write fails; nothing is lost, and the next flush tries again
   */
  flush(): Promise<void> {
    return this.#writer.flush();
  }

  /**
   * The entries from `from` to `to`, or the first of them that make `maxBytes` and at least one.
   *
   * @returns undefined where the first of them is not here
   * @throws FormatError where a file is damaged, StorageError where one cannot be read
   */
  async read(from: Seqno, to: Seqno, maxBytes: number = MAX_ENTRY_BYTES): Promise<LedgerRange | undefined> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    let next = from;
    while (next <= to && (next === from || bytes < maxBytes)) {
      const part = await this.readInChunk(next, to, maxBytes - bytes);
      if (part === undefined) break;
      if (parts.length > 0 && bytes + part.bytes.length > maxBytes) break;
      parts.push(part.bytes);
      bytes += part.bytes.length;
      next = part.to + 1;
    }
    if (parts.length === 0) return undefined;
    return { from, to: next - 1, bytes: parts.length === 1 ? parts[0]! : concat(...parts) };
  }

  /** As `read`, but ends with the file that holds `from`, and says where its entries lie. */
  async readInChunk(from: Seqno, to: Seqno, maxBytes: number): Promise<ChunkRange | undefined> {
    assert(from >= 1 && from <= to, "A range goes forward from 1");
    for (let attempt = 0; attempt < MAX_LEDGER_READ_ATTEMPTS; attempt++) {
      const chunk = this.#chunkOf(from);
      if (chunk === undefined) {
        if (!await this.#rescan()) return undefined;
        continue;
      }
      const diskName = chunk.diskName;
      try {
        const range = await this.#reader.read(chunk, from, to, maxBytes);
        if (range !== undefined) return range;
      } catch (error) {
        if (error instanceof FormatError) throw error;
        if (!isNotFound(error)) throw storageError(`read the ledger file ${JSON.stringify(diskName)}`, error);
        if (chunk.diskName !== chunk.name) {
          // It is being renamed at this moment, and the new name is known once that is over.
          await this.flush().catch(() => undefined);
        } else if (chunk.diskName === diskName && chunk.committed) {
          // An operator has moved it, as they may do with committed files, to a read-only directory.
          this.#chunks = this.#chunks.filter((other) => other !== chunk);
          this.#lastRescanMs = -Infinity;
        }
      }
    }
    return undefined;
  }

  /**
   * A joining node starts from a snapshot at `seqno` and gets everything after it from the primary. What the directory has
   * beyond, or not yet committed, is renamed out of the way: it may be the tail of another history.
   *
   * @throws StorageError
   */
  async startAfterSnapshot(seqno: Seqno): Promise<void> {
    await this.flush();
    const names = new Set(await this.#fileSystem.list(this.#directory));
    const kept: LedgerChunk[] = [];
    for (const chunk of this.#chunks) {
      if (chunk.committed && chunk.last <= seqno) kept.push(chunk);
      else if (chunk.directory === this.#directory) {
        // Nothing will be appended to it, so that its file need not stay open.
        chunk.complete = true;
        this.#writer.add({ kind: "rename", chunk, name: unusedIgnoredName(chunk.diskName ?? chunk.name, names) });
        await this.#reader.release(chunk);
      }
    }
    this.#chunks = kept;
    this.#lastSeqno = seqno;
    this.#committedSeqno = seqno;
    await this.flush();
  }

  /** From here on new files are named as those of a recovery that is not finished yet. */
  beginRecovery(): void {
    this.#recovering = true;
  }

  /** The recovered service is open: its files get their proper names. */
  completeRecovery(): void {
    this.#recovering = false;
    for (const chunk of this.#chunks) {
      if (!chunk.recovery) continue;
      chunk.recovery = false;
      this.#writer.add({ kind: "rename", chunk, name: chunk.name });
    }
    this.#writer.start();
  }

  /** Writes what is left and lets go of all files. @throws StorageError where that fails */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#reader.close();
      await this.#writer.close();
    }
  }

  #openChunk(): LedgerChunk | undefined {
    const last = this.#chunks.at(-1);
    return last === undefined || last.complete || last.last !== this.#lastSeqno ? undefined : last;
  }

  #begin(seqno: Seqno): LedgerChunk {
    const chunk = LedgerChunk.begin(this.#directory, seqno, this.#recovering);
    this.#chunks.push(chunk);
    this.#writer.add({ kind: "create", chunk, name: chunk.name });
    const header = { offset: 0, bytes: new Uint8Array(CHUNK_HEADER_BYTES), written: false };
    chunk.unwritten.push(header);
    this.#writer.write(chunk, header);
    return chunk;
  }

  #complete(chunk: LedgerChunk): void {
    assert(!chunk.empty && chunk.offsets !== undefined, "A chunk that is complete has entries");
    chunk.complete = true;
    const table = serialisePositions(chunk.offsets);
    this.#writer.add({ kind: "complete", chunk, tableOffset: chunk.endOffset, table });
  }

  #requireWorkingDisk(): void {
    if (this.#writer.broken !== undefined) throw this.#writer.broken;
    if (this.unwrittenBytes <= this.#maxUnwrittenBytes) return;
    throw new StorageError(
      `Cannot append to the ledger: ${this.unwrittenBytes} bytes wait to be written. ` +
        (this.#writer.failure?.message ?? "The disk is too slow for this load; use a faster one"),
    );
  }

  #chunkOf(seqno: Seqno): LedgerChunk | undefined {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#chunks[middle]!.first <= seqno) low = middle + 1;
      else high = middle;
    }
    const chunk = this.#chunks[low - 1];
    return chunk !== undefined && seqno <= chunk.last ? chunk : undefined;
  }

  /** Looks for new files in the read-only directories. @returns whether it did */
  async #rescan(): Promise<boolean> {
    const nowMs = performance.now();
    if (this.#readOnlyDirectories.length === 0 || nowMs - this.#lastRescanMs < READ_ONLY_RESCAN_INTERVAL_MS) {
      return false;
    }
    this.#lastRescanMs = nowMs;
    const found: LedgerChunk[] = [];
    for (const directory of this.#readOnlyDirectories) {
      found.push(...await listCommittedChunks(this.#fileSystem, directory));
    }
    // What goes beyond the files we write is not ours to believe: the node has replaced it, or will.
    const older = found.filter((chunk) => chunk.last <= this.#committedSeqno);
    this.#chunks = withoutOverlap([...this.#chunks, ...older]);
    return true;
  }
}
