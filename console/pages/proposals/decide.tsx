/** What I can do about an open proposal: vote for or against it, by a ballot of my own, or withdraw it. */

import { useEffect, useState } from "preact/hooks";
import { PLAIN_BALLOTS } from "../../../shared/governance/member_request.ts";
import { me } from "../../governance/me.ts";
import { mayVote } from "../../governance/lanes.ts";
import type { ProposalRecord } from "../../governance/proposals.ts";
import { CodeEditor } from "../../parts/code_view.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { ProblemNote } from "../../parts/states.tsx";
import { Hash } from "../../parts/hash.tsx";
import { Verdict } from "../../parts/verdict.tsx";
import { type Problem, problemOf } from "../../problem.ts";
import { api } from "../../service/session.ts";
import { Drafts } from "../../sign/outbox.ts";
import { type SignAsk, SignDialog } from "../../sign/sign_dialog.tsx";
import { ActionsInWords } from "./actions_in_words.tsx";
import type { Voters } from "../../proposals/use_proposals.ts";

const BALLOT_START = `export function vote(proposal, proposerId) {
  // Run anew at each count: true is a vote for, false one against.
  return JSON.parse(proposal).actions.length === 1;
}
`;

export function Decide({ record, voters, names }: DecideProps) {
  const [ask, setAsk] = useState<SignAsk | undefined>();
  const [isWriting, setIsWriting] = useState(false);
  const { id, state } = record;
  const vote = (title: string, ballot: string) =>
    setAsk({
      title,
      request: { kind: "ballot", proposalId: id, ballot },
      about: <About record={record} names={names} />,
    });
  return (
    <>
      {state === "Open" && (
        <Choices
          record={record}
          voters={voters}
          names={names}
          onVote={vote}
          onWrite={() => setIsWriting(true)}
          onWithdraw={() =>
            setAsk({
              title: "Withdraw the proposal",
              request: { kind: "withdrawal", proposalId: id },
              about: <About record={record} names={names} />,
            })}
        />
      )}
      {isWriting && (
        <WriteBallot
          proposalId={id}
          onClose={() => setIsWriting(false)}
          onReady={(ballot) => {
            setIsWriting(false);
            vote("Cast a ballot of my own", ballot);
          }}
        />
      )}
      {/* The vote that decides the proposal closes it, and is followed to its receipt all the same. */}
      {ask !== undefined && (
        <SignDialog
          ask={ask}
          onClose={() => setAsk(undefined)}
          onAccepted={() => void new Drafts().remove(draftIdOf(id)).catch(() => {})}
        />
      )}
    </>
  );
}

/** A ballot names its proposal by the ID alone: nobody should have to trust the page behind the dialog for the rest. */
function About({ record: { id, text, proposerId }, names }: {
  readonly record: ProposalRecord;
  readonly names: ReadonlyMap<string, string>;
}) {
  return (
    <section class="card stack-tight" aria-label="The proposal">
      <h3>
        The proposal <Hash value={id} of="ID of the proposal" />
      </h3>
      <p class="foreign">Proposed by {names.get(proposerId) ?? proposerId}; its text, as the ledger has it:</p>
      {text === undefined ? <p>Its text is not known here.</p> : <ActionsInWords text={text} />}
    </section>
  );
}

const draftIdOf = (proposalId: string) => `ballot-${proposalId}`;

interface DecideProps {
  readonly record: ProposalRecord;
  readonly voters: Voters;
  readonly names: ReadonlyMap<string, string>;
}

function Choices({ record, voters, names, onVote, onWrite, onWithdraw }: DecideProps & {
  readonly onVote: (title: string, ballot: string) => void;
  readonly onWrite: () => void;
  readonly onWithdraw: () => void;
}) {
  const { proposerId, ballots, check } = record;
  const waiting = mayVote(record, voters.active);
  const mine = me.value === undefined ? undefined : ballots.find(({ memberId }) => memberId === me.value);
  const cannotVote = waiting.length === 0 || mine !== undefined || check.kind !== "verified";
  const isOthers = me.value !== undefined && me.value !== proposerId;
  return (
    <div class="stack-tight">
      {check.kind === "failed" && (
        <div class="notice notice-bad">
          <Verdict kind="failed">Do not vote: what is shown is not what its proposer signed</Verdict>
        </div>
      )}
      <div class="row">
        <button
          type="button"
          class="button button-main"
          disabled={cannotVote}
          onClick={() => onVote("Vote for the proposal", PLAIN_BALLOTS.yes)}
        >
          Vote for
        </button>
        <button
          type="button"
          class="button"
          disabled={cannotVote}
          onClick={() => onVote("Vote against the proposal", PLAIN_BALLOTS.no)}
        >
          Vote against
        </button>
        <button type="button" class="button" disabled={cannotVote} onClick={onWrite}>Custom ballot</button>
        <button type="button" class="button" disabled={isOthers} onClick={onWithdraw}>Withdraw</button>
      </div>
      <p class="small soft">
        {mine !== undefined
          ? "You have voted, and a ballot cannot be changed."
          : waiting.length === 0
          ? "Every active member has voted."
          : check.kind === "cannot"
          ? `Voting waits until the text is proved: ${check.why}.`
          : "A ballot cannot be changed once it is cast."}
        {isOthers && ` Only ${names.get(proposerId) ?? "its proposer"} can withdraw it.`}
        {api.value === undefined && " Files are open: what is signed waits in the outbox until a node is open."}
      </p>
    </div>
  );
}

/** The draft is kept until it is cast or given up. */
function WriteBallot({ proposalId, onClose, onReady }: {
  readonly proposalId: string;
  readonly onClose: () => void;
  readonly onReady: (ballot: string) => void;
}) {
  const id = draftIdOf(proposalId);
  const [text, setText] = useState<string | undefined>();
  const [problem, setProblem] = useState<Problem | undefined>();
  useEffect(() => {
    new Drafts().get(id).then((draft) => setText(draft?.text ?? BALLOT_START), () => setText(BALLOT_START));
  }, []);
  const change = (next: string) => {
    setText(next);
    const draft = {
      id,
      kind: "ballot" as const,
      title: `Ballot on ${proposalId.slice(0, 12)}…`,
      text: next,
      proposalId,
    };
    new Drafts().save({ ...draft, changedAtMs: Date.now() }).catch((error) => setProblem(problemOf(error)));
  };
  const hasVote = text !== undefined &&
    /export\s+(async\s+)?function\s+vote\b|export\s*\{[^}]*\bvote\b|export\s+(const|let)\s+vote\b/.test(text);
  return (
    <Dialog title="Write a ballot" onClose={onClose} class="sign">
      <p>
        A module that exports{" "}
        <code>vote(proposal, proposerId)</code>. It is run anew whenever votes are counted, and may read public tables
        by <code>ccf.kv</code>. An exception counts as no vote.
      </p>
      {text !== undefined && <CodeEditor text={text} language="javascript" label="Ballot" onChange={change} />}
      {!hasVote && <p class="notice notice-warn">It exports no function named vote: the service will refuse it.</p>}
      {problem && <ProblemNote problem={problem} />}
      <div class="row">
        <button
          type="button"
          class="button button-main"
          disabled={text === undefined || text.trim() === ""}
          onClick={() => onReady(text!)}
        >
          Sign this ballot…
        </button>
        <button type="button" class="button" onClick={onClose}>Cancel</button>
      </div>
    </Dialog>
  );
}
