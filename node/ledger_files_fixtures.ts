/**
 * What the tests of ledger files share: a model of the entries, and ways to append, read and compare.
 */

import { strict as assert } from "node:assert";
import { serialiseChunk } from "../shared/ledger/chunk.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../shared/ledger/entry.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { LedgerFiles, type LedgerFilesOptions } from "./ledger_files.ts";
import { directoryContent, testEntry } from "./test_file_system.ts";

/** What a ledger's directory must hold, worked out from its history alone. */
export class Model {
  entries: Uint8Array[] = [];
  committed: Seqno = 0;
  /** Last seqnos of files that a commit has closed for good. */
  readonly #closed = new Set<Seqno>();

  commit(seqno: Seqno): Seqno {
    this.committed = seqno;
    for (const { last, complete } of this.chunks()) if (complete && last <= seqno) this.#closed.add(last);
    return seqno;
  }

  /** Chunks as [first, last], the last of them open if it does not end with the flag or before one. */
  chunks(): { first: Seqno; last: Seqno; complete: boolean }[] {
    const chunks: { first: Seqno; last: Seqno; complete: boolean }[] = [];
    this.entries.forEach((entry, i) => {
      const seqno = i + 1;
      let chunk = chunks.at(-1);
      if (chunk !== undefined && !chunk.complete && (entry[1]! & FORCE_CHUNK_BEFORE) !== 0) chunk.complete = true;
      if (chunk === undefined || chunk.complete) {
        chunk = { first: seqno, last: seqno, complete: false };
        chunks.push(chunk);
      }
      chunk.last = seqno;
      if ((entry[1]! & FORCE_CHUNK_AFTER) !== 0 || this.#closed.has(seqno)) chunk.complete = true;
    });
    return chunks;
  }

  directory(): Map<string, Uint8Array> {
    return new Map(
      this.chunks().map(({ first, last, complete }): [string, Uint8Array] => {
        const name = complete && last <= this.committed ? `ledger_${first}-${last}.committed` : `ledger_${first}`;
        return [name, serialiseChunk(this.entries.slice(first - 1, last), complete)];
      }).sort(([a], [b]) => a < b ? -1 : 1),
    );
  }
}

export function open(directory: string, options: Partial<LedgerFilesOptions> = {}): Promise<LedgerFiles> {
  return LedgerFiles.open({ directory, ...options });
}

/** Appends entries to ledger and model; the flags say where chunks end. */
export function append(ledger: LedgerFiles, model: Model, count: number, flags = 0, committable = false): void {
  for (let i = 0; i < count; i++) {
    const seqno = model.entries.length + 1;
    const entry = testEntry(seqno, { flags });
    ledger.append(seqno, entry, committable);
    model.entries.push(entry);
  }
}

export async function readAll(ledger: LedgerFiles): Promise<Uint8Array> {
  const first = ledger.firstSeqno;
  if (first === undefined) return new Uint8Array();
  const range = await ledger.read(first, ledger.lastSeqno);
  assert.equal(range?.to, ledger.lastSeqno);
  return range.bytes;
}

export function assertDirectory(directory: string, expected: ReadonlyMap<string, Uint8Array>): void {
  const content = directoryContent(directory);
  assert.deepEqual([...content.keys()], [...expected.keys()]);
  for (const [name, bytes] of expected) assert.deepEqual(content.get(name), bytes, name);
}
