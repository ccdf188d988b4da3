import { strict as assert } from "node:assert";
import { AssertionFailed, FormatError } from "../assert.ts";
import { fromUtf8, toUtf8 } from "../bytes.ts";
import { anything, object, text } from "../json_shape.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../limits.ts";
import { json, jsonText, mapOf, rawText, setOf, singleton, SINGLETON_KEY } from "./codecs.ts";
import { Store } from "./store.ts";
import type { RawTable } from "./table.ts";
import type { WriteSet } from "./write_set.ts";

/** A store at version 1 with a few entries: table t has a, b and d, table public:p has x. */
function storeAtOne(): Store {
  const store = new Store();
  const tx = store.begin();
  for (const key of ["d", "a", "b"]) tx.openRaw("t").put(key, toUtf8(`stored ${key}`));
  tx.openRaw("public:p").put("x", toUtf8("stored x"));
  store.apply(1, tx.writeSet());
  return store;
}

function shown(table: RawTable, from?: string): string[] {
  return Array.from(table.entries(from), ([key, value]) => `${key}=${fromUtf8(value)}`);
}

function names({ publicTables, privateTables }: WriteSet): string[][] {
  return [publicTables, privateTables].map((tables) => tables.map(({ name }) => name));
}

Deno.test("Transaction.openRaw() answers the same object each time", () => {
  const tx = storeAtOne().begin();
  assert.equal(tx.openRaw("t"), tx.openRaw("t"));
  assert.notEqual(tx.openRaw("t"), tx.openRaw("u"));
  assert.equal(tx.openRaw("t").name, "t");
});

Deno.test("Transaction.openRaw() refuses reserved names", () => {
  assert.throws(() => storeAtOne().begin().openRaw("public:ccf.x"), FormatError);
});

Deno.test("Transaction.get() sees a value this transaction has put, and none that it has removed", () => {
  const table = storeAtOne().begin().openRaw("t");
  table.put("a", toUtf8("mine"));
  table.put("c", toUtf8("new"));
  table.remove("b");
  assert.deepEqual(["a", "b", "c", "d", "e"].map((key) => table.get(key) && fromUtf8(table.get(key)!)), [
    "mine",
    undefined,
    "new",
    "stored d",
    undefined,
  ]);
  assert.deepEqual(["a", "b", "c", "e"].map((key) => table.has(key)), [true, false, true, false]);
  assert.equal(table.size, 3);
  table.put("b", toUtf8("again"));
  table.remove("absent");
  assert.equal(table.size, 4);
  assert.deepEqual(shown(table), ["a=mine", "b=again", "c=new", "d=stored d"]);
});

Deno.test("Transaction.entries() ascends, begins where it is asked to, and includes what was changed", () => {
  const table = storeAtOne().begin().openRaw("t");
  for (const key of ["", "c", "z", "e"]) table.put(key, toUtf8("new"));
  table.remove("d");
  assert.deepEqual(shown(table), ["=new", "a=stored a", "b=stored b", "c=new", "e=new", "z=new"]);
  assert.deepEqual(shown(table, "b"), ["b=stored b", "c=new", "e=new", "z=new"]);
  assert.deepEqual(shown(table, "bb"), ["c=new", "e=new", "z=new"]);
  assert.deepEqual(shown(table, "zz"), []);
});

Deno.test("Transaction.entries() shows the table as it was when the call began", () => {
  const table = storeAtOne().begin().openRaw("t");
  table.put("c", toUtf8("new"));
  const entries = table.entries();
  table.put("aa", toUtf8("late"));
  const seen: string[] = [];
  for (const [key] of entries) {
    seen.push(key);
    table.remove("d");
    table.put(`${key}!`, toUtf8("later"));
  }
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
  assert.deepEqual(shown(table).map((entry) => entry.split("=")[0]), ["a", "a!", "aa", "b", "b!", "c", "c!", "d!"]);
});

Deno.test("Transaction.clear() removes what is present, stored or put", () => {
  const tx = storeAtOne().begin();
  tx.openRaw("t").put("c", toUtf8("new"));
  tx.openRaw("t").remove("absent");
  tx.openRaw("t").clear();
  assert.equal(tx.openRaw("t").size, 0);
  assert.deepEqual(tx.writeSet().privateTables, [{ name: "t", writes: [], removes: ["a", "absent", "b", "c", "d"] }]);
});

