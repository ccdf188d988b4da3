/** One proposal in a list: what it does, of whom, how old, how the votes stand, who can still change it. */

import { actionsOf, type LaneName, mayVote, voteCount } from "../../governance/lanes.ts";
import { type ProposalRecord, recordCheck } from "../../governance/proposals.ts";
import { CheckVerdict } from "../../parts/check_verdict.tsx";
import { agoText } from "../../parts/time.tsx";
import { linkTo } from "../../routes.ts";
import { actionForm } from "../../governance/action_forms.ts";

/** More are counted. */
const MAX_ACTIONS = 4;
const MAX_NAMES = 5;

export function ProposalCard({ record, lane, active, names, nowMs }: {
  readonly record: ProposalRecord;
  readonly lane: LaneName;
  readonly active: readonly string[];
  readonly names: ReadonlyMap<string, string>;
  readonly nowMs: number;
}) {
  const { id, proposerId, state, submittedMs, submittedAt } = record;
  const nameOf = (member: string) => names.get(member) ?? `${member.slice(0, 8)}…`;
  const actions = actionsOf(record);
  const { yes, no, other } = voteCount(record);
  const waiting = mayVote(record, active);
  const shown = waiting.slice(0, MAX_NAMES).map(nameOf).join(", ");
  return (
    <li class="card stack-tight">
      <h3>
        <a data-item class="foreign" href={linkTo("proposal", id)}>{titleOf(record)}</a>
      </h3>
      {actions.length > 0 && (
        <ul class="proposal-actions small">
          {actions.slice(0, MAX_ACTIONS).map(({ name, args }, i) => (
            <li key={i} class="foreign">
              <code>{name}</code> {shortened(args.map(([arg, value]) => `${arg}: ${value}`).join(", "))}
            </li>
          ))}
          {actions.length > MAX_ACTIONS && <li>and {actions.length - MAX_ACTIONS} more</li>}
        </ul>
      )}
      <p class="row small">
        <span class="chip">{state}</span>
        <span>
          by <span class="foreign">{nameOf(proposerId)}</span>
        </span>
        {submittedMs !== undefined && <span>{agoText(submittedMs, nowMs)}</span>}
        {submittedAt !== undefined && <span>seqno {submittedAt}</span>}
      </p>
      <p class="small">
        {yes} for, {no} against{other > 0 && `, ${other} by a program`}
        {(lane === "open" || lane === "needs me") && (
          <>
            {". "}
            {waiting.length === 0
              ? "Every active member has voted; its proposer can withdraw it"
              : (
                <span class="foreign">
                  Can still change it: {shown}
                  {waiting.length > MAX_NAMES && ` and ${waiting.length - MAX_NAMES} more`}
                </span>
              )}
          </>
        )}
      </p>
      <div class="small">
        <CheckVerdict check={recordCheck(record)}>Everything about it is signed</CheckVerdict>
      </div>
    </li>
  );
}

const MAX_ARGUMENT_CHARACTERS = 160;

const shortened = (text: string) =>
  text.length > MAX_ARGUMENT_CHARACTERS ? `${text.slice(0, MAX_ARGUMENT_CHARACTERS)}…` : text;

/** Its actions in words, in short. */
export function titleOf(record: ProposalRecord): string {
  const actions = actionsOf(record);
  if (record.text === undefined) return "A proposal whose text was not folded";
  if (actions.length === 0) return "A proposal that is no list of actions";
  const titles = [...new Set(actions.map(({ name }) => actionForm(name)?.title ?? name))];
  const first = titles.slice(0, 2).join("; ");
  return titles.length > 2 ? `${first}; and ${titles.length - 2} more` : first;
}
