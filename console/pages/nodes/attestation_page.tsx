/** Attestation of one node: the rungs up to the votes that allowed its code, the evidence field by field, a bundle to keep. */

import { useState } from "preact/hooks";
import { DataTable } from "../../parts/data_table.tsx";
import { NODES_INFO } from "../../../shared/governance/tables.ts";
import { toUtf8 } from "../../../shared/bytes.ts";
import { useLedger } from "../../hooks.ts";
import { nameIn } from "../../folded.ts";
import { announce } from "../../parts/announce.tsx";
import { CopyButton } from "../../parts/copy.tsx";
import { Hash } from "../../parts/hash.tsx";
import { visibleText } from "../../parts/invisible.ts";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, ProblemNote, Region } from "../../parts/states.tsx";
import { Ladder, rungsOf } from "../../parts/trust_ladder.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import type { NodeEvidence } from "../../ledger/protocol.ts";
import { type Loaded, type Problem, problemOf } from "../../problem.ts";
import { linkTo, type PageProps } from "../../routes.ts";
import { type Climbed, type QuoteAnswer, useClimb, useEvidence } from "../../service/evidence.ts";
import { connection, ledger, ledgerState } from "../../service/session.ts";
import { CodeTimeline } from "./code_timeline.tsx";
import { evidenceFile } from "./evidence_fields.ts";
import { collateralDates } from "./collateral_dates.ts";
import { EvidenceFiles } from "./evidence_files.tsx";
import { FieldTable } from "./field_table.tsx";
import { datesOf, platformWords } from "./node_facts.ts";
import { Dates } from "./dates.tsx";
import "./nodes.css";

export default function AttestationPage({ route }: PageProps) {
  const nodeId = route.id;
  if (nodeId === undefined) {
    return (
      <Page title="Attestation">
        <Empty>
          Which node? <a href={linkTo("nodes")}>All nodes</a>
        </Empty>
        <EvidenceFiles />
      </Page>
    );
  }
  return <OfNode key={nodeId} nodeId={nodeId} />;
}

function OfNode({ nodeId }: { readonly nodeId: string }) {
  const [turn, setTurn] = useState(0);
  const row = useLedger(async (ledger) => {
    const found = await ledger.value(NODES_INFO.name, toUtf8(nodeId));
    return found === undefined ? undefined : NODES_INFO.value.decode(found.value);
  }, [nodeId]);
  const name = row.kind === "ready" ? nameIn(row.value?.node_data) : undefined;
  const shown = useEvidence(nodeId, turn);
  // With files open nobody shows evidence; the ledger keeps what the node joined with.
  const evidence = shown.kind === "ready" || connection.value?.kind === "node" ? shown : ofLedger(nodeId, row, shown);
  const climbed = useClimb(evidence);
  return (
    <Page
      title={`Attestation of ${name === undefined ? `${nodeId.slice(0, 12)}…` : visibleText(name)}`}
      lead="From the hardware's signature to the members' votes. Every rung is checked in this page."
      actions={<button type="button" class="button" onClick={() => setTurn((n) => n + 1)}>Recompute</button>}
    >
      <Section title="Node">
        <Facts
          of={[
            ["ID", <Hash value={nodeId} of="SHA-256 of the node's public key" whole />],
            [
              "In the ledger",
              row.kind === "ready"
                ? row.value?.status ?? <Verdict kind="failed">The ledger has no such node up to here</Verdict>
                : row.kind === "loading"
                ? "…"
                : row.kind === "unknown"
                ? row.why
                : row.problem.why,
            ],
            [
              "Platform",
              row.kind === "ready" && row.value !== undefined ? platformWords(row.value.quote_info.format) : "…",
            ],
          ]}
        />
        {evidence.kind === "ready" && evidence.value.format === "Insecure_Virtual" && (
          <p class="notice notice-grey">
            <Verdict kind="virtual" />{" "}
            The node runs as any other program: whoever has the machine can read its memory and change its code, and
            what it says about itself proves nothing. It is for trying things out.
          </p>
        )}
      </Section>
      <Section title="Ladder">
        <Region
          of={climbed}
          loading={ledgerState.value.status === "reading" ? "the ledger, which the rungs stand on" : "the evidence"}
        >
          {(value) => <Rungs climbed={value} />}
        </Region>
      </Section>
      {evidence.kind === "ready" && <Evidence nodeId={nodeId} evidence={evidence.value} climbed={climbed} />}
      <CodeTimeline />
      <EvidenceFiles />
    </Page>
  );
}

