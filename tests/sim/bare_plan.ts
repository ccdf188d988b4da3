/**
 * What a schedule of bare consensus is like: which faults, how often, how slow; drawn from its seed.
 *
 * Every schedule has other faults, and some have none: a fault that is always there hides what only shows without it.
 */

import type { SeededRandom } from "./random.ts";

/** Shares are of a turn or of a message, 0 to 1. */
export interface Plan {
  readonly firstMembers: number;
  readonly preVote: boolean;
  readonly turns: number;

  readonly lost: number;
  readonly duplicated: number;
  /** Entries that arrive malformed, or not all of them. */
  readonly garbled: number;
  readonly delayMs: readonly [least: number, most: number];

  readonly partition: number;
  readonly heal: number;
  /** Partitions that cut one way only. */
  readonly oneWay: number;
  readonly crash: number;
  /** A node that stops for a while and then finds that much time has passed at once. */
  readonly pause: number;
  readonly pauseMs: readonly [least: number, most: number];
  /** A clock that leaps ahead. */
  readonly leap: number;
  /** Nodes that do something only every few turns. */
  readonly slow: number;
  /** Clocks that go at their own pace: this much of the time passes for them, least and most. */
  readonly pace: readonly [least: number, most: number];

  readonly append: number;
  readonly sign: number;
  readonly flush: boolean;
  readonly reconfigure: number;
  readonly nominate: number;
  /** New nodes that begin with a snapshot. */
  readonly snapshot: number;
  /** How soon a primary writes down whose removal is committed. */
  readonly recordRetirement: number;
  /** How soon an operator stops a node whose retirement is committed. */
  readonly stopRetired: number;
}

export function drawPlan(random: SeededRandom): Plan {
  const sometimes = (share: number) => random.chance(0.5) ? 0 : share;
  return {
    firstMembers: random.pick([1, 2, 3, 3, 3, 4, 5, 5]),
    preVote: random.chance(0.8),
    turns: random.between(100, 400),

    lost: random.pick([0, 0, 0.02, 0.1, 0.3]),
    duplicated: random.pick([0, 0, 0.05, 0.2]),
    garbled: sometimes(0.01),
    delayMs: random.pick([[0, 0], [0, 10], [0, 10], [5, 40], [0, 150]]),

    partition: random.pick([0, 0.02, 0.1, 0.3]),
    heal: random.pick([0.02, 0.1, 0.3]),
    oneWay: random.pick([0, 0.3, 1]),
    crash: sometimes(0.01),
    pause: sometimes(0.02),
    pauseMs: random.pick([[20, 80], [50, 300]]),
    leap: random.pick([0, 0, 0.02, 0.1, 0.3]),
    slow: random.pick([0, 0, 0.2, 0.5]),
    pace: random.pick([[1, 1], [1, 1], [0.5, 2]]),

    append: random.pick([0.1, 0.5, 0.9]),
    sign: random.pick([0.03, 0.1, 0.3, 0.6]),
    flush: random.chance(0.5),
    reconfigure: random.pick([0, 0.02, 0.05, 0.1]),
    nominate: random.pick([0, 0, 0.02, 0.1]),
    snapshot: random.pick([0, 0.5, 1]),
    recordRetirement: random.pick([0.1, 0.5, 1]),
    stopRetired: random.pick([0, 0.1, 1]),
  };
}
