/**
 * Which files make up a ledger that lies in one directory or several, for those who only read it.
 *
 * In: a node's ledger directory, and read-only ones beside it. Out: the files to read, in order, each transaction in one
 * of them; copies to compare; what was left aside, and why.
 * Knows nothing of what is in the files but their size. Changes nothing, unlike `ledger_directory.ts`.
 * Rules: ledger-and-receipts.md §2.1
 */

import { join } from "node:path";
import { type ChunkName, compareChunkNames, parseChunkName } from "../shared/ledger/chunk.ts";
import { parseSnapshotName, type SnapshotName } from "../shared/ledger/snapshot.ts";
import { MAX_LEDGER_FILES, MAX_SNAPSHOT_FILES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import { reasonOf, UsageError } from "./commands/exit.ts";

export interface LedgerFile {
  readonly path: string;
  readonly fileName: string;
  readonly name: ChunkName;
  readonly sizeBytes: number;
}

export interface LedgerListing {
  /** By first seqno. Those that are committed do not overlap; where they leave a gap, or others overlap, nothing is said. */
  readonly files: readonly LedgerFile[];
  /** For files that are read: other copies of some of their transactions, which must be the same. */
  readonly copies: ReadonlyMap<LedgerFile, readonly LedgerFile[]>;
  /** Committed files that overlap in part: two ways to cut a ledger into files, which cannot be read as one. */
  readonly overlaps: readonly (readonly [LedgerFile, LedgerFile])[];
  /** Files that are not read, since another one is committed and has at least the first of their transactions. */
  readonly leftAside: readonly { readonly file: LedgerFile; readonly other: LedgerFile }[];
}

/**
 * The main directory contributes all its files, others only what is named `.committed`. What is there twice is read where
 * it is committed, and of several committed copies from the directory that is given first.
 *
 * @throws UsageError where a directory cannot be read, or there are no ledger files in any
 */
export function listLedger(directory: string, readOnlyDirectories: readonly string[] = []): LedgerListing {
  const main = listDirectory(directory);
  const others = readOnlyDirectories.map((other) =>
    listDirectory(other).filter(({ name: { committed, recovery, ignored } }) => committed && !recovery && !ignored)
  );
  const all = [main, ...others].flat();
  if (all.length === 0) {
    throw new UsageError(
      `Cannot find a ledger in ${[directory, ...readOnlyDirectories].join(", ")}: there are no files like ` +
        "ledger_1-14.committed; give the directory that a node's configuration calls ledger.directory",
    );
  }
  const listing = new Listing();
  const committed = (file: LedgerFile) => file.name.committed && !file.name.ignored;
  listing.addCommitted(main.filter((file) => committed(file) && !file.name.recovery));
  for (const other of others) listing.addCommitted(other);
  listing.addRecovered(main.filter((file) => committed(file) && file.name.recovery));
  listing.addOpen(main.filter(({ name }) => !name.committed && !name.ignored));
  if (listing.files.length === 0) {
    throw new UsageError(`Cannot find a ledger in ${directory}: its files hold nothing that is part of one`);
  }
  return listing;
}

class Listing implements LedgerListing {
  readonly files: LedgerFile[] = [];
  readonly copies = new Map<LedgerFile, LedgerFile[]>();
  readonly overlaps: (readonly [LedgerFile, LedgerFile])[] = [];
  readonly leftAside: { readonly file: LedgerFile; readonly other: LedgerFile }[] = [];

  /** Files of one directory: those whose transactions are not there yet, or else as copies. */
  addCommitted(files: readonly LedgerFile[]): void {
    for (const file of files) {
      const there = this.#overlapping(file);
      if (there.length === 0) this.#insert(file);
      else if (covers(there, file)) { for (const original of there) this.#addCopy(original, file); }
      else this.overlaps.push([there[0]!, file]);
    }
  }

  /** Committed files of a recovery that is not finished. Those of an earlier attempt may contradict what is there. */
  addRecovered(files: readonly LedgerFile[]): void {
    for (const file of files) {
      const [other] = this.#overlapping(file);
      if (other === undefined) this.#insert(file);
      else this.leftAside.push({ file, other });
    }
  }

  addOpen(files: readonly LedgerFile[]): void {
    const committed = [...this.files];
    for (const file of files) {
      const { first } = file.name;
      const other = committed.find(({ name }) => name.first <= first && first <= name.last!);
      // A file just created has no bytes until something is flushed.
      if (file.sizeBytes === 0) continue;
      if (other === undefined) this.#insert(file);
      else this.leftAside.push({ file, other });
    }
  }

  #addCopy(original: LedgerFile, copy: LedgerFile): void {
    const known = this.copies.get(original);
    if (known === undefined) this.copies.set(original, [copy]);
    else known.push(copy);
  }

  #insert(file: LedgerFile): void {
    this.files.splice(this.#placeOf(file.name), 0, file);
  }

  /** Where a file belongs among the others. */
  #placeOf(name: ChunkName): number {
    let low = 0;
    let high = this.files.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareChunkNames(this.files[middle]!.name, name) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Committed files that have some of the transactions of a committed file, ascending. */
  #overlapping({ name }: LedgerFile): LedgerFile[] {
    const found: LedgerFile[] = [];
    let at = this.#placeOf(name);
    while (at > 0 && this.files[at - 1]!.name.last! >= name.first) at--;
    for (; at < this.files.length && this.files[at]!.name.first <= name.last!; at++) found.push(this.files[at]!);
    return found;
  }
}

