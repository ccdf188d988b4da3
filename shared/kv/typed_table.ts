/**
 * Tables with types, over tables of bytes.
 *
 * In: a raw table and its codecs. Out: handles that encode and decode. Knows nothing of transactions.
 */

import { FormatError } from "../assert.ts";
import type { Seqno } from "../tx_id.ts";
import { SINGLETON_KEY } from "./codecs.ts";
import type { RawTable, Singleton, SingletonHandle, Table, TableHandle } from "./table.ts";

export class TypedTable<K, V> implements TableHandle<K, V> {
  readonly #raw: RawTable;
  readonly #table: Table<K, V>;

  constructor(raw: RawTable, table: Table<K, V>) {
    this.#raw = raw;
    this.#table = table;
  }

  get(key: K): V | undefined {
    const bytes = this.#raw.get(this.#table.key.encode(key));
    return bytes && inTable(this.#table.name, () => this.#table.value.decode(bytes));
  }

  has(key: K): boolean {
    return this.#raw.has(this.#table.key.encode(key));
  }

  put(key: K, value: V): void {
    this.#raw.put(this.#table.key.encode(key), this.#table.value.encode(value));
  }

  remove(key: K): void {
    this.#raw.remove(this.#table.key.encode(key));
  }

  clear(): void {
    this.#raw.clear();
  }

  entries(): Iterable<readonly [key: K, value: V]> {
    return decoded(this.#table, this.#raw.entries());
  }

  get size(): number {
    return this.#raw.size;
  }

  versionOfPreviousWrite(key: K): Seqno | undefined {
    return this.#raw.versionOfPreviousWrite(this.#table.key.encode(key));
  }
}

export class TypedSingleton<V> implements SingletonHandle<V> {
  readonly #raw: RawTable;
  readonly #table: Singleton<V>;

  constructor(raw: RawTable, table: Singleton<V>) {
    this.#raw = raw;
    this.#table = table;
  }

  get(): V | undefined {
    const bytes = this.#raw.get(SINGLETON_KEY);
    return bytes && inTable(this.#table.name, () => this.#table.value.decode(bytes));
  }

  has(): boolean {
    return this.#raw.has(SINGLETON_KEY);
  }

  put(value: V): void {
    this.#raw.put(SINGLETON_KEY, this.#table.value.encode(value));
  }

  remove(): void {
    this.#raw.remove(SINGLETON_KEY);
  }

  clear(): void {
    this.#raw.clear();
  }

  versionOfPreviousWrite(): Seqno | undefined {
    return this.#raw.versionOfPreviousWrite(SINGLETON_KEY);
  }
}

function* decoded<K, V>(
  { name, key, value }: Table<K, V>,
  entries: ReturnType<RawTable["entries"]>,
): Generator<readonly [K, V], void, undefined> {
  for (const [keyBytes, bytes] of entries) {
    yield inTable(name, () => [key.decode(keyBytes), value.decode(bytes)] as const);
  }
}

/** Says of which table a value cannot be read. */
function inTable<T>(name: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot use table ${name}: ${error.message}`);
  }
}
