import { strict as assert } from "node:assert";
import { Machinery } from "./powers.ts";
import { REGRESSIONS } from "./regressions.ts";
import { runEnclaveSchedule } from "./schedule.ts";

/** How long random schedules are run in a test; a night is README.md's business. */
const RANDOM_MS = 60_000;
/** Seeds that no other test uses begin here. */
const RANDOM_SEEDS = { first: 100_000, count: 900_000 };

const machinery = await Machinery.load();

/** Runs a schedule; what fails says how it is run again. */
function hold(seed: number): void {
  try {
    runEnclaveSchedule(seed, machinery);
  } catch (error) {
    throw new Error(`It fails again with: deno task sim --seed=${seed} --schedules=1 --score`, { cause: error });
  }
}

Deno.test("schedules of whole enclaves in which something once was wrong hold", async (t) => {
  for (const [seed, what] of REGRESSIONS) {
    await t.step(`seed ${seed}: ${what}`, () => hold(seed));
  }
});

Deno.test("random schedules of whole enclaves hold for a minute", () => {
  const random = crypto.getRandomValues(new Uint32Array(1))[0]! % RANDOM_SEEDS.count;
  const startMs = performance.now();
  let count = 0;
  while (performance.now() - startMs < RANDOM_MS) {
    hold(RANDOM_SEEDS.first + random + count++);
  }
  assert(count > 0);
});

Deno.test("a schedule of whole enclaves is the same for the same seed, byte for byte", async () => {
  for (const seed of [1, 2]) {
    const score: string[] = [];
    const report = runEnclaveSchedule(seed, machinery, (line) => score.push(line));
    const other: string[] = [];
    assert.deepEqual(runEnclaveSchedule(seed, await Machinery.load(), (line) => other.push(line)), report);
    assert.equal(score.join("\n"), other.join("\n"));
    assert(score.length > 100);
  }
});
