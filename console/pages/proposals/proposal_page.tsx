/** One proposal: what it does, what it changes, how the votes stand, its history; and what I can do about it. */

import "./proposals.css";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import { mayVote } from "../../governance/lanes.ts";
import type { ProposalRecord } from "../../governance/proposals.ts";
import { CheckVerdict } from "../../parts/check_verdict.tsx";
import { CodeView } from "../../parts/code_view.tsx";
import { CopyButton } from "../../parts/copy.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Facts, Page, Section } from "../../parts/page.tsx";
import { Party, useNames } from "../../parts/party.tsx";
import { saveFile } from "../../parts/save_file.ts";
import { Empty, Region } from "../../parts/states.tsx";
import { Tabs } from "../../parts/tabs.tsx";
import { Time } from "../../parts/time.tsx";
import { linkTo, type PageProps, replaceQuery } from "../../routes.ts";
import { ledgerState } from "../../service/session.ts";
import { ActionsInWords } from "./actions_in_words.tsx";
import { Decide } from "./decide.tsx";
import { DifferencesView } from "../../proposals/differences_view.tsx";
import { DryRunSection } from "../../proposals/dry_run_section.tsx";
import { MeSelect } from "../../proposals/me_select.tsx";
import { NodeText } from "./node_text.tsx";
import { NodeWordNotice } from "./node_word_notice.tsx";
import { titleOf } from "./proposal_card.tsx";
import { Ballots, closedAt, History } from "./votes_and_history.tsx";
import { useComparison, useProposal, useVoters, type Voters } from "../../proposals/use_proposals.ts";

export default function ProposalPage({ route }: PageProps) {
  const id = route.id ?? "";
  const proposal = useProposal(id);
  const voters = useVoters();
  const comparison = useComparison();
  const title = proposal.kind === "ready" && proposal.value !== undefined ? titleOf(proposal.value) : "Proposal";
  return (
    <Page
      title={title}
      lead={
        <>
          Proposal <Hash value={id} of="ID of the proposal" />
        </>
      }
      actions={<a class="button" href={linkTo("proposals")}>All proposals</a>}
    >
      <NodeWordNotice
        comparison={comparison}
        only={id}
        isQuiet={proposal.kind !== "ready" || proposal.value === undefined}
      />
      <Region of={proposal} loading="the proposal">
        {(record) =>
          record === undefined ? <NotThere id={id} /> : (
            <Region of={voters} loading="members">
              {(value) => <Whole key={id} record={record} voters={value} tab={route.query.get("tab") ?? "actions"} />}
            </Region>
          )}
      </Region>
    </Page>
  );
}

function NotThere({ id }: { readonly id: string }) {
  return (
    <Empty>
      <p>
        The ledger has no proposal with the ID <code class="foreign">{id}</code>
        {ledgerState.value.signed !== undefined && ` up to seqno ${ledgerState.value.signed.seqno}`}
        . It may be newer than what is proved here, belong to another service, or stand before a snapshot. Look in{" "}
        <a href={linkTo("proposals")}>all proposals</a>.
      </p>
    </Empty>
  );
}

function Whole({ record, voters, tab }: {
  readonly record: ProposalRecord;
  readonly voters: Voters;
  readonly tab: string;
}) {
  const names = useNames();
  return (
    <>
      <Standing record={record} voters={voters} names={names} />
      <Tabs
        label="Parts of the proposal"
        chosen={tab}
        onChoose={(name) => replaceQuery({ tab: name })}
        tabs={[
          { name: "actions", label: "Actions", content: () => <Actions record={record} /> },
          { name: "changes", label: "Changes", content: () => <Changes record={record} /> },
          {
            name: "dry-run",
            label: "Dry run",
            content: () => (
              <Section title="What would become of it now">
                <DryRunSection
                  {...(record.text !== undefined && { text: record.text })}
                  {...(record.state === "Open" && { openId: record.id })}
                  changedAt={record.changedAt}
                  voters={voters}
                />
              </Section>
            ),
          },
          {
            name: "votes",
            label: `Votes (${record.ballots.length})`,
            content: () => <Ballots record={record} names={names} />,
          },
          { name: "history", label: "History", content: () => <History record={record} names={names} /> },
        ]}
      />
    </>
  );
}

const STATE_WORDS: Readonly<Record<ProposalRecord["state"], string>> = {
  Open: "Open: votes are being collected",
  Accepted: "Accepted: it was carried out",
  Rejected: "Rejected by the constitution",
  Withdrawn: "Withdrawn by its proposer",
  Dropped: "Dropped: another proposal that was accepted changed what it would mean",
  Failed: "Failed",
};

