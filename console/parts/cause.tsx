/** What stands behind a change in the ledger: a decision of members, a start, an act of one member, or a node alone. */

import type { Cause } from "../../shared/trust/decisions.ts";
import { linkTo } from "../routes.ts";
import { Party } from "./party.tsx";

export function CauseText({ cause, names }: {
  readonly cause: Cause | undefined;
  readonly names: ReadonlyMap<string, string>;
}) {
  if (cause === undefined) return <>not told by the ledger</>;
  switch (cause.kind) {
    case "genesis":
      return <>the start of the service</>;
    case "recovery":
      return <>the recovery of the service</>;
    case "node":
      return <>a node by itself</>;
    case "decision":
      return (
        <>
          <a href={linkTo("proposal", cause.decision.proposalId)}>
            proposal {cause.decision.proposalId.slice(0, 10)}…
          </a>
          , {votesText(cause.decision.ballots)}
        </>
      );
    case "acknowledgement":
      return (
        <span class="row">
          acknowledgement of <Party id={cause.memberId} kind="member" names={names} />
        </span>
      );
    case "request":
      return (
        <span class="row">
          request of <Party id={cause.memberId} kind="member" names={names} />
        </span>
      );
  }
}

function votesText(ballots: readonly { readonly vote: boolean | undefined }[]): string {
  if (ballots.length === 0) return "accepted without a vote";
  const yes = ballots.filter(({ vote }) => vote === true).length;
  const no = ballots.filter(({ vote }) => vote === false).length;
  return `${yes} for it, ${no} against`;
}
