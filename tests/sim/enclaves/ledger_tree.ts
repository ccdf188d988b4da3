/**
 * Every ledger entry that any node ever had, as one tree: ledgers that agree share a branch, and part where they differ.
 *
 * In: entries with what they changed. Out: one object for an entry with all before it, so that two ledgers are equal up to
 * a seqno exactly where they have the same object there; what consensus and clients are to see of it.
 * Reads tables by itself, and so is a second opinion on what nodes make of them.
 */

import { equalBytes, fromUtf8, toHex } from "../../../shared/bytes.ts";
import type { NodeId } from "../../../shared/consensus/messages.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import { ENCRYPTED_LEDGER_SECRETS, NODES_INFO, SIGNATURES } from "../../../shared/governance/tables.ts";
import { serialiseTables, type TableWrites, type WriteSet } from "../../../shared/kv/write_set.ts";
import { entryBytes, LedgerEntry } from "../../../shared/ledger/entry.ts";
import { isSignature } from "../../../shared/ledger/signature.ts";
import { formatTxId, type Seqno, type TxId } from "../../../shared/tx_id.ts";
import type { LoggedEntry } from "../picture.ts";

/** Tables of the app that clients write. */
const RECORDS = "records";

export interface Record {
  readonly key: string;
  /** Undefined: removed. */
  readonly value: string | undefined;
}

/** One entry, and with it all before it. */
export interface TreeEntry extends LoggedEntry {
  readonly chain: number;
  readonly parent: TreeEntry | undefined;
  readonly seqno: Seqno;
  readonly bytes: Uint8Array;
  /** What it changed, in bytes. */
  readonly changes: Uint8Array;
  /** Names of the members from here on. */
  readonly trusted: readonly string[];
  /** Names of nodes that some entry up to here says are retired for good. */
  readonly retired: readonly string[];
  /** What it did to clients' records. */
  readonly records: readonly Record[];
  /** Hex, of a signature. */
  readonly signedRoot: string | undefined;
  /** Whether it tells nodes of a new ledger secret. */
  readonly isRekey: boolean;
  /** What the first node that came here made of it, for the others to be compared with. */
  root?: string;
  stateDigest?: string;
}

export class LedgerTree {
  readonly #entries = new Map<string, TreeEntry>();
  /** Names of nodes that some entry says are trusted. */
  readonly everTrusted = new Set<string>();
  readonly #byTxId = new Map<string, TreeEntry>();
  readonly #primitives: Primitives;
  readonly #nameOf: (id: NodeId) => string;

  /** @param nameOf the short name of a node */
  constructor(primitives: Primitives, nameOf: (id: NodeId) => string) {
    this.#primitives = primitives;
    this.#nameOf = nameOf;
  }

  /**
   * The entry with these bytes after `parent`.
   *
   * @returns a sentence where it was seen before and changed something else then, or where another has its transaction ID
   */
  entryAfter(parent: TreeEntry | undefined, bytes: Uint8Array, writeSet: WriteSet): TreeEntry | string {
    const key = `${parent?.chain ?? 0} ${toHex(this.#primitives.sha256(bytes))}`;
    const changes = serialiseTables([...writeSet.publicTables, ...writeSet.privateTables]);
    const known = this.#entries.get(key);
    if (known !== undefined) {
      return equalBytes(known.changes, changes)
        ? known
        : `entry ${known.seqno} was applied with other changes elsewhere`;
    }
    const entry = this.#make(parent, bytes, changes, writeSet);
    if (this.find(entry) !== undefined) return `there is another transaction ${formatTxId(entry)} elsewhere`;
    this.#entries.set(key, entry);
    this.#byTxId.set(formatTxId(entry), entry);
    return entry;
  }

  /** The transaction with an ID that any node ever had. */
  find(id: TxId): TreeEntry | undefined {
    return this.#byTxId.get(formatTxId(id));
  }

  #make(parent: TreeEntry | undefined, bytes: Uint8Array, changes: Uint8Array, writeSet: WriteSet): TreeEntry {
    const { view, seqno } = LedgerEntry.parse(bytes.subarray(0, entryBytes(bytes)));
    const rows = writeSet.publicTables.find(({ name }) => name === NODES_INFO.name);
    const [trustedBefore, retiredBefore] = [parent?.trusted ?? [], parent?.retired ?? []];
    const { trusted, marked } = rows === undefined
      ? { trusted: trustedBefore, marked: [] }
      : this.#readRows(trustedBefore, rows);
    // Whoever is removed a second time has its row written again, with the mark that is in it.
    const retiredNow = marked.filter((name) => !retiredBefore.includes(name));
    return {
      chain: this.#entries.size + 1,
      parent,
      view,
      seqno,
      committable: isSignature(writeSet.publicTables),
      bytes: bytes.slice(),
      changes,
      trusted,
      signedRoot: signedRootOf(writeSet.publicTables),
      isRekey: writeSet.publicTables.some(({ name }) => name === ENCRYPTED_LEDGER_SECRETS.name),
      records: writeSet.privateTables.filter(({ name }) => name === RECORDS).flatMap(recordsOf),
      ...rows !== undefined && trusted.length > 0 && { members: trusted },
      retired: [...retiredBefore, ...retiredNow],
      ...retiredNow.length > 0 && { retiredCommitted: retiredNow },
    };
  }

  /** consensus.md §17, §18: trusted nodes are members, retired ones are not. */
  #readRows(before: readonly string[], { writes }: TableWrites): { trusted: string[]; marked: string[] } {
    const trusted = new Set(before);
    const marked: string[] = [];
    for (const [key, value] of writes) {
      const name = this.#nameOf(NODES_INFO.key.decode(key));
      const { status, retired_committed } = NODES_INFO.value.decode(value);
      if (status === "Trusted") {
        trusted.add(name);
        this.everTrusted.add(name);
      }
      if (status === "Retired") trusted.delete(name);
      if (retired_committed === true) marked.push(name);
    }
    return { trusted: [...trusted].sort(), marked: marked.sort() };
  }
}

/** Whether one ledger is the beginning of another, or the same. */
export function isBefore(earlier: TreeEntry, later: TreeEntry): boolean {
  return ancestorAt(later, earlier.seqno) === earlier;
}

/** The entry with a seqno on the way to `entry`; undefined where it is not that far. */
export function ancestorAt(entry: TreeEntry, seqno: Seqno): TreeEntry | undefined {
  let at: TreeEntry | undefined = entry;
  while (at !== undefined && at.seqno > seqno) at = at.parent;
  return at?.seqno === seqno ? at : undefined;
}

/** What a client's record holds after `entry`; undefined where there is none. */
export function recordAfter(entry: TreeEntry | undefined, key: string): string | undefined {
  for (let at = entry; at !== undefined; at = at.parent) {
    const record = at.records.find((one) => one.key === key);
    if (record !== undefined) return record.value;
  }
  return undefined;
}

function signedRootOf(publicTables: readonly TableWrites[]): string | undefined {
  const value = publicTables.find(({ name }) => name === SIGNATURES.name)?.writes[0]?.[1];
  return value === undefined ? undefined : SIGNATURES.value.decode(value).root;
}

function recordsOf({ writes, removes }: TableWrites): Record[] {
  const text = (key: string) => fromUtf8(Uint8Array.from(key, (char) => char.charCodeAt(0)));
  return [
    ...writes.map(([key, value]) => ({ key: text(key), value: fromUtf8(value) })),
    ...removes.map((key) => ({ key: text(key), value: undefined })),
  ];
}
