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

teamTest("a slice of a real ledger is a ledger file", () => {
  const entries = [...readEntries(ledgerDirectories()[0]!)].slice(2, 8);
  const { name, bytes } = ledgerSlice(3, entries);
  assert.equal(name, "ledger_3-8.committed");
  const { content, complete } = parseChunk(bytes);
  assert.equal(complete, true);
  assert.deepEqual(content.map((entry) => entry.bytes.length), entries.map((entry) => entry.length));
});
