/**
 * Whether the ledger that is open has the transaction of a receipt: a receipt of another branch, or of what never was in
 * it, is found.
 *
 * In: a receipt that was judged, the worker, what it has folded. Out: one more step; the node that signed, to go on to.
 */

import type { Seqno } from "../../../shared/tx_id.ts";
import type { LedgerApi, ServiceFacts } from "../../ledger/protocol.ts";
import type { JudgedReceipt } from "./judge_receipt.ts";
import type { DrawnPath } from "./receipt_path.ts";
import type { ReceiptStep } from "./receipt_steps.ts";

export type AskedLedger = Pick<LedgerApi, "transaction" | "proof">;

export interface LedgerFinding {
  readonly step: ReceiptStep;
  /** Of the transaction, where the ledger has it. */
  readonly seqno?: Seqno;
  /** Of the signature that covers it in the ledger. */
  readonly signedByNode?: string;
}

const NAME = { name: "ledger", title: "The open ledger has this transaction" } as const;

/** @param service of the ledger that is open */
export async function findInLedger(
  ledger: AskedLedger,
  service: ServiceFacts | undefined,
  receipt: JudgedReceipt,
): Promise<LedgerFinding> {
  const [path] = receipt.paths;
  if (path === undefined) return cannot("the receipt cannot be read");
  if (path.txId === undefined) return cannot("the receipt names no transaction that could be looked up");
  if (service === undefined) return cannot("nothing of the ledger is verified yet");
  const { serviceIdentity } = receipt;
  if (serviceIdentity !== undefined && !service.identities.some(({ identity }) => identity === serviceIdentity)) {
    return cannot("the ledger that is open is of another service than the receipt");
  }
  return await lookUp(ledger, path, path.txId);
}

async function lookUp(
  ledger: AskedLedger,
  path: DrawnPath,
  { view, seqno }: NonNullable<DrawnPath["txId"]>,
): Promise<LedgerFinding> {
  const answer = await ledger.transaction(seqno, view);
  if (!answer.found) {
    if (answer.why !== "invalid") return cannot(answer.detail);
    return {
      step: {
        ...NAME,
        result: "failed",
        detail: `the ledger has another transaction with seqno ${seqno}: ${answer.detail}`,
        inputs: {},
        meaning: "The receipt is of another branch of the ledger: one of the two never was, or the service forked",
      },
    };
  }
  const { leaf, proof } = answer.transaction;
  const isSame = leaf === path.leaf;
  const signature = isSame ? (await ledger.proof(seqno))?.signature : undefined;
  const isProved = proof === "verified";
  return {
    seqno,
    ...(signature !== undefined && { signedByNode: signature.nodeId }),
    step: {
      ...NAME,
      result: !isSame ? "failed" : isProved ? "verified" : "cannot be checked",
      detail: !isSame
        ? `transaction ${view}.${seqno} of the ledger has leaf ${leaf}, and the receipt ${path.leaf}`
        : isProved
        ? `transaction ${view}.${seqno} is in the ledger with this leaf, under the signature ${
          signature?.txId ?? "there"
        }`
        : "the ledger has it, and no signature covers it yet",
      inputs: { "Leaf in the ledger": leaf, "Leaf of the receipt": path.leaf },
      ...(!isSame && {
        meaning: "The receipt was altered, or it is of another branch of the ledger",
      }),
    },
  };
}

function cannot(detail: string): LedgerFinding {
  return { step: { ...NAME, result: "cannot be checked", detail, inputs: {} } };
}
