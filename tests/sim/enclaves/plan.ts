/**
 * What a schedule of whole enclaves is like: which faults, how often, how slow; drawn from its seed.
 *
 * Every schedule has other faults, and some have none: a fault that is always there hides what only shows without it.
 */

import type { CurveName } from "../../../shared/crypto/primitives.ts";
import { SeededRandom } from "../random.ts";

type Span = readonly [least: number, most: number];

/** Shares are of a message, a request or a moment of 10 ms, 0 to 1. */
export interface Plan {
  readonly firstMembers: number;
  /** Of the consortium. */
  readonly memberCount: number;
  readonly curve: CurveName;
  readonly signatures: { readonly txCount: number; readonly delayMs: number; readonly quietMs?: number };
  readonly snapshotTxCount: number;
  readonly messageLimit: number;
  /** 0: none. */
  readonly maxUncommitted: number;
  readonly durationMs: number;

  readonly lost: number;
  readonly duplicated: number;
  /** One bit of a message is another one. */
  readonly flipped: number;
  readonly delayMs: Span;
  /** Messages between two nodes overtake each other. */
  readonly reordered: boolean;

  /** While an enclave is busy more arrives, and comes in one batch. */
  readonly busyMs: Span;
  readonly partition: number;
  readonly heal: number;
  /** Partitions that cut one way only. */
  readonly oneWay: number;
  readonly crash: number;
  /** Nodes whose operators stop them in peace, instead of a crash. */
  readonly stop: number;
  /** A process that stops for a while and then finds that much time has passed. */
  readonly pause: number;
  readonly pauseMs: Span;
  /** A clock that leaps, ahead or back. */
  readonly leap: number;
  /** How fast clocks go: of 1000 ms they make so many. */
  readonly clockRate: Span;

  /** Before entries are attached to a message, or given to the enclave. */
  readonly diskMs: Span;
  /** Reads that fail, and such as give other bytes. */
  readonly unreadable: number;
  readonly corrupted: number;
  /** Crashed nodes whose directory a new one is given. */
  readonly staleDirectory: number;

  readonly clients: number;
  readonly keys: number;
  readonly thinkMs: Span;
  /** Connections that break with a request or an answer on the way. */
  readonly brokenConnection: number;
  /** New connections, though the old one still holds. */
  readonly reconnect: number;

  /** What members and operators begin. */
  readonly decision: number;
  readonly addNode: number;
  readonly removeNode: number;
  /** Nodes that join with a snapshot, where there is one. */
  readonly fromSnapshot: number;
}

export function drawPlan(random: SeededRandom): Plan {
  const sometimes = (share: number) => random.chance(0.5) ? 0 : share;
  return {
    firstMembers: random.pick([1, 2, 3, 3, 3, 3, 4, 5]),
    memberCount: random.pick([1, 1, 2, 3]),
    curve: random.chance(0.9) ? "P-256" : "P-384",
    signatures: random.pick([
      { txCount: 100, delayMs: 100 },
      { txCount: 100, delayMs: 100, quietMs: 20 },
      { txCount: 5, delayMs: 200 },
    ]),
    snapshotTxCount: random.pick([20, 20, 50, 10_000]),
    messageLimit: random.pick([200, 1000, 100_000]),
    maxUncommitted: random.pick([0, 0, 30]),
    durationMs: random.between(3000, 9000),

    lost: random.pick([0, 0, 0.02, 0.1, 0.3]),
    duplicated: random.pick([0, 0, 0.05, 0.2]),
    flipped: sometimes(0.01),
    delayMs: random.pick([[0, 2], [0, 20], [0, 20], [20, 80], [0, 120]] as const),
    reordered: random.chance(0.3),

    busyMs: random.pick([[0, 0], [0, 3], [0, 30]] as const),
    partition: random.pick([0, 0.005, 0.01, 0.02]),
    heal: random.pick([0.01, 0.02, 0.05]),
    oneWay: random.pick([0, 0.3, 1]),
    crash: sometimes(0.003),
    stop: random.pick([0, 0.5]),
    pause: sometimes(0.005),
    pauseMs: random.pick([[50, 300], [200, 1500]] as const),
    leap: sometimes(0.005),
    clockRate: random.pick([[1000, 1000], [950, 1050], [700, 1300]] as const),

    diskMs: random.pick([[0, 0], [0, 0], [0, 10], [0, 100]] as const),
    unreadable: sometimes(0.05),
    corrupted: sometimes(0.02),
    staleDirectory: random.pick([0, 0.5, 1]),

    clients: random.between(3, 8),
    keys: random.pick([1, 3, 8]),
    thinkMs: random.pick([[0, 30], [10, 60], [20, 150]] as const),
    brokenConnection: random.pick([0, 0.01, 0.05]),
    reconnect: random.pick([0, 0.05, 0.3]),

    decision: random.pick([0, 0.01, 0.04]),
    addNode: random.pick([0, 0.005, 0.02]),
    removeNode: random.pick([0, 0.003, 0.01]),
    fromSnapshot: random.pick([0, 1, 1]),
  };
}

/**
 * Reads what of a plan is not to be drawn, e.g. `{"flipped":0.1,"delayMs":[0,20]}`.
 *
 * @throws Error for what is no part of a plan
 */
export function parsePlan(text: string): Partial<Plan> {
  let parts: unknown;
  try {
    parts = JSON.parse(text);
  } catch {
    parts = null;
  }
  if (typeof parts !== "object" || parts === null || Array.isArray(parts)) {
    throw new Error('It must be a JSON object, e.g. {"flipped":0.1}');
  }
  const drawn: Readonly<Record<string, unknown>> = { ...drawPlan(new SeededRandom(0)) };
  for (const [name, value] of Object.entries(parts)) {
    if (!Object.hasOwn(drawn, name)) throw new Error(`There is no ${name}; there are ${Object.keys(drawn).join(", ")}`);
    const isLike = typeof value === typeof drawn[name] && Array.isArray(value) === Array.isArray(drawn[name]);
    if (!isLike) throw new Error(`${name} must be like ${JSON.stringify(drawn[name])}`);
  }
  return parts;
}
