/**
 * How many entries an AppendEntries takes, so that it has about 20 000 bytes.
 *
 * In: the size of every entry that a leader appends. Out: a number of entries, a moving average of what would have fitted.
 * Source: consensus.md §9 "Batch size". It is not a matter of safety.
 */

import { MAX_ENTRIES_PER_APPEND } from "../limits.ts";

/** Bytes of entries that one message should carry, about; and that are appended before they are sent at once. */
const APPEND_BYTES = 20_000;

/** How many entries one message takes, so that it has about `APPEND_BYTES`: an average that moves slowly. */
export class BatchSize {
  /** Entries in a message. */
  entries = 20;
  #sum = 0;
  #countedBytes = 0;
  #countedEntries = 0;

  /** @returns whether enough has come together to be sent without waiting for a heartbeat */
  count(bytes: number): boolean {
    this.#countedBytes += bytes;
    this.#countedEntries++;
    return this.#countedBytes >= APPEND_BYTES;
  }

  startOver(): void {
    this.#countedBytes = 0;
    this.#countedEntries = 0;
  }

  /** All divisions are of integers, rounded down. */
  update(): void {
    const average = this.#countedEntries === 0 ? APPEND_BYTES : Math.floor(this.#countedBytes / this.#countedEntries);
    const fitting = average === 0 ? MAX_ENTRIES_PER_APPEND : Math.floor(APPEND_BYTES / average);
    this.#sum += fitting - Math.floor(this.#sum / 100);
    this.entries = Math.min(Math.max(Math.floor(this.#sum / 100), 1), MAX_ENTRIES_PER_APPEND);
  }
}
