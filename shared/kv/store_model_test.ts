/**
 * The store against a model that copies everything at every version.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toHex } from "../bytes.ts";
import type { Seqno } from "../tx_id.ts";
import { Store, type StoreSnapshot } from "./store.ts";
import type { Transaction } from "./transaction.ts";
import { parseTables, serialiseTables } from "./write_set.ts";

interface ModelTable {
  version: Seqno;
  entries: Map<string, { value: Uint8Array; version: Seqno }>;
}

type State = Map<string, ModelTable>;

interface Model {
  /** State at each version from 0 on. */
  states: State[];
  compacted: Seqno;
  /** What hooks should have said. */
  told: string[];
}

interface Real {
  store: Store;
  told: string[];
  /** Pictures taken on the way, and what they showed. */
  pictures: [StoreSnapshot, string][];
}

const NAMES = ["public:p", "t", "u"];
const KEYS = Array.from({ length: 9 }, (_, i) => String.fromCharCode(60 * i % 251));

function copied(state: State): State {
  return new Map([...state].map(([name, { version, entries }]) => [name, { version, entries: new Map(entries) }]));
}

function sortedEntries(table: ModelTable | undefined) {
  return [...table?.entries ?? []].sort(([a], [b]) => a < b ? -1 : 1);
}

function describeState(state: State): string {
  return [...state].sort(([a], [b]) => a < b ? -1 : 1).map(([name, table]) =>
    `${name}@${table.version}: ` +
    sortedEntries(table).map(([key, { value, version }]) => `${key}=${toHex(value)}@${version}`).join(" ")
  ).join("\n");
}

function describeSnapshot({ tables }: StoreSnapshot): string {
  return tables.map(({ name, version, entries }) =>
    `${name}@${version}: ` +
    Array.from(entries, ({ key, value, version }) => `${key}=${toHex(value)}@${version}`).join(" ")
  ).join("\n");
}

/** A transaction shows exactly a state. */
function assertShows(tx: Transaction, state: State): void {
  for (const name of NAMES) {
    const table = tx.openRaw(name);
    const expected = sortedEntries(state.get(name));
    assert.equal(table.size, expected.length);
    assert.deepEqual([...table.entries()], expected.map(([key, { value }]) => [key, value]));
    for (const key of KEYS) {
      const entry = state.get(name)?.entries.get(key);
      assert.deepEqual(table.get(key), entry?.value);
      assert.equal(table.versionOfPreviousWrite(key), entry?.version);
    }
  }
}

/** Where everything is committed, removed keys leave nothing behind. */
function assertNothingIsLeft(store: Store, state: State): void {
  if (store.version !== store.compactedVersion) return;
  for (const name of NAMES) assert.equal(store.table(name)?.keysHeld, state.get(name)?.entries.size);
}

type Command = fc.Command<Model, Real>;

/** Names a version between two, by a number from 0 to 99. */
const versionBetween = (first: Seqno, last: Seqno, place: number) => first + place % (last - first + 1);

class Commit implements Command {
  constructor(
    readonly changes: readonly { name: string; key: string; value: Uint8Array | null }[],
    readonly replayed: boolean,
  ) {}

  check = () => true;

  run(model: Model, { store }: Real): void {
    const tx = store.begin();
    const seqno = model.states.length;
    const before = model.states.at(-1)!;
    const final = new Map<string, Map<string, Uint8Array | null>>();
    for (const { name, key, value } of this.changes) {
      const table = tx.openRaw(name);
      if (value === null) table.remove(key);
      else table.put(key, value);
      if (!final.has(name)) final.set(name, new Map());
      final.get(name)!.set(key, value);
    }

    const state = copied(before);
    for (const [name, changes] of final) {
      if (!state.has(name)) state.set(name, { version: 0, entries: new Map() });
      const table = state.get(name)!;
      for (const [key, value] of changes) {
        if (value !== null || table.entries.has(key)) table.version = seqno;
        if (value === null) table.entries.delete(key);
        else table.entries.set(key, { value, version: seqno });
      }
    }
    model.states.push(state);
    for (const name of [...final.keys()].sort()) model.told.push(`apply ${seqno} ${name} ${final.get(name)!.size}`);

    for (const name of NAMES) {
      const expected = sortedEntries(state.get(name)).map(([key, { value }]) => [key, value]);
      assert.deepEqual([...tx.openRaw(name).entries()], expected);
      assert.equal(tx.openRaw(name).size, expected.length);
    }
    let writeSet = tx.writeSet();
    assert.equal(tx.hasWrites, writeSet.publicTables.length + writeSet.privateTables.length > 0);
    if (this.replayed) {
      writeSet = {
        publicTables: parseTables(serialiseTables(writeSet.publicTables), "public"),
        privateTables: parseTables(serialiseTables(writeSet.privateTables), "private"),
      };
    }
    store.apply(seqno, writeSet);
    assertShows(store.begin(), state);
  }

