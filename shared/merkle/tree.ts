/**
 * Merkle tree over the ledger's transactions.
 *
 * In: 32-byte leaves in seqno order; leaf 0 is 32 zero bytes, leaf n is transaction n. Out: root, proof paths, and the
 * serialised tree that a signature transaction carries.
 * Knows nothing of entries, signatures or files.
 * Format: ledger-and-receipts.md §5.2 to §5.5
 */

import { assert, FormatError } from "../assert.ts";
import { Reader, Writer } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { MAX_SEQNO } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import type { MerklePath, PathStep } from "./path.ts";

export const NODE_BYTES = 32;

/**
 * An inner node is sha256(left ‖ right), without domain separation; a node without a sibling moves up unchanged.
 *
 * Only complete subtrees are kept, one array a level, so that appending costs one hash amortised, and the ragged right
 * edge is folded when a root is asked for. With m leaves kept: root O(log n), path O(log n), memory 64 m bytes.
 */
export class MerkleTree {
  readonly #primitives: Primitives;
  readonly #levels: Level[] = [];
  readonly #pair = new Uint8Array(2 * NODE_BYTES);
  readonly #node = new Uint8Array(NODE_BYTES);
  #first = 0;
  #size = 0;

  /** The tree of a new ledger: nothing but leaf 0. */
  constructor(primitives: Primitives) {
    this.#primitives = primitives;
    this.append(new Uint8Array(NODE_BYTES));
  }

  /** Leaves, leaf 0 and those already flushed included; also the seqno that the next leaf will have. */
  get size(): number {
    return this.#size;
  }

  /** Index of the first leaf that is still kept. */
  get firstIndex(): Seqno {
    return this.#first;
  }

  /** Appends the leaf of transaction `size`, and keeps a copy of it. */
  append(leaf: Uint8Array): void {
    assert(leaf.length === NODE_BYTES, "A leaf is 32 bytes");
    this.#level(0).push(leaf);
    let index = this.#size++;
    for (let depth = 0; index % 2 === 1; depth++) {
      const pair = this.#level(depth).pairEndingAt(index);
      index = (index - 1) / 2;
      this.#level(depth + 1).push(this.#primitives.sha256(pair, this.#node));
    }
  }

  /** Root over the first `size` leaves, all of them by default: what the signature at seqno `size` signs. */
  root(size: number = this.#size): Uint8Array {
    this.#assertKnown(size);
    let edge: Uint8Array | undefined;
    for (let depth = 0, nodes = size; nodes > 0; depth++, nodes = Math.floor(nodes / 2)) {
      if (nodes % 2 === 1) edge = this.#withLeft(depth, nodes - 1, edge);
    }
    return edge!.slice();
  }

