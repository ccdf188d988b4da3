import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { AssertionFailed } from "../assert.ts";
import { concat, equalBytes, fromHex, toHex, toUtf8, Writer } from "../bytes.ts";
import { MAX_KEY_BYTES, MAX_TABLE_NAME_CHARACTERS, MAX_VALUE_BYTES } from "../limits.ts";
import { compareUtf8 } from "../utf8_order.ts";
import {
  parseTables,
  serialisedLength,
  serialiseTables,
  serialiseTablesInto,
  type TableWrites,
  type WriteSetDeviation,
} from "./write_set.ts";

/** TxID 2.24 of double_sealed_service, as ledger-and-receipts.md §3.6 prints it. */
const PUBLISHED = "0e00000000000000" + "7075626c69633a7265636f726473" + "0000000000000000" + "0000000000000000" +
  "0100000000000000" + "0200000000000000" + "3432" + "2800000000000000" +
  "22556e696e746572657374696e67207265636f76657261626c65207472616e73616374696f6e7322" + "0000000000000000";

/** One table, each part as given: for what `serialiseTables` would not write. */
interface Raw {
  name: string;
  readVersion?: number;
  reads?: readonly string[];
  writes?: readonly string[];
  removes?: readonly string[];
}

function serialiseRaw(...tables: readonly Raw[]): Uint8Array {
  const out = new Writer();
  for (const { name, readVersion = 0, reads = [], writes = [], removes = [] } of tables) {
    out.lengthPrefixed(toUtf8(name)).u64(readVersion).u64(reads.length);
    for (const key of reads) out.lengthPrefixed(toUtf8(key)).u64(1);
    out.u64(writes.length);
    for (const key of writes) out.lengthPrefixed(toUtf8(key)).lengthPrefixed(toUtf8(`value of ${key}`));
    out.u64(removes.length);
    for (const key of removes) out.lengthPrefixed(toUtf8(key));
  }
  return out.finish().slice();
}

const byteStrings = fc.string({ unit: fc.nat({ max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 12 });
const names = fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => !/^(public:|ccf\.)/.test(name));

const tables: fc.Arbitrary<TableWrites[]> = fc.uniqueArray(
  fc.record({
    name: names,
    keys: fc.uniqueArray(byteStrings, { minLength: 1, maxLength: 8 }),
    values: fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constant(undefined)), {
      minLength: 8,
      maxLength: 8,
    }),
  }),
  { selector: ({ name }) => name, maxLength: 5 },
).map((drawn) =>
  drawn.map(({ name, keys, values }) => {
    const changes = keys.sort().map((key, i) => [key, values[i]] as const);
    return {
      name,
      writes: changes.flatMap(([key, value]) => value === undefined ? [] : [[key, value] as const]),
      removes: changes.flatMap(([key, value]) => value === undefined ? [key] : []),
    };
  }).sort((a, b) => compareUtf8(a.name, b.name))
);

Deno.test("parseTables() and serialiseTables() agree on the published example", () => {
  const tables: TableWrites[] = [{
    name: "public:records",
    writes: [["42", toUtf8('"Uninteresting recoverable transactions"')]],
    removes: [],
  }];
  assert.equal(toHex(serialiseTables(tables)), PUBLISHED);
  assert.deepEqual(parseTables(fromHex(PUBLISHED), "public"), tables);
});

Deno.test("serialiseTables() writes nothing for no tables, and parseTables() reads nothing from nothing", () => {
  assert.equal(serialiseTables([]).length, 0);
  assert.deepEqual(parseTables(new Uint8Array(0), "public"), []);
});

Deno.test("parseTables() reads what serialiseTables() writes", () => {
  fc.assert(fc.property(tables, (tables) => {
    const bytes = serialiseTables(tables);
    assert.equal(bytes.length, serialisedLength(tables));
    assert.deepEqual(parseTables(bytes, "private"), tables);
  }));
});

