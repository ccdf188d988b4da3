import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat } from "../shared/bytes.ts";
import { parseChunk, parseChunkName } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../shared/ledger/entry.ts";
import { MAX_OPEN_LEDGER_FILES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { eventually } from "./listener_fixtures.ts";
import { StorageError } from "./storage_error.ts";
import { directoryContent, testEntry, TestFileSystem, withTempDirectory } from "./test_file_system.ts";
import { append, assertDirectory, Model, open, readAll } from "./ledger_files_fixtures.ts";

Deno.test("LedgerFiles writes chunks that end where entries say, and commits them by rename", async () => {
  await withTempDirectory(async (directory) => {
    const model = new Model();
    const ledger = await open(`${directory}/ledger`);
    assert.deepEqual([ledger.firstSeqno, ledger.lastSeqno, ledger.committedSeqno], [undefined, 0, 0]);
    append(ledger, model, 3);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    append(ledger, model, 2);
    append(ledger, model, 1, FORCE_CHUNK_BEFORE);
    append(ledger, model, 2);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    append(ledger, model, 1);
    await ledger.flush();
    assert.deepEqual([...model.directory().keys()], ["ledger_1", "ledger_11", "ledger_5", "ledger_7"]);
    assertDirectory(`${directory}/ledger`, model.directory());

    ledger.commit(model.commit(9));
    await ledger.flush();
    assert.deepEqual(
      [...model.directory().keys()],
      ["ledger_1-4.committed", "ledger_11", "ledger_5-6.committed", "ledger_7"],
    );
    assertDirectory(`${directory}/ledger`, model.directory());
    assert.equal(ledger.committedSeqno, 9);

    ledger.commit(model.commit(10));
    await ledger.close();
    assertDirectory(`${directory}/ledger`, model.directory());
  });
});

Deno.test("LedgerFiles.append() writes at a committable entry, all of one turn in one call", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const model = new Model();
    const ledger = await open(directory, { fileSystem });
    fileSystem.reset();
    append(ledger, model, 50);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(fileSystem.calls, []);
    assert.ok(ledger.unwrittenBytes > 50 * 44);
    append(ledger, model, 1, 0, true);
    append(ledger, model, 1);
    assert.deepEqual(fileSystem.calls, []);
    await ledger.flush();
    assert.deepEqual(fileSystem.calls, ["create", "write"]);
    assert.equal(ledger.unwrittenBytes, 0);
    assertDirectory(directory, model.directory());
    // Much data does not wait for a signature.
    for (let seqno = 53; seqno < 60; seqno++) ledger.append(seqno, testEntry(seqno, { publicBytes: 60_000 }), false);
    await eventually(() => ledger.unwrittenBytes < 200_000);
    await ledger.close();
  });
});

Deno.test("LedgerFiles.truncate() removes files, opens complete ones again, and goes on from there", async () => {
  await withTempDirectory(async (directory) => {
    const model = new Model();
    const ledger = await open(directory);
    append(ledger, model, 4);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    ledger.commit(model.commit(5));
    append(ledger, model, 4);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    append(ledger, model, 3, 0, true);
    for (const seqno of [12, 10, 8, 5]) {
      await ledger.flush();
      ledger.truncate(seqno);
      model.entries.length = seqno;
      await ledger.flush();
      assertDirectory(directory, model.directory());
      assert.equal(ledger.lastSeqno, seqno);
    }
    // Before anything reached the disk.
    append(ledger, model, 3);
    ledger.truncate(model.entries.length = 6);
    append(ledger, model, 2, 0, true);
    await ledger.close();
    assertDirectory(directory, model.directory());
    assert.throws(() => ledger.truncate(4), { message: "Assertion failed: Committed entries are never rolled back" });
    assert.throws(() => ledger.append(3, testEntry(3), true), { name: "AssertionFailed" });
  });
});

