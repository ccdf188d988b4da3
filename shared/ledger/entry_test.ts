import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { concat, fromHex, toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { NO_CLAIMS } from "../merkle/leaf.ts";
import {
  entryBytes,
  entryFlags,
  EntryType,
  FORCE_CHUNK_AFTER,
  LedgerEntry,
  sealEntry,
  splitEntries,
  splitEntriesUpTo,
} from "./entry.ts";
import { LedgerSecret } from "./secrets.ts";

const ZERO8 = "00".repeat(8);

// ledger-and-receipts.md §3.6: TxID 2.24 of a real ledger, without private tables.
const PUBLIC_KEY = fromHex("0247b5e43538db6bfa1c76ea8561c09d47533c40a71c8cd38f0bdf28dbeea840");
const PUBLIC_ENTRY = fromHex(
  "0100e50000000000" + "917c08b6ebfa01165104343842b5c121" + "180000000000000002000000" + "c100000000000000" +
    "04" + "1800000000000000" + "00".repeat(32) +
    "61600e517ab2e422548ecc4a2c8b4a081ad88eb143ba3d76406ec641e96f558c" + ZERO8 +
    "0e00000000000000" + "7075626c69633a7265636f726473" + ZERO8 + ZERO8 + "0100000000000000" +
    "0200000000000000" + "3432" + "2800000000000000" +
    "22556e696e746572657374696e67207265636f76657261626c65207472616e73616374696f6e7322" + ZERO8,
);

// ledger-and-receipts.md §3.7: TxID 2.17 of another one, with private tables only.
const PRIVATE_KEY = fromHex("d917951c0773a06148d2ff5bf0c984d075fdceb601255157ac004bb53b351079");
const PRIVATE_ENTRY = fromHex(
  "0100bb0000000000" + "67b30d330439b435fcd37fd402addd90" + "110000000000000002000000" + "5100000000000000" +
    "04" + "1100000000000000" + "00".repeat(32) +
    "266ee6ffc4bd003458c67798796e06e07ee60c105c3fddeabdf831dca3572b78" + ZERO8 +
    "d0575ea51389082b5384f1a6d6687dd5c47fd010e7f45e60cde4ec13609ff144981837ad3823855b1e8fd3e453b907752957c335e40c659d7b3270fe87db64f87cdb12b232c1",
);

Deno.test("LedgerEntry.parse() reads the worked public example", () => {
  const entry = LedgerEntry.parse(PUBLIC_ENTRY);
  assert.equal(entryBytes(PUBLIC_ENTRY.subarray(0, 8)), 237);
  assert.deepEqual(entry.txId, { view: 2, seqno: 24 });
  assert.equal(entry.flags, 0);
  assert.equal(entry.type, EntryType.evidenceAndClaims);
  assert.equal(entry.maxConflictVersion, 0);
  assert.equal(toHex(entry.claimsDigest!), "00".repeat(32));
  assert.equal(
    toHex(entry.commitEvidenceDigest!),
    "61600e517ab2e422548ecc4a2c8b4a081ad88eb143ba3d76406ec641e96f558c",
  );
  assert.deepEqual(entry.publicTables(), [{
    name: "public:records",
    writes: [["42", toUtf8('"Uninteresting recoverable transactions"')]],
    removes: [],
  }]);
  assert.equal(entry.hasPrivateTables, false);
  assert.equal(
    toHex(entry.writeSetDigest(primitives)),
    "b005d0086e9890db740d293ffc2cdc2814c629737556496d4b47f230c94ab1f7",
  );
  assert.equal(toHex(entry.leaf(primitives)), "f249870a952fc525d106236fca7f750f77c0d23933ef448677373e7b75db50c8");
});

Deno.test("LedgerEntry.privateTables() opens the worked private example", () => {
  const entry = LedgerEntry.parse(PRIVATE_ENTRY);
  assert.deepEqual(entry.publicTables(), []);
  assert.equal(entry.hasPrivateTables, true);
  assert.deepEqual(entry.privateTables(primitives, PRIVATE_KEY), [
    { name: "records", writes: [["42", toUtf8("hello")]], removes: [] },
  ]);
});

Deno.test("LedgerEntry.privateTables() checks the tag also where there is nothing private", () => {
  assert.deepEqual(LedgerEntry.parse(PUBLIC_ENTRY).privateTables(primitives, PUBLIC_KEY), []);
  assert.equal(LedgerEntry.parse(PUBLIC_ENTRY).privateTables(primitives, PRIVATE_KEY), undefined);
  const changed = PUBLIC_ENTRY.slice();
  changed[220]! ^= 1; // one letter of the public value
  assert.equal(LedgerEntry.parse(changed).privateTables(primitives, PUBLIC_KEY), undefined);
});

Deno.test("sealEntry() writes both worked examples byte for byte", () => {
  for (const [bytes, key] of [[PUBLIC_ENTRY, PUBLIC_KEY], [PRIVATE_ENTRY, PRIVATE_KEY]] as const) {
    const entry = LedgerEntry.parse(bytes);
    const sealed = sealEntry(primitives, key, {
      txId: entry.txId,
      flags: 0,
      claimsDigest: NO_CLAIMS,
      commitEvidenceDigest: new LedgerSecret(primitives, key).commitEvidenceDigest(entry.txId),
      writeSet: { publicTables: entry.publicTables(), privateTables: entry.privateTables(primitives, key)! },
    });
    assert.equal(toHex(sealed), toHex(bytes));
  }
});

Deno.test("sealEntry() keeps flags and claims, which LedgerEntry.parse() gives back", () => {
  const claimsDigest = new Uint8Array(32).fill(7);
  const commitEvidenceDigest = new Uint8Array(32).fill(8);
  const publicTables = [{ name: "public:t", writes: [["", new Uint8Array(0)] as const], removes: ["a", "\xff"] }];
  const bytes = sealEntry(primitives, PUBLIC_KEY, {
    txId: { view: 0x7fffffff, seqno: 2 ** 40 + 5 },
    flags: FORCE_CHUNK_AFTER,
    claimsDigest,
    commitEvidenceDigest,
    writeSet: { publicTables, privateTables: [] },
  });
  const entry = LedgerEntry.parse(bytes);
  assert.deepEqual(entry.txId, { view: 0x7fffffff, seqno: 2 ** 40 + 5 });
  assert.equal(entry.flags, FORCE_CHUNK_AFTER);
  assert.deepEqual(entry.claimsDigest, claimsDigest);
  assert.deepEqual(entry.commitEvidenceDigest, commitEvidenceDigest);
  assert.deepEqual(entry.publicTables(), publicTables);
  assert.deepEqual(entry.privateTables(primitives, PUBLIC_KEY), []);
});

Deno.test("sealEntry() refuses a transaction that wrote nothing", () => {
  const content = {
    txId: { view: 2, seqno: 1 },
    flags: 0,
    claimsDigest: NO_CLAIMS,
    commitEvidenceDigest: NO_CLAIMS,
    writeSet: { publicTables: [], privateTables: [] },
  };
  assert.throws(() => sealEntry(primitives, PUBLIC_KEY, content), /A transaction that wrote nothing has no entry/);
});

/** The public example with some bytes replaced. */
function changedAt(offset: number, hex: string): Uint8Array {
  const bytes = PUBLIC_ENTRY.slice();
  bytes.set(fromHex(hex), offset);
  return bytes;
}

Deno.test("LedgerEntry.parse() refuses what is not an entry", () => {
  const table: [Uint8Array, string][] = [
    [new Uint8Array(0), "Cannot read 1 bytes at byte 0: only 0 are left"],
    [changedAt(0, "02"), "Cannot read a ledger entry: its format version is 2"],
    [changedAt(1, "04"), "Cannot read a ledger entry: its flags are 0x4"],
    [changedAt(2, "e6"), "Cannot read a ledger entry: its header says 238 bytes, and there are 237"],
    [changedAt(2, "ffffffffffff"), "Cannot read a ledger entry of 281474976710663 bytes: at most 268435456"],
    [changedAt(24, "19"), "Cannot read a ledger entry: its IV says seqno 25, its public domain 24"],
    [changedAt(35, "80"), "Cannot read ledger entry 24: its IV is that of a snapshot"],
    [changedAt(36, "c2"), "Cannot read 194 bytes at byte 44: only 193 are left"],
    [changedAt(44, "01"), "Cannot read a ledger entry: its type is 1"],
    [changedAt(44, "05"), "Cannot read a ledger entry: its type is 5"],
    [concat(PUBLIC_ENTRY.subarray(0, 30)), "Cannot read a ledger entry: its header says 237 bytes, and there are 30"],
  ];
  for (const [bytes, message] of table) {
    assert.throws(() => LedgerEntry.parse(bytes), { name: "FormatError", message });
  }
});

Deno.test("entries that lie back to back are told apart, and their flags are read where they lie", () => {
  const flagged = changedAt(1, "01");
  const all = concat(PUBLIC_ENTRY, PRIVATE_ENTRY, flagged);
  assert.deepEqual(splitEntriesUpTo(all, 3), [PUBLIC_ENTRY, PRIVATE_ENTRY, flagged]);
  assert.deepEqual(splitEntriesUpTo(all, 10_000), [PUBLIC_ENTRY, PRIVATE_ENTRY, flagged]);
  assert.deepEqual(splitEntries(all, 3), [PUBLIC_ENTRY, PRIVATE_ENTRY, flagged]);
  assert.equal(splitEntries(all, 4), undefined);
  assert.deepEqual(entryFlags(all, 3), [0, 0, FORCE_CHUNK_AFTER]);
  assert.deepEqual([splitEntriesUpTo(new Uint8Array(), 0), entryFlags(new Uint8Array(), 0)], [[], []]);
  const wrong: [Uint8Array, number][] = [
    [all, 2],
    [all.subarray(0, -1), 3],
    [concat(all, Uint8Array.of(1)), 4],
    [concat(all, changedAt(0, "02")), 4],
    [concat(all, changedAt(1, "04")), 4],
  ];
  for (const [bytes, max] of wrong) {
    assert.deepEqual([splitEntriesUpTo(bytes, max), entryFlags(bytes, max)], [undefined, undefined]);
  }
});

Deno.test("property: entryFlags() and splitEntriesUpTo() agree about any bytes", () => {
  const bytes = fc.array(fc.tuple(fc.nat(260), fc.nat(4), fc.nat(60)), { maxLength: 8 }).map((entries) =>
    concat(...entries.map(([version, flags, size]) => {
      const entry = new Uint8Array(8 + size);
      entry.set([version === 0 ? 2 : 1, flags, version === 1 ? size + 1 : size]);
      return entry;
    }))
  );
  fc.assert(
    fc.property(bytes, fc.nat(9), (bytes, max) => {
      const entries = splitEntriesUpTo(bytes, max);
      assert.deepEqual(entryFlags(bytes, max), entries?.map((entry) => entry[1]));
      if (entries !== undefined) assert.deepEqual(concat(...entries), bytes);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("LedgerEntry.parse() reads older types, which have fewer digests", () => {
  const maps = PUBLIC_ENTRY.subarray(125);
  const digest = "ab".repeat(32);
  const older = (type: string, digests: string) => {
    const domain = concat(fromHex(type + "1800000000000000" + digests + "0500000000000000"), maps);
    const rest = concat(
      PUBLIC_ENTRY.subarray(8, 36),
      fromHex(toHex(new Uint8Array([domain.length, 0, 0, 0])) + "00000000"),
      domain,
    );
    return LedgerEntry.parse(concat(fromHex("0100" + toHex(new Uint8Array([rest.length, 0])) + "00000000"), rest));
  };
  for (
    const [type, digests, claims, evidence] of [
      ["00", "", undefined, undefined],
      ["02", digest, digest, undefined],
      ["03", digest, undefined, digest],
    ] as const
  ) {
    const entry = older(type, digests);
    assert.equal(entry.type, Number(type));
    assert.equal(entry.claimsDigest && toHex(entry.claimsDigest), claims);
    assert.equal(entry.commitEvidenceDigest && toHex(entry.commitEvidenceDigest), evidence);
    assert.equal(entry.maxConflictVersion, 5);
    assert.equal(entry.publicTables()[0]!.name, "public:records");
  }
});

Deno.test("LedgerEntry.parse() of any changed entry parses or throws FormatError", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(PRIVATE_ENTRY.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(PRIVATE_ENTRY.length),
      fc.boolean(),
      (changes, length, cut) => {
        const bytes = PRIVATE_ENTRY.slice(0, cut ? length : undefined);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          const entry = LedgerEntry.parse(bytes);
          entry.publicTables();
          entry.privateTables(primitives, PRIVATE_KEY);
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
        }
      },
    ),
    { numRuns: 1000 },
  );
});
