/**
 * What the worker remembers of every entry, so that a list of a million can be shown, filtered and jumped through.
 *
 * In: entries, in order, once they are verified. Out: rows, lists of seqnos for a filter, versions of keys, leaves and
 * proofs. Bytes of entries are not kept here: some fixed widths for each, in typed arrays, and one seqno for each write.
 */

import type { ByteString } from "../../shared/bytes.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { TableWrites } from "../../shared/kv/write_set.ts";
import type { LedgerEntry } from "../../shared/ledger/entry.ts";
import { NODES_INFO, SIGNATURES, SNAPSHOT_EVIDENCE } from "../../shared/ledger/table_names.ts";
import { MerkleTree } from "../../shared/merkle/tree.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { ENTRY_KINDS, type EntryFilter, type EntryKind, type EntryRow, type SignedAt } from "./protocol.ts";

const HAS_PRIVATE = 1;
const HAS_CLAIMS = 2;
/** Lists for filters that are kept: the one on the screen, and few before it. */
const MAX_KEPT_LISTS = 8;
const INITIAL_ENTRIES = 1024;

/** A signature transaction, and what it covers: everything since the one before. */
export interface IndexedSignature extends SignedAt {
  readonly view: number;
}

/** All that happened to one key: seqnos in order, negative where it was removed. */
export type Versions = readonly number[];

export class LedgerIndex {
  /** Seqno of the first entry here. */
  readonly first: Seqno;
  readonly signatures: IndexedSignature[] = [];
  /** Over all leaves, none forgotten: proofs for every entry. */
  readonly tree: MerkleTree;
  #count = 0;
  #views = new Uint32Array(INITIAL_ENTRIES);
  #kinds = new Uint8Array(INITIAL_ENTRIES);
  #flags = new Uint8Array(INITIAL_ENTRIES);
  #sizes = new Uint32Array(INITIAL_ENTRIES);
  #tableSets = new Uint32Array(INITIAL_ENTRIES);
  /** Bytes of all entries before each. */
  #offsets = new Float64Array(INITIAL_ENTRIES);
  #bytes = 0;
  /** Lists of table names, each once. */
  readonly #sets: (readonly string[])[] = [];
  readonly #setIds = new Map<string, number>();
  readonly #keys = new Map<string, Map<ByteString, number[]>>();
  readonly #sorted = new Map<string, { readonly keys: readonly ByteString[]; readonly size: number }>();
  readonly #lists = new Map<string, { readonly upTo: Seqno; readonly seqnos: Uint32Array }>();

  /** @param tree as of before `first`: that of a new ledger, or of a snapshot */
  constructor(primitives: Primitives, first: Seqno = 1, tree: MerkleTree = new MerkleTree(primitives)) {
    this.first = first;
    this.tree = tree;
  }

  /** The last entry here; `first - 1` where there is none. */
  get last(): Seqno {
    return this.first + this.#count - 1;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(seqno: Seqno): boolean {
    return seqno >= this.first && seqno <= this.last;
  }

  /** The next entry, with its leaf. */
  add(entry: LedgerEntry, tables: readonly TableWrites[], leaf: Uint8Array): void {
    const at = this.#count++;
    if (at === this.#views.length) this.#grow();
    this.#views[at] = entry.view;
    this.#kinds[at] = ENTRY_KINDS.indexOf(kindOf(tables, entry.hasPrivateTables));
    const hasClaims = entry.claimsDigest !== undefined && entry.claimsDigest.some((byte) => byte !== 0);
    this.#flags[at] = (entry.hasPrivateTables ? HAS_PRIVATE : 0) | (hasClaims ? HAS_CLAIMS : 0);
    this.#sizes[at] = entry.bytes.length;
    this.#tableSets[at] = this.#setOf(tables);
    this.#offsets[at] = this.#bytes;
    this.#bytes += entry.bytes.length;
    this.tree.append(leaf);
    const { seqno } = entry;
    for (const { name, writes, removes } of tables) {
      for (const [key] of writes) this.#note(name, key, seqno);
      for (const key of removes) this.#note(name, key, -seqno);
    }
  }

  /** A row of the state that the fold began with. */
  addBase(table: string, key: ByteString, writtenAt: Seqno): void {
    this.#note(table, key, writtenAt);
  }

  #note(table: string, key: ByteString, version: number): void {
    let keys = this.#keys.get(table);
    if (keys === undefined) this.#keys.set(table, keys = new Map());
    const versions = keys.get(key);
    if (versions === undefined) keys.set(key, [version]);
    else versions.push(version);
  }

