/**
 * Snapshots: all tables at one signature, sealed like an entry, with a receipt behind.
 *
 * In: the bytes of a snapshot file. Out: tables, leaf and view history. They are written by `snapshot_writer.ts`.
 * Knows nothing of receipts.
 * Format: ledger-and-receipts.md §9
 */

import { FormatError } from "../assert.ts";
import { type ByteString, fromUtf8, Reader, toByteString } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { mapOrder } from "../crypto/siphash.ts";
import type { TableSnapshot } from "../kv/store.ts";
import { checkTableName, domainOf, type SecurityDomain } from "../kv/table_name.ts";
import { MAX_SEQNO, MAX_SNAPSHOT_BYTES } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import { compareUtf8 } from "../utf8_order.ts";
import { ENTRY_HEADER_BYTES, entryBytes, EntryType, openFrame, parseFrame, type SealedFrame } from "./entry.ts";
import { parseViewStarts } from "./view_history.ts";

/** `snapshot_<seqno>_<evidence>.committed`; without the suffix it is still being written. */
export interface SnapshotName {
  readonly seqno: Seqno;
  /** The transaction that holds the digest of the snapshot. */
  readonly evidenceSeqno: Seqno;
  readonly committed: boolean;
}

/** What a file's name says, or undefined where it is not the name of a snapshot. */
export function parseSnapshotName(name: string): SnapshotName | undefined {
  const match = /^snapshot_([1-9][0-9]*)_([1-9][0-9]*)(\.committed)?$/.exec(name);
  const [seqno, evidenceSeqno] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || evidenceSeqno > MAX_SEQNO || seqno >= evidenceSeqno) return undefined;
  return { seqno, evidenceSeqno, committed: match[3] !== undefined };
}

export function formatSnapshotName({ seqno, evidenceSeqno, committed }: SnapshotName): string {
  return `snapshot_${seqno}_${evidenceSeqno}${committed ? ".committed" : ""}`;
}

/**
 * A snapshot file is a snapshot, and to the end of the file the JSON receipt of the evidence transaction.
 *
 * @returns `receipt` is empty where the file ends behind the snapshot, as before the evidence is committed
 * @throws FormatError
 */
export function splitSnapshotFile(file: Uint8Array): { readonly snapshot: Uint8Array; readonly receipt: Uint8Array } {
  const length = entryBytes(file, MAX_SNAPSHOT_BYTES);
  if (length === ENTRY_HEADER_BYTES || length > file.length) {
    throw new FormatError(`Cannot read a snapshot of ${length} bytes in a file of ${file.length}`);
  }
  return { snapshot: file.subarray(0, length), receipt: file.subarray(length) };
}

/** What a current writer does not do, though it harms nobody. */
export type SnapshotRule = "its tables are not in ascending order" | "its keys are not in the order of their hashes";

/** All tables of a service at one seqno. The bytes are kept as they are; tables are parsed when asked for. */
export class Snapshot {
  readonly #tablesAt: number;

  private constructor(
    readonly frame: SealedFrame,
    /** The leaf of transaction `seqno`, which the tree in the tables does not yet hold. */
    readonly leaf: Uint8Array,
    /** `viewStarts[v - 1]` is the first seqno of view v. */
    readonly viewStarts: readonly Seqno[],
    tablesAt: number,
  ) {
    this.#tablesAt = tablesAt;
  }

  /**
   * Parses all but the tables.
   *
   * @param bytes the snapshot alone, without the receipt
   * @throws FormatError
   */
  static parse(bytes: Uint8Array): Snapshot {
    const frame = parseFrame(bytes, MAX_SNAPSHOT_BYTES);
    const reader = new Reader(frame.publicDomain);
    const type = reader.u8();
    if (type !== EntryType.snapshot) throw new FormatError(`Cannot read a snapshot: its type is ${type}`);
    if (!frame.isSnapshot || frame.view !== 0 || frame.flags !== 0) {
      throw new FormatError("Cannot read a snapshot: its flags or its IV are those of a transaction");
    }
    const seqno = reader.u64();
    if (seqno !== frame.seqno) {
      throw new FormatError(`Cannot read a snapshot: its IV says seqno ${frame.seqno}, its public domain ${seqno}`);
    }
    const maxConflictVersion = reader.u64();
    if (maxConflictVersion !== 0) {
      throw new FormatError(
        `Cannot read the snapshot at ${seqno}: its conflict version is ${maxConflictVersion}, not 0`,
      );
    }
    const leaf = reader.lengthPrefixed();
    if (leaf.length !== 32) {
      throw new FormatError(`Cannot read the snapshot at ${seqno}: its leaf has ${leaf.length} bytes`);
    }
    const viewStarts = parseViewStarts(reader.lengthPrefixed());
    return new Snapshot(frame, leaf, viewStarts, reader.position);
  }