  toString = () =>
    `Commit(${this.changes.map(({ name, key, value }) => `${name}[${JSON.stringify(key)}]=${value}`).join()})`;
}

class Rollback implements Command {
  constructor(readonly place: number) {}

  check = () => true;

  run(model: Model, { store }: Real): void {
    const to = versionBetween(model.compacted, model.states.length - 1, this.place);
    if (to < model.states.length - 1) model.told.push(`rollback ${to}`);
    model.states.length = to + 1;
    store.rollback(to);
    assert.equal(describeSnapshot(store.snapshot()), describeState(model.states.at(-1)!));
    assertShows(store.beginReadOnly(), model.states.at(-1)!);
    assertNothingIsLeft(store, model.states.at(-1)!);
  }

  toString = () => `Rollback(${this.place})`;
}

class Compact implements Command {
  constructor(readonly place: number) {}

  check = () => true;

  run(model: Model, { store }: Real): void {
    const to = versionBetween(model.compacted, model.states.length - 1, this.place);
    for (let seqno = model.compacted + 1; seqno <= to; seqno++) model.told.push(`commit ${seqno}`);
    model.compacted = to;
    store.compact(to);
    assert.equal(store.compactedVersion, to);
    assertShows(store.beginCommitted(), model.states[to]!);
    assertShows(store.begin(), model.states.at(-1)!);
    assertNothingIsLeft(store, model.states.at(-1)!);
  }

  toString = () => `Compact(${this.place})`;
}

class Snapshot implements Command {
  constructor(readonly place: number, readonly reload: boolean) {}

  check = () => true;

  run(model: Model, real: Real): void {
    const version = versionBetween(model.compacted, model.states.length - 1, this.place);
    const picture = real.store.snapshot(version);
    const expected = describeState(model.states[version]!);
    assert.equal(describeSnapshot(picture), expected);
    real.pictures.push([picture, expected]);
    assertShows(real.store.beginCommitted(), model.states[model.compacted]!);
    if (this.reload) {
      const loaded = new Store();
      loaded.load(picture);
      assertShows(loaded.beginCommitted(), model.states[version]!);
    }
  }

  toString = () => `Snapshot(${this.place})`;
}

Deno.test("Store does what a model does that copies everything at every version", () => {
  const place = fc.nat({ max: 99 });
  const change = fc.record({
    name: fc.constantFrom(...NAMES),
    key: fc.constantFrom(...KEYS),
    value: fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.constant(null)),
  });
  const commit = fc.tuple(fc.array(change, { maxLength: 8 }), fc.boolean()).map((drawn) => new Commit(...drawn));
  const commands = fc.commands([
    commit,
    commit,
    commit,
    place.map((place) => new Rollback(place)),
    place.map((place) => new Compact(place)),
    fc.tuple(place, fc.boolean()).map((drawn) => new Snapshot(...drawn)),
  ], { maxCommands: 60, size: "max" });

  fc.assert(
    fc.property(commands, (commands) => {
      const model: Model = { states: [new Map()], compacted: 0, told: [] };
      const real: Real = { store: new Store(), told: [], pictures: [] };
      const { store, told } = real;
      let committed = 0;
      for (const name of NAMES) {
        store.onApply(
          name,
          (seqno, { writes, removes }) => told.push(`apply ${seqno} ${name} ${writes.length + removes.length}`),
        );
        store.onCommit(name, (seqno) => {
          if (committed < seqno) told.push(`commit ${seqno}`);
          committed = seqno;
        });
      }
      store.onRollback((to) => told.push(`rollback ${to}`));

      fc.modelRun(() => ({ model, real }), commands);
      // A version that changed nothing has nobody to tell.
      const unheard = new Set(told.filter((line) => line.startsWith("commit")));
      assert.deepEqual(told, model.told.filter((line) => !line.startsWith("commit") || unheard.has(line)));
      for (const [picture, expected] of real.pictures) assert.equal(describeSnapshot(picture), expected);
    }),
    { numRuns: 80 },
  );
});
