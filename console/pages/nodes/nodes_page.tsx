/** Nodes: as the ledger proves them, and what the connected node says beside it. */

import { useMemo } from "preact/hooks";
import { DataTable } from "../../parts/data_table.tsx";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { FormatError } from "../../../shared/assert.ts";
import { useLedger, useNode } from "../../hooks.ts";
import { CauseText } from "../../parts/cause.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { Empty, ProblemNote, Region, Unknown } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import type { Loaded } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { CodeTimeline } from "./code_timeline.tsx";
import { Dates } from "./dates.tsx";
import { EvidenceFiles } from "./evidence_files.tsx";
import {
  datesOf,
  discrepancies,
  foldedNodes,
  isSilent,
  nodeEvents,
  type NodeFacts,
  parseSaidConsensus,
  parseSaidNodes,
  platformWords,
  type SaidConsensus,
  type SaidNode,
} from "./node_facts.ts";
import { Topology } from "./topology.tsx";
import "./nodes.css";

const POLL_MS = 3000;

export default function NodesPage() {
  const nodes = useLedger((ledger) => foldedNodes(ledger, Date.now()), []);
  const consensus = useNode((api, signal) => api.getAs("/node/consensus", parseSaidConsensus, { signal }), [], POLL_MS);
  const said = useNode((api, signal) => api.getAs("/node/network/nodes", parseSaidNodes, { signal }), [], POLL_MS);
  const { signed, status } = ledgerState.value;
  return (
    <Page
      title="Nodes"
      lead="Who the nodes are comes from the ledger, and is proved. Who leads and who is heard of only a node can say."
    >
      {signed !== undefined && (
        <p>
          <Verdict kind={status === "stopped" ? "failed" : "verified"}>Proved up to seqno {signed.seqno}</Verdict>
        </p>
      )}
      <Section title="Nodes of the service">
        <Region of={nodes} loading="nodes">
          {({ nodes, odd }) =>
            nodes.length === 0 ? <Empty>The ledger has no nodes up to here.</Empty> : (
              <>
                <Topology nodes={nodes} consensus={valueOf(consensus)} />
                <NodeTable nodes={nodes} consensus={valueOf(consensus)} />
                {odd.map((line) => <p key={line} class="notice notice-bad foreign">A row of another form: {line}</p>)}
              </>
            )}
        </Region>
      </Section>
      <Word nodes={valueOf(nodes)?.nodes} said={said} consensus={consensus} />
      <Certificates />
      <History />
      <CodeTimeline />
      <EvidenceFiles />
    </Page>
  );
}

function valueOf<T>(loaded: Loaded<T>): T | undefined {
  return loaded.kind === "ready" ? loaded.value : undefined;
}

function NodeTable({ nodes, consensus }: {
  readonly nodes: readonly NodeFacts[];
  readonly consensus: SaidConsensus | undefined;
}) {
  const names = useMemo(
    () => new Map(nodes.flatMap(({ id, name }) => name === undefined ? [] : [[id, name] as const])),
    [nodes],
  );
  return (
    <DataTable
      label="Table of nodes"
      columns={[
        "Node",
        "Status",
        "Role (it says)",
        "Acknowledged (it says)",
        "Platform",
        "Certificate",
        "Attestation",
        "Addresses",
      ]}
      class="nodes-table"
    >
      {nodes.map((node) => (
        <tr key={node.id}>
          <td>
            <Party id={node.id} kind="node" names={names} />
          </td>
          <td>
            {node.status}
            {node.isRetiredCommitted && ", may be switched off"}
            <br />
            <span class="small soft">
              since <a href={linkTo("ledger", undefined, { from: node.writtenAt })}>seqno {node.writtenAt}</a>
            </span>
          </td>
          <td>{roleText(consensus, node)}</td>
          <td>{ackText(consensus, node)}</td>
          <td>
            {node.format === "Insecure_Virtual"
              ? <Verdict kind="virtual" />
              : <span class="foreign">{platformWords(node.format)}</span>}
          </td>
          <td>
            <Dates of={node.certificate} />
          </td>
          <td>
            <a href={linkTo("attestation", node.id)} aria-label={`Attestation of ${node.name ?? node.id}`}>
              Attestation
            </a>
          </td>
          <td class="foreign">
            {node.nodeAddress !== undefined && <div>nodes: {node.nodeAddress}</div>}
            {node.interfaces.map(({ name, address }) => <div key={name}>{name}: {address}</div>)}
          </td>
        </tr>
      ))}
    </DataTable>
  );
}

function roleText(consensus: SaidConsensus | undefined, { id, status }: NodeFacts): string {
  if (consensus === undefined) return "unknown";
  if (id === consensus.primaryId) return `primary of view ${consensus.view}`;
  return status === "Trusted" ? (consensus.members.includes(id) ? "backup" : "not in its configuration") : "none";
}

