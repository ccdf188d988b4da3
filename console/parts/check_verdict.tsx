/** What came of checking something that members signed: a word, and why where it is not verified. */

import type { ComponentChildren } from "preact";
import type { Check } from "../governance/entries.ts";
import { Verdict } from "./verdict.tsx";

export function CheckVerdict({ check, children }: {
  readonly check: Check;
  /** What is verified: "Signed by its proposer". */
  readonly children: ComponentChildren;
}) {
  if (check.kind === "verified") return <Verdict kind="verified">{children}</Verdict>;
  const kind = check.kind === "failed" ? "failed" : "cannot";
  return (
    <span class="stack-tight">
      <Verdict kind={kind}>
        {children}: {check.kind === "failed" ? "no" : "cannot be checked"}
      </Verdict>
      <span class="small foreign">{check.why}</span>
    </span>
  );
}
