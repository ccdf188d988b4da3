/**
 * Random schedules one after the other, with seeds that count up, for as long as one likes; and what failed, again.
 *
 * In: a world that runs a schedule from a seed. Out: whether all held; progress on a terminal, a score where one failed.
 */

import cliProgress from "cli-progress";
import { ScheduleFailure } from "./bare.ts";

export interface SeedOptions {
  readonly seed?: number;
  readonly minutes?: number;
  readonly schedules?: number;
  readonly score?: boolean;
}

export type Print = (line: string) => void;

export interface SeededWorld<Report> {
  readonly name: string;
  /** What runs it, e.g. "deno task sim --bare". */
  readonly command: string;
  /** @throws ScheduleFailure */
  run(seed: number, print: Print | undefined): Report;
  summary(reports: readonly Report[]): string;
}

const SCORE_LINES = 100;

export function runSeeds<Report>(
  world: SeededWorld<Report>,
  { seed: first = drawSeed(), minutes = 1, schedules, score = false }: SeedOptions,
): boolean {
  const print = score ? (line: string) => console.log(line) : undefined;
  const startMs = performance.now();
  const progress = new Progress(schedules ?? minutes * 60_000);
  const reports: Report[] = [];
  const isEnough = () =>
    schedules === undefined ? performance.now() - startMs >= minutes * 60_000 : reports.length >= schedules;
  console.error(`${world.name}, from seed ${first}`);
  while (!isEnough()) {
    try {
      reports.push(world.run(first + reports.length, print));
    } catch (error) {
      progress.stop();
      if (!(error instanceof ScheduleFailure)) throw error;
      reportFailure(world, error, reports.length, score);
      return false;
    }
    progress.update(schedules === undefined ? performance.now() - startMs : reports.length);
  }
  progress.stop();
  console.log(`${reports.length} schedules from seed ${first}: ${world.summary(reports)}. All properties held`);
  return true;
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000;
}

/** The same schedule again, now with its score: it fails at the same event. */
function reportFailure<Report>(
  world: SeededWorld<Report>,
  { seed, violation }: ScheduleFailure,
  before: number,
  wasScored: boolean,
): void {
  const score: string[] = [];
  try {
    if (!wasScored) world.run(seed, (line) => void (score.push(line) > SCORE_LINES && score.shift()));
  } catch (error) {
    if (!(error instanceof ScheduleFailure)) throw error;
  }
  for (const line of score) console.log(line);
  console.log(`\nFAILED with seed ${seed}, after ${before} schedules. ${violation.message}`);
  console.log(`The whole score: ${world.command} --seed=${seed} --schedules=1 --score`);
}

/** A bar on a terminal, nothing elsewhere. */
class Progress {
  readonly #bar: cliProgress.SingleBar | undefined;

  constructor(total: number) {
    if (!Deno.stderr.isTerminal()) return;
    this.#bar = new cliProgress.SingleBar(
      { format: "{bar} {percentage} %, {eta_formatted} left", clearOnComplete: true, gracefulExit: false },
      cliProgress.Presets.shades_classic,
    );
    this.#bar.start(total, 0);
  }

  update(done: number): void {
    this.#bar?.update(done);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
