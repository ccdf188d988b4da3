/**
 * Why a node did not take a signed request, as a problem: what it means to the member, and what to do.
 *
 * In: a node's answer, the request, the page's clock. Out: a problem under the node's own code, and whether the same bytes
 * may be sent again later.
 * Codes and messages: http-api.md §3.2 and §8.2, governance.md §2, §3 and §5
 */

import { FormatError } from "../../shared/assert.ts";
import { safeText } from "../../shared/governance/proposal_words.ts";
import { utcTime } from "../../shared/governance/request_words.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { listOf, object, text } from "../../shared/json_shape.ts";
import type { Problem } from "../problem.ts";
import { type NodeAnswer, refusalOf } from "../service/node_api.ts";
import type { SignedEnvelope } from "./envelope.ts";

export interface RefusedRequest {
  readonly problem: Problem;
  /** false: it says nothing in the way nodes do, so that the relay, or something else, answered instead. */
  readonly fromNode: boolean;
  /** Nothing was changed, and the same bytes may be taken later. */
  readonly retry: boolean;
}

const ERROR = object({
  error: object({ code: text, message: text }, { details: listOf(object({}, { message: text })) }),
});

/** What it means, and what to do. */
type Advice = readonly [why: string | undefined, todo: string];

const LATER: Advice = ["The service cannot take it at the moment, and nothing was changed", "Send it again in a while"];
const RETRY: readonly string[] = [
  "PrimaryNotFound",
  "TransactionReplicationFailed",
  "TooManyPendingTransactions",
  "FrontendNotOpen",
  "TransactionCommitAttemptsExceedLimit",
  "SessionConsistencyLost",
];

const BY_CODE: Readonly<Record<string, Advice>> = {
  ProposalReplay: [
    "This very request has arrived before, so the proposal is there already",
    "Look for it among the proposals; if this was a second attempt, the first one got through",
  ],
  InvalidCreatedAt: [
    "The time in the request is none to the service",
    "Set this computer's clock right, and sign again",
  ],
  ProposalFailedToValidate: [
    undefined,
    "Change the proposal as the constitution says, and sign again; nothing was stored",
  ],
  ProposalNotFound: [
    "The service has no such proposal; of closed ones it keeps the last one only",
    "Look at the list of proposals; the ledger has them all",
  ],
  ProposalNotOpen: ["The proposal is closed, and its state is final", "Nothing is left to do about it"],
  VoteAlreadyExists: ["You have voted on it before, and a ballot cannot be changed", "Nothing is left to do about it"],
  StateDigestMismatch: [
    "It is not the newest state digest that you asked for",
    "Ask for a new one, and acknowledge that",
  ],
  ServiceNotWaitingForRecoveryShares: [
    "The service is not recovering, so it needs no shares",
    "Keep your key; after a disaster the service waits for shares once members voted to open it",
  ],
  NodeAlreadyRecovering: ["Enough shares have arrived, and the node is recovering", "Nothing is left to do"],
  RequestBodyTooLarge: [
    "It is larger than the node's interface takes (max_body_size)",
    "Use an interface that takes more, or make the proposal smaller",
  ],
  UnsupportedApiVersionValue: [
    "The node speaks another version of the governance API",
    "Use the console of its version",
  ],
  ResourceNotFound: [
    "The node has nothing under that address",
    "Check that you are connected to a node of the service",
  ],
};

/** @param nowMs of the page's clock */
export function refusedRequest(answer: NodeAnswer, envelope: SignedEnvelope, nowMs: number): RefusedRequest {
  const { status, body, headers } = answer;
  // The relay words its failures as nodes do, and knows no more of what became of the request.
  const told = answer.byRelay ? undefined : toldBy(body);
  if (told === undefined) {
    return {
      fromNode: false,
      retry: true,
      problem: refusalOf(answer, "Something on the way to the node", envelope.target),
    };
  }
  const { code, said } = told;
  const [why, todo] = adviceOn(code, said, envelope, headers, nowMs);
  return {
    fromNode: true,
    retry: RETRY.includes(code),
    problem: {
      code,
      what: "The service refused the request",
      why: why ?? said,
      todo,
      details: `HTTP ${status}, ${code}: ${said}`,
    },
  };
}

function toldBy(body: Uint8Array): { code: string; said: string } | undefined {
  try {
    const { code, message, details = [] } = ERROR(parseJsonBytes(body), "").error;
    const reasons = details.flatMap(({ message }) => message ?? []);
    return { code: safeText(code), said: safeText((reasons.length > 0 ? reasons.join("; ") : message).trim()) };
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function adviceOn(code: string, said: string, envelope: SignedEnvelope, headers: Headers, nowMs: number): Advice {
  if (code === "InvalidAuthenticationInfo") return authenticationAdvice(said, envelope);
  if (code === "ProposalCreatedTooLongAgo") return tooLongAgo(said, envelope, headers, nowMs);
  if (code === "ProposalNotFound" && envelope.kind === "proposal_dry_run") {
    return [
      "The node has no such open proposal, or it is new: nodes try it once it is committed",
      "If it is closed, the ledger shows it; if it is new, wait a second",
    ];
  }
  if (code === "AuthorizationFailed" && /only be withdrawn by proposer/.test(said)) {
    return ["Only who made a proposal can withdraw it", "Vote against it instead"];
  }
  if (RETRY.includes(code)) return LATER;
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code]!;
  return [undefined, "Read the reason; if it names nothing to change, try another node"];
}

function authenticationAdvice(said: string, { memberId }: SignedEnvelope): Advice {
  if (/is not a known member/.test(said)) {
    return [
      `The service has no member ${memberId}`,
      "Choose the key of a member. To become one, have a member propose set_member with this certificate; if you were one, your certificate was removed or replaced",
    ];
  }
  if (/is not an ACTIVE member/.test(said)) {
    return ["You have not acknowledged the state of the service yet", "Acknowledge it first, on Keys; then sign again"];
  }
  if (/Failed to validate COSE/.test(said)) {
    return [
      "The signature does not verify with the certificate that the service has for you",
      "Check that nothing between here and the node changes requests, and that your key belongs to that certificate",
    ];
  }
  return [undefined, "Read the reason, and check which key is chosen"];
}

/** Times are only compared with those of other proposals, so any of the clocks may be the one that is wrong. */
function tooLongAgo(said: string, { createdAtSeconds }: SignedEnvelope, headers: Headers, nowMs: number): Advice {
  const theirs = /(\d{10})(?::[0-9a-f]+)?\D*$/.exec(said)?.[1];
  const dateMs = Date.parse(headers.get("date") ?? "");
  const known = [
    `The request says ${utcTime(createdAtSeconds * 1000)}`,
    ...(theirs === undefined ? [] : [`half of the recent proposals are later than ${utcTime(Number(theirs) * 1000)}`]),
    `this computer's clock shows ${utcTime(nowMs)}`,
    ...(Number.isNaN(dateMs) ? [] : [`the node's ${utcTime(dateMs)}`]),
  ];
  return [known.join(", "), "Set this computer's clock right where it is behind, and sign again"];
}
