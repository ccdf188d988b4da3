/**
 * A log that whoever causes its lines cannot fill: so many lines of each level in a window, of the others their number.
 *
 * In: lines, the time. Out: fewer lines.
 */

import { CHANNEL_LOG_WINDOW_MS, MAX_CHANNEL_LOG_LINES } from "../../shared/limits.ts";
import type { LogLevel } from "../messages.ts";

export class BoundedLog {
  readonly #log: (level: LogLevel, message: string) => void;
  #startMs = -Infinity;
  /** Lines of each level in this window, written or not: idle talk leaves room for what matters. */
  readonly #lines = new Map<LogLevel, number>();

  constructor(log: (level: LogLevel, message: string) => void) {
    this.#log = log;
  }

  /** Writes the line, if there is room for it. */
  add(level: LogLevel, message: string, nowMs: number): void {
    this.tick(nowMs);
    const lines = (this.#lines.get(level) ?? 0) + 1;
    this.#lines.set(level, lines);
    if (lines <= MAX_CHANNEL_LOG_LINES) this.#log(level, message);
  }

  /** Ends a window that is over, also where the host's clock went back. */
  tick(nowMs: number): void {
    const age = nowMs - this.#startMs;
    if (age >= 0 && age < CHANNEL_LOG_WINDOW_MS) return;
    for (const [level, lines] of this.#lines) {
      const leftOut = lines - MAX_CHANNEL_LOG_LINES;
      if (leftOut > 0) this.#log(level, `${leftOut} more lines on messages between nodes were left out`);
    }
    this.#lines.clear();
    this.#startMs = nowMs;
  }
}
