/**
 * Transaction IDs: a view and a seqno, written "2.14" (ledger-and-receipts.md §1).
 */

import { MAX_SEQNO } from "./limits.ts";
import { FormatError } from "./assert.ts";

/** Position in the ledger; 1 is the genesis transaction, 0 is "none". */
export type Seqno = number;

/** Term of one primary; a new service starts in view 2, 0 is "none". */
export type View = number;

export interface TxId {
  readonly view: View;
  readonly seqno: Seqno;
}

/** What a node knows about a transaction (http-api.md §5, `/tx`). */
export type TxStatus = "Committed" | "Invalid" | "Pending" | "Unknown";

export function formatTxId(id: TxId): string {
  return `${id.view}.${id.seqno}`;
}

/**
 * Parses "view.seqno": two decimal numbers of at least 1, without sign, space or padding.
 *
 * @throws FormatError
 */
export function parseTxId(text: string): TxId {
  const match = /^([1-9][0-9]*)\.([1-9][0-9]*)$/.exec(text);
  const view = Number(match?.[1]);
  const seqno = Number(match?.[2]);
  if (match === null || view > MAX_SEQNO || seqno > MAX_SEQNO) {
    throw new FormatError(
      `Cannot read ${JSON.stringify(text.slice(0, 60))} as a transaction ID: it must look like "2.14"`,
    );
  }
  return { view, seqno };
}

export function sameTxId(a: TxId, b: TxId): boolean {
  return a.view === b.view && a.seqno === b.seqno;
}
