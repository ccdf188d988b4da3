/** Whether what was read behind the last good signature was refused, and will never be proved by going on. */

import type { LedgerState } from "../../ledger/protocol.ts";

/** The entry that did not hold; undefined where nothing was refused: what is not signed yet may still be. */
export function refusedAt({ status, problem }: Pick<LedgerState, "status" | "problem">): number | undefined {
  return status === "stopped" ? problem?.seqno : undefined;
}
