/**
 * All tables of a service, version by version.
 *
 * In: write sets, each under the next seqno; how far they are committed; where to go back to. Out: transactions over the
 * newest or the committed state, immutable pictures for snapshots, and calls to hooks.
 * Knows nothing of ledgers, keys or consensus. One writer, and everything is synchronous: between `begin()` and `apply()`
 * nothing else happens, so a transaction cannot conflict, and versions are checked by assertions alone.
 */

import { assert, FormatError } from "../assert.ts";
import type { Seqno } from "../tx_id.ts";
import { compareUtf8 } from "../utf8_order.ts";
import { domainOf } from "./table_name.ts";
import { Transaction } from "./transaction.ts";
import { type AppliedWrites, type SnapshotEntry, VersionedTable } from "./versioned_table.ts";
import type { TableWrites, WriteSet } from "./write_set.ts";

/** Told of the changes that a transaction made to one table. It may read the store, and must not change it. */
export type TableHook = (seqno: Seqno, changes: TableWrites) => void;

/** A table in a snapshot. Every table that exists is there, also when empty. */
export interface TableSnapshot {
  readonly name: string;
  /** See `VersionedTable.version`. */
  readonly version: Seqno;
  readonly entries: Iterable<SnapshotEntry>;
}

/** All tables at one version. */
export interface StoreSnapshot {
  readonly version: Seqno;
  readonly tables: readonly TableSnapshot[];
}

interface AppliedVersion {
  readonly seqno: Seqno;
  readonly tables: readonly AppliedWrites[];
}

export class Store {
  readonly #tables = new Map<string, VersionedTable>();
  #version: Seqno = 0;
  #compacted: Seqno = 0;
  /** Versions after the compacted one, ascending and dense. */
  #applied: AppliedVersion[] = [];
  /** Counts changes of any kind, so that a transaction can tell that it is out of date. */
  #generation = 0;

  readonly #applyHooks = new Map<string, TableHook[]>();
  readonly #commitHooks = new Map<string, TableHook[]>();
  readonly #rollbackHooks: ((to: Seqno) => void)[] = [];
  #runningHooks = false;

  /** Seqno of the last transaction applied; 0 in an empty store. */
  get version(): Seqno {
    return this.#version;
  }

  /** Seqno up to which nothing can be rolled back. */
  get compactedVersion(): Seqno {
    return this.#compacted;
  }

  /** See `TableSource`. */
  get generation(): number {
    return this.#generation;
  }

  /** For transactions; undefined where no transaction has ever changed such a table. */
  table(name: string): VersionedTable | undefined {
    return this.#tables.get(name);
  }

