/**
 * The tours of README.md, each run as printed in a copy of the checkout, with other ports.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ROOT, shellBlocks, splitTours } from "../readme.ts";

/** What a newcomer has after cloning, as far as the commands need it. */
const CHECKOUT = [
  "deno.json",
  "deno.lock",
  "THIRD_PARTY_NOTICES",
  "node",
  "enclave",
  "shared",
  "console",
  "getting_started",
];

type Expectation = readonly [command: RegExp, output: RegExp];

/** What the commands of each tour must say, in order. */
const ONE_NODE: readonly Expectation[] = [
  [/^curl -sS -i .*log\/private/m, /x-ms-ccf-transaction-id: 2\.\d+\s[\s\S]*true/],
  [/^curl .*log\/private\?id=42"/m, /\{"msg":"hello"\}/],
  [/^deno task run call "\/app\/log\/private\?id=42"/m, /\{"msg":"hello"\}/],
  [/^curl .*\/rpc$/m, /"result":true,"tx_id":"2\./],
  [/^deno task run call \/rpc/m, /"result":true,"tx_id":"2\./],
  [/^curl --cacert .*log\/public/m, /\{"msg":"for all"\}/],
  [/^deno task run call "\/app\/log\/public/m, /\{"msg":"for all"\}/],
  [/^deno task run receipt verify/m, /^Verified: workspace\/receipt\.json$/m],
  [/^deno task run ledger verify/m, /[Vv]erified/],
  [/^deno task run ledger decrypt/m, /hello/],
  [/^curl .*ledger\/entries/m, /x-quorate-ledger-range: 1-12\s/],
  [/^curl .*ledger\/writes/m, /"seqnos":\[\d+,.*1\]/],
  [/^deno task run call .*ledger\/writes/m, /"seqnos":\[\d+,.*1\]/],
  [
    /^deno task run quote verify https/m,
    /^Virtual: all else holds of node [\s\S]*^Saved in workspace\/evidence\.json\nPinned 2\.\d+ in workspace\/service\.pin$/m,
  ],
  [/^deno task run quote verify workspace/m, /^ {2}ok {2}decisions: [\s\S]*^Virtual: all else holds of node /m],
  [/^deno task run ledger verify .* --pin/m, /^ {2}pinned in workspace\/service\.pin$/m],
  [/^deno task run member list/m, /Accepted/],
  [/^deno task run ledger verify .* --governance/m, /requests of members were decided again; findings: 0/],
  [/^deno task run member propose/m, /Open, committed as transaction 2\./],
  [/^deno task run call "\/gov\/service\/proposals:dry-run/m, /"passesIf"/],
];

const SEVERAL_NODES: readonly Expectation[] = [
  [/^curl .*log\/private\?id=7"/m, /\{"msg":"by way of node 1"\}/],
  [/^deno task run call "\/app\/log\/private\?id=7".*--node 2/m, /\{"msg":"by way of node 1"\}/],
  [/--check$/m, /is a valid configuration/],
  [/^deno task run call "\/node\/network\/nodes\/\$/m, /"status":"Trusted"/],
  [
    /^deno task run quote verify/m,
    /^ {2}ok {2}node .*trusted by proposal .* \(transition_node_to_trusted\)[\s\S]*^Virtual: /m,
  ],
  [/^deno task run call \/node\/network\/removable_nodes/m, /"status":"Retired"/],
  [/^deno task run call -X DELETE/m, /true/],
  [/^deno task run call \/node\/network --node 1/m, /"primary_id":"[0-9a-f]{64}"/],
  [/"still here"/m, /true/],
];

/** Distance from a node's port for clients with certificates to its others, see node/sandbox.ts. */
const PORT_STEPS = [0, 1000, 2000];
const NODES = 4;

function freePort(): number {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 20000 + Math.floor(Math.random() * 10000);
    try {
      for (const step of PORT_STEPS) {
        for (let i = 0; i < NODES; i++) Deno.listen({ hostname: "127.0.0.1", port: port + step + i }).close();
      }
      return port;
    } catch {
      continue;
    }
  }
  throw new Error("Cannot find a free port for each interface of each node");
}

/** The commands of a block: a line each, but for what goes into a file up to END. */
function commandsOf(block: string): string[] {
  return block.trim().match(/^.*<<'END'\n[\s\S]*?^END$|^.+$/gm) ?? [];
}

/** A node, or several, in a process that goes on while other commands run. */
class Background {
  readonly #process: Deno.ChildProcess;
  readonly #output: Promise<void>;
  #text = "";

  constructor(command: string, cwd: string) {
    this.#process = new Deno.Command("bash", {
      args: ["-c", `exec ${command} 2>&1`],
      cwd,
      stdout: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#output = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) this.#text += text;
  }

  async says(words: RegExp): Promise<void> {
    for (let i = 0; !words.test(this.#text); i++) {
      if (i === 600) throw new Error(`It does not say ${words} within a minute:\n${this.#text}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  async stop(): Promise<void> {
    try {
      this.#process.kill("SIGTERM"); // the task runner hands it on
    } catch {
      // It has ended.
    }
    await this.#process.status;
    await this.#output;
  }
}

const titles = ["one node", "several nodes"];
const expectations = [ONE_NODE, SEVERAL_NODES];

for (const [i, tour] of splitTours().tours.entries()) {
  Deno.test(`README.md: the tour of ${titles[i]} works as printed`, async (t) => {
    const expected = expectations[i]!;
    const folder = await Deno.makeTempDir({ prefix: "quorate_tour_" });
    const port = freePort();
    const blocks = shellBlocks(tour).map((block) =>
      block.replace(/127\.0\.0\.1:(8|9|10)00(\d)/g, (_, thousands, node) => {
        return `127.0.0.1:${port + 1000 * (Number(thousands) - 8) + Number(node)}`;
      })
    );
    await bash(`cp -r ${CHECKOUT.map((name) => JSON.stringify(join(ROOT, name))).join(" ")} .`, folder);
    const running: Background[] = [];
    const seen = new Set<number>();
    try {
      for (const block of blocks) {
        const commands = commandsOf(block);
        await t.step(commands.join(" ⏎ "), async () => {
          for (const command of commands) {
            if (/^deno task run node(?!.*--check)/.test(command)) {
              const isSandbox = !command.includes("--config");
              const node = new Background(isSandbox ? `${command} --port ${port}` : command, folder);
              running.unshift(node);
              await node.says(isSandbox ? /Ctrl-C stops/ : /is Pending/);
              continue;
            }
            const output = await bash(command, folder);
            expected.forEach(([words, answer], i) => {
              if (!words.test(command)) return;
              seen.add(i);
              assert.match(output, answer);
            });
          }
        });
      }
      assert.deepEqual(
        [...seen].sort((a, b) => a - b),
        expected.map((_, i) => i),
        "every expectation meets its command",
      );
    } finally {
      for (const node of running) await node.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** Standard output and error of a line that must succeed. */
async function bash(line: string, cwd: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", line],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.equal(code, 0, `${line}\n${text}`);
  return text;
}
