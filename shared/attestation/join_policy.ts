/**
 * Whether a node may join: its evidence, already checked, judged by what the members allow.
 *
 * In: what checking the evidence found, the key that the node proved to have, look-ups in the join policy. Out: the
 * measurement of its code, or at which step it is refused and why. Knows nothing of tables, requests and signatures.
 * On the virtual platform evidence proves nothing, but goes through the same steps.
 * Rules: nodes-and-attestation.md §9, in its order (CCF's `src/node/quote.cpp`); for Intel's platforms, which CCF does not
 * let in, the same order: host data, measurement, state of the platform, key
 */

import { equalBytes, toHex, toUtf8 } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import {
  type CheckedEvidence,
  type CheckedUvm,
  type DcapClaims,
  describeTcb,
  type EvidenceClaims,
  type SnpClaims,
  type TcbComponents,
} from "./evidence.ts";
import type { ReasonCode, Refusal } from "./evidence_steps.ts";
import type { VirtualClaims } from "./virtual_evidence.ts";

/** The steps of judging, in order, and what a client is told where one fails: CCF's words and its HTTP status. */
export const JOIN_REFUSALS = {
  evidence: { status: 401, message: "Quote could not be verified" },
  "no host data": { status: 401, message: "Quote does not contain trusted host data" },
  "host data": { status: 401, message: "Quote host data is not authorised" },
  measurement: { status: 401, message: "Quote does not contain known enclave measurement" },
  "uvm endorsement": { status: 401, message: "UVM endorsements are not authorised" },
  // Quirk: CCF has no sentences for these two, and answers as to an error of its own.
  cpuid: { status: 500, message: "Unknown quote verification error" },
  "tcb version": { status: 500, message: "Unknown quote verification error" },
  // Ours, of Intel's platforms.
  "tcb status": { status: 401, message: "Quote TCB status is not authorised" },
  "public key": { status: 401, message: "Quote report data does not match the hash of the public key for this node" },
} as const;

export type JudgementStep = keyof typeof JOIN_REFUSALS;

export type Judgement =
  /** `measurement`: bytes; on the virtual platform those of a text. */
  | { readonly verdict: "accepted"; readonly measurement: Uint8Array }
  | JoinRefusal;

export interface JoinRefusal {
  readonly verdict: "rejected";
  readonly step: JudgementStep;
  /** For machines. */
  readonly code: ReasonCode;
  /** A sentence for the operator. */
  readonly reason: string;
}

/** What members allow, as look-ups. Digests are hex in lower case. */
export interface JoinPolicy {
  hasVirtualMeasurement(text: string): boolean;
  hasVirtualHostData(hex: string): boolean;
  hasSnpMeasurement(hex: string): boolean;
  hasSnpHostData(hex: string): boolean;
  /** Lowest security version of a feed, as text, as the ledger has it; undefined where issuer or feed are not trusted. */
  uvmMinimumSvn(did: string, feed: string): string | undefined;
  /** Lowest TCB versions, by CPUID in hex. */
  tcbMinimums(): Iterable<readonly [cpuid: string, minimum: TcbComponents]>;
  hasSgxMeasurement(hex: string): boolean;
  hasTdxMeasurement(hex: string): boolean;
  hasTdxHostData(hex: string): boolean;
  hasDcapTcbStatus(status: string): boolean;
}

/**
 * Judges a node's evidence.
 *
 * @param checked what `verifyEvidence()` answered
 * @param spki SubjectPublicKeyInfo, DER, of the key that the node has proved to have
 */
