/** Where the node's word about proposals differs from the ledger: said at the top, with what differs. */

import type { Comparison } from "../../governance/node_word.ts";
import { Verdict } from "../../parts/verdict.tsx";
import type { Loaded } from "../../problem.ts";
import { linkTo } from "../../routes.ts";

/** @param only of this proposal alone */
export function NodeWordNotice({ comparison, only, isQuiet = false }: {
  readonly comparison: Loaded<Comparison>;
  readonly only?: string;
  /** Say nothing but what is wrong. */
  readonly isQuiet?: boolean;
}) {
  if (comparison.kind === "error") {
    return (
      <p class="small">
        <Verdict kind="unchecked">The node's own list was not compared</Verdict>{" "}
        <span class="foreign">({comparison.problem.what}: {comparison.problem.why})</span>
      </p>
    );
  }
  if (comparison.kind === "unknown") return null;
  if (comparison.kind === "loading" || comparison.value.kind === "not yet") {
    return (
      <p class="small">
        <Verdict kind="unchecked">The node's own list is not compared yet</Verdict>
        {comparison.kind === "ready" && comparison.value.kind === "not yet" && ` ${comparison.value.why}.`}
      </p>
    );
  }
  const { value } = comparison;
  const found = value.kind === "same"
    ? []
    : value.discrepancies.filter(({ proposalId }) => only === undefined || proposalId === only);
  if (found.length === 0 && isQuiet) return null;
  if (found.length === 0) {
    return (
      <p class="small">
        <Verdict kind="verified">
          {only === undefined
            ? `The node's own list is the ledger's, as of ${value.asOf}`
            : `The node says the same, as of ${value.asOf}`}
        </Verdict>
      </p>
    );
  }
  return (
    <div class="notice notice-bad stack-tight" role="alert" data-problem="NodeContradictsLedger">
      <p>
        <Verdict kind="failed">The node contradicts its own ledger</Verdict>
      </p>
      <p>
        As of{" "}
        {value.asOf}, what the node answers about proposals is not what members' signed requests in the ledger say. This
        page shows the ledger. Do not act on what this node says; ask another one, and tell the other members.
      </p>
      <ul>
        {found.map(({ kind, proposalId, what }) => (
          <li key={`${kind} ${proposalId}`} class="foreign">
            <a href={linkTo("proposal", proposalId)}>{proposalId.slice(0, 12)}…</a>: {what}.
          </li>
        ))}
      </ul>
    </div>
  );
}
