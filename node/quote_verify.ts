/**
 * `quote verify`: from one node's evidence to trust in its network, and what of it holds.
 *
 * In: a node's URL or a file, what the caller trusts and expects. Out: the rungs for people or machines, a bundle, an exit
 * code. What is judged stands in `shared/trust`; here it is fetched, read and shown.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { fromUtf8 } from "../shared/bytes.ts";
import type { EvidenceAnchors } from "../shared/attestation/evidence.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { parseCertificatePem } from "../shared/crypto/x509.ts";
import { type LedgerPin, mayMovePin } from "../shared/ledger/pin.ts";
import type { ReplayMode } from "../shared/ledger/replay/state.ts";
import {
  MAX_BUNDLE_AHEAD_MS,
  MAX_BUNDLE_CHARACTERS,
  MAX_BUNDLE_LEDGER_BYTES,
  MAX_EVIDENCE_BYTES,
} from "../shared/limits.ts";
import { checkBareEvidence } from "../shared/trust/bare_evidence.ts";
import { type EvidenceBundle, parseBundle, serialiseBundle } from "../shared/trust/bundle.ts";
import { climb } from "../shared/trust/ladder.ts";
import { type ExpectedCode, type RungName, RUNGS, type TrustReport } from "../shared/trust/report.ts";
import type { AppEngine } from "../enclave/app_engine.ts";
import { formatTxId } from "../shared/tx_id.ts";
import {
  ExitCode,
  readFile,
  readTextFile,
  reasonOf,
  requireDirectoryOf,
  requireWritable,
  UsageError,
} from "./commands/exit.ts";
import type { LedgerOutput } from "./commands/ledger_output.ts";
import { readPin, writePin } from "./ledger_pin.ts";
import { readCollateral } from "./quote_collateral.ts";
import { LedgerReader, NO_LEDGER, readElsewhere, readFromNetwork, type ReadLedger } from "./quote_ledger.ts";
import { tell } from "./quote_output.ts";
import { isNodeUrl, NodeSource, parseNodeUrl } from "./quote_source.ts";

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
  /** Where to remember how far the ledger was verified. */
  readonly pinPath?: string | undefined;
  readonly json: boolean;
  /** Instead of the makers' own: for tests. */
  readonly anchors?: EvidenceAnchors | undefined;
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
  const pin = readPinOf(request);
  try {
    const bare = isNodeUrl(target) ? undefined : readBare(target);
    if (bare !== undefined) return verifyBare(request, bare, output);
    const given = request.collateral === undefined ? undefined : revocationListOf(request.collateral);
    const found = isNodeUrl(target)
      ? await askNode(request, servicePem, pin, output)
      : await readFromFile(request, servicePem, pin, output);
    const { savedAtMs } = found.bundle;
    if (savedAtMs !== undefined && savedAtMs > nowMs + MAX_BUNDLE_AHEAD_MS) {
      throw new UsageError(
        `${target} says it was saved at ${
          new Date(savedAtMs).toISOString()
        }, which is still to come; --at TIME says as of when ` +
          "to judge it",
      );
    }
    const at = request.at ?? savedAtMs ?? nowMs;
    const { read } = found;
    const { format } = found.bundle.evidence;
    if (given !== undefined && format !== "AMD_SEV_SNP_v1") {
      throw new UsageError(
        `A revocation list of AMD's is for evidence of SEV-SNP, and this is of the format ${format}`,
      );
    }
    const revocationList = given ?? found.bundle.revocationList;
    const bundle = { ...found.bundle, ...(revocationList !== undefined && { revocationList }) };
    const report = climb({
      primitives: request.primitives,
      evidence: bundle.evidence,
      nodeId: bundle.nodeId,
      peer: bundle.nodeCertificate && { der: bundle.nodeCertificate, connection: found.connection },
      servicePem,
      ledger: read.ledger,
      pinned: read.pinned,
      redecided: read.redecided,
      at,
      upTo: request.upTo,
      anchors: request.anchors,
      revocationList,
      expected: request.expected,
    });
    const saved = request.savePath === undefined
      ? undefined
      : save(request.savePath, { ...bundle, savedAtMs: at }, read);
    // Whoever wrote the file chose that moment, and with it which certificates and lists are in force.
    const isFilesWord = request.at === undefined && savedAtMs !== undefined;
    const moment =
      `That certificates, and what their makers say of them, hold by now: the file says that it was saved at ` +
      `${new Date(at).toISOString()}, and was judged as of then; --at now judges it as of today.`;
    const notProved = isFilesWord ? [moment, ...report.notProved] : report.notProved;
    tell({ ...report, notProved }, { ...request, at, source: bundle.source }, output);
    if (saved !== undefined) output.note(saved);
    const exitCode = exitCodeOf(report, request);
    if (exitCode === ExitCode.done) movePin(request, pin, read, output);
    return exitCode;
  } finally {
    output.finish();
  }
}

