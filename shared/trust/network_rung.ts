/**
 * The rung "network": that every node which was ever trusted was let in by the rules, and that the rules are the members'.
 *
 * In: a ledger that was folded, what came of deciding members' requests again. Out: steps.
 * Rules: nodes-and-attestation.md §11
 */

import type { CheckedEvidence } from "../attestation/evidence.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { formatTxId } from "../tx_id.ts";
import type { NodeAdmission } from "./admissions.ts";
import { whyNotToday } from "./code_rung.ts";
import { describeCause } from "./decisions.ts";
import { cannot, skipped, step, type TrustStep } from "./report.ts";
import type { TrustFold } from "./trust_fold.ts";

export interface RedecidedRequests {
  readonly requests: number;
  /** The first that does not follow, as a sentence. */
  readonly doubt: string | undefined;
  /** Those of which it cannot be said, since a script looked at the time or at chance. */
  readonly undecidable: number;
}

/** @param checked the evidence of the node that was asked: no other may have less to show */
export function networkSteps(
  fold: TrustFold,
  redecided: RedecidedRequests | undefined,
  checked: CheckedEvidence,
  primitives: Primitives,
): TrustStep[] {
  return [
    ...fold.lives.map(({ identity, opened }, i) => {
      const name = i === 0 ? "service" : `recovery ${i}`;
      const id = identity.certificate.nodeId;
      if (opened === undefined) return step(name, false, `members have not opened the service ${id}`);
      const isDecided = opened.by.kind === "decision" && opened.by.decision.problems.length === 0;
      const how = `the service ${id}, from transaction ${identity.from} on, was opened by ${describeCause(opened.by)}`;
      return step(name, isDecided, how, opened.by);
    }),
    problemStep(
      "rules",
      fold.ruleProblems,
      `${fold.ruleChanges} changes of members and of the constitution, each by a decision or an acknowledgement`,
    ),
    problemStep(
      "allowed code",
      fold.policyProblems,
      `${fold.policyChanges.length} changes of what may join, each at a service's start or by a decision`,
    ),
    redecidedStep(redecided),
    ...fold.admissions.filter(({ trusted }) => trusted !== undefined).map((admission) =>
      nodeStep(fold, admission, checked, primitives)
    ),
  ];
}

/** One node's way in. */
function nodeStep(
  fold: TrustFold,
  { nodeId, row, trusted, problems, judged, registeredAt, status }: NodeAdmission,
  checked: CheckedEvidence,
  primitives: Primitives,
): TrustStep {
  const name = `node ${nodeId}`;
  if (problems.length > 0) return step(name, false, `${formatTxId(registeredAt)}: ${problems[0]!}`);
  if (judged === undefined) return cannot(name, "no signature covers its row yet");
  const time = new Date(judged.atMs).toISOString().slice(0, 19);
  const what = judged.checked.outcome === "virtual" ? "virtual evidence, which proves nothing" : "genuine evidence";
  const by = describeCause(trusted!.by);
  // A virtual node among others would make all that hangs on the service's key worth nothing.
  const isWeaker = judged.checked.outcome === "virtual" && checked.outcome !== "virtual";
  const way =
    `${what}, of code that was allowed when it registered in ${formatTxId(registeredAt)} (${time}Z); trusted by ` +
    `${by}; now ${status}`;
  if (isWeaker || status !== "Trusted" || row.public_key === undefined) return step(name, !isWeaker, way, trusted!.by);
  // It has the service's key, and answers in its name.
  const reason = whyNotToday(fold, row.public_key, judged.checked, primitives);
  return reason === undefined
    ? step(name, true, way, trusted!.by)
    : step(name, false, `${way}, though it would not be let in any more: ${reason}`, trusted!.by);
}

function redecidedStep(redecided: RedecidedRequests | undefined): TrustStep {
  const name = "decisions";
  if (redecided === undefined) {
    return skipped(name, "members' requests were not decided again: that takes their scripts");
  }
  const { requests, doubt, undecidable } = redecided;
  if (doubt !== undefined) return step(name, false, doubt);
  // Of ballots that are signed, only deciding again says whether they were enough.
  if (undecidable > 0) {
    return cannot(
      name,
      `of ${undecidable} of ${requests} requests of members it cannot be said whether they follow from what was signed, since ` +
        "scripts looked at the time or at chance",
    );
  }
  return step(name, true, `${requests} requests of members were decided again, and follow from what they signed`);
}

function problemStep(
  name: string,
  problems: readonly { txId: { view: number; seqno: number }; reason: string }[],
  well: string,
): TrustStep {
  const [first] = problems;
  return first === undefined ? step(name, true, well) : step(name, false, `${formatTxId(first.txId)}: ${first.reason}`);
}
