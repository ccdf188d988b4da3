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
  /** Sign so long after the last one where no other has come meanwhile; absent: wait for `delayMs`. */
  readonly quietMs?: number;
  readonly chunkBytes: number;
  readonly snapshotTxCount: number;
}

export class Signer {
  readonly #schedule: SigningSchedule;
  #unsignedSinceMs: number | undefined;
  /** The newest transaction when this was last asked, and since when it is the newest. */
  #newest: { readonly seqno: Seqno; readonly sinceMs: number } = { seqno: 0, sinceMs: 0 };
  #forcedChunkAt: Seqno | undefined;
  #snapshotWanted = false;
  #lastSnapshot: Seqno = 0;

  constructor(schedule: SigningSchedule) {
    this.#schedule = schedule;
  }

  /** This node leads from now on, or again. `lastSnapshot`: the newest that any primary has recorded. */
  resumeFrom(lastSnapshot: Seqno): void {
    this.#unsignedSinceMs = undefined;
    this.#lastSnapshot = lastSnapshot;
  }

  /** Ends a file at the next signature (`trigger_ledger_chunk`). */
  forceChunk(requestedAt: Seqno): void {
    this.#forcedChunkAt = requestedAt;
  }

  /** Takes a snapshot at the next signature (`trigger_snapshot`, and opening the service). */
  forceSnapshot(): void {
    this.#snapshotWanted = true;
  }

  /**
   * Whether transactions wait for a signature for long enough, or are many enough.
   *
   * Where nobody writes any more, whoever waits for a commit gains by a signature at once, and nobody loses: it costs a
   * few milliseconds, which an idle node has.
   */
  isDue(path: CommitPath, nowMs: number): boolean {
    const seqno = path.store.version;
    if (seqno !== this.#newest.seqno) this.#newest = { seqno, sinceMs: nowMs };
    if (seqno === path.lastSigned) {
      this.#unsignedSinceMs = undefined;
      return false;
    }
    this.#unsignedSinceMs ??= nowMs;
    const { delayMs, quietMs } = this.#schedule;
    if (this.areMany(path) || nowMs - this.#unsignedSinceMs >= delayMs) return true;
    return quietMs !== undefined && nowMs - this.#newest.sinceMs >= quietMs;
  }

  /** Whether so many transactions wait for a signature that it is due whatever the time. */
  areMany(path: CommitPath): boolean {
    return path.store.version - path.lastSigned >= this.#schedule.txCount;
  }

  /** Signs all there is. `snapshot`: the state at this signature is to be written as a snapshot. */
  sign(
    path: CommitPath,
    signers: Pick<SignatureContent, "node" | "service">,
    coseSignatures: { readonly issuer: string; readonly subject: string },
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
      ...coseSignatures,
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
