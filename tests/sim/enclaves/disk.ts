/**
 * The disk of one simulated node: ledger entries and snapshots, and what is left of them after a crash.
 *
 * In: what the enclave has its host write, and what an earlier node or an operator has put there. Out: entries, if they
 * are there.
 */

import { concat } from "../../../shared/bytes.ts";
import { parseSnapshotName } from "../../../shared/ledger/snapshot.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import type { SeededRandom } from "../random.ts";

export interface SnapshotFile {
  readonly name: string;
  readonly seqno: Seqno;
  readonly file: Uint8Array;
}

/** What a node leaves behind, or begins with. */
export interface Directory {
  /** From seqno 1 on; some may be missing. */
  readonly entries: readonly (Uint8Array | undefined)[];
  readonly committed: Seqno;
  readonly snapshots: readonly SnapshotFile[];
}

export const EMPTY_DIRECTORY: Directory = { entries: [], committed: 0, snapshots: [] };

export class Disk {
  readonly #entries: (Uint8Array | undefined)[] = [];
  readonly #drafts = new Map<Seqno, Uint8Array[]>();
  readonly snapshots: SnapshotFile[] = [];
  #committed: Seqno = 0;

  get lastSeqno(): Seqno {
    return this.#entries.length;
  }

  /**
   * Begins behind a snapshot: of what an earlier node left, only committed entries up to there stay, as hosts have it; what
   * is not there comes from another node's committed files, as an operator would copy them.
   */
  beginBehind(snapshot: SnapshotFile, earlier: Directory, copied: readonly (Uint8Array | undefined)[]): void {
    for (let at = 0; at < snapshot.seqno; at++) {
      this.#entries[at] = at < earlier.committed ? earlier.entries[at] ?? copied[at] : copied[at];
    }
    this.#committed = snapshot.seqno;
    this.snapshots.push(snapshot);
  }

  append(seqno: Seqno, entry: Uint8Array): void {
    if (seqno !== this.#entries.length + 1) throw new Error(`Entry ${seqno} is appended after ${this.#entries.length}`);
    this.#entries.push(entry.slice());
  }

  truncate(seqno: Seqno): void {
    if (seqno < this.#committed) {
      throw new Error(`Entries after ${seqno} are dropped, and ${this.#committed} is committed`);
    }
    this.#entries.length = seqno;
  }

  commit(seqno: Seqno): void {
    if (seqno > this.#entries.length) throw new Error(`${seqno} is committed, and there are ${this.#entries.length}`);
    this.#committed = Math.max(this.#committed, seqno);
  }

  /** Entries back to back; null where one is missing. */
  read(from: Seqno, to: Seqno): Uint8Array | null {
    const parts: Uint8Array[] = [];
    for (let seqno = from; seqno <= to; seqno++) {
      const entry = this.#entries[seqno - 1];
      if (entry === undefined) return null;
      parts.push(entry);
    }
    return concat(...parts);
  }

  /** Committed entries from the first on, without those that are missing at the end. */
  committedEntries(): readonly (Uint8Array | undefined)[] {
    return this.#entries.slice(0, this.#committed);
  }

  beginSnapshot(seqno: Seqno): void {
    this.#drafts.set(seqno, []);
  }

  /** @returns the size of the draft so far; null where there is none */
  addToSnapshot(seqno: Seqno, bytes: Uint8Array): number | null {
    const draft = this.#drafts.get(seqno);
    if (draft === undefined) return null;
    draft.push(bytes.slice());
    return draft.reduce((sum, { length }) => sum + length, 0);
  }

  finishSnapshot(seqno: Seqno, name: string, receipt: Uint8Array): void {
    const draft = this.#drafts.get(seqno);
    this.#drafts.delete(seqno);
    if (draft !== undefined) this.snapshots.push({ name, seqno, file: concat(...draft, receipt) });
  }

  dropSnapshot(seqno: Seqno): void {
    this.#drafts.delete(seqno);
  }

  newestSnapshot(): SnapshotFile | undefined {
    return this.snapshots.toSorted((a, b) => b.seqno - a.seqno)[0];
  }

  /** What is there after a crash: of what was not committed a part, the last entry perhaps torn in the middle. */
  leftBehind(random: SeededRandom): Directory {
    const entries = this.#entries.slice(0, random.between(this.#committed, this.#entries.length));
    const last = entries.at(-1);
    if (entries.length > this.#committed && last !== undefined && random.chance(0.5)) {
      entries[entries.length - 1] = last.slice(0, random.below(last.length));
    }
    return { entries, committed: this.#committed, snapshots: this.snapshots.filter(({ name }) => isCommitted(name)) };
  }
}

function isCommitted(name: string): boolean {
  return parseSnapshotName(name)?.committed === true;
}
