/**
 * The ledger worker without the worker: reads, verifies, folds, remembers, and answers.
 *
 * In: a source of entries, questions. Out: `LedgerApi`, and news of where it stands. What is answered was verified, but for
 * what the state says is not; entries that are read again are compared with their leaves.
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { type ByteString, equalBytes, fromByteString, toByteString, toHex } from "../../shared/bytes.ts";
import { parseLedgerSignatureHeader } from "../../shared/crypto/cose_headers.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { noblePrimitives, type Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../../shared/crypto/x509.ts";
import { COSE_HISTORY, SERVICE_INFO } from "../../shared/governance/tables.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { isSignature, parseSignatureTables } from "../../shared/ledger/signature.ts";
import {
  MAX_BUNDLE_LEDGER_BYTES,
  MAX_PAGE_KEPT_BYTES,
  MAX_PAGE_TABLE_ROWS,
  MAX_PAGE_WRITES_WITH_BEFORE,
  PAGE_TURN_MS,
} from "../../shared/limits.ts";
import { MerkleTree } from "../../shared/merkle/tree.ts";
import { type EvidenceBundle, parseAnswer, serialiseBundle } from "../../shared/trust/bundle.ts";
import type { Cause } from "../../shared/trust/decisions.ts";
import { climb } from "../../shared/trust/ladder.ts";
import type { RedecidedRequests } from "../../shared/trust/network_rung.ts";
import type { TrustReport } from "../../shared/trust/report.ts";
import { formatTxId, parseTxId, type Seqno } from "../../shared/tx_id.ts";
import { type Problem, ProblemError, problemOf } from "../problem.ts";
import { entryLayout } from "./entry_layout.ts";
import { type Fold, SnapshotFold, WholeFold } from "./fold.ts";
import { LedgerIndex } from "./ledger_index.ts";
import {
  type AuditOptions,
  type AuditProgress,
  type AuditReport,
  type EntryAnswer,
  type EntryFilter,
  type EntryPage,
  type EntryRow,
  type GrowthPoint,
  IDLE_STATE,
  type KeyVersion,
  type LedgerApi,
  type LedgerSource,
  type LedgerState,
  type MerkleProof,
  type NodeEvidence,
  type OpenOptions,
  type Pin,
  type ProofState,
  type ServiceFacts,
  type SignedAt,
  type TableDifference,
  type TablePage,
  type TableRow,
  type TableSummary,
  type TransactionDetail,
  type TrustHistory,
  type WriteDetail,
} from "./protocol.ts";
import { type EntrySource, FileEntries, NodeEntries } from "./sources.ts";

export interface ReadingOptions {
  readonly onState: (state: LedgerState) => void;
  readonly onAudit?: (progress: AuditProgress) => void;
  readonly primitives?: Primitives;
  /** Instead of what `open` names: for tests. */
  readonly makeSource?: (source: LedgerSource) => Promise<EntrySource>;
  readonly nowMs?: () => number;
  /** Decides again what members asked for; loaded when somebody wants it. */
  readonly audit?: RunAudit;
}

/** @param entries every entry from the first on, each with the tree that has it as its last leaf */
export type RunAudit = (
  primitives: Primitives,
  entries: AsyncIterable<{ readonly seqno: Seqno; readonly bytes: Uint8Array; readonly tree: MerkleTree }>,
  range: { readonly from: Seqno; readonly to: Seqno },
) => Promise<{ readonly report: AuditReport; readonly redecided: RedecidedRequests }>;

/** States are told this often while there is news every moment. */
const STATE_EVERY_MS = 100;
/** How often a live source is asked for more. */
const FOLLOW_EVERY_MS = 2000;
const MAX_RETRY_MS = 15_000;

/** What would not get better by asking again. */
const FINAL_CODES = new Set(["NodeNonsense", "LedgerNotHandedOut", "AnswerTooLarge", "FileDamaged"]);

