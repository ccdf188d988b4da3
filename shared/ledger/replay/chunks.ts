/**
 * Checks where ledger files begin and end: names, positions of signatures, and the flags by which a primary says so.
 *
 * Rules: ledger-and-receipts.md §2.2, §2.3
 */

import { assert, FormatError } from "../../assert.ts";
import type { Seqno } from "../../tx_id.ts";
import { type ChunkEnd, type ChunkName, formatChunkName } from "../chunk.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../entry.ts";
import type { ReplayState } from "./state.ts";

export class ChunkChecks {
  readonly #state: ReplayState;
  #chunk: ChunkName | undefined;
  #previous: { readonly name: ChunkName; readonly end: ChunkEnd } | undefined;
  #entries = 0;
  #lastFlags = 0;
  #lastIsSignature = false;

  constructor(state: ReplayState) {
    this.#state = state;
  }

  /** A file begins. @param next the seqno that is due */
  start(name: ChunkName, next: Seqno): void {
    assert(this.#chunk === undefined, "Files are read one after the other");
    if (name.first !== next) {
      throw new FormatError(`File ${formatChunkName(name)} does not follow: the next transaction is ${next}`);
    }
    const previous = this.#previous;
    if (previous !== undefined && previous.end.incompleteBytes > 0) {
      throw new FormatError(`File ${formatChunkName(previous.name)} ends within an entry, and another file follows it`);
    }
    if (previous !== undefined && !previous.end.complete) {
      const [open, next] = [formatChunkName(previous.name), formatChunkName(name)];
      this.#state.tolerate("open chunk before others", `File ${open} was never completed, and ${next} follows it`);
    }
    this.#chunk = name;
    this.#entries = 0;
  }

  /** An entry that was accepted. */
  add(flags: number, isSignature: boolean): void {
    if (this.#chunk === undefined) return;
    if (this.#entries === 0) {
      const flagged = (this.#lastFlags & FORCE_CHUNK_AFTER) !== 0 || (flags & FORCE_CHUNK_BEFORE) !== 0;
      if (this.#previous?.end.complete && !flagged) {
        const reason = `File ${formatChunkName(this.#previous.name)} ends where no entry says so`;
        this.#state.tolerate("chunk boundary without a flag", reason);
      }
    } else if ((this.#lastFlags & FORCE_CHUNK_AFTER) !== 0 || (flags & FORCE_CHUNK_BEFORE) !== 0) {
      const reason = `File ${formatChunkName(this.#chunk)} goes on where an entry says it ends`;
      this.#state.tolerate("chunk flag out of place", reason);
    }
    this.#entries++;
    this.#lastFlags = flags;
    this.#lastIsSignature = isSignature;
  }

  /** The file has been read to its end. */
  end(end: ChunkEnd): void {
    assert(this.#chunk !== undefined, "A file that ends has begun");
    const name = this.#chunk;
    const text = formatChunkName(name);
    if (name.committed && !end.complete) throw new FormatError(`File ${text} is committed, and not complete`);
    if (name.last !== undefined && end.entries !== name.last - name.first + 1) {
      throw new FormatError(`File ${text} has ${end.entries} entries, not ${name.last - name.first + 1}`);
    }
    if (end.complete && !this.#lastIsSignature) throw new FormatError(`File ${text} does not end with a signature`);
    if (!end.complete && this.#entries > 0 && (this.#lastFlags & FORCE_CHUNK_AFTER) !== 0) {
      this.#state.warn(`File ${text} is not complete, and its last entry says that it ends`);
    }
    this.#previous = { name, end };
    this.#chunk = undefined;
  }

  /** No file follows. */
  finish(): void {
    if (this.#previous?.end.complete && (this.#lastFlags & FORCE_CHUNK_AFTER) === 0) {
      const reason = `File ${formatChunkName(this.#previous.name)} ends where no entry says so`;
      this.#state.tolerate("chunk boundary without a flag", reason);
    }
    const { name, end } = this.#previous ?? {};
    if (name !== undefined && end !== undefined && end.incompleteBytes > 0) {
      this.#state.warn(`File ${formatChunkName(name)} ends with ${end.incompleteBytes} bytes that are no whole entry`);
    }
  }
}