Deno.test("Transaction.writeSet() has only the last change of each key, in the order of the ledger", () => {
  const tx = storeAtOne().begin();
  const table = tx.openRaw("t");
  table.put("z", toUtf8("1"));
  table.put("b", toUtf8("2"));
  table.put("b", toUtf8("3"));
  table.put("written first", toUtf8("4"));
  table.remove("written first");
  table.remove("absent");
  table.remove("removed first");
  table.put("removed first", toUtf8("5"));
  assert.deepEqual(tx.writeSet(), {
    publicTables: [],
    privateTables: [{
      name: "t",
      writes: [["b", toUtf8("3")], ["removed first", toUtf8("5")], ["z", toUtf8("1")]],
      removes: ["absent", "written first"],
    }],
  });
});

Deno.test("Transaction.writeSet() sorts tables by the bytes of their names, each domain apart, without unchanged ones", () => {
  const tx = storeAtOne().begin();
  for (const name of ["public:\u{10000}", "b", "public:\uffff", "public:a", "a", "public:ccf.gov.x"]) {
    tx.openRaw(name).put("k", new Uint8Array(0));
  }
  tx.openRaw("only read").get("k");
  tx.openRaw("public:p").clear();
  assert.deepEqual(names(tx.writeSet()), [
    ["public:a", "public:ccf.gov.x", "public:p", "public:\uffff", "public:\u{10000}"],
    ["a", "b"],
  ]);
});

Deno.test("Transaction.hasWrites and Transaction.touched tell what happened", () => {
  const store = storeAtOne();
  const tx = store.begin();
  assert.deepEqual([tx.touched, tx.hasWrites], [false, false]);
  tx.openRaw("t").get("a");
  assert.deepEqual([tx.touched, tx.hasWrites], [true, false]);
  tx.openRaw("new").clear();
  assert.deepEqual([tx.touched, tx.hasWrites], [true, false]);
  tx.openRaw("t").remove("absent");
  assert.deepEqual([tx.touched, tx.hasWrites], [true, true]);
});

Deno.test("versionOfPreviousWrite() tells of writes before the transaction, not of its own", () => {
  const store = storeAtOne();
  let tx = store.begin();
  assert.equal(tx.openRaw("t").versionOfPreviousWrite("a"), 1);
  tx.openRaw("t").put("a", toUtf8("2"));
  tx.openRaw("t").remove("b");
  tx.openRaw("t").put("new", toUtf8("2"));
  assert.deepEqual(["a", "b", "new"].map((key) => tx.openRaw("t").versionOfPreviousWrite(key)), [1, 1, undefined]);
  store.apply(2, tx.writeSet());
  tx = store.begin();
  const versions = ["a", "b", "d", "new", "absent"].map((key) => tx.openRaw("t").versionOfPreviousWrite(key));
  assert.deepEqual(versions, [2, undefined, 1, 2, undefined]);
  assert.equal(tx.openRaw("no such table").versionOfPreviousWrite("a"), undefined);
});

Deno.test("a read-only transaction reads, and asserts that it is not written to", () => {
  const tx = storeAtOne().beginReadOnly();
  assert.equal(tx.isReadOnly, true);
  assert.deepEqual(shown(tx.openRaw("t")), ["a=stored a", "b=stored b", "d=stored d"]);
  assert.throws(() => tx.openRaw("t").put("a", new Uint8Array(0)), AssertionFailed);
  assert.throws(() => tx.openRaw("t").remove("a"), AssertionFailed);
  assert.throws(() => tx.openRaw("t").clear(), AssertionFailed);
  assert.equal(tx.hasWrites, false);
});

Deno.test("a transaction is over once the store has changed", () => {
  const changes: readonly ((store: Store) => void)[] = [
    (store) => store.apply(2, { publicTables: [], privateTables: [] }),
    (store) => store.compact(1),
    (store) => store.rollback(0),
  ];
  for (const change of changes) {
    const store = storeAtOne();
    const tx = store.begin();
    const table = tx.openRaw("t");
    table.put("a", toUtf8("2"));
    change(store);
    const uses: readonly (() => unknown)[] = [
      () => table.get("b"),
      () => table.put("b", toUtf8("2")),
      () => table.entries(),
      () => table.size,
      () => table.versionOfPreviousWrite("a"),
      () => tx.openRaw("u"),
      () => tx.writeSet(),
    ];
    for (const use of uses) assert.throws(use, { message: /A transaction is over once the store has changed$/ });
    assert.equal(tx.hasWrites, true);
  }
});

