/**
 * A node's own evidence, before anybody else sees it: checked as others will, and turned into what the ledger keeps.
 *
 * In: what the node runs on, what the host got from it, the hash of the node's key. Out: the node's quote, its code's digest,
 * and what a service that it starts is to trust; or why the evidence is of no use, so that the node does not start.
 * The host can withhold evidence and give other one; what gets through here says what the hardware said.
 * Rules: nodes-and-attestation.md §4, §8, §9
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { toBase64, toHex, toUtf8 } from "../../shared/bytes.ts";
import {
  type CheckedEvidence,
  type DcapClaims,
  type EvidenceAnchors,
  type SnpClaims,
  verifyEvidence,
} from "../../shared/attestation/evidence.ts";
import { measurementOf, provesKey } from "../../shared/attestation/join_policy.ts";
import { cpuidOf, parseSnpReport, tcbToHex } from "../../shared/attestation/snp_report.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { QuoteInfo, TcbVersionPolicy } from "../../shared/governance/tables.ts";
import { tcbPolicy } from "../js/bindings/tcb_policy.ts";
import type { HardwarePlatform, PlatformEvidence, VirtualPlatform } from "../messages.ts";
import { VIRTUAL_CODE_DIGEST, VIRTUAL_MEASUREMENT, virtualQuote } from "./virtual.ts";

export interface OwnEvidence {
  readonly quoteInfo: QuoteInfo;
  /** Hex of the measurement, as `code_digest` of the node's record has it. */
  readonly codeDigest: string;
  readonly trusted: TrustedCode;
}

/** What the first node of a service writes into the join policy: itself. Digests are hex in lower case. */
export type TrustedCode =
  | { readonly platform: "virtual"; readonly measurement: string; readonly hostData: string }
  | {
    readonly platform: "snp";
    /** The measurement, or who endorsed it where somebody did: newer code of theirs may then join too. */
    readonly code:
      | { readonly measurement: string }
      | { readonly did: string; readonly feed: string; readonly svn: string };
    readonly hostData: string;
    /** Whose digest the host data is; empty where it is not known. */
    readonly securityPolicy: string;
    readonly cpuid: string;
    readonly minimumTcb: TcbVersionPolicy;
  }
  | {
    readonly platform: "tdx" | "sgx";
    readonly measurement: string;
    /** Of TDX. */
    readonly hostData?: string;
    /** Intel's words. */
    readonly tcbStatuses: readonly string[];
  };

/** @param keyHash SHA-256 of the node's public key (SPKI DER) */
export function virtualEvidence({ hostData }: VirtualPlatform, keyHash: Uint8Array): OwnEvidence {
  return {
    quoteInfo: { endorsements: "", format: "Insecure_Virtual", quote: virtualQuote(hostData, keyHash) },
    codeDigest: VIRTUAL_CODE_DIGEST,
    trusted: { platform: "virtual", measurement: VIRTUAL_MEASUREMENT, hostData },
  };
}

export interface OwnEvidenceOptions {
  /** SHA-256 of the node's public key (SPKI DER). */
  readonly keyHash: Uint8Array;
  /** Milliseconds since 1970, at which certificates must be valid. */
  readonly atMs: number;
  /** The makers' own keys unless said otherwise. */
  readonly anchors: EvidenceAnchors | undefined;
}

/** @throws FormatError where it is not genuine, or not about this node as it is configured */
export function checkOwnEvidence(
  platform: HardwarePlatform,
  evidence: PlatformEvidence,
  { keyHash, atMs, anchors }: OwnEvidenceOptions,
  primitives: Primitives,
): OwnEvidence {
  const quoteInfo = quoteInfoOf(platform, evidence);
  const checked = verifyEvidence(quoteInfo, { at: atMs, anchors }, primitives);
  const { claims } = checked;
  if (checked.outcome !== "genuine" || claims === undefined || claims.platform === "virtual") {
    throw unfit(`it does not verify: ${checked.reason ?? "it says nothing"}`);
  }
  if (!provesKey(claims, keyHash)) {
    throw unfit("it is over other report data than was asked for, and so not of this node's key");
  }
  const trusted = claims.platform === "snp"
    ? trustedSnp(platform, evidence, checked, claims, primitives)
    : trustedDcap(claims);
  return { quoteInfo, codeDigest: toHex(measurementOf(claims)), trusted };
}

const FORMATS = { snp: "AMD_SEV_SNP_v1", tdx: "Intel_TDX_v1", sgx: "Intel_SGX_DCAP_v1" } as const;

function quoteInfoOf(
  { kind }: HardwarePlatform,
  { quote, endorsements, uvmEndorsements, endorsedTcb }: PlatformEvidence,
): QuoteInfo {
  return {
    endorsements: toBase64(endorsements),
    format: FORMATS[kind],
    quote: toBase64(quote),
    ...(uvmEndorsements !== undefined && { uvm_endorsements: toBase64(uvmEndorsements) }),
    ...(endorsedTcb !== undefined && { endorsed_tcb: endorsedTcb }),
  };
}

function trustedSnp(
  platform: HardwarePlatform,
  { quote }: PlatformEvidence,
  { uvm }: CheckedEvidence,
  claims: SnpClaims,
  primitives: Primitives,
): TrustedCode {
  const securityPolicy = checkHostData(platform, claims, primitives);
  if (uvm !== undefined && uvm.claims === undefined) throw unfit(uvm.reason ?? "the UVM endorsement does not hold");
  return {
    platform: "snp",
    code: uvm?.claims === undefined
      ? { measurement: toHex(claims.measurement) }
      : { ...uvm.claims, svn: String(uvm.claims.svn) },
    hostData: toHex(claims.hostData),
    securityPolicy,
    ...tcbRow(quote),
  };
}

/** A platform that is up to date is no worse than this one, whatever this one is. */
function trustedDcap({ platform, measurement, hostData, tcbStatuses }: DcapClaims): TrustedCode {
  return {
    platform,
    measurement: toHex(measurement),
    ...(hostData !== undefined && { hostData: toHex(hostData) }),
    tcbStatuses: [...new Set(["UpToDate", ...tcbStatuses])],
  };
}

/** The policy that this machine was launched with must be the one that the operator says it was (§8.5). */
function checkHostData(
  platform: HardwarePlatform,
  { hostData }: SnpClaims,
  { sha256 }: Pick<Primitives, "sha256">,
): string {
  assert(platform.kind === "snp", "Evidence of SEV-SNP is that of a node that was told to be on it");
  const { securityPolicy } = platform;
  if (securityPolicy === null) return "";
  const digest = toHex(sha256(toUtf8(securityPolicy)));
  if (digest !== toHex(hostData)) {
    throw unfit(
      `this machine was launched with a security policy of digest ${toHex(hostData)}, and the one in ` +
        `/attestation/snp_security_policy_file has ${digest}; name the file that this machine was launched with`,
    );
  }
  return securityPolicy;
}

/** As CCF: whoever joins later must be on no older firmware than the first node. */
function tcbRow(report: Uint8Array): { readonly cpuid: string; readonly minimumTcb: TcbVersionPolicy } {
  const { cpu, reportedTcb } = parseSnpReport(report);
  const cpuid = cpuidOf(cpu);
  return { cpuid, minimumTcb: tcbPolicy(cpuid, tcbToHex(reportedTcb)) };
}

function unfit(why: string): FormatError {
  return new FormatError(`Cannot use this node's own evidence: ${why}`);
}
