/**
 * How often something may be done that takes time and that anybody can ask for.
 *
 * In: the time, by a steady clock. Out: whether it may be done now. Knows nothing of what it is.
 */

import { assert } from "../shared/assert.ts";

/** So many a second, and as many at once. */
export class Budget {
  readonly #perSecond: number;
  #left: number;
  #sinceMs = -Infinity;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  has(nowMs: number): boolean {
    // A clock that was set back adds nothing.
    const elapsedMs = Math.max(0, nowMs - this.#sinceMs);
    this.#left = Math.min(this.#perSecond, this.#left + elapsedMs * this.#perSecond / 1000);
    this.#sinceMs = nowMs;
    return this.#left >= 1;
  }

  take(): void {
    assert(this.#left >= 1, "What is taken is there");
    this.#left -= 1;
  }
}
