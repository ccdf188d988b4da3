/**
 * An audit's result as Markdown, for people who file it. As JSON it is the report itself.
 *
 * In: a report. Out: text, in which nothing that a ledger says can become markup, or hide. Judges nothing.
 */

import type { AuditReport } from "./protocol.ts";

const VERDICTS: Readonly<Record<AuditReport["verdict"], string>> = {
  verified: "Everything that was looked at holds.",
  refused: "**The ledger does not hold.**",
  incomplete: "Nothing failed, and not everything could be decided.",
};

export function auditMarkdown(report: AuditReport): string {
  const { verdict, from, to, signatures, requests, decisions, findings } = report;
  const rows = findings.map(({ seqno, verdict, what, detail }) =>
    `| ${seqno} | ${verdict} | ${cell(what)} | ${cell(detail)} |`
  );
  return [
    `# Audit of the entries ${from} to ${to}`,
    "",
    VERDICTS[verdict],
    "",
    `- Signatures checked: ${signatures}`,
    `- Requests of members: ${requests}`,
    `- Decisions decided again: ${decisions}`,
    `- Findings: ${findings.length}`,
    "",
    ...(rows.length === 0 ? [] : ["| Seqno | Verdict | What | Detail |", "| ---: | --- | --- | --- |", ...rows, ""]),
  ].join("\n");
}

/** Text of others, in one cell: no markup, no line's end, and what is invisible by its number. */
function cell(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(/[\\`*_{}[\]<>|#&~]/g, "\\$&").replaceAll(
    /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu,
    (invisible) => `U+${invisible.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`,
  );
}