/** Everything about one ledger that is open. */
interface Opened {
  readonly source: EntrySource;
  readonly options: OpenOptions;
  readonly fold: Fold;
  readonly index: LedgerIndex;
  /** Values of the snapshot that it began with, by table and key. */
  readonly base: ReadonlyMap<string, ReadonlyMap<ByteString, Uint8Array>>;
  /** Bytes of entries, in the order in which they were wanted. */
  readonly kept: Map<Seqno, Uint8Array>;
  keptBytes: number;
  readSeqno: Seqno;
  readonly startedAtMs: number;
  readonly closed: AbortController;
}

export class LedgerReading implements LedgerApi {
  readonly #options: ReadingOptions;
  readonly #primitives: Primitives;
  readonly #nowMs: () => number;
  #opened: Opened | undefined;
  #state: LedgerState = IDLE_STATE;
  #told = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wake: () => void = () => {};
  #redecided: RedecidedRequests | undefined;
  #auditStop: AbortController | undefined;

  constructor(options: ReadingOptions) {
    this.#options = options;
    this.#primitives = options.primitives ?? noblePrimitives;
    this.#nowMs = options.nowMs ?? (() => Date.now());
  }

  get state(): LedgerState {
    return this.#state;
  }

  // ---- Reading ----

  async open(wanted: LedgerSource, options: OpenOptions): Promise<void> {
    await this.close();
    this.#tell({ status: "reading", sourceName: wanted.kind === "node" ? wanted.url : "files" });
    let opened: Opened;
    try {
      const source = await (this.#options.makeSource ?? sourceOf)(wanted);
      opened = this.#begin(source, options);
    } catch (error) {
      this.#tell({ status: "stopped", problem: problemOf(error) });
      return;
    }
    this.#opened = opened;
    this.#tell({ sourceName: opened.source.name, firstSeqno: opened.index.first, warnings: opened.source.warnings });
    void this.#run(opened);
  }

  #begin(source: EntrySource, options: OpenOptions): Opened {
    const mode = options.lenient ? "lenient" : "strict";
    const primitives = this.#primitives;
    const onEntry = (bytes: Uint8Array, tree: MerkleTree) => this.#take(opened, bytes, tree);
    const base = new Map<string, Map<ByteString, Uint8Array>>();
    let fold: Fold;
    let index: LedgerIndex;
    if (source.snapshot === undefined) {
      fold = new WholeFold(primitives, mode, onEntry);
      index = new LedgerIndex(primitives);
    } else {
      const { name, snapshot } = source.snapshot;
      const from = new SnapshotFold(primitives, mode, name, snapshot, onEntry);
      if (from.failure !== undefined) throw new ProblemError(refused(from.failure));
      fold = from;
      index = new LedgerIndex(primitives, snapshot.seqno + 1, MerkleTree.parse(primitives, from.tree.serialise()));
      for (const { name, entries } of snapshot.publicTables()) {
        const values = new Map<ByteString, Uint8Array>();
        base.set(name, values);
        for (const { key, value, version } of entries) {
          values.set(key, value);
          index.addBase(name, key, version);
        }
      }
    }
    const opened: Opened = {
      source,
      options,
      fold,
      index,
      base,
      kept: new Map(),
      keptBytes: 0,
      readSeqno: index.first - 1,
      startedAtMs: this.#nowMs(),
      closed: new AbortController(),
    };
    return opened;
  }