Deno.test("LedgerFiles.read() finds entries on the disk and in memory, across files and up to a size", async () => {
  await withTempDirectory(async (directory) => {
    const model = new Model();
    const ledger = await open(directory);
    append(ledger, model, 9);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    append(ledger, model, 9);
    await ledger.flush();
    append(ledger, model, 6);
    const bytes = (from: Seqno, to: Seqno) => concat(...model.entries.slice(from - 1, to));
    for (const [from, to] of [[1, 25], [1, 1], [10, 11], [11, 25], [19, 20], [25, 25], [5, 15]] as const) {
      assert.deepEqual(await ledger.read(from, to), { from, to, bytes: bytes(from, to) });
    }
    assert.deepEqual(await ledger.read(24, 99), { from: 24, to: 25, bytes: bytes(24, 25) });
    assert.equal(await ledger.read(26, 27), undefined);
    for (const maxBytes of [1, bytes(8, 8).length, bytes(8, 9).length + 1, bytes(8, 10).length, bytes(8, 13).length]) {
      const range = (await ledger.read(8, 20, maxBytes))!;
      assert.deepEqual(range.bytes, bytes(8, range.to));
      assert.ok(range.to === 8 || range.bytes.length <= maxBytes);
      assert.ok(bytes(8, range.to + 1).length > maxBytes);
    }
    const part = (await ledger.readInChunk(12, 20, 1_000_000))!;
    assert.deepEqual([part.chunkFirst, part.from, part.to], [11, 12, 20]);
    assert.equal(part.offsets[0], 8 + model.entries[10]!.length);
    await ledger.close();
  });
});

Deno.test("LedgerFiles.read() is right while entries are appended, cut off and written", async () => {
  await withTempDirectory(async (directory) => {
    const ledger = await open(directory);
    let view = 0;
    const entryOf = (seqno: Seqno) => {
      const entry = testEntry(seqno, { flags: seqno % 37 === 0 ? FORCE_CHUNK_AFTER : 0, publicBytes: 100 });
      entry[entry.length - 1] = view;
      return entry;
    };
    const reads: Promise<void>[] = [];
    for (let round = 0; round < 60; round++) {
      view = round;
      for (let i = 0; i < 20; i++) ledger.append(ledger.lastSeqno + 1, entryOf(ledger.lastSeqno + 1), i % 5 === 4);
      const last = ledger.lastSeqno;
      reads.push((async () => {
        const range = await ledger.read(Math.max(1, last - 30), last);
        // A read across a rollback sees one history or the other, never a mixture out of order.
        if (range === undefined) return;
        let at = 0;
        let highest = 0;
        for (let seqno = range.from; seqno <= range.to; seqno++) {
          assert.equal(range.bytes[at + 24], seqno & 0xff);
          const written = range.bytes[at + 143]!;
          assert.ok(written >= highest, `entry ${seqno} of round ${written} follows one of round ${highest}`);
          highest = written;
          at += 144;
        }
        assert.equal(at, range.bytes.length);
      })());
      if (round % 3 === 2) ledger.truncate(ledger.lastSeqno - 13);
      if (round % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await Promise.all(reads);
    await ledger.close();
  });
});

Deno.test("LedgerFiles.read() looks again where a rollback overtakes it", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const ledger = await open(directory, { fileSystem });
    const model = new Model();
    append(ledger, model, 10);
    await ledger.flush();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    fileSystem.readGate = promise;
    const reading = [ledger.read(1, 10), ledger.read(7, 9), ledger.read(10, 10)];
    await new Promise((resolve) => setTimeout(resolve, 5));
    // Entries of the same lengths, so that only their content tells the histories apart.
    ledger.truncate(model.entries.length = 6);
    for (let seqno = 7; seqno <= 9; seqno++) {
      const entry = testEntry(seqno);
      entry.fill(0xee, 44);
      ledger.append(seqno, entry, true);
      model.entries.push(entry);
    }
    await ledger.flush();
    release();
    const [all, some, gone] = await Promise.all(reading);
    assert.deepEqual(all, { from: 1, to: 9, bytes: concat(...model.entries) });
    assert.deepEqual(some, { from: 7, to: 9, bytes: concat(...model.entries.slice(6)) });
    assert.equal(gone, undefined);
    await ledger.close();
  });
});

