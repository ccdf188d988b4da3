/**
 * The ledger worker without the worker: opens a source, reads on, tells where it stands, and has questions answered.
 *
 * In: a source of entries, questions. Out: `LedgerApi`, and news of its state. What is answered was verified, but for what
 * the state says is not (open_ledger.ts, trust_answers.ts).
 */

import { FormatError } from "../../shared/assert.ts";
import { noblePrimitives, type Primitives } from "../../shared/crypto/primitives.ts";
import { SERVICE_INFO } from "../../shared/governance/tables.ts";
import { PAGE_TURN_MS } from "../../shared/limits.ts";
import { MerkleTree } from "../../shared/merkle/tree.ts";
import type { RedecidedRequests } from "../../shared/trust/network_rung.ts";
import type { TrustReport } from "../../shared/trust/report.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { type Problem, ProblemError, problemOf } from "../problem.ts";
import type { Fold } from "./fold.ts";
import { OpenLedger } from "./open_ledger.ts";
import {
  type AuditOptions,
  type AuditProgress,
  type AuditReport,
  type EntryFilter,
  IDLE_STATE,
  type LedgerApi,
  type LedgerSource,
  type LedgerState,
  type NodeEvidence,
  type OpenOptions,
  type Pin,
  type ServiceFacts,
  type SignedAt,
  type TrustHistory,
} from "./protocol.ts";
import { contradictionAtEnd, pinContradiction, refused } from "./refusals.ts";
import { type EntrySource, FileEntries, NodeEntries } from "./sources.ts";
import { bundleFor, climbOver, trustHistoryOf } from "./trust_answers.ts";

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
/** So long reading stands still for answers at most, before it goes on for a turn. */
const MAX_PAUSE_MS = 100;

/** What would not get better by asking again. */
const FINAL_CODES = new Set(["NodeNonsense", "LedgerNotHandedOut", "AnswerTooLarge", "FileDamaged"]);

/** A ledger that is being read. */
interface Opened {
  readonly ledger: OpenLedger;
  readonly startedAtMs: number;
  readonly closed: AbortController;
}

type Answers = Pick<
  LedgerApi,
  | "entries"
  | "offsetOf"
  | "density"
  | "growth"
  | "seqnoAt"
  | "transaction"
  | "proof"
  | "tables"
  | "table"
  | "value"
  | "history"
  | "difference"
>;