  /** Reads until the source is at its end, the ledger is refused, or it is closed. */
  async #run(opened: Opened): Promise<void> {
    const { source, fold, closed } = opened;
    for (let failures = 0; !closed.signal.aborted;) {
      try {
        await this.#readOn(opened);
        failures = 0;
        if (closed.signal.aborted) return;
        if (fold.failure !== undefined) return this.#stop(opened, refused(fold.failure));
        if (!source.isLive) return this.#end(opened);
        this.#caughtUp(opened);
      } catch (error) {
        if (closed.signal.aborted) return;
        const problem = problemOf(error);
        if (!source.isLive || FINAL_CODES.has(problem.code) || problem.code === "ConsoleFault") {
          return this.#stop(opened, problem);
        }
        failures++;
        this.#tell({ problem });
      }
      if (this.#state.status === "stopped") return;
      const delayMs = failures === 0 ? FOLLOW_EVERY_MS : Math.min(MAX_RETRY_MS, 500 * 2 ** failures);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, delayMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async #readOn(opened: Opened): Promise<void> {
    const { source, fold, closed } = opened;
    let turn = this.#nowMs();
    for await (const bytes of source.read(opened.readSeqno + 1)) {
      if (closed.signal.aborted) return;
      // What a source hands out may be a view into much more.
      if (!fold.add(bytes)) return;
      opened.readSeqno++;
      if (this.#nowMs() - turn < PAGE_TURN_MS) continue;
      if (this.#checkPin(opened) !== undefined) return;
      this.#progress(opened);
      await nextTurn();
      turn = this.#nowMs();
    }
  }

  /** An entry that a signature covers, now accepted. */
  #take(opened: Opened, bytes: Uint8Array, tree: MerkleTree): void {
    const entry = LedgerEntry.parse(bytes);
    const tables = entry.publicTables(() => {});
    opened.index.add(entry, tables, tree.leaf(tree.size - 1));
    if (opened.source.isLive) this.#keep(opened, entry.seqno, bytes);
    if (!isSignature(tables)) return;
    const { nodeSignature, coseSignature } = parseSignatureTables(tables);
    const header = coseSignature && parseLedgerSignatureHeader(coseSignature);
    opened.index.signatures.push({
      txId: formatTxId(entry.txId),
      seqno: entry.seqno,
      view: entry.view,
      root: toHex(opened.index.tree.root(entry.seqno)),
      nodeId: nodeSignature.nodeId,
      ...(header !== undefined && { timeMs: header.issuedAtSeconds * 1000 }),
    });
  }

  #keep(opened: Opened, seqno: Seqno, bytes: Uint8Array): void {
    const { kept } = opened;
    const before = kept.get(seqno);
    if (before !== undefined) {
      kept.delete(seqno);
      opened.keptBytes -= before.length;
    }
    kept.set(seqno, bytes.slice());
    opened.keptBytes += bytes.length;
    for (const [old, oldBytes] of kept) {
      if (opened.keptBytes <= MAX_PAGE_KEPT_BYTES) break;
      kept.delete(old);
      opened.keptBytes -= oldBytes.length;
    }
  }

  #caughtUp(opened: Opened): void {
    const stop = this.#checkPin(opened) ?? this.#checkEnd(opened);
    if (stop !== undefined) return this.#stop(opened, stop);
    const { problem: _gone, ...rest } = this.#state;
    this.#state = rest;
    this.#tell({ status: "following", ...this.#facts(opened) });
  }