export function judgeJoiner(
  policy: JoinPolicy,
  checked: CheckedEvidence,
  spki: Uint8Array,
  { sha256 }: Pick<Primitives, "sha256">,
): Judgement {
  const { claims } = checked;
  if (checked.outcome === "refused" || claims === undefined) {
    const reason = checked.reason ?? "the evidence says nothing that could be judged";
    return rejected("evidence", checked.code ?? "malformed", reason);
  }
  const refusal = judgeClaims(policy, claims, checked.uvm);
  if (refusal !== undefined) return refusal;
  if (!provesKey(claims, sha256(spki))) {
    const proved = toHex(claims.reportData.subarray(0, KEY_HASH_BYTES));
    const reason = `the evidence is for another key, that of a node ${proved}`;
    return rejected("public key", "report_data_mismatch", reason);
  }
  return { verdict: "accepted", measurement: measurementOf(claims) };
}

const KEY_HASH_BYTES = 32;

/** Whether report data begins with the hash of a key. What stands behind it, zeros from every node, CCF does not look at. */
export function provesKey({ reportData }: EvidenceClaims, keyHash: Uint8Array): boolean {
  return equalBytes(reportData.subarray(0, KEY_HASH_BYTES), keyHash);
}

/** As tables and `code_digest` know it, in bytes. */
export function measurementOf(claims: EvidenceClaims): Uint8Array {
  return claims.platform === "virtual" ? toUtf8(claims.measurement) : claims.measurement;
}

function judgeClaims(
  policy: JoinPolicy,
  claims: EvidenceClaims,
  uvm: CheckedUvm | undefined,
): JoinRefusal | undefined {
  switch (claims.platform) {
    case "virtual":
      return judgeVirtual(policy, claims);
    case "snp":
      return judgeSnp(policy, claims, uvm);
    case "tdx":
    case "sgx":
      return judgeDcap(policy, claims);
  }
}

function judgeVirtual(policy: JoinPolicy, { measurement, hostData }: VirtualClaims): JoinRefusal | undefined {
  if (hostData === undefined) {
    const reason = "the evidence does not say, as the hex of a SHA-256, which program runs";
    return rejected("no host data", "host_data_mismatch", reason);
  }
  if (!policy.hasVirtualHostData(hostData)) return unlistedHostData(hostData);
  return policy.hasVirtualMeasurement(measurement) ? undefined : unlistedMeasurement(JSON.stringify(measurement));
}

function judgeDcap(policy: JoinPolicy, claims: DcapClaims): JoinRefusal | undefined {
  const hostData = claims.hostData && toHex(claims.hostData);
  if (hostData !== undefined && !policy.hasTdxHostData(hostData)) return unlistedHostData(hostData);
  const measurement = toHex(claims.measurement);
  const isListed = claims.platform === "tdx"
    ? policy.hasTdxMeasurement(measurement)
    : policy.hasSgxMeasurement(measurement);
  if (!isListed) return unlistedMeasurement(measurement);
  const { tcbStatuses } = claims;
  if (tcbStatuses.some((status) => policy.hasDcapTcbStatus(status))) return undefined;
  const reason = `the platform's TCB status is ${tcbStatuses.join(" or ")}, which is not in the join policy`;
  return rejected("tcb status", "tcb_status_unacceptable", reason);
}

function judgeSnp(policy: JoinPolicy, claims: SnpClaims, uvm: CheckedUvm | undefined): JoinRefusal | undefined {
  const hostData = toHex(claims.hostData);
  if (!policy.hasSnpHostData(hostData)) return unlistedHostData(hostData);
  // An endorsement that is presented counts alone, whatever the list of measurements says.
  if (uvm === undefined) {
    const measurement = toHex(claims.measurement);
    if (!policy.hasSnpMeasurement(measurement)) return unlistedMeasurement(measurement);
  } else {
    const refusal = whyNotTrusted(policy, uvm);
    if (refusal !== undefined) return rejected("uvm endorsement", refusal.code, refusal.detail);
  }
  const found = tcbMinimumFor(policy, claims);
  if (found === undefined) {
    const { family, model, stepping } = claims.cpu;
    return rejected(
      "cpuid",
      "tcb_not_supported",
      `the join policy has no minimum TCB version for processors of family ${family}, model ${model}, stepping ${stepping}`,
    );
  }
  if (!isTcbAtLeast(found.minimum, claims.reportedTcb)) {
    return rejected(
      "tcb version",
      "tcb_too_low",
      `the TCB version is ${describeTcb(claims.reportedTcb)}, and the join policy wants ${describeTcb(found.minimum)}`,
    );
  }
  return undefined;
}

