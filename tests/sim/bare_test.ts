import { strict as assert } from "node:assert";
import { runSchedule, type ScheduleReport } from "./bare.ts";

const SCHEDULES = 60;

Deno.test("runSchedule() finds no property of consensus that does not hold, and sees what can happen", () => {
  const reports = Array.from({ length: SCHEDULES }, (_, at) => runSchedule(1000 + at));
  const most = (of: (report: ScheduleReport) => number) => Math.max(...reports.map(of));
  assert.ok(most(({ elections }) => elections) > 10);
  assert.ok(most(({ committed }) => committed) > 100);
  assert.ok(most(({ configurations }) => configurations) > 5);
  assert.ok(most(({ retired }) => retired) > 5);
  assert.ok(most(({ crashed }) => crashed) > 1);
});

Deno.test("runSchedule() sees every kind of message and of change", () => {
  const seen = new Set<string>();
  const kinds = [
    /▶ \d+ heartbeat/,
    /▶ \d+ entries/,
    /▶ \d+ OK/,
    /▶ \d+ FAIL/,
    /▶ \d+ request pre-vote/,
    /▶ \d+ request vote/,
    /▶ \d+ grants vote/,
    /▶ \d+ denies vote/,
    /▶ \d+ denies pre-vote/,
    /▶ \d+ proposes to run/,
    /LEADS/,
    /COMMITS/,
    /CRASHES/,
    /nor back/,
    /pauses/,
    /the clock of/,
    /stopped by its operator/,
    / lost: /,
    / cut off: /,
    ...["Ordered", "Signed", "Completed", "RetiredCommitted"].map((phase) => new RegExp(` ${phase},`)),
  ];
  for (let seed = 1; seed <= 30; seed++) {
    runSchedule(seed, {
      print: (line) => kinds.forEach((kind) => kind.test(line) && seen.add(kind.source)),
    });
  }
  assert.deepEqual(kinds.map(({ source }) => source).filter((source) => !seen.has(source)), []);
});

Deno.test("runSchedule() is the same for the same seed, and another for another", () => {
  const score = (seed: number) => {
    const lines: string[] = [];
    runSchedule(seed, { print: (line) => lines.push(line) });
    return lines.join("\n");
  };
  assert.equal(score(7), score(7));
  assert.notEqual(score(7), score(8));
});
