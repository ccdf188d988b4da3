/**
 * A log that whoever causes its lines cannot fill: so many lines in a window, of the others their number.
 */

import type { LogLevel } from "../messages.ts";
import { CHANNEL_LOG_WINDOW_MS, MAX_CHANNEL_LOG_LINES } from "../../shared/limits.ts";

export class BoundedLog {
  readonly #log: (level: LogLevel, message: string) => void;
  #startMs = 0;
  #lines = 0;
  #leftOut = 0;

  constructor(log: (level: LogLevel, message: string) => void) {
    this.#log = log;
  }

  /** Writes the line, if there is room for it. */
  add(level: LogLevel, message: string, nowMs: number): void {
    this.tick(nowMs);
    if (this.#lines === 0) this.#startMs = nowMs;
    if (this.#lines < MAX_CHANNEL_LOG_LINES) {
      this.#lines++;
      this.#log(level, message);
    } else {
      this.#leftOut++;
    }
  }

  /** Ends a window that is over. The host's clock may go back: that ends a window too. */
  tick(nowMs: number): void {
    const age = nowMs - this.#startMs;
    if (this.#lines === 0 || (age >= 0 && age < CHANNEL_LOG_WINDOW_MS)) return;
    if (this.#leftOut > 0) this.#log("info", `${this.#leftOut} more lines on channels between nodes were left out`);
    this.#lines = 0;
    this.#leftOut = 0;
  }
}
