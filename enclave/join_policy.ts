/**
 * Whether a node may join: its evidence, checked and judged by what the members allow.
 *
 * In: evidence as the node sent it, the key that it proved to have, the join policy's tables, the moment. Out: the
 * measurement of its code, or at which step it was refused and why. Knows nothing of requests and answers.
 * All that judges is in `shared/attestation`: whoever verifies a network later runs the same lines.
 *
 * The moment, at which certificates must be valid, is the host's clock, as in CCF, and a host may lie. What it gains:
 * certificates that have ended, or are not valid yet, pass; of Intel's platforms also old collateral, which knows neither
 * the newest holes nor the newest revocations. It still needs evidence that genuine hardware signed, for the very key and
 * for code that members allow.
 */

import { type EvidenceAnchors, verifyEvidence } from "../shared/attestation/evidence.ts";
import { judgeJoiner, type Judgement } from "../shared/attestation/join_policy.ts";
import { toHex } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { joinPolicyOf } from "../shared/governance/join_policy_tables.ts";
import { NODES_INFO, type QuoteInfo } from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";

export interface JudgeOptions {
  readonly primitives: Primitives;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** The makers' own keys unless said otherwise. */
  readonly anchors?: EvidenceAnchors | undefined;
}

/**
 * Judges a node's evidence.
 *
 * @param tx reads the join policy
 * @param spki SubjectPublicKeyInfo, DER, of the key that the node has proved to have
 */
export function judgeEvidence(
  tx: Transaction,
  quote: QuoteInfo,
  spki: Uint8Array,
  { primitives, atMs, anchors }: JudgeOptions,
): Judgement {
  const checked = verifyEvidence(quote, { at: atMs, anchors }, primitives);
  const judgement = judgeJoiner(joinPolicyOf(tx), checked, spki, primitives);
  if (judgement.verdict === "accepted" || judgement.step !== "public key") return judgement;
  // Report data begins with the hash of a node's key, which is its ID.
  const id = toHex(checked.claims!.reportData.subarray(0, 32));
  return tx.open(NODES_INFO).has(id)
    ? { ...judgement, reason: `the evidence is a copy of that of node ${id}` }
    : judgement;
}
