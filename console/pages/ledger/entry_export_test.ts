import { strict as assert } from "node:assert";
import { parseChunk } from "../../../shared/ledger/chunk.ts";
import type { EntryRow } from "../../ledger/protocol.ts";
import { ledgerDirectories, readEntries } from "../../../tests/services.ts";
import { teamTest } from "../../../tests/team_data.ts";
import { ledgerSlice, rowsFile } from "./entry_export.ts";

const row: EntryRow = {
  seqno: 15,
  txId: "2.15",
  kind: "user",
  sizeBytes: 300,
  tables: ["public:a,b", 'public:"c"'],
  hasPrivate: true,
  hasClaims: false,
  proof: "verified",
  timeMs: Date.UTC(2026, 10, 1),
};

Deno.test("rows as CSV have a heading, quoted fields and UTC times", () => {
  assert.equal(
    rowsFile([row], "csv").text,
    "seqno,txId,kind,sizeBytes,tables,hasPrivate,hasClaims,proof,time\r\n" +
      '15,2.15,user,300,"public:a,b public:""c""",true,false,verified,2026-11-01T00:00:00.000Z\r\n',
  );
});

Deno.test("a table's name is no formula for whoever opens the file", () => {
  const { text } = rowsFile([{ ...row, tables: ["=HYPERLINK(1)"] }], "csv");
  assert.match(text, /,'=HYPERLINK\(1\),/);
});

Deno.test("rows as JSON and as lines of JSON are the same rows", () => {
  const all = JSON.parse(rowsFile([row, row], "json").text);
  const lines = rowsFile([row, row], "ndjson").text.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines, all);
  assert.equal(all[0].time, "2026-11-01T00:00:00.000Z");
});

teamTest("a slice of a real ledger is ledger files, which end where the ledger's own files end", () => {
  const directory = ledgerDirectories().find(({ name }) => name.includes("double_sealed"))!;
  const all = [...readEntries(directory)].slice(0, 50);
  const files = ledgerSlice(1, all);
  // The files of that service: 1-2, 3-16, 17-19, 20-21, 22-43, 44-64; some were cut for their size alone.
  const own = new Set([2, 16, 19, 21, 43, 50]);
  let next = 1;
  for (const { name, bytes } of files) {
    const { content, complete } = parseChunk(bytes);
    const last = next + content.length - 1;
    assert.equal(name, last === 50 ? `ledger_${next}` : `ledger_${next}-${last}.committed`);
    assert.equal(complete, last !== 50, "what follows the last end is an open file");
    assert.ok(own.has(last), `${last}`);
    content.forEach((entry, i) => assert.deepEqual(entry.bytes, all[next - 1 + i]));
    next = last + 1;
  }
  assert.equal(next, 51);
  assert.ok(files.length > 1);
});
