import { strict as assert } from "node:assert";
import fc from "fast-check";
import { OrderedMap } from "./ordered_map.ts";

/** Few enough keys that they are met again, many enough that nodes split and join at two levels. */
const keys = fc.nat({ max: 3000 }).map((n) => n.toString(36));
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("put", "put", "put", "delete", "delete", "clone", "burst"),
    key: keys,
    n: fc.nat(),
  }),
  { minLength: 1, maxLength: 300, size: "max" },
);

function sorted(model: ReadonlyMap<string, number>): [string, number][] {
  return [...model].sort(([a], [b]) => a < b ? -1 : 1);
}

Deno.test("OrderedMap does what a Map and a sort do, and a clone is left alone", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const map = new OrderedMap<number>();
      const model = new Map<string, number>();
      const clones: [OrderedMap<number>, [string, number][]][] = [];
      const put = (key: string, value: number) => {
        assert.equal(map.exchange(key, value), model.get(key));
        model.set(key, value);
      };
      const remove = (key: string) => {
        assert.equal(map.delete(key), model.get(key));
        model.delete(key);
      };
      for (const { kind, key, n } of steps) {
        if (kind === "put") put(key, n);
        if (kind === "delete") remove(key);
        if (kind === "clone") clones.push([map.clone(), sorted(model)]);
        if (kind === "burst") {
          for (let i = 0; i < 200; i++) (n % 2 === 0 ? put : remove)(((n + i * 7) % 3001).toString(36), i);
        }
        assert.equal(map.get(key), model.get(key));
        assert.equal(map.size, model.size);
      }
      assert.deepEqual([...map.entries()], sorted(model));
      const from = steps[0]!.key;
      assert.deepEqual([...map.entries(from)], sorted(model).filter(([key]) => key >= from));
      for (const [clone, expected] of clones) {
        assert.deepEqual([...clone.entries()], expected);
        assert.equal(clone.size, expected.length);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("OrderedMap keeps a clone that is changed apart from its source", () => {
  const source = new OrderedMap<number>();
  for (let i = 0; i < 500; i++) source.exchange(String(i), i);
  const clone = source.clone();
  for (let i = 0; i < 500; i += 2) clone.delete(String(i));
  clone.exchange("new", 1);
  source.exchange("1", -1);
  assert.equal(source.size, 500);
  assert.equal(source.get("0"), 0);
  assert.equal(source.get("new"), undefined);
  assert.equal(clone.size, 251);
  assert.equal(clone.get("1"), 1);
});

Deno.test("OrderedMap takes ascending and descending keys, and can be emptied either way", () => {
  const ascending = Array.from({ length: 5000 }, (_, i) => String(i).padStart(5, "0"));
  for (const inserted of [ascending, ascending.toReversed()]) {
    for (const deleted of [ascending, ascending.toReversed()]) {
      const map = new OrderedMap<string>();
      for (const key of inserted) map.exchange(key, key);
      assert.deepEqual(Array.from(map.entries(), ([key]) => key), ascending);
      for (const key of deleted) assert.equal(map.delete(key), key);
      assert.equal(map.size, 0);
      assert.deepEqual([...map.entries()], []);
      assert.equal(map.delete("0"), undefined);
      assert.equal(map.exchange("again", "x"), undefined);
      assert.deepEqual([...map.entries("a")], [["again", "x"]]);
    }
  }
});

Deno.test("OrderedMap compares keys as unsigned bytes, a prefix first", () => {
  const map = new OrderedMap<number>();
  for (const key of ["\xff", "\x80", "a", "", "a\0", "\0", "ab"]) map.exchange(key, 0);
  assert.deepEqual(Array.from(map.entries(), ([key]) => key), ["", "\0", "a", "a\0", "ab", "\x80", "\xff"]);
});