Deno.test("LedgerFiles.read() is right where a large write has stopped half-way", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const ledger = await open(directory, { fileSystem });
    const model = new Model();
    for (let seqno = 1; seqno <= 6; seqno++) {
      model.entries.push(testEntry(seqno, { publicBytes: 900_000 }));
      ledger.append(seqno, model.entries.at(-1)!, false);
    }
    // Too much for one call: the first is made, the second fails.
    fileSystem.failCall(2, "half stored");
    await assert.rejects(ledger.flush(), StorageError);
    assert.ok(ledger.unwrittenBytes > 0 && ledger.unwrittenBytes < 5_400_000);
    assert.deepEqual(await readAll(ledger), concat(...model.entries));
    await ledger.close();
    assertDirectory(directory, model.directory());
  });
});

Deno.test("LedgerFiles.read() is right while files are renamed", async () => {
  await withTempDirectory(async (directory) => {
    const ledger = await open(directory);
    const model = new Model();
    const reads: Promise<void>[] = [];
    for (let round = 0; round < 100; round++) {
      append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
      await ledger.flush();
      ledger.commit(round + 1);
      for (let i = 0; i < round % 20; i++) await Promise.resolve();
      reads.push(
        ledger.read(round + 1, round + 1).then((range) => assert.deepEqual(range?.bytes, model.entries[round])),
      );
    }
    await Promise.all(reads);
    await ledger.close();
  });
});

Deno.test("LedgerFiles keeps the names of a recovery until the service opens", async () => {
  await withTempDirectory(async (directory) => {
    const model = new Model();
    const ledger = await open(directory);
    append(ledger, model, 5, 0, true);
    ledger.truncate(model.entries.length = 4);
    ledger.beginRecovery();
    append(ledger, model, 1, FORCE_CHUNK_BEFORE);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    ledger.commit(model.commit(6));
    append(ledger, model, 2, 0, true);
    await ledger.flush();
    assert.deepEqual([...directoryContent(directory).keys()], [
      "ledger_1-4.committed",
      "ledger_5-6.committed.recovery",
      "ledger_7.recovery",
    ]);
    ledger.completeRecovery();
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    append(ledger, model, 1, 0, true);
    await ledger.close();
    assertDirectory(directory, model.directory());
    assert.deepEqual(await readAll(await open(directory)), concat(...model.entries));
  });
});

Deno.test("LedgerFiles.startAfterSnapshot() puts aside what is not known to be this service's", async () => {
  await withTempDirectory(async (directory) => {
    const model = new Model();
    const ledger = await open(directory);
    for (let i = 0; i < 3; i++) append(ledger, model, 4, FORCE_CHUNK_AFTER, true);
    for (let i = 0; i < 2; i++) append(ledger, model, 1);
    ledger.commit(8);
    Deno.writeTextFileSync(`${directory}/ledger_13.ignored`, "older");
    await ledger.startAfterSnapshot(6);
    assert.deepEqual([ledger.lastSeqno, ledger.committedSeqno], [6, 6]);
    ledger.append(7, testEntry(7), true);
    await ledger.flush();
    assert.equal(await ledger.read(5, 5).then((range) => range?.from), 5);
    assert.equal(await ledger.read(8, 8), undefined);
    assert.deepEqual([...directoryContent(directory).keys()].filter((name) => !name.endsWith(".committed")), [
      "ledger_10.ignored",
      "ledger_11.ignored",
      "ledger_12.ignored",
      "ledger_13.2.ignored",
      "ledger_13.ignored",
      "ledger_7",
      "ledger_7-7.committed.ignored",
      "ledger_8-8.committed.ignored",
      "ledger_9.ignored",
    ]);
    await ledger.close();
  });
});

