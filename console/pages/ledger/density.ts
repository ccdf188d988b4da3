/**
 * The strip over the list: how many entries of which kind each part of the ledger has.
 *
 * In: counts by kind in equal parts. Out: the range of seqnos of each part, heights to draw, sentences.
 */

import type { EntryKind } from "../../ledger/protocol.ts";

export type KindCounts = Readonly<Partial<Record<EntryKind, number>>>;

export interface DensityPart {
  readonly from: number;
  readonly to: number;
  /** Entries that are neither signatures nor internal: what people did. */
  readonly acts: number;
  readonly governance: number;
  readonly total: number;
  readonly text: string;
}

/** @param first seqno of the first entry; @param last of the last one */
export function densityParts(counts: readonly KindCounts[], first: number, last: number): DensityPart[] {
  const entries = last - first + 1;
  const startOf = (i: number) => first + Math.ceil((i * entries) / counts.length);
  return counts.map((count, i) => {
    const [from, to] = [startOf(i), Math.max(startOf(i), startOf(i + 1) - 1)];
    const total = Object.values(count).reduce((sum, n) => sum + n, 0);
    const governance = (count.governance ?? 0) + (count.reconfiguration ?? 0);
    const words = Object.entries(count).map(([kind, n]) => `${n} ${kind}`).join(", ");
    return {
      from,
      to,
      acts: (count.user ?? 0) + governance,
      governance,
      total,
      text: `${from === to ? `Entry ${from}` : `Entries ${from} to ${to}`}: ${words || "none"}`,
    };
  });
}
