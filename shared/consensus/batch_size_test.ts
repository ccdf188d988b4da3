import { strict as assert } from "node:assert";
import { BatchSize } from "./batch_size.ts";

/** Sizes after each of `updates` updates, by the formula of consensus.md §9 in exact integers. */
function expectedSizes(average: bigint, updates: number): number[] {
  let sum = 0n;
  return Array.from({ length: updates }, () => {
    sum += (average === 0n ? 10_000n : 20_000n / average) - sum / 100n;
    return Number(sum / 100n > 1n ? sum / 100n : 1n);
  });
}

Deno.test("a BatchSize begins with 20 and moves slowly to what fits in 20 000 bytes", () => {
  const batch = new BatchSize();
  assert.equal(batch.entries, 20);
  for (let i = 0; i < 7; i++) batch.count(100);
  const sizes = Array.from({ length: 1000 }, () => {
    batch.update();
    return batch.entries;
  });
  // By hand: sums of 200, 398, 595, 790, 983, 1174.
  assert.deepEqual(sizes.slice(0, 6), [2, 3, 5, 7, 9, 11]);
  assert.deepEqual(sizes, expectedSizes(100n, 1000));
  assert.equal(sizes.at(-1), 200);
});

Deno.test("a BatchSize is 1 where nothing was counted or entries are large, and at most 10 000", () => {
  const idle = new BatchSize();
  for (let i = 0; i < 50; i++) idle.update();
  assert.equal(idle.entries, 1);

  const large = new BatchSize();
  large.count(1_000_000);
  for (let i = 0; i < 300; i++) large.update();
  assert.equal(large.entries, 1);

  const empty = new BatchSize();
  empty.count(0);
  const sizes = Array.from({ length: 2000 }, () => {
    empty.update();
    return empty.entries;
  });
  assert.equal(sizes[0], 100);
  assert.deepEqual(sizes, expectedSizes(0n, 2000));
  assert.equal(sizes.at(-1), 10_000);
});

Deno.test("a BatchSize tells when 20 000 bytes have come together, and starts over when told", () => {
  const batch = new BatchSize();
  assert.equal(batch.count(19_999), false);
  assert.equal(batch.count(1), true);
  assert.equal(batch.count(1), true);
  batch.startOver();
  assert.equal(batch.count(19_999), false);
});
