/** The whole service on one screen: each card says one thing in words, and links to what shows it. */

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { object, text, unsigned } from "../../../shared/json_shape.ts";
import { type LifeState, lifeState } from "../../certificate_life.ts";
import { useLedger, useNode } from "../../hooks.ts";
import type { GrowthPoint } from "../../ledger/protocol.ts";
import { Chart, type ChartPoint } from "../../parts/chart.tsx";
import { NothingOpen } from "../../parts/nothing_open.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { Region } from "../../parts/states.tsx";
import { agoText, Time } from "../../parts/time.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { linkTo } from "../../routes.ts";
import { connection, ledgerState } from "../../service/session.ts";
import { type OverviewFacts, overviewFacts, STATUS_WORDS, toleranceText } from "./overview_facts.ts";

const GROWTH_POINTS = 120;
const POLL_MS = 3000;
const MAX_EXPIRING = 6;
const ENDING: ReadonlySet<LifeState> = new Set(["ended", "ends soon"]);

export default function OverviewPage() {
  const facts = useLedger(overviewFacts, []);
  const growth = useLedger((ledger) => ledger.growth(GROWTH_POINTS), []);
  if (connection.value === undefined) return <NothingOpen title="Overview" />;
  const signed = ledgerState.value.signed;
  return (
    <Page
      title="Overview"
      lead={signed === undefined
        ? "Nothing is proved yet."
        : `As of the signature at seqno ${signed.seqno}. Folded from the ledger's entries here, unless it says otherwise.`}
    >
      <Region of={facts} loading="the service's tables">{(value) => <Cards facts={value} />}</Region>
      <Section title="How the ledger grew">
        <Region of={growth} loading="signatures">{(points) => <Growth points={points} />}</Region>
      </Section>
      <NodeSays />
    </Page>
  );
}

function Tile({ title, figure, children, href, link }: {
  readonly title: string;
  readonly figure: ComponentChildren;
  readonly children?: ComponentChildren;
  readonly href: string;
  readonly link: string;
}) {
  return (
    <section class="card tile">
      <h2 class="small soft">{title}</h2>
      <p class="tile-figure foreign">{figure}</p>
      {children}
      <p class="small">
        <a href={href}>{link}</a>
      </p>
    </section>
  );
}

function Cards({ facts }: { readonly facts: OverviewFacts }) {
  const names = useNames();
  const nowMs = Date.now();
  const { statusSince: since, recovery } = facts;
  const ending = facts.certificates.filter((certificate) => ENDING.has(lifeState(certificate, nowMs)));
  const signed = ledgerState.value.signed;
  return (
    <div class="tiles">
      <Tile
        title="Service"
        figure={STATUS_WORDS[facts.status] ?? facts.status}
        href={linkTo("tables", undefined, { table: "public:ccf.gov.service.info" })}
        link="The table that says so"
      >
        {since !== undefined && (
          <p>
            Since seqno <a href={linkTo("transaction", String(since.seqno))}>{since.seqno}</a>
            {since.timeMs !== undefined && (
              <>
                , <Time ms={since.timeMs} utc />
              </>
            )}
          </p>
        )}
        <p class="soft">
          {facts.recoveries === 0
            ? "Never recovered"
            : `Recovered ${facts.recoveries === 1 ? "once" : `${facts.recoveries} times`}${
              facts.recoveredAt === undefined ? "" : `, last at seqno ${facts.recoveredAt}`
            }`}
        </p>
      </Tile>
      <Tile
        title="Open proposals"
        figure={facts.openProposals.length}
        href={linkTo("proposals")}
        link="All proposals"
      >
        {facts.openProposals.slice(0, 3).map(({ id, proposer, voted }) => (
          <p key={id} class="small">
            <a href={linkTo("proposal", id)}>{id.slice(0, 8)}…</a> by{" "}
            {names.get(proposer) ?? `${proposer.slice(0, 8)}…`},{" "}
            {voted.length === 1 ? "1 ballot" : `${voted.length} ballots`}
          </p>
        ))}
      </Tile>
      <Tile
        title="Nodes"
        figure={`${facts.trustedNodes} trusted`}
        href={linkTo("nodes")}
        link="Nodes and their evidence"
      >
        <p>{toleranceText(facts.trustedNodes, facts.mayFail)}</p>
        {facts.pendingNodes > 0 && <p>{facts.pendingNodes} waiting for members to trust them</p>}
      </Tile>
      <Tile
        title="Members"
        figure={`${facts.activeMembers} active`}
        href={linkTo("members")}
        link="Members and users"
      >
        {facts.acceptedMembers > 0 && (
          <p>{facts.acceptedMembers} accepted, who become active with their first acknowledgement</p>
        )}
        <p class="soft">{facts.users === 1 ? "1 user" : `${facts.users} users`}</p>
      </Tile>
      <Tile
        title="Recovery"
        figure={recovery.threshold === undefined ? "no threshold" : `${recovery.threshold} of ${recovery.shareHolders}`}
        href={linkTo("recovery")}
        link="Shares by member"
      >
        <p>
          {recovery.shareHolders === 0
            ? "No member holds a share of the key that recovers the ledger"
            : "shares bring back the ledger's secrets"}
        </p>
        {recovery.threshold !== undefined && recovery.shareHolders === recovery.threshold && recovery.threshold > 0 && (
          <Verdict kind="cannot">Every share is needed: if one is lost, the ledger's private tables are</Verdict>
        )}
        {recovery.without > 0 && <p>{recovery.without} active members with an encryption key hold none yet</p>}
      </Tile>
      <Tile
        title="Certificates that end within 30 days"
        figure={ending.length}
        href={linkTo("members")}
        link="Certificates of members and users"
      >
        {ending.slice(0, MAX_EXPIRING).map(({ kind, id, notAfterMs }) => (
          <div key={`${kind} ${id}`} class="small">
            {kind === "service" ? "The service's" : <Party id={id} kind={kind} names={names} />}{" "}
            {notAfterMs < nowMs ? "ended" : "ends"} {agoText(notAfterMs, nowMs)}
          </div>
        ))}
      </Tile>
      <Tile
        title="Last signature"
        figure={signed?.timeMs === undefined ? "no time" : agoText(signed.timeMs, nowMs)}
        href={linkTo("transaction", signed?.txId)}
        link={`The signature transaction ${signed?.txId ?? ""}`}
      >
        {signed?.timeMs === undefined && <p class="soft">Signatures of this ledger say no time</p>}
      </Tile>
      <Tile
        title="Constitution"
        figure={facts.constitutionSince === undefined ? "none" : `since seqno ${facts.constitutionSince}`}
        href={linkTo("constitution")}
        link="The rules, and who voted for them"
      />
    </div>
  );
}

