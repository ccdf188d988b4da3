/**
 * The tour of README.md, run as printed in a copy of the checkout, with other ports.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { statSyncOrUndefined } from "../paths.ts";
import { ROOT, shellBlocks, splitTour } from "../readme.ts";

/** What a newcomer has after cloning, as far as the commands need it. */
const CHECKOUT = ["deno.json", "deno.lock", "node", "enclave", "shared", "getting_started"];

/** What the commands of the tour must say, in order. */
const EXPECTED: readonly (readonly [command: RegExp, output: RegExp])[] = [
  [/^curl -i .*log\/private/m, /x-ms-ccf-transaction-id: 2\.15\s[\s\S]*true/],
  [/^curl .*log\/private\?id=42"/m, /\{"msg":"hello"\}/],
  [/^deno task run call "\/app\/log\/private\?id=42"/m, /\{"msg":"hello"\}/],
  [/^curl .*\/rpc$/m, /"result":true,"tx_id":"2\./],
  [/^deno task run call \/rpc/m, /"result":true,"tx_id":"2\./],
  [/^curl --cacert .*log\/public/m, /\{"msg":"for all"\}/],
  [/^deno task run call "\/app\/log\/public/m, /\{"msg":"for all"\}/],
  [/^deno task run receipt verify/m, /^Verified: workspace\/receipt\.json$/m],
  [/^deno task run ledger verify/m, /[Vv]erified/],
  [/^deno task run ledger decrypt/m, /hello/],
  [/^deno task run member list/m, /Accepted/],
  [/^deno task run ledger verify .* --governance/m, /requests of members were decided again; findings: 0/],
  [/^deno task run member propose/m, /Open, committed as transaction 2\./],
  [/^deno task run call "\/gov\/service\/proposals:dry-run/m, /"passesIf"/],
];

function freePort(): number {
  // The web interface listens a thousand further on, the one between nodes two thousand.
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 20000 + Math.floor(Math.random() * 20000);
    try {
      for (const wanted of [port, port + 1000, port + 2000]) {
        Deno.listen({ hostname: "127.0.0.1", port: wanted }).close();
      }
      return port;
    } catch {
      continue;
    }
  }
  throw new Error("Cannot find three free ports");
}

Deno.test("README.md: the tour works as printed", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "quorate_tour_" });
  const port = freePort();
  const [start, ...blocks] = shellBlocks(splitTour().tour).map((block) =>
    block.replaceAll("127.0.0.1:8000", `127.0.0.1:${port}`).replaceAll("127.0.0.1:9000", `127.0.0.1:${port + 1000}`)
  );
  assert.equal(start, "deno task run node\n");
  await bash(`cp -r ${CHECKOUT.map((name) => JSON.stringify(join(ROOT, name))).join(" ")} .`, folder);
  const node = new Deno.Command("bash", {
    args: ["-c", `exec deno task run node --port ${port}`],
    cwd: folder,
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    for (let i = 0; i < 600 && statSyncOrUndefined(join(folder, "workspace/sandbox.json")) === undefined; i++) {
      await new Promise((done) => setTimeout(done, 100));
    }
    const seen = new Set<number>();
    for (const block of blocks) {
      const lines = block.trim().split("\n");
      await t.step(lines.join(" ⏎ "), async () => {
        for (const line of lines) {
          const output = await bash(line, folder);
          EXPECTED.forEach(([command, expected], i) => {
            if (!command.test(line)) return;
            seen.add(i);
            assert.match(output, expected);
          });
        }
      });
    }
    assert.deepEqual([...seen].sort((a, b) => a - b), EXPECTED.map((_, i) => i), "every expectation meets its command");
  } finally {
    try {
      Deno.kill(Number(Deno.readTextFileSync(join(folder, "workspace/node0/node.pid"))), "SIGTERM");
    } catch {
      node.kill("SIGKILL");
    }
    await node.status;
    await Deno.remove(folder, { recursive: true });
  }
});

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
