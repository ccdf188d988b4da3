/**
 * `quote verify`: from one node's evidence to trust in its network, and what of it holds.
 *
 * In: a node's URL or a file, what the caller trusts and expects. Out: the rungs for people or machines, a bundle, an exit
 * code. What is judged stands in `shared/trust`; here it is fetched, read and shown.
 */

import { FormatError } from "../shared/assert.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import type { ReplayMode } from "../shared/ledger/replay/state.ts";
import {
  MAX_BUNDLE_CHARACTERS,
  MAX_BUNDLE_LEDGER_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_TRUST_LEDGER_BYTES,
} from "../shared/limits.ts";
import { checkBareEvidence } from "../shared/trust/bare_evidence.ts";
import { type EvidenceBundle, parseBundle, serialiseBundle } from "../shared/trust/bundle.ts";
import {
  climb,
  type ExpectedCode,
  type RedecidedRequests,
  type Rung,
  RUNG_QUESTIONS,
  type RungName,
  RUNGS,
  type TrustReport,
  type TrustStep,
} from "../shared/trust/ladder.ts";
import { TrustFold } from "../shared/trust/trust_fold.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { AppEngine } from "../enclave/app_engine.ts";
import { describeFinding, GovernanceAudit } from "./governance_audit.ts";
import { ExitCode, readFile, readTextFile, reasonOf, requireWritable, UsageError } from "./commands/exit.ts";
import type { LedgerOutput } from "./commands/ledger_output.ts";
import { safeText } from "./commands/ledger_values.ts";
import { listLedger } from "./ledger_listing.ts";
import { walkLedger } from "./ledger_scan.ts";
import { readCollateral } from "./quote_collateral.ts";
import { NodeSource } from "./quote_source.ts";

export interface QuoteRequest {
  readonly primitives: Primitives;
  /** Decides members' requests again; undefined where the last rung is not asked for. */
  readonly engine: AppEngine | undefined;
  /** URL of a node, or path of a file. */
  readonly target: string;
  readonly serviceCert?: string | undefined;
  /** Where else to read the ledger: a directory of its files, or the URL of another node. */
  readonly ledger?: string | undefined;
  /** Directory with what vouches for bare evidence. */
  readonly collateral?: string | undefined;
  readonly upTo: RungName;
  /** Milliseconds since 1970; undefined: the time of the bundle, else now. */
  readonly at: number | undefined;
  readonly nowMs: number;
  readonly mode: ReplayMode;
  readonly allowVirtual: boolean;
  readonly expected: ExpectedCode;
  readonly savePath?: string | undefined;
  readonly json: boolean;
  /** Instead of the makers' own: for tests. */
  readonly anchors?: EvidenceAnchors | undefined;
}

export function isNodeUrl(target: string): boolean {
  return /^https:\/\//i.test(target);
}

/**
 * @returns 0 where all that was asked for holds, 1 where something does not, or the platform is virtual and that was not
 *   allowed
 * @throws UsageError where something given cannot be used; Unreachable where a node cannot be asked
 */
export async function verifyQuote(request: QuoteRequest, output: LedgerOutput): Promise<number> {
  const { target, nowMs } = request;
  const servicePem = readServiceCertificate(request.serviceCert);
  if (request.savePath !== undefined) requireWritable(request.savePath, "write the bundle");
  try {
    const bare = isNodeUrl(target) ? undefined : readBare(target);
    if (bare !== undefined) return verifyBare(request, bare, output);
    if (request.collateral !== undefined) {
      throw new UsageError("--collateral is for a bare report or quote; what a node shows brings its own");
    }
    const found = isNodeUrl(target)
      ? await askNode(request, servicePem, output)
      : await readFromFile(request, servicePem, output);
    const at = request.at ?? found.bundle.savedAtMs ?? nowMs;
    const { bundle, read } = found;
    const report = climb({
      primitives: request.primitives,
      evidence: bundle.evidence,
      nodeId: bundle.nodeId,
      peer: bundle.nodeCertificate && { der: bundle.nodeCertificate, connection: found.connection },
      servicePem,
      ledger: read.ledger,
      redecided: read.redecided,
      at,
      upTo: request.upTo,
      anchors: request.anchors,
      expected: request.expected,
    });
    const saved = request.savePath === undefined
      ? undefined
      : save(request.savePath, { ...bundle, savedAtMs: at }, read);
    tell(report, request, at, bundle.source, output);
    if (saved !== undefined) output.note(saved);
    return exitCodeOf(report, request);
  } finally {
    output.finish();
  }
}

