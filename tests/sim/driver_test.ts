import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromFileUrl } from "../paths.ts";
import { teamData, teamTest } from "../team_data.ts";
import { Driver, runScenario } from "./driver.ts";
import { SeededRandom } from "./random.ts";
import { parseScenario } from "./scenario.ts";

/** Election timers draw anew with each. */
const SEEDS = 30;
/** Of random scenarios: the same in each run, so that what fails is new in the code. Others are for `deno task sim`. */
const RANDOM_SEED = 1;

const ownFolder = fromFileUrl(new URL("../scenarios", import.meta.url));

function scenariosIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => !name.endsWith(".md")).sort();
}

function runWithAllSeeds(path: string): void {
  const text = Deno.readTextFileSync(path);
  for (let seed = 0; seed < SEEDS; seed++) {
    assert.doesNotThrow(() => runScenario(text, new SeededRandom(seed)), `${path} with seed ${seed}`);
  }
}

const run = (...lines: string[]) => runScenario(lines.join("\n"), new SeededRandom(1));
const failure = (...lines: string[]) => {
  try {
    run(...lines);
  } catch (error) {
    return (error as Error).message;
  }
  return undefined;
};

teamTest("runScenario() passes each of CCF's scenarios, unmodified, whatever election timers draw", async (t) => {
  const folder = teamData("ccf/raft_scenarios");
  const names = scenariosIn(folder);
  assert.ok(names.length >= 19);
  for (const name of names) await t.step(name, () => runWithAllSeeds(`${folder}/${name}`));
});

Deno.test("runScenario() passes each of our own scenarios, whatever election timers draw", async (t) => {
  for (const name of scenariosIn(ownFolder)) await t.step(name, () => runWithAllSeeds(`${ownFolder}/${name}`));
});

Deno.test("parseScenario() cuts comments and trailing space, keeps leading space, and stops at ====", () => {
  const text = "# all\n\na,b c ,d # e\r\n x\n,\nreplicate,2,\n====,not,read\nnever\n";
  assert.deepEqual(parseScenario(text), [
    { line: 3, name: "a", fields: ["b c ", "d"], text: "a,b c ,d" },
    { line: 4, name: " x", fields: [], text: " x" },
    { line: 5, name: "", fields: [], text: "," },
    { line: 6, name: "replicate", fields: ["2"], text: "replicate,2," },
  ]);
});

Deno.test("runScenario() refuses what the language does not have", () => {
  const table: readonly [lines: string[], message: string][] = [
    [["start_nod,0"], 'Line 1, start_nod,0: There is no command "start_nod"'],
    [["start_node"], "Line 1, start_node: start_node takes 1 fields; there are 0"],
    [["start_node,0,1"], "Line 1, start_node,0,1: start_node takes 1 fields; there are 2"],
    [["toString"], 'Line 1, toString: There is no command "toString"'],
    [["start_node,0", "periodic_one,0,1x"], 'Line 2, periodic_one,0,1x: "1x" is not a number'],
    [["start_node,0", "periodic_one,0,-1"], 'Line 2, periodic_one,0,-1: "-1" is not a number'],
    [["pre_vote_enabled,yes"], "Line 1, pre_vote_enabled,yes: pre_vote_enabled is true or false, not yes"],
    [["start_node,0", "swap_nodes,2,0,in,1"], 'Line 2, swap_nodes,2,0,in,1: The nodes follow "in" or "out", not 0'],
  ];
  for (const [lines, message] of table) assert.equal(failure(...lines), message);
});

Deno.test("runScenario() refuses what cannot be done", () => {
  const table: readonly [lines: string[], message: string][] = [
    [["start_node,0", "start_node,1"], "start_node makes the first node; there are others already"],
    [["start_node,0", "create_new_node,0"], "There is a node 0 already"],
    [["start_node,0", "emit_signature,3"], "No node is primary in view 3"],
    [["start_node,0", "cleanup_nodes,2,7"], "There is no node 7"],
    [["start_node,0", "nominate_successor,7"], "There is no node 7"],
    [["create_new_node,0"], "There is no primary to agree with"],
  ];
  for (const [lines, message] of table) assert.equal(failure(...lines)?.split(": ").slice(1).join(": "), message);
  // Where nobody leads, "latest" does nothing.
  assert.equal(failure("nodes,0", "emit_signature,latest", "nominate_successor,0", "periodic_one,0,100"), undefined);
});

Deno.test("runScenario() fails where an assertion of the scenario does not hold", () => {
  const start = ["start_node,0", "emit_signature,2", "assert_commit_idx,0,2"];
  const table: readonly [line: string, message: string][] = [
    ["assert_commit_idx,0,3", "0 committed 2, not 3"],
    ["assert_detail,0,leadership_state,Follower", "leadership_state of 0 is Leader"],
    ["assert_!detail,0,current_view,2", "current_view of 0 is 2"],
    ["assert_detail,0,retirement_phase,Ordered", "0 has no detail retirement_phase"],
    ["assert_!detail,0,retirement_phase,Ordered", "0 has no detail retirement_phase"],
    ["assert_config,0,1,0,1", "0 has {0} of 1"],
    ["assert_config,0,2,0", "0 has no configuration of 2"],
    ["assert_absent_config,0,1", "0 has {0} of 1"],
  ];
  for (const [line, message] of table) assert.equal(failure(...start, line), `Line 4, ${line}: ${message}`);
  const two = [...start, "create_new_node,1"];
  assert.equal(failure(...two, "assert_state_sync"), "Line 5, assert_state_sync: 0 is in view 2, 1 in view 0");
});