  /** The hash of leaf `index`. */
  leaf(index: Seqno): Uint8Array {
    assert(index >= this.#first && index < this.#size, "A leaf asked for is in the tree and not flushed");
    return this.#level(0).at(index).slice();
  }

  /** Steps from leaf `index` to the root over the first `size` leaves, all of them by default. */
  path(index: Seqno, size: number = this.#size): MerklePath {
    this.#assertKnown(size);
    assert(index >= this.#first && index < size, "A leaf to be proved is in the tree and not flushed");
    const steps: PathStep[] = [];
    // `edge` is the root of the leaves to the right of the last complete subtree of this depth, if there are any.
    let edge: Uint8Array | undefined;
    let at = index;
    for (let depth = 0, nodes = size; nodes > 0; depth++, nodes = Math.floor(nodes / 2)) {
      if (at % 2 === 1) {
        steps.push({ side: "left", hash: this.#level(depth).at(at - 1).slice() });
      } else if (at + 1 < nodes) {
        steps.push({ side: "right", hash: this.#level(depth).at(at + 1).slice() });
      } else if (at + 1 === nodes && edge !== undefined) {
        steps.push({ side: "right", hash: edge.slice() });
      }
      if (nodes % 2 === 1) edge = this.#withLeft(depth, nodes - 1, edge);
      at = Math.floor(at / 2);
    }
    return steps;
  }

  /** Forgets the leaves before `index`, which is kept. Roots of every size from `index` on can still be had. */
  flush(index: Seqno): void {
    assert(index < this.#size, "The last leaf of a tree is never flushed");
    if (index <= this.#first) return;
    this.#first = index;
    for (let depth = 0, at = index; depth < this.#levels.length; depth++, at = Math.floor(at / 2)) {
      this.#level(depth).dropBefore(firstKept(at));
    }
  }

  /** Takes the last leaves back, until `size` are left. */
  retract(size: number): void {
    assert(size > this.#first && size <= this.#size, "A tree is retracted to a size above its flushed part");
    this.#size = size;
    for (let depth = 0, nodes = size; depth < this.#levels.length; depth++, nodes = Math.floor(nodes / 2)) {
      this.#level(depth).dropFrom(nodes);
    }
  }

  /**
   * The bytes for `public:ccf.internal.tree`: leaves, and the left edge before them.
   *
   * @param first the first leaf in it: all that are kept, by default
   */
  serialise(first: Seqno = this.#first): Uint8Array {
    assert(first >= this.#first && first < this.#size, "A serialised tree has at least one leaf, and only kept ones");
    const leaves = this.#size - first;
    const out = new Writer(16 + NODE_BYTES * (leaves + bitsSet(first)));
    out.u64Be(leaves).u64Be(first).bytes(this.#level(0).range(first, this.#size));
    for (let depth = 0, at = first; at > 0; depth++, at = Math.floor(at / 2)) {
      if (at % 2 === 1) out.bytes(this.#level(depth).at(at - 1));
    }
    return out.finish();
  }

  /** @throws FormatError */
  static parse(primitives: Primitives, bytes: Uint8Array): MerkleTree {
    const serialised = parseSerialisedTree(bytes);
    const tree = new MerkleTree(primitives);
    tree.#levels.length = 0;
    tree.#first = tree.#size = serialised.first;
    let edges = 0;
    for (let depth = 0, at = serialised.first; at > 0; depth++, at = Math.floor(at / 2)) {
      const level = tree.#level(depth, firstKept(at));
      if (at % 2 === 1) level.push(node(serialised.leftEdge, edges++));
    }
    for (let i = 0; i < serialised.leafCount; i++) tree.append(node(serialised.leaves, i));
    return tree;
  }

  /** Node `index` of `depth`, joined with the ragged edge on its right. The result is a view that does not last. */
  #withLeft(depth: number, index: number, edge: Uint8Array | undefined): Uint8Array {
    const left = this.#level(depth).at(index);
    if (edge === undefined) return left;
    this.#pair.set(left);
    this.#pair.set(edge, NODE_BYTES);
    return this.#primitives.sha256(this.#pair);
  }

  #assertKnown(size: number): void {
    assert(size > this.#first && size <= this.#size, "A root asked for is over leaves that are not all flushed");
  }

  #level(depth: number, first = 0): Level {
    return this.#levels[depth] ??= new Level(first);
  }
}

/** A serialised tree taken apart, before anything is hashed. */
export interface SerialisedTree {
  /** Index of the first leaf in `leaves`. */
  readonly first: Seqno;
  readonly leafCount: number;
  /** The leaves back to back. */
  readonly leaves: Uint8Array;
  /** One node for each set bit of `first`, lowest first, back to back. */
  readonly leftEdge: Uint8Array;
}

/**
 * Splits the bytes of `public:ccf.internal.tree`. The counters are the only big-endian integers of the ledger.
 *
 *     0000000000000004 0000000000000017   four leaves, the first of them 23 = 0b10111
 *     4 × 32 bytes                        leaves 23 to 26
 *     4 × 32 bytes                        leaf 22, then the nodes over 20–21, 16–19 and 0–15
 *
 * @throws FormatError
 */
export function parseSerialisedTree(bytes: Uint8Array): SerialisedTree {
  const reader = new Reader(bytes);
  const leafCount = reader.u64Be();
  const first = reader.u64Be();
  const edges = bitsSet(first);
  if (leafCount === 0) throw new FormatError("Cannot parse a Merkle tree: it has no leaves");
  if (first + leafCount > MAX_SEQNO || reader.remaining !== NODE_BYTES * (leafCount + edges)) {
    throw new FormatError(
      `Cannot parse a Merkle tree of ${leafCount} leaves from ${first} on: ` +
        `it needs ${leafCount + edges} hashes and has ${reader.remaining} bytes`,
    );
  }
  return { first, leafCount, leaves: reader.bytes(NODE_BYTES * leafCount), leftEdge: reader.rest() };
}

/** The nodes of one depth from `#first` on, back to back, so that two siblings are one range of bytes. */
class Level {
  #bytes = new Uint8Array(16 * NODE_BYTES);
  /** Index of the first node kept; always even, so that siblings stay together. */
  #first: number;
  /** Bytes before the first node kept that are not reclaimed yet. */
  #start = 0;
  #end = 0;

  constructor(first: number) {
    this.#first = first;
  }

  push(hash: Uint8Array): void {
    if (this.#end === this.#bytes.length) this.#makeRoom();
    this.#bytes.set(hash, this.#end);
    this.#end += NODE_BYTES;
  }

  at(index: number): Uint8Array {
    const offset = this.#offset(index);
    assert(index >= this.#first && offset < this.#end, "A node asked for is kept");
    return this.#bytes.subarray(offset, offset + NODE_BYTES);
  }

  /** Nodes `index` - 1 and `index`, as 64 bytes. */
  pairEndingAt(index: number): Uint8Array {
    const end = this.#offset(index + 1);
    return this.#bytes.subarray(end - 2 * NODE_BYTES, end);
  }

  range(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(this.#offset(from), this.#offset(to));
  }

  dropBefore(index: number): void {
    this.#start = this.#offset(index);
    this.#first = index;
  }

  dropFrom(index: number): void {
    this.#end = Math.max(this.#start, Math.min(this.#end, this.#offset(index)));
  }

  #offset(index: number): number {
    return this.#start + (index - this.#first) * NODE_BYTES;
  }

  /** Moves the kept nodes to the front, of a larger array where they fill more than half of this one. */
  #makeRoom(): void {
    const kept = this.#end - this.#start;
    const target = kept * 2 > this.#bytes.length ? new Uint8Array(this.#bytes.length * 2) : this.#bytes;
    target.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = target;
    this.#start = 0;
    this.#end = kept;
  }
}

/** First node of a depth that a tree keeps whose first leaf lies below node `at`: the left edge, or `at` itself. */
function firstKept(at: number): number {
  return at - at % 2;
}

function node(nodes: Uint8Array, index: number): Uint8Array {
  return nodes.subarray(index * NODE_BYTES, (index + 1) * NODE_BYTES);
}

function bitsSet(value: number): number {
  let count = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
