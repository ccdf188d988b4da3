/**
 * `deno task bench`: what a node does in a second, measured on this machine; README.md says what the figures mean.
 *
 * In: which groups to run (default all): replay, enclave, governance, tls, size, start. Out: a table, and `--json FILE` with the same
 * figures, their ratio to the target, the machine and the versions. It uses only addresses of this machine, and stops by itself.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { benchEnclave } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { benchGovernance } from "./governance.ts";
import { benchReplay } from "./replay.ts";
import { benchSize } from "./size.ts";
import { benchStart } from "./start.ts";
import { benchTls } from "./tls.ts";

const GROUPS: Readonly<Record<string, (seconds: number) => Promise<Figure[]>>> = {
  replay: benchReplay,
  enclave: benchEnclave,
  governance: benchGovernance,
  tls: benchTls,
  size: benchSize,
  start: benchStart,
};

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { json: { type: "string" }, seconds: { type: "string", default: "4" }, help: { type: "boolean" } },
  allowPositionals: true,
});

if (values.help === true) {
  console.log(`deno task bench [${Object.keys(GROUPS).join("|")}]… [--seconds N] [--json FILE]`);
  Deno.exit(0);
}

const unknown = positionals.find((name) => !Object.hasOwn(GROUPS, name));
if (unknown !== undefined) {
  console.error(`There is no group ${unknown}; there are ${Object.keys(GROUPS).join(", ")}`);
  Deno.exit(2);
}

const figures: Figure[] = [];
for (const name of positionals.length === 0 ? Object.keys(GROUPS) : positionals) {
  console.error(`measuring ${name} …`);
  figures.push(...await GROUPS[name]!(Number(values.seconds)));
}

console.log(`\n${machine()}\n`);
for (const { group, what, value, unit, target, note } of figures) {
  const ratio = target === undefined
    ? ""
    : `${(unit.startsWith("ms") || unit === "s" ? target / value : value / target).toFixed(2)} of target ${target}`;
  console.log(
    `${group.padEnd(9)}${what.padEnd(58)}${format(value).padStart(10)} ${unit.padEnd(12)}${ratio.padEnd(24)}${
      note ?? ""
    }`,
  );
}
if (values.json !== undefined) {
  const document = { machine: machine(), date: new Date().toISOString(), deno: Deno.version, figures };
  Deno.writeTextFileSync(values.json, JSON.stringify(document, null, 2) + "\n");
}

function machine(): string {
  const cpu = cpus()[0]?.model ?? "unknown processor";
  return `${navigator.hardwareConcurrency} × ${cpu}, Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`;
}

function format(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
