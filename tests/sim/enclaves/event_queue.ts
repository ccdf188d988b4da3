/**
 * What is to happen, in order of time; of two things at one time, the one that was added first.
 */

interface Event {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  /** A binary heap, the next event first. */
  readonly #events: Event[] = [];
  #nowMs = 0;
  #added = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @param delayMs from now on; a negative one counts as none */
  add(delayMs: number, run: () => void): void {
    const events = this.#events;
    events.push({ dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#added++, run });
    let at = events.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isSooner(events[at]!, events[parent]!)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Runs the next event, if it is due by `endMs`; otherwise it is `endMs` now. @returns whether there was one */
  runNext(endMs: number): boolean {
    const [first] = this.#events;
    if (first === undefined || first.dueMs > endMs) {
      this.#nowMs = endMs;
      return false;
    }
    this.#removeFirst();
    this.#nowMs = first.dueMs;
    first.run();
    return true;
  }

  #removeFirst(): void {
    const events = this.#events;
    const last = events.pop()!;
    if (events.length === 0) return;
    events[0] = last;
    for (let at = 0;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < events.length && isSooner(events[left]!, events[least]!)) least = left;
      if (right < events.length && isSooner(events[right]!, events[least]!)) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const events = this.#events;
    [events[a], events[b]] = [events[b]!, events[a]!];
  }
}

const isSooner = (a: Event, b: Event) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
