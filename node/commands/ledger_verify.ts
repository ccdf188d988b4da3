/**
 * `ledger verify`: runs an audit, and tells its result to people or machines.
 *
 * In: an audit, and what else was asked for. Out: text or one JSON document; the next pin; an exit code.
 */

import type { ReplayMode } from "../../shared/ledger/replay/state.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import type { Snapshot } from "../../shared/ledger/snapshot.ts";
import type { MerkleTree } from "../../shared/merkle/tree.ts";
import type { AppEngine } from "../../enclave/app_engine.ts";
import { describeFinding, GovernanceAudit } from "../../enclave/audit/governance_audit.ts";
import { describeEvent, GovernanceLog } from "../../enclave/audit/governance_log.ts";
import { auditLedger, type AuditObserver, type AuditRequest, type AuditResult } from "../ledger_audit.ts";
import { writePin } from "../ledger_pin.ts";
import { ExitCode } from "./exit.ts";
import type { LedgerOutput } from "./ledger_output.ts";
import { safeText } from "./ledger_values.ts";

export interface VerifyRequest {
  readonly audit: Omit<AuditRequest, "observer" | "onProgress">;
  /** Tells what members decided, and decides it again with this engine. */
  readonly governance?: AppEngine | undefined;
  /** Where to keep what is pinned. */
  readonly pinPath?: string | undefined;
  readonly json: boolean;
}

/**
 * @returns 0 where the ledger verifies, 1 where it is refused
 * @throws UsageError where input cannot be read, the members' keys do not suffice, or the pin cannot be written
 */
export function verifyLedger({ audit, governance, pinPath, json }: VerifyRequest, output: LedgerOutput): number {
  const told = governance && new ToldGovernance(new GovernanceLog(), new GovernanceAudit(audit.primitives, governance));
  try {
    const audited = auditLedger({ ...audit, observer: told, onProgress: (bytes, of) => output.progress(bytes, of) });
    const result = withDoubts(audited, told?.audit);
    if (pinPath !== undefined && result.pin !== undefined) writePin(pinPath, result.pin);
    if (json) output.line(JSON.stringify(describeForMachines(result, told), null, 2));
    else printForPeople(result, told, audit.mode, pinPath, output);
    return result.failure === undefined ? ExitCode.done : ExitCode.refused;
  } finally {
    output.finish();
  }
}

/** What members decided, and whether it follows. */
class ToldGovernance implements AuditObserver {
  constructor(readonly log: GovernanceLog, readonly audit: GovernanceAudit) {}

  startFrom(snapshot: Snapshot): void {
    this.log.startFrom(snapshot);
    this.audit.startFrom(snapshot);
  }

  add(entry: Uint8Array, tree: MerkleTree): void {
    this.log.add(entry);
    this.audit.add(entry, tree);
  }
}

/** A ledger that is whole is refused all the same where a decision in it does not follow. */
function withDoubts(result: AuditResult, audit: GovernanceAudit | undefined): AuditResult {
  const first = audit?.firstDoubt;
  if (result.failure !== undefined || first === undefined) return result;
  const failure = { seqno: first.txId.seqno, reason: describeFinding(first), file: undefined, byReplay: false };
  return { ...result, failure, pin: undefined };
}

function describeForMachines(result: AuditResult, told: ToldGovernance | undefined) {
  const { failure, lastSigned, last } = result;
  return {
    verdict: failure === undefined ? "verified" : "refused",
    first_failing_seqno: failure?.seqno ?? null,
    reason: failure?.reason ?? null,
    pin_breach: failure?.code ?? null,
    file: failure?.file ?? null,
    last_signed: lastSigned === undefined ? null : formatTxId(lastSigned),
    last: last === undefined ? null : formatTxId(last),
    unsigned_tail: (last?.seqno ?? 0) - (lastSigned?.seqno ?? 0),
    transactions: result.transactions,
    snapshots: result.snapshots,
    private_tables: result.privateTables,
    identities: result.identities.map(({ from, certificate }) => ({ from, service_identity: certificate.nodeId })),
    warnings: result.warnings,
    deviations: result.deviations.map(({ seqno, rule, reason }) => ({ seqno, rule, reason })),
    unlisted: result.unlisted,
    ...(told !== undefined && { governance: governanceForMachines(told) }),
  };
}

