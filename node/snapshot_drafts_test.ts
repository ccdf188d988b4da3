import { strict as assert } from "node:assert";
import { SnapshotDrafts, type SnapshotWritten } from "./snapshot_drafts.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { directoryContent, TestFileSystem, withTempDirectory } from "./test_file_system.ts";

const bytes = new Uint8Array(1000).map((_, i) => i);
const NAME = "snapshot_12_14.committed";

interface Setting {
  readonly directory: string;
  readonly fileSystem: TestFileSystem;
  readonly drafts: SnapshotDrafts;
  readonly told: SnapshotWritten[];
  readonly failures: string[];
}

async function withDrafts(run: (setting: Setting) => Promise<void>): Promise<void> {
  await withTempDirectory(async (directory) => {
    const fileSystem = new TestFileSystem();
    const [told, failures] = [[] as SnapshotWritten[], [] as string[]];
    const files = new SnapshotFiles(directory, undefined, fileSystem);
    const drafts = new SnapshotDrafts(files, (written) => told.push(written), (message) => failures.push(message));
    await run({ directory, fileSystem, drafts, told, failures });
    assert.equal(fileSystem.openFiles, 0);
  });
}

Deno.test("SnapshotDrafts writes what comes in one turn in order, two drafts side by side", async () => {
  await withDrafts(async ({ directory, drafts, told, failures }) => {
    drafts.begin(12);
    drafts.append(12, bytes.subarray(0, 400));
    drafts.begin(20);
    drafts.append(20, bytes);
    drafts.append(12, bytes.subarray(400, 990));
    drafts.commit(12, NAME, bytes.subarray(990));
    drafts.discard(20);
    await drafts.close();
    assert.deepEqual(directoryContent(directory), new Map([[NAME, bytes]]));
    assert.deepEqual(told.filter(({ seqno }) => seqno === 12).map(({ sizeBytes }) => sizeBytes), [400, 990]);
    assert.deepEqual(failures, []);
  });
});

Deno.test("SnapshotDrafts tells once that a draft failed, wherever it did, and ignores what still comes for it", async () => {
  for (let call = 0; call < 6; call++) {
    await withDrafts(async ({ directory, fileSystem, drafts, told, failures }) => {
      fileSystem.failCall(call, "not stored");
      drafts.begin(12);
      drafts.append(12, bytes);
      drafts.commit(12, NAME, bytes);
      await drafts.close();
      drafts.append(12, bytes);
      drafts.discard(12);
      await drafts.close();
      assert.deepEqual(told.filter(({ sizeBytes }) => sizeBytes === null).length, 1);
      assert.equal(failures.length, 1);
      assert.match(failures[0]!, /^Cannot write the snapshot .*: the disk is full/);
      const whole = call === 5; // only its name is not known to be on the disk
      assert.deepEqual([...directoryContent(directory).keys()], whole ? [NAME] : []);

      drafts.begin(12);
      drafts.commit(12, NAME, bytes);
      await drafts.close();
      assert.deepEqual(directoryContent(directory), new Map([[NAME, bytes]]));
    });
  }
});

Deno.test("SnapshotDrafts removes at the end what has not come to its own", async () => {
  await withDrafts(async ({ directory, drafts }) => {
    drafts.begin(12);
    drafts.append(12, bytes);
    drafts.append(13, bytes); // of which nobody has heard
    await drafts.close();
    assert.deepEqual(directoryContent(directory), new Map());
  });
});
