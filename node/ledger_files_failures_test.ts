import { strict as assert } from "node:assert";
import { concat, equalBytes } from "../shared/bytes.ts";
import { parseChunk, parseChunkName } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../shared/ledger/entry.ts";
import { LedgerFiles } from "./ledger_files.ts";
import { eventually } from "./listener_fixtures.ts";
import { StorageError } from "./storage_error.ts";
import { directoryContent, testEntry, TestFileSystem, withTempDirectory } from "./test_file_system.ts";
import { append, assertDirectory, Model, open, readAll } from "./ledger_files_fixtures.ts";

Deno.test("LedgerFiles syncs as the durability asks: never, before commits, or always, many entries at once", async () => {
  const syncs: Record<string, number[]> = {};
  for (const durability of ["none", "commit", "always"] as const) {
    await withTempDirectory(async (directory) => {
      const fileSystem = new TestFileSystem();
      const ledger = await open(directory, { durability, fileSystem });
      const model = new Model();
      fileSystem.reset();
      append(ledger, model, 99);
      append(ledger, model, 1, 0, true);
      await ledger.flush();
      const afterAppend = fileSystem.count("sync");
      ledger.commit(100);
      await ledger.flush();
      const afterCommit = fileSystem.count("sync");
      ledger.commit(100);
      await ledger.flush();
      syncs[durability] = [afterAppend, afterCommit, fileSystem.count("sync")];
      assert.equal(fileSystem.count("syncDirectory"), durability === "none" ? 0 : 1);
      await ledger.close();
    });
  }
  assert.deepEqual(syncs, { none: [0, 0, 0], commit: [0, 1, 1], always: [1, 1, 1] });
});

Deno.test("LedgerFiles.flush() waits for the disk, and all who wait share one sync", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const ledger = await open(directory, { durability: "always", fileSystem });
    const model = new Model();
    append(ledger, model, 1);
    await ledger.flush();
    fileSystem.reset();
    const { promise, resolve: release } = Promise.withResolvers<void>();
    fileSystem.syncGate = promise;
    let done = 0;
    const waiting: Promise<void>[] = [];
    const flush = () => waiting.push(ledger.flush().then(() => void done++));
    const begunBefore = fileSystem.begunSyncs;
    append(ledger, model, 1);
    flush();
    await eventually(() => fileSystem.begunSyncs > begunBefore);
    // The first sync is under way: these share the next one.
    for (let i = 0; i < 50; i++) {
      append(ledger, model, 1);
      flush();
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(done, 0);
    release();
    await Promise.all(waiting);
    assert.equal(fileSystem.count("sync"), 2);
    assert.equal(fileSystem.count("write"), 2);
    await ledger.close();
    assertDirectory(directory, model.directory());
  });
});

Deno.test("LedgerFiles syncs the bytes before the name says committed, and the table before its offset", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const ledger = await open(directory, { durability: "commit", fileSystem });
    fileSystem.reset();
    const model = new Model();
    append(ledger, model, 2, 0, true);
    append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
    ledger.commit(3);
    await ledger.flush();
    assert.deepEqual(fileSystem.calls, [
      "create",
      "write", // entries
      "write", // table
      "sync",
      "write", // its offset
      "sync",
      "rename",
      "syncDirectory",
    ]);
    await ledger.close();
  });
});

/** A life with every kind of step in it. `settle` is awaited between its turns. */
async function life(ledger: LedgerFiles, model: Model, settle: () => Promise<void>): Promise<void> {
  append(ledger, model, 2);
  append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
  await settle();
  append(ledger, model, 3, 0, true);
  await settle();
  ledger.commit(model.commit(3));
  append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
  append(ledger, model, 2, 0, true);
  await settle();
  ledger.truncate(model.entries.length = 5);
  await settle();
  append(ledger, model, 2, FORCE_CHUNK_BEFORE, true);
  await settle();
  append(ledger, model, 1, FORCE_CHUNK_AFTER, true);
  ledger.commit(model.commit(8));
  append(ledger, model, 1);
  await settle();
}

