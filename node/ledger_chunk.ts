/**
 * One ledger file as the node thinks of it. The file itself lags behind while writes are on their way.
 *
 * Plain data with the few changes an open chunk goes through; knows nothing of the disk.
 * Format: ledger-and-receipts.md §2
 */

import { assert } from "../shared/assert.ts";
import { CHUNK_HEADER_BYTES, formatChunkName } from "../shared/ledger/chunk.ts";
import { MAX_CHUNK_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";

/** Bytes of a chunk that are not yet in its file. */
export interface UnwrittenPart {
  readonly offset: number;
  readonly bytes: Uint8Array;
  written: boolean;
}

export class LedgerChunk {
  readonly directory: string;
  readonly first: Seqno;
  /** Its name on the disk at this moment; undefined before the file exists and after it is removed. */
  diskName: string | undefined;
  /** Has a positions table: nothing is appended any more. */
  complete = false;
  /** Its last entry says that the chunk ends behind it, so that it stays complete when what follows is rolled back. */
  endsByFlag = false;
  /** Every entry is committed: never changed again. */
  committed = false;
  /** Begun while a recovery goes on. */
  recovery = false;
  /** Where each entry starts. Undefined while they have not been read from a committed file. */
  offsets: number[] | undefined;
  /** Where the last entry ends. Unknown (0) as long as the offsets are. */
  endOffset = 0;
  /** In order of offset; what comes before the first of them is in the file. */
  unwritten: UnwrittenPart[] = [];
  /** Counts the times that entries were taken off: what was read across one is to be read again. */
  truncations = 0;
  #last: Seqno;

  private constructor(directory: string, first: Seqno, last: Seqno) {
    this.directory = directory;
    this.first = first;
    this.#last = last;
  }

  /** A chunk that is about to be written. Its header is the first thing to write. */
  static begin(directory: string, first: Seqno, recovery: boolean): LedgerChunk {
    const chunk = new LedgerChunk(directory, first, first - 1);
    chunk.recovery = recovery;
    chunk.offsets = [];
    chunk.endOffset = CHUNK_HEADER_BYTES;
    return chunk;
  }

  /** A chunk found on the disk whose entries are known. */
  static found(directory: string, diskName: string, first: Seqno, offsets: number[], endOffset: number): LedgerChunk {
    const chunk = new LedgerChunk(directory, first, first + offsets.length - 1);
    chunk.diskName = diskName;
    chunk.offsets = offsets;
    chunk.endOffset = endOffset;
    return chunk;
  }

  /** A committed chunk, known only by its name. */
  static committed(directory: string, diskName: string, first: Seqno, last: Seqno): LedgerChunk {
    const chunk = new LedgerChunk(directory, first, last);
    chunk.diskName = diskName;
    chunk.complete = true;
    chunk.committed = true;
    return chunk;
  }

  /** The last seqno; one less than the first in a chunk without entries. */
  get last(): Seqno {
    return this.#last;
  }

  get empty(): boolean {
    return this.#last < this.first;
  }

  /** The name it should have. */
  get name(): string {
    return formatChunkName({
      first: this.first,
      last: this.committed ? this.last : undefined,
      committed: this.committed,
      recovery: this.recovery,
      ignored: false,
    });
  }

  /** Whether another entry and its place in the positions table fit below 4 GiB. */
  hasRoomFor(entryBytes: number): boolean {
    return this.endOffset + entryBytes + 4 * (this.last - this.first + 2) <= MAX_CHUNK_BYTES;
  }

  /** Adds an entry behind the last one. */
  append(entry: Uint8Array): UnwrittenPart {
    assert(!this.complete && this.offsets !== undefined, "Entries are appended to open chunks");
    const part = { offset: this.endOffset, bytes: entry, written: false };
    this.offsets.push(this.endOffset);
    this.endOffset += entry.length;
    this.#last += 1;
    this.unwritten.push(part);
    return part;
  }

  /** Takes off the entries after `seqno`, and opens the chunk again. */
  truncate(seqno: Seqno): void {
    assert(!this.committed, "A committed chunk is never cut");
    assert(seqno >= this.first && seqno < this.last && this.offsets !== undefined, "A cut is within the chunk");
    this.endOffset = this.offsetOf(seqno + 1);
    this.offsets.length = seqno + 1 - this.first;
    this.#last = seqno;
    this.reopen();
    this.truncations += 1;
    this.unwritten = this.unwritten.filter((part) => part.offset < this.endOffset);
  }

  /** The chunk goes on after all. */
  reopen(): void {
    assert(!this.committed, "A committed chunk is never opened again");
    this.complete = false;
    this.endsByFlag = false;
  }

  /** Where an entry starts; for the one after the last, where the last ends. */
  offsetOf(seqno: Seqno): number {
    assert(this.offsets !== undefined, "The offsets of a chunk are known before they are used");
    if (seqno === this.last + 1) return this.endOffset;
    const offset = this.offsets[seqno - this.first];
    assert(offset !== undefined, "An entry of a chunk is between its first and its last");
    return offset;
  }

  /** To be called once parts are marked as written. */
  forgetWritten(): void {
    let count = 0;
    while (this.unwritten[count]?.written === true) count++;
    if (count > 0) this.unwritten.splice(0, count);
  }
}
