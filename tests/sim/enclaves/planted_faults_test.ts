/**
 * Every planted fault is caught: in a copy of the sources in a temporary folder, run as `deno task sim` runs them. That
 * nothing is caught without one is what schedule_test.ts tests.
 */

import { strict as assert } from "node:assert";
import { fromFileUrl, join } from "../../paths.ts";
import { PLANTED_FAULTS, type PlantedFault, SCHEDULES } from "./planted_faults.ts";

const repository = fromFileUrl(new URL("../../../", import.meta.url));
/** As many as build machines have processors. */
const AT_ONCE = 2;

/** What nodes and their simulation are made of. */
const SOURCES = ["shared", "enclave", "node", "tests/sim", "getting_started/constitution"];

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

async function simulate(target: string, seed: number): Promise<{ readonly code: number; readonly output: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      "--allow-read",
      "--allow-env=NO_COLOR,FORCE_COLOR,CI,TERM",
      `--config=${join(repository, "deno.json")}`,
      join(target, "tests/sim/main.ts"),
      `--seed=${seed}`,
      `--schedules=${SCHEDULES}`,
    ],
  }).output();
  return { code, output: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("") };
}

/** Which property a simulation says not to hold, e.g. of "FAILED with seed 3, after 2 schedules. OneRoot: n1 has …". */
const brokenProperty = (output: string) => /FAILED with seed \d+, after \d+ schedules\. (\w+): /.exec(output)?.[1];

Deno.test("every planted fault of whole nodes is caught by the property that it breaks", async (t) => {
  const left = [...PLANTED_FAULTS];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let fault = left.shift(); fault !== undefined; fault = left.shift()) {
      const { name, caughtBy, seed } = fault;
      const target = Deno.makeTempDirSync({ prefix: "quorate-fault-" });
      try {
        for (const folder of SOURCES) copySources(target, folder);
        plant(target, fault);
        const { code, output } = await simulate(target, seed);
        await t.step({
          name,
          fn: () => {
            assert.equal(code, 1, `it was not caught: ${output}`);
            const property = brokenProperty(output);
            assert(property !== undefined && caughtBy.includes(property), output);
          },
          sanitizeOps: false,
          sanitizeResources: false,
          sanitizeExit: false,
        });
      } finally {
        Deno.removeSync(target, { recursive: true });
      }
    }
  }));
});
