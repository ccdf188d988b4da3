/**
 * A node's evidence, checked: one door to the verifiers of all platforms.
 *
 * In: evidence as a node sends it and the ledger keeps it, a moment, trust anchors. Out: the steps of checking it, and
 * what it says. Whether what it says is wanted is for others: `join_policy.ts`, or whoever relies on a node.
 * Formats: nodes-and-attestation.md §8. Ours, of Intel's DCAP: `quote` is the quote (attestation/formats.md §3);
 * `endorsements` are what Intel says of the platform, as JSON: a collateral file (`dcap/collateral.ts`).
 */

import { FormatError } from "../assert.ts";
import { concat, fromBase64, fromUtf8 } from "../bytes.ts";
import { parsePem } from "../crypto/pem.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseJsonBytes } from "../json.ts";
import { MAX_ENDORSEMENTS_BYTES, MAX_EVIDENCE_BYTES } from "../limits.ts";
import { INTEL_SGX_ROOT } from "./anchors.ts";
import type { QuoteBody } from "./dcap/bodies.ts";
import { collateralTexts } from "./dcap/collateral.ts";
import { parseQuoteHeader, TEE_TDX } from "./dcap/quote.ts";
import { TCB_STATUSES } from "./dcap/tcb_info.ts";
import { RELAUNCH_STATUSES, type TcbResult } from "./dcap/tcb_status.ts";
import { verifyDcap } from "./dcap/verify.ts";
import { type EvidenceStep, EvidenceSteps, type EvidenceVerdict, type ReasonCode } from "./evidence_steps.ts";
import type { QuoteFormat } from "./quote_formats.ts";
import { verifySnp } from "./snp.ts";
import type { SnpPins } from "./snp_chain.ts";
import { type SnpReport, type SnpTcb, tcbFromHex } from "./snp_report.ts";
import { verifyUvm } from "./uvm.ts";
import { parseVirtualEvidence, type VirtualClaims } from "./virtual_evidence.ts";

/** As `quote_info` has it. */
export interface QuotedEvidence {
  readonly format: QuoteFormat;
  /** Base64, as are the endorsements. */
  readonly quote: string;
  readonly endorsements: string;
  readonly uvm_endorsements?: string;
  /** Hex of the TCB version that the endorsements are for. */
  readonly endorsed_tcb?: string;
}

/** Security versions of a processor's parts, as far as anybody says; `fmc` on Turin only. */
export type TcbComponents = Partial<SnpTcb>;

/** What a report of AMD SEV-SNP says, as far as anybody decides by it. */
export interface SnpClaims {
  readonly platform: "snp";
  /** 48 bytes. */
  readonly measurement: Uint8Array;
  /** 32 bytes. */
  readonly hostData: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  readonly cpu: { readonly family: number; readonly model: number; readonly stepping: number };
  readonly reportedTcb: TcbComponents;
}

/** What a DCAP quote says, as far as anybody decides by it. */
export interface DcapClaims {
  readonly platform: "tdx" | "sgx";
  /**
   * Of SGX: MRENCLAVE, 32 bytes. Of TDX: MRTD, then RTMR0 to RTMR3, 240 bytes. MRTD alone is the firmware, under which
   * whoever has the machine starts what he likes; what was started then is in the others.
   */
  readonly measurement: Uint8Array;
  /** Of TDX: MRCONFIGID, 48 bytes, which the host sets when it starts the domain. An enclave has none. */
  readonly hostData?: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** Intel's word for how up to date the platform is, and its other word where there are two; either may be accepted. */
  readonly tcbStatuses: readonly string[];
}

export type EvidenceClaims = VirtualClaims | SnpClaims | DcapClaims;

/** An endorsement of a utility VM that came with the evidence. */
export interface CheckedUvm {
  readonly steps: readonly EvidenceStep[];
  /** Undefined where it does not hold; then there is a reason. */
  readonly claims?: { readonly did: string; readonly feed: string; readonly svn: number };
  readonly code?: ReasonCode;
  readonly reason?: string;
}

export interface CheckedEvidence {
  /** "virtual": it is well formed, and nobody signed it. */
  readonly outcome: "genuine" | "virtual" | "refused";
  readonly steps: readonly EvidenceStep[];
  /** What it says; perhaps also where it is refused. */
  readonly claims?: EvidenceClaims;
  /** Where one came along. That it does not hold does not make the evidence itself less genuine. */
  readonly uvm?: CheckedUvm;
  /** Of a refusal. */
  readonly code?: ReasonCode;
  readonly reason?: string;
}

