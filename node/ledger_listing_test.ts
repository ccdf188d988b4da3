import { strict as assert } from "node:assert";
import { join } from "node:path";
import { UsageError } from "./commands/exit.ts";
import { listLedger, listSnapshots } from "./ledger_listing.ts";

/** Directories of files of one byte, or none where the name ends with "=". */
async function withDirectories(directories: readonly (readonly string[])[], test: (paths: string[]) => void) {
  const folder = await Deno.makeTempDir({ prefix: "quorate_listing_" });
  try {
    const paths = directories.map((names, i) => {
      const path = join(folder, String.fromCharCode(97 + i));
      Deno.mkdirSync(path);
      for (const name of names) {
        Deno.writeTextFileSync(join(path, name.replace(/=$/, "")), name.endsWith("=") ? "" : "x");
      }
      return path;
    });
    test(paths);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is read of directories a, b, …; copies as "of ← copy", left aside as "file ⇐ other", overlaps as "one × other". */
const TABLE:
  readonly (readonly [what: string, directories: readonly (readonly string[])[], listing: readonly string[]])[] = [
    ["files are in order of seqnos, not of names", [["ledger_11", "ledger_1-2.committed", "ledger_3-10.committed"]], [
      "a/ledger_1-2.committed",
      "a/ledger_3-10.committed",
      "a/ledger_11",
    ]],
    ["read-only directories fill in what is missing", [["ledger_3-4.committed"], [
      "ledger_1-2.committed",
      "ledger_5-6.committed",
    ]], [
      "b/ledger_1-2.committed",
      "a/ledger_3-4.committed",
      "b/ledger_5-6.committed",
    ]],
    ["they contribute committed files only", [["ledger_1-2.committed"], [
      "ledger_3",
      "ledger_3-4.committed.recovery",
      "ledger_3-4",
    ]], [
      "a/ledger_1-2.committed",
    ]],
    ["of copies the first given is read", [["ledger_1-2.committed"], ["ledger_1-2.committed"], [
      "ledger_1-2.committed",
    ]], [
      "a/ledger_1-2.committed",
      "a/ledger_1-2.committed ← b/ledger_1-2.committed",
      "a/ledger_1-2.committed ← c/ledger_1-2.committed",
    ]],
    ["a copy may lie across several files", [["ledger_1-2.committed", "ledger_3-6.committed"], [
      "ledger_2-5.committed",
    ]], [
      "a/ledger_1-2.committed",
      "a/ledger_3-6.committed",
      "a/ledger_1-2.committed ← b/ledger_2-5.committed",
      "a/ledger_3-6.committed ← b/ledger_2-5.committed",
    ]],
    ["the longer of two with the same start is read", [["ledger_1-2.committed", "ledger_1-4.committed"]], [
      "a/ledger_1-4.committed",
      "a/ledger_1-4.committed ← a/ledger_1-2.committed",
    ]],
    ["a part of other transactions is an overlap", [["ledger_1-4.committed"], ["ledger_3-6.committed"]], [
      "a/ledger_1-4.committed",
      "a/ledger_1-4.committed × b/ledger_3-6.committed",
    ]],
    ["open files give way to committed ones", [["ledger_3", "ledger_1-2.committed"], ["ledger_3-4.committed"]], [
      "a/ledger_1-2.committed",
      "b/ledger_3-4.committed",
      "a/ledger_3 ⇐ b/ledger_3-4.committed",
    ]],
    ["empty open files are not there yet", [["ledger_3=", "ledger_1-2.committed="]], ["a/ledger_1-2.committed"]],
    ["files of a recovery continue those before", [[
      "ledger_1-2.committed",
      "ledger_3-4.committed.recovery",
      "ledger_5.recovery",
    ]], [
      "a/ledger_1-2.committed",
      "a/ledger_3-4.committed.recovery",
      "a/ledger_5.recovery",
    ]],
    [
      "unless it was another attempt",
      [["ledger_1-4.committed", "ledger_3-5.committed.recovery", "ledger_4.recovery"]],
      [
        "a/ledger_1-4.committed",
        "a/ledger_3-5.committed.recovery ⇐ a/ledger_1-4.committed",
        "a/ledger_4.recovery ⇐ a/ledger_1-4.committed",
      ],
    ],
    ["ignored and other files are not read", [[
      "ledger_1-2.committed",
      "ledger_1-2.committed.ignored",
      "ledger_03",
      "x",
    ]], [
      "a/ledger_1-2.committed",
    ]],
  ];

Deno.test("listLedger() puts the files of several directories in order, each transaction once", async () => {
  for (const [what, directories, expected] of TABLE) {
    await withDirectories(directories, ([directory, ...others]) => {
      const { files, copies, leftAside, overlaps } = listLedger(directory!, others);
      const name = ({ path }: { path: string }) => path.split("/").slice(-2).join("/");
      const listing = [
        ...files.map(name),
        ...[...copies].flatMap(([file, ofFile]) => ofFile.map((copy) => `${name(file)} ← ${name(copy)}`)),
        ...overlaps.map(([one, other]) => `${name(one)} × ${name(other)}`),
        ...leftAside.map(({ file, other }) => `${name(file)} ⇐ ${name(other)}`),
      ];
      assert.deepEqual([what, listing], [what, expected]);
    });
  }
});

Deno.test("listLedger() refuses directories without a ledger", async () => {
  await withDirectories([["x"], ["ledger_1="], []], ([a, b, c]) => {
    assert.throws(
      () => listLedger(a!, [c!]),
      new UsageError(
        `Cannot find a ledger in ${a}, ${c}: there are no files like ledger_1-14.committed; give the directory that a ` +
          "node's configuration calls ledger.directory",
      ),
    );
    assert.throws(
      () => listLedger(b!),
      new UsageError(`Cannot find a ledger in ${b}: its files hold nothing that is part of one`),
    );
    assert.throws(
      () => listLedger(join(a!, "x")),
      new UsageError(`Cannot read the ledger directory ${join(a!, "x")}: it is no directory`),
    );
  });
});

Deno.test("listSnapshots() lists committed snapshots that have content, oldest first", async () => {
  const names = ["snapshot_30_31.committed", "snapshot_4_5.committed", "snapshot_6_7", "snapshot_8_9.committed=", "x"];
  await withDirectories([names], ([directory]) => {
    assert.deepEqual(listSnapshots(directory!).map(({ name }) => name.seqno), [4, 30]);
  });
});