Deno.test("runScenario() ends with agreement, of active nodes alone", () => {
  const start = ["start_node,0", "emit_signature,2", "trust_nodes,2,1,2", "emit_signature,2"];
  assert.equal(failure(...start), undefined);
  // Node 9 is never told anything, and is no member.
  assert.match(
    failure(...start, "create_new_node,9")!,
    /^Line 6, loop_until_sync \(end\): No agreement after 20 rounds/,
  );
});

Deno.test("runScenario() prints each command and what came of it", () => {
  const lines: string[] = [];
  runScenario("start_node,0\nemit_signature,2 # signs", new SeededRandom(1), (line) => lines.push(line));
  const text = lines.join("\n");
  assert.match(text, /^\nstart_node,0\n +0 LEADS/);
  assert.match(text, /\nemit_signature,2\n +0 appends 2, a signature .*\n +0 COMMITS 2 /);
});

/** As CCF's own generator makes them (raft-scenario-language.md §7), with signatures. */
function randomScenario(): fc.Arbitrary<string[]> {
  const step = fc.oneof(
    fc.constant("dispatch_all"),
    fc.oneof({ arbitrary: fc.nat(19), weight: 10 }, { arbitrary: fc.integer({ min: 100, max: 499 }), weight: 1 }).map((
      ms,
    ) => `periodic_all,${ms}`),
    fc.nat(99).map((number) => `replicate,latest,hello ${number}`),
    fc.constant("emit_signature,latest"),
  );
  const nodes = ["0", "1", "2"];
  const start = ["nodes,0,1,2", "connect,0,1", "connect,1,2", "connect,0,2"];
  const round = ["dispatch_all", "periodic_all,10", "dispatch_all", "periodic_all,10"];
  // Who leads and is given 100 ms at once steps down, so there is time for a few more elections.
  const end = [
    ...nodes.flatMap((node) => [`periodic_one,${node},100`, ...round, ...round]),
    ...Array<string[]>(100).fill(round).flat(),
  ];
  return fc.array(step, { minLength: 25, maxLength: 25 }).map((steps) => [...start, ...steps, ...end]);
}

Deno.test("runScenario() passes random scenarios", () => {
  fc.assert(
    fc.property(randomScenario(), fc.nat(), (lines, seed) => runScenario(lines.join("\n"), new SeededRandom(seed))),
    { numRuns: 100, seed: RANDOM_SEED },
  );
});

/** Anything that the network and the members may do to five nodes, messages read late and out of order among it. */
function randomCommands(): fc.Arbitrary<string[]> {
  const node = fc.nat(4).map(String);
  const pair = fc.tuple(node, node).filter(([a, b]) => a !== b).map(([a, b]) => `${a},${b}`);
  const removal = fc.nat(4).map((out) => `swap_nodes,latest,out,${out}`);
  const step = fc.oneof(
    { arbitrary: pair.map((ways) => `dispatch_single,${ways}`), weight: 12 },
    { arbitrary: node.map((id) => `dispatch_one,${id}`), weight: 2 },
    { arbitrary: fc.constant("dispatch_all_once"), weight: 2 },
    { arbitrary: node.map((id) => `periodic_one,${id},10`), weight: 6 },
    { arbitrary: node.map((id) => `periodic_one,${id},100`), weight: 4 },
    { arbitrary: fc.constant("replicate,latest,x"), weight: 3 },
    { arbitrary: fc.constant("emit_signature,latest"), weight: 4 },
    { arbitrary: pair.map((ways) => `drop_pending_to,${ways}`), weight: 2 },
    { arbitrary: node.map((id) => `shuffle_one,${id}`), weight: 1 },
    { arbitrary: pair.map((ways) => `disconnect,${ways}`), weight: 2 },
    { arbitrary: pair.map((ways) => `reconnect,${ways}`), weight: 3 },
    { arbitrary: node.map((id) => `nominate_successor,${id}`), weight: 1 },
    { arbitrary: removal, weight: 1 },
  );
  const start = ["start_node,0", "emit_signature,2", "trust_nodes,2,1,2,3,4", "emit_signature,2", "dispatch_all"];
  return fc.tuple(fc.boolean(), fc.array(step, { minLength: 20, maxLength: 150 }))
    .map(([preVote, steps]) => [`pre_vote_enabled,${preVote}`, ...start, ...steps]);
}

Deno.test("Driver.run() finds no property that does not hold, whatever the network does", () => {
  fc.assert(
    fc.property(randomCommands(), fc.nat(), (lines, seed) => {
      const driver = new Driver(new SeededRandom(seed));
      for (const command of parseScenario(lines.join("\n"))) driver.run(command);
    }),
    { numRuns: 300, seed: RANDOM_SEED },
  );
});
