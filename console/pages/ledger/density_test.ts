import { strict as assert } from "node:assert";
import fc from "fast-check";
import { densityParts } from "./density.ts";

Deno.test("parts are neighbours that cover all entries, as the worker counts them", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 50 }), (entries, buckets) => {
    fc.pre(buckets <= entries);
    const first = 7;
    // As the worker does: the entry at place i belongs to bucket floor(i * buckets / entries).
    const counts = Array.from({ length: buckets }, () => ({ user: 0 }));
    for (let i = 0; i < entries; i++) counts[Math.floor((i * buckets) / entries)]!.user++;
    let next = first;
    for (const { from, to, total } of densityParts(counts, first, first + entries - 1)) {
      assert.equal(from, next);
      assert.equal(to - from + 1, total);
      next = to + 1;
    }
    assert.equal(next, first + entries);
  }));
});

Deno.test("a part says what it holds", () => {
  const [part] = densityParts([{ user: 3, governance: 1, signature: 2 }], 1, 6);
  assert.equal(part!.text, "Entries 1 to 6: 3 user, 1 governance, 2 signature");
  assert.equal(part!.acts, 4);
});