function ackText(consensus: SaidConsensus | undefined, { id }: NodeFacts) {
  const ack = consensus?.acks.get(id);
  if (consensus === undefined || ack === undefined) return id === consensus?.primaryId ? "leads" : "unknown";
  // A backup counts nothing (http-api.md): its zeros are no news.
  if (consensus.role !== "Leader") return "only the primary knows";
  return isSilent(consensus, id)
    ? (
      <Verdict kind="failed">
        seqno {ack.seqno}; not heard of for {Math.round(ack.lastReceivedMs / 1000)} seconds
      </Verdict>
    )
    : `seqno ${ack.seqno}, ${ack.lastReceivedMs} ms ago`;
}

/** What the connected node says, and where the ledger says otherwise. */
function Word({ nodes, said, consensus }: {
  readonly nodes: readonly NodeFacts[] | undefined;
  readonly said: Loaded<readonly SaidNode[]>;
  readonly consensus: Loaded<SaidConsensus>;
}) {
  return (
    <Section title="What the node says">
      <Region of={consensus} loading="what the node says">
        {({ view, primaryId, role, members }) => (
          <p class="foreign">
            It says that it is{" "}
            {role === "Leader" ? "the primary" : role === undefined ? "of no role" : `a ${role.toLowerCase()}`} in view
            {" "}
            {view}, that{" "}
            {primaryId === undefined ? "there is no primary" : <>{nameOf(nodes, primaryId)} leads</>}, and that{" "}
            {members.length === 1 ? "One node decides alone." : `${members.length} nodes decide together.`}{" "}
            None of this is in the ledger: it is the node's word.
          </p>
        )}
      </Region>
      {said.kind === "error"
        ? <ProblemNote problem={said.problem} />
        : said.kind === "unknown"
        ? consensus.kind === "unknown" ? null : <Unknown why={said.why} />
        : said.kind === "ready" && nodes !== undefined && <Differences of={discrepancies(nodes, said.value)} />}
    </Section>
  );
}

function nameOf(nodes: readonly NodeFacts[] | undefined, id: string): string {
  return nodes?.find((node) => node.id === id)?.name ?? `${id.slice(0, 12)}…`;
}

function Differences({ of }: { readonly of: readonly string[] }) {
  if (of.length === 0) {
    return (
      <p>
        <Verdict kind="verified">Its list of nodes is that of the ledger</Verdict>
      </p>
    );
  }
  return (
    <div class="notice notice-bad stack-tight" role="group" aria-label="Where the node's word differs from the ledger">
      <p>
        <Verdict kind="failed">Its list of nodes is not that of the ledger</Verdict>
      </p>
      <ul>
        {of.map((line) => <li key={line} class="foreign">{line}</li>)}
      </ul>
      <p class="small">
        For a moment that can be: the node may know of entries that no signature covers yet. If it stays, do not believe
        it.
      </p>
    </div>
  );
}

/** Of the service itself; those of nodes stand in their table. */
function Certificates() {
  const { service } = ledgerState.value;
  if (service === undefined) return null;
  let dates: NodeFacts["certificate"];
  try {
    dates = datesOf(parseCertificatePem(service.certificatePem), Date.now());
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    dates = error.message;
  }
  return (
    <Section title="Certificate of the service">
      <p>
        <Dates of={dates} />
      </p>
    </Section>
  );
}

function History() {
  const names = useNames();
  const events = useLedger(async (ledger) => {
    const [trust, known] = await Promise.all([ledger.trustHistory(), foldedNodes(ledger, Date.now())]);
    const ids = new Set([...known.nodes.map(({ id }) => id), ...trust?.admissions.map(({ nodeId }) => nodeId) ?? []]);
    const problems = trust?.admissions.flatMap(({ nodeId, problems }) =>
      problems.map((problem) => ({ nodeId, problem }))
    ) ?? [];
    return { events: await nodeEvents(ledger, [...ids], trust), problems, isWhole: trust !== undefined };
  }, []);
  return (
    <Section title="How nodes came and went">
      <Region of={events} loading="the history of the nodes">
        {({ events, problems, isWhole }) => (
          <>
            {!isWhole && (
              <Unknown why="the ledger begins with a snapshot here: who let in the nodes of before is not in it" />
            )}
            {problems.map(({ nodeId, problem }) => (
              <p key={nodeId + problem} class="notice notice-bad foreign">
                <Verdict kind="failed">{names.get(nodeId) ?? nodeId.slice(0, 12)}: {problem}</Verdict>
              </p>
            ))}
            <DataTable
              label="Table of what happened to nodes"
              columns={["Transaction", "Signed", "Node", "What", "By"]}
            >
              {events.map(({ txId, nodeId, what, by, timeMs }) => (
                <tr key={`${txId} ${nodeId}`}>
                  <td>
                    <a href={linkTo("transaction", txId)}>{txId}</a>
                  </td>
                  <td>{timeMs === undefined ? "no time" : <Time ms={timeMs} utc />}</td>
                  <td>
                    <Party id={nodeId} kind="node" names={names} />
                  </td>
                  <td>{what}</td>
                  <td>{by === undefined ? "" : <CauseText cause={by} names={names} />}</td>
                </tr>
              ))}
            </DataTable>
          </>
        )}
      </Region>
    </Section>
  );
}