Deno.test("serialiseTablesInto() writes into used bytes, between others, and says where it ended", () => {
  const target = new Uint8Array(200).fill(0xaa);
  const tables = parseTables(fromHex(PUBLISHED), "public");
  const end = serialiseTablesInto(target, 10, tables);
  assert.equal(toHex(target.subarray(10, end)), PUBLISHED);
  assert.ok(
    target.subarray(0, 10).every((byte) => byte === 0xaa) && target.subarray(end).every((byte) => byte === 0xaa),
  );
});

Deno.test("parseTables() answers values as views, so that nothing is copied", () => {
  const bytes = fromHex(PUBLISHED);
  const [[, value]] = parseTables(bytes, "public")[0]!.writes as [[string, Uint8Array]];
  assert.equal(value.buffer, bytes.buffer);
});

Deno.test("serialiseTables() asserts the order and the content that a write set promises", () => {
  const table = (name: string, writes: string[], removes: string[]): TableWrites => ({
    name,
    writes: writes.map((key) => [key, new Uint8Array(0)]),
    removes,
  });
  const wrong: readonly (readonly TableWrites[])[] = [
    [table("b", ["k"], []), table("a", ["k"], [])],
    [table("a", ["k"], []), table("a", ["l"], [])],
    [table("a", [], [])],
    [table("a", ["l", "k"], [])],
    [table("a", ["k", "k"], [])],
    [table("a", [], ["l", "k"])],
  ];
  for (const tables of wrong) assert.throws(() => serialiseTables(tables), AssertionFailed);
});

/** What strict reading refuses and lenient reading reports. */
const DEVIATIONS: readonly (readonly [Uint8Array, WriteSetDeviation])[] = [
  [serialiseRaw({ name: "t", readVersion: 7, writes: ["k"] }), { table: "t", rule: "its read version is not 0" }],
  [serialiseRaw({ name: "t", reads: ["r", "q"], writes: ["k"] }), { table: "t", rule: "it has recorded reads" }],
  [serialiseRaw({ name: "t" }), { table: "t", rule: "it has no changes" }],
  [serialiseRaw({ name: "t", writes: ["l", "k"] }), { table: "t", rule: "its keys are not in ascending order" }],
  [serialiseRaw({ name: "t", removes: ["l", "k"] }), { table: "t", rule: "its keys are not in ascending order" }],
  [
    serialiseRaw({ name: "u", writes: ["k"] }, { name: "t", writes: ["k"] }),
    { table: "t", rule: "it comes behind a table with a greater name" },
  ],
  [
    serialiseRaw({ name: "public:t", writes: ["k"] }),
    { table: "public:t", rule: "it stands in the wrong security domain" },
  ],
  [serialiseRaw({ name: "ccf.t", writes: ["k"] }), { table: "ccf.t", rule: "its name is reserved" }],
];

Deno.test("parseTables() refuses what current writers never write", () => {
  for (const [bytes, { table, rule }] of DEVIATIONS) {
    assert.throws(() => parseTables(bytes, "private"), {
      name: "FormatError",
      message: `Cannot read the changes to table "${table}": ${rule}`,
    });
  }
});

Deno.test("parseTables() reports it instead where that is wished, and puts it in order", () => {
  for (const [bytes, deviation] of DEVIATIONS) {
    const seen: WriteSetDeviation[] = [];
    const tables = parseTables(bytes, "private", (deviation) => seen.push(deviation));
    assert.deepEqual(seen, [deviation]);
    if (deviation.rule !== "it has no changes") serialiseTables(tables); // which asserts order
    for (const { writes } of tables) {
      for (const [key, value] of writes) assert.deepEqual(value, toUtf8(`value of ${key}`));
    }
  }
});

