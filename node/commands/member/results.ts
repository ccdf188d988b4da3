/**
 * What came of a member's request, and what happens next.
 *
 * In: the request and the node's answer. Out: lines for a person, one document for a machine; an exit code.
 */

import { safeLines, safeText } from "../../../shared/governance/proposal_words.ts";
import { ExitCode } from "../exit.ts";
import { type Proposal, proposalIn, stateDigestIn } from "./connection.ts";
import { answerBody, type MemberOutput, type Sent, sentDocument, transactionWords } from "./context.ts";
import { count } from "./proposals.ts";
import { shortId } from "../../../shared/governance/request_words.ts";

/** Tells the result of one request. @returns 1 where the service took it and yet did nothing, else 0 */
export function reportResult(output: MemberOutput, sent: Sent): number {
  const { lines, code } = resultOf(sent);
  for (const line of lines) output.line(line);
  output.document(sentDocument(sent));
  return code;
}

function resultOf(sent: Sent): { lines: readonly string[]; code: number } {
  const { request, answer } = sent;
  const where = transactionWords(sent);
  const done = (...lines: string[]) => ({ lines, code: ExitCode.done });
  switch (request.kind) {
    case "proposal": {
      const proposal = proposalIn(answer);
      return done(`Proposal ${proposal.proposalId}: ${proposal.proposalState}${where}`, ...nextSteps(proposal));
    }
    case "ballot": {
      const proposal = proposalIn(answer);
      return done(
        `Voted on proposal ${proposal.proposalId}: ${proposal.proposalState}${where}`,
        ...nextSteps(proposal),
      );
    }
    case "withdrawal":
      if (answer.status === 204) {
        return {
          lines: [`There is no proposal ${request.proposalId}, so nothing was withdrawn`],
          code: ExitCode.refused,
        };
      }
      return done(`Proposal ${proposalIn(answer).proposalId}: ${proposalIn(answer).proposalState}${where}`);
    case "state_digest":
      return done(`State digest ${safeText(stateDigestIn(answer))}${where}`, "  acknowledge it to become active");
    case "ack":
      return done(`Acknowledged${where}: the member is active, and can propose and vote`);
    case "recovery_share":
      return done(...messageLines(answerBody(answer)).map((line, i) => i === 0 ? `${line}${where}` : line));
    case "proposal_dry_run":
      return done(...safeLines(JSON.stringify(answerBody(answer), null, 2)));
  }
}

function nextSteps({ proposalId, proposalState, ballotCount, voteFailures = {} }: Proposal): string[] {
  const failures = Object.entries(voteFailures).map(([member, { reason }]) =>
    `  the ballot of ${shortId(member)} failed and did not count: ${safeText(reason)}`
  );
  switch (proposalState) {
    case "Open":
      return [
        `  ${count(ballotCount, "ballot")} so far; members vote with \`member vote ${
          shortId(proposalId)
        } --yes\` or --no`,
        ...failures,
      ];
    case "Accepted":
      return ["  it is in force: its actions were done in the same transaction", ...failures];
    case "Rejected":
      return ["  it is closed, and nothing was done", ...failures];
    default:
      return failures;
  }
}

function messageLines(answer: unknown): string[] {
  const hasMessage = typeof answer === "object" && answer !== null && "message" in answer;
  return safeLines(hasMessage && typeof answer.message === "string" ? answer.message : JSON.stringify(answer));
}
