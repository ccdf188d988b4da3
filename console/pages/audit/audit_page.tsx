/** Audit: every signature checked, and every decision of members decided again under the constitution of its time. */

import { signal } from "@preact/signals";
import { useId, useState } from "preact/hooks";
import { DataTable } from "../../parts/data_table.tsx";
import { auditMarkdown } from "../../ledger/audit_report.ts";
import type { AuditFinding, AuditReport } from "../../ledger/protocol.ts";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, ProblemNote } from "../../parts/states.tsx";
import { Verdict, type VerdictKind } from "../../parts/verdict.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { connection, ledger, ledgerState } from "../../service/session.ts";

/** Kept while other pages are looked at. */
const report = signal<AuditReport | undefined>(undefined);
const problem = signal<Problem | undefined>(undefined);
/** When it was started; undefined: none is running. */
const startedAtMs = signal<number | undefined>(undefined);

const VERDICTS: Readonly<Record<AuditReport["verdict"], readonly [VerdictKind, string]>> = {
  verified: ["verified", "Everything that was looked at holds"],
  refused: ["failed", "The ledger does not hold"],
  incomplete: ["cannot", "Nothing failed, and not everything was decided"],
};

const FINDING_KINDS: Readonly<Record<AuditFinding["verdict"], readonly [VerdictKind, string]>> = {
  failed: ["failed", "Failed"],
  "cannot decide": ["cannot", "Cannot be decided"],
  warning: ["unchecked", "Warning"],
};

async function run(from: number | undefined, to: number | undefined): Promise<void> {
  report.value = undefined;
  problem.value = undefined;
  startedAtMs.value = Date.now();
  try {
    report.value = await ledger().audit({ ...(from !== undefined && { from }), ...(to !== undefined && { to }) });
  } catch (error) {
    problem.value = problemOf(error);
  }
  startedAtMs.value = undefined;
}

export default function AuditPage() {
  const { signed, firstSeqno } = ledgerState.value;
  if (connection.value === undefined || signed === undefined) {
    return (
      <Page title="Audit">
        <Empty>
          <p>
            There is nothing to audit yet. <a href={linkTo("connect")}>Connect to a node, or open ledger files</a>.
          </p>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title="Audit"
      lead="Reading the ledger has checked every signature. The audit also decides again what members asked for, with the constitution of that time."
    >
      <Section title="Run">
        <Form first={firstSeqno} last={signed.seqno} />
        <Progress />
        {problem.value !== undefined && <ProblemNote problem={problem.value} />}
      </Section>
      {report.value !== undefined && <Report report={report.value} />}
    </Page>
  );
}

/** The number in a field; undefined where it is empty. */
const numberIn = (text: string) => text === "" ? undefined : Number(text);

function Form({ first, last }: { readonly first: number; readonly last: number }) {
  const id = useId();
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const isRunning = startedAtMs.value !== undefined;
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void run(numberIn(from), numberIn(to));
      }}
    >
      <div class="field">
        <label htmlFor={`${id}-from`}>Report from seqno</label>
        <input
          id={`${id}-from`}
          type="number"
          min={first}
          max={last}
          placeholder={String(first)}
          value={from}
          onInput={(event) => setFrom(event.currentTarget.value)}
        />
      </div>
      <div class="field">
        <label htmlFor={`${id}-to`}>to seqno</label>
        <input
          id={`${id}-to`}
          type="number"
          min={first}
          max={last}
          placeholder={String(last)}
          value={to}
          onInput={(event) => setTo(event.currentTarget.value)}
        />
      </div>
      {isRunning
        ? <button type="button" class="button" onClick={() => void ledger().stopAudit()}>Stop</button>
        : <button type="submit" class="button button-main">Start the audit</button>}
    </form>
  );
}

function Progress() {
  const started = startedAtMs.value;
  const progress = ledger().auditProgress.value;
  if (started === undefined) return null;
  const { done, of } = progress ?? { done: 0, of: 0 };
  const elapsedMs = Date.now() - started;
  const leftMs = done > 0 && of > done ? (elapsedMs / done) * (of - done) : undefined;
  return (
    <div class="stack-tight">
      <progress aria-label="Audited entries" max={Math.max(1, of)} value={done} />
      <p role="status">
        Entry {done} of {of}
        {leftMs !== undefined && `, about ${Math.max(1, Math.round(leftMs / 1000))} s left`}
      </p>
    </div>
  );
}

function Report({ report }: { readonly report: AuditReport }) {
  const [kind, words] = VERDICTS[report.verdict];
  const save = (ending: string, content: string, type: string) =>
    saveFile(`audit_${report.from}-${report.to}.${ending}`, content, type);
  return (
    <>
      <Section
        title="Result"
        actions={
          <>
            <button type="button" class="button" onClick={() => save("md", auditMarkdown(report), "text/markdown")}>
              Save as Markdown
            </button>
            <button
              type="button"
              class="button"
              onClick={() => save("json", JSON.stringify(report, null, 2) + "\n", "application/json")}
            >
              Save as JSON
            </button>
          </>
        }
      >
        <Verdict kind={kind}>{words}</Verdict>
        <Facts
          of={[
            ["Entries", `${report.from} to ${report.to}`],
            ["Signatures checked", report.signatures.toLocaleString()],
            ["Requests of members", report.requests.toLocaleString()],
            ["Decisions decided again", report.decisions.toLocaleString()],
          ]}
        />
      </Section>
      <Section title={`Findings (${report.findings.length})`}>
        {report.findings.length === 0
          ? <Empty>There are none.</Empty>
          : (
            <DataTable label="Table of findings" columns={["Transaction", "Finding"]}>
              {report.findings.map((finding, i) => (
                <tr key={i}>
                  <td>
                    <a data-item href={linkTo("transaction", String(finding.seqno))}>seqno {finding.seqno}</a>
                  </td>
                  <td class="foreign">
                    <Verdict kind={FINDING_KINDS[finding.verdict][0]}>{FINDING_KINDS[finding.verdict][1]}</Verdict>
                    <p>{finding.what}</p>
                    <p class="soft">{finding.detail}</p>
                  </td>
                </tr>
              ))}
            </DataTable>
          )}
      </Section>
    </>
  );
}
