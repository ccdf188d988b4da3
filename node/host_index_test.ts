import { strict as assert } from "node:assert";
import { concat, fromHex, toByteString } from "../shared/bytes.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { FORCE_CHUNK_AFTER, sealEntry } from "../shared/ledger/entry.ts";
import { MAX_INDEX_READ_ENTRIES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { HostIndex, type IndexedLedger } from "./host_index.ts";
import { LedgerFiles } from "./ledger_files.ts";
import { testEntry, withTempDirectory } from "./test_file_system.ts";

const NO_BYTES = new Uint8Array();

/** An entry that writes keys of public tables. */
function entryOf(
  seqno: Seqno,
  tables: Readonly<Record<string, readonly string[]>>,
  removes: readonly string[] = [],
  flags = 0,
) {
  const publicTables = Object.entries(tables).sort().map(([name, keys]): TableWrites => {
    return { name, writes: [...keys].sort().map((key) => [key, NO_BYTES] as const), removes };
  });
  return sealEntry(noblePrimitives, new Uint8Array(32), {
    txId: { view: 2, seqno },
    flags,
    claimsDigest: new Uint8Array(32),
    commitEvidenceDigest: new Uint8Array(32),
    writeSet: { publicTables, privateTables: [] },
  });
}

/** A ledger of one file. */
function ledgerOf(entries: readonly Uint8Array[], firstSeqno: Seqno = 1): IndexedLedger {
  return {
    firstSeqnoFrom: (seqno) => seqno < firstSeqno + entries.length ? Math.max(seqno, firstSeqno) : undefined,
    readInChunk(from, to, maxBytes) {
      const parts: Uint8Array[] = [];
      const offsets: number[] = [];
      let at = 8 + concat(...entries.slice(0, from - firstSeqno)).length;
      for (let seqno = from; seqno <= to; seqno++) {
        const entry = entries[seqno - firstSeqno];
        if (entry === undefined || (parts.length > 0 && at - offsets[0]! + entry.length > maxBytes)) break;
        offsets.push(at);
        parts.push(entry);
        at += entry.length;
      }
      if (parts.length === 0) return Promise.resolve(undefined);
      const bytes = concat(...parts);
      return Promise.resolve({ from, to: from + parts.length - 1, bytes, chunkFirst: firstSeqno, offsets });
    },
  };
}

async function withIndex(
  ledger: IndexedLedger,
  run: (index: HostIndex, notices: string[]) => Promise<void>,
  path = ":memory:",
): Promise<void> {
  const notices: string[] = [];
  const index = await HostIndex.open(path, ledger, (notice) => notices.push(notice));
  try {
    await run(index, notices);
  } finally {
    await index.close();
  }
}

Deno.test("HostIndex finds where entries lie and which of them wrote a key", async () => {
  const entries = [
    entryOf(1, { "public:a": ["x", "y"], "public:b": ["x"] }),
    entryOf(2, { "public:a": ["y"] }, ["x"]),
    entryOf(3, { "public:ab": ["x"] }),
    entryOf(4, { "public:a": ["x", "x\u0000", "\u0000"] }),
  ];
  await withIndex(ledgerOf(entries), async (index, notices) => {
    index.advance(3);
    await index.settled();
    assert.equal(index.indexedSeqno, 3);
    index.advance(4);
    await index.settled();
    const writes = index.newestWrites.bind(index);
    assert.deepEqual(await writes("public:a", "x"), [4, 2, 1]);
    assert.deepEqual(await writes("public:a", "y"), [2, 1]);
    assert.deepEqual(await writes("public:a", "x\u0000"), [4]);
    assert.deepEqual(await writes("public:a", "\u0000"), [4]);
    assert.deepEqual(await writes("public:b", "x"), [1]);
    assert.deepEqual(await writes("public:b", "z"), []);
    assert.deepEqual(await writes("public:a", "x", { before: 4 }), [2, 1]);
    assert.deepEqual(await writes("public:a", "x", { before: 3, limit: 1 }), [2]);
    assert.deepEqual(await writes("public:a", "x", { before: 1 }), []);
    // Of any key, over two batches.
    assert.deepEqual(await writes("public:a", null), [4, 2, 1]);
    assert.deepEqual(await writes("public:ab", null), [3]);
    assert.deepEqual(await writes("public:", null), []);
    assert.deepEqual(await writes("public:a", null, { before: 4 }), [2, 1]);
    assert.deepEqual(await writes("public:a", null, { before: 2 }), [1]);
    assert.deepEqual(await writes("public:a", null, { before: 4, limit: 1 }), [2]);
    let offset = 8;
    for (const [i, { length: sizeBytes }] of entries.entries()) {
      assert.deepEqual(await index.placeOf(i + 1), { chunkFirst: 1, offset, sizeBytes });
      offset += sizeBytes;
    }
    assert.equal(await index.placeOf(5), undefined);
    assert.deepEqual(notices, []);
  });
});

Deno.test("HostIndex goes on where it was, and is built anew over another ledger", async () => {
  await withTempDirectory(async (directory) => {
    const path = `${directory}/index.kv`;
    const entries = [1, 2, 3].map((seqno) => entryOf(seqno, { "public:a": [`k${seqno}`] }));
    let reads = 0;
    const counting: IndexedLedger = {
      firstSeqnoFrom: (seqno) => seqno,
      readInChunk: (from, to, maxBytes) => {
        reads++;
        return ledgerOf(entries).readInChunk(from, to, maxBytes);
      },
    };
    await withIndex(counting, async (index) => {
      index.advance(2);
      await index.settled();
    }, path);
    await withIndex(counting, async (index, notices) => {
      assert.equal(index.indexedSeqno, 2);
      assert.deepEqual(await index.newestWrites("public:a", "k2"), [2]);
      reads = 0;
      index.advance(3);
      await index.settled();
      assert.equal(reads, 1);
      assert.deepEqual(await index.newestWrites("public:a", "k3"), [3]);
      assert.deepEqual(notices, []);
    }, path);

    const others = [1, 2, 3].map((seqno) => entryOf(seqno, { "public:other": [`k${seqno}`] }));
    for (const other of [ledgerOf(others), ledgerOf([]), ledgerOf(others.slice(0, 2))]) {
      await withIndex(ledgerOf(entries), async (index) => {
        index.advance(3);
        await index.settled();
      }, path);
      await withIndex(other, async (index, notices) => {
        assert.deepEqual(notices, [`The index ${path} is not that of this ledger and is built anew`]);
        assert.equal(index.indexedSeqno, 0);
        assert.deepEqual(await index.newestWrites("public:a", "k1"), []);
        assert.equal(await index.placeOf(1), undefined);
      }, path);
    }
  });
});

Deno.test("HostIndex replaces a file that cannot be read", async () => {
  await withTempDirectory(async (directory) => {
    const path = `${directory}/index.kv`;
    Deno.writeTextFileSync(path, "This is not a database.".repeat(1000));
    await withIndex(ledgerOf([entryOf(1, { "public:a": ["x"] })]), async (index, notices) => {
      assert.equal(notices.length, 1);
      assert.match(notices[0]!, /^The index .* cannot be read and is built anew: /);
      index.advance(1);
      await index.settled();
      assert.deepEqual(await index.newestWrites("public:a", "x"), [1]);
    }, path);
    await assert.rejects(HostIndex.open(`${directory}/absent/index.kv`, ledgerOf([]), () => {}), {
      name: "StorageError",
    });
  });
});

Deno.test("HostIndex keeps within the limits of Deno KV, whatever an entry writes", async () => {
  const long = "k".repeat(5000);
  const keys = Array.from({ length: 3000 }, (_, i) => String(i).padStart(250, "\u0000"));
  const entries = [
    entryOf(1, { [`public:${"t".repeat(1000)}`]: [long, `${long}2`], "public:a": keys }),
    entryOf(2, { "public:a": [keys[7]!] }),
  ];
  await withIndex(ledgerOf(entries), async (index, notices) => {
    index.advance(2);
    await index.settled();
    assert.deepEqual(notices, []);
    assert.equal(index.indexedSeqno, 2);
    assert.deepEqual(await index.newestWrites(`public:${"t".repeat(1000)}`, long), [1]);
    assert.deepEqual(await index.newestWrites(`public:${"t".repeat(1001)}`, long), []);
    assert.deepEqual(await index.newestWrites("public:a", keys[7]!), [2, 1]);
    assert.deepEqual(await index.newestWrites("public:a", keys[2999]!), [1]);
  });
});

Deno.test("HostIndex reads a long ledger piece by piece, and starts where the ledger does", async () => {
  const count = MAX_INDEX_READ_ENTRIES + 100;
  const entries = Array.from({ length: count }, (_, i) => entryOf(1001 + i, { "public:a": [`${i % 10}`] }));
  await withIndex(ledgerOf(entries, 1001), async (index, notices) => {
    index.advance(1000 + count);
    await index.settled();
    assert.deepEqual(notices, []);
    assert.equal(index.indexedSeqno, 1000 + count);
    const seqnos = await index.newestWrites("public:a", "3");
    assert.deepEqual(seqnos.toReversed(), Array.from({ length: Math.ceil((count - 3) / 10) }, (_, i) => 1004 + 10 * i));
    const all = Array.from({ length: count }, (_, i) => 1000 + count - i);
    assert.deepEqual(await index.newestWrites("public:a", null), all);
    const before = all[200]!;
    assert.deepEqual(await index.newestWrites("public:a", null, { before, limit: 150 }), all.slice(201, 351));
    const last = await index.placeOf(1000 + count);
    assert.equal(last?.offset, 8 + concat(...entries.slice(0, -1)).length);
    assert.equal(await index.placeOf(1000), undefined);
  });
});

Deno.test("HostIndex passes over entries it cannot read, and waits where the ledger cannot be read", async () => {
  const entries = [entryOf(1, { "public:a": ["x"] }), testEntry(2), entryOf(3, { "public:a": ["x"] })];
  let broken = true;
  const ledger: IndexedLedger = {
    firstSeqnoFrom: (seqno) => seqno,
    readInChunk: (from, to, maxBytes) => {
      return broken ? Promise.reject(new Error("no disk")) : ledgerOf(entries).readInChunk(from, to, maxBytes);
    },
  };
  await withIndex(ledger, async (index, notices) => {
    index.advance(2);
    await index.settled();
    assert.deepEqual(notices.splice(0), ["Cannot follow the ledger with the index: no disk"]);
    broken = false;
    index.advance(3);
    await index.settled();
    assert.deepEqual(await index.newestWrites("public:a", "x"), [3, 1]);
    assert.match(notices.join(), /^Cannot index the keys of ledger entry 2: Cannot read a 64-bit integer/);
  });
});

Deno.test("HostIndex goes on behind the gap that a node which joined from a snapshot has in its ledger", async () => {
  await withTempDirectory(async (directory) => {
    const path = `${directory}/index.kv`;
    const written = async (from: Seqno, to: Seqno, ledger: LedgerFiles) => {
      for (let seqno = from; seqno <= to; seqno++) ledger.append(seqno, entryOf(seqno, { "public:a": ["x"] }), true);
      ledger.commit(to);
      await ledger.flush();
    };
    const earlier = await LedgerFiles.open({ directory: `${directory}/ledger` });
    await written(1, 3, earlier);
    earlier.append(4, entryOf(4, { "public:a": ["y"] }, [], FORCE_CHUNK_AFTER), true);
    await written(5, 6, earlier);
    await withIndex(earlier, async (index) => {
      index.advance(4);
      await index.settled();
    }, path);
    await earlier.close();

    const joined = await LedgerFiles.open({ directory: `${directory}/ledger` });
    await joined.startAfterSnapshot(10);
    await withIndex(joined, async (index, notices) => {
      assert.equal(index.indexedSeqno, 4, "the committed file is kept, and with it what is known of it");
      index.advance(10);
      await index.settled();
      await written(11, 12, joined);
      index.advance(12);
      await index.settled();
      assert.deepEqual(await index.newestWrites("public:a", "x"), [12, 11, 3, 2, 1]);
      assert.deepEqual(await index.newestWrites("public:a", null), [12, 11, 4, 3, 2, 1]);
      assert.equal((await index.placeOf(12))?.chunkFirst, 11);
      assert.equal(await index.placeOf(7), undefined);
      assert.deepEqual(notices, []);
    }, path);
    await joined.close();
  });
});

/** One line of `expected/entries.jsonl`. */
interface ExpectedEntry {
  readonly txid: string;
  readonly rawLength: number;
  readonly public: Readonly<
    Record<string, { readonly writes: readonly (readonly [string, string])[]; readonly removes: readonly string[] }>
  >;
}

for (const name of ["recorded_rekey", "eol_service"]) {
  teamTest(`HostIndex finds all that the public tables of ${name} say`, async () => {
    await withTempDirectory(async (directory) => {
      const original = teamData(`ccf/testdata/${name}/ledger`);
      for (const { name } of Deno.readDirSync(original)) {
        Deno.copyFileSync(`${original}/${name}`, `${directory}/${name}`);
      }
      const expected = Deno.readTextFileSync(teamData(`ccf/testdata/${name}/expected/entries.jsonl`)).trim().split("\n")
        .map((line) => JSON.parse(line) as ExpectedEntry);
      const writers = new Map<string, Seqno[]>();
      const byTable = new Map<string, Seqno[]>();
      for (const { txid, public: tables } of expected) {
        const seqno = Number(txid.split(".")[1]);
        for (const [table, { writes, removes }] of Object.entries(tables ?? {})) {
          if (writes.length + removes.length > 0) byTable.set(table, [seqno, ...byTable.get(table) ?? []]);
          for (const key of [...writes.map(([key]) => key), ...removes]) {
            const seqnos = writers.get(`${table} ${key}`) ?? [];
            writers.set(`${table} ${key}`, [seqno, ...seqnos]);
          }
        }
      }
      const ledger = await LedgerFiles.open({ directory });
      await withIndex(ledger, async (index, notices) => {
        index.advance(ledger.lastSeqno);
        await index.settled();
        assert.deepEqual(notices, []);
        assert.equal(index.indexedSeqno, expected.length);
        assert.ok(writers.size > 100);
        for (const [tableAndKey, seqnos] of writers) {
          const [table, key] = tableAndKey.split(" ") as [string, string];
          assert.deepEqual(await index.newestWrites(table, toByteString(fromHex(key))), seqnos, tableAndKey);
        }
        for (const [table, seqnos] of byTable) assert.deepEqual(await index.newestWrites(table, null), seqnos, table);
        for (const [i, { rawLength }] of expected.entries()) {
          assert.equal((await index.placeOf(i + 1))?.sizeBytes, rawLength);
        }
      });
      await ledger.close();
    });
  });
}
