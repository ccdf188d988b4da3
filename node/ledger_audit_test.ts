import { strict as assert } from "node:assert";
import { join } from "node:path";
import fc from "fast-check";
import { parseChunk } from "../shared/ledger/chunk.ts";
import { UsageError } from "./commands/exit.ts";
import { ledgerDirectory } from "../tests/services.ts";
import { teamTest } from "../tests/team_data.ts";
import { change, memberKeys, verify, withCopy } from "../tests/verify_ledger.ts";

/** First failing seqno and reason. */
type Refusal = readonly [seqno: number, reason: RegExp | string];

teamTest("ledger verify refuses every way to damage a file, and names seqno and file", async () => {
  const directory = ledgerDirectory("recorded_join");
  const keys = memberKeys(directory);
  await withCopy(directory, (copy) => {
    const file = (name: string) => join(copy, name);
    const chunk = parseChunk(Deno.readFileSync(file("ledger_12-31.committed")));
    /** Where transaction 30, a private one, lies. */
    const at = chunk.content[30 - 12]!.offset;
    const tableOffset = chunk.endOffset;
    const flip = (offset: number, bit = 0) => (bytes: Uint8Array) => {
      bytes[offset]! ^= 1 << bit;
      return bytes;
    };
    const committed = "ledger_12-31.committed";
    const truncatedMessage = /^Cannot read a complete chunk: it ends after \d+ bytes and \d+ whole entries$/;
    const byTag = "The entry was changed, or is not sealed with the ledger secret";
    // What is sealed shows in the entry to who has the keys, and at the next signature to everybody.
    const sealed: [Refusal, Refusal] = [[30, byTag], [31, /^The transactions before lead to root/]];
    const cases: [string, string, (bytes: Uint8Array) => Uint8Array, Refusal, Refusal?][] = [
      ["the version", committed, flip(at), [30, "Cannot read a ledger entry: its format version is 0"]],
      ["a flag that ends the file", committed, flip(at + 1), [
        30,
        "The transaction ends its file, and is no signature",
      ]],
      ["a flag nobody knows", committed, flip(at + 1, 4), [30, "Cannot read a ledger entry: its flags are 0x10"]],
      ["the size", committed, flip(at + 2), [30, byTag], [31, /^Cannot read a ledger entry/]],
      ["the GCM tag", committed, flip(at + 8), ...sealed],
      ["the seqno in the IV", committed, flip(at + 24), [30, /its IV says seqno 31, its public domain 30/]],
      ["the view in the IV", committed, flip(at + 32, 1), [30, /^The entry is transaction 0.30/]],
      ["the bit of snapshots", committed, flip(at + 35, 7), [30, /its IV is that of a snapshot/]],
      ["the length of the public domain", committed, flip(at + 36), [30, /./]],
      ["the type", committed, flip(at + 44), [30, /type/]],
      ["the seqno in the public domain", committed, flip(at + 45), [30, /its public domain 31/]],
      ["the claims digest", committed, flip(at + 53), ...sealed],
      ["the commit evidence digest", committed, flip(at + 85), ...sealed],
      ["the conflict version", committed, flip(at + 117), [30, "The entry has conflict version 1, not 0"]],
      ["the private domain", committed, flip(at + 125), ...sealed],
      ["the last byte of an entry", committed, flip(at + chunk.content[18]!.bytes.length - 1), ...sealed],
      ["the offset of the positions table", committed, flip(0), [
        32,
        "Cannot read a ledger entry: its format version is 8",
      ]],
      ["the positions table", committed, flip(tableOffset), [
        32,
        /^Cannot read the positions table of a chunk: entry 0/,
      ]],
      ["the whole offset", committed, (bytes) => bytes.fill(0, 0, 8), [32, /./]],
      ["the end of a committed file", committed, (bytes) => bytes.subarray(0, -1), [32, truncatedMessage]],
      ["half a committed file", committed, (bytes) => bytes.subarray(0, at + 10), [30, truncatedMessage]],
      ["all but the start of a committed file", committed, (bytes) => bytes.subarray(0, 5), [12, /./]],
      ["all of a committed file", committed, () => new Uint8Array(), [12, /./]],
      ["more behind a committed file", committed, (bytes) => Uint8Array.of(...bytes, 0), [
        32,
        /^Cannot read a chunk: bytes follow its positions table at byte \d+$/,
      ]],
      ["more behind an open file", "ledger_32", (bytes) => Uint8Array.of(...bytes, 0, 0, 0, 0, 0, 0, 0, 0), [
        48,
        "Cannot read a ledger entry: its format version is 0",
      ]],
      ["a table that signatures cover", "ledger_1-2.committed", flip(30_000), [1, byTag], [
        2,
        /^The transactions before/,
      ]],
      ["a signature", "ledger_3-11.committed", flip(chunkEntryAt(file("ledger_3-11.committed"), 9 - 3) + 1000), [
        9,
        /./,
      ]],
    ];
    for (const [what, name, damage, withKeys, publicly = withKeys] of cases) {
      const restore = change(file(name), damage);
      for (const [memberKey, [seqno, reason]] of [[keys, withKeys], [[], publicly]] as const) {
        if (memberKey.length === 0 && publicly === withKeys) continue;
        const report = verify([copy], { memberKey });
        const place = `${what} ${memberKey.length > 0 ? "with keys" : ""}`;
        assert.deepEqual([place, report.code, report.first_failing_seqno], [place, 1, seqno], report.reason!);
        if (typeof reason === "string") assert.equal(report.reason, reason, place);
        else assert.ok(reason.test(report.reason!), `${place}: ${report.reason}`);
        assert.equal(report.file, file(name), place);
        assert.equal(Number(report.last?.split(".")[1] ?? 0), seqno - 1, place);
      }
      restore();
    }
    assert.equal(verify([copy], { memberKey: keys }).code, 0);
  });
});

