/**
 * Copies of the sources with a fault planted in each, in which `deno task sim` must find it.
 *
 * In: folders, a fault, options of `deno task sim`. Out: an assertion that fails where the fault is not found, or nothing.
 */

import { strict as assert } from "node:assert";
import { fromFileUrl, join } from "../paths.ts";

const repository = fromFileUrl(new URL("../../", import.meta.url));
/** As many as build machines have processors. */
const AT_ONCE = 2;
const FIRST_SEED = 1;

export interface PlantedFault {
  readonly name: string;
  /** From the repository's root. */
  readonly file: string;
  /** What is replaced, each found exactly once in the file. */
  readonly changes: readonly { readonly find: string; readonly replace: string }[];
  /** The properties of which one must be found not to hold. */
  readonly caughtBy: readonly string[];
}

export interface Run {
  readonly code: number;
  readonly output: string;
}

/** Lets a test use a copy of these folders and all that is in them, but the tests. */
export async function withCopy(
  folders: readonly string[],
  fault: PlantedFault | undefined,
  use: (target: string) => Promise<void>,
): Promise<void> {
  const target = Deno.makeTempDirSync({ prefix: "quorate-fault-" });
  try {
    for (const folder of folders) copySources(target, folder);
    if (fault !== undefined) plant(target, fault);
    await use(target);
  } finally {
    Deno.removeSync(target, { recursive: true });
  }
}

function copySources(target: string, folder: string): void {
  Deno.mkdirSync(join(target, folder), { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(join(repository, folder))) {
    const path = join(folder, name);
    if (isDirectory) copySources(target, path);
    else if (!name.endsWith("_test.ts")) Deno.copyFileSync(join(repository, path), join(target, path));
  }
}

function plant(target: string, { name, file, changes }: PlantedFault): void {
  let text = Deno.readTextFileSync(join(target, file));
  for (const { find, replace } of changes) {
    const found = text.split(find).length - 1;
    const where = `"${name}" is to be planted where ${file} says ${JSON.stringify(find)}`;
    assert.equal(found, 1, `${where}; it does ${found} times`);
    text = text.replace(find, () => replace);
  }
  Deno.writeTextFileSync(join(target, file), text);
}

/** Runs `deno task sim` on copied sources. */
export async function simulate(target: string, ...args: string[]): Promise<Run> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--allow-read",
      "--allow-env=NO_COLOR,FORCE_COLOR,CI,TERM",
      `--config=${join(repository, "deno.json")}`,
      join(target, "tests/sim/main.ts"),
      ...args,
    ],
  }).output();
  return { code, output: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("") };
}

/**
 * Runs schedules until a property that speaks of the fault does not hold. The fault may break others before: then the
 * schedules go on behind the one in which it did. Which schedule finds it, and what else does, changes with every change of
 * the sources; that it is found in so many does not.
 *
 * @returns what the run said in which it was caught
 */
export async function requireCaught(
  target: string,
  { name, caughtBy }: PlantedFault,
  schedules: number,
  ...args: string[]
): Promise<Run> {
  const others: string[] = [];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + schedules;) {
    const run = await simulate(target, ...args, `--seed=${seed}`, `--schedules=${FIRST_SEED + schedules - seed}`);
    if (run.code === 0) break;
    const failure = failureIn(run);
    if (caughtBy.includes(failure.property)) return run;
    others.push(`${failure.property} with seed ${failure.seed}`);
    seed = failure.seed + 1;
  }
  assert.fail(`${name}: not caught in ${schedules} schedules by ${caughtBy}, but: ${others.join(", ") || "nothing"}`);
}

/** What failed, e.g. of "FAILED with seed 3, after 2 schedules. OneRoot: n1 has …". */
function failureIn({ code, output }: Run): { readonly seed: number; readonly property: string } {
  const found = /FAILED with seed (\d+), after \d+ schedules\. (\w+): /.exec(output);
  assert(code === 1 && found !== null, output);
  return { seed: Number(found[1]), property: found[2]! };
}

/** A step of a test for each fault, several at once: each runs a process of its own. */
export async function forEachFault<Fault extends PlantedFault>(
  t: Deno.TestContext,
  folders: readonly string[],
  faults: readonly Fault[],
  test: (target: string, fault: Fault) => Promise<unknown>,
): Promise<void> {
  const left = [...faults];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let fault = left.shift(); fault !== undefined; fault = left.shift()) {
      const each = fault;
      await t.step({
        name: each.name,
        fn: () => withCopy(folders, each, async (target) => void await test(target, each)),
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      });
    }
  }));
}
