import { strict as assert } from "node:assert";
import { concat } from "../shared/bytes.ts";
import { FORCE_CHUNK_AFTER } from "../shared/ledger/entry.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { minimal, parse } from "./config_fixtures.ts";
import type { NodeLog } from "./log.ts";
import { NodeStorage, type NodeStorageOptions } from "./node_storage.ts";
import { SnapshotFiles } from "./snapshot_files.ts";
import { directoryContent, testEntry, withTempDirectory } from "./test_file_system.ts";

const JOIN = { type: "Join", join: { target_rpc_address: "127.0.0.1:1" } };
const SNAPSHOT = new Uint8Array(100).fill(7);

/** Opens storage in a directory, with snapshots in `home`; what is logged is added to `lines`. */
function open(
  directory: string,
  command: object,
  more: Partial<NodeStorageOptions> & {
    readonly lines?: string[];
    readonly durability?: string;
    readonly home?: string;
  } = {},
): Promise<NodeStorage> {
  const { lines = [], durability = "none", home = directory, ...options } = more;
  const log: NodeLog = {
    write: (level, _tag, message) => void lines.push(`${level}: ${message}`),
    isEnabled: () => true,
    close: () => Promise.resolve(),
  };
  return NodeStorage.open({
    config: parse({
      ...minimal,
      command,
      durability,
      ledger: { directory: `${directory}/ledger` },
      snapshots: { directory: `${home}/snapshots`, read_only_directory: `${home}/old` },
    }),
    log,
    fetchSnapshot: () => Promise.resolve(undefined),
    onFailure: (message) => assert.fail(message),
    ...options,
  });
}

/** Leaves a ledger behind: two committed files of two entries, then entries that are not committed. */
async function leaveLedger(directory: string): Promise<void> {
  const storage = await open(directory, minimal.command);
  for (let seqno = 1; seqno <= 6; seqno++) {
    const flags = seqno === 2 || seqno === 4 ? FORCE_CHUNK_AFTER : 0;
    storage.append(seqno, testEntry(seqno, { flags }), true);
  }
  storage.commit(5);
  assert.equal(await storage.close(), undefined);
}

const ledgerNames = (directory: string) => [...directoryContent(`${directory}/ledger`).keys()];
const entries = (from: Seqno, to: Seqno) => {
  return concat(...Array.from({ length: to - from + 1 }, (_, i) => testEntry(from + i)));
};

Deno.test("NodeStorage.open() starts a service on an empty ledger directory only", async () => {
  await withTempDirectory(async (directory) => {
    await leaveLedger(directory);
    await assert.rejects(open(directory, minimal.command), {
      name: "StorageError",
      message: /^Cannot start a new service: the ledger directory .*ledger is not empty; choose another directory/,
    });
  });
});

Deno.test("NodeStorage.open() puts aside what an earlier node left where there is no snapshot to begin behind", async () => {
  await withTempDirectory(async (directory) => {
    await leaveLedger(directory);
    const lines: string[] = [];
    const storage = await open(directory, JOIN, { lines });
    assert.equal(storage.start, null);
    assert.deepEqual(ledgerNames(directory), [
      "ledger_1-2.committed.ignored",
      "ledger_3-4.committed.ignored",
      "ledger_5.ignored",
    ]);
    assert(lines.includes("info: No snapshot to start from: this node gets every entry from the first on"));
    assert(
      lines.some((line) => /had entries up to 6: none of them stay, others are put aside as \.ignored/.test(line)),
    );
    storage.append(1, testEntry(1), true);
    assert.deepEqual(await storage.entriesFor(1, 1), testEntry(1));
    await storage.close();
  });
});

