import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat } from "../shared/bytes.ts";
import { parseChunk, parseChunkName, serialiseChunk } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER } from "../shared/ledger/entry.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { haveTeamData, teamData, teamTest } from "../tests/team_data.ts";
import { firstDirectoryInUse } from "./ledger_directory.ts";
import { denoFileSystem } from "./ledger_file_system.ts";
import { LedgerFiles } from "./ledger_files.ts";
import { directoryContent, testEntry, withTempDirectory } from "./test_file_system.ts";

/** Writes a directory, opens it, and returns what there was to say, the entries, and the files then. */
async function reopen(files: Readonly<Record<string, Uint8Array>>, readOnly?: Readonly<Record<string, Uint8Array>>) {
  let result: { notices: readonly string[]; bytes: Uint8Array; files: Map<string, Uint8Array>; ledger: LedgerFiles };
  await withTempDirectory(async (directory) => {
    const main = `${directory}/main`;
    Deno.mkdirSync(main);
    Deno.mkdirSync(`${directory}/old`);
    for (const [name, bytes] of Object.entries(files)) Deno.writeFileSync(`${main}/${name}`, bytes);
    for (const [name, bytes] of Object.entries(readOnly ?? {})) Deno.writeFileSync(`${directory}/old/${name}`, bytes);
    const ledger = await LedgerFiles.open({ directory: main, readOnlyDirectories: [`${directory}/old`] });
    const first = ledger.firstSeqno;
    const bytes = first === undefined ? new Uint8Array() : (await ledger.read(first, ledger.lastSeqno))!.bytes;
    await ledger.close();
    result = { notices: ledger.notices, bytes, files: directoryContent(main), ledger };
  });
  return result!;
}

const AFTER = { flags: FORCE_CHUNK_AFTER };
const entries = [1, 2, 3, 4, 5, 6, 7, 8].map((seqno) => testEntry(seqno, seqno % 4 === 0 ? AFTER : {}));
const [first, second] = [entries.slice(0, 4), entries.slice(4)];
const open6 = serialiseChunk(entries.slice(4, 6), false);

Deno.test("LedgerFiles.open() goes on behind the last whole entry, wherever a kill has cut the open file", async () => {
  const ends = [8];
  for (const entry of entries.slice(4, 7)) ends.push(ends.at(-1)! + entry.length);
  const whole = serialiseChunk(entries.slice(4, 7), false);
  const committed = serialiseChunk(first, true);
  for (let size = 0; size <= whole.length; size++) {
    const count = ends.filter((end) => end <= size).length - 1;
    const { notices, bytes, files, ledger } = await reopen({
      "ledger_1-4.committed": committed,
      "ledger_5": whole.subarray(0, size),
    });
    assert.equal(ledger.lastSeqno, 4 + Math.max(0, count));
    assert.deepEqual(bytes, concat(...entries.slice(0, ledger.lastSeqno)));
    if (count <= 0) {
      assert.deepEqual(notices, ["Renamed ledger_5 to ledger_5.ignored: it has no whole entry"]);
      assert.deepEqual([...files.keys()], ["ledger_1-4.committed", "ledger_5.ignored"]);
      assert.deepEqual(files.get("ledger_5.ignored"), whole.subarray(0, size));
    } else {
      const cut = size - ends[count]!;
      assert.deepEqual(notices, cut === 0 ? [] : [`Cut ${cut} bytes of an interrupted write off ledger_5`]);
      assert.deepEqual(files.get("ledger_5"), whole.subarray(0, ends[count]));
    }
    assert.deepEqual(files.get("ledger_1-4.committed"), committed);
  }
});

Deno.test("LedgerFiles.open() completes a file whose completion was interrupted at any byte", async () => {
  const whole = serialiseChunk(second, true);
  const endOffset = whole.length - 16;
  for (let size = endOffset; size <= whole.length; size++) {
    for (const tableOffset of [0, 1]) {
      const bytes = whole.slice(0, size);
      if (tableOffset === 0) bytes.fill(0, 0, 8);
      const { notices, files } = await reopen({
        "ledger_1-4.committed": serialiseChunk(first, true),
        "ledger_5": bytes,
      });
      assert.deepEqual(files.get("ledger_5"), whole);
      assert.equal(
        notices.length,
        size === whole.length && tableOffset === 1 ? 0 : size === endOffset && tableOffset === 0 ? 1 : 2,
      );
    }
  }
});

