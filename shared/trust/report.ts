/**
 * What climbing from one node's evidence to a network comes to: rungs of named steps, and a verdict.
 *
 * In: what checks found. Out: values for people and machines to read. Judges nothing but whether a step refuses.
 */

import type { StepResult } from "../verdict.ts";
import type { Cause, Decision } from "./decisions.ts";

export const RUNGS = ["hardware", "key", "service", "code", "network"] as const;
export type RungName = typeof RUNGS[number];

/** What each rung asks. */
export const RUNG_QUESTIONS: Readonly<Record<RungName, string>> = {
  hardware: "Is the evidence what genuine hardware signed?",
  key: "Is it for the key that ended this connection?",
  service: "Does the node belong to the service?",
  code: "Who allowed the code that it runs?",
  network: "Was every node of the service let in by these rules?",
};

export interface TrustStep {
  readonly name: string;
  readonly result: StepResult;
  /** What was compared with what, as a sentence. */
  readonly detail: string;
  /** Of evidence: the rule, what was looked at, and the code of a failure (`evidence_steps.ts`). */
  readonly rule?: string;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly code?: string;
  /** What members decided, where the step rests on that. */
  readonly decision?: Decision;
}

export interface Rung {
  readonly name: RungName;
  /** "virtual": all is as it should be but that no hardware vouches for any of it. */
  readonly verdict: "verified" | "virtual" | "refused" | "not checked";
  readonly steps: readonly TrustStep[];
}

export interface TrustReport {
  /** "virtual": nothing was refused, and nothing about hardware is proved. */
  readonly verdict: "verified" | "virtual" | "refused";
  /** Of the first step that failed, or that was asked for and cannot be checked. */
  readonly reason?: string;
  readonly rungs: readonly Rung[];
  readonly nodeId?: string;
  /** Hex SHA-256 of the service's key, where it is known. */
  readonly serviceIdentity?: string;
  /** What holds all the same may be otherwise: sentences. */
  readonly notProved: readonly string[];
}

/** What the caller wants the node to run, whatever members allow; hex in lower case. Any of a list will do. */
export interface ExpectedCode {
  readonly measurements?: readonly string[] | undefined;
  readonly hostData?: readonly string[] | undefined;
}

/** What evidence says, compared with what the caller wants: that counts before what members want. */
export function expectationSteps(
  { measurements, hostData }: ExpectedCode,
  measurement: string,
  shownHostData: string | undefined,
): TrustStep[] {
  const steps: TrustStep[] = [];
  if (measurements !== undefined) {
    const isExpected = measurements.includes(measurement);
    steps.push(step("expected measurement", isExpected, `the measurement is ${measurement}`));
  }
  if (hostData !== undefined) {
    const isExpected = shownHostData !== undefined && hostData.includes(shownHostData);
    steps.push(step("expected host data", isExpected, `the host data is ${shownHostData ?? "missing"}`));
  }
  return steps;
}

/** A report of evidence alone: of the rungs there is but the first. */
export function hardwareReport(steps: readonly TrustStep[], notProved: readonly string[]): TrustReport {
  const bad = steps.find(isBad);
  const verdict = bad === undefined ? "verified" : "refused";
  return {
    verdict,
    ...(bad !== undefined && { reason: `hardware: ${bad.name}: ${bad.detail}` }),
    rungs: RUNGS.map((name): Rung =>
      name === "hardware"
        ? { name, verdict, steps }
        : notReached(name, "this is evidence alone, of no node that is known")
    ),
    notProved,
  };
}

/** @param cause what the step rests on, if it is something in the ledger */
export function step(name: string, holds: boolean, detail: string, cause?: Cause): TrustStep {
  const decision = cause?.kind === "decision" ? { decision: cause.decision } : {};
  return { name, result: holds ? "verified" : "failed", detail, ...decision };
}

export function skipped(name: string, detail: string): TrustStep {
  return { name, result: "not checked", detail };
}

export function cannot(name: string, detail: string): TrustStep {
  return { name, result: "cannot be checked", detail };
}

export function notReached(name: RungName, why: string): Rung {
  return { name, verdict: "not checked", steps: [{ name, result: "not checked", detail: why }] };
}

/** Whether a step refuses. */
export function isBad({ result }: TrustStep): boolean {
  return result === "failed" || result === "cannot be checked";
}