teamTest("ledger verify refuses committed files with any bit changed, or cut anywhere", async () => {
  const directory = ledgerDirectory("recorded_nodes/node0");
  const names = ["ledger_1-2.committed", "ledger_3-9.committed", "ledger_10-11.committed", "ledger_34-44.committed"];
  await withCopy(directory, (copy) => {
    const damage = fc.record({ name: fc.constantFrom(...names), place: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(damage, fc.nat({ max: 7 }), fc.boolean(), ({ name, place }, bit, isCut) => {
        const path = join(copy, name);
        const restore = change(path, (bytes) => {
          const at = Math.min(bytes.length - 1, Math.floor(place * bytes.length));
          if (isCut) return bytes.subarray(0, at);
          bytes[at]! ^= 1 << bit;
          return bytes;
        });
        const { code, reason, first_failing_seqno } = verify([copy]);
        restore();
        assert.ok(code === 1 && reason !== null && first_failing_seqno !== null);
      }),
      { numRuns: 20 },
    );
  });
});

function chunkEntryAt(path: string, index: number): number {
  return parseChunk(Deno.readFileSync(path)).content[index]!.offset;
}

teamTest("ledger verify warns of an open file that was not written to its end, wherever that is", async () => {
  const directory = ledgerDirectory("recorded_join");
  await withCopy(directory, (copy) => {
    const path = join(copy, "ledger_32");
    const { content } = parseChunk(Deno.readFileSync(path));
    const lengths = [
      content[3]!.offset + 1,
      content[4]!.offset,
      content[4]!.offset + 7,
      content[4]!.offset + 150,
      8,
      3,
    ];
    for (const length of lengths) {
      const restore = change(path, (bytes) => bytes.subarray(0, length));
      const whole = content.filter(({ offset, bytes }) => offset + bytes.length <= length);
      const end = whole.length === 0
        ? Math.min(length, length < 8 ? 0 : 8)
        : whole.at(-1)!.offset + whole.at(-1)!.bytes.length;
      const report = verify([copy]);
      const last = 31 + whole.length;
      const lastSigned = last >= 35 ? 35 : 31;
      assert.deepEqual([length, report.code, report.last, report.last_signed, report.unsigned_tail], [
        length,
        0,
        `2.${last}`,
        `2.${lastSigned}`,
        last - lastSigned,
      ]);
      const expected = [];
      if (last > lastSigned) expected.push(`No signature covers the transactions after 2.${lastSigned}`);
      if (length > end) expected.push(`File ledger_32 ends with ${length - end} bytes that are no whole entry`);
      assert.deepEqual(report.warnings, expected);
      restore();
    }
    // A file just created is empty until something is flushed.
    Deno.writeFileSync(path, new Uint8Array());
    assert.deepEqual([verify([copy]).last, verify([copy]).warnings], ["2.31", []]);
  });
});

teamTest("ledger verify notices files that are missing, swapped, doubled or named otherwise", async () => {
  const directory = ledgerDirectory("recorded_join");
  await withCopy(directory, (copy) => {
    const file = (name: string) => join(copy, name);
    const check = (seqno: number, reason: string | RegExp, directories: readonly string[] = [copy]) => {
      const report = verify(directories);
      assert.deepEqual([report.code, report.first_failing_seqno], [1, seqno], report.reason!);
      if (typeof reason === "string") assert.equal(report.reason, reason);
      else assert.match(report.reason!, reason);
    };

    Deno.renameSync(file("ledger_3-11.committed"), file("away"));
    check(
      3,
      "Transactions 3 to 11 are missing: ledger_12-31.committed follows ledger_1-2.committed; add the directory that has them",
    );
    assert.equal(verify([copy, directory.ledger]).code, 0);

    Deno.renameSync(file("ledger_12-31.committed"), file("ledger_3-11.committed"));
    Deno.renameSync(file("away"), file("ledger_12-31.committed"));
    check(3, "The entry is transaction 2.12, and the one before is 2");

    Deno.renameSync(file("ledger_3-11.committed"), file("away"));
    Deno.renameSync(file("ledger_12-31.committed"), file("ledger_3-11.committed"));
    Deno.renameSync(file("away"), file("ledger_12-31.committed"));
    assert.equal(verify([copy]).code, 0);

    Deno.renameSync(file("ledger_12-31.committed"), file("ledger_12-30.committed"));
    check(32, /^File ledger_12-30\.committed has 20 entries, not 19$/);
    Deno.renameSync(file("ledger_12-30.committed"), file("ledger_12-31.committed"));

    // Two ways to cut the same transactions into files.
    Deno.copyFileSync(file("ledger_3-11.committed"), file("ledger_5-13.committed"));
    check(
      5,
      /ledger_3-11\.committed and .*ledger_5-13\.committed overlap, and are cut in different places; keep the files of one node/,
    );
    Deno.removeSync(file("ledger_5-13.committed"));

    // What nodes rename away or never read is nobody's concern.
    for (const name of ["ledger_1-2.committed.ignored", "ledger_3-11.ignored", "ledger_01", "notes.txt"]) {
      Deno.writeTextFileSync(file(name), "nothing");
    }
    Deno.mkdirSync(file("ledger_48"));
    assert.deepEqual([verify([copy]).code, verify([copy]).warnings], [0, []]);
  });
});

teamTest(
  "ledger verify compares copies in other directories, and leaves open files aside that are committed",
  async () => {
    const orphans = ledgerDirectory("recorded_orphans/dead_primary");
    const winner = ledgerDirectory("recorded_orphans/new_primary").ledger;
    assert.equal(verify([winner, ledgerDirectory("recorded_orphans/joiner").ledger]).code, 0);
    // The dead primary's own tail gives way to what was committed without it.
    const report = verify([orphans.ledger, winner]);
    assert.deepEqual([report.code, report.last], [0, "3.69"]);
    assert.deepEqual(
      report.warnings,
      ["ledger_45", "ledger_48", "ledger_54"].map((name) =>
        `${join(orphans.ledger, name)} was left aside: ${
          join(
            winner,
            name === "ledger_45" || name === "ledger_48" ? "ledger_45-49.committed" : "ledger_50-55.committed",
          )
        } is committed and has its transactions, though not the same from ${name.slice(7)} on`
      ),
    );

    await withCopy(ledgerDirectory("recorded_orphans/new_primary"), (copy) => {
      const path = join(copy, "ledger_50-55.committed");
      const { content } = parseChunk(Deno.readFileSync(path));
      change(path, (bytes) => {
        bytes[content[2]!.offset + 60]! ^= 1;
        return bytes;
      });
      const conflict = verify([winner, copy]);
      assert.deepEqual([conflict.code, conflict.first_failing_seqno], [1, 52]);
      assert.equal(
        conflict.reason,
        `${
          join(winner, "ledger_50-55.committed")
        } and ${path} differ from transaction 52 on; verify the directories one ` +
          "at a time to see which one holds",
      );
    });
  },
);

teamTest("ledger verify reads the files of a recovery that is under way", async () => {
  await withCopy(ledgerDirectory("recorded_recovery_shares"), (copy) => {
    const rename = (from: string, to: string) => Deno.renameSync(join(copy, from), join(copy, to));
    for (const name of ["ledger_82-90.committed", "ledger_91"]) Deno.removeSync(join(copy, name));
    for (const name of ["ledger_60-61.committed", "ledger_62-72.committed"]) rename(name, `${name}.recovery`);
    rename("ledger_73-81.committed", "ledger_73.recovery");
    assert.deepEqual([verify([copy]).code, verify([copy]).last], [0, "4.81"]);
    // Of the directories that are only read, such files do not count.
    const other = verify([ledgerDirectory("recorded_recovery_shares/before_recovery").ledger, copy], { lenient: true });
    assert.deepEqual([other.code, other.last], [0, "2.59"], other.reason!);

    const keys = memberKeys(ledgerDirectory("recorded_recovery_shares"));
    Deno.removeSync(join(copy, "ledger_73.recovery"));
    assert.throws(
      () => verify([copy], { memberKey: keys }),
      new UsageError(
        "Cannot verify private tables: from transaction 60 on a recovery is under way, and its secret is not shared with " +
          "members yet; leave --member-key out",
      ),
    );
  });
});
