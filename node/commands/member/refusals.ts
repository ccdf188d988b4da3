/**
 * Why a node refuses a member, in words, and what the member can do about it.
 *
 * In: a refusal, and what was asked. Out: sentences.
 * Codes and messages: http-api.md §3.2 and §8.2, governance.md §2, §3 and §5
 */

import { safeText } from "../../../shared/governance/proposal_words.ts";
import { utcTime } from "../../../shared/governance/request_words.ts";
import type { Refusal } from "./connection.ts";

const AUTHENTICATION: readonly (readonly [reason: RegExp, words: (refusal: Refusal) => string])[] = [
  [
    /is not a known member/,
    ({ asked }) =>
      `the service has no member ${
        asked?.signer.memberId ?? "with this certificate"
      }; other members can propose set_member with the certificate, and if you were a member, your certificate was removed or replaced`,
  ],
  [
    /is not an ACTIVE member/,
    () => "you have not acknowledged the state of the service yet: run `member ack` first",
  ],
  [
    /Failed to validate COSE/,
    () =>
      "the signature does not verify with the certificate that the service has for you; was the request changed under way?",
  ],
];

const BY_CODE: Readonly<Record<string, (refusal: Refusal, nowMs: number) => string | undefined>> = {
  ProposalReplay: () => "this very request was sent before; the proposal is there already",
  ProposalCreatedTooLongAgo: tooLongAgo,
  InvalidCreatedAt: () => "the time of the request is no time; check --created-at and this machine's clock",
  ProposalFailedToValidate: () => "the constitution does not take the proposal as it is; nothing was stored",
  ProposalNotFound: () =>
    "there is no such proposal; of closed proposals a service keeps the last one only, and the ledger has them all",
  ProposalNotOpen: () => "the proposal is closed: its state is final",
  VoteAlreadyExists: () => "you have voted on it before, and a ballot cannot be changed",
  StateDigestMismatch: () => "the state digest is not the newest one that you asked for: run `member ack` again",
  ServiceNotWaitingForRecoveryShares: () =>
    "the service is not recovering, so nothing is lost and it needs no shares; it waits for them after a disaster, once members have voted for transition_service_to_open",
  NodeAlreadyRecovering: () => "enough shares have arrived, and the node is recovering already",
  FrontendNotOpen: () => "the node has not joined its service yet: try again later",
  ResourceNotFound: () => "the service has nothing under that name",
  PrimaryNotFound: later,
  TransactionReplicationFailed: later,
  TooManyPendingTransactions: later,
  TransactionCommitAttemptsExceedLimit: later,
  RequestBodyTooLarge: () => "the request is larger than the node's interface allows (max_body_size)",
  UnsupportedApiVersionValue: () => "the node speaks another version of the governance API",
  InternalError: ({ message }) => /^Failed to /.test(message) ? "nothing was changed" : undefined,
};

/** What the node says, and what it means to the member, where we know. @param nowMs of this machine's clock */
export function explainRefusal(
  refusal: Refusal,
  nowMs: number,
): { readonly message: string; readonly explanation: string | undefined } {
  const { code, reasons, answer } = refusal;
  const said = reasons.length > 0 ? reasons.join("; ") : refusal.message;
  const message = `${code === "" ? `status ${answer.status}` : code}: ${safeText(said.trim())}`;
  if (code === "InvalidAuthenticationInfo") {
    const known = AUTHENTICATION.find(([reason]) => reason.test(said));
    return { message, explanation: known?.[1](refusal) };
  }
  if (code === "AuthorizationFailed" && /only be withdrawn by proposer/.test(said)) {
    return { message, explanation: "only who made a proposal can withdraw it; you can vote against it" };
  }
  return { message, explanation: Object.hasOwn(BY_CODE, code) ? BY_CODE[code]!(refusal, nowMs) : undefined };
}

function later(): string {
  return "the service cannot take it at the moment, and nothing was changed: try again later";
}

/** Times are only compared with those of other proposals, so either clock may be the one that is wrong. */
function tooLongAgo({ message, answer, asked }: Refusal, nowMs: number): string {
  const theirs = /(\d{10})(?::[0-9a-f]+)?\D*$/.exec(message)?.[1];
  const known = [
    asked === undefined ? [] : [`this one says ${utcTime(asked.createdAtSeconds * 1000)}`],
    theirs === undefined ? [] : [`half of the recent proposals are later than ${utcTime(Number(theirs) * 1000)}`],
    [`this machine's clock shows ${utcTime(nowMs)}`],
    answer.dateMs === undefined ? [] : [`the node's ${utcTime(answer.dateMs)}`],
  ].flat();
  return `${known.join(", ")}; set the clock right, or give a later --created-at`;
}
