/**
 * Receipts of what was signed here, kept in this browser: there is no secret in them.
 *
 * In: receipts as nodes gave them. Out: the same, later. Full means that the oldest is dropped: a ledger gives receipts for
 * all of its past.
 */

import { MAX_KEPT_RECEIPTS } from "../../shared/limits.ts";
import { browserRecords, type RecordStore } from "../keys/record_store.ts";

export interface KeptReceipt {
  /** Service and transaction. */
  readonly id: string;
  readonly txId: string;
  /** What was signed, in words. */
  readonly what: string;
  readonly memberId: string;
  /** By the identity of its first life. */
  readonly service: string;
  /** JSON, as it came. */
  readonly text: string;
  readonly atMs: number;
}

export class KeptReceipts {
  readonly #records: RecordStore<KeptReceipt>;

  constructor(records: RecordStore<KeptReceipt> = browserRecords("quorate-receipts")) {
    this.#records = records;
  }

  /** Newest first. */
  async list(): Promise<readonly KeptReceipt[]> {
    return [...await this.#records.all()].sort((a, b) => b.atMs - a.atMs);
  }

  /** @throws ProblemError where the browser stores nothing */
  async keep(receipt: Omit<KeptReceipt, "id">): Promise<void> {
    const id = `${receipt.service}/${receipt.txId}`;
    await this.#records.update(id, () => ({ id, ...receipt }));
    for (const old of (await this.list()).slice(MAX_KEPT_RECEIPTS)) await this.#records.remove(old.id);
  }

  remove(id: string): Promise<void> {
    return this.#records.remove(id);
  }
}