function Standing({ record, voters, names }: {
  readonly record: ProposalRecord;
  readonly voters: Voters;
  readonly names: ReadonlyMap<string, string>;
}) {
  const waiting = mayVote(record, voters.active);
  const { constitutionSince } = voters;
  const isChanged = record.state === "Open" && constitutionSince !== undefined && record.submittedAt !== undefined &&
    constitutionSince > record.submittedAt;
  const droppedBy = record.events.find(({ kind }) => kind === "dropped")?.by;
  return (
    <Section title="Where it stands" actions={<MeSelect members={voters.active} names={names} />}>
      <Facts
        of={[
          ["State", STATE_WORDS[record.state]],
          ["Proposed by", <Party id={record.proposerId} kind="member" names={names} />],
          ...(record.submittedMs === undefined ? [] : [["Since", <Time ms={record.submittedMs} utc />] as const]),
          ["Its text", <CheckVerdict check={record.check}>Signed by its proposer</CheckVerdict>],
          ...(record.state === "Open"
            ? [
              [
                "Can still change it",
                waiting.length === 0 ? "Nobody by a vote; its proposer can withdraw it" : (
                  <ul>
                    {waiting.map((member) => (
                      <li key={member}>
                        <Party id={member} kind="member" names={names} />
                      </li>
                    ))}
                  </ul>
                ),
              ] as const,
            ]
            : []),
          ...(record.failure === undefined ? [] : [["Why", <ForeignText text={record.failure} />] as const]),
          ...(droppedBy === undefined ? [] : [
            ["Dropped by", <a href={linkTo("proposal", droppedBy)}>proposal {droppedBy.slice(0, 12)}…</a>] as const,
          ]),
        ]}
      />
      {isChanged && (
        <div class="notice notice-warn">
          <p>
            The <a href={linkTo("constitution")}>constitution</a> changed at seqno{" "}
            {constitutionSince}, after this was proposed. It will be decided by the new one: try it again by a dry run.
          </p>
        </div>
      )}
      {record.text !== undefined && <NodeText id={record.id} text={record.text} ballots={record.ballots} />}
      <Decide record={record} voters={voters} names={names} />
    </Section>
  );
}

function Actions({ record }: { readonly record: ProposalRecord }) {
  if (record.text === undefined) {
    return (
      <Empty>
        <p>The text of this proposal stands before what was folded, so nothing can be said of what it does.</p>
      </Empty>
    );
  }
  const text = fromUtf8Lenient(record.text);
  const codes = sourcesIn(text);
  return (
    <div class="stack">
      <Section title="In words">
        <ActionsInWords text={record.text} />
      </Section>
      {codes.map(({ what, source }) => (
        <Section key={what} title={what} actions={<CopyButton text={source} what={what} />}>
          <CodeView text={source} language="javascript" label={what} />
        </Section>
      ))}
      <Section
        title="As JSON"
        actions={
          <>
            <CopyButton text={text} what="the proposal" />
            <button
              type="button"
              class="button"
              onClick={() => saveFile(`proposal_${record.id.slice(0, 12)}.json`, record.text!, "application/json")}
            >
              Save as a file
            </button>
          </>
        }
      >
        <p class="soft">The very bytes that its proposer signed, {record.text.length.toLocaleString()} of them.</p>
        <CodeView text={text} language="json" label="Proposal as JSON" />
      </Section>
    </div>
  );
}

/** Programs inside of the arguments: a constitution, modules of an app. */
function sourcesIn(text: string): readonly { readonly what: string; readonly source: string }[] {
  const found: { what: string; source: string }[] = [];
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Not JSON: there are no arguments to look into, and the text itself is shown.
    return found;
  }
  const actions = (json as { actions?: unknown } | null)?.actions;
  for (const [i, action] of (Array.isArray(actions) ? actions : []).entries()) {
    const args = (action as { args?: Record<string, unknown> } | null)?.args;
    if (typeof args?.constitution === "string") {
      found.push({ what: `Constitution of action ${i + 1}`, source: args.constitution });
    }
    const modules = (args?.bundle as { modules?: unknown } | undefined)?.modules;
    for (const module of Array.isArray(modules) ? modules as { name?: unknown; module?: unknown }[] : []) {
      if (typeof module?.module !== "string") continue;
      found.push({ what: `Module ${String(module.name)} of action ${i + 1}`, source: module.module });
    }
  }
  return found;
}

function Changes({ record }: { readonly record: ProposalRecord }) {
  if (record.text === undefined) {
    return (
      <Empty>
        <p>The text of this proposal is not known here.</p>
      </Empty>
    );
  }
  const isOpen = record.state === "Open";
  // Of what is over, the state of then is what it changed.
  const at = isOpen ? undefined : closedAt(record) - 1;
  return (
    <Section title={isOpen ? "Against the state now" : `Against the state of seqno ${at}`}>
      <DifferencesView text={record.text} {...(at !== undefined && at > 0 && { at })} />
    </Section>
  );
}
