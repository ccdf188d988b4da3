/**
 * Ledger files ("chunks"): their names, and how entries lie in them.
 *
 * In: names, and bytes in blocks of any size. Out: entries with their offsets, positions tables.
 * Knows nothing of what is inside an entry, nor of files: names and bytes only.
 * Format: ledger-and-receipts.md §2
 */

import { assert, FormatError } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import { MAX_CHUNK_BYTES, MAX_SEQNO } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import { ENTRY_HEADER_BYTES, entryBytes } from "./entry.ts";

/** `ledger_<first>`, `ledger_<first>-<last>.committed`, either with `.recovery` or `.ignored` or both behind it. */
export interface ChunkName {
  readonly first: Seqno;
  readonly last: Seqno | undefined;
  /** Complete, and every entry of it committed. */
  readonly committed: boolean;
  /** Written while a recovery is going on; the suffix goes away when the service opens. */
  readonly recovery: boolean;
  /** Left over, and renamed out of the way by a node. */
  readonly ignored: boolean;
}

/** What a file's name says, or undefined where it is not the name of a ledger file. */
export function parseChunkName(name: string): ChunkName | undefined {
  const match = /^ledger_([1-9][0-9]*)(?:-([1-9][0-9]*))?(\.committed)?(\.recovery)?(\.ignored)?$/.exec(name);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? undefined : Number(match[2]);
  const committed = match[3] !== undefined;
  if (first > MAX_SEQNO || (last ?? first) > MAX_SEQNO || (last ?? first) < first) return undefined;
  if (committed && last === undefined) return undefined;
  return { first, last, committed, recovery: match[4] !== undefined, ignored: match[5] !== undefined };
}

export function formatChunkName(name: ChunkName): string {
  assert(!name.committed || name.last !== undefined, "A committed chunk names its last seqno");
  return `ledger_${name.first}${name.last === undefined ? "" : `-${name.last}`}` +
    `${name.committed ? ".committed" : ""}${name.recovery ? ".recovery" : ""}${name.ignored ? ".ignored" : ""}`;
}

/** Order of reading: by first seqno, then the committed one, the longer one, the one that is no recovery's. */
export function compareChunkNames(a: ChunkName, b: ChunkName): number {
  return a.first - b.first || Number(b.committed) - Number(a.committed) || (b.last ?? 0) - (a.last ?? 0) ||
    Number(a.recovery) - Number(b.recovery) || Number(a.ignored) - Number(b.ignored);
}

/** Bytes before the first entry: the offset of the positions table, 0 while the chunk is open. */
export const CHUNK_HEADER_BYTES = 8;

/** One entry, where it lies. `bytes` may be a view into the block that was fed. */
export interface ChunkEntry {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** How a chunk ended. */
export interface ChunkEnd {
  /** Whether it has a positions table; an open chunk has none. */
  readonly complete: boolean;
  readonly entries: number;
  /** Where the last whole entry ends: an open chunk goes on, and a broken one is cut, here. */
  readonly endOffset: number;
  /** Bytes behind it that are not a whole entry, as an interrupted write leaves them; 0 in a complete chunk. */
  readonly incompleteBytes: number;
}

/**
 * Takes a chunk apart as its bytes arrive, holding no more of it than one entry and the offsets.
 *
 *     const scanner = new ChunkScanner();
 *     for (const block of blocks) for (const entry of scanner.feed(block)) …
 *     const end = scanner.end();
 *
 *     offset 0             u64       offset of the positions table, 0 while the chunk is open
 *     offset 8             entries   back to back
 *     offset of the table  u32 × n   offset of each entry, the first is 8
 */
export class ChunkScanner {
  /** Undefined until the header has been read; 0 in an open chunk. */
  #tableOffset: number | undefined;
  readonly #offsets: number[] = [];
  /** Where the next item starts: the header, an entry, the positions table, or the end. */
  #offset = 0;
  /** First bytes of that item, while the rest of them has not arrived. */
  #pending = new Writer(0);

