/**
 * Climbing from a forged service's node, in tests: what comes of it, and where it must break.
 */

import { strict as assert } from "node:assert";
import { loadNativePrimitives } from "../enclave/native_primitives.ts";
import { climb, type TrustRequest } from "../shared/trust/ladder.ts";
import { RUNGS, type TrustReport } from "../shared/trust/report.ts";
import { ANCHORS, certificateOf, MOMENT, snpEvidenceFor, TrustForge } from "./trust_forge.ts";

/** The faster set; that all of it holds on the other one `bundle_test.ts` shows. */
export const primitives = loadNativePrimitives();

/** A measurement that no member has allowed at a start. */
export const OTHER = "0b".repeat(48);

/** A service that members have opened. */
export function started(): TrustForge {
  return new TrustForge(primitives).start();
}

/** Verifies the node that leads the ledger, or as `change` has it. */
export function report(forge: TrustForge, change: Partial<TrustRequest> = {}): TrustReport {
  return climb({
    primitives,
    evidence: snpEvidenceFor(forge.node),
    peer: { der: certificateOf(forge.node), connection: "held" },
    servicePem: forge.service.certificatePem,
    ledger: forge.fold(),
    redecided: { requests: 3, doubt: undefined, undecidable: 0 },
    at: MOMENT,
    upTo: "network",
    anchors: ANCHORS,
    ...change,
  });
}

/** That exactly this step breaks the ladder, for a reason like this; what stands above it was not reached. */
export function breaksAt(found: TrustReport, at: string, reason: RegExp): void {
  assert.equal(found.verdict, "refused", at);
  const [rung, step] = at.split(": ") as [typeof RUNGS[number], string];
  const broken = found.rungs.filter(({ verdict }) => verdict === "refused");
  assert.deepEqual(broken.map(({ name }) => name), [rung], found.reason);
  const bad = broken[0]!.steps.filter(({ result }) => result === "failed" || result === "cannot be checked");
  assert.equal(bad[0]?.name, step, found.reason);
  assert.match(bad[0]!.detail, reason);
  assert.equal(found.reason, `${rung}: ${step}: ${bad[0]!.detail}`);
  const above = found.rungs.slice(RUNGS.indexOf(rung) + 1);
  assert.ok(above.every(({ verdict }) => verdict === "not checked"));
}
