import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, equalBytes, fromHex, toHex } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { foldPath } from "./path.ts";
import { MerkleTree, parseSerialisedTree } from "./tree.ts";

const sha256 = primitives.sha256;

/** A leaf that is easy to tell from others. */
function leafNumber(n: number): Uint8Array {
  return n === 0 ? new Uint8Array(32) : sha256(new TextEncoder().encode(`leaf ${n}`));
}

function treeOf(size: number): MerkleTree {
  const tree = new MerkleTree(primitives);
  for (let n = 1; n < size; n++) tree.append(leafNumber(n));
  return tree;
}

/** The definition, word for word: the left child covers the largest power of two below n. */
function rootByDefinition(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!;
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  return sha256(concat(rootByDefinition(leaves.slice(0, left)), rootByDefinition(leaves.slice(left))));
}

const numbered = Array.from({ length: 300 }, (_, n) => leafNumber(n));

Deno.test("a new MerkleTree holds leaf 0, 32 zero bytes, which is its root", () => {
  const tree = new MerkleTree(primitives);
  assert.equal(tree.size, 1);
  assert.equal(tree.firstIndex, 0);
  assert.equal(toHex(tree.root()), "00".repeat(32));
});

Deno.test("MerkleTree.root() agrees with the recursive definition at every size", () => {
  const tree = treeOf(130);
  for (let size = 1; size <= 130; size++) {
    assert.equal(toHex(tree.root(size)), toHex(rootByDefinition(numbered.slice(0, size))), `size ${size}`);
  }
});

Deno.test("MerkleTree.path() leads every leaf to the root at every size, flushed or not", () => {
  const tree = treeOf(70);
  for (const first of [0, 1, 13, 32, 47]) {
    tree.flush(first);
    for (let size = first + 1; size <= 70; size++) {
      const root = toHex(rootByDefinition(numbered.slice(0, size)));
      for (let n = first; n < size; n++) {
        assert.equal(toHex(foldPath(primitives, leafNumber(n), tree.path(n, size))), root, `leaf ${n} of ${size}`);
      }
    }
  }
});

Deno.test("MerkleTree.path() gives no step where a node moves up unchanged", () => {
  assert.deepEqual(treeOf(5).path(4).map((step) => step.side), ["left"]);
  assert.deepEqual(treeOf(7).path(6).map((step) => step.side), ["left", "left"]);
  assert.deepEqual(treeOf(1).path(0), []);
});

// ledger-and-receipts.md §5.5: leaves 23 to 26 of a real ledger, under the signature 2.27.
const EXAMPLE_LEAF = fromHex("f249870a952fc525d106236fca7f750f77c0d23933ef448677373e7b75db50c8");
const EXAMPLE_PATH = [
  { side: "right", hash: fromHex("6328ef6a3c3ea43d119146650d790cedeef36a7e7eac6af32239adf15c0a5aa4") },
  { side: "right", hash: fromHex("a7960064141a7adcf3c13ae0cdc2e988d3e6c0cb395029648c93665ee52436ad") },
  { side: "left", hash: fromHex("a7bde49b28d30ebb16cd3125f40e53ce89924169b46ff0c23d8cd4d5089e4a75") },
  { side: "left", hash: fromHex("75ab9d9611ba7a47dcfe5200dc1ad8d3b92f0afadbc8525f669d180416bdd8ca") },
] as const;
const EXAMPLE_ROOT = "e677e94602679a75c7e5a21386b04ba6cb3dd5043be3e4ca1956f8ec5f2e7bf5";

Deno.test("foldPath() leads the worked example to the root that was signed", () => {
  assert.equal(toHex(foldPath(primitives, EXAMPLE_LEAF, EXAMPLE_PATH)), EXAMPLE_ROOT);
});

Deno.test("foldPath() refuses a path longer than any tree is high, and a hash of another length", () => {
  const long = Array.from({ length: 65 }, () => EXAMPLE_PATH[0]);
  assert.throws(
    () => foldPath(primitives, EXAMPLE_LEAF, long),
    { name: "FormatError", message: "Cannot follow a Merkle path of 65 steps: at most 64" },
  );
  assert.throws(
    () => foldPath(primitives, EXAMPLE_LEAF, [{ side: "left", hash: new Uint8Array(31) }]),
    { name: "FormatError", message: "Cannot follow a Merkle path: a hash has 31 bytes, not 32" },
  );
});

Deno.test("MerkleTree.serialise() writes counters, leaves and the left edge, and parse() reads them back", () => {
  const tree = treeOf(27);
  tree.flush(23);
  const bytes = tree.serialise();
  assert.equal(bytes.length, 272);
  assert.equal(toHex(bytes.subarray(0, 16)), "00000000000000040000000000000017");
  const edge = toHex(parseSerialisedTree(bytes).leftEdge);
  const expected = [[22, 23], [20, 22], [16, 20], [0, 16]].map(([from, to]) =>
    toHex(rootByDefinition(numbered.slice(from, to)))
  );
  assert.equal(edge, expected.join(""));
  const parsed = MerkleTree.parse(primitives, bytes);
  assert.equal(parsed.size, 27);
  assert.equal(parsed.firstIndex, 23);
  assert.equal(toHex(parsed.root()), toHex(tree.root()));
  assert.equal(toHex(parsed.serialise()), toHex(bytes));
});

