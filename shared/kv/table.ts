/**
 * Tables as a transaction sees them: by name and raw bytes, or typed.
 *
 * Knows nothing of how versions are kept (`store.ts`) or serialised (`write_set.ts`).
 * Names decide the security domain: ledger-and-receipts.md §3.4.
 */

import type { ByteString } from "../bytes.ts";
import type { Seqno } from "../tx_id.ts";

/** One table in one transaction: what the store holds, under what this transaction has changed. */
export interface RawTable {
  readonly name: string;
  get(key: ByteString): Uint8Array | undefined;
  has(key: ByteString): boolean;
  /** @throws AssertionFailed in a read-only transaction */
  put(key: ByteString, value: Uint8Array): void;
  /** Removing an absent key is recorded too. */
  remove(key: ByteString): void;
  /** Removes every key that is present. */
  clear(): void;
  /** Entries in ascending byte order of key, as they were when the call began. */
  entries(): Iterable<readonly [key: ByteString, value: Uint8Array]>;
  readonly size: number;
  /** Seqno of the last write of this key before this transaction. */
  versionOfPreviousWrite(key: ByteString): Seqno | undefined;
}

/** How values of one type become bytes. `decode` throws FormatError. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** A table with types. One constant for each table of the service stands in `governance/tables.ts`. */
export interface Table<K, V> {
  readonly name: string;
  readonly key: Codec<K>;
  readonly value: Codec<V>;
}

/** A typed view of a `RawTable`. */
export interface TableHandle<K, V> {
  get(key: K): V | undefined;
  has(key: K): boolean;
  put(key: K, value: V): void;
  remove(key: K): void;
  clear(): void;
  entries(): Iterable<readonly [key: K, value: V]>;
  readonly size: number;
  versionOfPreviousWrite(key: K): Seqno | undefined;
}
