/**
 * Two ledgers of one service side by side: how far they are the same, and what each has where they part.
 *
 * In: two listings. Out: the last transaction they share; behind it what only one of them has, or two histories, and which
 * of the two was never committed. Nothing is verified: signatures are for `ledger_audit.ts`.
 * Rules: consensus.md §12 (a primary has everything that was committed before), §15; ledger-and-receipts.md §2.1
 */

import { equalBytes } from "../shared/bytes.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { isSignature } from "../shared/ledger/signature.ts";
import { SERVICE_INFO } from "../shared/ledger/table_names.ts";
import type { Seqno, TxId } from "../shared/tx_id.ts";
import type { LedgerFile, LedgerListing } from "./ledger_listing.ts";
import { walkLedger } from "./ledger_scan.ts";

export interface LedgerComparison {
  /** The first seqno that both have; undefined where there is none. */
  readonly first: Seqno | undefined;
  /** The last transaction up to which they are the same; undefined where the first is not. */
  readonly lastShared: TxId | undefined;
  /** What each has behind it; undefined where it ends there. */
  readonly tails: readonly [LedgerTail | undefined, LedgerTail | undefined];
  /** Why the rest of either cannot be read; undefined where it was read to its end. */
  readonly damages: readonly [string | undefined, string | undefined];
}

/** The rest of a ledger, from where it is no longer the other's. */
export interface LedgerTail {
  readonly first: TxId;
  readonly last: TxId;
  /** The last signature in it. */
  readonly lastSigned: TxId | undefined;
  /** Its first file that is named as committed. */
  readonly committedFile: LedgerFile | undefined;
  /** Whether the first signed part of it says what the service is: after a disaster it begins so. */
  readonly beginsService: boolean;
}

/**
 * Reads both once.
 *
 * @throws FormatError where an entry is none
 * @throws UsageError where a file cannot be read
 */
export function compareLedgers(one: LedgerListing, other: LedgerListing): LedgerComparison {
  const [a, b] = [new Entries(one), new Entries(other)];
  while (a.at !== undefined && b.at !== undefined && a.at.seqno !== b.at.seqno) {
    (a.at.seqno < b.at.seqno ? a : b).next();
  }
  const first = b.at === undefined ? undefined : a.at?.seqno;
  let lastShared: TxId | undefined;
  while (a.at !== undefined && b.at !== undefined && equalBytes(a.at.bytes, b.at.bytes)) {
    lastShared = LedgerEntry.parse(a.at.bytes).txId;
    a.next();
    b.next();
  }
  return { first, lastShared, tails: [tailOf(a), tailOf(b)], damages: [a.damage, b.damage] };
}

/**
 * Which of two tails was never committed: 0 or 1; "neither" where that cannot be told.
 *
 * A primary of a later view has all that was committed in earlier ones. So where it wrote something else, what the earlier
 * view has there was not committed. A service that was recovered from a disaster has no such primary.
 */
export function orphanedTail({ lastShared, tails: [a, b] }: LedgerComparison): 0 | 1 | "neither" {
  // Without anything that they share they may be of different services.
  if (lastShared === undefined || a === undefined || b === undefined) return "neither";
  if (a.first.view === b.first.view) return "neither";
  const [orphan, winner] = a.first.view < b.first.view ? [0 as const, b] : [1 as const, a];
  return winner.beginsService ? "neither" : orphan;
}

interface Entry {
  readonly seqno: Seqno;
  readonly bytes: Uint8Array;
  readonly file: LedgerFile;
}

/** The entries of a ledger one by one, up to its end or to where it cannot be read on. */
class Entries {
  at: Entry | undefined;
  damage: string | undefined;
  readonly #entries: Generator<Entry, string | undefined, undefined>;

  constructor({ files }: LedgerListing) {
    this.#entries = entriesOf(files);
    this.next();
  }

  next(): void {
    const { done, value } = this.#entries.next();
    if (done === true) this.damage = value;
    this.at = done === true ? undefined : value;
  }
}

function* entriesOf(files: readonly LedgerFile[]): Generator<Entry, string | undefined, undefined> {
  let seqno = 0;
  for (const step of walkLedger(files, files[0]!.name.first)) {
    if (step.kind === "file") seqno = step.file.name.first;
    if (step.kind === "entry") yield { seqno: seqno++, bytes: step.entry.bytes, file: step.file };
    if (step.kind === "misplaced" || step.kind === "damaged") return step.reason;
  }
  return undefined;
}

function tailOf(entries: Entries): LedgerTail | undefined {
  if (entries.at === undefined) return undefined;
  const first = LedgerEntry.parse(entries.at.bytes).txId;
  let last = first;
  let lastSigned: TxId | undefined;
  let committedFile: LedgerFile | undefined;
  let beginsService = false;
  for (; entries.at !== undefined; entries.next()) {
    const entry = LedgerEntry.parse(entries.at.bytes);
    const tables = entry.publicTables(() => {});
    if (lastSigned === undefined && tables.some(({ name }) => name === SERVICE_INFO)) beginsService = true;
    last = entry.txId;
    if (isSignature(tables)) lastSigned = last;
    if (entries.at.file.name.committed) committedFile ??= entries.at.file;
  }
  return { first, last, lastSigned, committedFile, beginsService };
}
