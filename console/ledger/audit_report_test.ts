import { strict as assert } from "node:assert";
import { auditMarkdown } from "./audit_report.ts";
import type { AuditReport } from "./protocol.ts";

const REPORT: AuditReport = {
  verdict: "verified",
  from: 1,
  to: 47,
  signatures: 12,
  requests: 21,
  decisions: 5,
  findings: [],
};

Deno.test("a report says in words what holds, and counts what was looked at", () => {
  assert.equal(
    auditMarkdown(REPORT),
    `# Audit of the entries 1 to 47

Everything that was looked at holds.

- Signatures checked: 12
- Requests of members: 21
- Decisions decided again: 5
- Findings: 0
`,
  );
  assert.match(auditMarkdown({ ...REPORT, verdict: "incomplete" }), /^Nothing failed, and not everything/m);
});

Deno.test("each finding is a row, in which nothing that the ledger says is markup, ends the line, or hides", () => {
  const detail = "a|b\n# <img src=x> [c](https://d) `e` &amp; \u202Egnp\u0000\\";
  const text = auditMarkdown({
    ...REPORT,
    verdict: "refused",
    findings: [{ seqno: 31, verdict: "failed", what: "Proposal 0a_b_ does not follow", detail }],
  });
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  assert.deepEqual(rows, [
    "| Seqno | Verdict | What | Detail |",
    "| ---: | --- | --- | --- |",
    "| 31 | failed | Proposal 0a\\_b\\_ does not follow | " +
    "a\\|b \\# \\<img src=x\\> \\[c\\](https://d) \\`e\\` \\&amp; U+202EgnpU+0000\\\\ |",
  ]);
  assert.match(text, /^\*\*The ledger does not hold\.\*\*$/m);
});