export class LedgerReading implements LedgerApi {
  readonly #options: ReadingOptions;
  readonly #primitives: Primitives;
  readonly #nowMs: () => number;
  #opened: Opened | undefined;
  /** Counts what was asked to be opened or closed: the last of it holds. */
  #wanted = 0;
  #state: LedgerState = IDLE_STATE;
  #told = 0;
  #wake: () => void = () => {};
  /** Questions whose answers are on their way. */
  #answering = 0;
  /** What came of the last audit, and up to where it went. */
  #redecided: { readonly upTo: Seqno; readonly requests: RedecidedRequests } | undefined;
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
    void this.close();
    const turn = this.#wanted;
    this.#tell({ status: "reading", sourceName: wanted.kind === "node" ? wanted.url : "files" });
    let opened: Opened;
    try {
      const source = await (this.#options.makeSource ?? sourceOf)(wanted);
      if (turn !== this.#wanted) return;
      opened = {
        ledger: new OpenLedger(this.#primitives, source, options),
        startedAtMs: this.#nowMs(),
        closed: new AbortController(),
      };
    } catch (error) {
      if (turn === this.#wanted) this.#tell({ status: "stopped", problem: problemOf(error) });
      return;
    }
    this.#opened = opened;
    const { source, index } = opened.ledger;
    this.#tell({ sourceName: source.name, firstSeqno: index.first, warnings: source.warnings });
    void this.#run(opened);
  }

  /** Reads until the source is at its end, the ledger is refused, or it is closed. */
  async #run(opened: Opened): Promise<void> {
    const { ledger: { source, fold }, closed } = opened;
    for (let failures = 0; !closed.signal.aborted;) {
      try {
        await this.#readOn(opened);
        failures = 0;
        if (closed.signal.aborted) return;
        if (fold.failure !== undefined) return this.#stop(opened, refused(fold.failure));
        this.#caughtUp(opened);
        if (!source.isLive) return;
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
      await this.#rest(failures === 0 ? FOLLOW_EVERY_MS : Math.min(MAX_RETRY_MS, 500 * 2 ** failures));
    }
  }

  #rest(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #readOn(opened: Opened): Promise<void> {
    const { ledger, closed } = opened;
    let turn = this.#nowMs();
    for await (const bytes of ledger.source.read(ledger.readSeqno + 1)) {
      if (closed.signal.aborted) return;
      const through = Promise.withResolvers<void>();
      ledger.through = through.promise;
      for (const _entry of ledger.fold.addInSteps(bytes)) {
        if (this.#nowMs() - turn < PAGE_TURN_MS) continue;
        await this.#pause();
        turn = this.#nowMs();
        if (closed.signal.aborted) break;
      }
      ledger.through = undefined;
      through.resolve();
      if (closed.signal.aborted || ledger.fold.failure !== undefined) return;
      ledger.readSeqno++;
      if (this.#nowMs() - this.#told >= STATE_EVERY_MS) {
        // What contradicts a pin is not read on.
        if (pinContradiction(ledger) !== undefined) return;
        this.#tell(this.#facts(opened));
      }
      if (this.#nowMs() - turn < PAGE_TURN_MS) continue;
      await this.#pause();
      turn = this.#nowMs();
    }
  }

  /** Lets questions in, and their answers out: somebody waits for these, and nobody for the next entry. */
  async #pause(): Promise<void> {
    await nextTurn();
    for (const until = this.#nowMs() + MAX_PAUSE_MS; this.#answering > 0 && this.#nowMs() < until;) await nextTurn();
  }

  /** An answer that needs entries to be read again. */
  async #whileReading<T>(answer: Promise<T>): Promise<T> {
    this.#answering++;
    try {
      return await answer;
    } finally {
      this.#answering--;
    }
  }

  /** All that the source has now is read. */
  #caughtUp(opened: Opened): void {
    const { ledger } = opened;
    const stop = pinContradiction(ledger) ?? contradictionAtEnd(ledger);
    if (stop !== undefined) return this.#stop(opened, stop);
    const { problem: _gone, ...rest } = this.#state;
    this.#state = rest;
    const warnings = [...ledger.source.warnings];
    if (!ledger.source.isLive && ledger.fold.unsigned > 0) {
      warnings.push(`${ledger.fold.unsigned} entries at the end are covered by no signature, and are not shown`);
    }
    this.#tell({ status: ledger.source.isLive ? "following" : "complete", ...this.#facts(opened), warnings });
  }

  #stop(opened: Opened, problem: Problem & { readonly seqno?: Seqno }): void {
    this.#tell({ status: "stopped", ...this.#facts(opened), problem });
  }

  #facts({ ledger, startedAtMs }: Opened): Partial<LedgerState> {
    const { index, source, fold, readSeqno } = ledger;
    const signed = index.signatures.at(-1);
    const seconds = Math.max(0.001, (this.#nowMs() - startedAtMs) / 1000);
    const snapshot = source.snapshot;
    const service = serviceFacts(fold, Math.max(signed?.seqno ?? 0, snapshot?.name.seqno ?? 0));
    const pin = signed && service && pinOf(signed, service);
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
        fromSnapshot: { seqno: snapshot.name.seqno, evidenceVerified: ledger.isBaseProved },
      }),
    };
  }

  #tell(change: Partial<LedgerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#told = this.#nowMs();
    this.#options.onState(this.#state);
  }

  close(): Promise<void> {
    this.#wanted++;
    this.#auditStop?.abort();
    this.#opened?.closed.abort();
    this.#opened = undefined;
    this.#redecided = undefined;
    this.#wake();
    this.#state = IDLE_STATE;
    this.#options.onState(this.#state);
    return Promise.resolve();
  }

  refresh(): Promise<void> {
    this.#wake();
    return Promise.resolve();
  }

  // ---- Questions that the ledger answers ----

  readonly entries: Answers["entries"] = (...args) => this.#ledger().entries(...args);
  readonly offsetOf: Answers["offsetOf"] = (...args) => this.#ledger().offsetOf(...args);
  readonly density: Answers["density"] = (...args) => this.#ledger().density(...args);
  readonly growth: Answers["growth"] = (...args) => this.#ledger().growth(...args);
  readonly seqnoAt: Answers["seqnoAt"] = (...args) => this.#ledger().seqnoAt(...args);
  readonly transaction: Answers["transaction"] = (...args) => this.#whileReading(this.#ledger().transaction(...args));
  readonly proof: Answers["proof"] = (...args) => this.#ledger().proof(...args);
  readonly tables: Answers["tables"] = (...args) => this.#ledger().tables(...args);
  readonly table: Answers["table"] = (...args) => this.#whileReading(this.#ledger().table(...args));
  readonly value: Answers["value"] = (...args) => this.#whileReading(this.#ledger().value(...args));
  readonly history: Answers["history"] = (...args) => this.#whileReading(this.#ledger().history(...args));
  readonly difference: Answers["difference"] = (...args) => this.#whileReading(this.#ledger().difference(...args));

  // ---- Trust ----

  climb(evidence: NodeEvidence): Promise<TrustReport> {
    return this.#whenSigned((ledger) => this.#climb(ledger, evidence));
  }

  #climb(ledger: OpenLedger, evidence: NodeEvidence): TrustReport {
    // What was decided since then nobody has decided again.
    const since = this.#redecided && ledger.index.find({ ...DECIDING, fromSeqno: this.#redecided.upTo + 1 });
    const redecided = since?.length === 0 ? this.#redecided?.requests : undefined;
    return climbOver(ledger, evidence, redecided, this.#primitives);
  }

  trustHistory(): Promise<TrustHistory | undefined> {
    return this.#whenSigned(trustHistoryOf);
  }

  async evidenceBundle(evidence: NodeEvidence): Promise<string> {
    return await bundleFor(this.#ledger(), evidence);
  }

  // ---- Audit ----

  async audit({ from, to }: AuditOptions): Promise<AuditReport> {
    const ledger = this.#ledger();
    const { index } = ledger;
    const run = this.#options.audit;
    if (run === undefined || ledger.fold.trust === undefined) {
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
      const { report, redecided } = await run(this.#primitives, this.#walk(ledger, last, stop.signal), range);
      if (!stop.signal.aborted) this.#redecided = { upTo: last, requests: redecided };
      return stop.signal.aborted && report.verdict === "verified" ? { ...report, verdict: "incomplete" } : report;
    } finally {
      if (this.#auditStop === stop) this.#auditStop = undefined;
    }
  }

  stopAudit(): Promise<void> {
    this.#auditStop?.abort();
    return Promise.resolve();
  }

  /** All entries again, each with the tree up to it, and with time for questions in between. */
  async *#walk(ledger: OpenLedger, last: Seqno, stop: AbortSignal) {
    const tree = new MerkleTree(this.#primitives);
    let turn = this.#nowMs();
    let told = 0;
    for (let seqno = ledger.index.first; seqno <= last && !stop.aborted; seqno++) {
      const { bytes } = await ledger.entry(seqno);
      tree.append(ledger.index.tree.leaf(seqno));
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

  /** Answers while nothing stands in the fold that is not signed. @throws ProblemError where none is open */
  async #whenSigned<T>(answer: (ledger: OpenLedger) => T): Promise<T> {
    const ledger = this.#ledger();
    while (ledger.through !== undefined) await ledger.through;
    return answer(ledger);
  }

  /** @throws ProblemError where none is open */
  #ledger(): OpenLedger {
    if (this.#opened !== undefined) return this.#opened.ledger;
    throw new ProblemError({
      code: "NothingOpen",
      what: "No ledger is open",
      why: "Nothing was connected to, or it could not be opened",
      todo: "Connect to a node, or open ledger files",
    });
  }
}

/** Entries that may hold decisions, whatever else they hold. */
const DECIDING: EntryFilter = { kinds: ["governance", "reconfiguration", "snapshot evidence"] };

/** Lets messages in that came meanwhile. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function sourceOf(source: LedgerSource): Promise<EntrySource> {
  return source.kind === "node" ? new NodeEntries(source.url, source.headers) : await FileEntries.open(source.files);
}

/** @param upTo where proof ends: in a run of entries that was refused, anybody may have written any service */
function serviceFacts(fold: Fold, upTo: Seqno): ServiceFacts | undefined {
  const identities = fold.identities.filter(({ from }) => from <= upTo);
  const current = identities.at(-1);
  if (current === undefined) return undefined;
  return {
    status: statusOf(fold),
    certificatePem: current.certificatePem,
    identity: current.certificate.nodeId,
    identities: identities.map(({ certificate, certificatePem, from }) => ({
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