Deno.test("LedgerFiles.open() cuts off the zeros that a power cut leaves", async () => {
  for (const zeros of [1, 7, 8, 31, 32, 4096]) {
    const { notices, files } = await reopen({
      "ledger_1-4.committed": serialiseChunk(first, true),
      "ledger_5": concat(open6, new Uint8Array(zeros)),
    });
    assert.deepEqual(notices, [`Cut ${zeros} bytes of an interrupted write off ledger_5`]);
    assert.deepEqual(files.get("ledger_5"), open6);
  }
  // Only the header of the next entry got to the disk.
  const header = concat(entries[6]!.subarray(0, 8), new Uint8Array(entries[6]!.length - 8));
  const { files } = await reopen({ "ledger_5": concat(open6, header) });
  assert.deepEqual([...files.keys()], ["ledger_5"]);
  assert.deepEqual(files.get("ledger_5"), open6);
});

Deno.test("LedgerFiles.open() keeps the original of a file that is damaged before its end", async () => {
  const whole = serialiseChunk(entries.slice(4, 7), false);
  const at = 8 + entries[4]!.length;
  const damages: readonly (readonly [string, (bytes: Uint8Array) => void])[] = [
    ["a version", (bytes) => bytes[at] = 9],
    ["a length made longer than the file", (bytes) => bytes[at + 4] = 1],
    ["a length made shorter", (bytes) => bytes[at + 2]! -= 1],
    ["a seqno", (bytes) => bytes[at + 24] = 99],
  ];
  for (const [what, damage] of damages) {
    const damaged = whole.slice();
    damage(damaged);
    const { notices, bytes, files } = await reopen({ "ledger_5": damaged });
    assert.deepEqual(notices, [
      "Renamed ledger_5 to ledger_5.ignored: it is damaged; its whole entries are copied to a new file",
    ], what);
    assert.deepEqual(bytes, entries[4], what);
    assert.deepEqual(
      files,
      new Map([["ledger_5", serialiseChunk([entries[4]!], false)], ["ledger_5.ignored", damaged]]),
    );
  }
});

Deno.test("LedgerFiles.open() puts aside what is no part of the ledger, and overwrites nothing", async () => {
  const { notices, bytes, files, ledger } = await reopen({
    "ledger_1-4.committed": serialiseChunk(first, true),
    "ledger_3": serialiseChunk(entries.slice(2, 4), false),
    "ledger_2-4": serialiseChunk(entries.slice(1, 4), true),
    "ledger_4": serialiseChunk(entries.slice(3, 6), false),
    "ledger_5": open6,
    "ledger_5-6.committed.recovery": serialiseChunk(entries.slice(4, 6), true),
    "ledger_5.ignored": new Uint8Array([1]),
    "ledger_6": serialiseChunk(entries.slice(5, 7), false),
    "ledger_8": serialiseChunk(entries.slice(7), false),
    "ledger_7": new Uint8Array(),
    "ledger_7.ignored": new Uint8Array([2]),
    "ledger_9.recovery": new Uint8Array(),
    "notes.txt": new Uint8Array([3]),
  });
  assert.deepEqual([...notices].sort(), [
    "Renamed ledger_2-4 to ledger_2-4.ignored: its entries, up to 4, are in committed files",
    "Renamed ledger_3 to ledger_3.ignored: its entries, up to 4, are in committed files",
    "Renamed ledger_4 to ledger_4.ignored: it begins with entry 4, and committed files go on to 4",
    "Renamed ledger_5-6.committed.recovery to ledger_5-6.committed.recovery.ignored: it belongs to a recovery that was " +
    "not finished",
    "Renamed ledger_6 to ledger_6.ignored: its first entry does not follow entry 6",
    "Renamed ledger_7 to ledger_7.2.ignored: it has no whole entry",
    "Renamed ledger_8 to ledger_8.ignored: its first entry does not follow entry 6",
    "Renamed ledger_9.recovery to ledger_9.recovery.ignored: it belongs to a recovery that was not finished",
  ]);
  assert.deepEqual(bytes, concat(...entries.slice(0, 6)));
  assert.equal(ledger.lastSeqno, 6);
  assert.equal(files.size, 13);
  assert.deepEqual(files.get("ledger_5.ignored"), new Uint8Array([1]));
  assert.deepEqual(files.get("ledger_7.ignored"), new Uint8Array([2]));
  assert.deepEqual(files.get("notes.txt"), new Uint8Array([3]));
});

