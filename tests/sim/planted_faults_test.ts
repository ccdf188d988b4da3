/**
 * Every planted fault is caught, and consensus without one is not: in a copy of the sources in a temporary folder, run as
 * `deno task sim` runs them.
 */

import { strict as assert } from "node:assert";
import { fromFileUrl, join } from "../paths.ts";
import { forEachFault, requireCaught, simulate, withCopy } from "./planted_copies.ts";
import { HARM, HARM_SCHEDULES, PLANTED_FAULTS, SCHEDULES } from "./planted_faults.ts";

const repository = fromFileUrl(new URL("../../", import.meta.url));
/** What consensus and the simulation are made of. */
const SOURCES = ["shared", "tests/sim"];

Deno.test("consensus without a planted fault fails nowhere", async () => {
  await withCopy(SOURCES, undefined, async (target) => {
    const { code, output } = await simulate(target, "--bare", "--seed=1", `--schedules=${HARM_SCHEDULES}`);
    assert.equal(code, 0, output);
  });
});

Deno.test("every planted fault is caught, by a property that speaks of it", async (t) => {
  await forEachFault(t, SOURCES, PLANTED_FAULTS, async (target, fault) => {
    await requireCaught(target, fault, SCHEDULES, "--bare");
    const { name, scenario } = fault;
    if (scenario === undefined) return;
    const run = await simulate(target, "--scenario", join(repository, "tests/scenarios", `${scenario}.scenario`));
    assert.equal(run.code, 1, `${name}: the scenario ${scenario} passes\n${run.output}`);
  });
});

Deno.test("a planted fault does harm that shows without the property that speaks of it", async (t) => {
  await forEachFault(t, SOURCES, PLANTED_FAULTS.filter(({ doesHarm }) => doesHarm), async (target, { name }) => {
    const properties = `--properties=${HARM.join()}`;
    const { code, output } = await simulate(target, "--bare", "--seed=1", `--schedules=${HARM_SCHEDULES}`, properties);
    assert.equal(code, 1, `${name}: ${output}`);
  });
});

Deno.test("a failure of the simulation replays as its last lines say", async () => {
  const fault = PLANTED_FAULTS.find(({ name }) => name === "voting while a leader is known")!;
  await withCopy(SOURCES, fault, async (target) => {
    const { output } = await requireCaught(target, fault, SCHEDULES, "--bare");
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
