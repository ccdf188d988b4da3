/**
 * How fast the store is, and how much memory an entry takes.
 *
 *     deno bench tests/bench/kv_store_bench.ts                              times, one core
 *     deno run --v8-flags=--expose-gc tests/bench/kv_store_bench.ts         bytes per entry, at a million entries
 */

import { toUtf8 } from "../../shared/bytes.ts";
import { Store } from "../../shared/kv/store.ts";
import { parseTables, serialiseTables, serialiseTablesInto } from "../../shared/kv/write_set.ts";

const TABLE = "records";
/** As consensus would: what is applied is committed a little later. */
const COMMIT_EVERY = 1000;

/** A buffer for a ledger entry, of which the tables are a part. */
const entry = new Uint8Array(1024);
const value = toUtf8("twenty bytes of text");

/** Eight characters, in no order. */
function keyOf(i: number): string {
  return ((i * 2654435761) % 0x1_0000_0000).toString(16).padStart(8, "0");
}

/** The life of a small write: begin, put, write set, serialise, apply, and at times commit. */
function commitOne(store: Store, key: string, bytes: Uint8Array): void {
  const tx = store.begin();
  tx.openRaw(TABLE).put(key, bytes);
  const writeSet = tx.writeSet();
  serialiseTablesInto(entry, serialiseTablesInto(entry, 44, writeSet.publicTables), writeSet.privateTables);
  const seqno = store.version + 1;
  store.apply(seqno, writeSet);
  if (seqno % COMMIT_EVERY === 0) store.compact(seqno);
}

function filled(size: number): Store {
  const store = new Store();
  for (let i = 0; i < size; i++) commitOne(store, keyOf(i), toUtf8("twenty bytes of text"));
  store.compact(store.version);
  return store;
}

for (const size of [1000, 100_000, 1_000_000]) {
  let store: Store | undefined;
  let keys: readonly string[] = [];
  let next = 0;
  const prepared = (): Store => {
    if (store === undefined) {
      store = filled(size);
      keys = Array.from(store.beginReadOnly().openRaw(TABLE).entries(), ([key]) => key);
    }
    return store;
  };
  const someKey = () => keys[(next++ * 7919) % size]!;
  const group = `${size} keys`;

  Deno.bench("write 1000 times: begin, put, serialise, apply", { group }, (b) => {
    const store = prepared();
    b.start();
    for (let i = 0; i < COMMIT_EVERY; i++) commitOne(store, someKey(), value);
    b.end();
  });
  Deno.bench("read 1000 times, each in a transaction of its own", { group }, (b) => {
    const store = prepared();
    b.start();
    for (let i = 0; i < COMMIT_EVERY; i++) store.beginReadOnly().openRaw(TABLE).get(someKey());
    b.end();
  });
  Deno.bench("replay 1000 writes of a key: parse, apply", { group }, (b) => {
    const store = prepared();
    const bytes = serialiseTables([{ name: TABLE, writes: [[someKey(), value]], removes: [] }]);
    b.start();
    for (let i = 0; i < COMMIT_EVERY; i++) {
      store.apply(store.version + 1, { publicTables: [], privateTables: parseTables(bytes, "private") });
    }
    b.end();
    store.compact(store.version);
  });
  Deno.bench("scan 1000 keys", { group }, (b) => {
    const entries = prepared().beginReadOnly().openRaw(TABLE).entries(someKey())[Symbol.iterator]();
    b.start();
    for (let i = 0; i < 1000; i++) entries.next();
    b.end();
  });
  Deno.bench("picture of all tables, then write 1000 keys beside it", { group }, (b) => {
    const store = prepared();
    b.start();
    store.snapshot();
    for (let i = 0; i < COMMIT_EVERY; i++) commitOne(store, someKey(), value);
    b.end();
  });
}

const tables = [{ name: TABLE, writes: [[keyOf(1), value] as const], removes: [] }];
const serialised = serialiseTables(tables);
Deno.bench("serialise one write", { group: "write set" }, () => void serialiseTables(tables));
Deno.bench("parse one write", { group: "write set" }, () => void parseTables(serialised, "private"));

if (import.meta.main) {
  const collect = (globalThis as { gc?: () => void }).gc;
  const heapBytes = () => {
    collect?.();
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
  const size = 1_000_000;
  const before = heapBytes();
  const store = filled(size);
  console.log(`${Math.round((heapBytes() - before) / size)} bytes per entry, of ${store.version} entries`);
}
