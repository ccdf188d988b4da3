/**
 * How the members of a sandbox open its service: they acknowledge, one proposes, and all vote, as anybody's members do.
 *
 * In: members with their keys, what the service is to have, the answers of a node. Out: requests, one by one.
 * Knows nothing of how a request reaches the node: a sandbox asks its own enclave, a test may do otherwise.
 */

import { fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { ecdsaSign, type EcPrivateKey } from "../shared/crypto/ecdsa.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
  type SignedMemberRequest,
} from "../shared/governance/member_request.ts";
import { object, text } from "../shared/json_shape.ts";
import { parseJsonBytes } from "../shared/json.ts";
import type { AppBundle } from "../enclave/messages.ts";
import { StartFailure } from "./start_failure.ts";

/** A member whose key lies at hand. */
export interface SandboxMember {
  /** Hex SHA-256 of the certificate. */
  readonly id: string;
  readonly key: EcPrivateKey;
}

export interface SandboxUser {
  readonly certificatePem: string;
  readonly data?: unknown;
}

/** What the service has once it is open. */
export interface SandboxOpening {
  readonly members: readonly SandboxMember[];
  readonly users: readonly SandboxUser[];
  /** None where the app is part of the node. */
  readonly app?: AppBundle;
}

export interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

const PROPOSAL = object({ proposalId: text, proposalState: text });
const STATE_DIGEST = object({ stateDigest: text });

/** What the members propose: users, the app, and that the service with this certificate opens. */
export function openingProposal({ users, app }: SandboxOpening, servicePem: string): Uint8Array {
  const actions = [
    ...users.map(({ certificatePem, data }) => ({
      name: "set_user",
      args: { cert: certificatePem, ...(data !== undefined && { user_data: data }) },
    })),
    ...(app === undefined ? [] : [{ name: "set_js_app", args: { bundle: app } }]),
    { name: "transition_service_to_open", args: { next_service_identity: servicePem } },
  ];
  return toUtf8(JSON.stringify({ actions }));
}

/**
 * The requests in order; each next one depends on the answers.
 *
 * @throws StartFailure where the node refuses one, or the constitution does not accept what all members agree on
 */
export function* openingRequests(
  opening: SandboxOpening,
  servicePem: string,
  createdAtSeconds: number,
): Generator<SignedMemberRequest, void, Answer> {
  const signed = (member: SandboxMember, request: MemberRequest): SignedMemberRequest => {
    const signer = { memberId: member.id, curve: member.key.curve };
    const prepared = prepareMemberRequest(request, signer, createdAtSeconds);
    return finishMemberRequest(prepared, ecdsaSign(member.key, requestToBeSigned(prepared)));
  };
  for (const member of opening.members) {
    const digest = accepted("give a state digest", yield signed(member, { kind: "state_digest" }));
    const { stateDigest } = STATE_DIGEST(parseJsonBytes(digest), "");
    accepted("take an acknowledgement", yield signed(member, { kind: "ack", stateDigest }));
  }
  const proposer = opening.members[0]!;
  const proposal = openingProposal(opening, servicePem);
  const created = accepted("take the first proposal", yield signed(proposer, { kind: "proposal", proposal }));
  const { proposalId, ...first } = PROPOSAL(parseJsonBytes(created), "");
  let state = first.proposalState;
  for (const member of opening.members) {
    if (state !== "Open") break;
    const ballot = { kind: "ballot", proposalId, ballot: PLAIN_BALLOTS.yes } as const;
    const voted = accepted("take a ballot on the first proposal", yield signed(member, ballot));
    state = PROPOSAL(parseJsonBytes(voted), "").proposalState;
  }
  if (state !== "Accepted") {
    throw new StartFailure(
      `Cannot open the service: all members voted for it, and under this constitution the proposal is ${state}`,
    );
  }
}

/** @throws StartFailure with the node's own reason */
function accepted(what: string, { status, body }: Answer): Uint8Array {
  if (status >= 200 && status < 300) return body;
  throw new StartFailure(`Cannot open the service: the node does not ${what}: ${fromUtf8(body)}`);
}