/** The pin that is there; `--pin` where it could not be looked for is an error. @throws UsageError */
function readPinOf(request: QuoteRequest): LedgerPin | undefined {
  const { pinPath, upTo } = request;
  if (pinPath === undefined) return undefined;
  if (!needsLedger(request)) {
    throw new UsageError(
      `--pin is for what a ledger says, and --up-to ${upTo} reads none; say --up-to service or later`,
    );
  }
  requireDirectoryOf(pinPath, "write the pin");
  return readPin(pinPath);
}

/** Only behind a report in which all holds: else a ledger that is refused for another reason would move the pin. */
function movePin(
  { pinPath, serviceCert }: QuoteRequest,
  pin: LedgerPin | undefined,
  { nextPin }: ReadLedger,
  output: LedgerOutput,
): void {
  if (pinPath === undefined) return;
  assert(nextPin !== undefined, "A ledger that was verified has a signature");
  if (mayMovePin(pin, nextPin, serviceCert !== undefined)) {
    writePin(pinPath, nextPin);
    output.note(`Pinned ${formatTxId(nextPin.lastSigned)} in ${pinPath}`);
    return;
  }
  output.note(
    `The service was recovered since ${formatTxId(pin!.lastSigned)} was pinned: its identity is ` +
      `${nextPin.serviceIdentity} now; the pin stays there until --service-cert says that this is the service`,
  );
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
    const [option, isGiven] of [
      ["--save", request.savePath !== undefined],
      ["--ledger", request.ledger !== undefined],
      ["--service-cert", request.serviceCert !== undefined],
      ["--pin", request.pinPath !== undefined],
    ]
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
  tell(report, { ...request, at, source: undefined }, output);
  return exitCodeOf(report, request);
}

/** For a node that is all that is missing: what else vouches for its evidence it brings along. @throws UsageError */
function revocationListOf(directory: string): Uint8Array {
  const { revocationList } = readCollateral(directory);
  if (revocationList !== undefined) return revocationList;
  throw new UsageError(`Cannot use the collateral in ${directory}: of a node only a revocation list (*.crl) is taken`);
}

/** What was found, whoever had it. */
interface Found {
  readonly bundle: EvidenceBundle;
  readonly connection: "held" | "recorded";
  readonly read: ReadLedger;
}

async function askNode(
  request: QuoteRequest,
  servicePem: string | undefined,
  pin: LedgerPin | undefined,
  output: LedgerOutput,
): Promise<Found> {
  const url = parseNodeUrl(request.target);
  using source = await NodeSource.open(url, servicePem);
  const evidence = await source.evidence();
  const read = !needsLedger(request)
    ? NO_LEDGER
    : request.ledger === undefined
    ? await readFromNetwork(source, () => readerFor(request, pin), output)
    : await readElsewhere(request.ledger, readerFor(request, pin), source.servicePem, output);
  return {
    bundle: { ...evidence, nodeCertificate: source.certificate!, source: url.origin },
    connection: "held",
    read,
  };
}

function readerFor(request: QuoteRequest, pin: LedgerPin | undefined): LedgerReader {
  const { anchors, savePath } = request;
  return new LedgerReader({ ...request, anchors, pin, keepEntries: savePath !== undefined });
}

async function readFromFile(
  request: QuoteRequest,
  servicePem: string | undefined,
  pin: LedgerPin | undefined,
  output: LedgerOutput,
): Promise<Found> {
  const bundle = readBundle(request.target);
  const reader = readerFor(request, pin);
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
