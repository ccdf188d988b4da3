/**
 * `ledger verify`: runs an audit, and tells its result to people or machines.
 *
 * In: an audit, and what else was asked for. Out: text or one JSON document; the next pin; an exit code.
 */

import type { ReplayMode } from "../../shared/ledger/replay/state.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import { describeEvent, GovernanceLog } from "../governance_log.ts";
import { auditLedger, type AuditRequest, type AuditResult } from "../ledger_audit.ts";
import { writePin } from "../ledger_pin.ts";
import { ExitCode } from "./exit.ts";
import type { LedgerOutput } from "./ledger_output.ts";
import { safeText } from "./ledger_values.ts";

export interface VerifyRequest {
  readonly audit: Omit<AuditRequest, "observer" | "onProgress">;
  readonly governance: boolean;
  /** Where to keep what is pinned. */
  readonly pinPath?: string | undefined;
  readonly json: boolean;
}

/**
 * @returns 0 where the ledger verifies, 1 where it is refused
 * @throws UsageError where input cannot be read, the members' keys do not suffice, or the pin cannot be written
 */
export function verifyLedger({ audit, governance, pinPath, json }: VerifyRequest, output: LedgerOutput): number {
  const log = governance ? new GovernanceLog() : undefined;
  try {
    const result = auditLedger({ ...audit, observer: log, onProgress: (bytes, of) => output.progress(bytes, of) });
    if (pinPath !== undefined && result.pin !== undefined) writePin(pinPath, result.pin);
    if (json) output.line(JSON.stringify(describeForMachines(result, log), null, 2));
    else printForPeople(result, log, audit.mode, pinPath, output);
    return result.failure === undefined ? ExitCode.done : ExitCode.refused;
  } finally {
    output.finish();
  }
}

function describeForMachines(result: AuditResult, log: GovernanceLog | undefined) {
  const { failure, lastSigned, last } = result;
  return {
    verdict: failure === undefined ? "verified" : "refused",
    first_failing_seqno: failure?.seqno ?? null,
    reason: failure?.reason ?? null,
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
    ...(log !== undefined && {
      governance: {
        events: log.events.map(({ txId, what }) => ({ tx_id: formatTxId(txId), what })),
        unlisted: log.unlisted,
        members: log.members.map(({ id, status, recoveryRole }) => ({
          member_id: id,
          status,
          recovery_role: recoveryRole ?? null,
        })),
        recovery_threshold: log.recoveryThreshold ?? null,
      },
    }),
  };
}

function printForPeople(
  result: AuditResult,
  log: GovernanceLog | undefined,
  mode: ReplayMode,
  pinPath: string | undefined,
  output: LedgerOutput,
): void {
  const { bold, green, red, yellow } = output.colors;
  const line = (text: string) => output.line(safeText(text));
  if (log !== undefined) printGovernance(log, output);
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
    if (pinPath !== undefined) line(`  pinned in ${pinPath}`);
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

function printGovernance(log: GovernanceLog, output: LedgerOutput): void {
  const { bold } = output.colors;
  const line = (text: string) => output.line(safeText(text));
  output.line(bold("Governance"));
  for (const event of log.events) line(`  ${describeEvent(event)}`);
  if (log.unlisted > 0) line(`  and ${log.unlisted} more`);
  output.line(bold("Members"));
  for (const { id, status, recoveryRole } of log.members) {
    line(`  ${id} ${status}${recoveryRole === undefined ? "" : `, ${recoveryRole}`}`);
  }
  line(`  recovery threshold ${log.recoveryThreshold ?? "unknown"}`);
  line("  Requests are signed by these members; what the constitution makes of them was not run again");
}