Deno.test("LedgerFiles.open() completes a file that another one follows", async () => {
  const { notices, files, bytes } = await reopen({
    "ledger_5": open6,
    "ledger_7": serialiseChunk(entries.slice(6), false),
  });
  assert.deepEqual(notices, [
    "Completed ledger_5, which ends with entry 6",
    "Completed ledger_7, which ends with entry 8",
  ]);
  assert.deepEqual(files.get("ledger_5"), serialiseChunk(entries.slice(4, 6), true));
  assert.deepEqual(files.get("ledger_7"), serialiseChunk(entries.slice(6), true));
  assert.deepEqual(bytes, concat(...entries.slice(4)));
});

Deno.test("LedgerFiles.open() reads committed files from read-only directories, and nothing else there", async () => {
  const { bytes, notices, ledger } = await reopen({ "ledger_5": open6 }, {
    "ledger_1-4.committed": serialiseChunk(first, true),
    "ledger_5-8.committed.recovery": new Uint8Array(),
    "ledger_5": serialiseChunk(second, false),
    "ledger_9-10.committed.ignored": new Uint8Array(),
  });
  assert.deepEqual(notices, []);
  assert.deepEqual(bytes, concat(...entries.slice(0, 6)));
  assert.deepEqual([ledger.firstSeqno, ledger.lastSeqno, ledger.committedSeqno], [1, 6, 4]);
});

Deno.test("LedgerFiles.read() is not misled by what a file's name claims", async () => {
  await withTempDirectory(async (directory) => {
    Deno.writeFileSync(`${directory}/ledger_1-9007199254740991.committed`, serialiseChunk(first, true));
    const ledger = await LedgerFiles.open({ directory });
    await assert.rejects(ledger.read(1, 2), {
      name: "FormatError",
      message:
        /^Cannot read ledger file ledger_1-9007199254740991\.committed: its \d+ bytes do not hold a positions table/,
    });
    await ledger.close();
  });
});

Deno.test("LedgerFiles.open() says why a directory cannot be used", async () => {
  await withTempDirectory(async (directory) => {
    const file = `${directory}/file`;
    Deno.writeTextFileSync(file, "");
    await assert.rejects(LedgerFiles.open({ directory: `${file}/ledger` }), {
      name: "StorageError",
      message: `Cannot open the ledger directory ${JSON.stringify(`${file}/ledger`)}: a part of the path is not a ` +
        "directory; choose another path",
    });
    const { denied } = { denied: Object.assign(new Error("Permission denied (os error 13)"), { code: "EACCES" }) };
    const fileSystem = { ...denoFileSystem, open: () => Promise.reject(denied) };
    await assert.rejects(LedgerFiles.open({ directory, fileSystem }), {
      message:
        `Cannot open the ledger directory ${JSON.stringify(directory)}: it is not permitted; give this user the ` +
        "right to read and write there",
    });
  });
});

Deno.test("firstDirectoryInUse() finds the directory that keeps a new service from starting", async () => {
  await withTempDirectory(async (directory) => {
    const [a, b] = [`${directory}/a`, `${directory}/b`];
    Deno.mkdirSync(a);
    assert.equal(await firstDirectoryInUse(denoFileSystem, [a, b]), undefined);
    Deno.mkdirSync(b);
    Deno.writeTextFileSync(`${b}/ledger_1`, "");
    assert.equal(await firstDirectoryInUse(denoFileSystem, [a, b]), b);
  });
});

