/**
 * Verifies a ledger directory from its bytes, as `ledger verify` does, for tests.
 */

import type { Primitives } from "../shared/crypto/primitives.ts";
import { FormatError } from "../shared/assert.ts";
import { ChunkScanner } from "../shared/ledger/chunk.ts";
import { LedgerVerifier } from "../shared/ledger/replay.ts";
import type { Finding } from "../shared/ledger/replay/findings.ts";
import type { ReplayMode } from "../shared/ledger/replay/state.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { Snapshot, splitSnapshotFile } from "../shared/ledger/snapshot.ts";
import type { ChunkFile, SnapshotFile } from "./services.ts";

export interface LedgerBytes {
  readonly chunks: readonly ChunkFile[];
  readonly snapshots: readonly SnapshotFile[];
  readonly serviceCertificatePem?: string;
}

/** The verifier after all there is to add, or after the first failure, with everything it found. */
export function verifyLedger(
  primitives: Primitives,
  mode: ReplayMode,
  { chunks, snapshots, serviceCertificatePem }: LedgerBytes,
  secrets?: LedgerSecrets,
): { readonly verifier: LedgerVerifier; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const verifier = new LedgerVerifier({
    primitives,
    mode,
    ...(secrets !== undefined && { secrets }),
    ...(serviceCertificatePem !== undefined && { serviceCertificatePem }),
  });
  /** False once the ledger has failed. */
  const note = (found: readonly Finding[]) => {
    findings.push(...found);
    return !verifier.failed;
  };
  const parse = (file: SnapshotFile) => Snapshot.parse(splitSnapshotFile(file.bytes).snapshot);

  const run = () => {
    const first = chunks[0]?.name.first ?? 1;
    const start = first === 1 ? undefined : snapshots.find((file) => file.name.seqno === first - 1);
    if (start !== undefined && !note(verifier.startFrom(start.name, parse(start)))) return;
    for (const { name, bytes } of chunks) {
      if (bytes.length === 0 && !name.committed) continue;
      if (!note(verifier.startChunk(name))) return;
      const scanner = new ChunkScanner();
      for (const entry of scanner.feed(bytes)) {
        if (!note(verifier.add(entry.bytes))) return;
        const snapshot = snapshots.find((file) => file.name.seqno === verifier.last.seqno);
        if (snapshot !== undefined && !note(verifier.checkSnapshot(snapshot.name, parse(snapshot)))) return;
      }
      if (!note(verifier.endChunk(scanner.end()))) return;
    }
    note(verifier.finish());
  };
  try {
    run();
  } catch (error) {
    // A file that cannot be taken apart, rather than a ledger that does not hold.
    if (!(error instanceof FormatError)) throw error;
    findings.push({ kind: "failure", seqno: verifier.last.seqno + 1, reason: error.message });
  }
  return { verifier, findings };
}