/** Root keys to believe, in the place of the makers' own. */
export interface EvidenceAnchors {
  readonly amd: SnpPins;
  /** Hex SHA-256 of the SubjectPublicKeyInfo of each; Intel's own where left out. */
  readonly intel?: readonly string[];
}

export interface EvidenceOptions {
  /** Milliseconds since 1970, at which certificates must be valid. */
  readonly at: number;
  readonly anchors?: EvidenceAnchors | undefined;
  /** DER, of AMD's root: looked at where it is given. Intel's lists come with the evidence. */
  readonly revocationList?: Uint8Array | undefined;
}

/**
 * Checks evidence by the rules of CCF's join path; DCAP's, which CCF has none for, with revocation lists. Never throws.
 *
 * @param quote from anywhere
 */
export function verifyEvidence(
  quote: QuotedEvidence,
  options: EvidenceOptions,
  primitives: Primitives,
): CheckedEvidence {
  const tooLong = lengthProblem(quote);
  if (tooLong !== undefined) return refusedAtOnce("malformed", tooLong);
  switch (quote.format) {
    case "Insecure_Virtual":
      return checkVirtual(quote);
    case "AMD_SEV_SNP_v1":
      return checkSnp(quote, options, primitives);
    case "Intel_TDX_v1":
    case "Intel_SGX_DCAP_v1":
      return checkDcap(quote, options, primitives);
    case "OE_SGX_v1":
      return refusedAtOnce(
        "unsupported_tee_type",
        "evidence of Open Enclave's format OE_SGX_v1 is not judged: CCF gave it up in 6.0",
      );
  }
}

/** Before anything is decoded. */
function lengthProblem({ quote, endorsements, uvm_endorsements = "", endorsed_tcb = "" }: QuotedEvidence) {
  // Four characters of base64 are three bytes.
  if (quote.length > MAX_EVIDENCE_BYTES / 3 * 4) return `the evidence is longer than ${MAX_EVIDENCE_BYTES} bytes`;
  if (endorsements.length + uvm_endorsements.length + endorsed_tcb.length > MAX_ENDORSEMENTS_BYTES / 3 * 4) {
    return `the endorsements are longer than ${MAX_ENDORSEMENTS_BYTES} bytes`;
  }
  return undefined;
}

const VIRTUAL_RULES = {
  form: "The evidence is JSON with a measurement, host data and 32 bytes of report data",
  signature: "Hardware signed the evidence",
} as const;

function checkVirtual({ quote }: QuotedEvidence): CheckedEvidence {
  const steps = new EvidenceSteps(VIRTUAL_RULES);
  const claims = steps.read(
    "form",
    "malformed",
    () => parseVirtualEvidence(fromBase64(quote)),
    "it is of the virtual platform",
  );
  if (claims === undefined) {
    const verdict = steps.end();
    return {
      ...refusalOf(verdict),
      reason: `the evidence is not that of the virtual platform: ${verdict.steps[0]!.detail}`,
    };
  }
  steps.skip("signature", "virtual evidence is signed by nobody: anybody can write it, about any code and for any key");
  return { outcome: "virtual", steps: steps.end().steps, claims };
}

/** Endorsements are the certificates of the chip's key, its issuer and AMD's root, in PEM, one after the other. */
function checkSnp(
  quote: QuotedEvidence,
  { at, anchors, revocationList }: EvidenceOptions,
  primitives: Primitives,
): CheckedEvidence {
  let report: Uint8Array, chain: readonly Uint8Array[], endorsedTcb: Uint8Array | undefined, document;
  try {
    report = fromBase64(quote.quote);
    chain = parsePem(fromUtf8(fromBase64(quote.endorsements)))
      .filter(({ label }) => label === "CERTIFICATE").map(({ der }) => der);
    endorsedTcb = quote.endorsed_tcb === undefined ? undefined : tcbFromHex(quote.endorsed_tcb);
    document = quote.uvm_endorsements === undefined ? undefined : fromBase64(quote.uvm_endorsements);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return refusedAtOnce("malformed", error.message);
  }
  const verdict = verifySnp(
    { report, chain, ...(revocationList !== undefined && { crl: revocationList }) },
    {
      at,
      rules: "ccf",
      ...(endorsedTcb !== undefined && { policy: { endorsedTcb } }),
      ...(anchors !== undefined && { pins: anchors.amd }),
    },
    primitives,
  );
  const { report: read, reportedTcb } = verdict;
  const claims = read === undefined || reportedTcb === undefined ? undefined : snpClaims(read, reportedTcb);
  if (verdict.verdict === "refused" || claims === undefined) {
    return { ...refusalOf(verdict), ...(claims !== undefined && { claims }) };
  }
  const uvm = document && checkUvm(document, claims.measurement, primitives);
  return { outcome: "genuine", steps: verdict.steps, claims, ...(uvm !== undefined && { uvm }) };
}

