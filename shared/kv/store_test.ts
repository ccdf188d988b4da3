import { strict as assert } from "node:assert";
import { AssertionFailed } from "../assert.ts";
import { fromUtf8, toUtf8 } from "../bytes.ts";
import type { Seqno } from "../tx_id.ts";
import { Store, type StoreSnapshot } from "./store.ts";
import type { Transaction } from "./transaction.ts";
import type { TableWrites, WriteSet } from "./write_set.ts";

const NOTHING: WriteSet = { publicTables: [], privateTables: [] };

/** Runs a transaction to its end; values are text, null removes. */
function commit(store: Store, changes: Record<string, Record<string, string | null>>): void {
  const tx = store.begin();
  for (const [name, entries] of Object.entries(changes)) {
    for (const [key, value] of Object.entries(entries)) {
      if (value === null) tx.openRaw(name).remove(key);
      else tx.openRaw(name).put(key, toUtf8(value));
    }
  }
  store.apply(store.version + 1, tx.writeSet());
}

function shown(tx: Transaction, name: string): Record<string, string> {
  return Object.fromEntries(Array.from(tx.openRaw(name).entries(), ([key, value]) => [key, fromUtf8(value)]));
}

/** Per table its version, then key, value and version of each entry. */
function described({ tables }: StoreSnapshot): Record<string, unknown[]> {
  return Object.fromEntries(
    tables.map(({ name, version, entries }) => [
      name,
      [version, ...Array.from(entries, (entry) => [entry.key, fromUtf8(entry.value), entry.version])],
    ]),
  );
}

/** A hook that writes down what it is told. */
function into(lines: string[]): (seqno: Seqno, changes: TableWrites) => void {
  return (seqno, { name, writes, removes }) =>
    lines.push(`${seqno} ${name} +${writes.map(([key]) => key).join()} -${removes.join()}`);
}

Deno.test("an empty store is at version 0 and has no tables", () => {
  const store = new Store();
  assert.deepEqual([store.version, store.compactedVersion, store.tableNames()], [0, 0, []]);
  assert.equal(store.begin().openRaw("t").get("a"), undefined);
  assert.equal(store.begin().openRaw("t").size, 0);
});

Deno.test("Store.apply() makes changes visible, under the next seqno only", () => {
  const store = new Store();
  commit(store, { t: { a: "1" }, "public:p": { x: "1" } });
  commit(store, { t: { a: null, b: "2" } });
  assert.deepEqual(shown(store.begin(), "t"), { b: "2" });
  assert.deepEqual(shown(store.begin(), "public:p"), { x: "1" });
  assert.deepEqual(store.tableNames(), ["public:p", "t"]);
  assert.throws(() => store.apply(2, NOTHING), { message: "Assertion failed: Transactions are applied in order" });
  assert.throws(() => store.apply(4, NOTHING), AssertionFailed);
  store.apply(3, NOTHING);
  assert.equal(store.version, 3);
});

Deno.test("Store.rollback() restores values, versions, sizes and tables exactly", () => {
  const store = new Store();
  commit(store, { t: { a: "1", b: "1" } });
  commit(store, { t: { a: "2", c: "2" } });
  const before = described(store.snapshot());
  commit(store, { t: { a: "3", b: null, d: "3" }, u: { x: "3" } });
  commit(store, { t: { a: null, b: "4", absent: null } });
  store.rollback(2);
  assert.deepEqual(described(store.snapshot()), before);
  assert.equal(store.version, 2);
  assert.equal(store.begin().openRaw("t").size, 3);
  assert.equal(store.begin().openRaw("t").versionOfPreviousWrite("a"), 2);
  assert.deepEqual(store.tableNames(), ["t"]);
  store.rollback(0);
  assert.deepEqual([store.version, store.tableNames()], [0, []]);
});

Deno.test("Store.rollback() and Store.compact() assert that what is committed stays", () => {
  const store = new Store();
  for (let i = 0; i < 4; i++) commit(store, { t: { a: String(i) } });
  store.compact(2);
  assert.throws(() => store.rollback(1), { message: "Assertion failed: What is committed is never rolled back" });
  assert.throws(() => store.rollback(5), AssertionFailed);
  assert.throws(() => store.compact(1), { message: "Assertion failed: Commit never goes back" });
  assert.throws(() => store.compact(5), { message: "Assertion failed: Only what was applied can be committed" });
  store.rollback(2);
  store.compact(2);
  assert.deepEqual([store.version, store.compactedVersion], [2, 2]);
});

