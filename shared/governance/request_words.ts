/**
 * What is about to be signed, and what was proposed, in lines for a person.
 *
 * In: the bytes of a request; proposals, ballots. Out: lines that are safe on a terminal and in a page: what is asked for,
 * by whom, when. They come from the bytes alone, and leave nothing out but the share of a recovery, which is a secret.
 * Knows nothing of keys, services or terminals.
 */

import { FormatError } from "../assert.ts";
import { fromUtf8 } from "../bytes.ts";
import { parseShare, SHARE_BYTES } from "../crypto/shamir.ts";
import { type MemberRequest, type PreparedRequest, readMemberRequest } from "./member_request.ts";
import { type ActionWords, proposalWords, safeLines, safeText } from "./proposal_words.ts";

/** Hex digits by which people tell IDs apart. */
const SHORT_ID_CHARACTERS = 8;

export function shortId(id: string): string {
  return safeText(id.slice(0, SHORT_ID_CHARACTERS));
}

/** The whole request, from its bytes: kind, contents, who, when, digest. @throws FormatError */
export function requestLines(prepared: PreparedRequest): string[] {
  const { request, signer, createdAtSeconds, payloadDigest, target } = readMemberRequest(prepared);
  const [title, ...contents] = contentLines(request);
  return [
    title!,
    ...contents.map((line) => `  ${line}`),
    `  signed by member ${signer.memberId}, at ${utcTime(createdAtSeconds * 1000)}`,
    `  payload: ${prepared.payload.length} bytes, SHA-256 ${payloadDigest}`,
    `  sent to ${target}`,
  ];
}

function contentLines(request: MemberRequest): string[] {
  switch (request.kind) {
    case "proposal":
      return ["A proposal", ...proposalLines(request.proposal)];
    case "proposal_dry_run":
      return ["A question what would become of a proposal", ...proposalLines(request.proposal)];
    case "ballot":
      return [`A ballot on proposal ${request.proposalId}`, ...ballotLines(request.ballot)];
    case "withdrawal":
      return [`The withdrawal of proposal ${request.proposalId}`];
    case "state_digest":
      return ["A question for the newest state digest, to acknowledge it"];
    case "ack":
      return ["An acknowledgement", `state digest ${safeText(request.stateDigest)}`];
    case "recovery_share":
      return [`A recovery share: ${shareWords(request.share)}; the share itself is a secret`];
  }
}

/** Which share it is, and nothing of what is in it. */
export function shareWords(share: Uint8Array): string {
  if (share.length !== SHARE_BYTES) return `${share.length} bytes of an unknown form`;
  const { x } = parseShare(share);
  return x === 0 ? "the full recovery key, as owners hold it" : `number ${x}`;
}

/** @param payload as it was proposed */
export function proposalLines(payload: Uint8Array): string[] {
  try {
    const { actions, text } = proposalWords(fromUtf8(payload));
    if (actions === undefined) return [`no list of actions: ${text}`];
    return actions.length === 0 ? ["no action at all"] : actions.flatMap(actionLines);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return [`no JSON: ${payload.length} bytes`];
  }
}

function actionLines({ name, args }: ActionWords, i: number): string[] {
  return [`${i + 1}. ${name}`, ...args.map(([arg, value]) => `     ${arg === "" ? "" : `${arg}: `}${value}`)];
}

/**
 * Ballots that look at nothing, whatever they call their parameters. Between `return` and its value there is no line
 * break: JavaScript would return nothing, which is a no.
 */
const PLAIN = /^\s*export\s+function\s+vote\s*\([\w$,\s]*\)\s*\{\s*return[ \t]+(true|false)\s*;?\s*\}\s*$/;
const MAX_PLAIN_CHARACTERS = 200;

/** "yes" or "no" where a ballot is nothing else; undefined where it has to be run to know. */
export function plainVote(ballot: string): "yes" | "no" | undefined {
  const word = ballot.length > MAX_PLAIN_CHARACTERS ? undefined : PLAIN.exec(ballot)?.[1];
  return word === undefined ? undefined : word === "true" ? "yes" : "no";
}

/** One line for a plain ballot, else its source, whole. */
export function ballotLines(ballot: string): string[] {
  const plain = plainVote(ballot);
  if (plain !== undefined) return [`votes ${plain}`];
  return ["a program that decides anew at each count:", ...safeLines(ballot).map((line) => `  | ${line}`)];
}

/** UTC, to the second. */
export function utcTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
