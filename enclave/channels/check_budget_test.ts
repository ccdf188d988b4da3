import { strict as assert } from "node:assert";
import fc from "fast-check";
import {
  MAX_CHECKED_CONNECTIONS,
  MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION,
  MAX_KEY_EXCHANGE_CHECKS_PER_SECOND,
} from "../../shared/limits.ts";
import { CheckBudget } from "./check_budget.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];

Deno.test("CheckBudget gives each connection so many checks a second", () => {
  const budget = new CheckBudget();
  const count = (nowMs: number) =>
    Array.from({ length: 30 }, () => budget.mayCheck(1, A, nowMs)).filter(Boolean).length;
  assert.deepEqual([count(0), count(0), count(500), count(1500), count(9000)], [10, 0, 5, 10, 10]);
  assert.equal(count(0), 0, "a clock that goes back gives nothing");
});

Deno.test("CheckBudget keeps fresh connections apart from those that have come often, and both from proved ones", () => {
  const budget = new CheckBudget();
  budget.prove(0, A);
  const flood = (first: number) => {
    for (let i = 0; i < 200; i++) budget.mayCheck(first + i % 20, B, 0);
  };
  flood(1); // 40 fresh ones, and what there is of doubtful ones
  assert.deepEqual([budget.mayCheck(1, B, 0), budget.mayCheck(100, B, 0), budget.mayCheck(0, A, 0)], [
    false,
    true,
    true,
  ]);
  flood(200);
  assert.deepEqual([budget.mayCheck(101, B, 0), budget.mayCheck(0, A, 0), budget.mayCheck(0, B, 0)], [
    false,
    true,
    false,
  ]);
  budget.forget(A);
  assert.equal(budget.mayCheck(0, A, 0), false);
  assert.deepEqual([budget.prove(0, A), budget.prove(0, A), budget.mayCheck(0, A, 0)], [true, false, true]);
});

Deno.test("CheckBudget never allows more than three pools a second, nor holds more connections than it may", () => {
  const step = fc.record({
    connection: fc.nat(2 * MAX_CHECKED_CONNECTIONS),
    id: fc.constantFrom(A, B),
    prove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 3000, maxLength: 3000 }), (steps) => {
      const budget = new CheckBudget();
      const ofConnection = new Map<number, number>();
      let all = 0;
      for (const [i, { connection, id, prove }] of steps.entries()) {
        if (prove) budget.prove(connection, id);
        if (!budget.mayCheck(connection, id, i / 3000)) continue;
        all += 1;
        ofConnection.set(connection, (ofConnection.get(connection) ?? 0) + 1);
      }
      assert.ok(all <= 3 * MAX_KEY_EXCHANGE_CHECKS_PER_SECOND + 1);
      assert.ok(Math.max(...ofConnection.values()) <= MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION);
      assert.equal(budget.size <= MAX_CHECKED_CONNECTIONS, true);
    }),
    { numRuns: 20 },
  );
});
