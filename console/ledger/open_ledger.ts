/**
 * One ledger that is open: what was verified of it, and every question about it.
 *
 * In: a source, entries once they are verified. Out: rows, transactions, tables at any seqno, proofs. Entries that are read
 * again are compared with their leaves. Knows nothing of when to read on.
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { type ByteString, equalBytes, fromByteString, toByteString, toHex } from "../../shared/bytes.ts";
import { parseLedgerSignatureHeader } from "../../shared/crypto/cose_headers.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { COSE_HISTORY } from "../../shared/governance/tables.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { isSignature, parseSignatureTables } from "../../shared/ledger/signature.ts";
import {
  MAX_PAGE_KEPT_BYTES,
  MAX_PAGE_KEY_VERSIONS,
  MAX_PAGE_QUESTIONS_AT_ONCE,
  MAX_PAGE_TABLE_ROWS,
  MAX_PAGE_WRITES_WITH_BEFORE,
} from "../../shared/limits.ts";
import { MerkleTree } from "../../shared/merkle/tree.ts";
import { formatTxId, type Seqno } from "../../shared/tx_id.ts";
import { ProblemError } from "../problem.ts";
import { entryLayout } from "./entry_layout.ts";
import { type Fold, SnapshotFold, WholeFold } from "./fold.ts";
import { LedgerIndex } from "./ledger_index.ts";
import type {
  EntryAnswer,
  EntryFilter,
  EntryPage,
  EntryRow,
  GrowthPoint,
  KeyVersion,
  MerkleProof,
  OpenOptions,
  ProofState,
  TableDifference,
  TablePage,
  TableRow,
  TableSummary,
  TransactionDetail,
  WriteDetail,
} from "./protocol.ts";
import { refused } from "./refusals.ts";
import type { EntrySource } from "./sources.ts";

export class OpenLedger {
  readonly fold: Fold;
  readonly index: LedgerIndex;
  /** The last entry that was read, whether a signature covers it or not. */
  readSeqno: Seqno;
  /** While entries pass through the fold whose signature is not verified yet: settles once it is, or is refused. */
  through: Promise<void> | undefined;
  readonly #primitives: Primitives;
  /** Values of the snapshot that it began with, by table and key. */
  readonly #base = new Map<string, Map<ByteString, Uint8Array>>();
  /** Bytes of entries, in the order in which they were wanted. */
  readonly #kept = new Map<Seqno, Uint8Array>();
  #keptBytes = 0;

  /** @throws ProblemError where the snapshot that it begins with does not hold */
  constructor(primitives: Primitives, readonly source: EntrySource, readonly options: OpenOptions) {
    this.#primitives = primitives;
    const mode = options.lenient ? "lenient" : "strict";
    const onEntry = (bytes: Uint8Array, tree: MerkleTree) => this.#take(bytes, tree);
    if (source.snapshot === undefined) {
      this.fold = new WholeFold(primitives, mode, onEntry);
      this.index = new LedgerIndex(primitives);
    } else {
      const { name, snapshot } = source.snapshot;
      const fold = this.fold = new SnapshotFold(primitives, mode, name, snapshot, onEntry);
      if (fold.failure !== undefined) throw new ProblemError(refused(fold.failure));
      const tree = MerkleTree.parse(primitives, fold.tree.serialise());
      this.index = new LedgerIndex(primitives, snapshot.seqno + 1, tree);
      for (const { name, entries } of snapshot.publicTables()) {
        const values = new Map<ByteString, Uint8Array>();
        this.#base.set(name, values);
        for (const { key, value, version } of entries) {
          values.set(key, value);
          this.index.addBase(name, key, version);
        }
      }
    }
    this.readSeqno = this.index.first - 1;
  }

  /** An entry that a signature covers, now accepted. */
  #take(bytes: Uint8Array, tree: MerkleTree): void {
    const entry = LedgerEntry.parse(bytes);
    const tables = entry.publicTables(() => {});
    this.index.add(entry, tables, tree.leaf(tree.size - 1));
    if (this.source.isLive) this.#keep(entry.seqno, bytes);
    if (!isSignature(tables)) return;
    const { nodeSignature, coseSignature } = parseSignatureTables(tables);
    const header = coseSignature && parseLedgerSignatureHeader(coseSignature);
    this.index.signatures.push({
      txId: formatTxId(entry.txId),
      seqno: entry.seqno,
      view: entry.view,
      root: toHex(this.index.tree.root(entry.seqno)),
      nodeId: nodeSignature.nodeId,
      ...(header !== undefined && { timeMs: header.issuedAtSeconds * 1000 }),
    });
  }

  #keep(seqno: Seqno, bytes: Uint8Array): void {
    const kept = this.#kept;
    const before = kept.get(seqno);
    if (before !== undefined) {
      kept.delete(seqno);
      this.#keptBytes -= before.length;
    }
    kept.set(seqno, bytes.slice());
    this.#keptBytes += bytes.length;
    for (const [old, oldBytes] of kept) {
      if (this.#keptBytes <= MAX_PAGE_KEPT_BYTES) break;
      kept.delete(old);
      this.#keptBytes -= oldBytes.length;
    }
  }

  // ---- Lists ----

  entries(filter: EntryFilter, offset: number, count: number): Promise<EntryPage> {
    const { index } = this;
    const found = index.find(filter);
    const total = found?.length ?? index.last - index.first + 1;
    const rows: EntryRow[] = [];
    for (let i = Math.max(0, offset); i < Math.min(total, offset + count); i++) {
      rows.push(index.row(found?.[i] ?? index.first + i));
    }
    return Promise.resolve({ total, rows });
  }

  offsetOf(filter: EntryFilter, seqno: Seqno): Promise<number> {
    const { index } = this;
    const found = index.find(filter);
    if (found === undefined) {
      return Promise.resolve(Math.min(Math.max(0, seqno - index.first), index.last - index.first + 1));
    }
    let low = 0;
    for (let high = found.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (found[middle]! >= seqno) high = middle;
      else low = middle + 1;
    }
    return Promise.resolve(low);
  }

  density(buckets: number): Promise<ReturnType<LedgerIndex["density"]>> {
    return Promise.resolve(this.index.density(buckets));
  }

  growth(points: number): Promise<GrowthPoint[]> {
    const { index } = this;
    const timed = index.signatures.flatMap(({ seqno, timeMs }, i) =>
      timeMs === undefined ? [] : [{ seqno, timeMs, bytes: index.bytesUpTo(seqno), signatures: i + 1 }]
    );
    if (timed.length <= points) return Promise.resolve(timed);
    const step = (timed.length - 1) / Math.max(1, points - 1);
    return Promise.resolve(Array.from({ length: points }, (_, i) => timed[Math.round(i * step)]!));
  }

  seqnoAt(timeMs: number): Promise<Seqno | undefined> {
    return Promise.resolve(this.index.seqnoAt(timeMs));
  }

  // ---- One transaction ----

  async transaction(seqno: Seqno, view?: number): Promise<EntryAnswer> {
    const { index } = this;
    const missing = this.#missing(seqno, view);
    if (missing !== undefined) return missing;
    const entry = await this.entry(seqno);
    const tables = entry.publicTables(() => {});
    const writes: WriteDetail[] = [];
    let previous: Seqno | undefined;
    let next: Seqno | undefined;
    for (const { name, writes: put, removes } of tables) {
      const changes = [
        ...put.map(([key, after]) => ({ key, after })),
        ...removes.map((key) => ({ key, after: undefined })),
      ];
      for (const { key, after } of changes) {
        const { older, newer } = index.aroundIn(name, key, seqno);
        if (older !== undefined && older >= index.first) previous = Math.max(previous ?? 0, older);
        if (newer !== undefined) next = Math.min(next ?? Infinity, newer);
        const beforeSeqno = writes.length < MAX_PAGE_WRITES_WITH_BEFORE
          ? index.versionAt(name, key, seqno - 1)
          : undefined;
        const before = beforeSeqno === undefined ? undefined : await this.#valueAt(name, key, beforeSeqno);
        writes.push({
          table: name,
          key: fromByteString(key),
          ...(after !== undefined && { after }),
          ...(before !== undefined && { before, beforeSeqno: beforeSeqno! }),
        });
      }
    }
    const requestedBy = requestIn(writes);
    const proofSteps = await this.proof(seqno);
    const transaction: TransactionDetail = {
      ...index.row(seqno),
      bytes: entry.bytes,
      layout: entryLayout(entry.bytes),
      writes,
      privateBytes: entry.frame.ciphertext.length,
      writeSetDigest: toHex(entry.writeSetDigest(this.#primitives)),
      leaf: toHex(index.tree.leaf(seqno)),
      ...(entry.commitEvidenceDigest !== undefined && { commitEvidenceDigest: toHex(entry.commitEvidenceDigest) }),
      ...(entry.claimsDigest !== undefined && { claimsDigest: toHex(entry.claimsDigest) }),
      ...(requestedBy !== undefined && { requestedBy }),
      ...(proofSteps !== undefined && { proofSteps }),
      ...(previous !== undefined && { previous }),
      ...(next !== undefined && { next }),
    };
    return { found: true, transaction };
  }

  #missing(seqno: Seqno, view?: number): EntryAnswer | undefined {
    const { index, source, readSeqno } = this;
    const no = (why: "pending" | "unknown" | "invalid" | "gap" | "before snapshot", detail: string): EntryAnswer => ({
      found: false,
      why,
      detail,
    });
    if (index.has(seqno)) {
      if (view === undefined || index.view(seqno) === view) return undefined;
      return no(
        "invalid",
        `Seqno ${seqno} was taken by transaction ${index.txId(seqno)}: ${view}.${seqno} was never committed`,
      );
    }
    if (seqno < index.first) {
      return no("before snapshot", `The ledger here begins with entry ${index.first}, behind a snapshot`);
    }
    const gap = source.gaps.find(({ from, to }) => seqno >= from && seqno <= to);
    if (gap !== undefined) return no("gap", `No file has the entries ${gap.from} to ${gap.to}`);
    if (seqno <= Math.max(source.last, readSeqno)) {
      return no("pending", `Entries are verified up to ${index.last}; this one is being waited for`);
    }
    return no("unknown", `The ledger ends with entry ${index.last}, as far as it is known here`);
  }

  proof(seqno: Seqno): Promise<MerkleProof | undefined> {
    const { index } = this;
    if (!index.has(seqno)) return Promise.resolve(undefined);
    // A signature signs what was before it, so it is covered by the next one itself.
    const signature = index.coveringSignature(seqno + 1);
    if (signature === undefined || seqno < index.tree.firstIndex) return Promise.resolve(undefined);
    const path = index.tree.path(seqno, signature.seqno);
    return Promise.resolve({
      leaf: toHex(index.tree.leaf(seqno)),
      path: path.map(({ side, hash }) => ({ side, hash: toHex(hash) })),
      root: signature.root,
      signature,
    });
  }

  /** An entry, read again where it is not at hand, and compared with its leaf. */
  async entry(seqno: Seqno): Promise<LedgerEntry> {
    const kept = this.#kept.get(seqno);
    const bytes = kept ?? await this.source.entry(seqno);
    const changed = (why: string) =>
      new ProblemError({
        code: "EntryChanged",
        what: `Entry ${seqno} is not what was verified`,
        why,
        todo: "Do not trust this source: it now gives another entry in the place of one that it gave before",
      });
    let entry: LedgerEntry;
    try {
      entry = LedgerEntry.parse(bytes);
      if (entry.seqno !== seqno || !equalBytes(entry.leaf(this.#primitives), this.index.tree.leaf(seqno))) {
        throw changed("Its leaf is not that of the verified tree");
      }
    } catch (error) {
      if (error instanceof FormatError) throw changed(error.message);
      throw error;
    }
    if (kept === undefined) this.#keep(seqno, bytes);
    return entry;
  }

  // ---- Tables ----

  tables(at?: Seqno): Promise<TableSummary[]> {
    const { index } = this;
    const upTo = this.#at(at);
    const summaries = index.tableNames().flatMap((name) => {
      let keys = 0;
      let lastWritten = 0;
      for (const key of index.keysOf(name)) {
        const version = index.lastVersion(name, key, upTo);
        if (version === undefined) continue;
        lastWritten = Math.max(lastWritten, Math.abs(version));
        if (version > 0) keys++;
      }
      return keys === 0 ? [] : [{ name, keys, lastWritten }];
    });
    return Promise.resolve(summaries);
  }

  async table(
    name: string,
    options: { readonly at?: Seqno; readonly offset?: number; readonly count?: number } = {},
  ): Promise<TablePage> {
    const { offset = 0, count = MAX_PAGE_TABLE_ROWS } = options;
    const at = this.#at(options.at);
    const here = this.index.keysOf(name).flatMap((key) => {
      const version = this.index.versionAt(name, key, at);
      return version === undefined ? [] : [{ key, version }];
    });
    const wanted = here.slice(offset, offset + count);
    const rows: TableRow[] = [];
    // One after the other would cost a turn of the reading, or a node's answer, for each.
    for (let i = 0; i < wanted.length; i += MAX_PAGE_QUESTIONS_AT_ONCE) {
      const some = wanted.slice(i, i + MAX_PAGE_QUESTIONS_AT_ONCE).map(async ({ key, version }) => ({
        key: fromByteString(key),
        value: await this.#valueAt(name, key, version),
        writtenAt: version,
      }));
      rows.push(...await Promise.all(some));
    }
    return { total: here.length, rows, proof: this.#proofAt(at) };
  }

  async value(table: string, key: Uint8Array, at?: Seqno): Promise<TableRow | undefined> {
    const name = toByteString(key);
    const version = this.index.versionAt(table, name, this.#at(at));
    if (version === undefined) return undefined;
    return { key, value: await this.#valueAt(table, name, version), writtenAt: version };
  }

  async history(table: string, key: Uint8Array, maxVersions = MAX_PAGE_KEY_VERSIONS): Promise<KeyVersion[]> {
    const { index } = this;
    const name = toByteString(key);
    const history: KeyVersion[] = [];
    const newest = index.versionsOf(table, name).slice(-Math.max(1, maxVersions));
    for (const version of newest.reverse()) {
      const seqno = Math.abs(version);
      const isHere = index.has(seqno);
      const timeMs = isHere ? index.coveringSignature(seqno)?.timeMs : undefined;
      history.push({
        seqno,
        txId: isHere ? index.txId(seqno) : `?.${seqno}`,
        ...(version > 0 && { value: await this.#valueAt(table, name, version) }),
        ...(timeMs !== undefined && { timeMs }),
      });
    }
    return history;
  }

  async difference(from: Seqno, to: Seqno, maxChanges: number): Promise<TableDifference[]> {
    const { index } = this;
    const [low, high] = from <= to ? [from, to] : [to, from];
    const differences: TableDifference[] = [];
    let left = maxChanges;
    for (const table of index.tableNames()) {
      const changes: { key: Uint8Array; before?: Uint8Array; after?: Uint8Array }[] = [];
      let truncated = false;
      for (const key of index.keysOf(table)) {
        const [was, is] = [index.versionAt(table, key, low), index.versionAt(table, key, high)];
        if (was === is) continue;
        if (left === 0) {
          truncated = true;
          break;
        }
        const before = was === undefined ? undefined : await this.#valueAt(table, key, was);
        const after = is === undefined ? undefined : await this.#valueAt(table, key, is);
        if (before !== undefined && after !== undefined && equalBytes(before, after)) continue;
        left--;
        const [first, second] = from <= to ? [before, after] : [after, before];
        changes.push({
          key: fromByteString(key),
          ...(first !== undefined && { before: first }),
          ...(second !== undefined && { after: second }),
        });
      }
      if (changes.length > 0 || truncated) differences.push({ table, changes, truncated });
    }
    return differences;
  }

  /** The value that a transaction wrote, or the snapshot has. */
  async #valueAt(table: string, key: ByteString, version: Seqno): Promise<Uint8Array> {
    if (version < this.index.first) {
      const value = this.#base.get(table)?.get(key);
      assert(value !== undefined, "The index of a snapshot's rows has only rows that are in it");
      return value;
    }
    const entry = await this.entry(version);
    const writes = entry.publicTables(() => {}).find(({ name }) => name === table)?.writes ?? [];
    const found = writes.find(([written]) => written === key);
    assert(found !== undefined, "The index has only what entries wrote");
    return found[1].slice();
  }

  #at(at: Seqno | undefined): Seqno {
    const { index } = this;
    const signed = index.signatures.at(-1)?.seqno ?? index.first - 1;
    return Math.max(index.first - 1, Math.min(at ?? signed, index.last));
  }

  /**
   * What a snapshot brought is proved once its evidence is signed, behind it, by the service that it is of: a recovery in
   * between proves nothing, since whoever has the public ledger can write one, and the evidence with it.
   */
  get isBaseProved(): boolean {
    const { index, fold: { identities }, source: { snapshot } } = this;
    if (snapshot === undefined) return true;
    const covering = index.coveringSignature(snapshot.name.evidenceSeqno);
    return covering !== undefined && identities.findLast(({ from }) => from <= covering.seqno) === identities[0];
  }

  #proofAt(at: Seqno): ProofState {
    const { index } = this;
    if (at < index.first || !this.isBaseProved) return "unproved";
    return index.coveringSignature(at) === undefined ? "unsigned" : "verified";
  }
}

/** Who signed the request that a governance transaction carries out. */
function requestIn(writes: readonly WriteDetail[]): TransactionDetail["requestedBy"] {
  const history = writes.find(({ table, after }) => table === COSE_HISTORY.name && after !== undefined);
  if (history === undefined) return undefined;
  try {
    return { memberId: new TextDecoder().decode(history.key), request: COSE_HISTORY.value.decode(history.after!) };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