function exitCodeOf({ verdict }: TrustReport, { allowVirtual }: QuoteRequest): number {
  return verdict === "verified" || (verdict === "virtual" && allowVirtual) ? ExitCode.done : ExitCode.refused;
}

/** A report or quote as a platform gives it; undefined where the file is JSON. @throws UsageError */
function readBare(path: string): Uint8Array | undefined {
  const bytes = readFile(path, "the evidence");
  const first = bytes.find((byte) => byte > 0x20);
  return first === 0x7b || first === undefined ? undefined : bytes;
}

/** @throws UsageError */
function verifyBare(request: QuoteRequest, bytes: Uint8Array, output: LedgerOutput): number {
  const { target, primitives, expected, anchors, nowMs } = request;
  if (bytes.length > MAX_EVIDENCE_BYTES) {
    throw new UsageError(
      `Cannot read the evidence ${target}: it has ${bytes.length} bytes, of ${MAX_EVIDENCE_BYTES} at most`,
    );
  }
  for (
    const [option, isGiven] of [["--save", request.savePath !== undefined], ["--ledger", request.ledger !== undefined]]
  ) {
    if (isGiven) throw new UsageError(`${option} is for nodes: ${target} is a report or quote, and nothing beside it`);
  }
  const collateral = request.collateral === undefined ? { certificates: [] } : readCollateral(request.collateral);
  const at = request.at ?? nowMs;
  let report: TrustReport;
  try {
    report = checkBareEvidence({ bytes, ...collateral }, { at, expected, anchors }, primitives);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the collateral in ${request.collateral}: ${error.message}`);
  }
  tell(report, request, at, undefined, output);
  return exitCodeOf(report, request);
}

/** What was found, whoever had it. */
interface Found {
  readonly bundle: EvidenceBundle;
  readonly connection: "held" | "recorded";
  readonly read: ReadLedger;
}

async function askNode(request: QuoteRequest, servicePem: string | undefined, output: LedgerOutput): Promise<Found> {
  const url = parseUrl(request.target);
  using source = await NodeSource.open(url, servicePem);
  const evidence = await source.evidence();
  const reader = new LedgerReader(request);
  const read = !needsLedger(request)
    ? NO_LEDGER
    : request.ledger === undefined
    ? await reader.fromNode(source, output)
    : await readElsewhere(request.ledger, reader, servicePem ?? source.servicePem, output);
  return {
    bundle: { ...evidence, nodeCertificate: source.certificate!, source: url.origin },
    connection: "held",
    read,
  };
}

async function readFromFile(
  request: QuoteRequest,
  servicePem: string | undefined,
  output: LedgerOutput,
): Promise<Found> {
  const bundle = readBundle(request.target);
  const reader = new LedgerReader(request);
  const read = !needsLedger(request)
    ? NO_LEDGER
    : request.ledger !== undefined
    ? await readElsewhere(request.ledger, reader, servicePem, output)
    : bundle.entries === undefined
    ? { ledger: { unavailable: "the file holds no ledger; name a copy of its files, or a node, with --ledger" } }
    : reader.fromEntries(bundle.entries);
  return { bundle, connection: "recorded", read };
}

/** @throws UsageError */
function readBundle(path: string): EvidenceBundle {
  const bytes = readFile(path, "the evidence");
  try {
    if (bytes.length > MAX_BUNDLE_CHARACTERS) throw new FormatError(`it is longer than ${MAX_BUNDLE_CHARACTERS} bytes`);
    return parseBundle(fromUtf8(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot read the evidence ${path}: ${error.message}`);
  }
}

function needsLedger({ upTo }: QuoteRequest): boolean {
  return RUNGS.indexOf(upTo) >= RUNGS.indexOf("service");
}