  /** Names of all tables, in the order of their UTF-8 bytes. */
  tableNames(): string[] {
    return [...this.#tables.keys()].sort(compareUtf8);
  }

  /** A transaction over the newest state, that may write. */
  begin(): Transaction {
    return new Transaction(this, this.#version, "read-write");
  }

  /** A transaction over the newest state. */
  beginReadOnly(): Transaction {
    return new Transaction(this, this.#version, "read-only");
  }

  /** A transaction over the state at the compacted version, whatever has been applied since. */
  beginCommitted(): Transaction {
    return new Transaction(this, this.#compacted, "read-only");
  }

  /** A transaction over the same state that may be written to, to see what comes of it, and is never applied. */
  beginTrial(): Transaction {
    return new Transaction(this, this.#compacted, "read-write");
  }

  /**
   * Makes a write set the next version. Both a transaction that commits and an entry that is replayed end up here.
   *
   * A write set may be empty: where only public tables are replayed, entries with private ones alone change nothing.
   */
  apply(seqno: Seqno, { publicTables, privateTables }: WriteSet): void {
    this.#mutate();
    assert(seqno === this.#version + 1, "Transactions are applied in order");
    const tables: AppliedWrites[] = [];
    for (const changes of publicTables) tables.push(this.#applyTo(seqno, changes));
    for (const changes of privateTables) tables.push(this.#applyTo(seqno, changes));
    const applied = { seqno, tables };
    this.#applied.push(applied);
    this.#version = seqno;
    this.#runHooks(this.#applyHooks, applied);
  }

  /** Forgets every version after `to`, as if it had never been. */
  rollback(to: Seqno): void {
    this.#mutate();
    assert(to >= this.#compacted, "What is committed is never rolled back");
    assert(to <= this.#version, "A rollback goes back");
    if (to === this.#version) return;
    while (this.#version > to) {
      const { seqno, tables } = this.#applied.pop()!;
      for (const changes of tables) {
        changes.table.undo(changes, this.#compacted);
        if (changes.isNew) this.#tables.delete(changes.table.name);
      }
      this.#version = seqno - 1;
    }
    this.#guardHooks(() => this.#rollbackHooks.forEach((hook) => hook(to)));
  }

  /** Makes everything up to `seqno` final, and tells the commit hooks, version by version. */
  compact(seqno: Seqno): void {
    this.#mutate();
    assert(seqno >= this.#compacted, "Commit never goes back");
    assert(seqno <= this.#version, "Only what was applied can be committed");
    const settled = this.#applied.splice(0, seqno - this.#compacted);
    for (const version of settled) {
      for (const changes of version.tables) changes.table.settle(changes);
      this.#compacted = version.seqno;
      this.#runHooks(this.#commitHooks, version);
    }
  }

  /**
   * All tables at a version from the compacted one on, as they stay whatever happens to the store. Costs a step for each
   * table, and one for each change after that version. Tables and entries are in ascending byte order.
   */
  snapshot(version: Seqno = this.#version): StoreSnapshot {
    assert(version >= this.#compacted && version <= this.#version, "A snapshot is of a version that is still known");
    const tables = new Map<string, VersionedTable>();
    for (const name of this.tableNames()) tables.set(name, this.#tables.get(name)!.clone());
    for (let at = this.#applied.length - 1; at >= version - this.#compacted; at--) {
      for (const changes of this.#applied[at]!.tables) {
        const { name } = changes.table;
        tables.get(name)!.undo(changes, this.#compacted);
        if (changes.isNew) tables.delete(name);
      }
    }
    return {
      version,
      tables: [...tables.values()].map((table) => ({
        name: table.name,
        version: table.version,
        entries: { [Symbol.iterator]: () => table.entriesAt(version) },
      })),
    };
  }

  /**
   * Fills an empty store. Every hook of a table is told of all its entries as writes at the snapshot's version.
   *
   * @throws FormatError where a table, or a key of one, is listed twice, or a version is after the snapshot's own
   */
  load(snapshot: StoreSnapshot): void {
    this.#mutate();
    assert(this.#version === 0 && this.#tables.size === 0, "A snapshot is loaded into an empty store");
    for (const { name, version, entries } of snapshot.tables) {
      if (this.#tables.has(name)) {
        throw new FormatError(`Cannot load a snapshot: it lists table ${JSON.stringify(name)} twice`);
      }
      this.#tables.set(name, VersionedTable.load(name, version, entries, snapshot.version));
    }
    this.#version = this.#compacted = snapshot.version;
    for (const hooks of [this.#applyHooks, this.#commitHooks]) {
      for (const name of this.tableNames()) {
        if (!hooks.has(name)) continue;
        const entries = this.#tables.get(name)!.entriesAt(snapshot.version);
        const writes = Array.from(entries, ({ key, value }) => [key, value] as const);
        this.#guardHooks(() =>
          hooks.get(name)!.forEach((hook) => hook(snapshot.version, { name, writes, removes: [] }))
        );
      }
    }
  }

  /**
   * Moves the private tables of another store here: after a recovery, where they were replayed apart, once secrets were
   * restored (ledger-and-receipts.md §4.8). Hooks are not told.
   */
  takePrivateTables(source: Store): void {
    this.#mutate();
    source.#mutate();
    assert(source.#compacted === source.#version, "Private tables are taken from a store that is committed in full");
    assert(source.#version <= this.#compacted, "Private tables are taken up to a version that is committed here");
    for (const [name, table] of source.#tables) {
      if (domainOf(name) === "public") continue;
      assert(!this.#tables.has(name), "A private table is not here before it is taken");
      this.#tables.set(name, table);
      source.#tables.delete(name);
    }
  }

  /** Calls `hook` at each `apply` that changes the table, once the whole transaction is visible. */
  onApply(table: string, hook: TableHook): void {
    addHook(this.#applyHooks, table, hook);
  }

  /** Calls `hook` for each version that changes the table, in order, when it is committed. */
  onCommit(table: string, hook: TableHook): void {
    addHook(this.#commitHooks, table, hook);
  }

  /** Calls `hook` with the version gone back to, after a rollback that undid something. */
  onRollback(hook: (to: Seqno) => void): void {
    this.#rollbackHooks.push(hook);
  }

  #applyTo(seqno: Seqno, changes: TableWrites): AppliedWrites {
    const known = this.#tables.get(changes.name);
    if (known !== undefined) return known.apply(seqno, changes, false);
    const table = new VersionedTable(changes.name);
    this.#tables.set(changes.name, table);
    return table.apply(seqno, changes, true);
  }

  #mutate(): void {
    assert(!this.#runningHooks, "A hook does not change the store");
    this.#generation++;
  }

  #runHooks(hooks: ReadonlyMap<string, readonly TableHook[]>, { seqno, tables }: AppliedVersion): void {
    if (hooks.size === 0) return;
    for (const { changes } of tables) {
      const ofTable = hooks.get(changes.name);
      if (ofTable !== undefined) this.#guardHooks(() => ofTable.forEach((hook) => hook(seqno, changes)));
    }
  }

  #guardHooks(run: () => void): void {
    this.#runningHooks = true;
    try {
      run();
    } finally {
      this.#runningHooks = false;
    }
  }
}

function addHook(hooks: Map<string, TableHook[]>, table: string, hook: TableHook): void {
  const known = hooks.get(table);
  if (known === undefined) hooks.set(table, [hook]);
  else known.push(hook);
}
