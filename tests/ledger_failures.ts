/**
 * Running a replay over forged entries, for tests of what it refuses.
 */

import { strict as assert } from "node:assert";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { LedgerVerifier, type ReplayOptions } from "../shared/ledger/replay.ts";
import type { Finding } from "../shared/ledger/replay/findings.ts";
import { LedgerForge } from "./ledger_forge.ts";

/** Everything a replay finds in these entries, up to the first failure. */
export function findingsIn(
  primitives: Primitives,
  entries: readonly Uint8Array[],
  options: Partial<ReplayOptions> = {},
): Finding[] {
  const verifier = new LedgerVerifier({ primitives, mode: "strict", ...options });
  const findings: Finding[] = [];
  for (const bytes of entries) {
    findings.push(...verifier.add(bytes));
    if (verifier.failed) return findings;
  }
  findings.push(...verifier.finish());
  return findings;
}

/** One wrong ledger: how it is made, and what a strict replay says of it, as "seqno: reason". */
export type Mischief = readonly [expected: string | RegExp, make: (forge: LedgerForge) => unknown];

/** Checks that a strict replay refuses each ledger for its own reason, with and, unless told otherwise, without secrets. */
export function assertRefused(
  primitives: Primitives,
  table: readonly Mischief[],
  which: "with and without secrets" | "with secrets" = "with and without secrets",
): void {
  for (const [expected, make] of table) {
    const forge = new LedgerForge(primitives);
    make(forge);
    for (const secrets of which === "with secrets" ? [forge.secrets] : [forge.secrets, undefined]) {
      const [finding] = findingsIn(primitives, forge.entries, secrets && { secrets });
      const found = finding === undefined ? "nothing" : `${finding.seqno}: ${finding.reason}`;
      if (typeof expected === "string") assert.equal(found, expected);
      else assert.match(found, expected);
      assert.equal(finding?.kind, "failure");
    }
  }
}