/** What happened between neighbouring signatures. */
function Growth({ points }: { readonly points: readonly GrowthPoint[] }) {
  const { rate, size, between } = useMemo(() => {
    const rate: ChartPoint[] = [];
    const between: ChartPoint[] = [];
    for (const [i, { seqno, timeMs, signatures }] of points.entries()) {
      const before = points[i - 1];
      if (before === undefined || timeMs <= before.timeMs) continue;
      const seconds = (timeMs - before.timeMs) / 1000;
      rate.push({ timeMs, value: (seqno - before.seqno) / seconds });
      between.push({ timeMs, value: seconds / Math.max(1, signatures - before.signatures) });
    }
    return { rate, between, size: points.map(({ timeMs, bytes }) => ({ timeMs, value: bytes / 1_000_000 })) };
  }, [points]);
  return (
    <div class="columns">
      <Chart title="Transactions" unit="transactions per second" points={rate} />
      <Chart title="Time between signatures" unit="seconds; a transaction waits for the next one" points={between} />
      <Chart title="Size of the ledger" unit="MB" points={size} />
    </div>
  );
}

const consensusAnswer = object({
  details: object({}, { primary_id: text, current_view: unsigned, leadership_state: text }),
});

/** What only the node knows. */
function NodeSays() {
  const consensus = useNode(
    (node, signal) => node.getAs("/node/consensus", (answer) => consensusAnswer(answer, ""), { signal }),
    [],
    POLL_MS,
  );
  const latency = useNode(
    async (node, signal) => {
      const start = performance.now();
      await node.get("/node/commit", { signal });
      return performance.now() - start;
    },
    [],
    POLL_MS,
  );
  const names = useNames();
  if (connection.value?.kind !== "node") return null;
  return (
    <Section title="What the node says of this moment">
      <p class="soft small">Its word: nothing in the ledger proves it.</p>
      <Region of={consensus} loading="consensus">
        {({ details: { primary_id: primaryId, current_view: view, leadership_state: role } }) => (
          <dl class="facts">
            <dt>Primary</dt>
            <dd>
              {primaryId !== undefined
                ? <Party id={primaryId} kind="node" names={names} />
                : "no primary: the nodes are electing one"}
            </dd>
            <dt>View</dt>
            <dd>{view ?? "not said"}</dd>
            <dt>This node is</dt>
            <dd class="foreign">{role ?? "not said"}</dd>
            <dt>It answers within</dt>
            <dd>{latency.kind === "ready" ? `${Math.round(latency.value)} ms, measured here` : "…"}</dd>
          </dl>
        )}
      </Region>
    </Section>
  );
}