Deno.test("LedgerFiles goes on after a failed call, stored or not, and comes out at the same bytes", async () => {
  for (const how of ["not stored", "half stored", "stored"] as const) {
    for (const durability of ["none", "commit"] as const) {
      for (let call = 0;; call++) {
        let calls = 0;
        await withTempDirectory(async (directory) => {
          const fileSystem = new TestFileSystem();
          const failures: StorageError[] = [];
          const ledger = await open(directory, { fileSystem, durability, onFailure: (error) => failures.push(error) });
          fileSystem.reset();
          fileSystem.failCall(call, how);
          const model = new Model();
          const settle = async () => {
            await ledger.flush().catch((error: unknown) => assert.ok(error instanceof StorageError));
            // What is not written yet is read from memory.
            assert.deepEqual(await readAll(ledger), concat(...model.entries));
          };
          const refused = await life(ledger, model, settle).then(() => undefined, (error: Error) => error);
          const failed = fileSystem.calls[call];
          if (failed === "sync") {
            // Nobody knows what the disk holds then: that is for good, and told at once.
            const message = /^Cannot force the ledger file ".*" to the disk: the disk is full; nobody knows now/;
            if (refused !== undefined) assert.match(refused.message, message);
            await assert.rejects(ledger.close(), { name: "StorageError", message });
            calls = Infinity;
            return;
          }
          assert.equal(refused, undefined);
          calls = fileSystem.calls.length;
          await ledger.close();
          assert.equal(failures.length, failed === undefined ? 0 : 1);
          assert.match(
            failures[0]?.message ?? "the disk is full; free some space",
            /the disk is full; free some space/,
          );
          assertDirectory(directory, model.directory());
        });
        if (call >= calls) break;
      }
    }
  }
});

Deno.test("LedgerFiles loses nothing that was flushed when the node dies after any call", async () => {
  for (const how of ["not stored", "half stored", "stored"] as const) {
    for (let call = 0;; call++) {
      let calls = 0;
      await withTempDirectory(async (directory) => {
        const fileSystem = new TestFileSystem();
        const ledger = await open(directory, { fileSystem });
        fileSystem.reset();
        fileSystem.failCall(call, how);
        const model = new Model();
        const died = new Error("died");
        let flushed: Uint8Array[] = [];
        let cutTo = Infinity;
        const outcome = await life(ledger, model, async () => {
          cutTo = Math.min(cutTo, model.entries.length);
          await ledger.flush().catch(() => Promise.reject(died));
          flushed = [...model.entries];
          cutTo = Infinity;
        }).then(() => "lived", (error: unknown) => error === died ? "died" : Promise.reject(error));
        calls = fileSystem.calls.length;
        assert.equal(outcome, call < calls ? "died" : "lived");

        const reopened = await open(directory);
        const bytes = await readAll(reopened);
        const kept = concat(...flushed.slice(0, Math.min(flushed.length, cutTo)));
        assert.deepEqual(bytes.subarray(0, kept.length), kept, `${how} ${call}`);
        const startsWith = (entries: Uint8Array[]) => equalBytes(concat(...entries).subarray(0, bytes.length), bytes);
        assert.ok(startsWith(flushed) || startsWith(model.entries), `${how} ${call}`);
        // Every file but the last is complete, and the ledger goes on.
        const next = testEntry(reopened.lastSeqno + 1, { flags: FORCE_CHUNK_AFTER });
        reopened.append(reopened.lastSeqno + 1, next, true);
        await reopened.close();
        for (const [name, bytes] of directoryContent(directory)) {
          const parsed = parseChunkName(name);
          assert.ok(parsed !== undefined, name);
          if (!parsed.ignored) assert.equal(parseChunk(bytes).complete, true, name);
        }
      });
      if (call >= calls) break;
    }
  }
});

Deno.test("LedgerFiles reports a full disk with cause and remedy, and stops taking entries only when memory is full", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    let failures = 0;
    const ledger = await open(directory, {
      fileSystem,
      maxUnwrittenBytes: 1_000_000,
      onFailure: () => void (failures += 1),
    });
    fileSystem.failCall(1, "not stored");
    ledger.append(1, testEntry(1), true);
    await assert.rejects(ledger.flush(), {
      name: "StorageError",
      message: `Cannot write the ledger file ${JSON.stringify(`${directory}/ledger_1`)}: the disk is full; free some ` +
        "space; what is written already is not lost",
    });
    await ledger.flush();
    const big = testEntry(2, { publicBytes: 600_000 });
    fileSystem.failCall(0, "not stored");
    ledger.append(2, big, false);
    await eventually(() => failures === 2);
    const callsBefore = fileSystem.calls.length;
    fileSystem.failCall(0, "not stored");
    ledger.append(3, testEntry(3, { publicBytes: 600_000 }), false);
    await eventually(() => fileSystem.calls.length > callsBefore);
    assert.throws(() => ledger.append(4, testEntry(4), false), {
      name: "StorageError",
      message:
        `Cannot append to the ledger: ${ledger.unwrittenBytes} bytes wait to be written. Cannot write the ledger ` +
        `file ${
          JSON.stringify(`${directory}/ledger_1`)
        }: the disk is full; free some space; what is written already is ` +
        "not lost",
    });
    ledger.truncate(1);
    await ledger.close();
  });
});
