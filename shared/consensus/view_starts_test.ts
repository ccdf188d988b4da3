import { strict as assert } from "node:assert";
import fc from "fast-check";
import { ViewStarts } from "./view_starts.ts";

Deno.test("ViewStarts tells the view of each seqno, and where views start and end", () => {
  // The example of consensus.md §5.
  const starts = new ViewStarts([2, 4, 4, 10]);
  assert.deepEqual([0, 1, 2, 3, 4, 9, 10, 1000].map((seqno) => starts.viewAt(seqno)), [0, 0, 1, 1, 3, 3, 4, 4]);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((view) => starts.startOf(view)), [0, 2, 0, 4, 10, 0]);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((view) => starts.endOf(view)), [0, 3, 0, 9, 0, 0]);
  assert.deepEqual([1, 3, 4, 10].map((seqno) => starts.until(seqno)), [[], [2], [2, 4, 4], [2, 4, 4, 10]]);
  assert.deepEqual([0, 1, 3, 4, 5].map((view) => starts.since(view)), [
    [2, 4, 4, 10],
    [2, 4, 4, 10],
    [4, 10],
    [10],
    [],
  ]);
});

Deno.test("ViewStarts starts skipped views where the next one starts", () => {
  const starts = new ViewStarts();
  starts.update(3, 2);
  assert.deepEqual([2, 3].map((seqno) => starts.viewAt(seqno)), [0, 2]);
  assert.deepEqual(starts.list, [3, 3]);
});

Deno.test("ViewStarts keeps the start of a view that it knows", () => {
  const starts = new ViewStarts([1, 1]);
  starts.update(7, 2);
  starts.update(7, 1);
  assert.deepEqual(starts.list, [1, 1]);
});

Deno.test("ViewStarts takes no start before the latest", () => {
  const starts = new ViewStarts([1, 5]);
  assert.throws(() => starts.update(4, 3), { name: "AssertionFailed" });
  assert.throws(() => new ViewStarts([5, 4]), { name: "AssertionFailed" });
});

Deno.test("ViewStarts forgets views that start after a rollback", () => {
  const starts = new ViewStarts([2, 4, 4, 10]);
  starts.rollback(10);
  assert.deepEqual(starts.list, [2, 4, 4, 10]);
  starts.rollback(9);
  assert.deepEqual(starts.list, [2, 4, 4]);
  starts.rollback(3);
  assert.deepEqual(starts.list, [2]);
  starts.rollback(0);
  assert.deepEqual(starts.list, []);
});

Deno.test("property: ViewStarts agrees with a list of the views of all entries", () => {
  const step = fc.oneof(
    fc.record({ append: fc.nat({ max: 2 }) }),
    fc.record({ rollback: fc.nat({ max: 100 }) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const views: number[] = [];
    const starts = new ViewStarts();
    let latest = 1;
    for (const step of steps) {
      if ("append" in step) {
        latest += step.append;
        views.push(latest);
        starts.update(views.length, latest);
      } else {
        views.length = Math.min(views.length, step.rollback);
        starts.rollback(views.length);
      }
      views.forEach((view, i) => assert.equal(starts.viewAt(i + 1), view));
      for (let view = 0; view <= latest + 1; view++) {
        assert.equal(starts.startOf(view), views.indexOf(view) + 1);
        const isLast = view === starts.list.length;
        assert.equal(starts.endOf(view), isLast ? 0 : views.lastIndexOf(view) + 1);
      }
    }
  }));
});
