import { strict as assert } from "node:assert";
import fc from "fast-check";
import { SeededRandom } from "./random.ts";

Deno.test("SeededRandom draws the same for the same seed, within the bounds", () => {
  fc.assert(fc.property(fc.nat(), fc.integer({ min: 1, max: 1000 }), (seed, bound) => {
    const [one, other] = [new SeededRandom(seed), new SeededRandom(seed)];
    for (let draw = 0; draw < 20; draw++) {
      const number = one.below(bound);
      assert.equal(number, other.below(bound));
      assert.ok(Number.isInteger(number) && number >= 0 && number < bound);
    }
  }));
});

Deno.test("SeededRandom draws every number about as often, and shuffles into every order", () => {
  const random = new SeededRandom(1);
  const counts = Array<number>(10).fill(0);
  for (let draw = 0; draw < 10_000; draw++) counts[random.below(10)]!++;
  assert.ok(counts.every((count) => count > 850 && count < 1150), counts.join(" "));
  const orders = new Set(Array.from({ length: 200 }, () => random.shuffled("abc").join("")));
  assert.deepEqual([...orders].sort(), ["abc", "acb", "bac", "bca", "cab", "cba"]);
});
