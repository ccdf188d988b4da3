import { strict as assert } from "node:assert";
import { join } from "node:path";
import { toHex, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { parseChunk } from "../../shared/ledger/chunk.ts";
import { type DecryptOptions, runDecrypt, runShow, type ShowOptions } from "./ledger.ts";
import { RecordedOutput } from "../../tests/recorded_output.ts";
import {
  type ExpectedEntry,
  ledgerDirectories,
  type LedgerDirectory,
  ledgerDirectory,
  readExpectedEntries,
  readLedgerSecrets,
} from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { change, memberKeys, withCopy } from "../../tests/verify_ledger.ts";

type Text = string | { readonly hex: string };
type Tables = readonly {
  readonly table: string;
  readonly writes: readonly { readonly key: Text; readonly value: Text }[];
  readonly removes: readonly Text[];
}[];

/** One line of `--json`. */
interface Line {
  readonly tx_id: string;
  readonly view: number;
  readonly seqno: number;
  readonly file: string;
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
  readonly type: number;
  readonly write_set_digest: string;
  readonly claims_digest: string | null;
  readonly commit_evidence_digest: string | null;
  readonly public: Tables;
  readonly private: Tables | { readonly encrypted_bytes: number; readonly opens?: false } | null;
}

const NOTHING_VERIFIED = "Nothing is verified here: ledger verify does that";

function show(directory: string, options: ShowOptions = {}): RecordedOutput & { code: number } {
  const output = new RecordedOutput();
  return Object.assign(output, { code: runShow(directory, [], options, output) });
}

function decrypt(directory: string, options: DecryptOptions): RecordedOutput & { code: number } {
  const output = new RecordedOutput();
  return Object.assign(output, { code: runDecrypt(directory, [], options, output) });
}

const linesOf = ({ lines }: RecordedOutput): Line[] => lines.map((line) => JSON.parse(line));

/** As the expected values are written: in hex, and long ones by their digest. */
function asExpected(tables: Tables): NonNullable<ExpectedEntry["private"]> {
  const hex = (text: Text) => typeof text === "string" ? toHex(toUtf8(text)) : text.hex;
  const value = (text: Text) => {
    const bytes = hex(text);
    return bytes.length <= 2 * 96 ? bytes : `sha256:${toHex(noblePrimitives.sha256(fromHexPlain(bytes)))}`;
  };
  return Object.fromEntries(tables.map(({ table, writes, removes }) => [table, {
    writes: writes.map((write): [string, string] => [hex(write.key), value(write.value)]),
    removes: removes.map(hex),
  }]));
}

function fromHexPlain(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

teamTest("ledger decrypt --json prints every value of every real service in full", () => {
  for (const directory of ledgerDirectories()) {
    if (directory.expected === undefined) continue;
    const { snapshots } = directory;
    const output = decrypt(directory.ledger, {
      json: true,
      memberKey: memberKeys(directory),
      ...(snapshots !== undefined && { snapshots }),
    });
    assert.deepEqual([directory.name, output.code, output.notes], [directory.name, 0, [NOTHING_VERIFIED]]);
    const expected = readExpectedEntries(directory);
    const lines = linesOf(output);
    assert.equal(lines.length, expected.length);
    for (const [i, line] of lines.entries()) {
      const { txid, file, flags, entryType, rawLength, writeSetDigest, claimsDigest, commitEvidenceDigest, ...tables } =
        expected[i]!;
      assert.deepEqual(
        {
          txid: line.tx_id,
          file: line.file,
          flags: line.flags,
          entryType: line.type,
          rawLength: line.size,
          writeSetDigest: line.write_set_digest,
          claimsDigest: line.claims_digest,
          commitEvidenceDigest: line.commit_evidence_digest,
        },
        { txid, file, flags, entryType, rawLength, writeSetDigest, claimsDigest, commitEvidenceDigest },
      );
      assert.equal(`${line.view}.${line.seqno}`, line.tx_id);
      assert.deepEqual(asExpected(line.public), tables.public);
      const found = line.private;
      assert.ok(found === null || Array.isArray(found), txid);
      assert.deepEqual(asExpected(found ?? []), tables.private ?? {}, txid);
    }
  }
});

teamTest("ledger show leaves private tables encrypted, and tells their size", () => {
  const directory = ledgerDirectory("recorded_join");
  const output = show(directory.ledger, { json: true });
  assert.deepEqual([output.code, output.notes], [0, [NOTHING_VERIFIED]]);
  const lines = linesOf(output);
  assert.deepEqual(lines.map(({ seqno }) => seqno), Array.from({ length: 47 }, (_, i) => i + 1));
  for (const { seqno, file, offset, size, private: found } of lines) {
    const { content } = parseChunk(Deno.readFileSync(join(directory.ledger, file)));
    assert.equal(content.find((entry) => entry.offset === offset)?.bytes.length, size);
    const sealed = { 30: 80, 36: 77, 42: 77, 44: 65 }[seqno];
    assert.deepEqual(found, sealed === undefined ? null : { encrypted_bytes: sealed });
  }
  assert.deepEqual(show(directory.ledger, { from: "30", to: "30" }).lines, [
    "2.30  205 bytes, ledger_12-31.committed\n  encrypted, 80 bytes",
  ]);
});

teamTest("ledger show prints keys and values for people", () => {
  const { ledger } = ledgerDirectory("recorded_rekey");
  assert.deepEqual(show(ledger, { from: "16", to: "17" }).text.replace(/[0-9a-f]{64}/g, "…").split("\n").slice(0, 3), [
    "2.16  2187 bytes, ledger_3-16.committed, signature, ends its file",
    "  public:ccf.internal.cose_signatures",
    show(ledger, { from: "16", to: "16" }).text.split("\n")[2]!,
  ]);
  const text = show(ledger, { from: "17", to: "17" }).text;
  assert.equal(
    text,
    "2.17  314 bytes, ledger_17-24.committed, claims f16fe0367182c782a7d7db1bd51ca0416e2c2f2e76db344eda835a1aade21c8f\n" +
      "  public:ccf.internal.snapshot_evidence\n" +
      '    0x0000000000000000 = {"hash":"f16fe0367182c782a7d7db1bd51ca0416e2c2f2e76db344eda835a1aade21c8f","version":16}',
  );
  const removed = show(ledger, { table: "public:ccf.gov.users.info", from: "15", to: "15" }).lines;
  assert.deepEqual(removed, [
    "2.15  20355 bytes, ledger_3-16.committed\n  public:ccf.gov.users.info\n" +
    '    "6ebc4a9cc947fc5140b9c401821f1ef5d04f8e5f3a41f17c256e667ad42a83a5" = {"user_data":{"role":"writer"}}\n' +
    '    "0feb8331c642acd4d4491e8cf09952d4316f01918a97b4877806712000d3f195" removed',
  ]);
  assert.match(show(ledger, { from: "220", to: "225" }).text, /^4\.220 .*/);
  const first = show(ledger, { table: "public:ccf.gov.service.info" }).text;
  assert.match(first, /= \{"cert":"<CERTIFICATE sha256:[0-9a-f]{64}, \d+ bytes>","current_service_create_txid":"2\.1"/);
  assert.match(first, /^4\.213 {2}\d+ bytes, ledger_213-219\.committed, begins its file$/m);
});

teamTest("ledger show --table --key --from --to select what is shown", () => {
  const directory = ledgerDirectory("cose_flipflop_service");
  const seqnos = (options: DecryptOptions) =>
    linesOf(decrypt(directory.ledger, { ...options, memberKey: memberKeys(directory), json: true }))
      .map(({ seqno }) => seqno);
  const all = linesOf(decrypt(directory.ledger, { memberKey: memberKeys(directory), json: true }));
  const changing = (table: string, key?: string) =>
    all.filter(({ public: open, private: closed }) =>
      [...open, ...closed as Tables ?? []].some((found) =>
        found.table === table && (key === undefined || found.writes.some((write) => write.key === key))
      )
    ).map(({ seqno }) => seqno);
  assert.deepEqual(seqnos({ table: "records" }), changing("records"));
  assert.ok(changing("records").includes(17));
  assert.deepEqual(seqnos({ table: "records", key: "42" }), changing("records", "42"));
  assert.deepEqual(
    seqnos({ table: "records", key: "0x3432", from: "18" }),
    changing("records", "42").filter((s) => s > 17),
  );
  assert.deepEqual(seqnos({ table: "nothing" }), []);
  assert.deepEqual(seqnos({ from: "14", to: "15" }), [14, 15]);
  assert.deepEqual(seqnos({ from: "46" }), [46]);
  assert.deepEqual(seqnos({ from: "47" }), []);
  // Only what was asked for is shown of a transaction.
  const selected = linesOf(show(directory.ledger, { table: "public:ccf.gov.members.info", json: true }));
  assert.ok(selected.every(({ public: tables }) => tables.length === 1));
  // What is encrypted cannot be looked into.
  assert.deepEqual(show(directory.ledger, { table: "records" }).lines, []);
  assert.equal(
    decrypt(directory.ledger, { memberKey: memberKeys(directory), from: "17", to: "17" }).text,
    '2.17  195 bytes, ledger_15-46.committed\n  records\n    "42" = "hello"',
  );
});

teamTest("ledger decrypt takes secrets from a file", async () => {
  const directory = ledgerDirectory("recorded_rekey");
  const path = await Deno.makeTempFile();
  try {
    const secrets = Object.fromEntries(readLedgerSecrets(directory));
    Deno.writeTextFileSync(path, JSON.stringify(secrets));
    const byKeys = decrypt(directory.ledger, { memberKey: memberKeys(directory) });
    const byFile = decrypt(directory.ledger, { secrets: path });
    assert.deepEqual([byFile.code, byFile.lines], [0, byKeys.lines]);
    for (const hex of Object.values(secrets)) assert.ok(!byFile.text.includes(hex));

    // Of some transactions the secret is not there; of others it is a wrong one.
    Deno.writeTextFileSync(path, JSON.stringify({ 35: secrets[35] }));
    const later = decrypt(directory.ledger, { secrets: path, to: "41" });
    assert.equal(later.code, 0);
    assert.match(later.notes[1]!, /^\d+ transactions stay encrypted: no ledger secret is known for them$/);
    Deno.writeTextFileSync(path, JSON.stringify({ 1: secrets[35] }));
    const wrong = decrypt(directory.ledger, { secrets: path, to: "34", json: true });
    assert.equal(wrong.code, 1);
    assert.match(wrong.notes[1]!, /^\d+ transactions do not open: they were changed, or the secrets are others$/);
    assert.ok(linesOf(wrong).some(({ private: found }) => found !== null && "opens" in found && found.opens === false));

    const bad: [string, string][] = [
      ["", "it is not JSON"],
      ["[]", "it is not a JSON object"],
      ['{"0":"00"}', "a member's name is no seqno"],
      ['{"1":"00ff"}', "the secret from seqno 1 is not 64 hex digits"],
      [`{"1":"${"g".repeat(64)}"}`, "the secret from seqno 1 is not 64 hex digits"],
      ['{"1":5}', "the secret from seqno 1 is not 64 hex digits"],
    ];
    for (const [text, reason] of bad) {
      Deno.writeTextFileSync(path, text);
      assert.throws(() => decrypt(directory.ledger, { secrets: path }), {
        name: "UsageError",
        message: `Cannot read the ledger secrets ${path}: ${reason}; it must look like {"1": "<64 hex digits>"}`,
      });
    }
  } finally {
    Deno.removeSync(path);
  }
});

teamTest("ledger show and decrypt say what is wrong with how they were called", () => {
  const directory: LedgerDirectory = ledgerDirectory("recorded_rekey");
  const bad: [() => unknown, RegExp][] = [
    [() => show("/nowhere"), /^UsageError: Cannot read the ledger directory \/nowhere/],
    [() => show(directory.ledger, { from: "0" }), /^UsageError: Cannot use --from 0: it must be a seqno/],
    [() => show(directory.ledger, { to: "2.5" }), /^UsageError: Cannot use --to 2\.5: it must be a seqno/],
    [
      () => show(directory.ledger, { from: "5", to: "2" }),
      /^UsageError: Cannot show transactions 5 to 2: --from must not be behind --to$/,
    ],
    [() => show(directory.ledger, { table: "" }), /^UsageError: Cannot use --table: it is empty/],
    [() => show(directory.ledger, { key: "0xabc" }), /^UsageError: Cannot use --key 0xabc: Cannot read "abc" as hex/],
    [
      () => decrypt(directory.ledger, {}),
      /^UsageError: Cannot decrypt without secrets: give --member-key, or --secrets/,
    ],
    [
      () => decrypt(directory.ledger, { memberKey: [join(directory.common, "member0_enc_privk.pem")] }),
      /^UsageError: Cannot restore the ledger secrets: it takes \d of the \d recovery shares/,
    ],
    [
      () => decrypt(ledgerDirectory("recorded_nodes/node3").ledger, { memberKey: memberKeys(directory) }),
      /^UsageError: Cannot restore the ledger secrets: there are no recovery shares in these files/,
    ],
  ];
  for (const [run, message] of bad) assert.throws(run, message);
});

teamTest("ledger show says where there is nothing to show", () => {
  const { ledger } = ledgerDirectory("recorded_join");
  for (const options of [{ from: "1000" }, { table: "public:nothing" }, { from: "1000", json: true }]) {
    const { code, lines, notes } = show(ledger, options);
    assert.deepEqual([code, lines, notes], [0, [], [
      NOTHING_VERIFIED,
      "There are no such transactions in these files",
    ]]);
  }
});

teamTest("ledger show goes on behind what is missing or damaged, and says so", async () => {
  await withCopy(ledgerDirectory("recorded_join"), (copy) => {
    const path = join(copy, "ledger_3-11.committed");
    const { content } = parseChunk(Deno.readFileSync(path));
    change(path, (bytes) => {
      bytes[content[2]!.offset] = 7;
      return bytes;
    });
    const damaged = show(copy, { json: true });
    assert.equal(damaged.code, 2);
    assert.deepEqual(linesOf(damaged).map(({ seqno }) => seqno).slice(0, 6), [1, 2, 3, 4, 12, 13]);
    assert.deepEqual(damaged.notes[1], `${path}: Cannot read a ledger entry: its format version is 7`);
    Deno.removeSync(path);
    const missing = show(copy, { json: true });
    assert.deepEqual([missing.code, missing.lines.length], [0, 47 - 9]);
    assert.match(missing.notes[1]!, /^Transactions 3 to 11 are missing: ledger_12-31\.committed follows ledger_1-2/);
    change(join(copy, "ledger_32"), (bytes) => bytes.subarray(0, -1));
    assert.match(show(copy).notes[2]!, /ledger_32 ends with 2090 bytes that are no whole entry$/);
  });
});

teamTest("ledger show stops when nobody reads any more", () => {
  const { ledger } = ledgerDirectory("recorded_join");
  class Closing extends RecordedOutput {
    override line(text: string): boolean {
      return super.line(text) && this.lines.length < 3;
    }
  }
  const output = new Closing();
  assert.deepEqual([runShow(ledger, [], {}, output), output.lines.length], [0, 3]);
});