Deno.test("Store.beginCommitted() reads the compacted version, whatever was applied since", () => {
  const store = new Store();
  commit(store, { t: { a: "1", b: "1", c: "1" } });
  store.compact(1);
  commit(store, { t: { a: "2", b: null, d: "2" } });
  commit(store, { t: { a: null, b: "3", c: "3" }, u: { x: "3" } });
  const committed = store.beginCommitted();
  assert.equal(committed.readVersion, 1);
  assert.deepEqual(shown(committed, "t"), { a: "1", b: "1", c: "1" });
  assert.equal(committed.openRaw("t").size, 3);
  assert.equal(committed.openRaw("t").versionOfPreviousWrite("a"), 1);
  assert.equal(committed.openRaw("t").get("d"), undefined);
  assert.deepEqual(shown(committed, "u"), {});
  assert.equal(committed.openRaw("u").size, 0);
  assert.throws(() => committed.openRaw("t").put("a", toUtf8("x")), AssertionFailed);
  store.compact(2);
  assert.deepEqual(shown(store.beginCommitted(), "t"), { a: "2", c: "1", d: "2" });
  assert.equal(store.beginCommitted().openRaw("t").size, 3);
  store.compact(3);
  assert.deepEqual(shown(store.beginCommitted(), "t"), { b: "3", c: "3", d: "2" });
});

Deno.test("the version of a table counts writes and removes of present keys, and nothing else", () => {
  const store = new Store();
  const versions = () => store.snapshot().tables.map(({ name, version }) => [name, version]);
  commit(store, { t: { absent: null } });
  assert.deepEqual(versions(), [["t", 0]]);
  commit(store, { t: { a: "2" }, u: { x: "2" } });
  commit(store, { t: { absent: null }, u: { x: null } });
  assert.deepEqual(versions(), [["t", 2], ["u", 3]]);
  commit(store, { t: { a: null } });
  commit(store, { t: { a: null } });
  assert.deepEqual(versions(), [["t", 4], ["u", 3]]);
  store.rollback(3);
  assert.deepEqual(versions(), [["t", 2], ["u", 3]]);
});

Deno.test("Store.snapshot() stays as it is, at any version that is still known", () => {
  const store = new Store();
  const pictures: [StoreSnapshot, Record<string, unknown[]>][] = [];
  const take = (version?: Seqno) => {
    const picture = store.snapshot(version);
    pictures.push([picture, described(picture)]);
    return described(picture);
  };
  commit(store, { t: { b: "1", a: "1" }, "public:p": { x: "1" } });
  const first = take();
  assert.deepEqual(first, { "public:p": [1, ["x", "1", 1]], t: [1, ["a", "1", 1], ["b", "1", 1]] });
  commit(store, { t: { a: "2", c: "2" }, u: { absent: null } });
  const second = take();
  assert.deepEqual(second, {
    "public:p": [1, ["x", "1", 1]],
    t: [2, ["a", "2", 2], ["b", "1", 1], ["c", "2", 2]],
    u: [0],
  });
  commit(store, { t: { a: null, b: "3" }, u: { y: "3" }, v: { z: "3" } });
  assert.deepEqual(take(1), first);
  assert.deepEqual(take(2), second);
  store.compact(2);
  assert.throws(() => store.snapshot(1), { message: /A snapshot is of a version that is still known$/ });
  assert.throws(() => store.snapshot(4), AssertionFailed);
  store.rollback(2);
  commit(store, { t: { a: "other" } });
  store.compact(3);
  for (const [picture, before] of pictures) assert.deepEqual(described(picture), before);
});

Deno.test("Store.load() goes on where a snapshot ended", () => {
  const source = new Store();
  commit(source, { t: { a: "1", b: "1" }, "public:p": { x: "1" }, "only removes": { absent: null } });
  commit(source, { t: { a: "2" }, "public:p": { x: null } });
  const store = new Store();
  store.load(source.snapshot());
  assert.deepEqual([store.version, store.compactedVersion], [2, 2]);
  assert.deepEqual(described(store.snapshot()), described(source.snapshot()));
  assert.equal(store.begin().openRaw("t").versionOfPreviousWrite("b"), 1);
  assert.equal(store.beginCommitted().openRaw("t").size, 2);
  for (const each of [source, store]) commit(each, { t: { b: null, c: "3" } });
  assert.deepEqual(described(store.snapshot()), described(source.snapshot()));
  assert.throws(() => store.load(source.snapshot()), { message: /A snapshot is loaded into an empty store$/ });
});

