/**
 * View history: the first seqno of every view.
 *
 * In: signatures, in order, or the bytes in a snapshot. Out: the view of a seqno, and those bytes.
 * Format: ledger-and-receipts.md §1, §9.2
 */

import { assert, FormatError } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import { MAX_VIEWS } from "../limits.ts";
import type { Seqno, TxId, View } from "../tx_id.ts";

/**
 * A view begins right after the last signature of an earlier one. Views that signed nothing begin where the next one
 * does, so a service that was recovered twice has [1, 1, 36, 36, 66, 66].
 */
export class ViewHistory {
  readonly #starts: Seqno[];
  #lastSigned: Seqno;

  /**
   * @param starts `starts[v - 1]` is the first seqno of view v
   * @param lastSigned the last signature that this history knows of, 0 if there is none
   */
  constructor(starts: readonly Seqno[] = [], lastSigned: Seqno = 0) {
    this.#starts = [...starts];
    this.#lastSigned = lastSigned;
  }

  /** `starts[v - 1]` is the first seqno of view v. */
  get starts(): readonly Seqno[] {
    return this.#starts;
  }

  /** The newest view that signed, 0 if none did. */
  get view(): View {
    return this.#starts.length;
  }

  /**
   * Takes note of a signature.
   *
   * @throws FormatError where its view is beyond any that elections can reach
   */
  addSignature(id: TxId): void {
    assert(id.seqno > this.#lastSigned, "Signatures are added in order");
    if (id.view > MAX_VIEWS) {
      throw new FormatError(`Cannot follow the ledger into view ${id.view}: at most ${MAX_VIEWS}`);
    }
    while (this.#starts.length < id.view) this.#starts.push(this.#lastSigned + 1);
    this.#lastSigned = id.seqno;
  }

  /** The view in which `seqno` was written, as far as signatures tell; undefined before the first. */
  viewOf(seqno: Seqno): View | undefined {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= seqno) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : low;
  }
}

/** u64 for each view, without a count. @throws FormatError */
export function parseViewStarts(bytes: Uint8Array): Seqno[] {
  if (bytes.length > 8 * MAX_VIEWS) throw new FormatError(`Cannot read a view history of ${bytes.length} bytes`);
  const reader = new Reader(bytes);
  const starts: Seqno[] = [];
  while (!reader.done) {
    const start = reader.u64();
    const previous = starts.at(-1) ?? 1;
    if (start < previous) {
      throw new FormatError(
        `Cannot read a view history: view ${starts.length + 1} starts at ${start}, before ${previous}`,
      );
    }
    starts.push(start);
  }
  return starts;
}

export function serialiseViewStarts(starts: readonly Seqno[]): Uint8Array {
  const out = new Writer(8 * starts.length);
  for (const start of starts) out.u64(start);
  return out.finish();
}