Deno.test("LedgerFiles reads committed files of read-only directories, also those that are moved there later", async () => {
  await withTempDirectory(async (directory) => {
    const [main, old] = [`${directory}/main`, `${directory}/old`];
    Deno.mkdirSync(old);
    const model = new Model();
    const ledger = await open(main, { readOnlyDirectories: [old, `${directory}/absent`] });
    for (let i = 0; i < 3; i++) append(ledger, model, 2, FORCE_CHUNK_AFTER, true);
    ledger.commit(4);
    await ledger.flush();
    Deno.renameSync(`${main}/ledger_1-1.committed`, `${old}/ledger_1-1.committed`);
    Deno.renameSync(`${main}/ledger_2-2.committed`, `${old}/ledger_2-2.committed`);
    Deno.copyFileSync(`${main}/ledger_5`, `${old}/ledger_5`);
    Deno.writeTextFileSync(`${old}/ledger_9-9.committed.ignored`, "");
    assert.deepEqual(await readAll(ledger), concat(...model.entries));
    await ledger.close();
    const reopened = await open(main, { readOnlyDirectories: [old] });
    assert.deepEqual(await readAll(reopened), concat(...model.entries));
    assert.deepEqual([reopened.firstSeqno, reopened.lastSeqno], [1, 6]);
    await reopened.close();
  });
});

Deno.test("LedgerFiles.read() refuses damaged committed files and goes on with the others", async () => {
  await withTempDirectory(async (directory) => {
    const ledger = await open(directory);
    const model = new Model();
    for (let i = 0; i < 4; i++) {
      append(ledger, model, 2);
      append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    }
    ledger.commit(12);
    await ledger.close();
    const damage = (name: string, change: (bytes: Uint8Array) => Uint8Array) =>
      Deno.writeFileSync(`${directory}/${name}`, change(Deno.readFileSync(`${directory}/${name}`)));
    damage("ledger_1-3.committed", (bytes) => bytes.subarray(0, bytes.length - 1));
    damage("ledger_4-6.committed", (bytes) => bytes.fill(0, 0, 8));
    damage("ledger_7-9.committed", (bytes) => {
      bytes[bytes.length - 4]! += 1;
      return bytes;
    });
    const reopened = await open(directory);
    await assert.rejects(reopened.read(1, 1), {
      name: "FormatError",
      message:
        /^Cannot read ledger file ledger_1-3\.committed: its \d+ bytes do not hold a positions table of 3 entries/,
    });
    await assert.rejects(reopened.read(5, 5), {
      message: "Cannot read ledger file ledger_4-6.committed: it is called committed but has no positions table",
    });
    await assert.rejects(reopened.read(8, 8), {
      message: /^Cannot read ledger file ledger_7-9\.committed: no entry ends at byte \d+, as its positions say/,
    });
    assert.deepEqual((await reopened.read(10, 12))!.bytes, concat(...model.entries.slice(9)));
    await reopened.close();
  });
});

Deno.test("LedgerFiles holds a bounded number of files and positions, however many it reads", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const ledger = await open(directory, { fileSystem });
    const model = new Model();
    append(ledger, model, 200, FORCE_CHUNK_AFTER, true);
    ledger.commit(200);
    await ledger.flush();
    for (let round = 0; round < 2; round++) assert.deepEqual(await readAll(ledger), concat(...model.entries));
    const reads = Array.from({ length: 200 }, (_, i) => ledger.read(i + 1, i + 1));
    (await Promise.all(reads)).forEach((range, i) => assert.deepEqual(range!.bytes, model.entries[i]));
    await ledger.flush();
    assert.ok(fileSystem.openFiles <= MAX_OPEN_LEDGER_FILES, `${fileSystem.openFiles} files are open`);
    await ledger.close();
    assert.equal(fileSystem.openFiles, 0);
  });
});

