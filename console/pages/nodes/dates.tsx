/** From when to when a certificate or statement holds. */

import { agoText, Time } from "../../parts/time.tsx";
import { Verdict, type VerdictKind } from "../../parts/verdict.tsx";
import type { CertificateDates, NodeFacts } from "./node_facts.ts";

const LOOK: Readonly<Record<CertificateDates["state"], { readonly kind: VerdictKind; readonly word: string }>> = {
  valid: { kind: "verified", word: "Valid until" },
  "ends soon": { kind: "cannot", word: "Ends soon:" },
  ended: { kind: "failed", word: "Ended" },
  "not yet": { kind: "cannot", word: "Begins" },
};

export function Dates({ of }: { readonly of: NodeFacts["certificate"] }) {
  if (of === undefined) return <>none in the ledger</>;
  if (typeof of === "string") return <Verdict kind="failed">Cannot be read: {of}</Verdict>;
  const { kind, word } = LOOK[of.state];
  const at = of.state === "not yet" ? of.notBeforeMs : of.notAfterMs;
  return (
    <Verdict kind={kind}>
      {word} <Time ms={at} /> ({agoText(at, Date.now())})
    </Verdict>
  );
}
