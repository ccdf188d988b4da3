/**
 * Every planted fault is caught, and consensus without one is not: in a copy of the sources in a temporary folder, run as
 * `deno task sim` runs them.
 */

import { strict as assert } from "node:assert";
import { fromFileUrl, join } from "../paths.ts";
import { HARM, HARM_SCHEDULES, PLANTED_FAULTS, type PlantedFault, SCHEDULES } from "./planted_faults.ts";

const repository = fromFileUrl(new URL("../../", import.meta.url));
/** As many as build machines have processors. */
const AT_ONCE = 2;

/** What consensus and the simulation are made of. */
const SOURCES = ["shared", "shared/consensus", "tests/sim"];

function copySources(target: string, fault: PlantedFault | undefined): void {
  for (const folder of SOURCES) {
    Deno.mkdirSync(join(target, folder), { recursive: true });
    for (const { name, isFile } of Deno.readDirSync(join(repository, folder))) {
      if (!isFile || !name.endsWith(".ts") || name.endsWith("_test.ts")) continue;
      let text = Deno.readTextFileSync(join(repository, folder, name));
      if (fault !== undefined && folder === "shared/consensus" && name === fault.file) text = planted(text, fault);
      Deno.writeTextFileSync(join(target, folder, name), text);
    }
  }
}

function planted(text: string, { name, changes }: PlantedFault): string {
  for (const { find, replace } of changes) {
    const found = text.split(find).length - 1;
    assert.equal(
      found,
      1,
      `"${name}" is to be planted where the source says ${JSON.stringify(find)}; it does ${found} times`,
    );
    text = text.replace(find, () => replace);
  }
  return text;
}

/** Runs `deno task sim` on copied sources. */
async function simulate(
  target: string,
  ...args: string[]
): Promise<{ readonly code: number; readonly output: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-env=NO_COLOR,FORCE_COLOR,CI,TERM",
      `--config=${join(repository, "deno.json")}`,
      join(target, "tests/sim/main.ts"),
      ...args,
    ],
  }).output();
  return { code, output: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("") };
}

async function withCopy(fault: PlantedFault | undefined, use: (target: string) => Promise<void>): Promise<void> {
  const target = Deno.makeTempDirSync({ prefix: "quorate-fault-" });
  try {
    copySources(target, fault);
    await use(target);
  } finally {
    Deno.removeSync(target, { recursive: true });
  }
}

/** Which property a simulation says not to hold. */
const brokenProperty = (output: string) =>
  /FAILED with seed \d+[.,](?: after \d+ schedules\.)? (?:Line .*: )?(\w+): /.exec(output)?.[1];

Deno.test("consensus without a planted fault fails nowhere", async () => {
  await withCopy(undefined, async (target) => {
    const { code, output } = await simulate(target, "--bare", "--seed=1", `--schedules=${HARM_SCHEDULES}`);
    assert.equal(code, 0, output);
  });
});

/** Tests several faults at once: each is a process of its own. */
async function forEachFault(
  t: Deno.TestContext,
  faults: readonly PlantedFault[],
  test: (fault: PlantedFault, target: string) => Promise<void>,
): Promise<void> {
  const left = [...faults];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let fault = left.shift(); fault !== undefined; fault = left.shift()) {
      const each = fault;
      await t.step({
        name: each.name,
        fn: () => withCopy(each, (target) => test(each, target)),
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
      });
    }
  }));
}

Deno.test("every planted fault is caught, by a property that speaks of it", async (t) => {
  await forEachFault(t, PLANTED_FAULTS, async ({ name, caughtBy, scenario }, target) => {
    const { code, output } = await simulate(target, "--bare", "--seed=1", `--schedules=${SCHEDULES}`);
    assert.equal(code, 1, `${name}: ${output}`);
    const broken = brokenProperty(output);
    assert.ok(broken !== undefined && caughtBy.includes(broken), `${name}: ${broken}\n${output}`);
    if (scenario === undefined) return;
    const run = await simulate(target, "--scenario", join(repository, "tests/scenarios", `${scenario}.scenario`));
    assert.equal(run.code, 1, `${name}: the scenario ${scenario} passes\n${run.output}`);
  });
});

Deno.test("a planted fault does harm that shows without the property that speaks of it", async (t) => {
  await forEachFault(t, PLANTED_FAULTS.filter(({ doesHarm }) => doesHarm), async ({ name }, target) => {
    const properties = `--properties=${HARM.join()}`;
    const { code, output } = await simulate(target, "--bare", "--seed=1", `--schedules=${HARM_SCHEDULES}`, properties);
    assert.equal(code, 1, `${name}: ${output}`);
  });
});

Deno.test("a failure of the simulation replays as its last lines say", async () => {
  const fault = PLANTED_FAULTS.find(({ name }) => name === "voting while a leader is known");
  await withCopy(fault, async (target) => {
    const { output } = await simulate(target, "--bare", "--seed=1", `--schedules=${SCHEDULES}`);
    const [, command] = /The whole score: deno task sim (.*)\n/.exec(output)!;
    const replayed = await simulate(target, ...command!.split(" "));
    assert.equal(replayed.code, 1, output);
    assert.match(replayed.output, /^ +0 ms plan/);
    // The end of the score is the same, event for event, up to what went wrong.
    const [lastEvents, message] = [eventsOf(output), /FAILED with seed \d+/.exec(output)![0]];
    assert.ok(lastEvents.length > 50);
    assert.deepEqual(eventsOf(replayed.output).slice(-lastEvents.length), lastEvents);
    assert.ok(replayed.output.includes(message));
  });
});

const eventsOf = (output: string) => output.split("\n").filter((line) => /^ *\d+ ms /.test(line));
