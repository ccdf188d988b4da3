/**
 * What an open ledger says about a node's evidence, and about who was let in.
 *
 * In: a node's own evidence, an open ledger. Out: the rungs that hold, a bundle for others to check, the history of code.
 * All of it is judged by `shared/trust`.
 */

import { FormatError } from "../../shared/assert.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { MAX_BUNDLE_LEDGER_BYTES } from "../../shared/limits.ts";
import { type EvidenceBundle, parseAnswer, serialiseBundle } from "../../shared/trust/bundle.ts";
import type { Cause } from "../../shared/trust/decisions.ts";
import { climb } from "../../shared/trust/ladder.ts";
import type { RedecidedRequests } from "../../shared/trust/network_rung.ts";
import type { TrustReport } from "../../shared/trust/report.ts";
import { ProblemError } from "../problem.ts";
import type { OpenLedger } from "./open_ledger.ts";
import type { NodeEvidence, TrustHistory } from "./protocol.ts";
import { pinStanding } from "./refusals.ts";

/** @param redecided what came of an audit, where there was one */
export function climbOver(
  ledger: OpenLedger,
  evidence: NodeEvidence,
  redecided: RedecidedRequests | undefined,
  primitives: Primitives,
): TrustReport {
  const bundle = bundleOf(evidence);
  const { fold, options } = ledger;
  return climb({
    primitives,
    evidence: bundle.evidence,
    nodeId: bundle.nodeId,
    peer: evidence.peerCertificate && { der: evidence.peerCertificate, connection: "held" },
    servicePem: options.serviceCertificatePem,
    ledger: fold.trust ?? { unavailable: "the ledger here begins with a snapshot, and not with its first entry" },
    redecided,
    pinned: pinStanding(ledger),
    at: evidence.nowMs,
    upTo: "network",
  });
}

export function trustHistoryOf({ fold: { trust } }: OpenLedger): TrustHistory | undefined {
  return trust && {
    policyChanges: trust.policyChanges.map((change) => ({ ...change, cause: withoutProposal(change.cause) })),
    admissions: trust.admissions.map(({ nodeId, registeredAt, registeredBy, trusted, status, problems }) => ({
      nodeId,
      registeredAt,
      registeredBy: withoutProposal(registeredBy),
      ...(trusted !== undefined && { trusted: { at: trusted.at, by: withoutProposal(trusted.by) } }),
      status,
      problems,
    })),
  };
}

/** JSON text for `quote verify`; with the ledger where it is whole and not too large. */
export async function bundleFor(ledger: OpenLedger, evidence: NodeEvidence): Promise<string> {
  const { index, fold, source } = ledger;
  const entries: Uint8Array[] = [];
  if (fold.trust !== undefined && index.bytes <= MAX_BUNDLE_LEDGER_BYTES) {
    const last = index.signatures.at(-1)?.seqno ?? 0;
    for (let seqno = index.first; seqno <= last; seqno++) entries.push((await ledger.entry(seqno)).bytes);
  }
  return serialiseBundle({
    ...bundleOf(evidence),
    source: source.name,
    savedAtMs: evidence.nowMs,
    ...(evidence.peerCertificate !== undefined && { nodeCertificate: evidence.peerCertificate }),
    ...(entries.length > 0 && { entries }),
  });
}

function bundleOf({ answer }: NodeEvidence): EvidenceBundle {
  try {
    return parseAnswer(answer);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "EvidenceUnreadable",
      what: "What the node says about itself is no evidence",
      why: error.message,
      todo: "Connect to another node; this one does not show what it runs on",
    });
  }
}

/** Proposals may be large, and are asked for by their seqno. */
function withoutProposal(cause: Cause): Cause {
  return cause.kind === "decision" ? { ...cause, decision: { ...cause.decision, proposal: undefined } } : cause;
}