/** Whether all transactions of a file are in the others, which ascend and do not overlap. */
function covers(others: readonly LedgerFile[], { name: { first, last } }: LedgerFile): boolean {
  let next: Seqno = first;
  for (const { name } of others) {
    if (name.first > next) return false;
    next = name.last! + 1;
  }
  return next > last!;
}

/** The ledger files of a directory, in order of reading. */
function listDirectory(directory: string): LedgerFile[] {
  const files: LedgerFile[] = [];
  for (const fileName of namesIn(directory, "the ledger directory")) {
    const name = parseChunkName(fileName);
    if (name === undefined) continue;
    if (files.length === MAX_LEDGER_FILES) {
      throw new UsageError(`Cannot read the ledger directory ${directory}: it has more than ${MAX_LEDGER_FILES} files`);
    }
    const path = join(directory, fileName);
    files.push({ path, fileName, name, sizeBytes: sizeOf(path) });
  }
  return files.sort((a, b) => compareChunkNames(a.name, b.name));
}

export interface SnapshotFile {
  readonly path: string;
  readonly name: SnapshotName;
}

/**
 * The committed snapshots of a directory, oldest first.
 *
 * @throws UsageError where it cannot be read
 */
export function listSnapshots(directory: string): SnapshotFile[] {
  const files: SnapshotFile[] = [];
  for (const fileName of namesIn(directory, "the snapshot directory")) {
    const name = parseSnapshotName(fileName);
    if (name?.committed !== true) continue;
    const path = join(directory, fileName);
    if (sizeOf(path) > 0) files.push({ path, name });
    if (files.length > MAX_SNAPSHOT_FILES) {
      throw new UsageError(`Cannot read the snapshot directory ${directory}: it has more than ${MAX_SNAPSHOT_FILES}`);
    }
  }
  return files.sort((a, b) => a.name.seqno - b.name.seqno || a.name.evidenceSeqno - b.name.evidenceSeqno);
}

function namesIn(directory: string, what: string): string[] {
  try {
    return Array.from(Deno.readDirSync(directory)).filter(({ isDirectory }) => !isDirectory).map(({ name }) => name);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such directory"
      : error instanceof Deno.errors.NotADirectory
      ? "it is no directory"
      : reasonOf(error);
    throw new UsageError(`Cannot read ${what} ${directory}: ${reason}`);
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** A file that was there a moment ago. */
export function unreadable(path: string, error: unknown): UsageError {
  const hint = error instanceof Deno.errors.NotFound
    ? "; a running node renames its files: stop it, or copy the directory, and read that"
    : "";
  return new UsageError(`Cannot read ${path}: ${reasonOf(error)}${hint}`);
}
