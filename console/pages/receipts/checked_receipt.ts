/**
 * Receipts that were checked, for people and for machines.
 *
 * In: receipts with what came of them. Out: words for a verdict; the verdict file.
 */

import { toBase64 } from "../../../shared/bytes.ts";
import { formatTxId } from "../../../shared/tx_id.ts";
import type { VerdictKind } from "../../parts/verdict.tsx";
import type { JudgedReceipt } from "./judge_receipt.ts";
import type { ReadReceipt } from "./read_receipts.ts";

/** A receipt with what came of it; one that cannot be read has a problem instead. */
export interface CheckedReceipt {
  readonly read: ReadReceipt;
  readonly judged?: JudgedReceipt;
  readonly tookMs: number;
}

export const VERDICT_LOOK: Readonly<
  Record<JudgedReceipt["verdict"], { readonly kind: VerdictKind; readonly words: string }>
> = {
  verified: { kind: "verified", words: "Verified" },
  "not pinned": { kind: "cannot", words: "Valid, for a service that you have not pinned" },
  "cannot be checked": { kind: "cannot", words: "Cannot be checked" },
  refused: { kind: "failed", words: "Refused" },
};

/** For machines: JSON, each receipt with its steps and itself. */
export function verdictFile(checked: readonly CheckedReceipt[], nowMs: number): string {
  return JSON.stringify(
    {
      format: "quorate-receipt-verdicts",
      version: 1,
      checked_at: new Date(nowMs).toISOString(),
      receipts: checked.map(({ read, judged }) => ({
        name: read.name,
        verdict: judged?.verdict ?? "refused",
        reason: judged?.reason ?? (read.kind === "unreadable" ? read.problem.why : ""),
        ...(read.kind === "unreadable" && { code: read.problem.code }),
        ...(judged !== undefined && {
          kind: judged.kind,
          transactions: judged.paths.flatMap(({ txId }) => txId === undefined ? [] : [formatTxId(txId)]),
          service_identity: judged.serviceIdentity ?? null,
          node_id: judged.nodeId ?? null,
          steps: judged.steps.map(({ name, result, detail }) => ({ name, result, detail })),
          not_proved: judged.notProved,
        }),
        receipt: toBase64(read.bytes),
      })),
    },
    null,
    2,
  ) + "\n";
}
