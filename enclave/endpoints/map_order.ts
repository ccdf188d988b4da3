/**
 * The order in which CCF lists what is in a table.
 *
 * In: entries of a table. Out: the same in the order of CCF's hash tries: at each of their nodes first the keys that are
 * alone there, then the branches, both by the next five bits of the key's hash (src/ds/champ_map.h).
 * Nothing may depend on it, and yet every client of CCF has seen it so.
 */

import { type ByteString, fromByteString } from "../../shared/bytes.ts";
import { mapOrder } from "../../shared/crypto/siphash.ts";
import type { Table } from "../../shared/kv/table.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";

const BITS_PER_LEVEL = 5;
const HASH_BITS = 32;

/** All entries of a table. */
export function listed<K, V>(tx: Transaction, table: Table<K, V>): (readonly [key: K, value: V])[] {
  return inMapOrder([...tx.open(table).entries()], ([key]) => table.key.encode(key));
}

/** All keys of a table; its values are not looked at. */
export function listedKeys<K>(tx: Transaction, { name, key }: Table<K, unknown>): K[] {
  const keys = [...tx.openRaw(name).entries()].map(([bytes]) => bytes);
  return inMapOrder(keys, (bytes) => bytes).map((bytes) => key.decode(bytes));
}

/** @param keyOf the bytes that a table has for a key */
export function inMapOrder<Entry>(entries: readonly Entry[], keyOf: (entry: Entry) => ByteString): Entry[] {
  const hashed = entries.map((entry) => ({ entry, hash: mapOrder(fromByteString(keyOf(entry))) }));
  return walk(hashed, 0).map(({ entry }) => entry);
}

function walk<T extends { readonly hash: number }>(items: readonly T[], shift: number): readonly T[] {
  if (items.length < 2 || shift >= HASH_BITS) return items;
  const branches: T[][] = [];
  for (const item of items) (branches[(item.hash >>> shift) & 0x1f] ??= []).push(item);
  // Holes of the array are skipped.
  const alone = branches.filter((branch) => branch.length === 1);
  const shared = branches.filter((branch) => branch.length > 1);
  return [...alone.flat(), ...shared.flatMap((branch) => walk(branch, shift + BITS_PER_LEVEL))];
}
