/**
 * The timeline of allowed code.
 *
 * In: changes of the tables that say what may join, in order. Out: the same, newest first, each with where it ended.
 */

import { POLICY_TABLES, type PolicyChange } from "../../../shared/trust/trust_fold.ts";
import type { TxId } from "../../../shared/tx_id.ts";

/** What stands in each of the tables. */
export const POLICY_WORDS = POLICY_TABLES;

export interface TimelineRow {
  readonly change: PolicyChange;
  /** Where it was taken back or set anew; undefined: it stands. */
  readonly until: TxId | undefined;
}

export function timelineOf(changes: readonly PolicyChange[]): readonly TimelineRow[] {
  const ends = new Map<string, TxId>();
  return changes.toReversed().map((change): TimelineRow => {
    const key = JSON.stringify([change.table, change.key]);
    const until = ends.get(key);
    ends.set(key, change.txId);
    return { change, until };
  });
}
