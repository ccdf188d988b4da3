/**
 * What one transaction changed, and the bytes of it in a ledger entry.
 *
 * In: tables with their writes and removes. Out: the serialised maps of one security domain, and back.
 * Knows nothing of encryption, headers or the store.
 * Format: ledger-and-receipts.md §3.3
 */

import type { ByteString } from "../bytes.ts";

/** Changes to one table. Keys ascend as unsigned bytes within `writes` and within `removes`; no key is in both. */
export interface TableWrites {
  readonly name: string;
  readonly writes: readonly (readonly [key: ByteString, value: Uint8Array])[];
  /** Removed keys, also those that were absent before (ledger-and-receipts.md §3.3). */
  readonly removes: readonly ByteString[];
}

/** Changes to tables of both domains, each in ascending byte order of name, none without a change. */
export interface WriteSet {
  readonly publicTables: readonly TableWrites[];
  readonly privateTables: readonly TableWrites[];
}
