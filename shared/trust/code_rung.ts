/**
 * The rung "code": who allowed what a node runs, and whether they still would let it in.
 *
 * In: a ledger that was folded, a node's row, its evidence as it was checked. Out: steps.
 * Rules: nodes-and-attestation.md §9
 */

import { type CheckedEvidence, describeTcb } from "../attestation/evidence.ts";
import { judgeJoiner, tcbMinimumFor } from "../attestation/join_policy.ts";
import { toHex } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parsePublicKeyPem } from "../crypto/public_key.ts";
import { joinPolicyOf } from "../governance/join_policy_tables.ts";
import {
  DCAP_TCB_STATUSES,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../governance/tables.ts";
import { formatTxId } from "../tx_id.ts";
import type { NodeAdmission } from "./admissions.ts";
import { describeCause } from "./decisions.ts";
import { cannot, step, type TrustStep } from "./report.ts";
import { POLICY_TABLES, type PolicyChange, type TrustFold } from "./trust_fold.ts";

/** @throws FormatError where a table of what may join cannot be read */
export function codeSteps(
  fold: TrustFold,
  admission: NodeAdmission | undefined,
  checked: CheckedEvidence,
  primitives: Primitives,
): TrustStep[] {
  if (admission === undefined) return [cannot("admission", "the ledger has no row of this node")];
  const wanted = allowancesOf(fold, checked);
  if (wanted === undefined) return [step("code", false, "nothing that members allow fits this evidence")];
  return [
    ...wanted.map(({ table, key }) => allowedStep(fold, admission, table, key)),
    todayStep(fold, admission, wanted, checked, primitives),
  ];
}

/** Whether members would still let it in: they may have taken the code back, or want a newer TCB version. */
function todayStep(
  fold: TrustFold,
  { row, registeredAt }: NodeAdmission,
  wanted: readonly Allowance[],
  checked: CheckedEvidence,
  primitives: Primitives,
): TrustStep {
  const name = "today";
  if (row.public_key === undefined) return cannot(name, "the ledger has no key of this node");
  const reason = whyNotToday(fold, row.public_key, checked, primitives);
  if (reason === undefined) return step(name, true, `as of ${formatTxId(fold.lastSigned)} it would be let in again`);
  const change = fold.policyChanges.findLast(({ table, key, txId }) =>
    txId.seqno > registeredAt.seqno && wanted.some((each) => each.table === table && each.key === key)
  );
  const since = change === undefined ? "" : `, since ${formatTxId(change.txId)}, by ${describeCause(change.cause)}`;
  return step(name, false, `it would not be let in any more: ${reason}${since}`, change?.cause);
}

/** Why a node with this evidence would not be let in as of the ledger's end; undefined where it would. @throws FormatError */
export function whyNotToday(
  fold: TrustFold,
  publicKeyPem: string,
  checked: CheckedEvidence,
  primitives: Primitives,
): string | undefined {
  const { spki } = parsePublicKeyPem(publicKeyPem);
  const judgement = judgeJoiner(joinPolicyOf(fold.tables()), checked, spki, primitives);
  return judgement.verdict === "accepted" ? undefined : judgement.reason;
}

/** A key in a table of what may join. */
interface Allowance {
  readonly table: string;
  readonly key: string;
}

/** What must be allowed for this evidence; undefined where nothing could be. */
function allowancesOf(
  fold: TrustFold,
  { claims, uvm }: CheckedEvidence,
): Allowance[] | undefined {
  if (claims === undefined) return undefined;
  if (claims.platform === "virtual") {
    return claims.hostData === undefined ? undefined : [
      { table: VIRTUAL_MEASUREMENTS.name, key: claims.measurement },
      { table: VIRTUAL_HOST_DATA.name, key: claims.hostData },
    ];
  }
  const policy = joinPolicyOf(fold.tables());
  if (claims.platform !== "snp") {
    const { platform, hostData, tcbStatuses } = claims;
    const measurements = platform === "tdx" ? TDX_MEASUREMENTS : SGX_MEASUREMENTS;
    const status = tcbStatuses.find((one) => policy.hasDcapTcbStatus(one)) ?? tcbStatuses[0] ?? "none";
    return [
      { table: measurements.name, key: toHex(claims.measurement) },
      ...(hostData === undefined ? [] : [{ table: TDX_HOST_DATA.name, key: toHex(hostData) }]),
      { table: DCAP_TCB_STATUSES.name, key: status },
    ];
  }
  const minimum = tcbMinimumFor(policy, claims);
  return [
    uvm === undefined
      ? { table: SNP_MEASUREMENTS.name, key: toHex(claims.measurement) }
      : { table: SNP_UVM_ENDORSEMENTS.name, key: uvm.claims?.did ?? "none" },
    { table: SNP_HOST_DATA.name, key: toHex(claims.hostData) },
    { table: SNP_TCB_VERSIONS.name, key: minimum?.cpuid ?? describeTcb(claims.reportedTcb) },
  ];
}

/** Who allowed it before the node came. */
function allowedStep(fold: TrustFold, { registeredAt }: NodeAdmission, table: string, key: string): TrustStep {
  const what = POLICY_TABLES.get(table)!;
  // A node that starts or recovers a service has its own code written in the same transaction.
  const allowed = fold.policyChanges.findLast((change) =>
    change.table === table && change.key === key && change.txId.seqno <= registeredAt.seqno
  );
  return allowed === undefined || allowed.isRemoval
    ? step(what, false, `${key} was not allowed when the node asked to join, in ${formatTxId(registeredAt)}`)
    : causeStep(what, key, allowed);
}

function causeStep(what: string, key: string, { txId, cause }: PolicyChange): TrustStep {
  const problem = cause.kind === "decision" ? cause.decision.problems[0] : undefined;
  const isDecided = problem === undefined &&
    (cause.kind === "genesis" || cause.kind === "recovery" || cause.kind === "decision");
  const by = `${key} was allowed in ${formatTxId(txId)} by ${describeCause(cause)}`;
  return step(what, isDecided, problem === undefined ? by : `${by}: ${problem}`, cause);
}