Deno.test("LedgerFiles.open() opens mutated directories and gives whole entries in order, or refuses a file", async () => {
  const files: Readonly<Record<string, Uint8Array>> = {
    "ledger_1-4.committed": serialiseChunk(first, true),
    "ledger_5": serialiseChunk(second, true),
    "ledger_9": serialiseChunk([9, 10, 11].map((seqno) => testEntry(seqno)), false),
  };
  const mutation = fc.oneof(
    fc.record({
      kind: fc.constant("byte" as const),
      name: fc.constantFrom(...Object.keys(files)),
      at: fc.nat(2000),
      value: fc.nat(255),
    }),
    fc.record({ kind: fc.constant("cut" as const), name: fc.constantFrom(...Object.keys(files)), at: fc.nat(2000) }),
    fc.record({
      kind: fc.constant("add" as const),
      name: fc.constantFrom(...Object.keys(files)),
      bytes: fc.uint8Array({ maxLength: 40 }),
    }),
    fc.record({
      kind: fc.constant("rename" as const),
      name: fc.constantFrom(...Object.keys(files)),
      to: fc.stringMatching(/^ledger_[1-9](-[1-9])?(\.committed)?(\.recovery)?(\.ignored)?$/),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      const mutated = new Map<string, Uint8Array>(Object.entries(files).map(([name, bytes]) => [name, bytes.slice()]));
      for (const { name, ...mutation } of mutations) {
        const bytes = mutated.get(name);
        if (bytes === undefined) continue;
        if (mutation.kind === "byte" && bytes.length > 0) bytes[mutation.at % bytes.length] = mutation.value;
        if (mutation.kind === "cut") mutated.set(name, bytes.subarray(0, mutation.at % (bytes.length + 1)));
        if (mutation.kind === "add") mutated.set(name, concat(bytes, mutation.bytes));
        if (mutation.kind === "rename") {
          mutated.delete(name);
          mutated.set(mutation.to, bytes);
        }
      }
      await withTempDirectory(async (directory) => {
        for (const [name, bytes] of mutated) Deno.writeFileSync(`${directory}/${name}`, bytes);
        const ledger = await LedgerFiles.open({ directory });
        for (let seqno = 1; seqno <= ledger.lastSeqno; seqno++) {
          const range = await ledger.read(seqno, seqno).catch((error: Error) => {
            assert.equal(error.name, "FormatError");
            return undefined;
          });
          if (range !== undefined && seqno > ledger.committedSeqno) assert.equal(range.bytes[24], seqno);
        }
        ledger.append(ledger.lastSeqno + 1, testEntry(ledger.lastSeqno + 1, AFTER), true);
        await ledger.close();
        // What was put right stays right.
        const again = await LedgerFiles.open({ directory });
        assert.deepEqual(again.notices, []);
        assert.equal(again.lastSeqno, ledger.lastSeqno);
        await again.close();
      });
    }),
    { numRuns: 150 },
  );
});

/** Ledger directories of the team's data, below `ccf/testdata`. */
function ledgerDirectories(): string[] {
  const found: string[] = [];
  const visit = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(teamData(`ccf/testdata/${path}`))) {
      if (isDirectory && name === "ledger") found.push(`${path}/ledger`);
      else if (isDirectory) visit(`${path}/${name}`);
    }
  };
  if (haveTeamData) visit(".");
  return found.sort();
}

teamTest("LedgerFiles.open() gives the bytes of every real ledger, and leaves the files as they are", async () => {
  const directories = ledgerDirectories();
  assert.ok(directories.length >= 14, `${directories.length} ledgers`);
  const cut: string[] = [];
  for (const path of directories) {
    const original = directoryContent(teamData(`ccf/testdata/${path}`));
    const content = new Map<Seqno, Uint8Array>();
    for (const [name, bytes] of original) {
      if (bytes.length === 0) continue;
      let seqno = parseChunkName(name)!.first;
      for (const entry of parseChunk(bytes).content) content.set(seqno++, entry.bytes);
    }
    const [lowest, highest] = [Math.min(...content.keys()), Math.max(...content.keys())];
    await withTempDirectory(async (directory) => {
      for (const [name, bytes] of original) Deno.writeFileSync(`${directory}/${name}`, bytes);
      const ledger = await LedgerFiles.open({ directory });
      assert.deepEqual([ledger.firstSeqno, ledger.lastSeqno], [lowest, highest], path);
      const range = await ledger.read(lowest, highest);
      assert.deepEqual(range?.bytes, concat(...[...content].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)), path);
      await ledger.close();
      const after = directoryContent(directory);
      for (const [name, bytes] of original) {
        const now = after.get(name) ?? after.get(`${name}.ignored`);
        assert.deepEqual(now, bytes.subarray(0, now?.length), `${path}/${name}`);
      }
      if (ledger.notices.length > 0) cut.push(`${path}: ${ledger.notices.join("; ")}`);
    });
  }
  // One node was killed with half an entry written, and nothing else is to be put right.
  assert.deepEqual(cut, [
    "./recorded_recovery_shares/before_recovery/ledger: Cut 56 bytes of an interrupted write off ledger_55",
  ]);
});
