/** The ballots of a proposal, each with its author, and all that happened to it. */

import { plainVote } from "../../../shared/governance/request_words.ts";
import { ballotWord } from "../../governance/lanes.ts";
import { me } from "../../governance/me.ts";
import type { BallotRecord, ProposalEvent, ProposalRecord } from "../../governance/proposals.ts";
import { CheckVerdict } from "../../parts/check_verdict.tsx";
import { CodeView } from "../../parts/code_view.tsx";
import { ForeignText } from "../../parts/foreign_text.tsx";
import { Facts, Section } from "../../parts/page.tsx";
import { Party } from "../../parts/party.tsx";
import { Empty } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { linkTo } from "../../routes.ts";

/** The entry that decided or ended it; later ones only take it out of the table. */
export function closedAt({ events, changedAt }: ProposalRecord): number {
  const end = ["accepted", "rejected", "withdrawn", "dropped"];
  return events.findLast(({ kind }) => end.includes(kind))?.seqno ?? changedAt;
}

export function Ballots({ record, names }: {
  readonly record: ProposalRecord;
  readonly names: ReadonlyMap<string, string>;
}) {
  if (record.ballots.length === 0) {
    return (
      <Empty>
        <p>
          {record.state === "Accepted"
            ? "There is no ballot: the constitution accepted it without a vote."
            : "Nobody has voted yet."}
        </p>
      </Empty>
    );
  }
  return (
    <div class="stack">
      {record.ballots.map((ballot) => (
        <Section
          key={ballot.memberId}
          title={`${names.get(ballot.memberId) ?? `${ballot.memberId.slice(0, 8)}…`}: ${ballotWord(ballot)}`}
        >
          <Ballot ballot={ballot} names={names} closedAt={closedAt(record)} isOpen={record.state === "Open"} />
        </Section>
      ))}
    </div>
  );
}

function Ballot({ ballot, names, closedAt, isOpen }: {
  readonly ballot: BallotRecord;
  readonly names: ReadonlyMap<string, string>;
  readonly closedAt: number;
  readonly isOpen: boolean;
}) {
  const { memberId, text, txId, timeMs, signedAtMs, check, counted, failure } = ballot;
  const isPlain = plainVote(text) !== undefined;
  return (
    <>
      <Facts
        of={[
          ["Member", <Party id={memberId} kind="member" names={names} />],
          ["Ballot", <CheckVerdict check={check}>Signed by its voter, for this proposal</CheckVerdict>],
          ...(txId === undefined
            ? []
            : [["In", <a href={linkTo("transaction", txId)}>transaction {txId}</a>] as const]),
          ...(timeMs === undefined ? [] : [["Covered by a signature of", <Time ms={timeMs} utc />] as const]),
          ...(signedAtMs === undefined
            ? []
            : [["Signed, by the voter's clock", <Time ms={signedAtMs} utc />] as const]),
          [
            "Evaluated",
            counted !== undefined
              ? `${counted ? "for" : "against"}, as of seqno ${closedAt}, in the ledger`
              : failure !== undefined
              ? `it failed, as of seqno ${closedAt}: ${failure}`
              : isPlain
              ? "it says the same whatever the state is"
              : isOpen
              ? "anew at each count: the dry run tells what it says now"
              : "the ledger does not say",
          ],
        ]}
      />
      {isPlain
        ? (
          <details>
            <summary>Source</summary>
            <ForeignText text={text} block what="the ballot" />
          </details>
        )
        : <CodeView text={text} language="javascript" label={`Ballot of ${names.get(memberId) ?? memberId}`} />}
    </>
  );
}

const EVENT_WORDS: Readonly<Record<ProposalEvent["kind"], string>> = {
  submitted: "Proposed",
  ballot: "Vote",
  accepted: "Accepted, and carried out",
  rejected: "Rejected",
  withdrawn: "Withdrawn",
  dropped: "Dropped",
  reopened: "Opened again",
  removed: "Taken out of the table, as closed proposals are when another is closed",
};

export function History({ record, names }: {
  readonly record: ProposalRecord;
  readonly names: ReadonlyMap<string, string>;
}) {
  if (record.events.length === 0) {
    return (
      <Empty>
        <p>All that happened to it was before what is folded here.</p>
      </Empty>
    );
  }
  return (
    <Section title="Timeline">
      <ol class="timeline">
        {record.events.map(({ kind, txId, timeMs, memberId, signedAtMs, check, by }, i) => (
          <li key={i} class="stack-tight">
            <p>
              <strong>{EVENT_WORDS[kind]}</strong> in <a href={linkTo("transaction", txId)}>{txId}</a>
              {timeMs !== undefined && (
                <>
                  , signed <Time ms={timeMs} utc />
                </>
              )}
              {by !== undefined && (
                <>
                  {" "}by <a href={linkTo("proposal", by)}>proposal {by.slice(0, 12)}…</a>
                </>
              )}
            </p>
            {memberId !== undefined && (
              <p class="small row">
                <Party id={memberId} kind="member" names={names} />
                {signedAtMs !== undefined && (
                  <span>
                    by that member's clock <Time ms={signedAtMs} />
                  </span>
                )}
              </p>
            )}
            {kind !== "removed" && <CheckVerdict check={check}>{checkedWhat(kind)}</CheckVerdict>}
          </li>
        ))}
      </ol>
      {me.value !== undefined && (
        <p class="soft small">
          Receipts of your own requests are in <a href={linkTo("keys")}>Keys</a>.
        </p>
      )}
    </Section>
  );
}

function checkedWhat(kind: ProposalEvent["kind"]): string {
  if (kind === "dropped") return "Another proposal was accepted in that entry";
  if (kind === "submitted") return "Signed by its proposer";
  return "A member's signed request stands behind it";
}
