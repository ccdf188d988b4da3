/**
 * Replay of the real ledgers, whole and with one bit changed. What each check refuses: the tests in `replay/`.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHex, fromUtf8, toHex } from "../bytes.ts";
import { createEcdsaVerifier } from "../crypto/ecdsa_known_keys.ts";
import { noblePrimitives, type Primitives } from "../crypto/primitives.ts";
import { parseReceipt, serialiseReceipt } from "../receipt/receipt.ts";
import { verifyReceipt } from "../receipt/verify_receipt.ts";
import { formatTxId } from "../tx_id.ts";
import { LedgerForge } from "../../tests/ledger_forge.ts";
import { type LedgerBytes, verifyLedger } from "../../tests/replay_directory.ts";
import {
  ledgerDirectories,
  type LedgerDirectory,
  ledgerDirectory,
  readChunkFiles,
  readExpectedSummary,
  readLedgerSecrets,
  readSnapshotFiles,
} from "../../tests/services.ts";
import { join } from "../../tests/paths.ts";
import { teamTest } from "../../tests/team_data.ts";
import { LedgerVerifier } from "./replay.ts";
import type { Finding } from "./replay/findings.ts";
import type { ReplayMode } from "./replay/state.ts";
import { LedgerSecret, LedgerSecrets } from "./secrets.ts";
import { splitSnapshotFile } from "./snapshot.ts";

/** Signatures by the same few keys are verified thousands of times here. */
const primitives: Primitives = { ...noblePrimitives, ecdsaVerifyHashed: createEcdsaVerifier() };

function secretsOf(directory: LedgerDirectory): LedgerSecrets {
  const secrets = new LedgerSecrets();
  for (const [first, hex] of readLedgerSecrets(directory)) {
    secrets.add(first, new LedgerSecret(primitives, fromHex(hex)));
  }
  return secrets;
}

function bytesOf(directory: LedgerDirectory): LedgerBytes {
  return {
    chunks: readChunkFiles(directory),
    snapshots: readSnapshotFiles(directory),
    // The certificate is that of the service at its end.
    ...(!directory.name.endsWith("/before_recovery") &&
      { serviceCertificatePem: Deno.readTextFileSync(join(directory.common, "service_cert.pem")) }),
  };
}

function shown(findings: readonly Finding[]): string[] {
  return findings.map(({ kind, seqno, reason }) => `${kind} ${seqno}: ${reason}`);
}

/** What a strict replay says of each real ledger; of all others, nothing. */
const STRICT_FINDINGS: Readonly<Record<string, readonly string[]>> = {
  // May 2025 and older: these are what `lenient` is for.
  cose_flipflop_service: ["failure 2: The service's own COSE signature is missing"],
  double_sealed_service: ["failure 3: File ledger_1-2.committed ends where no entry says so"],
  eol_service: ["failure 1: The entry is of type 0, not 4"],
  // Killed with half an entry written.
  "recorded_recovery_shares/before_recovery": [
    "warning 60: No signature covers the transactions after 2.59",
    "warning 60: File ledger_55 ends with 56 bytes that are no whole entry",
  ],
};

teamTest("a strict replay accepts every ledger of 7.0.0-dev7, with and without secrets, and no older one", () => {
  for (const directory of ledgerDirectories()) {
    for (const secrets of [undefined, secretsOf(directory)]) {
      const { findings } = verifyLedger(primitives, "strict", bytesOf(directory), secrets);
      assert.deepEqual(shown(findings), STRICT_FINDINGS[directory.name] ?? [], directory.name);
    }
  }
});

/** What a lenient replay lists of older ledgers: how many of each. */
const DEVIATIONS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  cose_flipflop_service: { "signature without COSE": 18 },
  double_sealed_service: { "chunk boundary without a flag": 3 },
  eol_service: {
    "entry of an older type": 40,
    "first transaction": 1,
    "conflict version": 34,
    "signature without a current certificate": 16,
    "signature without COSE": 85,
    "chunk boundary without a flag": 8,
    "form of a value": 31,
    "opening without its tables": 5,
    "recovery without its tables": 4,
    "recipients of a secret": 4,
  },
};

teamTest("a lenient replay accepts every real ledger, and comes to the state that another reader found", () => {
  for (const directory of ledgerDirectories()) {
    const { verifier, findings } = verifyLedger(primitives, "lenient", bytesOf(directory), secretsOf(directory));
    assert.equal(verifier.failed, false, directory.name);
    const counts: Record<string, number> = {};
    for (const finding of findings) {
      if (finding.kind === "deviation") counts[finding.rule] = (counts[finding.rule] ?? 0) + 1;
    }
    assert.deepEqual(counts, DEVIATIONS[directory.name] ?? {}, directory.name);
    if (directory.expected === undefined) continue;
    const summary = readExpectedSummary(directory);
    assert.equal(formatTxId(verifier.lastSigned), summary.lastSigned);
    assert.equal(toHex(verifier.tree.root()), summary.rootAfterLastEntry);
    assert.deepEqual(verifier.viewHistory.starts, summary.viewHistory);
    const expectedStarts = summary.serviceIdentitiesFromSeqno;
    assert.deepEqual(verifier.identities.map(({ from }) => from), expectedStarts, directory.name);
  }
});

