/** The rungs from a node's evidence to its network, each one of four states with a sentence, and its steps with inputs. */

import type { ComponentChildren } from "preact";
import { type Rung, RUNG_QUESTIONS, type RungName, type TrustStep } from "../../shared/trust/report.ts";
import type { Decision } from "../../shared/trust/decisions.ts";
import { linkTo } from "../routes.ts";
import { CopyButton } from "./copy.tsx";
import { ForeignText } from "./foreign_text.tsx";
import { Party, useNames } from "./party.tsx";
import { RUNG_TITLES, shownRung, stepKind } from "./trust_rungs.ts";
import { Verdict, type VerdictKind } from "./verdict.tsx";
import "./trust_ladder.css";

/** One rung, with whatever stands behind it. */
export interface LadderRung {
  readonly title: string;
  readonly question: string;
  readonly kind: VerdictKind;
  /** Instead of the state's own word. */
  readonly word?: string;
  readonly why: string;
  readonly details?: ComponentChildren;
}

/** The rungs of a report; `only` leaves the others out. */
export function rungsOf(rungs: readonly Rung[], only?: readonly RungName[]): readonly LadderRung[] {
  return rungs.filter(({ name }) => only === undefined || only.includes(name)).map((rung) => ({
    title: RUNG_TITLES[rung.name],
    question: RUNG_QUESTIONS[rung.name],
    ...shownRung(rung),
    ...(rung.verdict !== "not checked" && {
      details: (
        <>
          <Steps rung={rung} />
          {rung.name === "network" && (
            <p>
              <a href={linkTo("audit")}>Decide again what members asked for</a>
            </p>
          )}
        </>
      ),
    }),
  }));
}

export function Ladder({ label, rungs, isOpen = false }: {
  readonly label: string;
  readonly rungs: readonly LadderRung[];
  /** Whether the details stand open. */
  readonly isOpen?: boolean;
}) {
  return (
    <ol class="ladder" aria-label={label}>
      {rungs.map(({ title, question, kind, word, why, details }) => (
        <li key={title} class={`ladder-rung ladder-${kind}`} data-rung={title} data-state={kind}>
          <div class="row row-apart">
            <strong>{title}</strong>
            <Verdict kind={kind}>{word}</Verdict>
          </div>
          <p class="soft small">{question}</p>
          <p class="foreign">{why}</p>
          {details !== undefined && (
            <details open={isOpen}>
              <summary>Steps and inputs of “{title}”</summary>
              {details}
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}

function Steps({ rung }: { readonly rung: Rung }) {
  const names = useNames();
  return (
    <ol class="ladder-steps">
      {rung.steps.map((step, i) => (
        <li key={i} class="stack-tight">
          <Verdict kind={stepKind(step, rung)}>{step.name}</Verdict>
          <span class="foreign">{step.detail}</span>
          {step.code !== undefined && (
            <span class="small">
              Code <code>{step.code}</code>
            </span>
          )}
          {step.rule !== undefined && <span class="small soft">Rule: {step.rule}</span>}
          <Inputs of={step} />
          {step.decision !== undefined && <DecisionNote decision={step.decision} names={names} />}
        </li>
      ))}
    </ol>
  );
}

function Inputs({ of: { inputs = {} } }: { readonly of: TrustStep }) {
  const entries = Object.entries(inputs);
  if (entries.length === 0) return null;
  return (
    <dl class="facts small">
      {entries.flatMap(([name, value]) => [
        <dt key={`${name} name`}>{name}</dt>,
        <dd key={name} class="row">
          <code class="anywhere">
            <ForeignText text={value} maxCharacters={300} what={name} />
          </code>
          <CopyButton text={value} what={name} bare />
        </dd>,
      ])}
    </dl>
  );
}

/** A proposal with its ballots, each with a link to what was signed. */
export function DecisionNote({ decision, names }: {
  readonly decision: Decision;
  readonly names: ReadonlyMap<string, string>;
}) {
  const { proposalId, proposerId, ballots, acceptedAt, problems } = decision;
  return (
    <div class="notice notice-grey stack-tight small">
      <p>
        <a href={linkTo("proposal", proposalId)}>Proposal {proposalId.slice(0, 12)}…</a>, accepted in{" "}
        <a href={linkTo("transaction", `${acceptedAt.view}.${acceptedAt.seqno}`)}>
          transaction {acceptedAt.view}.{acceptedAt.seqno}
        </a>
      </p>
      <p class="row">
        Proposed by <Party id={proposerId} kind="member" names={names} />
      </p>
      {ballots.length === 0 ? <p>Accepted by the constitution without a vote</p> : (
        <ul>
          {ballots.map(({ memberId, vote, txId }) => (
            <li key={memberId} class="row">
              <Party id={memberId} kind="member" names={names} />
              {vote === undefined ? "was not counted" : vote ? "voted for it" : "voted against it"}
              {txId === undefined
                ? ", and no signature of it is in the ledger"
                : (
                  <a href={linkTo("transaction", `${txId.view}.${txId.seqno}`)}>
                    signed in {txId.view}.{txId.seqno}
                  </a>
                )}
            </li>
          ))}
        </ul>
      )}
      {problems.map((problem) => <p key={problem} class="verdict verdict-failed">{problem}</p>)}
    </div>
  );
}
