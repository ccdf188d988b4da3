/** Proposals: what waits for me, what is open, what was decided, what came to nothing. */

import "./proposals.css";
import { useId } from "preact/hooks";
import { actionsOf, type LaneName, laneOf, LANES, matches } from "../../governance/lanes.ts";
import { me } from "../../governance/me.ts";
import type { ProposalList } from "../../governance/read_proposals.ts";
import type { ProposalRecord } from "../../governance/proposals.ts";
import { Page, Section } from "../../parts/page.tsx";
import { useNames } from "../../parts/party.tsx";
import { Empty, Region } from "../../parts/states.tsx";
import { linkTo, type PageProps, replaceQuery } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { TEMPLATES } from "../../governance/draft.ts";
import { MeSelect } from "../../proposals/me_select.tsx";
import { NodeWordNotice } from "./node_word_notice.tsx";
import { ProposalCard } from "./proposal_card.tsx";
import { useComparison, useProposals, useVoters, type Voters } from "../../proposals/use_proposals.ts";

export default function ProposalsPage({ route }: PageProps) {
  const proposals = useProposals();
  const voters = useVoters();
  const comparison = useComparison();
  return (
    <Page
      title="Proposals"
      lead="What members proposed and voted, each text and ballot as its author signed it in the ledger."
      actions={<a class="button button-main" href={linkTo("compose")}>Compose a proposal</a>}
    >
      <NodeWordNotice comparison={comparison} />
      <Region of={proposals} loading="proposals">
        {(list) => (
          <Region of={voters} loading="members">
            {(value) => <Lanes list={list} voters={value} query={route.query} />}
          </Region>
        )}
      </Region>
    </Page>
  );
}

/** A lane shows this many before it is asked for more. */
const MAX_CARDS = 20;

function Lanes({ list, voters, query }: {
  readonly list: ProposalList;
  readonly voters: Voters;
  readonly query: URLSearchParams;
}) {
  const names = useNames();
  const { proposals, olderEntries, odd } = list;
  if (proposals.length === 0) return <None />;
  const filter = {
    text: query.get("text") ?? "",
    ...(query.get("by") && { proposerId: query.get("by")! }),
    ...(query.get("action") && { action: query.get("action")! }),
  };
  const found = proposals.filter((record) => matches(record, filter, (id) => names.get(id)));
  const lanes = new Map<LaneName, ProposalRecord[]>(LANES.map(({ name }) => [name, []]));
  for (const record of found) lanes.get(laneOf(record, me.value, voters.active))!.push(record);
  const wanted = Number(query.get("show")) || MAX_CARDS;
  const nowMs = Date.now();
  return (
    <>
      <Filters list={list} voters={voters} names={names} query={query} />
      <p class="small soft" role="status">
        {found.length === proposals.length
          ? `${proposals.length} ${proposals.length === 1 ? "proposal" : "proposals"}`
          : `${found.length} of ${proposals.length} proposals`}
        {ledgerState.value.signed !== undefined && `, proved up to seqno ${ledgerState.value.signed.seqno}`}
      </p>
      <div class="lanes">
        {LANES.map(({ name, title, none }) => {
          const records = lanes.get(name)!;
          return (
            <div key={name} class="lane">
              <Section title={`${title} (${records.length})`}>
                {records.length === 0
                  ? <p class="soft">{name === "needs me" && me.value === undefined ? "Choose who you are." : none}</p>
                  : (
                    <ul class="lane-list">
                      {records.slice(0, wanted).map((record) => (
                        <ProposalCard
                          key={record.id}
                          record={record}
                          lane={name}
                          active={voters.active}
                          names={names}
                          nowMs={nowMs}
                        />
                      ))}
                    </ul>
                  )}
                {records.length > wanted && (
                  <button
                    type="button"
                    class="button"
                    onClick={() => replaceQuery({ show: wanted + MAX_CARDS })}
                  >
                    Show {Math.min(MAX_CARDS, records.length - wanted)} more of {title}
                  </button>
                )}
              </Section>
            </div>
          );
        })}
      </div>
      {olderEntries > 0 && (
        <p class="soft">
          {olderEntries.toLocaleString()} older entries about proposals were not read here. They are in the{" "}
          <a href={linkTo("ledger", undefined, { q: "table:public:ccf.gov.proposals_info" })}>ledger</a>.
        </p>
      )}
      {odd.length > 0 && (
        <div class="notice notice-warn">
          <p>
            {odd.length} values of these entries have a form that nobody expects. The first:{" "}
            <span class="foreign">{odd[0]}</span>
          </p>
        </div>
      )}
    </>
  );
}

function Filters({ list, voters, names, query }: {
  readonly list: ProposalList;
  readonly voters: Voters;
  readonly names: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
}) {
  const id = useId();
  const proposers = [...new Set(list.proposals.map(({ proposerId }) => proposerId))];
  const actions = [...new Set(list.proposals.flatMap((record) => actionsOf(record).map(({ name }) => name)))].sort();
  return (
    <div class="filters card" role="search" aria-label="Filter proposals">
      <MeSelect members={voters.active} names={names} />
      <div class="field">
        <label htmlFor={`${id}-text`}>Filter by text</label>
        <input
          id={`${id}-text`}
          type="search"
          value={query.get("text") ?? ""}
          onInput={({ currentTarget }) => replaceQuery({ text: currentTarget.value })}
        />
      </div>
      <div class="field">
        <label htmlFor={`${id}-by`}>Proposer</label>
        <select
          id={`${id}-by`}
          value={query.get("by") ?? ""}
          onChange={({ currentTarget }) => replaceQuery({ by: currentTarget.value })}
        >
          <option value="">anybody</option>
          {proposers.map((member) => (
            <option key={member} value={member}>{names.get(member) ?? member.slice(0, 12)}</option>
          ))}
        </select>
      </div>
      <div class="field">
        <label htmlFor={`${id}-action`}>Action</label>
        <select
          id={`${id}-action`}
          value={query.get("action") ?? ""}
          onChange={({ currentTarget }) => replaceQuery({ action: currentTarget.value })}
        >
          <option value="">any</option>
          {actions.map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
      </div>
      {(query.get("text") || query.get("by") || query.get("action")) && (
        <button
          type="button"
          class="button"
          onClick={() => replaceQuery({ text: undefined, by: undefined, action: undefined })}
        >
          Clear filters
        </button>
      )}
    </div>
  );
}

function None() {
  return (
    <Empty>
      <div class="stack">
        <p>
          Nobody has proposed anything yet, as far as the ledger is folded. What can be proposed, and what it takes, is
          in the <a href={linkTo("constitution")}>constitution in force</a>. Start from a template:
        </p>
        <ul>
          {TEMPLATES.slice(0, 3).map(({ name, title, about }) => (
            <li key={name}>
              <a href={linkTo("compose", undefined, { template: name })}>{title}</a>: {about}
            </li>
          ))}
        </ul>
      </div>
    </Empty>
  );
}