interface ReadLedger {
  readonly ledger: TrustFold | { readonly unavailable: string };
  readonly redecided?: RedecidedRequests | undefined;
  /** For a bundle, where they are few enough. */
  readonly entries?: readonly Uint8Array[] | undefined;
}

const NO_LEDGER: ReadLedger = { ledger: { unavailable: "no rung that needs it was asked for" } };

async function readElsewhere(
  where: string,
  reader: LedgerReader,
  servicePem: string | undefined,
  output: LedgerOutput,
): Promise<ReadLedger> {
  if (!isNodeUrl(where)) return reader.fromDirectory(where, output);
  using source = await NodeSource.open(parseUrl(where), servicePem);
  return await reader.fromNode(source, output);
}

/** Folds a ledger wherever it comes from; nobody who hands it out need be believed. */
class LedgerReader {
  readonly #fold: TrustFold;
  readonly #audit: GovernanceAudit | undefined;
  /** Kept for a bundle; undefined once there are too many, or none is wanted. */
  #kept: Uint8Array[] | undefined;
  #bytes = 0;

  constructor({ primitives, mode, anchors, engine, savePath }: QuoteRequest) {
    this.#audit = engine && new GovernanceAudit(primitives, engine);
    this.#fold = new TrustFold({ primitives, mode, anchors, onEntry: (entry, tree) => this.#audit?.add(entry, tree) });
    this.#kept = savePath === undefined ? undefined : [];
  }