Deno.test("parseTables() refuses what is ambiguous, however lenient", () => {
  const table: readonly (readonly [Uint8Array, string])[] = [
    [serialiseRaw({ name: "t", writes: ["k"] }, { name: "t", writes: ["l"] }), "it is listed twice"],
    [
      serialiseRaw({ name: "t", writes: ["k"] }, { name: "s", writes: ["l"] }, { name: "t", writes: ["l"] }),
      "it is listed twice",
    ],
    [serialiseRaw({ name: "t", writes: ["k", "k"] }), "a key is listed twice"],
    [serialiseRaw({ name: "t", writes: ["k", "l", "k"] }), "a key is listed twice"],
    [serialiseRaw({ name: "t", removes: ["k", "k"] }), "a key is listed twice"],
    [serialiseRaw({ name: "t", removes: ["k", "j", "k"] }), "a key is listed twice"],
    [serialiseRaw({ name: "t", writes: ["a", "k"], removes: ["b", "k"] }), "a key is listed twice"],
    [
      serialiseTables([{ name: "t", writes: [["k", new Uint8Array(MAX_VALUE_BYTES + 1)]], removes: [] }]),
      "a value of 67108865 bytes is too large",
    ],
    [serialiseRaw({ name: "t", writes: ["k".repeat(MAX_KEY_BYTES + 1)] }), "a key of 1048577 bytes is too large"],
  ];
  for (const [bytes, problem] of table) {
    assert.throws(() => parseTables(bytes, "private", () => {}), {
      name: "FormatError",
      message: `Cannot read the changes to table "t": ${problem}`,
    });
  }
});

Deno.test("parseTables() tells a table listed twice from one out of order", () => {
  assert.throws(
    () => parseTables(serialiseRaw({ name: "t", writes: ["k"] }, { name: "t", writes: ["l"] }), "private"),
    {
      message: 'Cannot read the changes to table "t": it is listed twice',
    },
  );
});

Deno.test("parseTables() refuses names that are too long or no text", () => {
  const name = "x".repeat(MAX_TABLE_NAME_CHARACTERS + 1);
  assert.throws(() => parseTables(serialiseRaw({ name, writes: ["k"] }), "private"), {
    name: "FormatError",
    message: "Cannot use a table name of 1025 characters: at most 1024",
  });
  const bytes = serialiseRaw({ name: "t", writes: ["k"] });
  bytes[8] = 0xff;
  assert.throws(() => parseTables(bytes, "private"), {
    name: "FormatError",
    message: "Cannot read 1 bytes as text: they are not UTF-8",
  });
});

Deno.test("parseTables() and serialiseTables() count beyond one and two bytes", () => {
  const writes = Array.from({ length: 300 }, (_, i) => [String(i).padStart(3, "0"), Uint8Array.of(i)] as const);
  const tables = [{
    name: "t",
    writes: [...writes, ["x".repeat(70_000), new Uint8Array(70_001)] as const],
    removes: [],
  }];
  assert.deepEqual(parseTables(serialiseTables(tables), "private"), tables);
});

Deno.test("parseTables() refuses bytes that end too early, or counts that lie", () => {
  const bytes = fromHex(PUBLISHED);
  for (let length = 1; length < bytes.length; length++) {
    assert.throws(() => parseTables(bytes.subarray(0, length), "public"), { name: "FormatError" });
  }
  const huge = bytes.slice();
  huge.fill(0xff, 38, 44); // the write count: 2^48 - 1
  assert.throws(() => parseTables(huge, "public"), { name: "FormatError" });
  assert.throws(() => parseTables(concat(bytes, Uint8Array.of(0)), "public"), {
    message: "Cannot read 8 bytes at byte 112: only 1 are left",
  });
});

Deno.test("parseTables() of changed bytes throws FormatError, or reads what writes back the same", () => {
  const samples = [
    fromHex(PUBLISHED),
    serialiseTables([
      { name: "a", writes: [["\0", new Uint8Array(3)], ["\xff", new Uint8Array(0)]], removes: ["", "b"] },
      { name: "é💛", writes: [["k", new Uint8Array(3)]], removes: [] },
    ]),
  ];
  for (const domain of ["public", "private"] as const) {
    fuzzDecoder(
      mutated(...samples),
      (bytes) => parseTables(bytes, domain),
      (tables, bytes) => assert.ok(equalBytes(serialiseTables(tables), bytes)),
    );
  }
  fuzzDecoder(
    mutated(...samples),
    (bytes) => parseTables(bytes, "private", () => {}),
    (tables) => serialiseTables(tables.filter(({ writes, removes }) => writes.length + removes.length > 0)),
  );
});
