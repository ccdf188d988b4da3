import { strict as assert } from "node:assert";
import fc from "fast-check";
import { splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import { teamData, teamTest } from "../tests/team_data.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { directoryContent, type Fault, TestFileSystem, withTempDirectory } from "./test_file_system.ts";

const bytes = new Uint8Array(1000).map((_, i) => i);

Deno.test("SnapshotFiles.write() makes a file that is on the disk before it is called committed", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const snapshots = new SnapshotFiles(`${directory}/snapshots`, undefined, fileSystem);
    await snapshots.write("snapshot_12_14", bytes);
    await snapshots.write("snapshot_20_25.committed", bytes.subarray(0, 10));
    assert.deepEqual(fileSystem.calls.slice(0, 5), ["create", "write", "sync", "rename", "syncDirectory"]);
    assert.deepEqual(
      directoryContent(`${directory}/snapshots`),
      new Map([["snapshot_12_14.committed", bytes], ["snapshot_20_25.committed", bytes.subarray(0, 10)]]),
    );
    await assert.rejects(snapshots.write("../snapshot_1_2", bytes), { name: "AssertionFailed" });
  });
});

Deno.test("SnapshotFiles lists what is committed in both directories, and finds the newest that is not empty", async () => {
  await withTempDirectory(async (directory) => {
    const [main, old] = [`${directory}/main`, `${directory}/old`];
    Deno.mkdirSync(main);
    Deno.mkdirSync(old);
    const snapshots = new SnapshotFiles(main, old);
    assert.deepEqual(await snapshots.list(), []);
    assert.equal(await snapshots.newest(), undefined);
    for (
      const name of [
        "snapshot_12_14.committed",
        "snapshot_9_11.committed",
        "snapshot_30_31",
        "snapshot_1_2.tmp",
        "notes",
      ]
    ) Deno.writeFileSync(`${main}/${name}`, bytes);
    for (const name of ["snapshot_12_14.committed", "snapshot_2_3.committed"]) {
      Deno.writeFileSync(`${old}/${name}`, bytes);
    }
    Deno.writeFileSync(`${old}/snapshot_40_41.committed`, new Uint8Array());
    assert.deepEqual((await snapshots.list()).map(({ name, directory }) => [name, directory === main]), [
      ["snapshot_2_3.committed", false],
      ["snapshot_9_11.committed", true],
      ["snapshot_12_14.committed", true],
      ["snapshot_40_41.committed", false],
    ]);
    assert.deepEqual(await snapshots.newest(), {
      name: "snapshot_12_14.committed",
      directory: main,
      seqno: 12,
      evidenceSeqno: 14,
    });
    assert.equal((await snapshots.newest(11))?.seqno, 12);
    assert.equal(await snapshots.newest(12), undefined);
  });
});

Deno.test("SnapshotFiles.read() gives ranges whose end is exclusive, and nothing outside its directories", async () => {
  await withTempDirectory(async (directory) => {
    const [main, old] = [`${directory}/main`, `${directory}/old`];
    const snapshots = new SnapshotFiles(main, old);
    await snapshots.write("snapshot_12_14", bytes);
    await new SnapshotFiles(old).write("snapshot_2_3", bytes.subarray(0, 7));
    Deno.writeFileSync(`${main}/snapshot_30_31`, bytes);
    const name = "snapshot_12_14.committed";
    assert.equal(await snapshots.sizeBytes(name), 1000);
    assert.deepEqual(await snapshots.read(name), bytes);
    assert.deepEqual(await snapshots.read(name, 10, 20), bytes.subarray(10, 20));
    assert.deepEqual(await snapshots.read(name, 990, 5000), bytes.subarray(990));
    assert.deepEqual(await snapshots.read(name, 10, 10), new Uint8Array());
    assert.deepEqual(await snapshots.read("snapshot_2_3.committed", 5), bytes.subarray(5, 7));
    assert.equal(await snapshots.sizeBytes("snapshot_1_2.committed"), undefined);
    assert.equal(await snapshots.read("snapshot_30_31"), undefined);
    // Names come from requests.
    assert.equal(await snapshots.read(`../main/${name}`), undefined);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^[a-z_0-9./]*\.committed$/)), async (name) => {
        const read = await snapshots.read(name);
        assert.equal(read !== undefined, ["snapshot_12_14.committed", "snapshot_2_3.committed"].includes(name));
      }),
    );
  });
});

