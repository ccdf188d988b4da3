/**
 * A snapshot written in one piece: what `snapshot_writer.ts` must come to in parts, in the simplest lines.
 *
 * In: all tables at one signature. Out: the bytes of the snapshot.
 * Format: ledger-and-receipts.md §9.2
 */

import { assert } from "../shared/assert.ts";
import { concat, fromByteString, toUtf8, Writer } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { mapOrder } from "../shared/crypto/siphash.ts";
import type { TableSnapshot } from "../shared/kv/store.ts";
import { domainOf } from "../shared/kv/table_name.ts";
import { EntryType, layOutFrame, sealFrame } from "../shared/ledger/entry.ts";
import { sealSnapshotInParts, type SnapshotContent } from "../shared/ledger/snapshot_writer.ts";
import { serialiseViewStarts } from "../shared/ledger/view_history.ts";
import type { Seqno } from "../shared/tx_id.ts";

/**
 * The bytes of a snapshot, without a receipt.
 *
 * @param key the ledger secret that covers the snapshot's seqno
 */
export function sealSnapshot(primitives: Primitives, key: Uint8Array, content: SnapshotContent): Uint8Array {
  const { version: seqno, tables } = content.store;
  assert(content.leaf.length === 32, "A leaf is 32 bytes");
  const domains = { public: [] as WritableTable[], private: [] as WritableTable[] };
  for (const table of tables) domains[domainOf(table.name)].push(writableTable(table));
  const views = serialiseViewStarts(content.viewStarts);
  const header = new Writer(128 + views.length).u8(EntryType.snapshot).u64(seqno).u64(0)
    .lengthPrefixed(content.leaf).lengthPrefixed(views).finish();
  const publicBytes = header.length + bytesOf(domains.public);
  const frame = layOutFrame(0, { seqno, view: 0, isSnapshot: true }, publicBytes, bytesOf(domains.private));
  frame.bytes.set(header, frame.publicAt);
  const publicEnd = writeTables(frame.bytes, frame.publicAt + header.length, domains.public);
  const privateEnd = writeTables(frame.bytes, frame.privateAt, domains.private);
  assert(
    publicEnd === frame.privateAt && privateEnd === frame.bytes.length,
    "A snapshot has the size its header states",
  );
  return sealFrame(primitives, frame, key);
}

/** The parts of the same, put together. */
export function sealedInParts(primitives: Primitives, key: Uint8Array, content: SnapshotContent): Uint8Array {
  const parts = [...sealSnapshotInParts(primitives, key, content)];
  return concat(...parts.filter((part) => part !== undefined));
}

interface WritableTable {
  readonly name: Uint8Array;
  readonly version: Seqno;
  readonly bodyBytes: number;
  /** Ascending by hash. */
  readonly entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array; readonly version: Seqno }[];
}

function writableTable({ name, version, entries }: TableSnapshot): WritableTable {
  let bodyBytes = 0;
  const hashed = Array.from(entries, (entry) => {
    const key = fromByteString(entry.key);
    bodyBytes += 24 + key.length + padding(key.length) + entry.value.length + padding(entry.value.length);
    return { key, value: entry.value, version: entry.version, hash: mapOrder(key) };
  });
  hashed.sort((a, b) => a.hash - b.hash);
  return { name: toUtf8(name), version, bodyBytes, entries: hashed };
}

function bytesOf(tables: readonly WritableTable[]): number {
  return tables.reduce((sum, table) => sum + 24 + table.name.length + table.bodyBytes, 0);
}

/** Writes tables where zeros are already, and answers where they end. */
function writeTables(target: Uint8Array, start: number, tables: readonly WritableTable[]): number {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let at = start;
  const u64 = (value: number) => {
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
    at += 8;
  };
  const bytes = (value: Uint8Array) => {
    target.set(value, at);
    at += value.length;
  };
  for (const table of tables) {
    u64(table.name.length);
    bytes(table.name);
    u64(table.version);
    u64(table.bodyBytes);
    for (const { key, value, version } of table.entries) {
      u64(key.length);
      bytes(key);
      at += padding(key.length);
      u64(8 + value.length);
      u64(version);
      bytes(value);
      at += padding(value.length);
    }
  }
  return at;
}

function padding(length: number): number {
  return (8 - length % 8) % 8;
}