Deno.test("NodeStorage.open() begins behind a snapshot of the service, else behind the newest here", async () => {
  await withTempDirectory(async (directory) => {
    await new SnapshotFiles(`${directory}/snapshots`).write("snapshot_2_5", SNAPSHOT);
    await new SnapshotFiles(`${directory}/old`).write("snapshot_3_6", SNAPSHOT.subarray(1));
    for (
      const [fetched, name, kept] of [
        ["snapshot_9_11", "snapshot_9_11.committed", ["ledger_1-2.committed", "ledger_3-4.committed"]],
        ["snapshot_1_2", "snapshot_1_2.committed", []],
        [undefined, "snapshot_9_11.committed", ["ledger_1-2.committed", "ledger_3-4.committed"]],
      ] as const
    ) {
      const copy = `${directory}/${fetched}`;
      await leaveLedger(copy);
      const lines: string[] = [];
      const fetchSnapshot: NodeStorageOptions["fetchSnapshot"] = async (_command, snapshots) => {
        if (fetched === undefined) return undefined;
        await snapshots.write(fetched, SNAPSHOT);
        return (await snapshots.list()).find((file) => file.name.startsWith(fetched));
      };
      const storage = await open(copy, JOIN, { lines, home: directory, fetchSnapshot });
      assert.equal(storage.start?.name, name);
      assert.deepEqual(storage.start?.file, SNAPSHOT);
      assert(lines.includes(`info: Starting from the snapshot ${name} of 100 bytes`));
      assert.deepEqual(ledgerNames(copy).filter((file) => file.endsWith(".committed")), kept);
      const next = storage.start.seqno + 1;
      storage.append(next, testEntry(next), true);
      storage.commit(next);
      assert.deepEqual(await storage.entriesFor(next, next), testEntry(next));
      await storage.close();
    }
  });
});

Deno.test("NodeStorage.open() asks nobody for a snapshot where the configuration says so", async () => {
  await withTempDirectory(async (directory) => {
    const command = { ...JOIN, join: { ...JOIN.join, fetch_recent_snapshot: false } };
    const storage = await open(directory, command, { fetchSnapshot: () => assert.fail("nobody is asked") });
    assert.equal(storage.start, null);
    await storage.close();
  });
});

Deno.test("NodeStorage gives entries that were appended, from memory and from files, and none that were rolled back", async () => {
  await withTempDirectory(async (directory) => {
    const lines: string[] = [];
    const storage = await open(directory, minimal.command, { lines });
    for (let seqno = 1; seqno <= 5; seqno++) storage.append(seqno, testEntry(seqno), seqno === 5);
    const atOnce = storage.entriesFor(2, 4);
    assert(atOnce instanceof Uint8Array, "no file is read for what was appended not long ago");
    assert.deepEqual(atOnce, entries(2, 4));
    assert.deepEqual(await storage.entriesFor(1, 5), entries(1, 5));
    storage.commit(2);
    storage.truncate(3);
    assert.deepEqual(await storage.entriesFor(3, 4), testEntry(3), "as far as they are here");
    assert.deepEqual(await storage.entriesFor(1, 3), entries(1, 3));
    storage.append(4, testEntry(4), true);
    assert.deepEqual(await storage.entriesFor(4, 4), testEntry(4));
    await storage.close();
    assert.deepEqual(
      lines.filter((line) => !line.includes("Cannot index")),
      [],
      "entries of a test have no public keys",
    );
  });
});

for (const durability of ["none", "commit", "always"]) {
  Deno.test(`NodeStorage.whenDurable() tells things in order, with durability ${durability}`, async () => {
    await withTempDirectory(async (directory) => {
      const storage = await open(directory, minimal.command, { durability });
      const told: number[] = [];
      storage.append(1, testEntry(1), true);
      storage.whenDurable(() => told.push(1));
      const toldAtOnce = told.length;
      storage.append(2, testEntry(2), true);
      storage.commit(2);
      storage.whenDurable(() => told.push(2));
      storage.whenDurable(() => told.push(3));
      assert.equal(toldAtOnce, durability === "none" ? 1 : 0);
      assert.equal(told.length, durability === "none" ? 3 : 0);
      await storage.close();
      await new Promise((done) => setTimeout(done, 0));
      assert.deepEqual(told, [1, 2, 3]);
    });
  });
}
