/**
 * What a rung of the climb from evidence to a network is shown as: four states, and virtual.
 *
 * In: a rung of `shared/trust/report.ts`. Out: its state and a sentence. A rung that holds but for something that could not
 * be looked at is not shown as verified.
 */

import { type Rung, type RungName, type TrustStep } from "../../shared/trust/report.ts";
import type { StepResult } from "../../shared/verdict.ts";
import type { VerdictKind } from "./verdict.tsx";

export const RUNG_TITLES: Readonly<Record<RungName, string>> = {
  hardware: "Evidence valid",
  key: "Key bound",
  service: "Node of the service",
  code: "Code voted",
  network: "Whole network",
};

export interface ShownRung {
  readonly kind: VerdictKind;
  /** Why it is that, as a sentence without a full stop. */
  readonly why: string;
}

/** Steps that a rung needs, and that count for it only where they were taken. */
const NEEDED: Readonly<Partial<Record<RungName, string>>> = { key: "connection", network: "decisions" };

const NEEDED_WORDS: Readonly<Partial<Record<RungName, string>>> = {
  key:
    "No connection to this node was seen, so the key in the evidence is compared with its ID alone. A page is not told " +
    "who ended its connections; the relay (`deno task run console`) is, of the one node that it speaks to",
  network: "Members' requests were not decided again; the audit does that",
};

export function shownRung(rung: Rung): ShownRung {
  const { kind, why } = judged(rung);
  return { kind, why: why.charAt(0).toUpperCase() + why.slice(1) };
}

function judged(rung: Rung): ShownRung {
  const { name, verdict, steps } = rung;
  if (verdict === "not checked") return { kind: "unchecked", why: steps[0]?.detail ?? "not reached" };
  const failed = steps.find(({ result }) => result === "failed");
  if (failed !== undefined) return { kind: "failed", why: `${failed.name}: ${failed.detail}` };
  const cannot = steps.find(({ result }) => result === "cannot be checked");
  if (cannot !== undefined) return { kind: "cannot", why: `${cannot.name}: ${cannot.detail}` };
  const needed = steps.find((step) => step.name === NEEDED[name] && step.result === "not checked");
  if (needed !== undefined) {
    return {
      kind: name === "key" ? "cannot" : "unchecked",
      why: needed.detail.startsWith("it was seen by") ? needed.detail : NEEDED_WORDS[name]!,
    };
  }
  if (verdict === "virtual") {
    return {
      kind: "virtual",
      why: name === "hardware"
        ? "The node says itself what it runs, and no hardware vouches for it: fit for trying things out, and no more"
        : `${summaryOf(name, steps)}; no hardware vouches for it`,
    };
  }
  return { kind: "verified", why: summaryOf(name, steps) };
}

/** The step that says most about a rung. */
const TELLING: Readonly<Record<RungName, readonly string[]>> = {
  hardware: ["report signature", "signature"],
  key: ["connection", "report data"],
  service: ["row", "endorsement"],
  code: ["today"],
  network: ["decisions"],
};

function summaryOf(name: RungName, steps: readonly TrustStep[]): string {
  const telling = TELLING[name].map((wanted) => steps.find((step) => step.name === wanted)).find(Boolean) ??
    steps.at(-1);
  return telling?.detail ?? "all of it holds";
}

export const STEP_KIND: Readonly<Record<StepResult, VerdictKind>> = {
  verified: "verified",
  failed: "failed",
  "not checked": "unchecked",
  "cannot be checked": "cannot",
};

/** Of a step: that evidence nobody signed is well formed is not green either. */
export function stepKind({ result }: TrustStep, rung: Rung): VerdictKind {
  return result === "verified" && rung.verdict === "virtual" ? "virtual" : STEP_KIND[result];
}
