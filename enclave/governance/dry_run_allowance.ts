/**
 * How much members may try proposals out: so often, and for so long, each of them and all together.
 *
 * In: who tries, when, and how long it took. Out: nothing, or a refusal that says when to come again. Scripts hold up
 * everybody else while they run, so it is time that counts.
 */

import {
  DRY_RUN_WINDOW_MS,
  MAX_DRY_RUN_MS_PER_MEMBER,
  MAX_DRY_RUN_MS_PER_WINDOW,
  MAX_DRY_RUNS_PER_WINDOW,
} from "../../shared/limits.ts";
import { OdataError } from "../frontend/odata_error.ts";

interface Use {
  count: number;
  spentMs: number;
}

export class DryRunAllowance {
  #sinceMs = -Infinity;
  #spentMs = 0;
  /** Members alone come here, so there are as many entries as members at the most. */
  readonly #uses = new Map<string, Use>();

  /** Counts a dry run that is about to begin. @throws OdataError 429 */
  require(memberId: string, nowMs: number): void {
    if (nowMs - this.#sinceMs >= DRY_RUN_WINDOW_MS || nowMs < this.#sinceMs) {
      this.#sinceMs = nowMs;
      this.#spentMs = 0;
      this.#uses.clear();
    }
    const use = this.#useOf(memberId);
    use.count++;
    const why = use.count > MAX_DRY_RUNS_PER_WINDOW
      ? `Member m[${memberId}] has tried ${MAX_DRY_RUNS_PER_WINDOW} proposals in the last minute`
      : use.spentMs >= MAX_DRY_RUN_MS_PER_MEMBER
      ? `What member m[${memberId}] tried has taken ${Math.floor(use.spentMs)} ms in the last minute`
      : this.#spentMs >= MAX_DRY_RUN_MS_PER_WINDOW
      ? `What members tried has taken ${Math.floor(this.#spentMs)} ms in the last minute`
      : undefined;
    if (why === undefined) return;
    const waitS = Math.ceil((this.#sinceMs + DRY_RUN_WINDOW_MS - nowMs) / 1000);
    throw new OdataError(429, "TooManyRequests", `${why}: try again in ${waitS} s`, [], [["retry-after", `${waitS}`]]);
  }

  spend(memberId: string, elapsedMs: number): void {
    this.#spentMs += elapsedMs;
    this.#useOf(memberId).spentMs += elapsedMs;
  }

  #useOf(memberId: string): Use {
    let use = this.#uses.get(memberId);
    if (use === undefined) this.#uses.set(memberId, use = { count: 0, spentMs: 0 });
    return use;
  }
}