Deno.test("LedgerFiles holds what its history says, whatever the order of steps", async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 4 }),
      flags: fc.constantFrom(0, 0, 0, 1, 2),
    }),
    fc.record({ kind: fc.constant("truncate" as const), back: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant("commit" as const), back: fc.integer({ min: 0, max: 3 }) }),
    fc.constant({ kind: "flush" as const }),
    fc.constant({ kind: "reopen" as const }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await withTempDirectory(async (directory) => {
        let ledger = await open(directory);
        const model = new Model();
        for (const step of steps) {
          switch (step.kind) {
            case "append":
              append(ledger, model, step.count, step.flags, step.flags === 1);
              break;
            case "truncate":
              ledger.truncate(model.entries.length = Math.max(ledger.committedSeqno, model.entries.length - step.back));
              break;
            case "commit":
              ledger.commit(model.commit(Math.max(model.committed, model.entries.length - step.back)));
              break;
            case "flush":
              await ledger.flush();
              break;
            case "reopen":
              await ledger.close();
              ledger = await open(directory);
              assert.deepEqual(ledger.notices, []);
          }
          // A commit within an open file is forgotten when the directory is opened again.
          model.committed = Math.min(model.committed, model.entries.length);
          assert.equal(ledger.lastSeqno, model.entries.length);
        }
        assert.deepEqual(await readAll(ledger), concat(...model.entries));
        // A file that a later entry completed is renamed by the next commit.
        ledger.commit(model.commit(model.committed));
        await ledger.close();
        assertDirectory(directory, model.directory());
      });
    }),
    { numRuns: 40 },
  );
});

for (
  const name of [
    "recorded_rekey",
    "recorded_recovery",
    "recorded_governance",
    "recorded_nodes/node2",
    "recorded_orphans/joiner",
  ]
) {
  teamTest(`LedgerFiles makes the very files of ${name} from its entries`, async () => {
    const original = directoryContent(teamData(`ccf/testdata/${name}/ledger`));
    const chunks = [...original].map(([file, bytes]) => ({ ...parseChunkName(file)!, chunk: parseChunk(bytes) }))
      .sort((a, b) => a.first - b.first);
    await withTempDirectory(async (directory) => {
      const ledger = await open(directory);
      if (chunks[0]!.first > 1) await ledger.startAfterSnapshot(chunks[0]!.first - 1);
      let seqno = chunks[0]!.first - 1;
      for (const { chunk } of chunks) {
        for (const { bytes } of chunk.content) ledger.append(++seqno, bytes, false);
      }
      ledger.commit(Math.max(...chunks.map((chunk) => chunk.committed ? chunk.last! : 0)));
      await ledger.close();
      // An empty file of the original is one whose first entry was still in a buffer when its node was killed.
      const expected = new Map(
        [...original].filter(([, bytes]) => bytes.length > 0).map(([file, bytes]) => {
          const chunk = parseChunk(bytes);
          return [file, bytes.subarray(0, chunk.complete ? bytes.length : chunk.endOffset)] as const;
        }),
      );
      assertDirectory(directory, expected);
    });
  });
}

teamTest("LedgerFiles goes through a recovery to the very files that CCF's node left", async () => {
  const [before, after] = ["before_recovery/ledger", "ledger"].map((path) =>
    directoryContent(teamData(`ccf/testdata/recorded_recovery_shares/${path}`))
  ) as [Map<string, Uint8Array>, Map<string, Uint8Array>];
  await withTempDirectory(async (directory) => {
    for (const [name, bytes] of before) Deno.writeFileSync(`${directory}/${name}`, bytes);
    const ledger = await open(directory);
    // 2.59 is the last signature of the old service; half an entry followed.
    ledger.truncate(59);
    ledger.beginRecovery();
    const chunks = [...after].map(([name, bytes]) => ({ first: parseChunkName(name)!.first, chunk: parseChunk(bytes) }))
      .filter(({ first }) => first > 59).sort((a, b) => a.first - b.first);
    let seqno = 59;
    for (const { chunk } of chunks) {
      for (const { bytes } of chunk.content) ledger.append(++seqno, bytes, false);
      if (seqno === 81) {
        ledger.commit(81);
        await ledger.flush();
        assert.deepEqual([...directoryContent(directory).keys()].filter((name) => /^ledger_[5-9]\d/.test(name)), [
          "ledger_55-59.committed",
          "ledger_60-61.committed.recovery",
          "ledger_62-72.committed.recovery",
          "ledger_73-81.committed.recovery",
        ]);
        ledger.completeRecovery();
      }
    }
    ledger.commit(90);
    await ledger.close();
    assertDirectory(directory, after);
  });
});
