/**
 * Who decided what a transaction did: the proposal that was accepted in it, and how the votes on it were counted.
 *
 * In: the worker, a seqno. Out: IDs and votes as the ledger has them; undefined where no proposal was accepted there.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { LedgerApi } from "../ledger/protocol.ts";

export interface DecidedBy {
  readonly proposalId: string;
  readonly proposerId: string;
  /** Member ID → what its ballot came to, where the row says so. */
  readonly votes: Readonly<Record<string, boolean>>;
}

/** The proposal that was accepted in a transaction. */
export async function deciderOf(ledger: LedgerApi, seqno: Seqno): Promise<DecidedBy | undefined> {
  const answer = await ledger.transaction(seqno);
  if (!answer.found) return undefined;
  for (const { table, key, after } of answer.transaction.writes) {
    if (table !== PROPOSALS_INFO.name || after === undefined) continue;
    try {
      const { state, proposer_id, final_votes } = PROPOSALS_INFO.value.decode(after);
      if (state === "Accepted") {
        return { proposalId: fromUtf8Lenient(key), proposerId: proposer_id, votes: final_votes ?? {} };
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return undefined;
}
