/**
 * `deno task sim`: nodes in a world that is made up, from a seed.
 *
 * In: which world, and for how long. Out: exit code 0 if all held, 1 if something did not, 2 for wrong usage or an unreadable
 * file. README.md says what each world is. It uses neither network nor disk but to read a scenario.
 */

import { Command, CommanderError, InvalidArgumentError } from "commander";
import { bareProperties, runSchedule, type ScheduleReport } from "./bare.ts";
import { runScenario, ScenarioFailure } from "./driver.ts";
import { parsePlan, type Plan } from "./enclaves/plan.ts";
import { SeededRandom } from "./random.ts";
import { runSeeds, type SeedOptions } from "./seeds.ts";

interface Options extends SeedOptions {
  readonly scenario?: string;
  readonly bare?: boolean;
  readonly properties?: readonly string[];
  readonly plan?: Partial<Plan>;
}

/** The worlds: the first that is chosen runs. Each answers whether all held. */
const WORLDS: readonly {
  readonly isChosen: (options: Options) => boolean;
  readonly run: (options: Options) => boolean | Promise<boolean>;
}[] = [
  { isChosen: ({ scenario }) => scenario !== undefined, run: runScenarioFile },
  { isChosen: ({ bare }) => bare === true, run: runBare },
  { isChosen: () => true, run: runEnclaves },
];

const program = new Command("sim")
  .description("Runs nodes in a made-up world: random schedules of whole enclaves, or of consensus, or a scenario")
  .option("--scenario <file>", "run one scenario file in CCF's language and print its transcript")
  .option("--bare", "random schedules of 1 to 7 nodes that have consensus alone")
  .option("--seed <n>", "of the first schedule, or of a scenario's election timers; drawn if not given", wholeNumber)
  .option("--minutes <m>", "go on with the next seeds for so long (default: 1)", positiveNumber)
  .option("--schedules <n>", "end after so many schedules instead", wholeNumber)
  .option("--properties <names>", "with --bare: check only these and liveness, e.g. LogInv,QuorumLogInv", propertyNames)
  .option("--plan <json>", 'of whole enclaves: what is not drawn from the seed, e.g. {"flipped":0.1}', planParts)
  .option("--score", "print every event of each schedule, a line each")
  .exitOverride()
  .showHelpAfterError("(add --help for the options)");

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = program.parse(["deno", "sim", ...args]).opts<Options>();
    return await WORLDS.find(({ isChosen }) => isChosen(options))!.run(options) ? 0 : 1;
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

function planParts(text: string): Partial<Plan> {
  try {
    return parsePlan(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
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

function runBare(options: Options): boolean {
  const { properties } = options;
  const sum = (reports: readonly ScheduleReport[], of: (report: ScheduleReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  return runSeeds({
    name: "Bare consensus",
    command: `deno task sim --bare${properties === undefined ? "" : ` --properties=${properties.join()}`}`,
    run: (seed, print) => runSchedule(seed, { print, properties }),
    summary: (reports) =>
      [
        `${sum(reports, ({ steps }) => steps)} steps`,
        `${sum(reports, ({ elections }) => elections)} views after the first`,
        `${sum(reports, ({ committed }) => committed)} entries committed`,
        `${sum(reports, ({ configurations }) => configurations)} configurations`,
        `${sum(reports, ({ retired }) => retired)} nodes retired`,
        `${sum(reports, ({ crashed }) => crashed)} crashed`,
      ].join(", "),
  }, options);
}

/** Only this world needs enclaves, and is loaded where it runs. */
async function runEnclaves(options: Options): Promise<boolean> {
  const { runEnclaveSeeds } = await import("./enclaves/main.ts");
  return await runEnclaveSeeds(options);
}

Deno.exit(await main(Deno.args));
