/**
 * What stands between a frontend and whatever runs member-approved code.
 *
 * A frontend asks an engine for the endpoint of a verb and path in a transaction, and gets a function to call.
 * Nothing in the store, the ledger or consensus may know which engine ran.
 */

import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import type { RawTable } from "../shared/kv/table.ts";
import type { Caller } from "./frontend/caller.ts";

/** What an app's endpoint is given (js-apps.md §4). */
export interface AppRequest {
  /** Upper case. */
  readonly method: string;
  /** With the frontend: `/app/log/1`, not percent-decoded. */
  readonly path: string;
  /** With the frontend: `/app/log/{id}`. */
  readonly route: string;
  /** Percent-decoded, without `?`. */
  readonly query: string;
  /** Raw template values. */
  readonly params: Readonly<Record<string, string>>;
  /** Lower-case names; of a header sent twice the first value. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** null where the endpoint asks for no authentication. */
  readonly caller: Caller | null;
}

export interface AppResponse {
  readonly status: number;
  /** Lower-case names, in the order they are sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** What a running script may reach outside itself: one call's transaction and a few questions to the node. */
export interface AppContext {
  readonly execution: "application" | "read-only application" | "read-only governance" | "read-write governance";
  /** A table of the call's transaction, by name; the engine checks rights (js-apps.md §8.2) before it asks. */
  table(name: string): RawTable;
  /** Milliseconds since 1970, for `Date`. */
  readonly nowMs: number;
  /** Bytes for `Math.random` and keys. */
  random(length: number): Uint8Array;
  log(level: "info" | "fail" | "fatal", tag: "app" | "gov", message: string): void;
  /** Whether writes are applied, whatever the status. */
  setApplyWrites(apply: boolean): void;
  setClaimsDigest(digest: Uint8Array): void;
  lastCommittedTxId(): TxId;
  statusOf(id: TxId): TxStatus;
  viewOf(seqno: Seqno): View | undefined;
}
