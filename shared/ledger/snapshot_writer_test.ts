import { strict as assert } from "node:assert";
import fc from "fast-check";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { sealedInParts, sealSnapshot } from "../../tests/whole_snapshot.ts";
import { equalBytes, fromByteString, toByteString, toHex } from "../bytes.ts";
import { noblePrimitives } from "../crypto/primitives.ts";
import { mapOrder } from "../crypto/siphash.ts";
import type { StoreSnapshot } from "../kv/store.ts";
import type { SnapshotEntry } from "../kv/versioned_table.ts";
import { MAX_SNAPSHOT_BYTES, SNAPSHOT_PART_BYTES, SNAPSHOT_SORTED_KEYS, SNAPSHOT_WORK_KEYS } from "../limits.ts";
import { keysInMapOrder } from "./map_order.ts";
import { Snapshot } from "./snapshot.ts";
import { sealSnapshotInParts, type SnapshotContent } from "./snapshot_writer.ts";

const KEY = new Uint8Array(32).fill(3);

function content(tables: StoreSnapshot["tables"]): SnapshotContent {
  return { store: { version: 20, tables }, leaf: new Uint8Array(32).fill(9), viewStarts: [1, 1, 12] };
}

/** Of many keys, in ascending order. */
function entries(count: number, valueBytes = 20): SnapshotEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    key: String(i).padStart(8, "0"),
    value: new Uint8Array(valueBytes).fill(i),
    version: 1 + i % 20,
  }));
}

testOnBoth("sealSnapshotInParts() comes to the bytes of a snapshot written in one piece", (primitives) => {
  const key = fc.uint8Array({ maxLength: 20 }).map(toByteString);
  const entry = fc.record({ key, value: fc.uint8Array({ maxLength: 40 }), version: fc.integer({ min: 1, max: 20 }) });
  const table = fc.record({
    name: fc.constantFrom("public:a", "public:b", "records", "secret", "public:é"),
    version: fc.nat(20),
    entries: fc.uniqueArray(entry, { selector: ({ key }) => key }).map((all) => {
      return all.sort((a, b) => a.key < b.key ? -1 : 1);
    }),
  });
  fc.assert(
    fc.property(fc.uniqueArray(table, { selector: ({ name }) => name }), (tables) => {
      const made = sealedInParts(primitives, KEY, content(tables));
      assert.equal(toHex(made), toHex(sealSnapshot(noblePrimitives, KEY, content(tables))));
    }),
    { numRuns: 100 },
  );
});

testOnBoth("sealSnapshotInParts() ends a domain before, at and behind the end of a part", (primitives) => {
  const sizes = new Set<number>();
  for (let length = SNAPSHOT_PART_BYTES - 240; length <= SNAPSHOT_PART_BYTES; length += 8) {
    // Names of these lengths make both domains multiples of 8.
    const tables = ["public:12345678", "12345678"].map((name) => ({ name, version: 20, entries: entries(1, length) }));
    const made = sealedInParts(primitives, KEY, content(tables));
    assert(equalBytes(made, sealSnapshot(primitives, KEY, content(tables))));
    const { publicDomain, ciphertext } = Snapshot.parse(made).frame;
    for (const domain of [publicDomain, ciphertext]) sizes.add(Math.sign(domain.length - SNAPSHOT_PART_BYTES));
  }
  assert.deepEqual(sizes, new Set([-1, 0, 1]));
});

testOnBoth("sealSnapshotInParts() crosses its own borders: parts, work, buckets, long values", (primitives) => {
  const part = SNAPSHOT_PART_BYTES;
  for (
    const lists of [
      [entries(SNAPSHOT_SORTED_KEYS), entries(SNAPSHOT_SORTED_KEYS + 1)],
      [entries(10 * SNAPSHOT_WORK_KEYS + 3), entries(SNAPSHOT_WORK_KEYS)],
      [entries(3, part), entries(2, 3 * part + 8)],
    ]
  ) {
    const tables = ["public:t", "t"].map((name, i) => ({ name, version: 20, entries: lists[i]! }));
    const made = sealedInParts(primitives, KEY, content(tables));
    assert(equalBytes(made, sealSnapshot(primitives, KEY, content(tables))));
  }
});

Deno.test("sealSnapshotInParts() tells size and digest, and no step has more than a part", () => {
  const steps = sealSnapshotInParts(
    noblePrimitives,
    KEY,
    content([
      { name: "public:t", version: 20, entries: entries(20_000) },
      { name: "t", version: 20, entries: entries(5, 100_000) },
    ]),
  );
  let step = steps.next();
  const parts: Uint8Array[] = [];
  let idle = 0;
  for (; !step.done; step = steps.next()) {
    if (step.value === undefined) idle++;
    else {
      assert(step.value.length <= SNAPSHOT_PART_BYTES);
      parts.push(step.value);
    }
  }
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (bytes.set(part, at), at + part.length), 0);
  assert.deepEqual(step.value, { digest: noblePrimitives.sha256(bytes), sizeBytes: bytes.length });
  assert.deepEqual(Snapshot.parse(bytes).viewStarts, [1, 1, 12]);
  // Measuring, hashing twice, and everything once for the tag.
  assert(idle >= 3 * Math.floor(20_000 / SNAPSHOT_WORK_KEYS) + bytes.length / SNAPSHOT_PART_BYTES - 2, `${idle}`);
});

Deno.test("sealSnapshotInParts() writes nothing of what would be larger than readers take", () => {
  const value = new Uint8Array(MAX_SNAPSHOT_BYTES / 16);
  const tables = [{ name: "t", version: 1, entries: entries(16).map((entry) => ({ ...entry, value })) }];
  const steps = sealSnapshotInParts(noblePrimitives, KEY, content(tables));
  assert.deepEqual(steps.next(), { done: true, value: undefined });
});

Deno.test("keysInMapOrder() gives every key once, by its hash, and of equal hashes the smaller key first", () => {
  // Found by search: keys of different bytes and one hash.
  const equal = collisions();
  const all = [...entries(5000), ...equal.map((key, i) => ({ key, value: new Uint8Array([i]), version: 1 }))]
    .sort((a, b) => a.key < b.key ? -1 : 1);
  const ordered = [...keysInMapOrder(all)].filter((entry) => entry !== undefined);
  const hash = ({ key }: SnapshotEntry) => mapOrder(fromByteString(key));
  const expected = all.toSorted((a, b) => hash(a) - hash(b)); // a stable sort
  assert.deepEqual(ordered, expected);
});

/** Two numbers, as text, whose hashes are equal: among a hundred thousand there are. */
function collisions(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0;; i++) {
    const key = `c${i}`;
    const hash = mapOrder(fromByteString(key));
    const other = seen.get(hash);
    if (other !== undefined) return [other, key];
    seen.set(hash, key);
  }
}
