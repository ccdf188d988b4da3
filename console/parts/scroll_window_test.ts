import { strict as assert } from "node:assert";
import fc from "fast-check";
import { afterScroll, barFor, MAX_SPACER_PIXELS, rowsInView, spacerHeight, topShowing } from "./scroll_window.ts";

const short = { rows: 1000, rowHeight: 36, viewHeight: 720 };
const long = { rows: 10_000_000, rowHeight: 36, viewHeight: 720 };

Deno.test("a list that a browser can hold scrolls as it is", () => {
  assert.equal(spacerHeight(short), 36_000);
  assert.deepEqual(afterScroll(short, { top: 0, bar: 0 }, 30_000), { top: 30_000, bar: 30_000 });
  assert.equal(barFor(short, 1234), 1234);
});

Deno.test("in a longer list a wheel moves by its own way, a drag by its share of the whole", () => {
  assert.equal(spacerHeight(long), MAX_SPACER_PIXELS);
  const middle = { top: 180_000_000, bar: barFor(long, 180_000_000) };
  assert.equal(afterScroll(long, middle, middle.bar + 100).top, 180_000_100);
  const dragged = afterScroll(long, middle, MAX_SPACER_PIXELS / 4).top;
  assert.ok(Math.abs(dragged / (long.rows * long.rowHeight) - 0.25) < 0.001);
});

Deno.test("the ends of the bar are the ends of the list", () => {
  const anywhere = { top: 5_000_000, bar: 10 };
  assert.equal(afterScroll(long, anywhere, 0).top, 0);
  const end = afterScroll(long, { top: 0, bar: MAX_SPACER_PIXELS - 800 }, MAX_SPACER_PIXELS - 720).top;
  assert.equal(rowsInView(long, end).last, long.rows - 1);
});

Deno.test("a row that is shown is in view, wherever one was", () => {
  fc.assert(fc.property(
    fc.constantFrom(short, long, { rows: 3, rowHeight: 36, viewHeight: 720 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 0.999, noNaN: true }),
    (list, where, which) => {
      const end = Math.max(0, list.rows * list.rowHeight - list.viewHeight);
      const row = Math.floor(which * list.rows);
      const top = topShowing(list, where * end, row);
      const { first, last } = rowsInView(list, top);
      assert.ok(first <= row && row <= last, `${first} ≤ ${row} ≤ ${last}`);
      assert.ok(top >= 0 && top <= end);
      assert.ok(last - first <= Math.ceil(list.viewHeight / list.rowHeight) + 1);
    },
  ));
});

Deno.test("a row in view stays where it is", () => {
  assert.equal(topShowing(short, 100, 10), 100);
});
