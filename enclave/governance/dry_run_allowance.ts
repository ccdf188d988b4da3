/**
 * How often members may try proposals out.
 *
 * In: who tries, and when. Out: nothing, or a refusal that says when to come again.
 */

import { DRY_RUN_WINDOW_MS, MAX_DRY_RUNS_PER_WINDOW } from "../../shared/limits.ts";
import { OdataError } from "../frontend/odata_error.ts";

/** How often each member may try: scripts take time, and nobody pays for it. */
export class DryRunAllowance {
  readonly #uses = new Map<string, { sinceMs: number; count: number }>();

  /** @throws OdataError 429 */
  require(memberId: string, nowMs: number): void {
    const use = this.#uses.get(memberId);
    // Members alone come here, so there are as many entries as members at the most.
    if (use === undefined || nowMs - use.sinceMs >= DRY_RUN_WINDOW_MS || nowMs < use.sinceMs) {
      this.#uses.set(memberId, { sinceMs: nowMs, count: 1 });
    } else if (++use.count > MAX_DRY_RUNS_PER_WINDOW) {
      const waitS = Math.ceil((use.sinceMs + DRY_RUN_WINDOW_MS - nowMs) / 1000);
      throw new OdataError(
        429,
        "TooManyRequests",
        `Member m[${memberId}] has tried ${MAX_DRY_RUNS_PER_WINDOW} proposals in the last minute: try again in ${waitS} s`,
        [],
        [["retry-after", String(waitS)]],
      );
    }
  }
}
