import { strict as assert } from "node:assert";
import { noblePrimitives as primitives } from "../../crypto/primitives.ts";
import { LedgerForge } from "../../../tests/ledger_forge.ts";
import { verifyLedger } from "../../../tests/replay_directory.ts";
import { formatChunkName, parseChunkName, serialiseChunk } from "../chunk.ts";
import { FORCE_CHUNK_AFTER } from "../entry.ts";

/** Three files: 1–2 with a flag at its end, 3–4 with another, 5 open; then what `edit` makes of their parts. */
interface Part {
  name: string;
  entries: Uint8Array[];
  complete: boolean;
  cut?: number;
}

function threeFiles(flags: [number, number] = [FORCE_CHUNK_AFTER, FORCE_CHUNK_AFTER]): Part[] {
  const forge = new LedgerForge(primitives);
  forge.write(forge.genesisChanges());
  forge.sign({ flags: flags[0] });
  forge.write({ records: { a: "b" } });
  forge.sign({ flags: flags[1] });
  forge.write({ records: { a: "c" } });
  const { entries } = forge;
  return [
    { name: "ledger_1-2.committed", entries: entries.slice(0, 2), complete: true },
    { name: "ledger_3-4.committed", entries: entries.slice(2, 4), complete: true },
    { name: "ledger_5", entries: entries.slice(4), complete: false },
  ];
}

function findingsOf(parts: readonly Part[], mode: "strict" | "lenient" = "strict"): string[] {
  const chunks = parts.map(({ name, entries, complete, cut = 0 }) => {
    const bytes = serialiseChunk(entries, complete);
    return { fileName: name, name: parseChunkName(name)!, bytes: bytes.subarray(0, bytes.length - cut) };
  });
  for (const { fileName, name } of chunks) assert.equal(formatChunkName(name), fileName);
  return verifyLedger(primitives, mode, { chunks, snapshots: [] }).findings
    .map(({ kind, seqno, reason }) => `${kind} ${seqno}: ${reason}`);
}

const UNSIGNED = "warning 5: No signature covers the transactions after 2.4";

Deno.test("a replay accepts files that begin and end where flags say, and warns of what is left open", () => {
  assert.deepEqual(findingsOf(threeFiles()), [UNSIGNED]);
  const interrupted = threeFiles();
  interrupted[2]!.cut = 10;
  assert.deepEqual(findingsOf(interrupted), [
    `warning 4: File ledger_5 ends with ${interrupted[2]!.entries[0]!.length - 10} bytes that are no whole entry`,
  ]);
});

Deno.test("a replay refuses files that do not fit together", () => {
  const table: [expected: string, edit: (parts: Part[]) => Part[]][] = [
    ["failure 3: File ledger_5 does not follow: the next transaction is 3", ([a, , c]) => [a!, c!]],
    ["failure 1: File ledger_3-4.committed does not follow: the next transaction is 1", ([, b]) => [b!]],
    ["failure 2: File ledger_1-2.committed is committed, and not complete", ([a]) => [{ ...a!, complete: false }]],
    ["failure 2: File ledger_1-3.committed has 2 entries, not 3", ([a]) => [{ ...a!, name: "ledger_1-3.committed" }]],
    ["failure 5: File ledger_5 does not end with a signature", ([a, b, c]) => [a!, b!, { ...c!, complete: true }]],
    ["failure 3: File ledger_1 ends within an entry, and another file follows it", ([a, b]) => [
      { name: "ledger_1", entries: [...a!.entries, b!.entries[0]!], complete: false, cut: 9 },
      b!,
    ]],
    ["failure 3: File ledger_1 was never completed, and ledger_3-4.committed follows it", ([a, b]) => [
      { ...a!, name: "ledger_1", complete: false },
      b!,
    ]],
    ["failure 3: File ledger_1-4.committed goes on where an entry says it ends", ([a, b]) => [
      { name: "ledger_1-4.committed", entries: [...a!.entries, ...b!.entries], complete: true },
    ]],
  ];
  for (const [expected, edit] of table) {
    const found = findingsOf(edit(threeFiles()));
    assert.equal(found.at(-1), expected);
  }
  assert.deepEqual(findingsOf(threeFiles([0, 0])), [
    "failure 3: File ledger_1-2.committed ends where no entry says so",
  ]);
});

Deno.test("a lenient replay lists boundaries that no flag announces", () => {
  assert.deepEqual(findingsOf(threeFiles([0, 0]), "lenient"), [
    "deviation 3: File ledger_1-2.committed ends where no entry says so",
    "deviation 5: File ledger_3-4.committed ends where no entry says so",
    UNSIGNED,
  ]);
});
