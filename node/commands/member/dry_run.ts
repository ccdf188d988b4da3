/**
 * `--dry-run` of `member propose` and `member show`: what would become of a proposal, asked of the node and shown.
 *
 * In: a proposal's bytes, or the ID of an open one. Out: sentences, changed rows, warnings. The question is signed, under a
 * type of its own that no service takes for a proposal, and shown before as every request is.
 */

import { fromUtf8 } from "../../../shared/bytes.ts";
import { finishMemberRequest, prepareMemberRequest } from "../../../shared/governance/member_request.ts";
import { safeText, valueWords } from "../../../shared/governance/proposal_words.ts";
import { anything, boolean, listOf, object, type Of, text } from "../../../shared/json_shape.ts";
import { parseJsonBytes } from "../../../shared/json.ts";
import { ExitCode } from "../exit.ts";
import { createdAtOf, type MemberSession, showBeforeSigning } from "./context.ts";
import { signRequest } from "./credentials.ts";
import type { Signatory } from "./requests.ts";

const DRY_RUN = object({
  asOf: text,
  validation: object({ valid: boolean }),
  inWords: listOf(text),
  warnings: listOf(text),
  changes: listOf(object({ table: text, key: text }, { before: anything, after: anything })),
});

/** What to try: a new proposal, or one that is open already, with the ballots that it has. */
export type Trial = { readonly proposal: Uint8Array } | { readonly proposalId: string };

/** Answers exit code 1 where the proposal is invalid. @throws Declined, Refusal, Unreachable */
export async function tryProposal(session: MemberSession, by: Signatory, trial: Trial): Promise<number> {
  const { identity, key } = by;
  const proposal = "proposal" in trial ? trial.proposal : new Uint8Array(0);
  const createdAt = createdAtOf(by.createdAtSeconds, session);
  const prepared = prepareMemberRequest({ kind: "proposal_dry_run", proposal }, identity, createdAt);
  if ("proposal" in trial) showBeforeSigning(session, identity, prepared);
  const request = finishMemberRequest(prepared, signRequest(key, prepared));
  const target = "proposalId" in trial ? `${request.target}&proposalId=${trial.proposalId}` : request.target;
  const { body } = await session.node.send({ ...request, target });
  const answer = DRY_RUN(parseJsonBytes(body), "");
  for (const line of dryRunLines(answer)) session.output.line(line);
  session.output.document(JSON.parse(fromUtf8(body)));
  return answer.validation.valid ? ExitCode.done : ExitCode.refused;
}

function dryRunLines({ asOf, inWords, warnings, changes }: Of<typeof DRY_RUN>): string[] {
  return [
    `Tried as of transaction ${safeText(asOf)}; nothing of it was kept`,
    ...inWords.map((sentence) => `  ${safeText(sentence)}`),
    ...warnings.map((sentence) => `  Warning: ${safeText(sentence)}`),
    ...(changes.length === 0 ? [] : ["  It would change"]),
    ...changes.flatMap(({ table, key, before, after }) => [
      `    ${safeText(table)} ${safeText(key)}`,
      `      before: ${before === undefined ? "nothing" : valueWords(before)}`,
      `      after:  ${after === undefined ? "nothing" : valueWords(after)}`,
    ]),
  ];
}