teamTest("a replay that knows the service sealed twice says so, and accepts it", () => {
  const directory = ledgerDirectory("double_sealed_service");
  const { findings } = verifyLedger(primitives, "lenient", bytesOf(directory), secretsOf(directory));
  assert.deepEqual(shown(findings.filter(({ kind }) => kind === "warning")), [
    "warning 503: The secret from 1 is sealed a second time",
  ]);
});

/**
 * Everything that is checked of a directory: the replay, and the receipts behind its snapshots. What is left open at its
 * end is part of the answer: bytes that turn a whole entry into half a one are noticed by whoever reads the warning.
 */
function verdictOn(
  directory: LedgerDirectory,
  mode: ReplayMode,
  bytes: LedgerBytes,
  secrets?: LedgerSecrets,
): string[] {
  const { verifier, findings } = verifyLedger(primitives, mode, bytes, secrets);
  const verdict = shown(findings);
  if (verifier.failed) return verdict;
  for (const { fileName, name, bytes: file } of bytes.snapshots) {
    try {
      const { receipt: trailer } = splitSnapshotFile(file);
      const receipt = parseReceipt(fromUtf8(trailer));
      const service = verifier.identities.findLast(({ from }) => from <= name.evidenceSeqno)!;
      const { verdict: result } = verifyReceipt(primitives, receipt, service.certificatePem, {});
      // Members that a reader passes over are no part of what is proved, but no node writes them.
      if (result !== "verified") verdict.push(`${directory.name} ${fileName}: ${result}`);
      if (serialiseReceipt(receipt) !== fromUtf8(trailer)) verdict.push(`${fileName}: another form`);
    } catch (error) {
      verdict.push(`${fileName}: ${error}`);
    }
  }
  return verdict;
}

teamTest("one bit changed anywhere in a ledger file or a snapshot changes the verdict", () => {
  for (const name of ["recorded_join", "recorded_nodes/node3", "recorded_recovery"]) {
    const directory = ledgerDirectory(name);
    const secrets = secretsOf(directory);
    const { chunks, snapshots, serviceCertificatePem } = bytesOf(directory);
    assert.deepEqual(verdictOn(directory, "strict", bytesOf(directory), secrets), []);
    const files = [...chunks, ...snapshots];
    const place = fc.nat(files.length - 1).chain((file) =>
      fc.tuple(fc.constant(file), fc.nat(files[file]!.bytes.length - 1), fc.nat(7))
    );
    fc.assert(
      fc.property(place, fc.boolean(), ([file, at, bit], withSecrets) => {
        const flipped = <T extends { readonly bytes: Uint8Array }>(of: readonly T[], index: number) =>
          of.map((one, i) => {
            if (i !== index) return one;
            const bytes = one.bytes.slice();
            bytes[at]! ^= 1 << bit;
            return { ...one, bytes };
          });
        const changed = {
          chunks: flipped(chunks, file),
          snapshots: flipped(snapshots, file - chunks.length),
          ...(serviceCertificatePem !== undefined && { serviceCertificatePem }),
        };
        // Nothing signs the last signature's own entry: what it holds besides the signatures, only secrets can check.
        const isLast = file === chunks.length - 1;
        const verdict = verdictOn(directory, "strict", changed, withSecrets || isLast ? secrets : undefined);
        assert.notDeepEqual(verdict, []);
      }),
      { numRuns: 12 },
    );
  }
});

Deno.test("LedgerVerifier.rollbackToLastSigned() takes back what no signature covers, and goes on from there", () => {
  const forge = new LedgerForge(primitives).genesis().open().sign();
  const signed = forge.entries.length;
  const fork = new LedgerForge(primitives).genesis().open().sign();
  forge.write({ records: { a: "1" }, "public:records": { a: "1" } });
  forge.rekey();
  const verifier = new LedgerVerifier({ primitives, mode: "strict", secrets: forge.secrets });
  for (const bytes of forge.entries) assert.deepEqual(verifier.add(bytes), []);
  assert.equal(verifier.last.seqno, 6);
  verifier.rollbackToLastSigned();
  assert.deepEqual(verifier.last, { view: 2, seqno: 4 });
  assert.equal(verifier.store.table("records"), undefined);
  assert.deepEqual(shown(verifier.finish()), []);

  fork.recover();
  assert.equal(toHex(fork.entries[signed - 1]!), toHex(forge.entries[signed - 1]!));
  forge.secrets.rollback(4);
  for (const { first, secret } of fork.secrets) if (first > 1) forge.secrets.add(first, secret);
  for (const bytes of fork.entries.slice(signed)) assert.deepEqual(verifier.add(bytes), []);
  assert.deepEqual(verifier.finish(), []);
  assert.equal(toHex(verifier.tree.root()), toHex(fork.tree.root()));
});

Deno.test("a LedgerVerifier answers nothing after a failure, and says that a ledger without signature is none", () => {
  const forge = new LedgerForge(primitives);
  forge.write(forge.genesisChanges());
  const verifier = new LedgerVerifier({ primitives, mode: "strict" });
  assert.deepEqual(verifier.add(forge.entries[0]!), []);
  assert.deepEqual(shown(verifier.finish()), ["failure 1: The ledger has no signature"]);
  assert.equal(verifier.failed, true);
  assert.throws(() => verifier.add(forge.entries[0]!), /Nothing is replayed after a failure/);
});
