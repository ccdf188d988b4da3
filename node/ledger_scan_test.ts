import { strict as assert } from "node:assert";
import { join } from "node:path";
import { concat, Writer } from "../shared/bytes.ts";
import { parseChunkName, serialiseChunk } from "../shared/ledger/chunk.ts";
import { LEDGER_SCAN_BYTES } from "../shared/limits.ts";
import type { LedgerFile } from "./ledger_listing.ts";
import { firstDifference, scanFile, walkLedger } from "./ledger_scan.ts";

/** The entry of a seqno, as far as a scanner looks at it. */
function entry(seqno: number, length = 4, fill = seqno): Uint8Array {
  return concat(new Writer().u8(1).u8(0).u48(length).finish(), new Uint8Array(length).fill(fill));
}

async function inFolder(test: (write: (name: string, bytes: Uint8Array) => LedgerFile) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "quorate_scan_" });
  try {
    test((fileName, bytes) => {
      const path = join(folder, fileName);
      Deno.writeFileSync(path, bytes);
      return { path, fileName, name: parseChunkName(fileName)!, sizeBytes: bytes.length };
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const seqnos = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const entries = (first: number, last: number, changed?: number) =>
  seqnos(first, last).map((seqno) => seqno === changed ? entry(seqno, 4, 0xee) : entry(seqno));

Deno.test("scanFile() reads entries across blocks, and each byte once", async () => {
  await inFolder((write) => {
    const lengths = [10, LEDGER_SCAN_BYTES - 20, 3, 2 * LEDGER_SCAN_BYTES + 5, 1];
    const written = lengths.map((length, i) => entry(i + 1, length));
    const file = write("ledger_1-5.committed", serialiseChunk(written, true));
    let bytes = 0;
    const scan = scanFile(file, (count) => bytes += count);
    const read: Uint8Array[] = [];
    let item = scan.next();
    for (; item.done !== true; item = scan.next()) read.push(item.value.bytes.slice());
    assert.deepEqual(read.map(({ length }) => length), written.map(({ length }) => length));
    assert.ok(read.every((found, i) => found.every((byte, at) => byte === written[i]![at])));
    assert.deepEqual([item.value.complete, item.value.entries, bytes], [true, 5, file.sizeBytes]);
  });
});

Deno.test("walkLedger() tells of files, entries and ends, and of what does not follow", async () => {
  await inFolder((write) => {
    const files = [
      write("ledger_1-2.committed", serialiseChunk(entries(1, 2), true)),
      write("ledger_2", serialiseChunk(entries(2, 2), false)),
      write("ledger_3-4.committed", serialiseChunk(entries(3, 4), true).subarray(0, -1)),
      write("ledger_7-8.committed", serialiseChunk(entries(7, 8), true)),
      write("ledger_10", serialiseChunk(entries(10, 10), false)),
    ];
    const steps = [...walkLedger(files, 1)].map((step) =>
      step.kind === "entry" ? "entry" : `${step.kind} ${step.file.fileName}`
    );
    assert.deepEqual(steps, [
      "file ledger_1-2.committed",
      "entry",
      "entry",
      "end ledger_1-2.committed",
      "superseded ledger_2",
      "file ledger_3-4.committed",
      "entry",
      "entry",
      "damaged ledger_3-4.committed",
      // Behind what is damaged nobody knows what is due.
      "file ledger_7-8.committed",
      "entry",
      "entry",
      "end ledger_7-8.committed",
      "misplaced ledger_10",
      "file ledger_10",
      "entry",
      "end ledger_10",
    ]);
    const misplaced = [...walkLedger(files.slice(3), 7)].find((step) => step.kind === "misplaced");
    assert.equal(
      misplaced?.reason,
      "Transaction 9 is missing: ledger_10 follows ledger_7-8.committed; add the directory that has them",
    );
    assert.throws(
      () => [...walkLedger([{ ...files[0]!, path: "/nowhere/ledger_1-2.committed" }], 1)],
      /^UsageError: Cannot read \/nowhere\/ledger_1-2\.committed: there is no such file; a running node renames its files/,
    );
  });
});

Deno.test("firstDifference() finds where two copies part, however they are cut into files", async () => {
  await inFolder((write) => {
    const original = write("ledger_5-9.committed", serialiseChunk(entries(5, 9), true));
    const copies: [string, Uint8Array, number | undefined][] = [
      ["ledger_5-9.committed", serialiseChunk(entries(5, 9), true), undefined],
      ["ledger_5-9.committed", serialiseChunk(entries(5, 9, 7), true), 7],
      ["ledger_3-7.committed", serialiseChunk(entries(3, 7), true), undefined],
      ["ledger_3-7.committed", serialiseChunk(entries(3, 7, 4), true), undefined],
      ["ledger_3-7.committed", serialiseChunk(entries(3, 7, 5), true), 5],
      ["ledger_7-12.committed", serialiseChunk(entries(7, 12), true), undefined],
      ["ledger_7-12.committed", serialiseChunk(entries(7, 12, 9), true), 9],
      ["ledger_6-6.committed", serialiseChunk(entries(6, 6, 6), true), 6],
      ["ledger_5", serialiseChunk(entries(5, 7), false), undefined],
      ["ledger_5", serialiseChunk(entries(5, 12), false), undefined],
      ["ledger_7", serialiseChunk(entries(7, 8, 8), false), 8],
      // Not whole, or no ledger file at all.
      ["ledger_5-9.committed", serialiseChunk(entries(5, 8), true), 9],
      ["ledger_5-9.committed", serialiseChunk(entries(5, 9), true).subarray(0, 40), 5],
      ["ledger_5-9.committed", new Uint8Array(), 5],
    ];
    for (const [name, bytes, expected] of copies) {
      const copy = { ...write(`copy_${name}`, bytes), name: parseChunkName(name)! };
      assert.equal(firstDifference(original, copy), expected, `${name} of ${bytes.length} bytes`);
    }
  });
});
