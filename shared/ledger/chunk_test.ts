import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, fromHex, toHex } from "../bytes.ts";
import { ledgerDirectories, readChunkFiles } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import {
  type ChunkName,
  ChunkScanner,
  compareChunkNames,
  formatChunkName,
  parseChunk,
  parseChunkName,
  serialiseChunk,
  serialisePositions,
} from "./chunk.ts";

const OPEN: ChunkName = { first: 15, last: undefined, committed: false, recovery: false, ignored: false };

Deno.test("parseChunkName() reads every name a node writes, and formatChunkName() writes it again", () => {
  const table: [string, ChunkName][] = [
    ["ledger_15", OPEN],
    ["ledger_15-46.committed", { ...OPEN, last: 46, committed: true }],
    ["ledger_15-46", { ...OPEN, last: 46 }],
    ["ledger_15.recovery", { ...OPEN, recovery: true }],
    ["ledger_15-46.committed.recovery", { ...OPEN, last: 46, committed: true, recovery: true }],
    ["ledger_15.ignored", { ...OPEN, ignored: true }],
    ["ledger_15.recovery.ignored", { ...OPEN, recovery: true, ignored: true }],
    ["ledger_1-1.committed", { ...OPEN, first: 1, last: 1, committed: true }],
  ];
  for (const [name, parsed] of table) {
    assert.deepEqual(parseChunkName(name), parsed);
    assert.equal(formatChunkName(parsed), name);
  }
});

Deno.test("parseChunkName() knows other names apart", () => {
  const others = [
    "ledger_",
    "ledger_0",
    "ledger_01",
    "ledger_5-3.committed",
    "ledger_5.committed",
    "ledger_5-.committed",
    "ledger_5-6.recovery.committed",
    "ledger_5 ",
    "Ledger_5",
    "snapshot_5_6.committed",
    "ledger_9007199254740993",
  ];
  for (const name of others) assert.equal(parseChunkName(name), undefined, name);
});

Deno.test("compareChunkNames() orders by first seqno, and the committed file of two before the other", () => {
  const names = ["ledger_10", "ledger_2-9.committed", "ledger_2", "ledger_2.recovery", "ledger_10-11.committed"];
  const sorted = names.map((name) => parseChunkName(name)!).sort(compareChunkNames).map(formatChunkName);
  assert.deepEqual(sorted, [
    "ledger_2-9.committed",
    "ledger_2",
    "ledger_2.recovery",
    "ledger_10-11.committed",
    "ledger_10",
  ]);
});

/** An entry of `length` bytes, as far as a chunk can tell. */
function fakeEntry(length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(length);
  bytes.set([1, 0, length - 8, 0, 0, 0, 0, 0]);
  return bytes;
}

const ENTRIES = [fakeEntry(8), fakeEntry(40), fakeEntry(9), fakeEntry(200)];

function scan(bytes: Uint8Array, blockBytes: number) {
  const scanner = new ChunkScanner();
  const content = [];
  for (let at = 0; at < bytes.length; at += blockBytes) {
    for (const entry of scanner.feed(bytes.slice(at, at + blockBytes))) content.push(entry);
  }
  return { ...scanner.end(), content };
}

Deno.test("serialiseChunk() writes entries back to back from byte 8, then the positions table", () => {
  assert.equal(
    toHex(serialiseChunk([ENTRIES[0]!, ENTRIES[2]!], true)),
    "1900000000000000" + "0100000000000000" + "010001000000000009" + "0800000010000000",
  );
  assert.equal(toHex(serialiseChunk([ENTRIES[0]!], false)), "0000000000000000" + "0100000000000000");
  assert.equal(toHex(serialisePositions([8, 256])), "0800000000010000");
});

Deno.test("ChunkScanner gives the same entries whatever the blocks are", () => {
  for (const complete of [true, false]) {
    const bytes = serialiseChunk(ENTRIES, complete);
    const whole = scan(bytes, bytes.length);
    assert.deepEqual(whole.content.map((entry) => entry.offset), [8, 16, 56, 65]);
    assert.deepEqual(whole.content.map((entry) => toHex(entry.bytes)), ENTRIES.map(toHex));
    assert.equal(whole.complete, complete);
    assert.equal(whole.entries, 4);
    assert.equal(whole.endOffset, 265);
    assert.equal(whole.incompleteBytes, 0);
    for (let blockBytes = 1; blockBytes < bytes.length; blockBytes++) {
      assert.deepEqual(scan(bytes, blockBytes), whole, `blocks of ${blockBytes}`);
    }
  }
});

