/**
 * What would become of a proposal, as the node tried it out: changed rows, warnings, how missing votes may fall, cost.
 *
 * All of it is the node's word, and is labelled so.
 */

import { DataTable } from "../parts/data_table.tsx";
import { valueWords } from "../../shared/governance/proposal_words.ts";
import { type DryRunAnswer, simulationRows } from "../governance/dry_run.ts";
import { CodeView } from "../parts/code_view.tsx";
import { Facts } from "../parts/page.tsx";
import { ShowAll } from "../parts/show_all.tsx";
import { Empty } from "../parts/states.tsx";
import { Verdict } from "../parts/verdict.tsx";
import { linkTo } from "../routes.ts";
import { ConstitutionLines } from "./constitution_lines.tsx";

/** Longer values are shown as code. */
const MAX_WORDS = 300;

export function DryRunView({ answer, stale, names }: {
  readonly answer: DryRunAnswer;
  /** Why it says nothing about the present any more. */
  readonly stale: string | undefined;
  readonly names: ReadonlyMap<string, string>;
}) {
  const { asOf, validation, inWords, warnings, elapsedMs, apply, outcome } = answer;
  return (
    <div class="stack" data-dry-run={asOf}>
      {stale !== undefined && (
        <div class="notice notice-warn" role="status">
          <p>
            <strong>Stale:</strong> {stale}. Run it again.
          </p>
        </div>
      )}
      <p class="soft">
        The node says so, having tried it on a copy of its state as of{" "}
        <a href={linkTo("transaction", asOf)}>{asOf}</a>. Nothing of it was kept.
      </p>
      {validation.valid
        ? (
          <ul>
            {inWords.map((sentence, i) => <li key={i} class="foreign">{sentence}</li>)}
            {inWords.length === 0 && <li>It is valid.</li>}
          </ul>
        )
        : (
          <div class="notice notice-bad stack-tight" data-problem="ProposalFailedToValidate">
            <Verdict kind="failed">The constitution refuses it</Verdict>
            <pre class="foreign">{validation.description}</pre>
            <ConstitutionLines error={validation.description ?? ""} />
            <p>
              Change what it names, or read why in the <a href={linkTo("constitution")}>constitution</a>.
            </p>
          </div>
        )}
      {warnings.length > 0 && (
        <div class="notice notice-warn stack-tight">
          <strong>Think twice</strong>
          <ul>{warnings.map((sentence, i) => <li key={i} class="foreign">{sentence}</li>)}</ul>
        </div>
      )}
      <Facts
        of={[
          ["With the votes so far", outcome === undefined ? "not decided: it is not valid" : outcome.state],
          ["Carried out", apply === undefined ? "not tried" : apply.state],
          ...(apply?.failure === undefined ? [] : [
            [
              "Why not",
              <>
                <pre>{apply.failure.reason}</pre>
                <ConstitutionLines error={apply.failure.trace ?? ""} />
              </>,
            ] as const,
          ]),
          ["Cost", `${Math.round(elapsedMs)} ms of the node's time`],
        ]}
      />
      {validation.valid && (
        <>
          <h3>If members vote so</h3>
          <Simulation answer={answer} names={names} />
          <h3>What it would change</h3>
          <Changes answer={answer} />
        </>
      )}
    </div>
  );
}

function Simulation({ answer, names }: {
  readonly answer: DryRunAnswer;
  readonly names: ReadonlyMap<string, string>;
}) {
  const nameOf = (id: string) => names.get(id) ?? `${id.slice(0, 8)}…`;
  const rows = simulationRows(answer);
  const { votes, voteFailures, combinationsLeftOut } = answer;
  return (
    <>
      {votes.length > 0 && (
        <p class="foreign">
          Ballots so far, run now:{" "}
          {votes.map(({ member_id, vote }) => `${nameOf(member_id)} ${vote ? "for" : "against"}`).join(", ")}.
        </p>
      )}
      {Object.entries(voteFailures).map(([member, { reason }]) => (
        <p key={member} class="foreign">
          <Verdict kind="failed">The ballot of {nameOf(member)} fails</Verdict> {reason}
        </p>
      ))}
      {rows.length === 0
        ? <Empty>No vote is missing, or there was no time to try how they may fall.</Empty>
        : (
          <DataTable
            label="Table of votes and what becomes of it"
            columns={["If these vote for it", "and these do not", "it is"]}
          >
            {rows.map(({ yes, no, state, why }) => (
              <tr key={yes.join()}>
                <td class="foreign">{yes.map(nameOf).join(" and ") || "nobody"}</td>
                <td class="foreign">{no.map(nameOf).join(" and ") || "nobody"}</td>
                <td>
                  <strong>→ {state}</strong>
                  {why !== undefined && <span class="foreign small">{why}</span>}
                </td>
              </tr>
            ))}
          </DataTable>
        )}
      {combinationsLeftOut > 0 && (
        <p class="soft">{combinationsLeftOut.toLocaleString()} more combinations were not tried.</p>
      )}
    </>
  );
}

function Changes({ answer: { changes, changesLeftOut, apply } }: { readonly answer: DryRunAnswer }) {
  if (changes.length === 0) {
    return (
      <Empty>
        {apply?.state === "Applied" ? "It would change no public table." : "Nothing: it cannot be carried out now."}
      </Empty>
    );
  }
  return (
    <>
      <ShowAll
        of={changes}
        what="changes"
        wrap={(rows) => (
          <DataTable label="Table of changes" columns={["Table and key", "Before", "After"]} class="change-table">
            {rows}
          </DataTable>
        )}
      >
        {({ table, key, before, after }) => (
          <tr>
            <th scope="row" class="foreign">
              <a href={linkTo("tables", undefined, { table })}>{table}</a>
              <br />
              <code>{key}</code>
            </th>
            <td>
              <Value value={before} label={`${table} ${key} before`} />
            </td>
            <td>
              <Value value={after} label={`${table} ${key} after`} />
            </td>
          </tr>
        )}
      </ShowAll>
      {changesLeftOut > 0 && <p class="soft">{changesLeftOut.toLocaleString()} more changes are not listed.</p>}
    </>
  );
}

function Value({ value, label }: { readonly value: unknown; readonly label: string }) {
  if (value === undefined) return <span class="soft">nothing</span>;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  if (text.length <= MAX_WORDS) {
    return <pre class="foreign">{typeof value === "string" ? valueWords(value) : text}</pre>;
  }
  return (
    <details>
      <summary class="foreign">{text.length.toLocaleString()} characters</summary>
      <CodeView text={text} language={typeof value === "string" ? "text" : "json"} label={label} />
    </details>
  );
}
