/**
 * Members of a test's service, who sign what they send.
 */

import { fromUtf8Lenient, toUtf8 } from "../shared/bytes.ts";
import { ecdsaSign } from "../shared/crypto/ecdsa.ts";
import {
  finishMemberRequest,
  type MemberRequest,
  PLAIN_BALLOTS,
  prepareMemberRequest,
  requestToBeSigned,
  type SignedMemberRequest,
} from "../shared/governance/member_request.ts";
import type { HttpResponse } from "../enclave/messages.ts";
import type { SandboxMember } from "../node/sandbox_opening.ts";
import type { InlineService } from "./inline_service.ts";

export interface Reply {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly json: any;
  readonly response: HttpResponse;
}

let lastSecond = 2_000_000_000;

/** A request as its member would send it. Each is later than the one before, unless a time is given. */
export function signed(member: SandboxMember, request: MemberRequest, createdAt = ++lastSecond): SignedMemberRequest {
  const prepared = prepareMemberRequest(request, { memberId: member.id, curve: member.key.curve }, createdAt);
  return finishMemberRequest(prepared, ecdsaSign(member.key, requestToBeSigned(prepared)));
}

export function send(service: InlineService, { method, target, contentType, body }: SignedMemberRequest): Reply {
  return reply(service.node.request({ method, target, headers: [["content-type", contentType]], body }));
}

export function reply(response: HttpResponse): Reply {
  const text = fromUtf8Lenient(response.body);
  return { status: response.status, json: text.startsWith("{") ? JSON.parse(text) : text, response };
}

export function ask(service: InlineService, member: number, request: MemberRequest): Reply {
  return send(service, signed(service.sandbox.opening.members[member]!, request));
}

export function propose(service: InlineService, member: number, ...actions: readonly unknown[]): Reply {
  return ask(service, member, { kind: "proposal", proposal: toUtf8(JSON.stringify({ actions })) });
}

export function vote(
  service: InlineService,
  member: number,
  proposalId: string,
  ballot: string = PLAIN_BALLOTS.yes,
): Reply {
  return ask(service, member, { kind: "ballot", proposalId, ballot });
}

/** Proposes as the first member and votes as the first two of three, which is a majority. Answers the last reply. */
export function decide(service: InlineService, ...actions: readonly unknown[]): Reply {
  const created = propose(service, 0, ...actions);
  if (created.status !== 200 || created.json.proposalState !== "Open") return created;
  vote(service, 0, created.json.proposalId);
  return vote(service, 1, created.json.proposalId);
}
