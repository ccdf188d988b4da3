/**
 * Tables as a transaction sees them: by name and raw bytes, or typed.
 *
 * Knows nothing of how versions are kept (`store.ts`) or serialised (`write_set.ts`).
 * Names decide the security domain: `table_name.ts`.
 */

import type { ByteString } from "../bytes.ts";
import type { Seqno } from "../tx_id.ts";

/**
 * One table in one transaction: what the store holds, under what this transaction has changed.
 *
 * Values are shared, not copied: do not change bytes that were put or got.
 */
export interface RawTable {
  readonly name: string;
  get(key: ByteString): Uint8Array | undefined;
  has(key: ByteString): boolean;
  /**
   * A view into a larger buffer is copied, so that a buffer may be reused.
   *
   * @throws AssertionFailed in a read-only transaction
   * @throws FormatError where key or value is larger than any may be
   */
  put(key: ByteString, value: Uint8Array): void;
  /** Removing an absent key is recorded too. */
  remove(key: ByteString): void;
  /** Removes every key that is present. */
  clear(): void;
  /** Entries with keys from `from` on, in ascending byte order of key, as they were when the call began. */
  entries(from?: ByteString): Iterable<readonly [key: ByteString, value: Uint8Array]>;
  readonly size: number;
  /** Seqno of the last write of this key before this transaction; undefined where the key was absent. */
  versionOfPreviousWrite(key: ByteString): Seqno | undefined;
}

/** How values of one type become bytes. `decode` throws FormatError. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** How keys of one type become the bytes of a key. `decode` throws FormatError. */
export interface KeyCodec<K> {
  encode(key: K): ByteString;
  decode(key: ByteString): K;
}

/** A table with types. One constant for each table of the service stands in `governance/tables.ts`. */
export interface Table<K, V> {
  readonly name: string;
  readonly key: KeyCodec<K>;
  readonly value: Codec<V>;
}

/** A table of one value, under the key of eight zero bytes (ledger-and-receipts.md §10.1). */
export interface Singleton<V> {
  readonly name: string;
  readonly value: Codec<V>;
}

/** A typed view of a `RawTable`. */
export interface TableHandle<K, V> {
  /** @throws FormatError, as `entries` does, where what is stored has another form */
  get(key: K): V | undefined;
  has(key: K): boolean;
  put(key: K, value: V): void;
  remove(key: K): void;
  clear(): void;
  entries(): Iterable<readonly [key: K, value: V]>;
  readonly size: number;
  versionOfPreviousWrite(key: K): Seqno | undefined;
}

/** A typed view of a table of one value. */
export interface SingletonHandle<V> {
  /** @throws FormatError where what is stored has another form */
  get(): V | undefined;
  has(): boolean;
  put(value: V): void;
  /** Recorded also where there is no value. */
  remove(): void;
  /** Removes the value if there is one. */
  clear(): void;
  versionOfPreviousWrite(): Seqno | undefined;
}
