/**
 * Whether the transaction that a node named for a signed request has that request in it.
 *
 * In: the ledger as folded here, the envelope, the TxID that the node answered with. Out: held, contradicted, or not known.
 * A receipt proves that a transaction is there, and not what stands in it: a node that drops a ballot could name another
 * transaction, with a good receipt. Knows nothing of nodes and screens.
 * Where requests are kept: governance.md §3, `public:ccf.gov.cose_history`
 */

import { equalBytes } from "../../shared/bytes.ts";
import { MAX_COMMIT_QUESTIONS } from "../../shared/limits.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import type { LedgerApi } from "../ledger/protocol.ts";
import type { Problem } from "../problem.ts";
import type { SignedEnvelope } from "./envelope.ts";

export type RequestInLedger =
  | { readonly kind: "held" }
  /** The ledger has the transaction, and something else stands in it. */
  | { readonly kind: "contradicted"; readonly problem: Problem }
  | { readonly kind: "unknown"; readonly why: string };

/** Kinds whose requests a service keeps as they were signed. */
const KEPT: readonly SignedEnvelope["kind"][] = ["proposal", "ballot", "withdrawal"];

const MS_BETWEEN_LOOKS = 500;

/**
 * Looks until a signature covers the transaction, at most `MAX_COMMIT_QUESTIONS` times.
 *
 * @param wait for so many milliseconds
 */
export async function findRequest(
  ledger: Pick<LedgerApi, "refresh" | "transaction">,
  { kind, memberId, body }: SignedEnvelope,
  txId: string,
  wait: (ms: number) => Promise<void>,
): Promise<RequestInLedger> {
  if (!KEPT.includes(kind)) return { kind: "unknown", why: "services keep no request of this kind in their ledger" };
  const { view, seqno } = parseTxId(txId);
  for (let looked = 1; looked <= MAX_COMMIT_QUESTIONS; looked++) {
    if (looked > 1) await wait(MS_BETWEEN_LOOKS);
    await ledger.refresh();
    const answer = await ledger.transaction(seqno, view);
    if (!answer.found) {
      if (answer.why === "pending" || answer.why === "unknown") continue;
      return answer.why === "invalid" ? contradicted(txId, answer.detail) : { kind: "unknown", why: answer.detail };
    }
    const { proof, requestedBy } = answer.transaction;
    if (proof !== "verified") continue;
    const isHeld = requestedBy?.memberId === memberId && equalBytes(requestedBy.request, body);
    return isHeld ? { kind: "held" } : contradicted(
      txId,
      requestedBy === undefined ? "No member's request stands in it" : "The request in it is another one",
    );
  }
  return { kind: "unknown", why: `the ledger was not read up to transaction ${txId} in time` };
}

function contradicted(txId: string, why: string): RequestInLedger {
  return {
    kind: "contradicted",
    problem: {
      code: "RequestNotInLedger",
      what: `Your request is not in transaction ${txId}, which the node named for it`,
      why,
      todo:
        "Do not rely on this node: look on Proposals whether your request arrived, and send the same bytes to another " +
        "node from the outbox on Keys",
    },
  };
}
