/**
 * Snapshots written part by part, so that neither memory nor the time of one step grows with the state.
 *
 * In: all tables at one signature. Out: the bytes of the snapshot in pieces, and at last their digest.
 * Knows nothing of receipts, of files, nor of how much is done at a time: it is a generator, and whoever drives it stops
 * where they like. What grows with the state is 36 bytes for each key of the one table that is being written.
 * Format: ledger-and-receipts.md §9.2
 */

import { assert } from "../assert.ts";
import { toUtf8, Writer } from "../bytes.ts";
import { entryIv, GCM_TAG_BYTES } from "../crypto/aes_gcm.ts";
import { GcmStream, sealPart } from "../crypto/gcm_stream.ts";
import type { Primitives } from "../crypto/primitives.ts";
import type { StoreSnapshot, TableSnapshot } from "../kv/store.ts";
import { domainOf } from "../kv/table_name.ts";
import type { SnapshotEntry } from "../kv/versioned_table.ts";
import { MAX_SNAPSHOT_BYTES, SNAPSHOT_PART_BYTES, SNAPSHOT_WORK_KEYS } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import { EntryType, FRAME_HEADER_BYTES, writeFrameHeader } from "./entry.ts";
import { keysInMapOrder } from "./map_order.ts";
import { serialiseViewStarts } from "./view_history.ts";

/** What a snapshot is made of. It must not change until all of it is written. */
export interface SnapshotContent {
  readonly store: StoreSnapshot;
  readonly leaf: Uint8Array;
  readonly viewStarts: readonly Seqno[];
}

export interface SealedSnapshot {
  /** sha256 of all of it, which the evidence transaction records and claims. */
  readonly digest: Uint8Array;
  readonly sizeBytes: number;
}

/** A piece of work was done: with bytes, or with nothing to show for it yet. */
export type SnapshotStep = Uint8Array | undefined;

/**
 * The bytes of a snapshot, without a receipt.
 *
 * Everything is serialised twice, since the tag stands in front of what it covers: first for the tag, then for the bytes.
 *
 * @param key the ledger secret that covers the snapshot's seqno. The state there must be committed: of another state at
 *   the same seqno there may never be a snapshot, since both would share their IV.
 * @returns undefined, with no bytes yielded before, where it would be larger than readers take
 */
export function* sealSnapshotInParts(
  primitives: Primitives,
  key: Uint8Array,
  { store, leaf, viewStarts }: SnapshotContent,
): Generator<SnapshotStep, SealedSnapshot | undefined, undefined> {
  assert(leaf.length === 32, "A leaf is 32 bytes");
  const tables = { public: [] as MeasuredTable[], private: [] as MeasuredTable[] };
  for (const table of store.tables) tables[domainOf(table.name)].push(yield* measure(table));
  const views = serialiseViewStarts(viewStarts);
  const start = new Writer(128 + views.length).u8(EntryType.snapshot).u64(store.version).u64(0)
    .lengthPrefixed(leaf).lengthPrefixed(views).finish();
  const publicBytes = start.length + bytesOf(tables.public);
  const privateBytes = bytesOf(tables.private);
  const sizeBytes = FRAME_HEADER_BYTES + publicBytes + privateBytes;
  if (sizeBytes > MAX_SNAPSHOT_BYTES) return undefined;

  const ivFields = { seqno: store.version, view: 0, isSnapshot: true };
  const iv = entryIv(ivFields);
  const gcm = new GcmStream(primitives, key, iv);
  for (const part of serialise(start, tables.public)) {
    if (part !== undefined) gcm.authenticate(part);
    yield;
  }
  for (const part of serialise(NOTHING, tables.private)) {
    if (part !== undefined) gcm.seal(part);
    yield;
  }
  const tag = gcm.tag();
  assert(tag.length === GCM_TAG_BYTES, "A tag is 16 bytes");

  const hash = primitives.sha256Stream();
  const header = new Writer(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, { tag, ...ivFields }, publicBytes, privateBytes);
  hash.update(header.finish());
  yield header.finish();
  let written = 0;
  for (const part of serialise(start, tables.public)) {
    written += part?.length ?? 0;
    if (part !== undefined) hash.update(part);
    yield part?.slice();
  }
  assert(written === publicBytes, "A snapshot has the size its header states");
  written = 0;
  for (const part of serialise(NOTHING, tables.private)) {
    const sealed = part && sealPart(primitives, key, iv, written, part);
    written += part?.length ?? 0;
    if (sealed !== undefined) hash.update(sealed);
    yield sealed;
  }
  assert(written === privateBytes, "A snapshot has the size its header states");
  return { digest: hash.digest(), sizeBytes };
}

