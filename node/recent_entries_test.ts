import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat } from "../shared/bytes.ts";
import { RecentEntries } from "./recent_entries.ts";

const entry = (value: number, length: number) => new Uint8Array(length).fill(value);

Deno.test("RecentEntries.range() is entries back to back, and undefined where one is not there", () => {
  const recent = new RecentEntries(1000, 10);
  assert.equal(recent.range(1, 1), undefined);
  recent.append(5, entry(5, 4));
  recent.append(6, entry(6, 3));
  recent.append(7, entry(7, 25));
  recent.append(8, entry(8, 10));
  assert.deepEqual(recent.range(5, 8), concat(entry(5, 4), entry(6, 3), entry(7, 25), entry(8, 10)));
  assert.deepEqual(recent.range(6, 6), entry(6, 3));
  for (const [from, to] of [[4, 5], [8, 9], [9, 9], [1, 20]] as const) assert.equal(recent.range(from, to), undefined);
  assert.throws(() => recent.append(10, entry(1, 1)), /in order/);
});

Deno.test("RecentEntries keeps what was handed out as it was, whatever is rolled back and appended afterwards", () => {
  const recent = new RecentEntries(1000, 100);
  const original = entry(1, 8);
  recent.append(1, original);
  recent.append(2, entry(2, 8));
  original.fill(9);
  const before = recent.range(1, 2)!;
  recent.truncate(1);
  recent.append(2, entry(7, 8));
  assert.deepEqual(before, concat(entry(1, 8), entry(2, 8)));
  assert.deepEqual(recent.range(1, 2), concat(entry(1, 8), entry(7, 8)));
  recent.truncate(0);
  assert.equal(recent.range(1, 1), undefined);
  recent.append(1, entry(3, 1));
  assert.deepEqual(recent.range(1, 1), entry(3, 1));
});

Deno.test("RecentEntries forgets the oldest first, and holds an entry that is larger than everything", () => {
  const recent = new RecentEntries(30, 10);
  for (let seqno = 1; seqno <= 4; seqno++) recent.append(seqno, entry(seqno, 9));
  assert.equal(recent.range(1, 4), undefined);
  assert.deepEqual(recent.range(2, 4), concat(entry(2, 9), entry(3, 9), entry(4, 9)));
  recent.append(5, entry(5, 50));
  assert.equal(recent.range(4, 5), undefined);
  assert.deepEqual(recent.range(5, 5), entry(5, 50));
});

Deno.test("RecentEntries agrees with a plain list, whatever is appended and rolled back", () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ append: fc.uint8Array({ minLength: 1, maxLength: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ keep: fc.nat({ max: 40 }) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 100 }), (steps, first) => {
      const recent = new RecentEntries(200, 50);
      const list: Uint8Array[] = [];
      for (const step of steps) {
        if ("append" in step) {
          recent.append(first + list.length, step.append);
          list.push(step.append);
        } else {
          list.length = Math.min(list.length, step.keep);
          recent.truncate(first + list.length - 1);
        }
        const last = first + list.length - 1;
        for (let from = first; from <= last; from++) {
          const range = recent.range(from, last);
          if (range !== undefined) assert.deepEqual(range, concat(...list.slice(from - first)));
        }
        // What fits one block is there right after it was appended.
        if ("append" in step) assert.notEqual(recent.range(last, last), undefined);
        assert.equal(recent.range(last + 1, last + 1), undefined);
      }
    }),
  );
});