Deno.test("SnapshotFiles.writer() writes part by part, and there is nothing until all of it is", async () => {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const snapshots = new SnapshotFiles(`${directory}/snapshots`, undefined, fileSystem);
    const writer = await snapshots.writer(12);
    await writer.append(bytes.subarray(0, 300));
    await writer.append(bytes.subarray(300, 999));
    assert.deepEqual(
      directoryContent(`${directory}/snapshots`),
      new Map([["snapshot_12.draft", bytes.subarray(0, 999)]]),
    );
    assert.deepEqual(await snapshots.list(), []);
    await writer.append(bytes.subarray(999));
    await writer.commit("snapshot_12_14.committed");
    await writer.discard();
    assert.deepEqual(fileSystem.calls, ["create", "write", "write", "write", "sync", "rename", "syncDirectory"]);
    assert.deepEqual(await snapshots.read("snapshot_12_14.committed"), bytes);
    assert.equal(fileSystem.openFiles, 0);
    await assert.rejects(writer.append(bytes), { name: "AssertionFailed" });
  });
});

Deno.test("SnapshotFiles.writer() gives a draft no other name than that of its state", async () => {
  await withTempDirectory(async (directory) => {
    const snapshots = new SnapshotFiles(directory);
    const writer = await snapshots.writer(12);
    for (const name of ["snapshot_13_14.committed", "snapshot_12_14", "snapshot_12_12.committed", "../x"]) {
      await assert.rejects(writer.commit(name), { name: "AssertionFailed" });
    }
    await writer.discard();
    await writer.discard();
    assert.deepEqual(directoryContent(directory), new Map());
  });
});

Deno.test("SnapshotFiles leaves nothing behind that fails, and can be tried again", async () => {
  const name = "snapshot_12_14.committed";
  for (const how of ["not stored", "half stored", "stored"] satisfies Fault[]) {
    for (const [call, kind] of ["create", "write", "write", "sync", "rename", "syncDirectory"].entries()) {
      await withTempDirectory(async (directory) => {
        const fileSystem = new TestFileSystem();
        const snapshots = new SnapshotFiles(directory, undefined, fileSystem);
        const write = async () => {
          const writer = await snapshots.writer(12);
          await writer.append(bytes.subarray(0, 10));
          await writer.append(bytes.subarray(10));
          await writer.commit(name);
        };
        fileSystem.failCall(call, how);
        const path = `${directory}/${call < 3 ? "snapshot_12.draft" : name}`;
        await assert.rejects(write(), {
          name: "StorageError",
          message: `Cannot write the snapshot ${JSON.stringify(path)}: the disk is full; ` +
            "free some space; what is written already is not lost",
        });
        assert.equal(fileSystem.openFiles, 0);
        // Committed only where all of it is there.
        const listed = await snapshots.list();
        assert.equal(listed.length, kind === "syncDirectory" || (kind === "rename" && how === "stored") ? 1 : 0);
        if (listed.length > 0) assert.deepEqual(await snapshots.read(name), bytes);
        await write();
        assert.deepEqual(directoryContent(directory), new Map([[name, bytes]]));
      });
    }
  }
});

Deno.test("SnapshotFiles.writer() takes the place of what a killed node has begun, and all of that can be removed", async () => {
  await withTempDirectory(async (directory) => {
    const snapshots = new SnapshotFiles(directory);
    for (const seqno of [7, 12]) Deno.writeFileSync(`${directory}/snapshot_${seqno}.draft`, bytes.subarray(0, 100));
    Deno.writeFileSync(`${directory}/notes.draft`, bytes);
    await snapshots.write("snapshot_12_14", bytes.subarray(0, 50));
    await snapshots.prepare();
    assert.deepEqual(
      directoryContent(directory),
      new Map([["notes.draft", bytes], ["snapshot_12_14.committed", bytes.subarray(0, 50)]]),
    );
    await new SnapshotFiles(`${directory}/absent`).prepare();
    assert.deepEqual([...Deno.readDirSync(`${directory}/absent`)], []);
  });
});

teamTest("SnapshotFiles reads a real directory", async () => {
  const snapshots = new SnapshotFiles(teamData("ccf/testdata/recorded_recovery/snapshots"));
  const newest = (await snapshots.newest())!;
  assert.equal(newest.seqno, Math.max(...(await snapshots.list()).map(({ seqno }) => seqno)));
  const file = (await snapshots.read(newest.name))!;
  assert.equal(file.length, await snapshots.sizeBytes(newest.name));
  assert.ok(splitSnapshotFile(file).receipt.length > 0);
});
