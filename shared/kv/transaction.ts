/**
 * One unit of work: what it reads, what it has written so far, and the write set it ends in.
 *
 * In: a state of the store. Out: tables by name, raw or typed; a write set. Knows nothing of how it is committed: the
 * caller serialises the write set, seals it, and applies it to the store under the next seqno.
 * Rules: ledger-and-receipts.md §3.3, §3.4.
 */

import { assert, FormatError } from "../assert.ts";
import type { ByteString } from "../bytes.ts";
import { MAX_KEY_BYTES, MAX_TRANSACTION_BYTES, MAX_VALUE_BYTES } from "../limits.ts";
import type { Seqno } from "../tx_id.ts";
import { compareUtf8 } from "../utf8_order.ts";
import { checkTableName, domainOf } from "./table_name.ts";
import type { RawTable, Singleton, SingletonHandle, Table, TableHandle } from "./table.ts";
import { TypedSingleton, TypedTable } from "./typed_table.ts";
import { ownBytes, type SnapshotEntry, type VersionedTable } from "./versioned_table.ts";
import type { TableWrites, WriteSet } from "./write_set.ts";

/** Where a transaction reads: the store. */
export interface TableSource {
  /** Another number after each change. A transaction is over once the store has changed under it. */
  readonly generation: number;
  table(name: string): VersionedTable | undefined;
}

export class Transaction {
  /** Seqno of the state that this transaction reads. */
  readonly readVersion: Seqno;
  readonly isReadOnly: boolean;
  readonly #source: TableSource;
  readonly #generation: number;
  readonly #tables = new Map<string, TransactionTable>();
  #writtenBytes = 0;

  constructor(source: TableSource, readVersion: Seqno, mode: "read-write" | "read-only") {
    this.#source = source;
    this.#generation = source.generation;
    this.readVersion = readVersion;
    this.isReadOnly = mode === "read-only";
  }