Deno.test("Store.load() refuses what contradicts itself", () => {
  const entry = (key: string, version: Seqno) => ({ key, value: new Uint8Array(0), version });
  const t = { name: "t", version: 1, entries: [entry("a", 1)] };
  const table: readonly (readonly [StoreSnapshot, string])[] = [
    [{ version: 1, tables: [t, t] }, 'Cannot load a snapshot: it lists table "t" twice'],
    [
      { version: 1, tables: [{ ...t, entries: [entry("a", 1), entry("a", 1)] }] },
      'Cannot load table "t": a key is listed twice',
    ],
    [{ version: 1, tables: [{ ...t, version: 2 }] }, 'Cannot load table "t": seqno 2 is after the snapshot'],
    [
      { version: 1, tables: [{ ...t, entries: [entry("a", 3)] }] },
      'Cannot load table "t": seqno 3 is after the snapshot',
    ],
  ];
  for (const [snapshot, message] of table) {
    assert.throws(() => new Store().load(snapshot), { name: "FormatError", message });
  }
});

Deno.test("apply hooks are told at once, commit hooks at commit in order, rollback hooks of a rollback", () => {
  const store = new Store();
  const lines: string[] = [];
  store.onApply("t", into(lines));
  store.onCommit("t", (seqno, changes) => {
    assert.equal(store.compactedVersion, seqno);
    lines.push(`commit ${seqno} +${changes.writes.length} -${changes.removes.length}`);
  });
  store.onCommit("t", () => lines.push("another hook"));
  store.onRollback((to) => lines.push(`rollback ${to}`));
  store.onApply("u", () => lines.push(`u, with t = ${JSON.stringify(shown(store.beginReadOnly(), "t"))}`));

  commit(store, { t: { a: "1", b: "1" }, other: { x: "1" } });
  commit(store, { other: { x: "2" } });
  commit(store, { t: { b: null, a: "3", absent: null }, u: { y: "3" } });
  assert.deepEqual(lines.splice(0), ["1 t +a,b -", "3 t +a -absent,b", 'u, with t = {"a":"3"}']);
  commit(store, { t: { c: "4" } });
  store.rollback(3);
  store.rollback(3);
  assert.deepEqual(lines.splice(0), ["4 t +c -", "rollback 3"]);
  store.compact(3);
  store.compact(3);
  assert.deepEqual(lines, ["commit 1 +2 -0", "another hook", "commit 3 +1 -2", "another hook"]);
});

Deno.test("hooks of a table are told of a snapshot's entries, as applied and as committed", () => {
  const source = new Store();
  commit(source, { t: { b: "1", a: "1", c: "1" } });
  commit(source, { t: { c: null }, u: { x: "2" } });
  const store = new Store();
  const lines: string[] = [];
  store.onCommit("t", (seqno) => lines.push(`commit ${seqno}`));
  store.onApply("t", into(lines));
  store.onApply("absent", into(lines));
  store.load(source.snapshot());
  assert.deepEqual(lines, ["2 t +a,b -", "commit 2"]);
});

Deno.test("a hook may not change the store, and one that throws does not lock it", () => {
  const store = new Store();
  store.onApply("t", () => store.apply(2, NOTHING));
  assert.throws(() => commit(store, { t: { a: "1" } }), {
    message: "Assertion failed: A hook does not change the store",
  });
  commit(store, { u: { a: "2" } });
  assert.equal(store.version, 2);
});

Deno.test("Store.takePrivateTables() moves what was replayed apart", () => {
  const live = new Store();
  const recovered = new Store();
  commit(live, { "public:p": { x: "1" } });
  commit(recovered, { "public:p": { x: "1" }, t: { a: "1" } });
  live.apply(2, NOTHING);
  commit(recovered, { t: { a: "2", b: "2" } });
  commit(live, { "public:p": { x: "3" } });
  assert.throws(() => live.takePrivateTables(recovered), AssertionFailed);
  live.compact(2);
  recovered.compact(2);
  live.takePrivateTables(recovered);
  assert.deepEqual(shown(live.begin(), "t"), { a: "2", b: "2" });
  assert.deepEqual(shown(live.beginCommitted(), "t"), { a: "2", b: "2" });
  assert.deepEqual(shown(live.begin(), "public:p"), { x: "3" });
  assert.deepEqual(recovered.tableNames(), ["public:p"]);
  live.rollback(2);
  assert.deepEqual(shown(live.begin(), "public:p"), { x: "1" });
});

Deno.test("Store.apply() keeps no view into the bytes it was given", () => {
  const store = new Store();
  const file = toUtf8("-value-");
  store.apply(1, {
    publicTables: [],
    privateTables: [{ name: "t", writes: [["k", file.subarray(1, 6)]], removes: [] }],
  });
  file.fill(0);
  assert.deepEqual(shown(store.begin(), "t"), { k: "value" });
});
