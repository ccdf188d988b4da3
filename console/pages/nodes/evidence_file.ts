/**
 * Evidence from files, judged in the page with nothing connected: a bundle, what a node answered, or a bare report or quote
 * with what vouches for it.
 *
 * In: files by name and bytes, a moment. Out: the report of `shared/trust`. A bundle's ledger is folded on the way, in turns,
 * so that the page stays usable.
 * Which file is which is told as `quote verify --collateral` does: by name, and evidence by what is left.
 */

import { FormatError } from "../../../shared/assert.ts";
import type { EvidenceAnchors } from "../../../shared/attestation/evidence.ts";
import { parseCertificateTable } from "../../../shared/attestation/certificate_table.ts";
import { collateralTexts } from "../../../shared/attestation/dcap/collateral.ts";
import { fromBase64, fromUtf8 } from "../../../shared/bytes.ts";
import { parsePem } from "../../../shared/crypto/pem.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import { parseJsonBytes } from "../../../shared/json.ts";
import { MAX_BUNDLE_CHARACTERS, MAX_EVIDENCE_BYTES, PAGE_TURN_MS } from "../../../shared/limits.ts";
import { type BareEvidence, checkBareEvidence } from "../../../shared/trust/bare_evidence.ts";
import { type EvidenceBundle, parseBundle } from "../../../shared/trust/bundle.ts";
import { climb } from "../../../shared/trust/ladder.ts";
import type { TrustReport } from "../../../shared/trust/report.ts";
import { TrustFold } from "../../../shared/trust/trust_fold.ts";

export interface NamedBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface JudgedFile {
  readonly name: string;
  readonly report: TrustReport;
  /** Milliseconds since 1970, as of which certificates were judged. */
  readonly at: number;
  /** What was in the file, for the field-by-field view. */
  readonly format: string;
  readonly raw: Uint8Array;
  readonly bundle?: EvidenceBundle;
}

export interface FileOptions {
  /** Milliseconds since 1970: a bundle is judged as of its own time, if it names one. */
  readonly nowMs: number;
  readonly primitives: Primitives;
  /** Lets messages in. */
  readonly pause: () => Promise<void>;
  readonly onEntry?: (done: number, of: number) => void;
  /** Instead of the makers' own: for tests. */
  readonly anchors?: EvidenceAnchors;
}

/** @throws FormatError where there is no evidence among the files, more than one, or something cannot be read */
export async function judgeEvidenceFiles(files: readonly NamedBytes[], options: FileOptions): Promise<JudgedFile> {
  const beside: Beside = { certificates: [] };
  const evidence = files.filter((file) => !take(beside, file));
  const [only] = evidence;
  if (only === undefined) throw new FormatError("None of the files is evidence: a bundle, a report or a quote");
  if (evidence.length > 1) {
    throw new FormatError(
      `More than one of the files may be the evidence: ${evidence.slice(0, 5).map(({ name }) => name).join(", ")}`,
    );
  }
  const first = only.bytes.find((byte) => byte > 0x20);
  if (first === 0x7b) return await judgeBundle(only, beside, options);
  if (only.bytes.length > MAX_EVIDENCE_BYTES) {
    throw new FormatError(
      `${only.name} has ${only.bytes.length} bytes, and evidence has ${MAX_EVIDENCE_BYTES} at most`,
    );
  }
  const { nowMs, primitives, anchors } = options;
  const report = checkBareEvidence({ bytes: only.bytes, ...beside }, { at: nowMs, anchors }, primitives);
  return { name: only.name, report, at: nowMs, format: "bare", raw: only.bytes };
}

async function judgeBundle(file: NamedBytes, beside: Beside, options: FileOptions): Promise<JudgedFile> {
  if (file.bytes.length > MAX_BUNDLE_CHARACTERS) {
    throw new FormatError(`${file.name} is larger than ${MAX_BUNDLE_CHARACTERS} bytes`);
  }
  const bundle = parseBundle(fromUtf8(file.bytes));
  const { nowMs, primitives, anchors } = options;
  // Whoever wrote the file chose its time: one that is still to come is not taken.
  const at = bundle.savedAtMs !== undefined && bundle.savedAtMs <= nowMs ? bundle.savedAtMs : nowMs;
  const revocationList = beside.revocationList ?? bundle.revocationList;
  const ledger = bundle.entries === undefined
    ? { unavailable: "the file has no ledger in it: only what the evidence says by itself can be checked" }
    : await folded(bundle.entries, options);
  const report = climb({
    primitives,
    evidence: bundle.evidence,
    nodeId: bundle.nodeId,
    peer: bundle.nodeCertificate && { der: bundle.nodeCertificate, connection: "recorded" },
    ledger,
    at,
    upTo: bundle.entries === undefined ? "key" : "network",
    anchors,
    ...(revocationList !== undefined && { revocationList }),
  });
  const raw = fromBase64(bundle.evidence.quote);
  return { name: file.name, report, at, format: bundle.evidence.format, raw, bundle };
}

async function folded(
  entries: readonly Uint8Array[],
  { primitives, pause, onEntry, anchors }: FileOptions,
): Promise<TrustFold> {
  const fold = new TrustFold({ primitives, mode: "strict", anchors });
  let turnMs = performance.now();
  for (const [i, entry] of entries.entries()) {
    if (!fold.add(entry)) return fold;
    if (performance.now() - turnMs < PAGE_TURN_MS) continue;
    onEntry?.(i + 1, entries.length);
    await pause();
    turnMs = performance.now();
  }
  fold.finish();
  return fold;
}

type Beside = { -readonly [K in keyof Omit<BareEvidence, "bytes" | "certificates">]: BareEvidence[K] } & {
  readonly certificates: Uint8Array[];
};

/** @returns whether the file vouches for evidence, and is none itself. @throws FormatError */
function take(into: Beside, { name, bytes }: NamedBytes): boolean {
  const lower = name.toLowerCase();
  if (lower.endsWith(".crl") || (lower.includes("crl") && lower.endsWith(".der"))) into.revocationList = bytes;
  else if (/\.(pem|crt)$/.test(lower)) {
    const blocks = parsePem(fromUtf8(bytes)).filter(({ label }) => label === "CERTIFICATE");
    into.certificates.push(...blocks.map(({ der }) => der));
  } else if (/\.(der|cer)$/.test(lower)) into.certificates.push(bytes);
  else if (lower.startsWith("auxblob")) {
    const { vcek, vlek, ask, ark } = parseCertificateTable(bytes);
    for (const der of [vcek, vlek, ask, ark]) if (der !== undefined) into.certificates.push(der);
  } else if (lower.endsWith(".cose")) into.uvm = bytes;
  else if (lower === "collateral.json") into.collateral = collateralTexts(parseJsonBytes(bytes));
  else return false;
  return true;
}
