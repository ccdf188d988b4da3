import { strict as assert } from "node:assert";
import { simulateElections } from "./election_times.ts";

const ELECTION_TIMEOUT_MS = 1000;
const ELECTIONS = 500;

function elections(nodes: number, slowestMs: number, signMs: number) {
  const all = simulateElections({
    seed: nodes + slowestMs + signMs,
    elections: ELECTIONS,
    nodes,
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    messageTimeoutMs: 100,
    delayMs: [Math.floor(slowestMs / 5), slowestMs],
    signMs,
  });
  return {
    longestMs: Math.max(...all.map(({ withoutLeaderMs }) => withoutLeaderMs)),
    shortestMs: Math.min(...all.map(({ withoutLeaderMs }) => withoutLeaderMs)),
    inSecondView: all.filter(({ views }) => views > 1).length,
  };
}

for (const signMs of [0, 20]) {
  for (const slowestMs of [2, 10, 40, 100]) {
    const traffic = signMs === 0 ? "without writes" : "with writes";
    Deno.test(`two of three nodes elect one at the first attempt, ${traffic} and messages of ${slowestMs} ms`, () => {
      const { longestMs, shortestMs, inSecondView } = elections(3, slowestMs, signMs);
      assert.equal(inSecondView, 0);
      assert.ok(longestMs <= 1.5 * ELECTION_TIMEOUT_MS, `${longestMs} ms`);
      assert.ok(shortestMs >= 0.35 * ELECTION_TIMEOUT_MS, `${shortestMs} ms: half of it, but for the last heartbeat`);
    });
  }
}

Deno.test("of larger networks one election in two hundred may take a second view", () => {
  for (const nodes of [4, 5, 7]) {
    for (const slowestMs of [10, 40]) {
      const { inSecondView } = elections(nodes, slowestMs, 0);
      assert.ok(inSecondView <= ELECTIONS / 200, `${inSecondView} of ${nodes} nodes, messages of ${slowestMs} ms`);
    }
  }
});
