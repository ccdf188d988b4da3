/**
 * Tables of the service, as the worker folded them, with their types.
 *
 * In: the worker, a table of `shared/governance/tables.ts`. Out: rows with decoded keys and values, and since when they are.
 * A row that has another form is said to have it, and does not take the others along.
 */

import { FormatError } from "../shared/assert.ts";
import { type ByteString, fromByteString, toByteString } from "../shared/bytes.ts";
import { SINGLETON_KEY } from "../shared/kv/codecs.ts";
import type { Singleton, Table } from "../shared/kv/table.ts";
import { MEMBERS_INFO, NODES_INFO, USERS_INFO } from "../shared/governance/tables.ts";
import { MAX_PAGE_TABLE_ROWS } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { LedgerApi } from "./ledger/protocol.ts";

export type FoldedLedger = Pick<LedgerApi, "table" | "value">;

export interface FoldedRow<K, V> {
  readonly key: K;
  readonly value: V;
  readonly writtenAt: Seqno;
}

/** A row that is not what its table holds. */
export interface OddRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly writtenAt: Seqno;
  readonly why: string;
}

export interface FoldedTable<K, V> {
  readonly rows: readonly FoldedRow<K, V>[];
  readonly odd: readonly OddRow[];
  /** Rows there are in all: `rows` and `odd` stop at a maximum. */
  readonly total: number;
}

/** All rows of a table, in order of their keys. @param at as of which seqno; left out: the last signed one */
export async function foldedTable<K, V>(
  ledger: FoldedLedger,
  table: Table<K, V>,
  at?: Seqno,
): Promise<FoldedTable<K, V>> {
  const page = await ledger.table(table.name, { ...(at !== undefined && { at }), count: MAX_PAGE_TABLE_ROWS });
  const rows: FoldedRow<K, V>[] = [];
  const odd: OddRow[] = [];
  for (const row of page.rows) {
    const read = decoded(() => ({ key: table.key.decode(byteString(row.key)), value: table.value.decode(row.value) }));
    if (typeof read === "string") odd.push({ ...row, why: read });
    else rows.push({ ...read, writtenAt: row.writtenAt });
  }
  return { rows, odd, total: page.total };
}

/** The one value of a table of one; undefined where there is none. @throws FormatError where it has another form */
export async function foldedValue<V>(
  ledger: FoldedLedger,
  { name, value }: Singleton<V>,
  at?: Seqno,
): Promise<{ readonly value: V; readonly writtenAt: Seqno } | undefined> {
  const row = await ledger.value(name, fromByteString(SINGLETON_KEY), at);
  return row && { value: value.decode(row.value), writtenAt: row.writtenAt };
}

const byteString = (bytes: Uint8Array): ByteString => toByteString(bytes);

function decoded<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

/** ID → what people call it, of members, users and nodes: `name` or `label` in the data that members gave them. */
export async function foldedNames(ledger: FoldedLedger): Promise<ReadonlyMap<string, string>> {
  const [members, users, nodes] = await Promise.all([
    foldedTable(ledger, MEMBERS_INFO),
    foldedTable(ledger, USERS_INFO),
    foldedTable(ledger, NODES_INFO),
  ]);
  const names = new Map<string, string>();
  const add = (id: string, data: unknown) => {
    const name = nameIn(data);
    if (name !== undefined) names.set(id, name);
  };
  for (const { key, value } of members.rows) add(key, value.member_data);
  for (const { key, value } of users.rows) add(key, value.user_data);
  for (const { key, value } of nodes.rows) add(key, value.node_data);
  return names;
}

/** What members called somebody in `member_data`, `user_data` or `node_data`. */
export function nameIn(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  for (const member of ["name", "label"] as const) {
    const name = (data as Record<string, unknown>)[member];
    if (typeof name === "string" && name !== "") return name.slice(0, 200);
  }
  return undefined;
}