  #setOf(tables: readonly TableWrites[]): number {
    const names = tables.map(({ name }) => name);
    const text = names.join("\n");
    let id = this.#setIds.get(text);
    if (id === undefined) {
      this.#setIds.set(text, id = this.#sets.length);
      this.#sets.push(names);
    }
    return id;
  }

  #grow(): void {
    const size = 2 * this.#views.length;
    const grown = <T extends Uint8Array | Uint32Array | Float64Array>(old: T, next: T): T => (next.set(old), next);
    this.#views = grown(this.#views, new Uint32Array(size));
    this.#kinds = grown(this.#kinds, new Uint8Array(size));
    this.#flags = grown(this.#flags, new Uint8Array(size));
    this.#sizes = grown(this.#sizes, new Uint32Array(size));
    this.#tableSets = grown(this.#tableSets, new Uint32Array(size));
    this.#offsets = grown(this.#offsets, new Float64Array(size));
  }

  view(seqno: Seqno): number {
    return this.#views[seqno - this.first]!;
  }

  sizeBytes(seqno: Seqno): number {
    return this.#sizes[seqno - this.first]!;
  }

  /** Bytes of the entries here up to and with this one. */
  bytesUpTo(seqno: Seqno): number {
    const at = seqno - this.first;
    return this.#offsets[at]! + this.#sizes[at]!;
  }

  txId(seqno: Seqno): string {
    return `${this.view(seqno)}.${seqno}`;
  }

  row(seqno: Seqno): EntryRow {
    const at = seqno - this.first;
    const covering = this.coveringSignature(seqno);
    return {
      seqno,
      txId: this.txId(seqno),
      kind: ENTRY_KINDS[this.#kinds[at]!]!,
      sizeBytes: this.#sizes[at]!,
      tables: this.#sets[this.#tableSets[at]!]!,
      hasPrivate: (this.#flags[at]! & HAS_PRIVATE) !== 0,
      hasClaims: (this.#flags[at]! & HAS_CLAIMS) !== 0,
      proof: covering === undefined ? "unsigned" : "verified",
      ...(covering?.timeMs !== undefined && { timeMs: covering.timeMs }),
    };
  }

  /** The first signature at or after an entry: it signs the root over everything before itself. */
  coveringSignature(seqno: Seqno): IndexedSignature | undefined {
    return this.signatures[lowerBound(this.signatures.length, (i) => this.signatures[i]!.seqno >= seqno)];
  }

  // ---- Lists for filters ----

  /** Seqnos that a filter finds, in order; undefined: all of them. */
  find(filter: EntryFilter): Uint32Array | undefined {
    const name = JSON.stringify(filter, Object.keys(filter).sort());
    if (name === "{}") return undefined;
    const kept = this.#lists.get(name);
    if (kept?.upTo === this.last) return kept.seqnos;
    const seqnos = this.#search(filter);
    this.#lists.delete(name);
    this.#lists.set(name, { upTo: this.last, seqnos });
    if (this.#lists.size > MAX_KEPT_LISTS) this.#lists.delete(this.#lists.keys().next().value!);
    return seqnos;
  }

  #search(filter: EntryFilter): Uint32Array {
    const { table, keyHex, kinds, view, hasPrivate, hasClaims } = filter;
    const from = Math.max(this.first, filter.fromSeqno ?? 0, this.#startOf(filter.fromMs));
    const to = Math.min(this.last, filter.toSeqno ?? Infinity, this.#endOf(filter.toMs));
    const kindMask = kinds && ENTRY_KINDS.map((kind) => kinds.includes(kind));
    const setMask = table === undefined ? undefined : this.#sets.map((names) => names.includes(table));
    const wanted = keyHex === undefined || table === undefined ? undefined : this.#writesOf(table, keyHex);
    const matches = (seqno: Seqno): boolean => {
      const at = seqno - this.first;
      const flags = this.#flags[at]!;
      return (kindMask === undefined || kindMask[this.#kinds[at]!]!) &&
        (setMask === undefined || setMask[this.#tableSets[at]!]!) &&
        (view === undefined || this.#views[at] === view) &&
        (hasPrivate === undefined || ((flags & HAS_PRIVATE) !== 0) === hasPrivate) &&
        (hasClaims === undefined || ((flags & HAS_CLAIMS) !== 0) === hasClaims);
    };
    if (wanted !== undefined) {
      return Uint32Array.from(wanted.filter((seqno) => seqno >= from && seqno <= to && matches(seqno)));
    }
    const found = new Uint32Array(Math.max(0, to - from + 1));
    let count = 0;
    for (let seqno = from; seqno <= to; seqno++) if (matches(seqno)) found[count++] = seqno;
    return found.slice(0, count);
  }

  #writesOf(table: string, keyHex: string): number[] {
    const bytes = keyHex.match(/../g)?.map((pair) => String.fromCharCode(parseInt(pair, 16))) ?? [];
    return (this.#keys.get(table)?.get(bytes.join("")) ?? []).map(Math.abs).filter((seqno) => seqno >= this.first);
  }

  /** First entry that a signature of that time or later covers first. */
  #startOf(timeMs: number | undefined): Seqno {
    if (timeMs === undefined) return 0;
    const i = lowerBound(this.signatures.length, (i) => (this.signatures[i]!.timeMs ?? 0) >= timeMs);
    return i === 0 ? this.first : this.signatures[i - 1]!.seqno + 1;
  }

  #endOf(timeMs: number | undefined): Seqno {
    if (timeMs === undefined) return Infinity;
    const i = lowerBound(this.signatures.length, (i) => (this.signatures[i]!.timeMs ?? 0) > timeMs);
    return i === 0 ? 0 : this.signatures[i - 1]!.seqno;
  }

  /** The first entry whose covering signature is of that time or later. */
  seqnoAt(timeMs: number): Seqno | undefined {
    const seqno = this.#startOf(timeMs);
    return this.has(seqno) ? seqno : undefined;
  }

  density(buckets: number): Partial<Record<EntryKind, number>>[] {
    const counts = Array.from({ length: buckets }, () => new Uint32Array(ENTRY_KINDS.length));
    for (let at = 0; at < this.#count; at++) counts[Math.floor((at * buckets) / this.#count)]![this.#kinds[at]!]!++;
    return counts.map((count) =>
      Object.fromEntries(ENTRY_KINDS.flatMap((kind, i) => count[i]! > 0 ? [[kind, count[i]!]] : []))
    );
  }

  // ---- Keys ----

  tableNames(): string[] {
    return [...this.#keys.keys()].sort();
  }

  /** Keys that a table ever had, in the order of their bytes. */
  keysOf(table: string): readonly ByteString[] {
    const keys = this.#keys.get(table);
    if (keys === undefined) return [];
    const known = this.#sorted.get(table);
    if (known?.size === keys.size) return known.keys;
    const sorted = [...keys.keys()].sort((a, b) => a < b ? -1 : a > b ? 1 : 0);
    this.#sorted.set(table, { keys: sorted, size: keys.size });
    return sorted;
  }

  versionsOf(table: string, key: ByteString): Versions {
    return this.#keys.get(table)?.get(key) ?? [];
  }

  /** What last happened to a key at or before a seqno, negative for a removal. */
  lastVersion(table: string, key: ByteString, at: Seqno): number | undefined {
    const versions = this.versionsOf(table, key);
    return versions[lowerBound(versions.length, (i) => Math.abs(versions[i]!) > at) - 1];
  }

  /** When a key was last written at or before a seqno; undefined where it is not there then. */
  versionAt(table: string, key: ByteString, at: Seqno): Seqno | undefined {
    const version = this.lastVersion(table, key, at);
    return version === undefined || version < 0 ? undefined : version;
  }

  /** When something happened to a key next before and after a seqno. */
  aroundIn(
    table: string,
    key: ByteString,
    seqno: Seqno,
  ): { readonly older: Seqno | undefined; readonly newer: Seqno | undefined } {
    const versions = this.versionsOf(table, key);
    const at = (limit: number) => lowerBound(versions.length, (i) => Math.abs(versions[i]!) >= limit);
    const [older, newer] = [versions[at(seqno) - 1], versions[at(seqno + 1)]];
    return { older: older && Math.abs(older), newer: newer && Math.abs(newer) };
  }
}

/** The first of `count` places for which it holds; `count` where there is none. Once it holds it holds for all after. */
export function lowerBound(count: number, holds: (i: number) => boolean): number {
  let low = 0;
  for (let high = count; low < high;) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function kindOf(tables: readonly TableWrites[], hasPrivate: boolean): EntryKind {
  const has = (name: string) => tables.some((table) => table.name === name);
  if (has(SIGNATURES)) return "signature";
  if (has(SNAPSHOT_EVIDENCE)) return "snapshot evidence";
  if (has(NODES_INFO)) return "reconfiguration";
  if (tables.some(({ name }) => name.startsWith("public:ccf.gov."))) return "governance";
  return !hasPrivate && tables.length > 0 && tables.every(({ name }) => name.startsWith("public:ccf.internal."))
    ? "internal"
    : "user";
}
