/**
 * Keeps README.md true: its commands have a runner here, its files exist, its version of Deno is the one that runs.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { statSyncOrUndefined } from "./paths.ts";
import { parseConfig } from "../node/config.ts";
import { constitutionFiles, DEFAULT_CONSTITUTION_FOLDER } from "../node/constitution_folder.ts";
import type { NodeConfig } from "../node/node_config.ts";
import { jsonBlocks, readme, ROOT, shellBlocks, splitTours } from "./readme.ts";

const read = (path: string) => Deno.readTextFileSync(join(ROOT, path));

/** Checks that a command of the README is what it says, without starting a service or the tests once more. */
type Runner = () => void | Promise<void>;

/** For each block of the README, word for word, how it is checked. A block without a runner is a failure. */
const RUNNERS: Readonly<Record<string, Runner>> = {
  "deno task run node\ndeno task test\n": () => hasTasks("run", "test"),
  "npx --yes deno@2.9.6 task run node\nnpx --yes deno@2.9.6 task test\n": () => hasTasks("run", "test"),
  // It runs until somebody stops it: tests/console and tests/e2e/console_relay_test.ts start it.
  "deno task run console\n": () => hasTasks("run"),
  "deno task console\ncd console/dist && sha256sum -c console.html.sha256\n": buildConsoleTwice,
};

/** As printed, and once more: two builds are equal. */
async function buildConsoleTwice(): Promise<void> {
  const block = "deno task console\ncd console/dist && sha256sum -c console.html.sha256\n";
  const hashes: string[] = [];
  for (let i = 0; i < 2; i++) {
    const { success, stdout, stderr } = await new Deno.Command("bash", { args: ["-ec", block], cwd: ROOT }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    assert.match(new TextDecoder().decode(stdout), /console\.html: OK/);
    hashes.push(read("console/dist/console.html.sha256"));
  }
  assert.equal(hashes[0], hashes[1]);
}

function hasTasks(...names: string[]): void {
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, { command: string }> };
  for (const name of names) {
    const command = tasks[name]?.command ?? "";
    const started = /\S+\.ts\b/.exec(command)?.[0];
    if (started !== undefined) assert.ok(statSyncOrUndefined(join(ROOT, started))?.isFile, `${started} exists`);
    else assert.match(command, /^deno task --quiet \S+$/);
  }
}

// The blocks of the tours are run as they stand by e2e/tour_test.ts.
Deno.test("every shell block of README.md has a runner, and every runner a block", () => {
  assert.deepEqual(shellBlocks(splitTours().rest), Object.keys(RUNNERS));
});

for (const [block, run] of Object.entries(RUNNERS)) {
  Deno.test(`README.md: ${block.trim().replaceAll("\n", " ⏎ ")}`, run);
}

Deno.test("README.md and CONTRIBUTING.md name files and folders that exist", () => {
  for (const document of ["README.md", "CONTRIBUTING.md"]) {
    const prose = read(document).replace(/^```[\s\S]*?^```$/gm, "");
    const spans = [...prose.matchAll(/`([\w.-]+(?:\/[\w.-]*)+|[A-Z_]+\.md|deno\.(?:json|lock))`/g)].map((match) =>
      match[1]!
    );
    const links = [...prose.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1]!);
    const missing = [...spans, ...links].filter((path) =>
      !path.startsWith("../") && statSyncOrUndefined(join(ROOT, path)) === undefined
    );
    assert.deepEqual(missing, [], document);
    assert.notEqual(spans.length, 0);
  }
});

Deno.test("README.md, CONTRIBUTING.md and .ci/run name the version of Deno that runs this", () => {
  for (
    const [document, pattern] of [
      ["README.md", /deno@([\d.]+\d)|\) ([\d.]+\d);/g],
      ["CONTRIBUTING.md", /deno@([\d.]+\d)|\) ([\d.]+\d),/g],
      [".ci/run", /deno_version=([\d.]+)/g],
    ] as const
  ) {
    const versions = [...read(document).matchAll(pattern)].map((match) => match[1] ?? match[2]);
    assert.notEqual(versions.length, 0, document);
    for (const version of versions) assert.equal(version, Deno.version.deno, document);
  }
});

Deno.test("README.md: configurations for three machines are ones, and their nodes would find each other", () => {
  const configs = jsonBlocks(readme).map((json, i) => parseConfig(json, `block ${i}`));
  assert.deepEqual(configs.map(({ command }) => command.type), ["Start", "Join"]);
  const [first, second] = configs.map(({ network }) => network.rpcInterfaces.get("primary_rpc_interface")!);
  const [{ command: start }, { command }] = configs as [NodeConfig, NodeConfig];
  assert.ok(start.type === "Start");
  assert.deepEqual(
    start.constitutionFiles.map((path) => join(ROOT, path)),
    constitutionFiles(DEFAULT_CONSTITUTION_FOLDER),
    "what a sandbox begins with",
  );
  assert.ok(command.type === "Join");
  assert.deepEqual(command.targetRpcAddress, first!.publishedAddress);
  assert.deepEqual(first!.operatorFeatures, second!.operatorFeatures);
  assert.deepEqual(configs.map(({ warnings }) => warnings), [[], []]);
});