  /** The signature transaction whose state this is. */
  get seqno(): Seqno {
    return this.frame.seqno;
  }

  /** sha256 of the snapshot, which the evidence transaction records and claims. */
  digest(primitives: Primitives): Uint8Array {
    return primitives.sha256(this.frame.bytes);
  }

  /**
   * Tables in the order of the file; values are views into it.
   *
   * @throws FormatError
   */
  publicTables(tolerate?: (rule: SnapshotRule) => void): TableSnapshot[] {
    return parseTables(this.frame.publicDomain.subarray(this.#tablesAt), "public", this.seqno, tolerate);
  }

  /**
   * Private tables, or undefined where the key is not the ledger secret of `seqno`, or a byte changed.
   *
   * @throws FormatError
   */
  privateTables(
    primitives: Primitives,
    key: Uint8Array,
    tolerate?: (rule: SnapshotRule) => void,
  ): TableSnapshot[] | undefined {
    const plaintext = openFrame(primitives, this.frame, key);
    return plaintext && parseTables(plaintext, "private", this.seqno, tolerate);
  }
}

// For each table:                          records, version 17, "42" := "hello" at 17
//   lp(name, UTF-8)                        0700000000000000 7265636f726473
//   u64 version                            1100000000000000
//   u64 bytes of the body, of each key     2800000000000000
//     u64 length, key, zeros to 8          0200000000000000 3432 000000000000
//     u64 8 + length of the value          0d00000000000000
//     u64 version, value, zeros to 8       1100000000000000 68656c6c6f 000000

/** Old releases kept removed keys, with a version that is negative as a signed integer. */
const TOMBSTONE = 0x8000_0000;

function parseTables(
  bytes: Uint8Array,
  domain: SecurityDomain,
  seqno: Seqno,
  tolerate: (rule: SnapshotRule) => void = refuse,
): TableSnapshot[] {
  const reader = new Reader(bytes);
  const tables: TableSnapshot[] = [];
  while (!reader.done) {
    const name = fromUtf8(reader.lengthPrefixed());
    checkTableName(name);
    if (domainOf(name) !== domain) throw refusal(name, `it stands in the ${domain} domain`);
    const previous = tables.at(-1);
    if (previous !== undefined && compareUtf8(previous.name, name) >= 0) {
      tolerate("its tables are not in ascending order");
    }
    const version = reader.u64();
    const entries = parseBody(reader.lengthPrefixed(), name, tolerate);
    if (version > seqno || entries.some((entry) => entry.version > version)) {
      throw refusal(name, "it has versions beyond its own or the snapshot's");
    }
    tables.push({ name, version, entries });
  }
  return tables;
}

function parseBody(body: Uint8Array, name: string, tolerate: (rule: SnapshotRule) => void) {
  const reader = new Reader(body);
  const entries: { readonly key: ByteString; readonly value: Uint8Array; readonly version: Seqno }[] = [];
  let order = 0;
  let inOrder = true;
  while (!reader.done) {
    const key = reader.lengthPrefixed();
    skipPadding(reader, key.length, name);
    const valueBytes = reader.u64() - 8;
    if (valueBytes < 0) throw refusal(name, "a value has no version");
    const [low, high] = [reader.u32(), reader.u32()];
    const value = reader.bytes(valueBytes);
    skipPadding(reader, valueBytes, name);
    const hash = mapOrder(key);
    inOrder &&= hash >= order;
    order = hash;
    if (high >= TOMBSTONE) continue;
    const version = high * 0x1_0000_0000 + low;
    if (version > MAX_SEQNO) throw refusal(name, "a version is over 2^53");
    entries.push({ key: toByteString(key), value, version });
  }
  if (!inOrder) tolerate("its keys are not in the order of their hashes");
  return entries;
}

function skipPadding(reader: Reader, length: number, name: string): void {
  for (let left = padding(length); left > 0; left--) {
    if (reader.u8() !== 0) throw refusal(name, "padding is not zero");
  }
}

function padding(length: number): number {
  return (8 - length % 8) % 8;
}

function refuse(rule: SnapshotRule): never {
  throw new FormatError(`Cannot read a snapshot: ${rule}`);
}

function refusal(table: string, reason: string): FormatError {
  return new FormatError(`Cannot read table ${JSON.stringify(table)} of a snapshot: ${reason}`);
}
