/**
 * Every entry of every real ledger: taken apart, compared with what another reader found, and put together again.
 */

import { strict as assert } from "node:assert";
import { concat, fromByteString, fromHex, toHex, Writer } from "../bytes.ts";
import { entryIv } from "../crypto/aes_gcm.ts";
import { noblePrimitives as primitives } from "../crypto/primitives.ts";
import { serialiseTables, type TableWrites } from "../kv/write_set.ts";
import { MerkleTree } from "../merkle/tree.ts";
import {
  type ExpectedEntry,
  ledgerDirectories,
  type LedgerDirectory,
  readChunkFiles,
  readEntries,
  readExpectedEntries,
  readExpectedSummary,
  readLedgerSecrets,
} from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { formatTxId } from "../tx_id.ts";
import { EntryType, LedgerEntry, sealEntry } from "./entry.ts";
import { LedgerSecret, LedgerSecrets } from "./secrets.ts";

const ZERO8 = "\0".repeat(8);

function secretsOf(directory: LedgerDirectory): LedgerSecrets {
  const secrets = new LedgerSecrets();
  for (const [first, hex] of readLedgerSecrets(directory)) {
    secrets.add(first, new LedgerSecret(primitives, fromHex(hex)));
  }
  return secrets;
}

teamTest("every entry of the real ledgers is sealed again byte for byte from its decoded values", () => {
  let entries = 0;
  for (const directory of ledgerDirectories()) {
    const secrets = secretsOf(directory);
    for (const bytes of readEntries(directory)) {
      const entry = LedgerEntry.parse(bytes);
      const { key } = secrets.at(entry.seqno)!;
      const publicTables = entry.publicTables();
      const privateTables = entry.privateTables(primitives, key);
      assert.ok(privateTables !== undefined, `${directory.name} ${entry.seqno}`);
      const writeSet = { publicTables, privateTables };
      const rebuilt = entry.type === EntryType.evidenceAndClaims
        ? sealEntry(primitives, key, {
          txId: entry.txId,
          flags: entry.flags,
          claimsDigest: entry.claimsDigest!,
          commitEvidenceDigest: secrets.at(entry.seqno)!.commitEvidenceDigest(entry.txId),
          writeSet,
        })
        : sealOlderEntry(entry, key, publicTables, privateTables);
      assert.equal(toHex(rebuilt), toHex(bytes), `${directory.name} ${entry.seqno}`);
      entries++;
    }
  }
  assert.ok(entries > 2300, `${entries} entries`);
});

/** Types that only older versions wrote. */
function sealOlderEntry(
  entry: LedgerEntry,
  key: Uint8Array,
  publicTables: readonly TableWrites[],
  privateTables: readonly TableWrites[],
): Uint8Array {
  const domain = concat(
    new Writer().u8(entry.type).u64(entry.seqno).finish(),
    entry.claimsDigest ?? new Uint8Array(0),
    entry.commitEvidenceDigest ?? new Uint8Array(0),
    new Writer().u64(entry.maxConflictVersion).finish(),
    serialiseTables(publicTables),
  );
  const iv = entryIv({ ...entry.txId, isSnapshot: false });
  const sealed = primitives.gcmSeal(key, iv, domain, serialiseTables(privateTables));
  const rest = new Writer().bytes(sealed.tag).bytes(iv).lengthPrefixed(domain).bytes(sealed.ciphertext).finish();
  return new Writer().u8(1).u8(entry.flags).u48(rest.length).bytes(rest).finish();
}

teamTest("digests, evidence, leaves, roots and tables of the real ledgers are those another reader found", () => {
  for (const directory of ledgerDirectories()) {
    if (directory.expected === undefined) continue;
    const expected = readExpectedEntries(directory);
    const summary = readExpectedSummary(directory);
    const secrets = secretsOf(directory);
    const entries = readEntries(directory).map((bytes) => LedgerEntry.parse(bytes));
    assert.equal(entries.length, summary.entries);
    const files = readChunkFiles(directory).map((file) => file.fileName);
    // A node that began at a snapshot cannot say its earlier roots.
    const tree = summary.firstSeqno === undefined ? new MerkleTree(primitives) : undefined;
    entries.forEach((entry, i) => {
      const want = expected[i]!;
      const where = `${directory.name} ${want.txid}`;
      assert.equal(formatTxId(entry.txId), want.txid);
      assert.equal(entry.flags, want.flags, where);
      assert.equal(entry.type, want.entryType, where);
      assert.equal(entry.bytes.length, want.rawLength, where);
      assert.ok(files.includes(want.file), where);
      assert.equal(toHex(entry.writeSetDigest(primitives)), want.writeSetDigest, where);
      assert.equal(hexOrNull(entry.claimsDigest), want.claimsDigest, where);
      assert.equal(hexOrNull(entry.commitEvidenceDigest), want.commitEvidenceDigest, where);
      const leaf = entry.leaf(primitives);
      assert.equal(toHex(leaf), want.leaf, where);
      assert.equal(secrets.firstSeqnoAt(entry.seqno), want.secretFrom, where);
      const secret = secrets.at(entry.seqno)!;
      const evidence = entry.commitEvidenceDigest === undefined ? null : secret.commitEvidence(entry.txId);
      assert.equal(evidence, want.commitEvidence, where);
      assert.deepEqual(show(entry.publicTables()), want.public, where);
      const privateTables = show(entry.privateTables(primitives, secret.key)!);
      assert.deepEqual(privateTables, want.private ?? {}, where);
      if (tree === undefined) return;
      assert.equal(toHex(tree.root()), want.rootBefore, where);
      tree.append(leaf);
    });
    if (tree !== undefined) assert.equal(toHex(tree.root()), summary.rootAfterLastEntry);
  }
});

teamTest("every serialised tree of the real ledgers is rebuilt from the leaves before it", () => {
  let trees = 0;
  for (const directory of ledgerDirectories()) {
    const tree = new MerkleTree(primitives);
    for (const bytes of readEntries(directory)) {
      const entry = LedgerEntry.parse(bytes);
      const value = entry.publicTables().find((table) => table.name === "public:ccf.internal.tree")?.writes[0];
      if (value !== undefined) {
        assert.equal(value[0], ZERO8);
        const parsed = MerkleTree.parse(primitives, value[1]);
        assert.equal(toHex(parsed.serialise()), toHex(value[1]), `${directory.name} ${entry.seqno}`);
        if (tree.size === entry.seqno) {
          // The tree we made ourselves, flushed where the node had flushed its own, comes to the same bytes.
          const own = new MerkleTree(primitives);
          for (let n = 1; n < tree.size; n++) own.append(tree.leaf(n));
          own.flush(parsed.firstIndex);
          assert.equal(toHex(own.serialise()), toHex(value[1]), `${directory.name} ${entry.seqno}`);
          trees++;
        }
      }
      if (tree.size === entry.seqno) tree.append(entry.leaf(primitives));
    }
  }
  assert.ok(trees > 400, `${trees} trees`);
});

function show(tables: readonly TableWrites[]): ExpectedEntry["public"] {
  const shown: ExpectedEntry["public"] = {};
  for (const { name, writes, removes } of tables) {
    shown[name] = {
      writes: writes.map(([key, value]) => [showBytes(fromByteString(key)), showBytes(value)]),
      removes: removes.map((key) => showBytes(fromByteString(key))),
    };
  }
  return shown;
}

function showBytes(bytes: Uint8Array): string {
  return bytes.length <= 96 ? toHex(bytes) : `sha256:${toHex(primitives.sha256(bytes))}`;
}

function hexOrNull(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : toHex(bytes);
}