function snpClaims(report: SnpReport, reportedTcb: SnpTcb): SnpClaims {
  const { measurement, hostData, reportData, cpu } = report;
  return { platform: "snp", measurement, hostData, reportData, cpu, reportedTcb };
}

/** As in CCF, the signer's certificates may have ended: what they signed has not. */
function checkUvm(document: Uint8Array, measurement: Uint8Array, primitives: Primitives): CheckedUvm {
  const { verdict, steps, endorsement, code, reason } = verifyUvm(
    document,
    { at: "ignore dates", measurement },
    primitives,
  );
  const named = steps.map((step) => ({ ...step, name: `UVM ${step.name}` }));
  const { did, feed, svn } = endorsement;
  if (verdict === "refused" || did === undefined || feed === undefined || svn === undefined) {
    return { steps: named, code: code ?? "malformed", reason: `UVM endorsement: ${reason ?? "it says too little"}` };
  }
  return { steps: named, claims: { did, feed, svn } };
}

/** Every status but that of a revoked platform is for members to judge; debugging and migration are for nobody. */
const JUDGED_LATER: readonly string[] = [...TCB_STATUSES, ...RELAUNCH_STATUSES].filter((one) => one !== "Revoked");

function checkDcap(quote: QuotedEvidence, { at, anchors }: EvidenceOptions, primitives: Primitives): CheckedEvidence {
  const platform = quote.format === "Intel_TDX_v1" ? "tdx" : "sgx";
  let bytes, collateral;
  try {
    bytes = fromBase64(quote.quote);
    const isTdx = parseQuoteHeader(bytes).teeType === TEE_TDX;
    if (isTdx !== (platform === "tdx")) {
      return refusedAtOnce(
        "wrong_platform",
        `the quote is ${isTdx ? "" : "not "}of TDX, and said to be ${quote.format}`,
      );
    }
    collateral = collateralTexts(parseJsonBytes(fromBase64(quote.endorsements)));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return refusedAtOnce("malformed", error.message);
  }
  const verdict = verifyDcap(
    { quote: bytes, collateral },
    {
      at,
      policy: { acceptTcbStatus: JUDGED_LATER, refuseMigratable: true },
      pins: anchors?.intel ?? [INTEL_SGX_ROOT.spkiSha256],
    },
    primitives,
  );
  const claims = verdict.quote && dcapClaims(platform, verdict.quote.body, verdict.tcb);
  if (verdict.verdict === "refused" || claims === undefined) {
    return { ...refusalOf(verdict), ...(claims !== undefined && { claims }) };
  }
  return { outcome: "genuine", steps: verdict.steps, claims };
}

function dcapClaims(platform: DcapClaims["platform"], body: QuoteBody, tcb: TcbResult | undefined): DcapClaims {
  const tcbStatuses = [tcb?.status, tcb?.relaunchStatus].filter((status) => status !== undefined);
  const { reportData } = body;
  if (body.kind === "sgx") return { platform, measurement: body.mrenclave, reportData, tcbStatuses };
  const { mrtd, rtmr0, rtmr1, rtmr2, rtmr3, mrconfigid } = body;
  const measurement = concat(mrtd, rtmr0, rtmr1, rtmr2, rtmr3);
  return { platform, measurement, hostData: mrconfigid, reportData, tcbStatuses };
}

function refusedAtOnce(code: ReasonCode, reason: string): CheckedEvidence {
  const steps = new EvidenceSteps({ evidence: "The evidence is of a known kind and size" });
  steps.check("evidence", false, code, reason);
  return { ...refusalOf(steps.end()), reason };
}

function refusalOf({ steps, code, reason }: EvidenceVerdict): CheckedEvidence {
  return { outcome: "refused", steps, code: code!, reason: reason! };
}

/** "boot loader 4, tee 0, snp 24, microcode 219". */
export function describeTcb(tcb: TcbComponents): string {
  const names = { fmc: "fmc", boot_loader: "boot loader", tee: "tee", snp: "snp", microcode: "microcode" } as const;
  const parts = Object.entries(names).flatMap(([key, name]) => {
    const value = tcb[key as keyof TcbComponents];
    return value === undefined ? [] : [`${name} ${value}`];
  });
  return parts.length === 0 ? "nothing" : parts.join(", ");
}
