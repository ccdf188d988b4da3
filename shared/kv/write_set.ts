/**
 * What one transaction changed, and the bytes of it in a ledger entry.
 *
 * In: tables with their writes and removes. Out: the serialised tables of one security domain, and back.
 * Knows nothing of encryption, headers or the store.
 * Format: ledger-and-receipts.md §3.3
 */

import { assert, FormatError } from "../assert.ts";
import { type ByteString, fromUtf8, Reader, toByteString, toUtf8 } from "../bytes.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../limits.ts";
import { compareUtf8 } from "../utf8_order.ts";
import { categoryOf, checkNameText, domainOf, type SecurityDomain } from "./table_name.ts";

/** Changes to one table. Keys ascend as unsigned bytes within `writes` and within `removes`; no key is in both. */
export interface TableWrites {
  readonly name: string;
  readonly writes: readonly (readonly [key: ByteString, value: Uint8Array])[];
  /** Removed keys, also those that were absent before (ledger-and-receipts.md §3.3). */
  readonly removes: readonly ByteString[];
}

/** Changes to tables of both domains, each in ascending byte order of name, none without a change. */
export interface WriteSet {
  readonly publicTables: readonly TableWrites[];
  readonly privateTables: readonly TableWrites[];
}

// For each table:                            public:records, "42" := "hi"
//   lp(name, UTF-8)                          0e00000000000000 7075626c69633a7265636f726473
//   u64 read version, u64 read count         0000000000000000 0000000000000000
//   u64 write count, of each lp(key)         0100000000000000 0200000000000000 3432
//     lp(value)                              0200000000000000 6869
//   u64 remove count, of each lp(key)        0000000000000000
const FIXED_TABLE_BYTES = 40;

/** A rule of current writers that a ledger broke. None has been seen to, 1.x included; the parser can tell anyway. */
export interface WriteSetDeviation {
  readonly table: string;
  readonly rule:
    | "its read version is not 0"
    | "it has recorded reads"
    | "it has no changes"
    | "its keys are not in ascending order"
    | "it comes behind a table with a greater name"
    | "it stands in the wrong security domain"
    | "its name is reserved";
}

/**
 * Reads the tables of one security domain. Values are views into `bytes`.
 *
 * What is ambiguous is always an error: bytes missing, a table or key listed twice.
 *
 * @param tolerate told of each broken rule that harms nobody; without it such a rule is an error too. Order is then
 * restored, so that what is answered is a `TableWrites` like any other.
 * @throws FormatError
 */
export function parseTables(
  bytes: Uint8Array,
  domain: SecurityDomain,
  tolerate?: (deviation: WriteSetDeviation) => void,
): TableWrites[] {
  const reader = new Reader(bytes);
  const tables: TableWrites[] = [];
  const deviate = (table: string, rule: WriteSetDeviation["rule"]) => {
    if (tolerate === undefined) {
      throw new FormatError(`Cannot read the changes to table ${JSON.stringify(table)}: ${rule}`);
    }
    tolerate({ table, rule });
  };

  let inOrder = true;
  while (!reader.done) {
    const table = parseTable(reader, deviate);
    const previous = tables.at(-1);
    if (previous !== undefined && compareUtf8(previous.name, table.name) >= 0) {
      inOrder = false;
      if (previous.name !== table.name) deviate(table.name, "it comes behind a table with a greater name");
    }
    if (domainOf(table.name) !== domain) deviate(table.name, "it stands in the wrong security domain");
    tables.push(table);
  }
  if (!inOrder) {
    tables.sort((a, b) => compareUtf8(a.name, b.name));
    for (let i = 1; i < tables.length; i++) {
      const { name } = tables[i]!;
      if (tables[i - 1]!.name === name) {
        throw new FormatError(`Cannot read the changes to table ${JSON.stringify(name)}: it is listed twice`);
      }
    }
  }
  return tables;
}

type Deviate = (table: string, rule: WriteSetDeviation["rule"]) => void;

function parseTable(reader: Reader, deviate: Deviate): TableWrites {
  const name = parseName(reader.lengthPrefixed(), deviate);
  if (reader.u64() !== 0) deviate(name, "its read version is not 0");
  const readCount = reader.u64();
  if (readCount !== 0) deviate(name, "it has recorded reads");
  for (let i = 0; i < readCount; i++) {
    reader.lengthPrefixed();
    reader.u64();
  }

  const writes: [ByteString, Uint8Array][] = [];
  const writeCount = reader.u64();
  let inOrder = true;
  for (let i = 0; i < writeCount; i++) {
    const key = parseKey(reader, name);
    const value = reader.lengthPrefixed();
    if (value.length > MAX_VALUE_BYTES) {
      throw new FormatError(
        `Cannot read the changes to table ${JSON.stringify(name)}: a value of ${value.length} bytes is too large`,
      );
    }
    if (i > 0 && writes[i - 1]![0] >= key) inOrder = false;
    writes.push([key, value]);
  }

  const removes: ByteString[] = [];
  const removeCount = reader.u64();
  for (let i = 0; i < removeCount; i++) {
    const key = parseKey(reader, name);
    if (i > 0 && removes[i - 1]! >= key) inOrder = false;
    removes.push(key);
  }

  if (writeCount + removeCount === 0) deviate(name, "it has no changes");
  if (!inOrder) {
    writes.sort(([a], [b]) => a < b ? -1 : 1);
    removes.sort();
  }
  refuseRepeatedKeys(name, writes, removes);
  if (!inOrder) deviate(name, "its keys are not in ascending order");
  return { name, writes, removes };
}

