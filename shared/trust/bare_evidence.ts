/**
 * Evidence of hardware by itself: a report or quote as a platform gives it, with what vouches for it, and no node.
 *
 * In: the bytes, certificates and lists from whoever has them, a moment, what the caller expects. Out: a report of one
 * rung, that of hardware; the others are about nodes. The kind is told by the bytes: a report of SEV-SNP has 1184, all
 * else is read as a quote of SGX or TDX.
 * Rules: attestation/formats.md §1.3 (the general ones, not only those by which CCF lets nodes join), §2.2, §3.6
 */

import { INTEL_SGX_ROOT, MICROSOFT_UVM_ROOT } from "../attestation/anchors.ts";
import type { QuoteBody } from "../attestation/dcap/bodies.ts";
import type { CollateralTexts } from "../attestation/dcap/collateral.ts";
import { verifyDcap } from "../attestation/dcap/verify.ts";
import type { EvidenceAnchors } from "../attestation/evidence.ts";
import { verifySnp } from "../attestation/snp.ts";
import { SNP_REPORT_BYTES } from "../attestation/snp_report.ts";
import { verifyUvm } from "../attestation/uvm.ts";
import { concat, equalBytes, fromHex, toBase64Url, toHex } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { parseCertificate } from "../crypto/x509.ts";
import { MAX_EVIDENCE_CHAIN } from "../limits.ts";
import {
  expectationSteps,
  type ExpectedCode,
  hardwareReport,
  step,
  type TrustReport,
  type TrustStep,
} from "./report.ts";

export interface BareEvidence {
  /** A report of SEV-SNP, or a quote. */
  readonly bytes: Uint8Array;
  /** DER, in any order: those behind a report. A quote brings its own. */
  readonly certificates: readonly Uint8Array[];
  /** DER, of AMD's root. */
  readonly revocationList?: Uint8Array | undefined;
  /** COSE_Sign1: an endorsement of a utility VM. */
  readonly uvm?: Uint8Array | undefined;
  /** What Intel says about the platform of a quote. */
  readonly collateral?: CollateralTexts | undefined;
}

export interface BareOptions {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly expected?: ExpectedCode | undefined;
  readonly anchors?: EvidenceAnchors | undefined;
}

/** Never throws on what comes from outside, unless a certificate cannot be read at all (FormatError). */
export function checkBareEvidence(evidence: BareEvidence, options: BareOptions, primitives: Primitives): TrustReport {
  const steps = evidence.bytes.length === SNP_REPORT_BYTES
    ? snpSteps(evidence, options, primitives)
    : dcapSteps(evidence, options, primitives);
  return hardwareReport(steps, [
    "Whose evidence it is: without a node nobody shows that they have the key, if any, that the report data is about.",
    "What a measurement stands for: build the code yourself, and compare.",
    ...(steps.some(({ name, result }) => name === "revocation" && result === "not checked")
      ? ["That none of the certificates was revoked: no list of AMD came along."]
      : []),
  ]);
}

function snpSteps(
  evidence: BareEvidence,
  { at, anchors, expected = {} }: BareOptions,
  primitives: Primitives,
): TrustStep[] {
  const { bytes, revocationList, uvm } = evidence;
  const chain = inOrder(evidence.certificates);
  const verdict = verifySnp(
    { report: bytes, chain, ...(revocationList && { crl: revocationList }) },
    { at, rules: "general", ...(anchors && { pins: anchors.amd }) },
    primitives,
  );
  const { report } = verdict;
  if (verdict.verdict === "refused" || report === undefined) return [...verdict.steps];
  const endorsed = uvm && verifyUvm(uvm, { at: "ignore dates", measurement: report.measurement }, primitives);
  return [
    ...verdict.steps,
    ...(endorsed?.steps.map((each) => ({ ...each, name: `UVM ${each.name}` })) ?? []),
    ...(endorsed?.verdict === "verified" ? [endorserStep(endorsed.endorsement.did)] : []),
    ...expectationSteps(expected, toHex(report.measurement), toHex(report.hostData)),
  ];
}

function dcapSteps(
  { bytes, collateral }: BareEvidence,
  { at, anchors, expected = {} }: BareOptions,
  primitives: Primitives,
): TrustStep[] {
  const evidence = { quote: bytes, ...(collateral && { collateral }) };
  const verdict = verifyDcap(
    evidence,
    { at, policy: { refuseMigratable: true }, pins: anchors?.intel ?? [INTEL_SGX_ROOT.spkiSha256] },
    primitives,
  );
  if (verdict.verdict === "refused" || verdict.quote === undefined) return [...verdict.steps];
  return [
    ...verdict.steps,
    ...expectationSteps(expected, measurementOf(verdict.quote.body), hostDataOf(verdict.quote.body)),
  ];
}

/** Members say whom they trust; here nobody does, and only Microsoft is known to endorse such machines. */
function endorserStep(did = ""): TrustStep {
  const { name, certificateSha256 } = MICROSOFT_UVM_ROOT;
  const isKnown = did.startsWith(`did:x509:0:sha256:${toBase64Url(fromHex(certificateSha256))}::`);
  return step("UVM endorser", isKnown, `${did} is ${isKnown ? "" : "not "}below ${name}`);
}

/** As nodes are measured: of a trust domain also what was started above its firmware (`DcapClaims`). */
function measurementOf(body: QuoteBody): string {
  if (body.kind === "sgx") return toHex(body.mrenclave);
  return toHex(concat(body.mrtd, body.rtmr0, body.rtmr1, body.rtmr2, body.rtmr3));
}

/** Of a trust domain MRCONFIGID; an enclave has none. */
function hostDataOf(body: QuoteBody): string | undefined {
  return body.kind === "sgx" ? undefined : toHex(body.mrconfigid);
}

/**
 * Certificates from the one that issued none of the others up to the root. Others that do not belong there stay out, and
 * where there is no way up the chain ends: whether it holds is for the verifier.
 *
 * @throws FormatError where one cannot be read
 */
export function inOrder(ders: readonly Uint8Array[]): Uint8Array[] {
  const all = ders.map(parseCertificate);
  const isIssuer = (subject: Uint8Array) =>
    all.some((other) => equalBytes(other.issuer, subject) && !equalBytes(other.subject, subject));
  let next = all.find(({ subject, issuer }) => !isIssuer(subject) && !equalBytes(subject, issuer));
  const chain: Uint8Array[] = [];
  while (next !== undefined && chain.length < MAX_EVIDENCE_CHAIN) {
    const { issuer, subject, der }: typeof all[number] = next;
    chain.push(der);
    next = equalBytes(issuer, subject) ? undefined : all.find((other) => equalBytes(other.subject, issuer));
  }
  return chain;
}
