/**
 * Whether a node may join: its evidence, already checked, judged by what the members allow.
 *
 * In: what checking the evidence found, the key that the node proved to have, look-ups in the join policy. Out: the
 * measurement of its code, or at which step it is refused and why. Knows nothing of tables, requests and signatures.
 * On the virtual platform evidence proves nothing, but goes through the same steps.
 * Rules: nodes-and-attestation.md §9, in its order (CCF's `src/node/quote.cpp`)
 */

import { equalBytes, toHex, toUtf8 } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { type CheckedEvidence, type CheckedUvm, describeTcb, type SnpClaims, type TcbComponents } from "./evidence.ts";
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
  "public key": { status: 401, message: "Quote report data does not match the hash of the public key for this node" },
} as const;

export type JudgementStep = keyof typeof JOIN_REFUSALS;

export type Judgement =
  /** `measurement`: bytes; on the virtual platform those of a text. */
  | { readonly verdict: "accepted"; readonly measurement: Uint8Array }
  /** `reason`: a sentence for the operator. */
  | { readonly verdict: "rejected"; readonly step: JudgementStep; readonly reason: string };

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
    return rejected("evidence", checked.reason ?? "the evidence says nothing that could be judged");
  }
  const refusal = claims.platform === "virtual" ? judgeVirtual(policy, claims) : judgeSnp(policy, claims, checked.uvm);
  if (refusal !== undefined) return refusal;
  if (!provesKey(claims, sha256(spki))) {
    const proved = toHex(claims.reportData.subarray(0, KEY_HASH_BYTES));
    return rejected("public key", `the evidence is for another key, that of a node ${proved}`);
  }
  return { verdict: "accepted", measurement: measurementOf(claims) };
}

const KEY_HASH_BYTES = 32;

/** Whether report data begins with the hash of a key. What stands behind it, zeros from every node, CCF does not look at. */
export function provesKey({ reportData }: VirtualClaims | SnpClaims, keyHash: Uint8Array): boolean {
  return equalBytes(reportData.subarray(0, KEY_HASH_BYTES), keyHash);
}

/** As tables and `code_digest` know it, in bytes. */
export function measurementOf(claims: VirtualClaims | SnpClaims): Uint8Array {
  return claims.platform === "virtual" ? toUtf8(claims.measurement) : claims.measurement;
}

function judgeVirtual(policy: JoinPolicy, { measurement, hostData }: VirtualClaims): Judgement | undefined {
  if (hostData === undefined) {
    return rejected("no host data", "the evidence does not say, as the hex of a SHA-256, which program runs");
  }
  if (!policy.hasVirtualHostData(hostData)) {
    return rejected("host data", `host data ${hostData} is not in the join policy`);
  }
  if (!policy.hasVirtualMeasurement(measurement)) {
    return rejected("measurement", `measurement ${JSON.stringify(measurement)} is not in the join policy`);
  }
  return undefined;
}

function judgeSnp(policy: JoinPolicy, claims: SnpClaims, uvm: CheckedUvm | undefined): Judgement | undefined {
  const hostData = toHex(claims.hostData);
  if (!policy.hasSnpHostData(hostData)) {
    return rejected("host data", `host data ${hostData} is not in the join policy`);
  }
  // An endorsement that is presented counts alone, whatever the list of measurements says.
  if (uvm === undefined) {
    const measurement = toHex(claims.measurement);
    if (!policy.hasSnpMeasurement(measurement)) {
      return rejected("measurement", `measurement ${measurement} is not in the join policy`);
    }
  } else {
    const reason = whyNotTrusted(policy, uvm);
    if (reason !== undefined) return rejected("uvm endorsement", reason);
  }
  const found = tcbMinimumFor(policy, claims);
  if (found === undefined) {
    const { family, model, stepping } = claims.cpu;
    return rejected(
      "cpuid",
      `the join policy has no minimum TCB version for processors of family ${family}, model ${model}, stepping ${stepping}`,
    );
  }
  if (!isTcbAtLeast(found.minimum, claims.reportedTcb)) {
    return rejected(
      "tcb version",
      `the TCB version is ${describeTcb(claims.reportedTcb)}, and the join policy wants ${describeTcb(found.minimum)}`,
    );
  }
  return undefined;
}

/** Why an endorsement does not count; undefined where it does. Versions are compared as numbers. */
function whyNotTrusted(policy: JoinPolicy, uvm: CheckedUvm): string | undefined {
  if (uvm.claims === undefined) return uvm.reason ?? "the UVM endorsement does not hold";
  const { did, feed, svn } = uvm.claims;
  const minimum = policy.uvmMinimumSvn(did, feed);
  if (minimum === undefined) {
    return `the UVM endorsement is of ${did}, feed ${feed}, which the join policy does not have`;
  }
  if (!/^[0-9]{1,19}$/.test(minimum)) {
    return `the join policy has the version ${JSON.stringify(minimum)} for feed ${feed}, which is no number`;
  }
  return BigInt(svn) >= BigInt(minimum)
    ? undefined
    : `the UVM endorsement has version ${svn}, and the join policy wants ${minimum} for feed ${feed}`;
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

function rejected(step: JudgementStep, reason: string): Judgement {
  return { verdict: "rejected", step, reason };
}
