/**
 * Numbers that look random and are the same for the same seed: what a simulation draws from, so that it can be replayed.
 *
 * In: a seed of 32 bits. Out: integers, choices, orders. It is no source of secrets.
 */

export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in 0..n-1; 0 where n is 0. */
  readonly below = (n: number): number => Math.floor(this.#next() / 0x1_0000_0000 * n);

  /** An integer in least..most, both included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True in a share of cases, 0 never to 1 always. */
  chance(share: number): boolean {
    return this.#next() / 0x1_0000_0000 < share;
  }

  /** One of a list that is not empty. */
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** The same things in another order. */
  shuffled<T>(from: Iterable<T>): T[] {
    const out = [...from];
    for (let at = out.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [out[at], out[other]] = [out[other]!, out[at]!];
    }
    return out;
  }

  /** SplitMix with 32 bits: a counter whose bits are mixed. */
  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }
}
