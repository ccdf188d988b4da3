import { strict as assert } from "node:assert";
import { toHex, toUtf8 } from "../bytes.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import {
  ledgerDirectories,
  type LedgerDirectory,
  ledgerDirectory,
  readEntries,
  readExpectedSummary,
  readMemberKeys,
} from "../../tests/services.ts";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { join } from "../../tests/paths.ts";
import { teamTest } from "../../tests/team_data.ts";
import { LedgerEntry } from "./entry.ts";
import {
  openRecoveryShares,
  parseRecoveryShares,
  restoreLedgerSecrets,
  serialiseRecoveryShares,
  type SharesWrite,
} from "./recovery_shares.ts";
import { type ChainLink, parseHistoricalSecret, serialiseHistoricalSecret } from "./secret_chain.ts";

Deno.test("parseHistoricalSecret() and serialiseHistoricalSecret() agree with the worked example", () => {
  // ledger-and-receipts.md §4.7: recorded_rekey 2.34.
  const box =
    "0b37513f4df6a03cbb412092597389e849586a2769073a43af1b3746a84af2b788fa2c00676f100c86d7922c15be8a08fbb94777013788fd1a193516";
  const json =
    `{"previous_ledger_secret":{"encrypted_data":"CzdRP032oDy7QSCSWXOJ6ElYaidpBzpDrxs3RqhK8reI+iwAZ28QDIbXkiwVvooI+7lHdwE3iP0aGTUW","previous_secret_stored_version":15,"version":1}}`;
  const parsed = parseHistoricalSecret(toUtf8(json));
  assert.equal(toHex(parsed.predecessor!.box), box);
  assert.deepEqual({ ...parsed.predecessor, box: "" }, { box: "", version: 1, previousSecretStoredVersion: 15 });
  assert.deepEqual(serialiseHistoricalSecret(parsed), toUtf8(json));
  assert.deepEqual(parseHistoricalSecret(toUtf8(`{"next_version":1}`)), { nextVersion: 1 });
  assert.deepEqual(serialiseHistoricalSecret({ nextVersion: 1 }), toUtf8(`{"next_version":1}`));
});

Deno.test("parseHistoricalSecret() and parseRecoveryShares() refuse values of another shape", () => {
  const chain: [string, string][] = [
    ["{", "Cannot read 1 characters as JSON"],
    [`{"next_version":"1"}`, `Cannot read JSON at "/next_version": it must be a whole number from 0`],
    [
      `{"previous_ledger_secret":{"version":1}}`,
      `Cannot read JSON at "/previous_ledger_secret/encrypted_data": it must be text`,
    ],
    [
      `{"previous_ledger_secret":{"encrypted_data":"?","version":1}}`,
      `Cannot read "?" as base64`,
    ],
  ];
  for (const [json, message] of chain) {
    assert.throws(() => parseHistoricalSecret(toUtf8(json)), { name: "FormatError", message });
  }
  const shares: [string, string][] = [
    [`{}`, `Cannot read JSON at "/encrypted_shares": it must be an object`],
    [`{"encrypted_shares":{}}`, `Cannot read JSON at "/wrapped_latest_ledger_secret": it must be text`],
    [
      `{"encrypted_shares":{"a":1},"wrapped_latest_ledger_secret":""}`,
      `Cannot read JSON at "/encrypted_shares/a": it must be text`,
    ],
  ];
  for (const [json, message] of shares) {
    assert.throws(() => parseRecoveryShares(toUtf8(json)), { name: "FormatError", message });
  }
});

Deno.test("parseHistoricalSecret() and parseRecoveryShares() parse any changed value or throw FormatError", () => {
  const historical = serialiseHistoricalSecret({
    nextVersion: 35,
    predecessor: { box: new Uint8Array(60), version: 1, previousSecretStoredVersion: 15 },
  });
  fuzzDecoder(mutated(historical), parseHistoricalSecret);
  const shares = serialiseRecoveryShares({
    encryptedShares: new Map([["aa", new Uint8Array(8)]]),
    wrappedLedgerSecret: new Uint8Array(60),
    previousSecretStoredVersion: 15,
  });
  fuzzDecoder(mutated(shares), parseRecoveryShares);
});

