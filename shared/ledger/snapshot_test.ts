import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { Store, type StoreSnapshot } from "../kv/store.ts";
import { ledgerDirectories, readEntries, readLedgerSecrets, readSnapshotFiles } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { sealedInParts, sealSnapshot } from "../../tests/whole_snapshot.ts";
import { LedgerEntry } from "./entry.ts";
import { LedgerSecret, LedgerSecrets } from "./secrets.ts";
import { formatSnapshotName, parseSnapshotName, Snapshot, splitSnapshotFile } from "./snapshot.ts";
import { ViewHistory } from "./view_history.ts";

Deno.test("parseSnapshotName() reads the names a node writes, and knows others apart", () => {
  for (const committed of [true, false]) {
    const name = { seqno: 493, evidenceSeqno: 494, committed };
    assert.deepEqual(parseSnapshotName(formatSnapshotName(name)), name);
  }
  assert.equal(formatSnapshotName({ seqno: 1, evidenceSeqno: 3, committed: true }), "snapshot_1_3.committed");
  for (const other of ["snapshot_3", "snapshot_0_3", "snapshot_3_3", "snapshot_4_3.committed", "snapshot_3_04"]) {
    assert.equal(parseSnapshotName(other), undefined, other);
  }
});

const KEY = new Uint8Array(32).fill(3);
const CONTENT: StoreSnapshot = {
  version: 20,
  tables: [
    { name: "public:empty", version: 0, entries: [] },
    {
      name: "public:t",
      version: 19,
      entries: [
        { key: "", value: toUtf8("eight.. "), version: 4 },
        { key: "42", value: new Uint8Array(0), version: 19 },
        { key: "\0".repeat(8), value: toUtf8("v"), version: 2 },
      ],
    },
    { name: "records", version: 17, entries: [{ key: "42", value: toUtf8("hello"), version: 17 }] },
  ],
};
const SEALED = sealSnapshot(primitives, KEY, {
  store: CONTENT,
  leaf: new Uint8Array(32).fill(9),
  viewStarts: [1, 1, 12],
});

function plain(tables: StoreSnapshot["tables"]) {
  return tables.map((table) => ({
    ...table,
    entries: Array.from(table.entries, (entry) => ({ ...entry, value: toHex(entry.value) })),
  }));
}

Deno.test("sealSnapshot() and Snapshot.parse() agree", () => {
  const snapshot = Snapshot.parse(SEALED);
  assert.equal(snapshot.seqno, 20);
  assert.deepEqual(snapshot.viewStarts, [1, 1, 12]);
  assert.equal(toHex(snapshot.leaf), "09".repeat(32));
  assert.equal(toHex(snapshot.digest(primitives)), toHex(primitives.sha256(SEALED)));
  const tables = [...snapshot.publicTables(), ...snapshot.privateTables(primitives, KEY)!];
  // h("42") = 0x97e33cf9 < h(ZERO8) = 0xa6b9ff73 < h("") = 0xc5f4ecca (ledger-and-receipts.md §9.2)
  assert.deepEqual(tables[1]!.entries && [...tables[1]!.entries].map((entry) => entry.key), ["42", "\0".repeat(8), ""]);
  const store = new Store();
  store.load({ version: 20, tables });
  assert.deepEqual(plain(store.snapshot().tables), plain(sorted(CONTENT.tables)));
  assert.equal(snapshot.privateTables(primitives, new Uint8Array(32)), undefined);
});

function sorted(tables: StoreSnapshot["tables"]): StoreSnapshot["tables"] {
  return tables.map((table) => ({ ...table, entries: [...table.entries].sort((a, b) => a.key < b.key ? -1 : 1) }));
}

Deno.test("splitSnapshotFile() finds where the receipt starts", () => {
  const receipt = toUtf8("{}");
  const split = splitSnapshotFile(concat(SEALED, receipt));
  assert.equal(toHex(split.snapshot), toHex(SEALED));
  assert.equal(toHex(split.receipt), toHex(receipt));
  assert.equal(splitSnapshotFile(SEALED).receipt.length, 0);
  assert.throws(() => splitSnapshotFile(SEALED.subarray(0, 100)), {
    name: "FormatError",
    message: `Cannot read a snapshot of ${SEALED.length} bytes in a file of 100`,
  });
  assert.throws(() => splitSnapshotFile(fromHex("0100000000000000")), {
    message: "Cannot read a snapshot of 8 bytes in a file of 8",
  });
});

Deno.test("Snapshot.parse() refuses what is not a snapshot", () => {
  const changedAt = (offset: number, hex: string) => {
    const bytes = SEALED.slice();
    bytes.set(fromHex(hex), offset);
    return bytes;
  };
  const table: [Uint8Array, string][] = [
    [changedAt(1, "01"), "Cannot read a snapshot: its flags or its IV are those of a transaction"],
    [changedAt(32, "01"), "Cannot read a snapshot: its flags or its IV are those of a transaction"],
    [changedAt(35, "00"), "Cannot read a snapshot: its flags or its IV are those of a transaction"],
    [changedAt(24, "15"), "Cannot read a snapshot: its IV says seqno 21, its public domain 20"],
    [changedAt(44, "04"), "Cannot read a snapshot: its type is 4"],
    [changedAt(53, "07"), "Cannot read the snapshot at 20: its conflict version is 7, not 0"],
    [changedAt(61, "08"), "Cannot read the snapshot at 20: its leaf has 8 bytes"],
    [SEALED.subarray(0, 200), `Cannot read a ledger entry: its header says ${SEALED.length} bytes, and there are 200`],
  ];
  for (const [bytes, message] of table) {
    assert.throws(() => Snapshot.parse(bytes), { name: "FormatError", message });
  }
});

