/**
 * The order in which a snapshot holds the keys of a table: by a hash that has nothing to do with the order in which they
 * lie in the store.
 *
 * In: the entries of a table. Out: the same in the order of the hashes, in steps none of which is long.
 * Knows nothing of bytes and files.
 * Format: ledger-and-receipts.md §9.2; of equal hashes, which is unspecified there, the smaller key comes first
 */

import { type ByteString, fromByteString } from "../bytes.ts";
import { mapOrder } from "../crypto/siphash.ts";
import type { SnapshotEntry } from "../kv/versioned_table.ts";
import { SNAPSHOT_SORTED_KEYS, SNAPSHOT_WORK_KEYS } from "../limits.ts";

/** Yields undefined where it has worked for a while and has no entry yet. */
export function* keysInMapOrder(
  entries: Iterable<SnapshotEntry>,
): Generator<SnapshotEntry | undefined, void, undefined> {
  // Columns: an object for each entry would take three times as much.
  const keys: ByteString[] = [];
  const values: Uint8Array[] = [];
  const versions: number[] = [];
  let hashes = new Uint32Array(SNAPSHOT_SORTED_KEYS);
  for (const { key, value, version } of entries) {
    const at = keys.length;
    if (at === hashes.length) hashes = enlarged(hashes);
    hashes[at] = mapOrder(fromByteString(key));
    keys.push(key);
    values.push(value);
    versions.push(version);
    if (at % SNAPSHOT_WORK_KEYS === SNAPSHOT_WORK_KEYS - 1) yield undefined;
  }
  const { places, starts } = yield* distribute(hashes, keys.length);
  for (let bucket = 0; bucket + 1 < starts.length; bucket++) {
    const ofBucket = places.subarray(starts[bucket], starts[bucket + 1]);
    ofBucket.sort((a, b) => hashes[a]! - hashes[b]! || a - b);
    for (const at of ofBucket) yield { key: keys[at]!, value: values[at]!, version: versions[at]! };
  }
}

/** Places in the order of the first few bits of their hashes: bucket i is `places[starts[i]]` up to `starts[i + 1]`. */
function* distribute(
  hashes: Uint32Array,
  count: number,
): Generator<undefined, { readonly places: Uint32Array; readonly starts: Uint32Array }, undefined> {
  const bits = Math.max(0, Math.ceil(Math.log2(count / SNAPSHOT_SORTED_KEYS)));
  // A shift by 32 shifts by 0 in JavaScript.
  const bucketOf = (at: number) => bits === 0 ? 0 : hashes[at]! >>> (32 - bits);
  const starts = new Uint32Array(2 ** bits + 1);
  for (let at = 0; at < count; at++) {
    starts[bucketOf(at) + 1]!++;
    if (at % DISTRIBUTED_KEYS === DISTRIBUTED_KEYS - 1) yield undefined;
  }
  for (let bucket = 1; bucket < starts.length; bucket++) starts[bucket]! += starts[bucket - 1]!;
  const next = starts.slice();
  const places = new Uint32Array(count);
  for (let at = 0; at < count; at++) {
    places[next[bucketOf(at)]!++] = at;
    if (at % DISTRIBUTED_KEYS === DISTRIBUTED_KEYS - 1) yield undefined;
  }
  return { places, starts };
}

/** Putting a key into its bucket takes much less than hashing it. */
const DISTRIBUTED_KEYS = 16 * SNAPSHOT_WORK_KEYS;

function enlarged(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length);
  larger.set(array);
  return larger;
}