/** What the ledger keeps of a node, as an answer of that node would be. */
function ofLedger(
  nodeId: string,
  row: Loaded<ReturnType<typeof NODES_INFO.value.decode> | undefined>,
  otherwise: Loaded<NodeEvidence>,
): Loaded<NodeEvidence> {
  if (row.kind !== "ready" || row.value === undefined) return otherwise;
  const { quote, ...rest } = row.value.quote_info;
  return fromLedger(nodeId, JSON.stringify({ ...rest, raw: quote, node_id: nodeId }), rest.format);
}

const kept = new Map<string, Loaded<NodeEvidence>>();

/** The same object for the same evidence, so that it is climbed from once. */
function fromLedger(nodeId: string, answer: string, format: string): Loaded<NodeEvidence> {
  const key = `${nodeId} ${answer}`;
  if (!kept.has(key)) {
    kept.clear();
    kept.set(key, { kind: "ready", value: { format, answer: JSON.parse(answer), nowMs: Date.now() } });
  }
  return kept.get(key)!;
}

function Rungs({ climbed: { report, asOf, tookMs } }: { readonly climbed: Climbed }) {
  const signed = ledgerState.value.signed?.seqno ?? 0;
  const kind = report.verdict === "refused" ? "failed" : report.verdict === "virtual" ? "virtual" : "verified";
  return (
    <>
      <p role="status" data-verdict={report.verdict}>
        <Verdict kind={kind}>
          {report.verdict === "refused"
            ? `Refused: ${report.reason ?? "a rung does not hold"}`
            : report.verdict === "virtual"
            ? "Nothing is refused, and nothing about hardware is proved"
            : "Nothing is refused"}
        </Verdict>
      </p>
      <p class="small soft">
        Computed in this page in {Math.round(tookMs)} ms, over the ledger up to seqno {asOf}
        {signed > asOf ? `; ${signed - asOf} entries were signed since: recompute to take them in` : ""}.
      </p>
      <Ladder label="Ladder of the node" rungs={rungsOf(report.rungs)} />
      <h3>What this does not prove</h3>
      <ul>
        {report.notProved.map((sentence) => <li key={sentence}>{sentence}</li>)}
      </ul>
    </>
  );
}

function Evidence({ nodeId, evidence, climbed }: {
  readonly nodeId: string;
  readonly evidence: NodeEvidence;
  readonly climbed: Loaded<Climbed>;
}) {
  const [problem, setProblem] = useState<Problem | undefined>();
  const { raw = "", endorsements = "" } = evidence.answer as QuoteAnswer;
  const bundleName = `evidence_${nodeId.slice(0, 12)}.json`;
  const command = `deno task run quote verify ${bundleName} --service-cert service_cert.pem` +
    (evidence.format === "Insecure_Virtual" ? " --allow-virtual" : "");
  const saveBundle = async () => {
    try {
      saveFile(bundleName, await ledger().evidenceBundle(evidence), "application/json");
      announce("The bundle is saved");
      setProblem(undefined);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const saveEvidence = () => {
    try {
      const { name, bytes } = evidenceFile(nodeId, evidence.format, raw);
      saveFile(name, bytes);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  const dates = collateralDates(evidence.format, endorsements);
  return (
    <Section
      title="Evidence"
      actions={
        <>
          <button type="button" class="button" onClick={saveEvidence}>Download the evidence</button>
          <button
            type="button"
            class="button"
            disabled={climbed.kind === "loading"}
            onClick={() => void saveBundle()}
          >
            Export the evidence bundle
          </button>
        </>
      }
    >
      {problem !== undefined && <ProblemNote problem={problem} />}
      <p>
        The bundle has all that the rungs stand on, the ledger included where it is not too large. Anybody checks it
        again with:
      </p>
      <div class="row">
        <code class="anywhere">{command}</code>
        <CopyButton text={command} what="the command that checks the bundle" />
      </div>
      {dates.length > 0 && (
        <DataTable label="Dates of the collateral" columns={["What vouches for it", "Dates"]}>
          {dates.map(({ what, dates }, i) => (
            <tr key={i}>
              <td class="foreign">{what}</td>
              <td>
                <Dates of={typeof dates === "string" ? dates : datesOf(dates, Date.now())} />
              </td>
            </tr>
          ))}
        </DataTable>
      )}
      <FieldTable format={evidence.format} raw={raw} />
    </Section>
  );
}