  async fromNode(source: NodeSource, output: LedgerOutput): Promise<ReadLedger> {
    const to = await source.committed();
    for (let from: Seqno = 1; from <= to;) {
      const entries = await source.entries(from, to);
      if (typeof entries === "string") {
        const remedy = "name another node, or a copy of the ledger's files, with --ledger";
        return { ledger: { unavailable: `${entries}; ${remedy}` } };
      }
      for (const entry of entries) if (!this.#add(entry)) return this.#end();
      if (this.#bytes > MAX_TRUST_LEDGER_BYTES) {
        const reason =
          `the ledger has more than ${MAX_TRUST_LEDGER_BYTES} bytes, which is more than is read from a node`;
        return { ledger: { unavailable: `${reason}; name a copy of its files with --ledger` } };
      }
      from += entries.length;
      output.progress(from - 1, to);
    }
    return this.#end();
  }

  fromEntries(entries: readonly Uint8Array[]): ReadLedger {
    for (const entry of entries) if (!this.#add(entry)) break;
    return this.#end();
  }

  /** @throws UsageError */
  fromDirectory(directory: string, output: LedgerOutput): ReadLedger {
    const { files } = listLedger(directory);
    const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let bytes = 0;
    for (const step of walkLedger(files, 1, (count) => output.progress(bytes += count, total))) {
      if (step.kind === "misplaced" || step.kind === "damaged") {
        return { ledger: { unavailable: `of the ledger in ${directory}: ${step.reason}` } };
      }
      // A walk hands out views into what it has read.
      if (step.kind === "entry" && !this.#add(step.entry.bytes)) break;
    }
    return this.#end();
  }

  #add(entry: Uint8Array): boolean {
    this.#bytes += entry.length;
    if (this.#bytes > MAX_BUNDLE_LEDGER_BYTES) this.#kept = undefined;
    this.#kept?.push(entry);
    return this.#fold.add(entry);
  }

  #end(): ReadLedger {
    if (this.#fold.failure === undefined) this.#fold.finish();
    const audit = this.#audit;
    return {
      ledger: this.#fold,
      redecided: audit && {
        requests: audit.requests,
        doubt: audit.firstDoubt && describeFinding(audit.firstDoubt),
        undecidable: audit.findings.length + audit.unlisted,
      },
      entries: this.#kept,
    };
  }
}

/** @returns a sentence for the user @throws UsageError */
function save(path: string, bundle: EvidenceBundle, { entries, ledger }: ReadLedger): string {
  const isWhole = entries !== undefined;
  try {
    Deno.writeTextFileSync(path, serialiseBundle({ ...bundle, ...(isWhole && { entries }) }));
  } catch (error) {
    throw new UsageError(`Cannot write the bundle ${path}: ${reasonOf(error)}`);
  }
  const lacks = isWhole || "unavailable" in ledger
    ? ""
    : `; the ledger has more than ${MAX_BUNDLE_LEDGER_BYTES} bytes and is not in it: keep a copy of its files beside it`;
  return `Saved in ${path}${lacks}`;
}

function tell(
  report: TrustReport,
  request: QuoteRequest,
  at: number,
  source: string | undefined,
  output: LedgerOutput,
): void {
  if (request.json) output.line(JSON.stringify(forMachines(report, at, source), null, 2));
  else printForPeople(report, request, at, output);
}

function forMachines(report: TrustReport, at: number, source: string | undefined) {
  return {
    verdict: report.verdict,
    reason: report.reason ?? null,
    at: new Date(at).toISOString(),
    source: source ?? null,
    node_id: report.nodeId ?? null,
    service_identity: report.serviceIdentity ?? null,
    rungs: report.rungs.map(({ name, verdict, steps }) => ({ rung: name, asks: RUNG_QUESTIONS[name], verdict, steps })),
    not_proved: report.notProved,
  };
}

function printForPeople(report: TrustReport, { allowVirtual }: QuoteRequest, at: number, output: LedgerOutput): void {
  const { bold, dim, green, red, yellow } = output.colors;
  const marks: Readonly<Record<TrustStep["result"], string>> = {
    verified: green("ok "),
    failed: red("BAD"),
    "not checked": dim(" - "),
    "cannot be checked": yellow(" ? "),
  };
  const verdicts: Readonly<Record<Rung["verdict"], string>> = {
    verified: green("yes"),
    virtual: yellow("yes, on virtual hardware"),
    refused: red("no"),
    "not checked": dim("not checked"),
  };
  for (const [i, { name, verdict, steps }] of report.rungs.entries()) {
    const answer = name === "hardware" && verdict === "virtual"
      ? yellow("no: the platform is virtual")
      : verdicts[verdict];
    output.line(`${bold(`${i + 1} ${name}`)}: ${RUNG_QUESTIONS[name]} ${answer}`);
    for (const { names, result, detail } of grouped(steps)) {
      output.line(`  ${marks[result]} ${safeText(shortened(`${names.join(", ")}: ${detail}`))}`);
    }
  }
  output.line(bold("What this does not prove"));
  for (const sentence of report.notProved) output.line(`  ${safeText(sentence)}`);
  const who = report.nodeId === undefined ? "the evidence" : `node ${report.nodeId}`;
  const when = `as of ${new Date(at).toISOString().slice(0, 19)}Z`;
  switch (report.verdict) {
    case "verified":
      output.line(`${bold(green("Verified"))}: ${who}, ${when}`);
      break;
    case "virtual": {
      const hint = allowVirtual ? "" : "; --allow-virtual takes that for success";
      output.line(
        `${bold(yellow("Virtual"))}: all else holds of ${who}, ${when}, and no hardware vouches for it${hint}`,
      );
      break;
    }
    case "refused":
      output.line(`${bold(red("Refused"))}: ${safeText(shortened(report.reason ?? ""))}`);
  }
}

/** IDs, digests and signatures by their beginning, as people tell them apart; JSON has them whole. */
function shortened(text: string): string {
  return text.replace(/\b[0-9a-f]{64,}\b/g, (hex) => `${hex.slice(0, SHOWN_HEX_DIGITS)}…`);
}

const SHOWN_HEX_DIGITS = 12;

/** Steps, those together that were not taken for the same reason. */
function grouped(steps: readonly TrustStep[]) {
  const groups: { names: string[]; result: TrustStep["result"]; detail: string }[] = [];
  for (const { name, result, detail } of steps) {
    const last = groups.at(-1);
    if (result === "not checked" && last?.result === result && last.detail === detail) last.names.push(name);
    else groups.push({ names: [name], result, detail });
  }
  return groups;
}

/** @throws UsageError */
function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new UsageError(`Cannot use ${text} as the URL of a node, as in https://127.0.0.1:8000`);
  return url;
}

/** @throws UsageError */
function readServiceCertificate(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const pem = readTextFile(path, "the service certificate");
  try {
    parseCertificatePem(pem);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the service certificate ${path}: ${error.message}`);
  }
  return pem;
}
