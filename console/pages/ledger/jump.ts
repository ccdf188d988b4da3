/**
 * What "jump to" means: a TxID, a seqno, or a time.
 *
 * In: what was typed. Out: which of the three it is; undefined where it is none.
 */

import { parseMoment } from "../../ledger/filter_query.ts";

export type Jump =
  | { readonly kind: "transaction"; readonly view: number; readonly seqno: number }
  | { readonly kind: "seqno"; readonly seqno: number }
  | { readonly kind: "time"; readonly ms: number };

export function parseJump(typed: string): Jump | undefined {
  const text = typed.trim();
  const txId = /^(\d{1,15})\.(\d{1,15})$/.exec(text);
  if (txId !== null) return { kind: "transaction", view: Number(txId[1]), seqno: Number(txId[2]) };
  if (/^\d{1,15}$/.test(text)) return { kind: "seqno", seqno: Number(text) };
  const ms = parseMoment(text, false);
  return ms === undefined ? undefined : { kind: "time", ms };
}