Deno.test("Snapshot.publicTables() refuses a body that no writer makes, and tells what it tolerates", () => {
  // Offsets count from the name; "57" for "42" has the hash 0xfee4f43b.
  const at = SEALED.findIndex((_, i) => toHex(SEALED.subarray(i, i + 8)) === toHex(toUtf8("public:t")));
  const parse = (offset: number, hex: string, tolerate?: (rule: string) => void) => {
    const bytes = SEALED.slice();
    bytes.set(fromHex(hex), at + offset);
    return Snapshot.parse(bytes).publicTables(tolerate);
  };
  const table: [number, string, string][] = [
    [0, toHex(toUtf8("Public")), `Cannot read table "Public:t" of a snapshot: it stands in the public domain`],
    [8, "15", `Cannot read table "public:t" of a snapshot: it has versions beyond its own or the snapshot's`],
    [8, "12", `Cannot read table "public:t" of a snapshot: it has versions beyond its own or the snapshot's`],
    [34, "01", `Cannot read table "public:t" of a snapshot: padding is not zero`],
    [40, "07", `Cannot read table "public:t" of a snapshot: a value has no version`],
    [32, "3537", "Cannot read a snapshot: its keys are not in the order of their hashes"],
  ];
  for (const [offset, hex, message] of table) {
    assert.throws(() => parse(offset, hex), { name: "FormatError", message });
  }
  const told: string[] = [];
  parse(32, "3537", (rule) => told.push(rule));
  assert.deepEqual(told, ["its keys are not in the order of their hashes"]);
});

Deno.test("Snapshot.publicTables() drops the removed keys that old releases kept", () => {
  const at = SEALED.findIndex((_, i) => toHex(SEALED.subarray(i, i + 8)) === toHex(toUtf8("public:t")));
  const bytes = SEALED.slice();
  bytes[at + 55]! = 0x80; // top bit of the version of "42"
  const table = Snapshot.parse(bytes).publicTables()[1]!;
  assert.deepEqual([...table.entries].map((entry) => entry.key), ["\0".repeat(8), ""]);
});

Deno.test("Snapshot.parse() of any changed snapshot parses or throws FormatError", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(SEALED.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const bytes = SEALED.slice();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const { snapshot } = splitSnapshotFile(bytes);
          const parsed = Snapshot.parse(snapshot);
          parsed.publicTables();
          parsed.privateTables(primitives, KEY);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
});

teamTest("every real snapshot is made again byte for byte, from what it holds and from the ledger before it", () => {
  let parsedOnes = 0;
  let replayedOnes = 0;
  for (const directory of ledgerDirectories()) {
    const secrets = new LedgerSecrets();
    for (const [first, hex] of readLedgerSecrets(directory)) {
      secrets.add(first, new LedgerSecret(primitives, fromHex(hex)));
    }
    const wanted = new Map<number, Snapshot>();
    for (const { name, fileName, bytes } of readSnapshotFiles(directory)) {
      assert.equal(formatSnapshotName(name), fileName);
      const { snapshot: sealed, receipt } = splitSnapshotFile(bytes);
      assert.equal(receipt[0], "{".charCodeAt(0));
      const snapshot = Snapshot.parse(sealed);
      assert.equal(snapshot.seqno, name.seqno);
      const { key } = secrets.at(snapshot.seqno)!;
      const tables = [...snapshot.publicTables(), ...snapshot.privateTables(primitives, key)!];
      const store = new Store();
      store.load({ version: snapshot.seqno, tables });
      const rebuilt = sealedInParts(primitives, key, { ...snapshot, store: store.snapshot() });
      assert.equal(toHex(rebuilt), toHex(sealed), `${directory.name} ${fileName}`);
      wanted.set(snapshot.seqno, snapshot);
      parsedOnes++;
    }

    const store = new Store();
    const views = new ViewHistory();
    for (const bytes of readEntries(directory)) {
      const entry = LedgerEntry.parse(bytes);
      if (entry.seqno !== store.version + 1) break; // began at a snapshot
      const { key } = secrets.at(entry.seqno)!;
      const [publicTables, privateTables] = [entry.publicTables(), entry.privateTables(primitives, key)!];
      store.apply(entry.seqno, { publicTables, privateTables });
      if (publicTables.some((table) => table.name === "public:ccf.internal.signatures")) views.addSignature(entry.txId);
      const snapshot = wanted.get(entry.seqno);
      if (snapshot === undefined) continue;
      const content = { store: store.snapshot(), leaf: entry.leaf(primitives), viewStarts: views.starts };
      assert.equal(
        toHex(primitives.sha256(sealedInParts(primitives, key, content))),
        toHex(snapshot.digest(primitives)),
        `${directory.name} ${entry.seqno}`,
      );
      replayedOnes++;
    }
  }
  assert.ok(parsedOnes >= 25 && replayedOnes >= 20, `${parsedOnes} parsed, ${replayedOnes} replayed`);
});