  #end(opened: Opened): void {
    const stop = this.#checkPin(opened) ?? this.#checkEnd(opened);
    if (stop !== undefined) return this.#stop(opened, stop);
    const warnings = [...opened.source.warnings];
    if (opened.fold.unsigned > 0) {
      warnings.push(`${opened.fold.unsigned} entries at the end are covered by no signature, and are not shown`);
    }
    this.#tell({ status: "complete", ...this.#facts(opened), warnings });
  }

  #stop(opened: Opened, problem: Problem & { readonly seqno?: Seqno }): void {
    this.#tell({ status: "stopped", ...this.#facts(opened), problem });
  }

  #progress(opened: Opened): void {
    if (this.#nowMs() - this.#told < STATE_EVERY_MS) return;
    this.#tell({ ...this.#facts(opened) });
  }

  /** What the ledger contradicts of what was verified before. */
  #checkPin({ options: { pin }, index, fold }: Opened): Problem | undefined {
    if (pin === undefined) return undefined;
    const { view, seqno } = parseTxId(pin.lastSigned);
    if (!index.has(seqno) || index.coveringSignature(seqno) === undefined) return undefined;
    const identity = fold.identities.findLast(({ from }) => from <= seqno)?.certificate.nodeId;
    const here = { view: index.view(seqno), root: toHex(index.tree.root(seqno)) };
    if (here.view === view && here.root === pin.root && identity === pin.serviceIdentity) return undefined;
    return {
      code: identity === pin.serviceIdentity ? "LedgerForked" : "IdentityChanged",
      what: "The ledger contradicts what was verified here before",
      why:
        `At the remembered signature ${pin.lastSigned} the service was ${
          pin.serviceIdentity.slice(0, 16)
        }… and its root ` +
        `${pin.root.slice(0, 16)}…; here transaction ${here.view}.${seqno} is of ${
          String(identity).slice(0, 16)
        }… with the ` +
        `root ${here.root.slice(0, 16)}…`,
      todo:
        "Do not act on what is shown. Ask other members which of the two they see; keep the exported pin as evidence",
    };
  }

  /** The source has no more, for now. */
  #checkEnd({ options: { pin, serviceCertificatePem }, index, fold, source }: Opened): Problem | undefined {
    const signed = index.signatures.at(-1);
    if (pin !== undefined && (signed?.seqno ?? 0) < parseTxId(pin.lastSigned).seqno) {
      return {
        code: "LedgerOlderThanPinned",
        what: "The ledger is older than what was verified here before",
        why: `It ends with the signature ${signed?.txId ?? "none"}, and ${pin.lastSigned} was verified before`,
        todo: source.isLive
          ? "The node may be behind, or replay an old state: connect to another node, and do not act on what is shown"
          : "Choose newer files",
      };
    }
    if (serviceCertificatePem !== undefined) {
      const wanted = nodeIdOf(parseCertificatePem(serviceCertificatePem).spki);
      const found = fold.identities.at(-1)?.certificate.nodeId;
      if (wanted !== found) {
        return {
          code: "IdentityChanged",
          what: "The ledger is of another service",
          why: `Its service is ${String(found)}, and the certificate given is of ${wanted}`,
          todo: "Check which certificate members gave you",
        };
      }
    }
    return undefined;
  }

  #facts(opened: Opened): Partial<LedgerState> {
    const { index, source, fold, readSeqno, startedAtMs } = opened;
    const signed = index.signatures.at(-1);
    const service = serviceFacts(fold);
    const seconds = Math.max(0.001, (this.#nowMs() - startedAtMs) / 1000);
    const pin = signed && service && pinOf(signed, service);
    const snapshot = source.snapshot;
    return {
      readSeqno,
      sourceSeqno: Math.max(source.last, readSeqno),
      entriesPerSecond: Math.round((readSeqno - index.first + 1) / seconds),
      gaps: [...source.gaps],
      warnings: [...source.warnings],
      ...(signed !== undefined && { signed }),
      ...(service !== undefined && { service }),
      ...(pin !== undefined && { pin }),
      ...(snapshot !== undefined && {
        fromSnapshot: {
          seqno: snapshot.name.seqno,
          evidenceVerified: (signed?.seqno ?? 0) >= snapshot.name.evidenceSeqno,
        },
      }),
    };
  }

  #tell(change: Partial<LedgerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#told = this.#nowMs();
    this.#options.onState(this.#state);
  }

  close(): Promise<void> {
    this.#auditStop?.abort();
    this.#opened?.closed.abort();
    this.#opened = undefined;
    this.#redecided = undefined;
    this.#wake();
    clearTimeout(this.#timer);
    this.#state = IDLE_STATE;
    this.#options.onState(this.#state);
    return Promise.resolve();
  }

  refresh(): Promise<void> {
    this.#wake();
    return Promise.resolve();
  }

  // ---- Lists ----

  entries(filter: EntryFilter, offset: number, count: number): Promise<EntryPage> {
    const { index } = this.#require();
    const found = index.find(filter);
    const total = found?.length ?? index.last - index.first + 1;
    const rows: EntryRow[] = [];
    for (let i = Math.max(0, offset); i < Math.min(total, offset + count); i++) {
      rows.push(index.row(found?.[i] ?? index.first + i));
    }
    return Promise.resolve({ total, rows });
  }

  offsetOf(filter: EntryFilter, seqno: Seqno): Promise<number> {
    const { index } = this.#require();
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
    return Promise.resolve(this.#require().index.density(buckets));
  }

  growth(points: number): Promise<GrowthPoint[]> {
    const { index } = this.#require();
    const timed = index.signatures.flatMap(({ seqno, timeMs }, i) =>
      timeMs === undefined ? [] : [{ seqno, timeMs, bytes: index.bytesUpTo(seqno), signatures: i + 1 }]
    );
    if (timed.length <= points) return Promise.resolve(timed);
    const step = (timed.length - 1) / Math.max(1, points - 1);
    return Promise.resolve(Array.from({ length: points }, (_, i) => timed[Math.round(i * step)]!));
  }

  seqnoAt(timeMs: number): Promise<Seqno | undefined> {
    return Promise.resolve(this.#require().index.seqnoAt(timeMs));
  }

  // ---- One transaction ----

  async transaction(seqno: Seqno, view?: number): Promise<EntryAnswer> {
    const opened = this.#require();
    const { index } = opened;
    const missing = this.#missing(opened, seqno, view);
    if (missing !== undefined) return missing;
    const entry = await this.#entry(opened, seqno);
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
        const versions = index.versionsOf(name, key).map(Math.abs);
        const at = versions.indexOf(seqno);
        const [older, newer] = [versions[at - 1], versions[at + 1]];
        if (older !== undefined && older >= index.first) previous = Math.max(previous ?? 0, older);
        if (newer !== undefined) next = Math.min(next ?? Infinity, newer);
        const beforeSeqno = writes.length < MAX_PAGE_WRITES_WITH_BEFORE
          ? index.versionAt(name, key, seqno - 1)
          : undefined;
        const before = beforeSeqno === undefined ? undefined : await this.#valueAt(opened, name, key, beforeSeqno);
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

  #missing({ index, source, readSeqno }: Opened, seqno: Seqno, view?: number): EntryAnswer | undefined {
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
    const { index } = this.#require();
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
  async #entry(opened: Opened, seqno: Seqno): Promise<LedgerEntry> {
    const kept = opened.kept.get(seqno);
    const bytes = kept ?? await opened.source.entry(seqno);
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
      if (entry.seqno !== seqno || !equalBytes(entry.leaf(this.#primitives), opened.index.tree.leaf(seqno))) {
        throw changed("Its leaf is not that of the verified tree");
      }
    } catch (error) {
      if (error instanceof FormatError) throw changed(error.message);
      throw error;
    }
    if (kept === undefined) this.#keep(opened, seqno, bytes);
    return entry;
  }

  // ---- Tables ----

  tables(at?: Seqno): Promise<TableSummary[]> {
    const { index } = this.#require();
    const upTo = this.#at(at);
    const summaries = index.tableNames().flatMap((name) => {
      let keys = 0;
      let lastWritten = 0;
      for (const key of index.keysOf(name)) {
        const versions = index.versionsOf(name, key);
        const version = lastAt(versions, upTo);
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
    const opened = this.#require();
    const { offset = 0, count = MAX_PAGE_TABLE_ROWS } = options;
    const at = this.#at(options.at);
    const here = opened.index.keysOf(name).flatMap((key) => {
      const version = opened.index.versionAt(name, key, at);
      return version === undefined ? [] : [{ key, version }];
    });
    const rows: TableRow[] = [];
    for (const { key, version } of here.slice(offset, offset + count)) {
      rows.push({
        key: fromByteString(key),
        value: await this.#valueAt(opened, name, key, version),
        writtenAt: version,
      });
    }
    return { total: here.length, rows, proof: this.#proofAt(at) };
  }

  async value(table: string, key: Uint8Array, at?: Seqno): Promise<TableRow | undefined> {
    const opened = this.#require();
    const name = toByteString(key);
    const version = opened.index.versionAt(table, name, this.#at(at));
    if (version === undefined) return undefined;
    return { key, value: await this.#valueAt(opened, table, name, version), writtenAt: version };
  }

  async history(table: string, key: Uint8Array): Promise<KeyVersion[]> {
    const opened = this.#require();
    const { index } = opened;
    const name = toByteString(key);
    const history: KeyVersion[] = [];
    for (const version of [...index.versionsOf(table, name)].reverse()) {
      const seqno = Math.abs(version);
      const isHere = index.has(seqno);
      const timeMs = isHere ? index.coveringSignature(seqno)?.timeMs : undefined;
      history.push({
        seqno,
        txId: isHere ? index.txId(seqno) : `?.${seqno}`,
        ...(version > 0 && { value: await this.#valueAt(opened, table, name, version) }),
        ...(timeMs !== undefined && { timeMs }),
      });
    }
    return history;
  }

  async difference(from: Seqno, to: Seqno, maxChanges: number): Promise<TableDifference[]> {
    const opened = this.#require();
    const { index } = opened;
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
        const before = was === undefined ? undefined : await this.#valueAt(opened, table, key, was);
        const after = is === undefined ? undefined : await this.#valueAt(opened, table, key, is);
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
  async #valueAt(opened: Opened, table: string, key: ByteString, version: Seqno): Promise<Uint8Array> {
    if (version < opened.index.first) {
      const value = opened.base.get(table)?.get(key);
      assert(value !== undefined, "The index of a snapshot's rows has only rows that are in it");
      return value;
    }
    const entry = await this.#entry(opened, version);
    const writes = entry.publicTables(() => {}).find(({ name }) => name === table)?.writes ?? [];
    const found = writes.find(([written]) => written === key);
    assert(found !== undefined, "The index has only what entries wrote");
    return found[1].slice();
  }

  #at(at: Seqno | undefined): Seqno {
    const { index } = this.#require();
    const signed = index.signatures.at(-1)?.seqno ?? index.first - 1;
    return Math.max(index.first - 1, Math.min(at ?? signed, index.last));
  }

  #proofAt(at: Seqno): ProofState {
    const { index } = this.#require();
    if (at < index.first) return "unproved";
    return index.coveringSignature(at) === undefined ? "unsigned" : "verified";
  }

  // ---- Trust ----

  climb(evidence: NodeEvidence): Promise<TrustReport> {
    const opened = this.#require();
    const bundle = this.#bundle(evidence);
    return Promise.resolve(climb({
      primitives: this.#primitives,
      evidence: bundle.evidence,
      nodeId: bundle.nodeId,
      peer: evidence.peerCertificate && { der: evidence.peerCertificate, connection: "held" },
      servicePem: opened.options.serviceCertificatePem,
      ledger: opened.fold.trust ??
        { unavailable: "the ledger here begins with a snapshot, and not with its first entry" },
      redecided: this.#redecided,
      at: evidence.nowMs,
      upTo: "network",
    }));
  }

  trustHistory(): Promise<TrustHistory | undefined> {
    const fold = this.#require().fold.trust;
    return Promise.resolve(
      fold && {
        policyChanges: fold.policyChanges.map((change) => ({ ...change, cause: withoutProposal(change.cause) })),
        admissions: fold.admissions.map(({ nodeId, registeredAt, registeredBy, trusted, status, problems }) => ({
          nodeId,
          registeredAt,
          registeredBy: withoutProposal(registeredBy),
          ...(trusted !== undefined && { trusted: { at: trusted.at, by: withoutProposal(trusted.by) } }),
          status,
          problems,
        })),
      },
    );
  }

  async evidenceBundle(evidence: NodeEvidence): Promise<string> {
    const opened = this.#require();
    const { index } = opened;
    const bundle = this.#bundle(evidence);
    const entries: Uint8Array[] = [];
    if (opened.fold.trust !== undefined && index.bytes <= MAX_BUNDLE_LEDGER_BYTES) {
      for (let seqno = index.first; seqno <= index.last; seqno++) {
        entries.push((await this.#entry(opened, seqno)).bytes);
      }
    }
    return serialiseBundle({
      ...bundle,
      source: opened.source.name,
      savedAtMs: evidence.nowMs,
      ...(evidence.peerCertificate !== undefined && { nodeCertificate: evidence.peerCertificate }),
      ...(entries.length > 0 && { entries }),
    });
  }

  #bundle({ answer }: NodeEvidence): EvidenceBundle {
    try {
      return parseAnswer(answer);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new ProblemError({
        code: "EvidenceUnreadable",
        what: "What the node says about itself is no evidence",
        why: error.message,
        todo: "Connect to another node; this one does not show what it runs on",
      });
    }
  }

  // ---- Audit ----

  async audit({ from, to }: AuditOptions): Promise<AuditReport> {
    const opened = this.#require();
    const { index } = opened;
    const run = this.#options.audit;
    if (run === undefined || opened.fold.trust === undefined) {
      throw new ProblemError({
        code: "AuditNeedsWholeLedger",
        what: "The decisions of members cannot be decided again",
        why: "That needs the ledger from its first entry on, and this one begins with a snapshot",
        todo: "Open the files from ledger_1 on, or connect to a node that has them",
      });
    }
    this.#auditStop?.abort();
    const stop = this.#auditStop = new AbortController();
    const last = index.signatures.at(-1)?.seqno ?? 0;
    const range = { from: from ?? index.first, to: Math.min(to ?? last, last) };
    try {
      const { report, redecided } = await run(this.#primitives, this.#walk(opened, last, stop.signal), range);
      if (!stop.signal.aborted) this.#redecided = redecided;
      return stop.signal.aborted
        ? { ...report, verdict: report.verdict === "refused" ? "refused" : "incomplete" }
        : report;
    } finally {
      if (this.#auditStop === stop) this.#auditStop = undefined;
    }
  }

  stopAudit(): Promise<void> {
    this.#auditStop?.abort();
    return Promise.resolve();
  }

  /** All entries again, each with the tree up to it, and with time for questions in between. */
  async *#walk(opened: Opened, last: Seqno, stop: AbortSignal) {
    const tree = new MerkleTree(this.#primitives);
    let turn = this.#nowMs();
    let told = 0;
    for (let seqno = opened.index.first; seqno <= last && !stop.aborted; seqno++) {
      const { bytes } = await this.#entry(opened, seqno);
      tree.append(opened.index.tree.leaf(seqno));
      yield { seqno, bytes, tree };
      if (this.#nowMs() - turn < PAGE_TURN_MS) continue;
      if (this.#nowMs() - told >= STATE_EVERY_MS) {
        this.#options.onAudit?.({ done: seqno, of: last });
        told = this.#nowMs();
      }
      await nextTurn();
      turn = this.#nowMs();
    }
    this.#options.onAudit?.({ done: last, of: last });
  }

  #require(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    throw new ProblemError({
      code: "NothingOpen",
      what: "No ledger is open",
      why: "Nothing was connected to, or it could not be opened",
      todo: "Connect to a node, or open ledger files",
    });
  }
}

/** Proposals may be large, and are asked for by their seqno. */
function withoutProposal(cause: Cause): Cause {
  return cause.kind === "decision" ? { ...cause, decision: { ...cause.decision, proposal: undefined } } : cause;
}

/** Lets messages in that came meanwhile. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function sourceOf(source: LedgerSource): Promise<EntrySource> {
  return source.kind === "node" ? new NodeEntries(source.url, source.headers) : await FileEntries.open(source.files);
}

function refused(
  { seqno, reason }: { readonly seqno: Seqno; readonly reason: string },
): Problem & { readonly seqno: Seqno } {
  return {
    code: "LedgerRefused",
    what: `The ledger does not hold from entry ${seqno} on`,
    why: reason,
    todo:
      "Do not trust this source. What was signed before stands; compare with another node, or run `deno task run ledger verify`",
    seqno,
  };
}

function serviceFacts(fold: Fold): ServiceFacts | undefined {
  const current = fold.identities.at(-1);
  if (current === undefined) return undefined;
  return {
    status: statusOf(fold),
    certificatePem: current.certificatePem,
    identity: current.certificate.nodeId,
    identities: fold.identities.map(({ certificate, certificatePem, from }) => ({
      identity: certificate.nodeId,
      certificatePem,
      fromSeqno: from,
    })),
  };
}

function statusOf(fold: Fold): string {
  try {
    return fold.tables().open(SERVICE_INFO).get()?.status ?? "unknown";
  } catch (error) {
    if (error instanceof FormatError) return "unreadable";
    throw error;
  }
}

function pinOf(signed: SignedAt, { identity }: ServiceFacts): Pin {
  return { serviceIdentity: identity, lastSigned: signed.txId, root: signed.root };
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

/** The last version at or before a seqno, negative for a removal. */
function lastAt(versions: readonly number[], at: Seqno): number | undefined {
  let found: number | undefined;
  for (const version of versions) {
    if (Math.abs(version) > at) break;
    found = version;
  }
  return found;
}
