/**
 * What was logged of nodes that were not let in: one that waits for members asks every second, and need not fill the log.
 *
 * In: which node, why not, when. Out: whether that is to be logged. Strangers with many keys can crowd out what is known
 * of others; then lines come again sooner.
 */

import { JOIN_LOG_REPEAT_MS, MAX_REFUSED_JOINERS } from "../shared/limits.ts";

export class RefusedJoiners {
  /** By node ID, the one that was logged last at the end. */
  readonly #told = new Map<string, { readonly why: string; readonly atMs: number }>();

  /** Whether this is new of the node, or was said long ago; then it counts as said. @param nowMs of a steady clock */
  isDue(nodeId: string, why: string, nowMs: number): boolean {
    const last = this.#told.get(nodeId);
    if (why === last?.why && nowMs - last.atMs < JOIN_LOG_REPEAT_MS) return false;
    this.#told.delete(nodeId);
    this.#told.set(nodeId, { why, atMs: nowMs });
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_REFUSED_JOINERS) this.#told.delete(oldest!);
    return true;
  }
}