/** Every write of the two tables in a ledger, each also serialised again. */
function readSecretTables(directory: LedgerDirectory): { writes: SharesWrite[]; links: ChainLink[] } {
  const writes: SharesWrite[] = [];
  const links: ChainLink[] = [];
  for (const bytes of readEntries(directory)) {
    const entry = LedgerEntry.parse(bytes);
    for (const { name, writes: [first] } of entry.publicTables()) {
      if (name === "public:ccf.internal.recovery_shares") {
        const value = parseRecoveryShares(first![1]);
        assert.deepEqual(serialiseRecoveryShares(value), first![1].slice());
        writes.push({ seqno: entry.seqno, value });
      } else if (name === "public:ccf.internal.historical_encrypted_ledger_secret") {
        const value = parseHistoricalSecret(first![1]);
        assert.deepEqual(serialiseHistoricalSecret(value), first![1].slice());
        links.push({ seqno: entry.seqno, value });
      }
    }
  }
  return { writes, links };
}

teamTest("restoreLedgerSecrets() gives every secret of every real ledger to its members", () => {
  for (const directory of ledgerDirectories()) {
    if (directory.expected === undefined) continue;
    const summary = readExpectedSummary(directory);
    const { writes, links } = readSecretTables(directory);
    if (writes.length === 0) continue; // a node that began at a snapshot, which holds them
    const secrets = restoreLedgerSecrets(primitives, writes, links, readMemberKeys(directory));
    const shown = Object.fromEntries([...secrets].map(({ first, secret }) => [first, toHex(secret.key)]));
    const covered = Object.entries(summary.ledgerSecrets).filter(([first]) =>
      Number(first) >= (summary.firstSeqno ?? 0)
    );
    for (const [first, hex] of covered) assert.equal(shown[first], hex, `${directory.name}: secret from ${first}`);
    for (const [first, hex] of Object.entries(shown)) {
      if (Number(first) <= summary.entries + 1) assert.equal(summary.ledgerSecrets[first], hex, directory.name);
    }
  }
});

teamTest("openRecoveryShares() opens each write of recorded shares, also by an owner alone", () => {
  const directory = ledgerDirectory("recorded_rekey");
  const { writes } = readSecretTables(directory);
  const keys = readMemberKeys(directory);
  const expected: { seqno: number; ledgerSecretHex: string; previousSecretStoredVersion: number | null }[] = JSON.parse(
    Deno.readTextFileSync(join(directory.expected!, "shares.json")),
  );
  assert.deepEqual(writes.map((write) => write.seqno), expected.map((write) => write.seqno));
  writes.forEach(({ value, seqno }, i) => {
    assert.equal(toHex(openRecoveryShares(primitives, value, keys)!), expected[i]!.ledgerSecretHex, `at ${seqno}`);
    assert.equal(value.previousSecretStoredVersion ?? null, expected[i]!.previousSecretStoredVersion);
  });
  // From 2.180 on one member is an owner, whose key alone is enough; a participant's is not.
  const withOwner = writes.find((write) => write.seqno === 180)!.value;
  const alone = keys.filter((key) => openRecoveryShares(primitives, withOwner, [key]) !== undefined);
  assert.equal(alone.length, 1);
  assert.equal(openRecoveryShares(primitives, withOwner, []), undefined);
});

teamTest("restoreLedgerSecrets() names the transaction whose box does not open, and the shares that contradict", () => {
  const directory = ledgerDirectory("recorded_rekey");
  const { writes, links } = readSecretTables(directory);
  const keys = readMemberKeys(directory);
  const broken = links.map((link) => {
    if (link.seqno !== 41) return link;
    const box = link.value.predecessor!.box.slice();
    box[40]! ^= 1;
    return { ...link, value: { ...link.value, predecessor: { ...link.value.predecessor!, box } } };
  });
  assert.throws(() => restoreLedgerSecrets(primitives, writes, broken, keys), {
    name: "FormatError",
    message:
      "Cannot open the ledger secret from seqno 35, as transaction 41 holds it: it is sealed under another secret",
  });
  const moved = writes.map((write) => write.seqno === 189 ? { ...write, seqno: 188 } : write);
  assert.throws(() => restoreLedgerSecrets(primitives, moved, links, keys), {
    name: "FormatError",
    message: "Cannot restore the ledger secrets: the shares of transaction 188 lead to another secret than later ones",
  });
});
