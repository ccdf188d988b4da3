/** The ladder of checks of what is open, running as it is read. */

import { useState } from "preact/hooks";
import { useNode } from "../../hooks.ts";
import { Facts, Section } from "../../parts/page.tsx";
import { ProblemNote } from "../../parts/states.tsx";
import { Ladder, type LadderRung, rungsOf } from "../../parts/trust_ladder.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import type { Problem } from "../../problem.ts";
import { linkTo } from "../../routes.ts";
import { fetchPeer, problemIn, type QuoteAnswer, useClimb, useEvidence } from "../../service/evidence.ts";
import { connection, ledgerState } from "../../service/session.ts";
import { isUnreachable, stagesOf } from "./reach.ts";
import { WaysOut } from "./ways_out.tsx";

export function NodeChecks({ url }: { readonly url: string }) {
  const [turn, setTurn] = useState(0);
  const reached = useNode(async (api, signal) => {
    const startedMs = performance.now();
    const answer = await api.ask("/node/version", { signal });
    const peer = await fetchPeer(signal);
    return { status: answer.status, tookMs: performance.now() - startedMs, peer };
  }, [turn]);
  const evidence = useEvidence(undefined, turn);
  const climbed = useClimb(evidence);
  const problem = problemIn(reached);
  const rungs: LadderRung[] = [
    {
      title: "Service reachable",
      question: "Does a node answer there?",
      ...(reached.kind === "ready"
        ? { kind: "verified", word: "Reached", why: `It answered within ${Math.ceil(reached.value.tookMs)} ms` }
        : problem !== undefined
        ? { kind: "failed", why: `${problem.what}: ${problem.why}` }
        : { kind: "unchecked", why: "Asking…" }),
      details: reached.kind === "loading" ? undefined : <Stages problem={problem} />,
    },
    {
      title: "Evidence fetched",
      question: "Does the node show what it runs on?",
      ...(evidence.kind === "ready"
        ? { kind: "verified", word: "Fetched", why: `It shows evidence of the format ${evidence.value.format}` }
        : evidence.kind === "error"
        ? {
          kind: problem === undefined ? "failed" : "unchecked",
          why: problem === undefined ? evidence.problem.why : "not reached",
        }
        : { kind: "unchecked", why: "Asking…" }),
    },
    ...climbedRungs(climbed, evidence.kind === "error" || problem !== undefined),
  ];
  const trouble = problem ?? problemIn(evidence) ?? problemIn(climbed);
  const nodeId = evidence.kind === "ready" ? (evidence.value.answer as QuoteAnswer).node_id : undefined;
  return (
    <Section
      title="Checks"
      actions={<button type="button" class="button" onClick={() => setTurn((n) => n + 1)}>Check again</button>}
    >
      <p>
        Of{" "}
        <span class="foreign">{url || "the relay's node"}</span>. Each rung is checked in this page, from what the node
        shows and from the ledger.
      </p>
      <Ladder label="Ladder of checks" rungs={rungs} />
      {climbed.kind === "ready" && (
        <p class="small soft">
          As of the signature at seqno {climbed.value.asOf}; “Check again” takes in what came since.
        </p>
      )}
      {trouble !== undefined && (
        <ProblemNote problem={trouble}>
          {isUnreachable(trouble) && connection.value?.kind === "node" && <WaysOut url={url} />}
        </ProblemNote>
      )}
      {typeof nodeId === "string" && (
        <p>
          <a href={linkTo("attestation", nodeId)}>All of this node's attestation</a>
        </p>
      )}
    </Section>
  );
}

function climbedRungs(climbed: ReturnType<typeof useClimb>, isBroken: boolean): readonly LadderRung[] {
  if (climbed.kind === "ready") return rungsOf(climbed.value.report.rungs);
  const { status, readSeqno, sourceSeqno } = ledgerState.value;
  const why = isBroken
    ? "not reached"
    : climbed.kind === "error"
    ? climbed.problem.why
    : status === "reading"
    ? `Waiting for the ledger: entry ${readSeqno}${sourceSeqno > 0 ? ` of ${sourceSeqno}` : ""} is read`
    : "Checking…";
  return [
    ["Evidence valid", "Is the evidence what genuine hardware signed?"],
    ["Key bound", "Is it for the key that ended this connection?"],
    ["Node of the service", "Does the node belong to the service?"],
    ["Code voted", "Who allowed the code that it runs?"],
    ["Whole network", "Was every node of the service let in by these rules?"],
  ].map(([title, question]) => ({ title: title!, question: question!, kind: "unchecked", why }));
}

/** Where on the way to the node it ends. */
function Stages({ problem }: { readonly problem: Problem | undefined }) {
  const stages = stagesOf(problem);
  return (
    <ul class="ladder-steps">
      {stages.map(({ name, kind }) => (
        <li key={name}>
          <Verdict kind={kind}>
            {name}
            {kind === "failed" ? ": no" : kind === "cannot" ? ": a page is not told" : ""}
          </Verdict>
        </li>
      ))}
    </ul>
  );
}

/** What files prove by themselves. */
export function FileChecks({ files }: { readonly files: readonly File[] }) {
  const { status, signed, firstSeqno, readSeqno, gaps, warnings, problem, fromSnapshot } = ledgerState.value;
  return (
    <Section title="Checks">
      <Facts
        of={[
          ["Files", String(files.length)],
          ["Entries read", readSeqno === 0 ? "none yet" : `${firstSeqno} to ${readSeqno}`],
          [
            "Signatures",
            status === "stopped"
              ? <Verdict kind="failed">The ledger does not hold: {problem?.code}</Verdict>
              : signed === undefined
              ? <Verdict kind="unchecked" />
              : (
                <Verdict kind={fromSnapshot !== undefined && !fromSnapshot.evidenceVerified ? "cannot" : "verified"}>
                  Every entry up to {signed.txId} hangs together, under signatures of nodes of the service
                </Verdict>
              ),
          ],
          ...(gaps.length > 0 ? [["Missing", gaps.map(({ from, to }) => `${from} to ${to}`).join(", ")] as const] : []),
        ]}
      />
      {problem !== undefined && <ProblemNote problem={problem} />}
      {warnings.map((warning) => <p key={warning} class="notice notice-warn foreign">{warning}</p>)}
      <p class="small soft">
        Files show no node, so that nothing about hardware is checked here. A bundle of evidence, or a report, can be
        dropped under <a href={linkTo("nodes")}>Nodes</a>.
      </p>
    </Section>
  );
}
