import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromByteString } from "../../shared/bytes.ts";
import { mapOrder } from "../../shared/crypto/siphash.ts";
import { inMapOrder } from "./map_order.ts";

/** A hash trie as CCF has it, built key by key: a key, or a node of up to 32 places. */
type Trie = string | { readonly places: Map<number, Trie> };

function insert(trie: Trie | undefined, key: string, shift = 0): Trie {
  if (trie === undefined) return key;
  const places = typeof trie === "string" ? new Map<number, Trie>([[place(trie, shift), trie]]) : trie.places;
  places.set(place(key, shift), insert(places.get(place(key, shift)), key, shift + 5));
  return { places };
}

function place(key: string, shift: number): number {
  return (mapOrder(fromByteString(key)) >>> shift) & 31;
}

function walk(trie: Trie | undefined): string[] {
  if (trie === undefined) return [];
  if (typeof trie === "string") return [trie];
  const places = [...trie.places].sort(([a], [b]) => a - b).map(([, child]) => child);
  return [
    ...places.filter((child) => typeof child === "string"),
    ...places.flatMap((child) => typeof child === "string" ? [] : walk(child)),
  ] as string[];
}

Deno.test("inMapOrder() lists keys as a hash trie that was filled with them, whatever the order", () => {
  const keys = fc.uniqueArray(fc.nat({ max: 100_000 }).map(String), { minLength: 0, maxLength: 200 });
  fc.assert(fc.property(keys, (keys) => {
    let trie: Trie | undefined;
    for (const key of keys) trie = insert(trie, key);
    assert.deepEqual(inMapOrder(keys, (key) => key), walk(trie));
    assert.deepEqual(inMapOrder(keys.toReversed(), (key) => key), walk(trie));
  }));
});

Deno.test("inMapOrder() goes down where keys share five bits, and takes those that are alone first", () => {
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
  const ordered = inMapOrder(keys, (key) => key);
  assert.deepEqual(ordered.toSorted(), keys.toSorted());
  const count = (key: string) => keys.filter((other) => place(other, 0) === place(key, 0)).length;
  const firstShared = ordered.findIndex((key) => count(key) > 1);
  assert(firstShared > 0 && ordered.slice(firstShared).every((key) => count(key) > 1));
});
