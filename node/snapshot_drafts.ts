/**
 * Snapshots on their way to the disk: what the enclave sends part by part, carried out in order.
 *
 * In: drafts, by the seqno of their state. Out: files, and to the enclave how far each is written, or that it cannot be.
 * Knows nothing of what is in them. A draft that fails is gone, and whatever still comes for it is ignored.
 */

import type { EnclaveInput } from "../enclave/messages.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { SnapshotFiles, SnapshotWriter } from "./snapshot_files.ts";

/** What is told of a draft. */
export type SnapshotWritten = EnclaveInput & { readonly kind: "snapshotWritten" };

interface Draft {
  writer: SnapshotWriter | undefined;
  sizeBytes: number;
  /** All that was asked of it so far. */
  done: Promise<void>;
}

export class SnapshotDrafts {
  readonly #files: SnapshotFiles;
  readonly #tell: (written: SnapshotWritten) => void;
  readonly #onFailure: (message: string) => void;
  readonly #drafts = new Map<Seqno, Draft>();

  /** @param onFailure told why a draft cannot be written; the node goes on without it */
  constructor(
    files: SnapshotFiles,
    tell: (written: SnapshotWritten) => void,
    onFailure: (message: string) => void,
  ) {
    this.#files = files;
    this.#tell = tell;
    this.#onFailure = onFailure;
  }

  begin(seqno: Seqno): void {
    this.#drafts.set(seqno, { writer: undefined, sizeBytes: 0, done: Promise.resolve() });
    this.#do(seqno, async (draft) => {
      draft.writer = await this.#files.writer(seqno);
    });
  }

  append(seqno: Seqno, bytes: Uint8Array): void {
    this.#do(seqno, async (draft) => {
      await draft.writer!.append(bytes);
      draft.sizeBytes += bytes.length;
      this.#tell({ kind: "snapshotWritten", seqno, sizeBytes: draft.sizeBytes });
    });
  }

  commit(seqno: Seqno, name: string, receipt: Uint8Array): void {
    this.#do(seqno, async (draft) => {
      await draft.writer!.append(receipt);
      await draft.writer!.commit(name);
      this.#drafts.delete(seqno);
    });
  }

  discard(seqno: Seqno): void {
    this.#do(seqno, async (draft) => {
      this.#drafts.delete(seqno);
      await draft.writer!.discard();
    });
  }

  /** Waits for what was asked so far, and removes drafts that have not come to their end. */
  async close(): Promise<void> {
    for (const seqno of this.#drafts.keys()) this.discard(seqno);
    await Promise.all(Array.from(this.#drafts.values(), ({ done }) => done));
  }

  /** Does one thing after the other; behind a failure nothing. */
  #do(seqno: Seqno, step: (draft: Draft) => Promise<void>): void {
    const draft = this.#drafts.get(seqno);
    if (draft === undefined) return;
    draft.done = draft.done.then(async () => {
      if (this.#drafts.get(seqno) !== draft) return;
      try {
        await step(draft);
      } catch (error) {
        this.#drafts.delete(seqno);
        this.#onFailure(error instanceof Error ? error.message : String(error));
        this.#tell({ kind: "snapshotWritten", seqno, sizeBytes: null });
      }
    });
  }
}
