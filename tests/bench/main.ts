/**
 * `deno task bench`: what a node does in a second, measured on this machine; README.md says what the figures mean.
 *
 * In: which groups to run: replay, enclave, governance, attestation, tls, size, start are the default; console takes five
 * minutes, network twenty, which may be taken in parts. Out: a table, and `--json FILE` with the same figures, their ratio to the
 * target, the machine and the versions. It uses only addresses of this machine, and stops by itself.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { benchAttestation } from "./attestation.ts";
import { benchAttestationBrowser } from "./attestation_browser.ts";
import { benchConsole } from "./console.ts";
import { benchEnclave } from "./enclave.ts";
import type { Figure } from "./figure.ts";
import { benchGovernance } from "./governance.ts";
import { benchNetworkRates } from "./network.ts";
import { benchNetworkState } from "./network_state.ts";
import { benchNetworkWaits } from "./network_waits.ts";
import { benchReplay } from "./replay.ts";
import { benchSize } from "./size.ts";
import { benchStart } from "./start.ts";
import { benchTls } from "./tls.ts";

type Bench = (seconds: number) => Promise<Figure[]>;

const GROUPS: Readonly<Record<string, Bench>> = {
  replay: benchReplay,
  enclave: benchEnclave,
  governance: benchGovernance,
  attestation: async (seconds) => [...await benchAttestation(seconds), ...await benchAttestationBrowser()],
  tls: benchTls,
  size: benchSize,
  start: benchStart,
};
/** Not among the default ones: they take long. */
const NETWORK: Readonly<Record<string, Bench>> = {
  "network-rates": benchNetworkRates,
  "network-waits": benchNetworkWaits,
  "network-state": benchNetworkState,
};
const ALL: Readonly<Record<string, Bench>> = { ...GROUPS, console: benchConsole, ...NETWORK };

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { json: { type: "string" }, seconds: { type: "string", default: "4" }, help: { type: "boolean" } },
  allowPositionals: true,
});

if (values.help === true) {
  console.log(
    `deno task bench [${[...Object.keys(GROUPS), "console", "network"].join("|")}]… [--seconds N] [--json FILE]`,
  );
  Deno.exit(0);
}

const names = positionals.flatMap((name) => name === "network" ? Object.keys(NETWORK) : [name]);
const unknown = names.find((name) => !Object.hasOwn(ALL, name));
if (unknown !== undefined) {
  console.error(`There is no group ${unknown}; there are ${["network", ...Object.keys(ALL)].join(", ")}`);
  Deno.exit(2);
}

const figures: Figure[] = [];
for (const name of names.length === 0 ? Object.keys(GROUPS) : names) {
  console.error(`measuring ${name} …`);
  figures.push(...await ALL[name]!(Number(values.seconds)));
}

console.log(`\n${machine()}\n`);
for (const { group, what, value, unit, target, note } of figures) {
  const ratio = target === undefined
    ? ""
    : `${
      (unit.startsWith("ms") || unit === "s" || unit === "kB" ? target / value : value / target).toFixed(2)
    } of target ${target}`;
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
