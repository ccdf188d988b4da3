/**
 * `/gov/members/proposals`: what members propose, how they vote, what came of it (http-api.md §7, governance.md §3).
 *
 * In: a member's signed request, or anybody's question. Out: the proposal as it stands.
 */

import { PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import type { TxId } from "../../shared/tx_id.ts";
import { Effects } from "../governance/effects.ts";
import {
  type Chamber,
  createProposal,
  type Proposal,
  requireProposal,
  submitBallot,
  withdrawProposal,
} from "../governance/proposals.ts";
import { GovernanceScripts } from "../governance/scripts.ts";
import type { MemberCoseCaller } from "../frontend/caller.ts";
import type { EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler, text } from "../frontend/replies.ts";
import type { HttpResponse } from "../messages.ts";
import { requireId, type VersionedEndpoint, versionedRead, versionedWrite } from "./api_version.ts";
import { listed } from "./map_order.ts";

const ACTIVE = "active_member_cose_sign1";

export const govProposalEndpoints: readonly VersionedEndpoint[] = [
  versionedWrite("/members/proposals:create", ACTIVE, "proposal", jsonHandler(create)),
  versionedWrite("/members/proposals/{proposalId}:withdraw", ACTIVE, "withdrawal", jsonHandler(withdraw)),
  versionedRead("/members/proposals", jsonHandler(getProposals)),
  versionedRead("/members/proposals/{proposalId}", jsonHandler(getProposal)),
  versionedRead("/members/proposals/{proposalId}/actions", getActions),
  versionedWrite(
    "/members/proposals/{proposalId}/ballots/{memberId}:submit",
    ACTIVE,
    "ballot",
    jsonHandler(submit),
  ),
  versionedRead("/members/proposals/{proposalId}/ballots/{memberId}", getBallot),
];

function create(context: EndpointContext): unknown {
  return describe(createProposal(chamberOf(context), signer(context), context.node.path.tree.root()));
}

function withdraw(context: EndpointContext): unknown {
  const id = requireId(context.params.proposalId!, "proposal");
  requireSignedFor(context, id);
  const proposal = withdrawProposal(chamberOf(context), signer(context), id);
  return proposal === undefined ? null : describe(proposal);
}

function submit(context: EndpointContext): unknown {
  const proposalId = requireId(context.params.proposalId!, "proposal");
  requireSignedFor(context, proposalId);
  const memberId = requireId(context.params.memberId!, "member");
  const request = signer(context);
  if (memberId !== request.id) {
    throw new OdataError(400, "InvalidResourceName", "Authenticated member id does not match URL");
  }
  return describe(submitBallot(chamberOf(context), request, proposalId));
}

/** A signature for one proposal is none for another. */
function requireSignedFor(context: EndpointContext, proposalId: string): void {
  if (signer(context).header.proposalId === proposalId) return;
  throw new OdataError(400, "InvalidResourceName", "Authenticated proposal id does not match URL");
}

/** The member who signed the request, as the endpoint's policy has found. */
export function signer({ caller }: EndpointContext): MemberCoseCaller {
  return caller as MemberCoseCaller;
}

/** Where the request of a handler is decided; what it brings about begins when its transaction is on the ledger. */
function chamberOf(context: EndpointContext): Chamber {
  const { node, tx } = context;
  return {
    tx,
    scripts: new GovernanceScripts(node.scriptHost, tx),
    primitives: node.primitives,
    effects: () => {
      const effects = new Effects(node, tx);
      context.onCommitted = (id: TxId) => effects.onCommitted(node, id);
      return effects;
    },
  };
}

function getProposals({ tx }: EndpointContext): unknown {
  return { value: listed(tx, PROPOSALS_INFO).map(([id, info]) => describe({ id, info })) };
}

function getProposal({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.proposalId!, "proposal");
  return describe({ id, info: requireProposal(tx, id) });
}

function describe({ id, info }: Proposal): unknown {
  return {
    ballotCount: Object.keys(info.ballots).length,
    failure: info.failure,
    finalVotes: info.final_votes,
    proposalId: id,
    proposalState: info.state,
    proposerId: info.proposer_id,
    voteFailures: info.vote_failures,
  };
}

/** The proposal as its proposer wrote it. Quirk: without a content type. */
function getActions({ tx, params }: EndpointContext): HttpResponse {
  const id = requireId(params.proposalId!, "proposal");
  const body = tx.open(PROPOSALS).get(id);
  if (body === undefined) throw new OdataError(404, "ProposalNotFound", `Could not find proposal ${id}.`);
  return { status: 200, headers: [], body };
}

function getBallot({ tx, params }: EndpointContext): HttpResponse {
  const proposalId = requireId(params.proposalId!, "proposal");
  const memberId = requireId(params.memberId!, "member");
  const info = tx.open(PROPOSALS_INFO).get(proposalId);
  if (info === undefined) throw new OdataError(404, "ProposalNotFound", `Proposal ${proposalId} does not exist.`);
  const ballot = Object.hasOwn(info.ballots, memberId) ? info.ballots[memberId] : undefined;
  if (ballot === undefined) {
    const message = `Member m[${memberId}] has not voted for proposal ${proposalId}.`;
    throw new OdataError(404, "VoteNotFound", message);
  }
  return text(ballot, 200, "text/javascript");
}
