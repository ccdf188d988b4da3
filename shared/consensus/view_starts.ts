/**
 * In which view each entry of a log was written, signed or not.
 *
 * In: entries, as they are appended or dropped. Out: the view of a seqno, and where views start and end.
 * Knows nothing of signatures; the history that a snapshot carries is in shared/ledger/view_history.ts.
 * Source: consensus.md §5.
 */

import { assert } from "../assert.ts";
import { MAX_VIEWS } from "../limits.ts";
import type { Seqno, View } from "../tx_id.ts";

/** `[2, 4, 4, 10]`: view 1 is 2 to 3, view 2 has no entries, view 3 is 4 to 9, view 4 begins at 10. */
export class ViewStarts {
  #starts: Seqno[] = [];

  /** @param starts `starts[v - 1]` is the first seqno of view v; they do not decrease */
  constructor(starts: readonly Seqno[] = []) {
    for (const start of starts) this.update(start, this.#starts.length + 1);
  }

  /** `list[v - 1]` is the first seqno of view v. */
  get list(): readonly Seqno[] {
    return this.#starts;
  }

  /** The entry at `seqno` is of `view`. Views between the latest and this one start here too, and have no entries. */
  update(seqno: Seqno, view: View): void {
    assert(seqno >= (this.#starts.at(-1) ?? 0), "A view starts at or after the one before");
    assert(view <= MAX_VIEWS, "A view is one that elections can reach");
    while (this.#starts.length < view) this.#starts.push(seqno);
  }

  /** The view of a seqno; of several views that start there, the latest. 0 before the first. */
  viewAt(seqno: Seqno): View {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= seqno) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first seqno of a view; 0 where the view has no entries or is not known. */
  startOf(view: View): Seqno {
    const start = this.#starts[view - 1];
    return start === undefined || start === this.#starts[view] ? 0 : start;
  }

  /** The last seqno of a view; 0 where the view has no entries, or none comes after it yet. */
  endOf(view: View): Seqno {
    const next = this.#starts[view];
    return next === undefined || this.startOf(view) === 0 ? 0 : next - 1;
  }

  /** Forgets views that start after `seqno`. */
  rollback(seqno: Seqno): void {
    this.#starts.length = this.viewAt(seqno);
  }

  /** Starts of the views that have begun by `seqno`. */
  until(seqno: Seqno): Seqno[] {
    return this.#starts.slice(0, this.viewAt(seqno));
  }

  /** Starts of `view` and those after it. */
  since(view: View): Seqno[] {
    return this.#starts.slice(Math.max(view, 1) - 1);
  }
}