  /**
   * The entries that are whole once `block` has arrived. Iterate to the end before feeding the next block.
   *
   * @throws FormatError
   */
  *feed(block: Uint8Array): Generator<ChunkEntry> {
    let rest = block;
    while (rest.length > 0) {
      const known = this.#pending.length > 0 ? this.#pending.finish() : rest;
      const needed = this.#itemBytes(known);
      let item: Uint8Array;
      if (this.#pending.length === 0 && needed <= rest.length) {
        item = rest.subarray(0, needed);
        rest = rest.subarray(needed);
      } else {
        const more = rest.subarray(0, needed - this.#pending.length);
        this.#pending.bytes(more);
        rest = rest.subarray(more.length);
        // The first bytes of an entry tell how many there are, so that this may come round once more.
        if (this.#pending.length < needed || this.#pending.length < this.#itemBytes(this.#pending.finish())) continue;
        item = this.#pending.finish();
        this.#pending = new Writer(0);
      }
      const entry = this.#take(item);
      if (entry !== undefined) yield entry;
    }
  }

  /**
   * Call when all bytes have been fed.
   *
   * @throws FormatError where a complete chunk is cut short
   */
  end(): ChunkEnd {
    const tableOffset = this.#tableOffset ?? 0;
    const entries = this.#offsets.length;
    if (tableOffset === 0) {
      return { complete: false, entries, endOffset: this.#offset, incompleteBytes: this.#pending.length };
    }
    if (entries === 0 || this.#offset !== tableOffset + 4 * entries) {
      const bytes = this.#offset + this.#pending.length;
      throw new FormatError(`Cannot read a complete chunk: it ends after ${bytes} bytes and ${entries} whole entries`);
    }
    return { complete: true, entries, endOffset: tableOffset, incompleteBytes: 0 };
  }

  /** Bytes of the item whose first bytes are `known`; if these are too few to tell, as many as it takes to tell. */
  #itemBytes(known: Uint8Array): number {
    const tableOffset = this.#tableOffset;
    if (tableOffset === undefined) return CHUNK_HEADER_BYTES;
    if (tableOffset !== 0 && this.#offset > tableOffset) {
      throw new FormatError(`Cannot read a chunk: bytes follow its positions table at byte ${tableOffset}`);
    }
    if (tableOffset !== 0 && this.#offset === tableOffset) return 4 * this.#offsets.length;
    const needed = known.length < ENTRY_HEADER_BYTES ? ENTRY_HEADER_BYTES : entryBytes(known);
    if (tableOffset !== 0 && this.#offset + needed > tableOffset) {
      throw new FormatError(
        `Cannot read the entry at byte ${this.#offset}: it reaches into the positions table at byte ${tableOffset}`,
      );
    }
    return needed;
  }

  #take(item: Uint8Array): ChunkEntry | undefined {
    const offset = this.#offset;
    this.#offset += item.length;
    if (this.#tableOffset === undefined) {
      this.#tableOffset = parseTableOffset(item);
      return undefined;
    }
    if (offset === this.#tableOffset) {
      checkPositions(item, this.#offsets);
      return undefined;
    }
    if (this.#offset > MAX_CHUNK_BYTES) {
      throw new FormatError(`Cannot read the entry at byte ${offset}: a chunk ends below 4 GiB`);
    }
    this.#offsets.push(offset);
    return { offset, bytes: item };
  }
}

/** A whole chunk, taken apart. @throws FormatError */
export function parseChunk(bytes: Uint8Array): ChunkEnd & { readonly content: readonly ChunkEntry[] } {
  const scanner = new ChunkScanner();
  const content = [...scanner.feed(bytes)];
  return { ...scanner.end(), content };
}

/** The bytes of a chunk: open, or complete with its positions table. */
export function serialiseChunk(entries: readonly Uint8Array[], complete: boolean): Uint8Array {
  const out = new Writer(CHUNK_HEADER_BYTES + entries.reduce((sum, entry) => sum + entry.length + 4, 0));
  const offsets: number[] = [];
  out.u64(0);
  for (const entry of entries) {
    offsets.push(out.length);
    out.bytes(entry);
  }
  if (!complete) return out.finish();
  const tableOffset = out.length;
  out.bytes(serialisePositions(offsets));
  const bytes = out.finish();
  bytes.set(serialiseTableOffset(tableOffset));
  return bytes;
}

/** The positions table of a chunk whose entries start at these offsets. */
export function serialisePositions(offsets: readonly number[]): Uint8Array {
  const out = new Writer(4 * offsets.length);
  for (const offset of offsets) {
    assert(offset >= CHUNK_HEADER_BYTES && offset <= MAX_CHUNK_BYTES, "An entry starts within the 4 GiB of its chunk");
    out.u32(offset);
  }
  return out.finish();
}

/** The first bytes of a chunk. They are written last, when the positions table is already there. */
export function serialiseTableOffset(tableOffset: number): Uint8Array {
  assert(tableOffset <= MAX_CHUNK_BYTES, "A positions table starts within the 4 GiB of its chunk");
  return new Writer(CHUNK_HEADER_BYTES).u64(tableOffset).finish();
}

/** Offset of the positions table, 0 for an open chunk. @throws FormatError */
export function parseTableOffset(header: Uint8Array): number {
  const tableOffset = new Reader(header).u64();
  if (tableOffset !== 0 && (tableOffset <= CHUNK_HEADER_BYTES || tableOffset > MAX_CHUNK_BYTES)) {
    throw new FormatError(`Cannot read a chunk: its positions table cannot start at byte ${tableOffset}`);
  }
  return tableOffset;
}

function checkPositions(table: Uint8Array, offsets: readonly number[]): void {
  const reader = new Reader(table);
  offsets.forEach((offset, i) => {
    const stated = reader.u32();
    if (stated === offset) return;
    throw new FormatError(`Cannot read the positions table of a chunk: entry ${i} is at byte ${offset}, not ${stated}`);
  });
}