Deno.test("put() copies a view into a larger buffer, so that the buffer may be reused", () => {
  const store = new Store();
  const tx = store.begin();
  const buffer = toUtf8("xvaluex");
  tx.openRaw("t").put("k", buffer.subarray(1, 6));
  buffer.fill(0);
  assert.equal(fromUtf8(tx.openRaw("t").get("k")!), "value");
});

Deno.test("put() refuses keys and values larger than any may be", () => {
  const table = new Store().begin().openRaw("t");
  table.put("k".repeat(MAX_KEY_BYTES), new Uint8Array(0));
  assert.throws(() => table.put("k".repeat(MAX_KEY_BYTES + 1), new Uint8Array(0)), {
    name: "FormatError",
    message: "Cannot put a key of 1048577 bytes into table t: at most 1048576",
  });
  assert.throws(() => table.put("k", new Uint8Array(MAX_VALUE_BYTES + 1)), {
    name: "FormatError",
    message: "Cannot put a value of 67108865 bytes into table t: at most 67108864",
  });
});

const PEOPLE = mapOf("public:people", json(object({ name: text }, { data: anything })));
const MOTTO = singleton("public:motto", jsonText);
const NOTES = mapOf("notes", rawText);

Deno.test("Transaction.open() reads and writes values of a table's types", () => {
  const store = new Store();
  const tx = store.begin();
  tx.open(PEOPLE).put("é", { name: "Émile", data: { b: 1, a: 2 } });
  tx.open(PEOPLE).put("a", { name: "Anna" });
  tx.open(MOTTO).put("a/b");
  tx.open(NOTES).put("n", "plain");
  assert.equal(fromUtf8(tx.openRaw("public:people").get("\xc3\xa9")!), '{"data":{"a":2,"b":1},"name":"Émile"}');
  assert.equal(fromUtf8(tx.openRaw("public:motto").get(SINGLETON_KEY)!), '"a/b"');
  assert.equal(fromUtf8(tx.openRaw("notes").get("n")!), "plain");
  store.apply(1, tx.writeSet());

  const after = store.begin();
  const people = after.open(PEOPLE);
  assert.deepEqual([...people.entries()], [["a", { name: "Anna" }], ["é", { name: "Émile", data: { b: 1, a: 2 } }]]);
  assert.deepEqual([people.size, people.has("é"), people.has("b")], [2, true, false]);
  assert.equal(people.get("b"), undefined);
  assert.equal(people.versionOfPreviousWrite("é"), 1);
  people.remove("é");
  assert.equal(people.size, 1);
  people.clear();
  assert.equal(people.size, 0);
  const motto = after.open(MOTTO);
  assert.deepEqual([motto.get(), motto.has(), motto.versionOfPreviousWrite()], ["a/b", true, 1]);
  motto.clear();
  assert.deepEqual([motto.get(), motto.has()], [undefined, false]);
  motto.put("b");
  motto.remove();
  assert.equal(motto.has(), false);
});

Deno.test("a table of text alone is asked with has()", () => {
  const members = new Store().begin().open(setOf("s"));
  members.put("a", undefined);
  assert.deepEqual([members.has("a"), members.has("b"), [...members.entries()]], [true, false, [["a", undefined]]]);
});

Deno.test("a typed table says which table holds what it cannot read", () => {
  const tx = new Store().begin();
  tx.openRaw("public:people").put("a", toUtf8('{"name":1}'));
  tx.openRaw("public:motto").put(SINGLETON_KEY, toUtf8("a/b"));
  const inPeople = {
    name: "FormatError",
    message: 'Cannot use table public:people: Cannot read JSON at "/name": it must be text',
  };
  assert.throws(() => tx.open(PEOPLE).get("a"), inPeople);
  assert.throws(() => [...tx.open(PEOPLE).entries()], inPeople);
  assert.throws(() => tx.open(MOTTO).get(), {
    name: "FormatError",
    message: "Cannot use table public:motto: Cannot read 3 characters as JSON",
  });
});

Deno.test("a typed table keeps members that its shape does not name", () => {
  const codec = json(object({ name: text }));
  const kept = codec.decode(toUtf8('{"name":"x","newer":[1]}'));
  assert.equal(fromUtf8(codec.encode(kept)), '{"name":"x","newer":[1]}');
});