Deno.test("ChunkScanner reports what an interrupted write left at the end of an open chunk", () => {
  const bytes = serialiseChunk(ENTRIES, false);
  for (
    const [length, entries, endOffset] of [[264, 3, 65], [66, 3, 65], [65, 3, 65], [20, 1, 16], [8, 0, 8], [3, 0, 0], [
      0,
      0,
      0,
    ]]
  ) {
    const end = parseChunk(bytes.subarray(0, length));
    assert.deepEqual(
      [end.complete, end.entries, end.endOffset, end.incompleteBytes],
      [false, entries, endOffset, length! - endOffset!],
    );
  }
});

Deno.test("ChunkScanner refuses a complete chunk that does not fit together", () => {
  const good = serialiseChunk(ENTRIES, true);
  const changed = (offset: number, hex: string) => {
    const bytes = good.slice();
    bytes.set(fromHex(hex), offset);
    return bytes;
  };
  const table: [Uint8Array, string][] = [
    [changed(0, "04"), "Cannot read the entry at byte 65: it reaches into the positions table at byte 260"],
    [changed(0, "0700"), "Cannot read a chunk: its positions table cannot start at byte 7"],
    [changed(4, "01"), "Cannot read a chunk: its positions table cannot start at byte 4294967561"],
    [changed(0, "0801"), "Cannot read the entry at byte 65: it reaches into the positions table at byte 264"],
    [changed(8, "00"), "Cannot read a ledger entry: its format version is 0"],
    [changed(269, "11"), "Cannot read the positions table of a chunk: entry 1 is at byte 16, not 17"],
    [good.subarray(0, 280), "Cannot read a complete chunk: it ends after 280 bytes and 4 whole entries"],
    [good.subarray(0, 265), "Cannot read a complete chunk: it ends after 265 bytes and 4 whole entries"],
    [good.subarray(0, 100), "Cannot read a complete chunk: it ends after 100 bytes and 3 whole entries"],
    [concat(good, new Uint8Array(1)), "Cannot read a chunk: bytes follow its positions table at byte 265"],
    [fromHex("0800000000000000"), "Cannot read a chunk: its positions table cannot start at byte 8"],
  ];
  for (const [bytes, message] of table) {
    assert.throws(() => parseChunk(bytes), { name: "FormatError", message });
    assert.throws(() => scan(bytes, 7), { name: "FormatError", message });
  }
});

Deno.test("ChunkScanner notices every bit that changes in a complete chunk's own fields", () => {
  const good = serialiseChunk(ENTRIES, true);
  const own = [...Array(8).keys(), ...Array.from({ length: 16 }, (_, i) => 265 + i)];
  for (const offset of own) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = good.slice();
      bytes[offset]! ^= 1 << bit;
      assert.throws(() => parseChunk(bytes), FormatError, `bit ${bit} of byte ${offset}`);
    }
  }
});

Deno.test("parseChunk() of any changed chunk parses or throws FormatError", () => {
  const good = serialiseChunk(ENTRIES, true);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: good.length }),
      (changes, length) => {
        const bytes = good.slice(0, length);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        try {
          const chunk = parseChunk(bytes);
          assert.equal(chunk.content.length, chunk.entries);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      },
    ),
    { numRuns: 500 },
  );
});

teamTest("every real ledger file is taken apart and put together again byte for byte", () => {
  let files = 0;
  for (const directory of ledgerDirectories()) {
    for (const { fileName, name, bytes } of readChunkFiles(directory)) {
      assert.equal(formatChunkName(name), fileName);
      const chunk = scan(bytes, 50_000);
      const rebuilt = serialiseChunk(chunk.content.map((entry) => entry.bytes), chunk.complete);
      const whole = bytes.subarray(0, bytes.length - chunk.incompleteBytes);
      assert.equal(toHex(rebuilt.subarray(0, whole.length)), toHex(whole), `${directory.name} ${fileName}`);
      if (name.committed) assert.equal(chunk.complete && chunk.entries, name.last! - name.first + 1);
      files++;
    }
  }
  assert.ok(files >= 204, `${files} files`);
});
