/** Whether the node tells this page the same text and ballots as the ledger has: a lie is told here at once. */

import { equalBytes, fromUtf8Lenient } from "../../../shared/bytes.ts";
import { GOVERNANCE_API_VERSION } from "../../../shared/governance/member_request.ts";
import type { BallotRecord } from "../../governance/proposals.ts";
import { useNode } from "../../hooks.ts";
import { Verdict } from "../../parts/verdict.tsx";

/** More ballots are not asked for one by one. */
const MAX_ASKED = 16;

export function NodeText({ id, text, ballots }: {
  readonly id: string;
  readonly text: Uint8Array;
  readonly ballots: readonly BallotRecord[];
}) {
  const told = useNode(async (api, signal) => {
    const ask = async (path: string) => {
      const answer = await api.ask(`/gov/members/proposals/${id}${path}?api-version=${GOVERNANCE_API_VERSION}`, {
        signal,
      });
      return answer.status === 200 ? answer.body : undefined;
    };
    const differences: string[] = [];
    const actions = await ask("/actions");
    // Closed proposals are taken out of the table: a node need not know them any more.
    if (actions === undefined) return undefined;
    if (!equalBytes(actions, text)) differences.push("It shows another text of this proposal than its proposer signed");
    for (const { memberId, text: signed } of ballots.slice(0, MAX_ASKED)) {
      const ballot = await ask(`/ballots/${memberId}`);
      if (ballot === undefined) differences.push(`It does not show the ballot that member ${memberId} signed`);
      else if (fromUtf8Lenient(ballot) !== signed) {
        differences.push(`It shows another ballot than the one that member ${memberId} signed`);
      }
    }
    // It may have been closed, and another one after it, between these questions.
    return differences.length > 0 && await ask("/actions") === undefined ? undefined : differences;
  }, [id, text.length, ballots.length]);
  if (told.kind !== "ready" || told.value === undefined) return null;
  if (told.value.length === 0) {
    return (
      <p class="small">
        <Verdict kind="verified">What the node tells this page has the same text and ballots</Verdict>
      </p>
    );
  }
  return (
    <div class="notice notice-bad stack-tight" role="alert" data-problem="NodeShowsOtherText">
      <Verdict kind="failed">The node shows others something else than members signed</Verdict>
      <ul>{told.value.map((sentence) => <li key={sentence} class="foreign">{sentence}.</li>)}</ul>
      <p>This page shows what was signed. Tell the other members, and ask another node.</p>
    </div>
  );
}
