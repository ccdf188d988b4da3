/**
 * Opens a ledger directory as it was left: by a clean stop, a kill, a full disk or a power cut.
 *
 * In: a main directory and read-only ones. Out: the chunks, oldest first, every one of them whole. Files that cannot be
 * part of the ledger are renamed out of the way, to `<name>.ignored`, and nothing but the rest of an interrupted write is
 * ever cut off: of a file that is damaged in another way the original is kept as `.ignored`.
 * Format: ledger-and-receipts.md §2.1
 */

import { join } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { equalBytes, Writer } from "../shared/bytes.ts";
import {
  CHUNK_HEADER_BYTES,
  type ChunkName,
  compareChunkNames,
  parseChunkName,
  serialisePositions,
  serialiseTableOffset,
} from "../shared/ledger/chunk.ts";
import { ENTRY_HEADER_BYTES, entryBytes, FORCE_CHUNK_AFTER } from "../shared/ledger/entry.ts";
import { LEDGER_SCAN_BYTES, MAX_IGNORED_COPIES, MAX_LEDGER_FILES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { LedgerChunk } from "./ledger_chunk.ts";
import type { LedgerFile, LedgerFileSystem } from "./ledger_file_system.ts";
import { StorageError, storageError } from "./storage_error.ts";

export interface OpenedDirectory {
  /** Ascending; neither first nor last seqnos go back from one to the next. */
  readonly chunks: LedgerChunk[];
  /** What was cut, renamed or left out, one sentence each, for the log. */
  readonly notices: readonly string[];
}

/**
 * Opens the main directory, which is made if it is not there, and the read-only ones.
 *
 * @throws StorageError where a directory cannot be read or the main one cannot be written
 */
export async function openLedgerDirectory(
  fileSystem: LedgerFileSystem,
  directory: string,
  readOnlyDirectories: readonly string[],
): Promise<OpenedDirectory> {
  const opening = new Opening(fileSystem, directory);
  try {
    await opening.readMain();
    const chunks = [...opening.committed];
    for (const other of readOnlyDirectories) chunks.push(...await listCommittedChunks(fileSystem, other));
    const kept = withoutOverlap(chunks);
    kept.push(...await opening.recoverOpenChunks(kept.at(-1)?.last ?? 0));
    return { chunks: kept, notices: opening.notices };
  } catch (error) {
    throw storageError(
      `open the ledger directory ${JSON.stringify(directory)}`,
      error,
      "choose another ledger.directory",
    );
  }
}

/** The committed chunks of a read-only directory; none where it does not exist. @throws StorageError */
export async function listCommittedChunks(fileSystem: LedgerFileSystem, directory: string): Promise<LedgerChunk[]> {
  const chunks: LedgerChunk[] = [];
  try {
    for (const name of await fileSystem.list(directory) ?? []) {
      const parsed = parseChunkName(name);
      if (parsed?.committed !== true || parsed.recovery || parsed.ignored) continue;
      if (chunks.length === MAX_LEDGER_FILES) throw new Error(`it has more than ${MAX_LEDGER_FILES} ledger files`);
      chunks.push(LedgerChunk.committed(directory, name, parsed.first, parsed.last!));
    }
  } catch (error) {
    throw storageError(`read the ledger directory ${JSON.stringify(directory)}`, error);
  }
  return chunks;
}

/** Sorted, without chunks all of whose entries are in an earlier one. Of two of the same entries the first given stays. */
export function withoutOverlap(chunks: readonly LedgerChunk[]): LedgerChunk[] {
  const sorted = [...chunks].sort((a, b) => a.first - b.first || b.last - a.last);
  const kept: LedgerChunk[] = [];
  for (const chunk of sorted) if (chunk.last > (kept.at(-1)?.last ?? 0)) kept.push(chunk);
  return kept;
}

/**
 * The first of these directories that has files in it, or undefined: a new service starts on empty ones.
 *
 * @throws StorageError
 */
export async function firstDirectoryInUse(
  fileSystem: LedgerFileSystem,
  directories: readonly string[],
): Promise<string | undefined> {
  for (const directory of directories) {
    try {
      if ((await fileSystem.list(directory) ?? []).length > 0) return directory;
    } catch (error) {
      throw storageError(`read the directory ${JSON.stringify(directory)}`, error);
    }
  }
  return undefined;
}

/** `<name>.ignored`, or with a number where there is such a file, which must not be lost. */
export function unusedIgnoredName(name: string, names: ReadonlySet<string>): string {
  if (!names.has(`${name}.ignored`)) return `${name}.ignored`;
  for (let copy = 2; copy <= MAX_IGNORED_COPIES; copy++) {
    if (!names.has(`${name}.${copy}.ignored`)) return `${name}.${copy}.ignored`;
  }
  throw new StorageError(`Cannot rename ${name}: there are ${MAX_IGNORED_COPIES} files like it; remove some of them`);
}

/** Entries of one file, as far as they are whole. */
interface ScannedFile {
  readonly offsets: number[];
  readonly endOffset: number;
  /** The positions table is there, and right. */
  readonly complete: boolean;
  /** Last entry's flags. */
  readonly lastFlags: number;
  /** Bytes behind the last whole entry: none, what an interrupted write leaves, or something that should not be there. */
  readonly tail: "none" | "interrupted" | "damaged";
}

class Opening {
  readonly notices: string[] = [];
  readonly committed: LedgerChunk[] = [];
  readonly #fileSystem: LedgerFileSystem;
  readonly #directory: string;
  readonly #names = new Set<string>();
  readonly #open: (ChunkName & { readonly name: string })[] = [];

  constructor(fileSystem: LedgerFileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
  }

  async readMain(): Promise<void> {
    await this.#fileSystem.makeDirectory(this.#directory);
    await this.#requireWritable();
    const names = await this.#fileSystem.list(this.#directory) ?? [];
    for (const name of names) this.#names.add(name);
    for (const name of names) {
      const parsed = parseChunkName(name);
      if (parsed === undefined || parsed.ignored) continue;
      if (this.committed.length + this.#open.length === MAX_LEDGER_FILES) {
        throw new Error(`it has more than ${MAX_LEDGER_FILES} ledger files`);
      }
      if (parsed.recovery) await this.#ignore(name, "it belongs to a recovery that was not finished");
      else if (parsed.committed) {
        this.committed.push(LedgerChunk.committed(this.#directory, name, parsed.first, parsed.last!));
      } else this.#open.push({ ...parsed, name });
    }
    this.#open.sort(compareChunkNames);
  }

  /** The chunks that go on after the committed ones, cut to whole entries; all but the last are complete. */
  async recoverOpenChunks(committedSeqno: Seqno): Promise<LedgerChunk[]> {
    const chunks: LedgerChunk[] = [];
    let before: LedgerChunk | undefined;
    for (const { name, first, last } of this.#open) {
      if (last !== undefined && last <= committedSeqno) {
        await this.#ignore(name, `its entries, up to ${last}, are in committed files`);
        continue;
      }
      const scanned = await this.#scan(name, first);
      if (scanned === undefined) continue;
      const scannedLast = first + scanned.offsets.length - 1;
      if (scannedLast <= committedSeqno) {
        await this.#ignore(name, `its entries, up to ${scannedLast}, are in committed files`);
      } else if (first <= committedSeqno) {
        await this.#ignore(name, `it begins with entry ${first}, and committed files go on to ${committedSeqno}`);
      } else if (before !== undefined && first !== before.last + 1) {
        await this.#ignore(name, `its first entry does not follow entry ${before.last}`);
      } else {
        // A file that another one follows was complete, whatever a power cut left of it.
        if (before !== undefined && !before.complete) await this.#complete(before);
        const diskName = await this.#cut(name, scanned);
        const chunk = LedgerChunk.found(this.#directory, diskName, first, scanned.offsets, scanned.endOffset);
        chunk.complete = scanned.complete;
        chunk.endsByFlag = (scanned.lastFlags & FORCE_CHUNK_AFTER) !== 0;
        chunks.push(chunk);
        before = chunk;
      }
    }
    // The primary decides where a chunk ends, and it decided so (ledger-and-receipts.md §2.3).
    if (before !== undefined && !before.complete && before.endsByFlag) {
      await this.#complete(before);
    }
    return chunks;
  }

  /** A directory that cannot be written is better known now than at the first entry. */
  async #requireWritable(): Promise<void> {
    const probe = join(this.#directory, ".writable");
    await this.#fileSystem.remove(probe).catch(() => undefined);
    const file = await this.#fileSystem.open(probe, "create");
    await file.close();
    await this.#fileSystem.remove(probe);
  }

  async #scan(name: string, first: Seqno): Promise<ScannedFile | undefined> {
    let scanned: ScannedFile;
    try {
      const file = await this.#fileSystem.open(join(this.#directory, name), "read");
      try {
        scanned = await scanFile(file, first);
      } finally {
        await file.close();
      }
    } catch (error) {
      await this.#ignore(name, `it cannot be read: ${storageError(`read ${name}`, error).message}`);
      return undefined;
    }
    if (scanned.offsets.length > 0) return scanned;
    await this.#ignore(name, "it has no whole entry");
    return undefined;
  }

  /** Cuts a file behind its last whole entry. @returns the name it has then */
  async #cut(name: string, scanned: ScannedFile): Promise<string> {
    if (scanned.tail === "none") return name;
    if (scanned.tail === "damaged") {
      const kept = await this.#ignore(name, "it is damaged; its whole entries are copied to a new file");
      await this.#copyStart(kept, name, scanned.endOffset);
      return name;
    }
    const file = await this.#fileSystem.open(join(this.#directory, name), "write");
    try {
      const sizeBytes = await file.sizeBytes();
      await file.write(0, serialiseTableOffset(0));
      await file.truncate(scanned.endOffset);
      await file.sync();
      this.notices.push(`Cut ${sizeBytes - scanned.endOffset} bytes of an interrupted write off ${name}`);
    } finally {
      await file.close();
    }
    return name;
  }

  async #copyStart(from: string, to: string, endOffset: number): Promise<void> {
    const source = await this.#fileSystem.open(join(this.#directory, from), "read");
    try {
      const target = await this.#fileSystem.open(join(this.#directory, to), "create");
      try {
        for (let at = CHUNK_HEADER_BYTES; at < endOffset; at += LEDGER_SCAN_BYTES) {
          await target.write(at, await source.read(at, Math.min(LEDGER_SCAN_BYTES, endOffset - at)));
        }
        await target.write(0, serialiseTableOffset(0));
        await target.sync();
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  async #complete(chunk: LedgerChunk): Promise<void> {
    const file = await this.#fileSystem.open(join(this.#directory, chunk.diskName!), "write");
    try {
      await file.write(chunk.endOffset, serialisePositions(chunk.offsets!));
      await file.sync();
      await file.write(0, serialiseTableOffset(chunk.endOffset));
      await file.sync();
    } finally {
      await file.close();
    }
    chunk.complete = true;
    this.notices.push(`Completed ${chunk.diskName}, which ends with entry ${chunk.last}`);
  }

  /** @returns the new name */
  async #ignore(name: string, why: string): Promise<string> {
    const ignored = unusedIgnoredName(name, this.#names);
    await this.#fileSystem.rename(join(this.#directory, name), join(this.#directory, ignored));
    this.#names.delete(name);
    this.#names.add(ignored);
    this.notices.push(`Renamed ${name} to ${ignored}: ${why}`);
    return ignored;
  }
}

async function scanFile(file: LedgerFile, first: Seqno): Promise<ScannedFile> {
  const sizeBytes = await file.sizeBytes();
  const window = new FileWindow(file);
  const offsets: number[] = [];
  let endOffset = CHUNK_HEADER_BYTES;
  let lastFlags = 0;
  for (;;) {
    const start = await window.bytes(endOffset, ENTRY_START_BYTES);
    const bytes = startOfEntry(start, first + offsets.length);
    if (bytes === undefined || endOffset + bytes > sizeBytes) break;
    lastFlags = start[1]!;
    offsets.push(endOffset);
    endOffset += bytes;
  }

  const tailBytes = Math.max(0, sizeBytes - endOffset);
  const table = serialisePositions(offsets);
  const header = await window.bytes(0, CHUNK_HEADER_BYTES);
  const result = { offsets, endOffset, lastFlags };
  if (tailBytes === 0 && isZero(header)) return { ...result, complete: false, tail: "none" };
  if (tailBytes <= table.length) {
    const tail = await window.bytes(endOffset, tailBytes);
    const complete = tailBytes === table.length && tailBytes > 0 && equalBytes(tail, table) &&
      equalBytes(header, serialiseTableOffset(endOffset));
    if (complete) return { ...result, complete, tail: "none" };
    // An interrupted completion leaves all or a part of the table, without its offset.
    if (equalBytes(tail, table.subarray(0, tailBytes))) return { ...result, complete: false, tail: "interrupted" };
  }
  const interrupted = await isInterrupted(window, endOffset, sizeBytes, first + offsets.length);
  return { ...result, complete: false, tail: interrupted ? "interrupted" : "damaged" };
}

/** Header, GCM tag and IV, and the length of the public domain (ledger-and-receipts.md §3). */
const ENTRY_START_BYTES = 44;

/** Bytes of the entry of that seqno that starts so, or undefined where no such entry starts. */
function startOfEntry(start: Uint8Array, seqno: Seqno): number | undefined {
  if (start.length < ENTRY_START_BYTES) return undefined;
  // The IV begins with the seqno.
  if (!equalBytes(start.subarray(24, 32), new Writer(8).u64(seqno).finish())) return undefined;
  const bytes = wholeEntryBytes(start);
  const publicBytes = littleEndian(start.subarray(36, 44));
  return bytes !== undefined && ENTRY_START_BYTES + publicBytes <= bytes ? bytes : undefined;
}

/**
 * Whether the bytes behind the last whole entry are the first ones of the next entry, as a kill leaves them, or zeros, as
 * a power cut does. They are not if the entry after the next is found in them: then a length has been damaged.
 */
async function isInterrupted(window: FileWindow, from: number, sizeBytes: number, next: Seqno): Promise<boolean> {
  const start = await window.bytes(from, ENTRY_START_BYTES);
  const header = start.subarray(0, ENTRY_HEADER_BYTES);
  if (header.length === ENTRY_HEADER_BYTES && wholeEntryBytes(header) === undefined) {
    return await restIsZero(window, from, sizeBytes);
  }
  if (start.length === ENTRY_START_BYTES && startOfEntry(start, next) === undefined) {
    return await restIsZero(window, from + ENTRY_HEADER_BYTES, sizeBytes);
  }
  for (let at = from; at < sizeBytes; at += LEDGER_SCAN_BYTES) {
    const block = await window.bytes(at, LEDGER_SCAN_BYTES + ENTRY_START_BYTES);
    for (let i = block.indexOf(1); i >= 0; i = block.indexOf(1, i + 1)) {
      if (startOfEntry(block.subarray(i, i + ENTRY_START_BYTES), next + 1) !== undefined) return false;
    }
  }
  return true;
}

function wholeEntryBytes(start: Uint8Array): number | undefined {
  try {
    return entryBytes(start);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** A u64 that may be any eight bytes; beyond 2^53 it is only about right, and far too much for a length. */
function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}

async function restIsZero(window: FileWindow, from: number, sizeBytes: number): Promise<boolean> {
  for (let at = from; at < sizeBytes; at += LEDGER_SCAN_BYTES) {
    if (!isZero(await window.bytes(at, Math.min(LEDGER_SCAN_BYTES, sizeBytes - at)))) return false;
  }
  return true;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Reads a file in large pieces although it is asked for small ones. */
class FileWindow {
  readonly #file: LedgerFile;
  #offset = 0;
  #bytes: Uint8Array = new Uint8Array();

  constructor(file: LedgerFile) {
    this.#file = file;
  }

  /** Fewer than `length` bytes only at the end of the file. */
  async bytes(offset: number, length: number): Promise<Uint8Array> {
    const from = offset - this.#offset;
    if (from < 0 || from + length > this.#bytes.length) {
      this.#offset = offset;
      this.#bytes = await this.#file.read(offset, Math.max(length, LEDGER_SCAN_BYTES));
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(from, from + length);
  }
}