Deno.test("MerkleTree.parse() refuses bytes that no writer makes", () => {
  const table: [string, string][] = [
    ["0000", "Cannot read 8 bytes at byte 0: only 2 are left"],
    ["00".repeat(16), "Cannot parse a Merkle tree: it has no leaves"],
    [
      "0000000000000001" + "0000000000000003" + "00".repeat(32),
      "Cannot parse a Merkle tree of 1 leaves from 3 on: it needs 3 hashes and has 32 bytes",
    ],
    [
      "0000000000000001" + "0000000000000000" + "00".repeat(33),
      "Cannot parse a Merkle tree of 1 leaves from 0 on: it needs 1 hashes and has 33 bytes",
    ],
    ["ffffffffffffffff" + "0000000000000000", "Cannot read a 64-bit integer at byte 0: over 2^53"],
  ];
  for (const [hex, message] of table) {
    assert.throws(() => MerkleTree.parse(primitives, fromHex(hex)), { name: "FormatError", message });
  }
});

Deno.test("MerkleTree.parse() reads a tree whose first leaf lies beyond 2^32, and goes on from there", () => {
  // One leaf behind a full left edge: first = 2^40, whose single set bit needs one node.
  const edge = sha256(new Uint8Array([1]));
  const bytes = concat(fromHex("0000000000000001" + "0000010000000000"), leafNumber(1), edge);
  const tree = MerkleTree.parse(primitives, bytes);
  assert.equal(tree.size, 2 ** 40 + 1);
  assert.equal(toHex(tree.root()), toHex(sha256(concat(edge, leafNumber(1)))));
  tree.append(leafNumber(2));
  const right = sha256(concat(leafNumber(1), leafNumber(2)));
  assert.equal(toHex(tree.root()), toHex(sha256(concat(edge, right))));
  assert.equal(toHex(foldPath(primitives, leafNumber(2), tree.path(2 ** 40 + 1))), toHex(tree.root()));
});

Deno.test("a MerkleTree behaves like a plain list of leaves under any sequence of operations", () => {
  const operation = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 40 }) }),
    },
    fc.record({ kind: fc.constant("flush" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant("retract" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant("reload" as const) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 12 }), (operations) => {
      let tree = new MerkleTree(primitives);
      let leaves = [leafNumber(0)];
      let first = 0;
      let next = 1;
      for (const step of operations) {
        if (step.kind === "append") {
          for (let i = 0; i < step.count; i++) {
            const leaf = leafNumber(1000 + next++);
            tree.append(leaf);
            leaves.push(leaf);
          }
        } else if (step.kind === "flush") {
          first = Math.max(first, Math.floor(step.share * (leaves.length - 1)));
          tree.flush(first);
        } else if (step.kind === "retract") {
          leaves = leaves.slice(0, first + 1 + Math.floor(step.share * (leaves.length - first - 1)));
          tree.retract(leaves.length);
        } else {
          tree = MerkleTree.parse(primitives, tree.serialise());
        }
        assert.equal(tree.size, leaves.length);
        const later = first + Math.floor((leaves.length - first) / 3);
        const reloaded = MerkleTree.parse(primitives, tree.serialise(later));
        assert.equal(reloaded.firstIndex, later);
        assert.equal(toHex(reloaded.root()), toHex(tree.root()));
        assert.equal(tree.firstIndex, first);
        assert.equal(toHex(tree.root()), toHex(rootByDefinition(leaves)));
        const index = first + Math.floor((leaves.length - first) / 2);
        assert.ok(equalBytes(foldPath(primitives, leaves[index]!, tree.path(index)), tree.root()));
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("MerkleTree.parse() of a changed tree gives another root or throws FormatError", () => {
  const tree = treeOf(27);
  tree.flush(23);
  const bytes = tree.serialise();
  const root = toHex(tree.root());
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length * 8 - 1 }), (bit) => {
      const changed = bytes.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      try {
        assert.notEqual(toHex(MerkleTree.parse(primitives, changed).root()), root);
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("a flushed MerkleTree answers about the leaves it kept and no others", () => {
  const tree = new MerkleTree(primitives);
  for (let n = 1; n < 3000; n++) {
    tree.append(leafNumber(n % 300));
    if (n % 10 === 0) tree.flush(n);
  }
  assert.throws(() => tree.path(2989), { message: /A leaf to be proved is in the tree and not flushed/ });
  assert.equal(tree.path(2990).length > 0, true);
  assert.equal(tree.serialise().length, 16 + 32 * (10 + 8)); // 2990 = 0b101110101110
  assert.throws(() => tree.retract(2990), { message: /retracted to a size above its flushed part/ });
});
