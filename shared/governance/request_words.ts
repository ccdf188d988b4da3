/**
 * A member's request in words, for whoever is about to sign it.
 *
 * In: the bytes that will be signed. Out: lines of text, safe on a terminal and in a page: what is asked for, who asks,
 * when. They come from the bytes alone, so that nobody signs what was not shown. A share is never in them.
 * Knows nothing of keys, services or terminals.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { toHex, toUtf8 } from "../bytes.ts";
import { MAX_SHOWN_BALLOT_LINES } from "../limits.ts";
import { type MemberRequest, PLAIN_BALLOTS, type PreparedRequest, readMemberRequest } from "./member_request.ts";
import { proposalWords, safeLines, safeText } from "./proposal_words.ts";

/**
 * What a request asks for, and its particulars.
 *
 * @throws FormatError where it is none that a member sends, or a proposal is not JSON
 */
export function requestWords(prepared: PreparedRequest): string[] {
  const { request, signer, createdAtSeconds, target, payloadDigest } = readMemberRequest(prepared);
  const created = new Date(createdAtSeconds * 1000).toISOString().replace(".000Z", "Z");
  return [
    ...askedWords(request),
    `  signed by member ${signer.memberId}, with a key on ${signer.curve}, dated ${created}`,
    `  payload: ${prepared.payload.length} bytes, SHA-256 ${payloadDigest}`,
    `  goes to: POST ${target}`,
  ];
}

function askedWords(request: MemberRequest): string[] {
  switch (request.kind) {
    case "proposal":
      return ["To propose:", ...actionLines(new TextDecoder().decode(request.proposal))];
    case "proposal_dry_run":
      return ["To try, without proposing it:", ...actionLines(new TextDecoder().decode(request.proposal))];
    case "ballot":
      return [
        `To vote on proposal ${request.proposalId}: ${ballotWords(request.ballot)}`,
        ...ballotLines(request.ballot),
      ];
    case "withdrawal":
      return [`To withdraw proposal ${request.proposalId}`];
    case "state_digest":
      return ["To be told the newest signed state of the ledger, for acknowledging it"];
    case "ack":
      return [`To acknowledge the state of the ledger with root ${safeText(request.stateDigest)}`];
    case "recovery_share":
      return [`To hand in a recovery share of ${request.share.length} bytes`];
  }
}

/** The actions of a proposal, each with its arguments. @throws FormatError where it is not JSON */
export function actionLines(proposal: string): string[] {
  const { actions, text } = proposalWords(proposal);
  if (actions === undefined) return [`  ${text}`];
  if (actions.length === 0) return ["  no action at all"];
  return actions.flatMap(({ name, args }, i) => [
    `  ${i + 1}. ${name}`,
    ...args.map(([argument, value]) => `       ${argument === "" ? "" : `${argument}: `}${value}`),
  ]);
}

/** What kind of ballot it is: whether it looks at anything. */
export function ballotWords(ballot: string): string {
  switch (ballot) {
    case PLAIN_BALLOTS.yes:
      return "yes";
    case PLAIN_BALLOTS.no:
      return "no";
    default:
      return `by a program, SHA-256 ${toHex(sha256(toUtf8(ballot)))}`;
  }
}

/** The text of a ballot that is a program, up to a number of lines; nothing where it is a plain one. */
export function ballotLines(ballot: string): string[] {
  if (ballot === PLAIN_BALLOTS.yes || ballot === PLAIN_BALLOTS.no) return [];
  const lines = safeLines(ballot.trimEnd());
  const shown = lines.slice(0, MAX_SHOWN_BALLOT_LINES).map((line) => `    | ${line}`);
  const hidden = lines.length - shown.length;
  return hidden === 0 ? shown : [...shown, `    … and ${hidden} lines more, not shown`];
}
