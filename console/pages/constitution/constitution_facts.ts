/**
 * The constitution in force, the ones before it, and by which proposal each came.
 *
 * In: the worker. Out: versions, newest first.
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromByteString, fromUtf8Lenient } from "../../../shared/bytes.ts";
import { CONSTITUTION, PROPOSALS_INFO } from "../../../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../../../shared/kv/codecs.ts";
import { MAX_CONSTITUTION_VERSIONS } from "../../../shared/limits.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";

export interface ConstitutionVersion {
  readonly seqno: Seqno;
  readonly timeMs?: number;
  /** JavaScript; or why the value is none. */
  readonly text: string;
  readonly isReadable: boolean;
  /** undefined: it came with the service's first transaction, or nothing in its transaction tells. */
  readonly decidedBy: DecidedBy | undefined;
}

export interface DecidedBy {
  readonly proposalId: string;
  readonly proposerId: string;
  /** Member ID → what its ballot came to, where the row says so. */
  readonly votes: Readonly<Record<string, boolean>>;
}

export interface ConstitutionFacts {
  readonly versions: readonly ConstitutionVersion[];
  /** There are more than are listed. */
  readonly isCut: boolean;
}

export async function constitutionFacts(ledger: LedgerApi): Promise<ConstitutionFacts> {
  const history = await ledger.history(CONSTITUTION.name, fromByteString(SINGLETON_KEY));
  const written = history.filter(({ value }) => value !== undefined);
  const listed = written.slice(0, MAX_CONSTITUTION_VERSIONS);
  const versions = await Promise.all(listed.map(async ({ seqno, value, timeMs }): Promise<ConstitutionVersion> => ({
    seqno,
    ...(timeMs !== undefined && { timeMs }),
    ...textIn(value!),
    decidedBy: await deciderOf(ledger, seqno),
  })));
  return { versions, isCut: written.length > listed.length };
}

function textIn(value: Uint8Array): { readonly text: string; readonly isReadable: boolean } {
  try {
    return { text: CONSTITUTION.value.decode(value), isReadable: true };
  } catch (error) {
    if (error instanceof FormatError) return { text: fromUtf8Lenient(value), isReadable: false };
    throw error;
  }
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