  /**
   * A table by name: the same object each time.
   *
   * @throws FormatError for a reserved name
   */
  openRaw(name: string): RawTable {
    const opened = this.#tables.get(name);
    if (opened !== undefined) return opened;
    this.assertCurrent();
    checkTableName(name);
    const table = new TransactionTable(this, name, this.#source.table(name));
    this.#tables.set(name, table);
    return table;
  }

  open<K, V>(table: Table<K, V>): TableHandle<K, V>;
  open<V>(table: Singleton<V>): SingletonHandle<V>;
  open<K, V>(table: Table<K, V> | Singleton<V>): TableHandle<K, V> | SingletonHandle<V> {
    const raw = this.openRaw(table.name);
    return "key" in table ? new TypedTable(raw, table) : new TypedSingleton(raw, table);
  }

  /** What a table held before this transaction. */
  storedValue(name: string, key: ByteString): Uint8Array | undefined {
    return this.#source.table(name)?.valueAt(this.readVersion, key);
  }

  /** Whether any table was opened, which is when a response names the transaction (http-api.md §3.3). */
  get touched(): boolean {
    return this.#tables.size > 0;
  }

  /** Whether the write set has anything in it, and so needs a seqno. */
  get hasWrites(): boolean {
    for (const table of this.#tables.values()) if (table.hasChanges) return true;
    return false;
  }

  /** What this transaction changed, in the order of the ledger. */
  writeSet(): WriteSet {
    this.assertCurrent();
    const publicTables: TableWrites[] = [];
    const privateTables: TableWrites[] = [];
    for (const table of this.#tables.values()) {
      if (!table.hasChanges) continue;
      (domainOf(table.name) === "public" ? publicTables : privateTables).push(table.changes());
    }
    if (publicTables.length > 1) publicTables.sort(byName);
    if (privateTables.length > 1) privateTables.sort(byName);
    return { publicTables, privateTables };
  }

  /** For the tables of this transaction. @throws FormatError where it would become larger than an entry may be */
  countBytes(more: number): void {
    if (this.#writtenBytes + more > MAX_TRANSACTION_BYTES) {
      throw new FormatError(`Cannot write more than ${MAX_TRANSACTION_BYTES} bytes in one transaction`);
    }
    this.#writtenBytes += more;
  }

  /** For the tables of this transaction. */
  assertCurrent(): void {
    assert(this.#source.generation === this.#generation, "A transaction is over once the store has changed");
  }
}

function byName(a: TableWrites, b: TableWrites): number {
  return compareUtf8(a.name, b.name);
}

class TransactionTable implements RawTable {
  readonly name: string;
  readonly #transaction: Transaction;
  readonly #stored: VersionedTable | undefined;
  /** Changed keys with their new values, undefined where removed. Made with the first change. */
  #changed: Map<ByteString, Uint8Array | undefined> | undefined;

  constructor(transaction: Transaction, name: string, stored: VersionedTable | undefined) {
    this.#transaction = transaction;
    this.name = name;
    this.#stored = stored;
  }

  get(key: ByteString): Uint8Array | undefined {
    this.#transaction.assertCurrent();
    if (this.#changed !== undefined) {
      const value = this.#changed.get(key);
      if (value !== undefined || this.#changed.has(key)) return value;
    }
    return this.#stored?.valueAt(this.#transaction.readVersion, key);
  }

  has(key: ByteString): boolean {
    return this.get(key) !== undefined;
  }

  put(key: ByteString, value: Uint8Array): void {
    if (key.length > MAX_KEY_BYTES) {
      throw new FormatError(
        `Cannot put a key of ${key.length} bytes into table ${this.name}: at most ${MAX_KEY_BYTES}`,
      );
    }
    if (value.length > MAX_VALUE_BYTES) {
      throw new FormatError(
        `Cannot put a value of ${value.length} bytes into table ${this.name}: at most ${MAX_VALUE_BYTES}`,
      );
    }
    const before = this.#changed?.get(key);
    this.#transaction.countBytes(key.length + value.length - (before === undefined ? 0 : key.length + before.length));
    this.#change(key, ownBytes(value));
  }

  remove(key: ByteString): void {
    this.#change(key, undefined);
  }

  clear(): void {
    for (const [key] of this.entries()) this.remove(key);
  }

  entries(from: ByteString = ""): Iterable<readonly [key: ByteString, value: Uint8Array]> {
    this.#transaction.assertCurrent();
    const stored = this.#stored?.entriesAt(this.#transaction.readVersion, from) ?? [];
    const changed = this.#changed === undefined ? [] : sortedByKey(this.#changed);
    return merge(stored, from === "" ? changed : changed.filter(([key]) => key >= from));
  }

  get size(): number {
    this.#transaction.assertCurrent();
    const version = this.#transaction.readVersion;
    let size = this.#stored?.sizeAt(version) ?? 0;
    for (const [key, value] of this.#changed ?? []) {
      if (this.#stored?.valueAt(version, key) !== undefined) size--;
      if (value !== undefined) size++;
    }
    return size;
  }

  versionOfPreviousWrite(key: ByteString): Seqno | undefined {
    this.#transaction.assertCurrent();
    return this.#stored?.lastWriteAt(this.#transaction.readVersion, key);
  }

  get hasChanges(): boolean {
    return this.#changed !== undefined;
  }

  changes(): TableWrites {
    const writes: [ByteString, Uint8Array][] = [];
    const removes: ByteString[] = [];
    for (const [key, value] of sortedByKey(this.#changed!)) {
      if (value === undefined) removes.push(key);
      else writes.push([key, value]);
    }
    return { name: this.name, writes, removes };
  }

  #change(key: ByteString, value: Uint8Array | undefined): void {
    this.#transaction.assertCurrent();
    assert(!this.#transaction.isReadOnly, "A read-only transaction does not write");
    this.#changed ??= new Map();
    this.#changed.set(key, value);
  }
}

function sortedByKey<T>(map: ReadonlyMap<ByteString, T>): (readonly [ByteString, T])[] {
  const entries = [...map];
  if (entries.length > 1) entries.sort(([a], [b]) => a < b ? -1 : 1);
  return entries;
}

/** What is stored, with what was changed in its place; both ascend. */
function* merge(
  stored: Iterable<SnapshotEntry>,
  changed: readonly (readonly [ByteString, Uint8Array | undefined])[],
): Generator<readonly [ByteString, Uint8Array], void, undefined> {
  let next = 0;
  for (const { key, value } of stored) {
    let isChanged = false;
    while (next < changed.length && changed[next]![0] <= key) {
      const [changedKey, changedValue] = changed[next++]!;
      isChanged = changedKey === key;
      if (changedValue !== undefined) yield [changedKey, changedValue];
    }
    if (!isChanged) yield [key, value];
  }
  for (; next < changed.length; next++) {
    const [key, value] = changed[next]!;
    if (value !== undefined) yield [key, value];
  }
}
