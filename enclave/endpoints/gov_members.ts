/**
 * `/gov/members` and `/gov/recovery`, the reads: proposals and their ballots, digests to acknowledge, recovery shares
 * (http-api.md §7). What members send comes with governance.
 */

import {
  MEMBERS_ACKS,
  type ProposalInfo,
  PROPOSALS,
  PROPOSALS_INFO,
  RECOVERY_SHARES,
} from "../../shared/governance/tables.ts";
import type { EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler, text } from "../frontend/replies.ts";
import type { HttpResponse } from "../messages.ts";
import { notFound, requireId, type VersionedEndpoint, versionedRead } from "./api_version.ts";
import { listed } from "./map_order.ts";

export const govMemberEndpoints: readonly VersionedEndpoint[] = [
  versionedRead("/members/proposals", jsonHandler(getProposals)),
  versionedRead("/members/proposals/{proposalId}", jsonHandler(getProposal)),
  versionedRead("/members/proposals/{proposalId}/actions", getActions),
  versionedRead("/members/proposals/{proposalId}/ballots/{memberId}", getBallot),
  versionedRead("/members/state-digests/{memberId}", jsonHandler(getStateDigest)),
  versionedRead("/recovery/encrypted-shares/{memberId}", jsonHandler(getEncryptedShare)),
];

function getProposals({ tx }: EndpointContext): unknown {
  return { value: listed(tx, PROPOSALS_INFO).map(([id, info]) => describeProposal(id, info)) };
}

function getProposal({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.proposalId!, "proposal");
  const info = tx.open(PROPOSALS_INFO).get(id);
  if (info === undefined) throw new OdataError(404, "ProposalNotFound", `Could not find proposal ${id}.`);
  return describeProposal(id, info);
}

function describeProposal(proposalId: string, info: ProposalInfo): unknown {
  return {
    ballotCount: Object.keys(info.ballots).length,
    failure: info.failure,
    finalVotes: info.final_votes,
    proposalId,
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

/** The shape of the ID is not checked here, unlike elsewhere (http-api.md §7). */
function getStateDigest({ tx, params }: EndpointContext): unknown {
  const memberId = params.memberId!;
  const ack = tx.open(MEMBERS_ACKS).get(memberId);
  if (ack === undefined) throw notFound(`No ACK record exists for member m[${memberId}].`);
  return { memberId, stateDigest: ack.state_digest };
}

function getEncryptedShare({ tx, params }: EndpointContext): unknown {
  const memberId = requireId(params.memberId!, "member");
  const shares = tx.open(RECOVERY_SHARES).get();
  if (shares === undefined) {
    throw new OdataError(500, "InternalError", "Failed to retrieve current recovery shares info");
  }
  const encryptedShare = shares.encrypted_shares[memberId];
  if (encryptedShare === undefined) throw notFound(`Recovery share not found for member m[${memberId}].`);
  return { encryptedShare, memberId };
}