function governanceForMachines({ log, audit }: ToldGovernance) {
  return {
    events: log.events.map(({ txId, what }) => ({ tx_id: formatTxId(txId), what })),
    unlisted: log.unlisted,
    members: log.members.map(({ id, status, recoveryRole }) => ({
      member_id: id,
      status,
      recovery_role: recoveryRole ?? null,
    })),
    recovery_threshold: log.recoveryThreshold ?? null,
    requests_decided_again: audit.requests,
    findings: audit.findings.map(({ txId, proposalId, verdict, reason }) => ({
      tx_id: formatTxId(txId),
      proposal_id: proposalId ?? null,
      verdict,
      reason,
    })),
    unlisted_findings: audit.unlisted,
    proposals: audit.proposals.all,
    unlisted_proposals: audit.proposals.unlisted,
  };
}

function printForPeople(
  result: AuditResult,
  told: ToldGovernance | undefined,
  mode: ReplayMode,
  pinPath: string | undefined,
  output: LedgerOutput,
): void {
  const { bold, green, red, yellow } = output.colors;
  const line = (text: string) => output.line(safeText(text));
  if (told !== undefined) printGovernance(told, output);
  for (const { seqno, rule, reason } of result.deviations) {
    output.line(`${yellow("Tolerated")}: ${safeText(`transaction ${seqno}, ${rule}: ${reason}`)}`);
  }
  for (const warning of result.warnings) output.line(`${yellow("Warning")}: ${safeText(warning)}`);
  if (result.unlisted > 0) line(`and ${result.unlisted} more`);

  const { failure, lastSigned } = result;
  if (failure === undefined) {
    const what = [`${result.transactions} transactions, signed up to ${formatTxId(lastSigned!)}`];
    if (result.snapshots > 0) what.push(`${result.snapshots} ${result.snapshots === 1 ? "snapshot" : "snapshots"}`);
    output.line(`${bold(green("Verified"))}: ${what.join("; ")}`);
    const identity = result.identities.at(-1)!;
    line(`  service ${identity.certificate.nodeId}`);
    if (!result.privateTables) line("  private tables were not decrypted: no --member-key was given");
    if (pinPath !== undefined && result.pin !== undefined) line(`  pinned in ${pinPath}`);
    return;
  }
  const where = failure.seqno === undefined ? "" : `transaction ${failure.seqno}: `;
  output.line(`${bold(red("Refused"))}: ${safeText(where + failure.reason)}`);
  if (failure.file !== undefined) line(`  in ${failure.file}`);
  if (failure.file?.endsWith(".committed")) {
    line("  committed files are the same on every node: compare it with another node's copy");
  }
  if (failure.byReplay && mode === "strict") {
    line("  if a version before 7.0 wrote it, see whether --lenient accepts it");
  }
  line(`  what comes before holds${lastSigned === undefined ? "" : `, signed up to ${formatTxId(lastSigned)}`}`);
}

function printGovernance({ log, audit }: ToldGovernance, output: LedgerOutput): void {
  const { bold, red, yellow } = output.colors;
  const line = (text: string) => output.line(safeText(text));
  output.line(bold("Governance"));
  for (const event of log.events) line(`  ${describeEvent(event)}`);
  if (log.unlisted > 0) line(`  and ${log.unlisted} more`);
  output.line(bold("Members"));
  for (const { id, status, recoveryRole } of log.members) {
    line(`  ${id} ${status}${recoveryRole === undefined ? "" : `, ${recoveryRole}`}`);
  }
  line(`  recovery threshold ${log.recoveryThreshold ?? "unknown"}`);
  output.line(bold("Decisions"));
  line(
    `  ${audit.requests} requests of members were decided again; findings: ${audit.findings.length + audit.unlisted}`,
  );
  for (const finding of audit.findings) {
    const color = finding.verdict === "does not follow" ? red : yellow;
    output.line(`  ${color(safeText(describeFinding(finding)))}`);
  }
  if (audit.unlisted > 0) line(`  and ${audit.unlisted} more`);
  if (audit.firstDoubt === undefined) line("  every decision that can be checked follows from what members signed");
}