/** Why an endorsement does not count; undefined where it does. Versions are compared as numbers. */
function whyNotTrusted(policy: JoinPolicy, uvm: CheckedUvm): Refusal | undefined {
  if (uvm.claims === undefined) {
    return { code: uvm.code ?? "malformed", detail: uvm.reason ?? "the UVM endorsement does not hold" };
  }
  const { did, feed, svn } = uvm.claims;
  const minimum = policy.uvmMinimumSvn(did, feed);
  if (minimum === undefined) {
    const who = `${JSON.stringify(did)}, feed ${JSON.stringify(feed)}`;
    const detail = `the UVM endorsement is of ${who}, which the join policy does not have`;
    return { code: "did_not_trusted", detail };
  }
  const found = `version ${svn} of feed ${JSON.stringify(feed)}`;
  if (!/^[0-9]{1,19}$/.test(minimum)) {
    const detail = `the UVM endorsement has ${found}, and the join policy wants ${JSON.stringify(minimum)}, no number`;
    return { code: "svn_too_low", detail };
  }
  if (BigInt(svn) >= BigInt(minimum)) return undefined;
  const detail = `the UVM endorsement has ${found}, and the join policy wants ${minimum}`;
  return { code: "svn_too_low", detail };
}

/** The entry for the processor of the evidence: family, model and stepping must be its own. */
export function tcbMinimumFor(
  policy: Pick<JoinPolicy, "tcbMinimums">,
  { cpu }: SnpClaims,
): { readonly cpuid: string; readonly minimum: TcbComponents } | undefined {
  for (const [cpuid, minimum] of policy.tcbMinimums()) {
    const wanted = parseCpuid(cpuid);
    const isOwn = wanted?.family === cpu.family && wanted.model === cpu.model && wanted.stepping === cpu.stepping;
    if (isOwn) return { cpuid, minimum };
  }
  return undefined;
}

/**
 * Reads EAX of CPUID leaf 1, in hex: "00a00f11" is family 0x19, model 1, stepping 1.
 *
 * Bits from low to high: stepping 4, model 4, family 4, reserved 4, extended model 4, extended family 8, reserved 4.
 *
 * @returns undefined where the text is none
 */
export function parseCpuid(hex: string): SnpClaims["cpu"] | undefined {
  if (!/^[0-9a-fA-F]{8}$/.test(hex)) return undefined;
  const bits = parseInt(hex, 16);
  const field = (at: number, count: number) => (bits >>> at) & ((1 << count) - 1);
  return {
    family: field(8, 4) + field(20, 8),
    model: field(16, 4) * 16 + field(4, 4),
    stepping: field(0, 4),
  };
}

const COMPONENTS = ["boot_loader", "tee", "snp", "microcode", "fmc"] as const;

/** Component by component; one that only one of them has fails. */
function isTcbAtLeast(minimum: TcbComponents, reported: TcbComponents): boolean {
  return COMPONENTS.every((name) => {
    const [least, has] = [minimum[name], reported[name]];
    return least === undefined || has === undefined ? least === has : has >= least;
  });
}

function unlistedHostData(hostData: string): JoinRefusal {
  return rejected("host data", "host_data_mismatch", `host data ${hostData} is not in the join policy`);
}

/** @param shown hex, or a text in quotation marks */
function unlistedMeasurement(shown: string): JoinRefusal {
  return rejected("measurement", "measurement_mismatch", `measurement ${shown} is not in the join policy`);
}

function rejected(step: JudgementStep, code: ReasonCode, reason: string): JoinRefusal {
  return { verdict: "rejected", step, code, reason };
}
