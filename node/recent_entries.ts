/**
 * The ledger's last entries, in memory: what other nodes miss is mostly here, and no file need be read for it.
 *
 * In: entries as they are appended and rolled back. Out: a range of them back to back, or nothing where it is not all here.
 * They lie in blocks that are filled once and never written again, so that a range can be a view, and the oldest block
 * goes as a whole. Copied, since an entry from the enclave is a view of a buffer with more in it.
 */

import { assert } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { RECENT_ENTRIES_BLOCK_BYTES, RECENT_ENTRIES_BYTES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";

/** Entries from `first` on: the i-th lies before `ends[i]`, behind the one before. */
interface Block {
  readonly first: Seqno;
  readonly bytes: Uint8Array;
  readonly ends: number[];
  /** Nothing is added any more: what follows here may have been rolled back while somebody holds a view of it. */
  isSealed: boolean;
}

export class RecentEntries {
  readonly #maxBytes: number;
  readonly #blockBytes: number;
  /** Oldest first, none of them empty; each begins where the one before ends. */
  #blocks: Block[] = [];
  #heldBytes = 0;

  constructor(maxBytes: number = RECENT_ENTRIES_BYTES, blockBytes: number = RECENT_ENTRIES_BLOCK_BYTES) {
    this.#maxBytes = maxBytes;
    this.#blockBytes = blockBytes;
  }

  /** Adds the entry that follows the last one. */
  append(seqno: Seqno, entry: Uint8Array): void {
    let block = this.#blocks.at(-1);
    assert(block === undefined || seqno === block.first + block.ends.length, "Entries are appended in order");
    if (block === undefined || block.isSealed || endOf(block) + entry.length > block.bytes.length) {
      const bytes = new Uint8Array(Math.max(this.#blockBytes, entry.length));
      block = { first: seqno, bytes, ends: [], isSealed: false };
      this.#blocks.push(block);
      this.#heldBytes += bytes.length;
      while (this.#heldBytes > this.#maxBytes && this.#blocks.length > 1) {
        this.#heldBytes -= this.#blocks.shift()!.bytes.length;
      }
    }
    const at = endOf(block);
    block.bytes.set(entry, at);
    block.ends.push(at + entry.length);
  }

  /** Forgets all entries after `seqno`. */
  truncate(seqno: Seqno): void {
    for (let block = this.#blocks.at(-1); block !== undefined; block = this.#blocks.at(-1)) {
      const kept = seqno - block.first + 1;
      if (kept >= block.ends.length) return;
      block.isSealed = true;
      if (kept > 0) {
        block.ends.length = kept;
        return;
      }
      this.#blocks.pop();
      this.#heldBytes -= block.bytes.length;
    }
  }

  /**
   * The entries from `from` to `to`. Not to be written to.
   *
   * @returns undefined where one of them is not here: too old, or not there yet
   */
  range(from: Seqno, to: Seqno): Uint8Array | undefined {
    assert(from <= to, "A range goes forward");
    const parts: Uint8Array[] = [];
    let next = from;
    const firstBlock = this.#blocks.findLastIndex((block) => block.first <= from);
    if (firstBlock === -1) return undefined;
    for (const block of this.#blocks.slice(firstBlock)) {
      const start = next === block.first ? 0 : block.ends[next - block.first - 1];
      const last = Math.min(to, block.first + block.ends.length - 1);
      if (start === undefined || last < next) return undefined;
      parts.push(block.bytes.subarray(start, block.ends[last - block.first]));
      if (last === to) return parts.length === 1 ? parts[0] : concat(...parts);
      next = last + 1;
    }
    return undefined;
  }
}

function endOf(block: Block): number {
  return block.ends.at(-1) ?? 0;
}
