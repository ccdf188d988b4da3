/**
 * What a replay has to say about a ledger.
 */

import type { Seqno } from "../../tx_id.ts";

/** Something that older versions wrote and a current one does not. */
export type DeviationRule =
  | "chunk boundary without a flag"
  | "chunk flag out of place"
  | "open chunk before others"
  | "entry of an older type"
  | "conflict version"
  | "form of the write set"
  | "form of a value"
  | "signature without COSE"
  | "signature without a current certificate"
  | "first transaction"
  | "recovery without its tables"
  | "opening without its tables"
  | "recipients of a secret";

export type Finding =
  /** The ledger is not sound from here on: nothing after it is looked at. */
  | { readonly kind: "failure"; readonly seqno: Seqno; readonly reason: string }
  /** Tolerated, because the replay is a lenient one. */
  | { readonly kind: "deviation"; readonly seqno: Seqno; readonly rule: DeviationRule; readonly reason: string }
  /** Sound, and worth knowing. */
  | { readonly kind: "warning"; readonly seqno: Seqno; readonly reason: string };