const NOTHING = new Uint8Array(0);

interface MeasuredTable {
  readonly table: TableSnapshot;
  readonly name: Uint8Array;
  readonly bodyBytes: number;
}

/** Measuring a key takes much less than writing it. */
const MEASURED_KEYS = 8 * SNAPSHOT_WORK_KEYS;

function* measure(table: TableSnapshot): Generator<undefined, MeasuredTable, undefined> {
  let bodyBytes = 0;
  let keys = 0;
  for (const { key, value } of table.entries) {
    bodyBytes += 24 + padded(key.length) + padded(value.length);
    if (++keys % MEASURED_KEYS === 0) yield;
  }
  return { table, name: toUtf8(table.name), bodyBytes };
}

function bytesOf(tables: readonly MeasuredTable[]): number {
  return tables.reduce((sum, { name, bodyBytes }) => sum + 24 + name.length + bodyBytes, 0);
}

/**
 * One domain, in parts of `SNAPSHOT_PART_BYTES`, the last one shorter. A part is good until the next one is asked for.
 */
function* serialise(start: Uint8Array, tables: readonly MeasuredTable[]): Generator<SnapshotStep, void, undefined> {
  const parts = new PartWriter();
  parts.bytes(start);
  yield* parts.full();
  for (const { table, name, bodyBytes } of tables) {
    parts.u64(name.length);
    parts.bytes(name);
    parts.u64(table.version);
    parts.u64(bodyBytes);
    const before = parts.written;
    let keys = 0;
    for (const entry of keysInMapOrder(table.entries)) {
      if (entry !== undefined) {
        parts.entry(entry);
        keys++;
      }
      if (parts.isFull) yield* parts.full();
      else if (entry === undefined || keys % SNAPSHOT_WORK_KEYS === 0) yield;
    }
    assert(parts.written - before === bodyBytes, "A table has the size that was measured");
    yield* parts.full();
  }
  const rest = parts.rest();
  if (rest.length > 0) yield rest;
}

function padded(length: number): number {
  return length + (8 - length % 8) % 8;
}

/** Bytes that are written in any pieces and taken out in parts of one size. */
class PartWriter {
  #bytes = new Uint8Array(2 * SNAPSHOT_PART_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #taken = 0;

  /** Since the beginning. */
  get written(): number {
    return this.#taken + this.#length;
  }

  get isFull(): boolean {
    return this.#length >= SNAPSHOT_PART_BYTES;
  }

  u64(value: number): void {
    this.#makeRoom(8);
    this.#view.setUint32(this.#length, value >>> 0, true);
    this.#view.setUint32(this.#length + 4, Math.floor(value / 0x1_0000_0000), true);
    this.#length += 8;
  }

  bytes(value: Uint8Array): void {
    this.#makeRoom(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** One key with its value. There are millions, so nothing is allocated here. */
  entry({ key, value, version }: SnapshotEntry): void {
    const [keyBytes, valueBytes] = [padded(key.length), padded(value.length)];
    this.#makeRoom(24 + keyBytes + valueBytes);
    const bytes = this.#bytes;
    this.u64(key.length);
    let at = this.#length;
    for (let i = 0; i < key.length; i++) bytes[at + i] = key.charCodeAt(i);
    bytes.fill(0, at + key.length, at + keyBytes);
    this.#length += keyBytes;
    this.u64(8 + value.length);
    this.u64(version);
    at = this.#length;
    bytes.set(value, at);
    bytes.fill(0, at + value.length, at + valueBytes);
    this.#length += valueBytes;
  }

  /** Takes out the parts that are complete. */
  *full(): Generator<Uint8Array, void, undefined> {
    let at = 0;
    for (; at + SNAPSHOT_PART_BYTES <= this.#length; at += SNAPSHOT_PART_BYTES) {
      yield this.#bytes.subarray(at, at + SNAPSHOT_PART_BYTES);
    }
    if (at === 0) return;
    const rest = this.#bytes.subarray(at, this.#length);
    // Room that a long value has taken is given back.
    if (this.#bytes.length > 2 * SNAPSHOT_PART_BYTES) this.#replace(2 * SNAPSHOT_PART_BYTES, rest);
    else this.#bytes.set(rest);
    this.#length = rest.length;
    this.#taken += at;
  }

  /** Takes out what is left. */
  rest(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #makeRoom(length: number): void {
    const needed = this.#length + length;
    if (needed > this.#bytes.length) {
      this.#replace(Math.max(needed, 2 * this.#bytes.length), this.#bytes.subarray(0, this.#length));
    }
  }

  #replace(capacity: number, content: Uint8Array): void {
    const bytes = new Uint8Array(capacity);
    bytes.set(content);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
