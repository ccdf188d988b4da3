/** What is known of a claim: never one boolean, never colour alone. */

import type { StepResult } from "../../shared/verdict.ts";
import { Icon, type IconName } from "./icon.tsx";

export type VerdictKind = "verified" | "unchecked" | "cannot" | "failed" | "virtual";

const LOOK: Readonly<Record<VerdictKind, { readonly icon: IconName; readonly word: string }>> = {
  verified: { icon: "check", word: "Verified" },
  unchecked: { icon: "dash", word: "Not checked yet" },
  cannot: { icon: "question", word: "Cannot be checked" },
  failed: { icon: "cross", word: "Failed" },
  // No hardware vouches for it: never green.
  virtual: { icon: "dash", word: "Virtual: no hardware protection" },
};

export const KIND_OF_RESULT: Readonly<Record<StepResult, VerdictKind>> = {
  verified: "verified",
  failed: "failed",
  "not checked": "unchecked",
  "cannot be checked": "cannot",
};

/** A word and an icon; `children` instead of the usual word says of what. */
export function Verdict(
  { kind, children }: { readonly kind: VerdictKind; readonly children?: preact.ComponentChildren },
) {
  const { icon, word } = LOOK[kind];
  return (
    <span class={`verdict verdict-${kind}`}>
      <Icon name={icon} />
      <span>{children ?? word}</span>
    </span>
  );
}