function parseName(bytes: Uint8Array, deviate: Deviate): string {
  const name = fromUtf8(bytes);
  checkNameText(name);
  if (categoryOf(name) === undefined) deviate(name, "its name is reserved");
  return name;
}

function parseKey(reader: Reader, table: string): ByteString {
  const key = reader.lengthPrefixed();
  if (key.length > MAX_KEY_BYTES) {
    throw new FormatError(
      `Cannot read the changes to table ${JSON.stringify(table)}: a key of ${key.length} bytes is too large`,
    );
  }
  return toByteString(key);
}

/** Both lists ascend. */
function refuseRepeatedKeys(
  table: string,
  writes: readonly (readonly [ByteString, Uint8Array])[],
  removes: readonly ByteString[],
): void {
  let repeated = false;
  for (let i = 1; i < writes.length; i++) repeated ||= writes[i - 1]![0] === writes[i]![0];
  let at = 0;
  for (let i = 0; i < removes.length; i++) {
    const key = removes[i]!;
    while (at < writes.length && writes[at]![0] < key) at++;
    repeated ||= writes[at]?.[0] === key || (i > 0 && removes[i - 1] === key);
  }
  if (repeated) {
    throw new FormatError(`Cannot read the changes to table ${JSON.stringify(table)}: a key is listed twice`);
  }
}

/** Writes the tables of one security domain. */
export function serialiseTables(tables: readonly TableWrites[]): Uint8Array {
  const bytes = new Uint8Array(serialisedLength(tables));
  const end = serialiseTablesInto(bytes, 0, tables);
  assert(end === bytes.length, "The length of serialised tables is known beforehand");
  return bytes;
}

/** Bytes that `serialiseTables` will write. */
export function serialisedLength(tables: readonly TableWrites[]): number {
  let length = 0;
  for (const { name, writes, removes } of tables) {
    length += FIXED_TABLE_BYTES + utf8Length(name) + 16 * writes.length + 8 * removes.length;
    for (const [key, value] of writes) length += key.length + value.length;
    for (const key of removes) length += key.length;
  }
  return length;
}

/** Writes tables into an entry that is being put together, and answers where they end. */
export function serialiseTablesInto(target: Uint8Array, at: number, tables: readonly TableWrites[]): number {
  for (let i = 0; i < tables.length; i++) {
    const { name, writes, removes } = tables[i]!;
    assert(i === 0 || compareUtf8(tables[i - 1]!.name, name) < 0, "Tables of a write set ascend by name");
    assert(writes.length + removes.length > 0, "A table of a write set has changes");
    at = putName(target, at, name);
    at = putU64(target, at, 0);
    at = putU64(target, at, 0);
    at = putU64(target, at, writes.length);
    for (let w = 0; w < writes.length; w++) {
      const [key, value] = writes[w]!;
      assert(w === 0 || writes[w - 1]![0] < key, "Written keys of a table ascend");
      at = putByteString(target, at, key);
      at = putU64(target, at, value.length);
      target.set(value, at);
      at += value.length;
    }
    at = putU64(target, at, removes.length);
    for (let r = 0; r < removes.length; r++) {
      const key = removes[r]!;
      assert(r === 0 || removes[r - 1]! < key, "Removed keys of a table ascend");
      at = putByteString(target, at, key);
    }
  }
  return at;
}

function utf8Length(name: string): number {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0x7f) return toUtf8(name).length;
  return name.length;
}

function putName(target: Uint8Array, at: number, name: string): number {
  if (utf8Length(name) === name.length) return putByteString(target, at, name);
  const bytes = toUtf8(name);
  target.set(bytes, putU64(target, at, bytes.length));
  return at + 8 + bytes.length;
}

function putByteString(target: Uint8Array, at: number, text: ByteString): number {
  const start = putU64(target, at, text.length);
  for (let i = 0; i < text.length; i++) target[start + i] = text.charCodeAt(i);
  return start + text.length;
}

/** Counts and lengths only, which stay below 2^32. */
function putU64(target: Uint8Array, at: number, value: number): number {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
  target[at + 4] =
    target[at + 5] =
    target[at + 6] =
    target[at + 7] =
      0;
  return at + 8;
}
