/**
 * Replaying a ledger: every hash and signature checked, every private table decrypted, folded into the store.
 */

import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import type { Figure } from "./figure.ts";
import { restoreSecrets, startInlineService } from "../inline_service.ts";
import { MESSAGE } from "./enclave.ts";

const WRITES = 100_000;
/** So that an entry has about 300 bytes. */
const PADDING = ".".repeat(80);

export async function benchReplay(_seconds: number): Promise<Figure[]> {
  const workspace = await Deno.makeTempDir({ prefix: "quorate_bench_" });
  try {
    const service = await startInlineService(workspace, "native");
    const { node, userCertificate } = service;
    for (let i = 0; i < WRITES; i++) {
      const body = `{"id":${i % 1000},"msg":"${MESSAGE}${PADDING}"}`;
      node.request({ method: "POST", target: "/app/log/private", body, certificate: userCertificate });
    }
    node.send({ kind: "stop" });
    const { entries } = node;
    const bytes = entries.reduce((sum, entry) => sum + entry.length, 0);
    const primitives = loadNativePrimitives();
    const figures: Figure[] = [];
    for (const withSecrets of [false, true]) {
      const secrets = withSecrets ? restoreSecrets(primitives, service) : undefined;
      const begin = performance.now();
      const verifier = new LedgerVerifier({ primitives, mode: "strict", ...(secrets && { secrets }) });
      for (const entry of entries) {
        verifier.add(entry);
        if (verifier.failed) throw new Error(`The ledger does not verify at ${verifier.last.seqno + 1}`);
      }
      verifier.finish();
      const seconds = (performance.now() - begin) / 1000;
      const what = withSecrets ? "verified and decrypted" : "verified, private tables left sealed";
      const note = `${entries.length} entries, ${Math.round(bytes / entries.length)} B each on average`;
      figures.push(
        {
          group: "replay",
          what,
          value: entries.length / seconds,
          unit: "entries/s",
          ...(withSecrets && { target: 40_000 }),
          note,
        },
        { group: "replay", what, value: bytes / seconds / 1e6, unit: "MB/s" },
      );
    }
    return figures;
  } finally {
    await Deno.remove(workspace, { recursive: true });
  }
}
