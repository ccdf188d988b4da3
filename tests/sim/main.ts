/**
 * `deno task sim`: nodes in a world that is made up, from a seed.
 *
 * In: which world, and for how long. Out: exit code 0 if all held, 1 if something did not, 2 for wrong usage or an unreadable
 * file. README.md says what each world is. It uses neither network nor disk but to read a scenario.
 */

import cliProgress from "cli-progress";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { bareProperties, runSchedule, ScheduleFailure, type ScheduleReport } from "./bare.ts";
import { runScenario, ScenarioFailure } from "./driver.ts";
import { SeededRandom } from "./random.ts";

interface Options {
  readonly scenario?: string;
  readonly bare?: boolean;
  readonly seed?: number;
  readonly minutes?: number;
  readonly schedules?: number;
  readonly score?: boolean;
  readonly properties?: readonly string[];
}

/** The worlds: the first whose option is given runs. Each answers whether all held. */
const WORLDS: readonly {
  readonly isChosen: (options: Options) => boolean;
  readonly run: (options: Options) => boolean;
}[] = [
  { isChosen: ({ scenario }) => scenario !== undefined, run: runScenarioFile },
  { isChosen: ({ bare }) => bare === true, run: runBare },
];

const SCORE_LINES = 100;

const program = new Command("sim")
  .description("Runs nodes in a made-up world: a scenario, or random schedules of bare consensus")
  .option("--scenario <file>", "run one scenario file in CCF's language and print its transcript")
  .option("--bare", "random schedules of 1 to 7 nodes that have consensus alone")
  .option("--seed <n>", "of the first schedule, or of a scenario's election timers; drawn if not given", wholeNumber)
  .option("--minutes <m>", "go on with the next seeds for so long (default: 1)", positiveNumber)
  .option("--schedules <n>", "end after so many schedules instead", wholeNumber)
  .option("--properties <names>", "check only these and liveness, e.g. LogInv,QuorumLogInv", propertyNames)
  .option("--score", "print every event of each schedule, a line each")
  .exitOverride()
  .showHelpAfterError("(add --help for the options)");

function main(args: readonly string[]): number {
  try {
    const options = program.parse(["deno", "sim", ...args]).opts<Options>();
    const world = WORLDS.find(({ isChosen }) => isChosen(options));
    if (world === undefined) return program.error("Say what to run: --scenario FILE or --bare");
    return world.run(options) ? 0 : 1;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (!(error instanceof Unreadable)) throw error;
    console.error(error.message);
    return 2;
  }
}

class Unreadable extends Error {}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number below 1000000000");
  return Number(text);
}

function positiveNumber(text: string): number {
  if (!(Number(text) > 0 && Number(text) < Infinity)) throw new InvalidArgumentError("It must be a number above 0");
  return Number(text);
}

function propertyNames(text: string): string[] {
  const names = text.split(",");
  const known = bareProperties().map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no ${unknown}; there are ${known.join(", ")}`);
  return names;
}

function runScenarioFile({ scenario, seed = 1 }: Options): boolean {
  let text: string;
  try {
    text = Deno.readTextFileSync(scenario!);
  } catch (error) {
    throw new Unreadable(`Cannot read the scenario ${scenario}: ${error instanceof Error ? error.message : error}`);
  }
  try {
    runScenario(text, new SeededRandom(seed), (line) => console.log(line));
  } catch (error) {
    if (!(error instanceof ScenarioFailure)) throw error;
    console.log(`\nFAILED with seed ${seed}. ${error.message}`);
    return false;
  }
  console.log(`\nPassed with seed ${seed}`);
  return true;
}

/** Schedules one after the other, with seeds that count up from the first. */
function runBare(
  { seed: first = crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000, ...options }: Options,
): boolean {
  const { minutes = 1, schedules, score, properties } = options;
  const print = score ? (line: string) => console.log(line) : undefined;
  const startMs = performance.now();
  const progress = new Progress(schedules ?? minutes * 60_000);
  const reports: ScheduleReport[] = [];
  const isEnough = () =>
    schedules === undefined ? performance.now() - startMs >= minutes * 60_000 : reports.length >= schedules;
  console.error(`Bare consensus, from seed ${first}`);
  while (!isEnough()) {
    const seed = first + reports.length;
    try {
      reports.push(runSchedule(seed, { print, properties }));
    } catch (error) {
      progress.stop();
      if (!(error instanceof ScheduleFailure)) throw error;
      reportFailure(error, reports.length, options);
      return false;
    }
    progress.update(schedules === undefined ? performance.now() - startMs : reports.length);
  }
  progress.stop();
  const sum = (of: (report: ScheduleReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  console.log(
    `${reports.length} schedules from seed ${first}: ${sum(({ steps }) => steps)} steps, ` +
      `${sum(({ elections }) => elections)} views after the first, ${
        sum(({ committed }) => committed)
      } entries committed, ` +
      `${sum(({ configurations }) => configurations)} configurations, ${
        sum(({ retired }) => retired)
      } nodes retired, ` +
      `${sum(({ crashed }) => crashed)} crashed. All properties held`,
  );
  return true;
}

/** The same schedule again, now with its score: it fails at the same event. */
function reportFailure(
  { seed, violation }: ScheduleFailure,
  before: number,
  { score: wasScored, properties }: Options,
): void {
  const score: string[] = [];
  try {
    const print = (line: string) => void (score.push(line) > SCORE_LINES && score.shift());
    if (!wasScored) runSchedule(seed, { print, properties });
  } catch (error) {
    if (!(error instanceof ScheduleFailure)) throw error;
  }
  for (const line of score) console.log(line);
  console.log(`\nFAILED with seed ${seed}, after ${before} schedules. ${violation.message}`);
  const only = properties === undefined ? "" : ` --properties=${properties.join()}`;
  console.log(`The whole score: deno task sim --bare --seed=${seed} --schedules=1 --score${only}`);
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

Deno.exit(main(Deno.args));
