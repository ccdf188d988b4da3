/**
 * Signature transactions: when one is due, and what is in it.
 *
 * In: the tree's root, the node's and the service's keys, the time. Out: a write set for the commit path.
 * Rules: ledger-and-receipts.md §2.3, §6.
 */

import type { WriteSet } from "../shared/kv/write_set.ts";
import { buildSignatureWriteSet, type SignatureContent } from "../shared/ledger/signature.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { CommitPath } from "./commit_path.ts";

export interface SigningSchedule {
  /** Sign after so many transactions. */
  readonly txCount: number;
  /** Sign so long after the first unsigned transaction was seen. */
  readonly delayMs: number;
  readonly chunkBytes: number;
  readonly snapshotTxCount: number;
}

export class Signer {
  readonly #schedule: SigningSchedule;
  readonly #coseSignatures: { readonly issuer: string; readonly subject: string };
  #unsignedSinceMs: number | undefined;
  #forcedChunkAt: Seqno | undefined;
  #snapshotWanted = false;
  #lastSnapshot: Seqno = 0;

  constructor(schedule: SigningSchedule, coseSignatures: { readonly issuer: string; readonly subject: string }) {
    this.#schedule = schedule;
    this.#coseSignatures = coseSignatures;
  }

  /** Ends a file at the next signature (`trigger_ledger_chunk`). */
  forceChunk(requestedAt: Seqno): void {
    this.#forcedChunkAt = requestedAt;
  }

  /** Takes a snapshot at the next signature (`trigger_snapshot`, and opening the service). */
  forceSnapshot(): void {
    this.#snapshotWanted = true;
  }

  /** Whether transactions wait for a signature for long enough, or are many enough. */
  isDue(path: CommitPath, nowMs: number): boolean {
    const unsigned = path.store.version - path.lastSigned;
    if (unsigned === 0) {
      this.#unsignedSinceMs = undefined;
      return false;
    }
    this.#unsignedSinceMs ??= nowMs;
    return unsigned >= this.#schedule.txCount || nowMs - this.#unsignedSinceMs >= this.#schedule.delayMs;
  }

  /** Signs all there is. `snapshot`: the state at this signature is to be written as a snapshot. */
  sign(
    path: CommitPath,
    signers: Pick<SignatureContent, "node" | "service">,
    nowMs: number,
  ): { readonly seqno: Seqno; readonly snapshot: boolean } {
    const seqno = path.store.version + 1;
    const snapshot = this.#snapshotWanted || seqno - this.#lastSnapshot >= this.#schedule.snapshotTxCount;
    const endChunk = snapshot || this.#forcedChunkAt !== undefined || path.bytesInChunk >= this.#schedule.chunkBytes;
    const writeSet: WriteSet = buildSignatureWriteSet({
      view: path.view,
      seqno,
      root: path.tree.root(),
      serialisedTree: path.tree.serialise(),
      ...signers,
      issuedAtSeconds: Math.floor(nowMs / 1000),
      ...this.#coseSignatures,
    });
    path.appendSignature(writeSet, endChunk);
    this.#unsignedSinceMs = undefined;
    this.#forcedChunkAt = undefined;
    if (snapshot) {
      this.#snapshotWanted = false;
      this.#lastSnapshot = seqno;
    }
    return { seqno, snapshot };
  }
}
