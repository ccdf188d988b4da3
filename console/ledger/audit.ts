/**
 * Decides again what members asked for, in the page's worker: as `ledger verify --governance` does, by the same lines.
 *
 * In: every entry from the first on, verified, each with the tree up to it; the range to report on. Out: the report, and
 * what the last rung of a climb takes. Whoever hands the entries out decides when others get their turn, and when it ends.
 * The script engine is large: this file is only loaded when somebody asks for an audit (worker.ts).
 */

import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { isSignature } from "../../shared/ledger/signature.ts";
import { MAX_LISTED_FINDINGS } from "../../shared/limits.ts";
import { parseTxId, type Seqno } from "../../shared/tx_id.ts";
import { describeFinding, GovernanceAudit, type GovernanceFinding } from "../../enclave/audit/governance_audit.ts";
import type { ProposalHistory } from "../../enclave/audit/proposal_histories.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import type { AuditFinding } from "./protocol.ts";
import type { RunAudit } from "./reading.ts";

/** The report ends with the last entry that came: whoever stops it gets the truth about less. */
export const runAudit: RunAudit = async (primitives, entries, { from, to }) => {
  const audit = new GovernanceAudit(primitives, await loadScriptEngine(() => performance.now()));
  const findings: AuditFinding[] = [];
  const counts = { signatures: 0, requests: 0, failed: 0, undecided: 0, unlisted: 0 };
  let undecidable = 0;
  let reached = from - 1;
  for await (const { seqno, bytes, tree } of entries) {
    const before = audit.requests;
    audit.add(bytes, tree);
    // Taken out at each entry, so that the audit's own list never fills up and none is lost to a range.
    const found = audit.findings.splice(0);
    undecidable += found.length;
    if (seqno < from || seqno > to) continue;
    reached = seqno;
    counts.requests += audit.requests - before;
    if (isSignature(LedgerEntry.parse(bytes).publicTables(() => {}))) counts.signatures++;
    for (const finding of found) {
      if (finding.verdict === "does not follow") counts.failed++;
      else counts.undecided++;
      if (findings.length < MAX_LISTED_FINDINGS) findings.push(toldOf(finding));
      else counts.unlisted++;
    }
  }
  const { failed, undecided, unlisted, signatures, requests } = counts;
  const missing = unlisted + audit.unlisted;
  if (missing > 0) findings.push(warning(reached, "Findings are left out", `${missing} more findings are not listed`));
  if (audit.proposals.unlisted > 0) {
    const detail = `The ledger has more proposals than are kept apart; the decisions of the last ones are not counted`;
    findings.push(warning(reached, "Proposals are left out", detail));
  }
  // A range that has no entries says nothing about any.
  const isWhole = undecided === 0 && audit.unlisted === 0 && reached >= from;
  return {
    report: {
      verdict: failed > 0 ? "refused" : isWhole ? "verified" : "incomplete",
      from,
      to: reached,
      signatures,
      requests,
      decisions: decisionsIn(audit.proposals.all, from, reached),
      findings,
    },
    redecided: {
      requests: audit.requests,
      doubt: audit.firstDoubt && describeFinding(audit.firstDoubt),
      undecidable: undecidable + audit.unlisted,
    },
  };
};

function toldOf({ txId, proposalId, verdict, reason }: GovernanceFinding): AuditFinding {
  const isFailed = verdict === "does not follow";
  const subject = proposalId === undefined ? "The entry" : `Proposal ${proposalId}`;
  return {
    seqno: txId.seqno,
    verdict: isFailed ? "failed" : "cannot decide",
    what: isFailed ? `${subject} does not follow from what members signed` : `${subject} cannot be decided again`,
    detail: reason,
  };
}

function warning(seqno: Seqno, what: string, detail: string): AuditFinding {
  return { seqno, verdict: "warning", what, detail };
}

/** Requests by which a proposal was closed, whatever came of it. */
function decisionsIn(proposals: readonly ProposalHistory[], from: Seqno, to: Seqno): number {
  let decisions = 0;
  for (const { events } of proposals) {
    const closing = events.find(({ state }) => state !== "Open");
    if (closing?.request === undefined) continue;
    const { seqno } = parseTxId(closing.txid);
    if (seqno >= from && seqno <= to) decisions++;
  }
  return decisions;
}
