/**
 * Proposals as a member sees them: all of them, one with its votes, and what its ballots may still change.
 *
 * In: a node. Out: lines for a person, values for a machine. Nothing here signs anything.
 */

import { fromUtf8Lenient, toHex } from "../../../shared/bytes.ts";
import { FormatError } from "../../../shared/assert.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { safeText } from "../../../shared/governance/proposal_words.ts";
import { parseJsonBytes } from "../../../shared/json.ts";
import { UsageError } from "../exit.ts";
import type { GovernanceClient, Member, Proposal } from "./connection.ts";
import type { MemberSession } from "./context.ts";
import { subjectOf } from "./credentials.ts";
import { ballotLines, plainVote, proposalLines, shortId } from "../../../shared/governance/request_words.ts";

/** One proposal with everything that a member wants to know before voting. */
export interface ProposalView {
  readonly proposal: Proposal;
  /** The transaction as of which this holds. */
  readonly asOf: string | undefined;
  /** As it was proposed, byte for byte. */
  readonly payload: Uint8Array;
  readonly members: readonly Member[];
  /** By member ID. */
  readonly ballots: ReadonlyMap<string, string>;
}

/** No such proposal; the sentence says how to find others. */
export class UnknownProposal extends Error {
  override name = "UnknownProposal";
}

/**
 * The ID that begins with what the user typed.
 *
 * @throws UnknownProposal, or UsageError where it is no ID or begins several
 */
export async function resolveProposalId(node: GovernanceClient, prefix: string): Promise<string> {
  const wanted = prefix.toLowerCase();
  if (!/^[0-9a-f]{1,64}$/.test(wanted)) {
    throw new UsageError(`Cannot find proposal ${JSON.stringify(prefix)}: give its ID, or the first hex digits of it`);
  }
  if (wanted.length === 64) return wanted;
  const { value } = await node.proposals();
  const found = value.map(({ proposalId }) => proposalId).filter((id) => id.startsWith(wanted));
  if (found.length > 1) {
    throw new UsageError(`Cannot tell which proposal ${prefix} is: ${found.length} begin so; give more of the ID`);
  }
  if (found[0] !== undefined) return found[0];
  throw new UnknownProposal(
    `No proposal begins with ${prefix}: \`member list\` shows those that are open, and the last that was closed`,
  );
}

export async function viewProposal(node: GovernanceClient, proposalId: string): Promise<ProposalView> {
  const payload = await node.actions(proposalId);
  const { value: members } = await node.members();
  const ballots = new Map<string, string>();
  for (const { memberId } of members) {
    const ballot = await node.ballot(proposalId, memberId);
    if (ballot !== undefined) ballots.set(memberId, ballot);
  }
  // Last, so that no ballot is shown that this does not count.
  const { value: proposal, txId: asOf } = await node.proposal(proposalId);
  return { proposal, asOf, payload, members, ballots };
}

/** Active members who have not voted: the outcome may still depend on each. None where the proposal is closed. */
export function membersStillToVote({ proposal, members, ballots }: ProposalView): Member[] {
  if (proposal.proposalState !== "Open") return [];
  return members.filter(({ memberId, status }) => status === "Active" && !ballots.has(memberId));
}

/** `member list`. @param memberId whose votes to look for, if any */
export async function listProposals({ node, output }: MemberSession, memberId: string | undefined): Promise<void> {
  const { value: proposals, txId } = await node.proposals();
  const { value: members } = await node.members();
  const listed = [];
  for (const proposal of proposals) {
    const voted = memberId === undefined ? undefined : (await node.ballot(proposal.proposalId, memberId)) !== undefined;
    listed.push({ proposal, voted });
  }
  output.line(
    proposals.length === 0
      ? `There is no proposal${asOfWords(txId)}`
      : `${count(proposals.length, "proposal")}${asOfWords(txId)}`,
  );
  for (const { proposal: { proposalId, proposalState, proposerId, ballotCount }, voted } of listed) {
    const own = voted === undefined ? "" : voted ? ", you have voted" : ", you have not voted";
    output.line(
      `  ${shortId(proposalId)}  ${proposalState.padEnd(9)}  by ${nameOf(members, proposerId)}, ${
        count(ballotCount, "ballot")
      }${own}`,
    );
  }
  output.document({
    as_of: txId ?? null,
    proposals: listed.map(({ proposal, voted }) => ({
      ...proposalDocument(proposal, members),
      ...(voted !== undefined && { you_voted: voted }),
    })),
  });
}

/** `member show`. */
export async function showProposal({ node, output, primitives }: MemberSession, proposalId: string): Promise<void> {
  const view = await viewProposal(node, proposalId);
  const digest = toHex(primitives.sha256(view.payload));
  for (const line of [...proposalHead(view, digest), ...voteLines(view)]) output.line(line);
  const { proposal, members, ballots } = view;
  output.document({
    as_of: view.asOf ?? null,
    ...proposalDocument(proposal, members),
    payload_sha256: digest,
    payload: jsonOrText(view.payload),
    ballots: [...ballots].map(([member, source]) => ({
      member_id: member,
      name: nameOf(members, member),
      plain_vote: plainVote(source) ?? null,
      source,
    })),
    final_votes: proposal.finalVotes ?? null,
    vote_failures: proposal.voteFailures ?? null,
    still_to_vote: membersStillToVote(view).map(({ memberId }) => ({
      member_id: memberId,
      name: nameOf(members, memberId),
    })),
  });
}

/** What it is: state, proposer, actions. @param digest of the payload, hex */
export function proposalHead({ proposal, asOf, payload, members }: ProposalView, digest: string): string[] {
  return [
    `Proposal ${proposal.proposalId}`,
    `  ${proposal.proposalState}${asOfWords(asOf)}, proposed by ${nameOf(members, proposal.proposerId)}`,
    `  payload: ${payload.length} bytes, SHA-256 ${digest}`,
    ...proposalLines(payload).map((line) => `  ${line}`),
  ];
}

/** Who voted what, whose vote is missing, and whether that is the end of it. */
function voteLines(view: ProposalView): string[] {
  const { proposal, members, ballots } = view;
  const lines = [...ballots].flatMap(([member, source]) => {
    const [first, ...rest] = ballotLines(source);
    return [`  ${nameOf(members, member)} ${first}${finalWords(proposal, member)}`, ...rest.map((line) => `  ${line}`)];
  });
  const departed = Object.keys(proposal.finalVotes ?? {}).filter((id) => !ballots.has(id));
  const finals = departed.map((id) => `  ${nameOf(members, id)}${finalWords(proposal, id)}`);
  const missing = membersStillToVote(view).map(({ memberId }) => nameOf(members, memberId));
  const outlook = proposal.proposalState !== "Open" ? [] : [
    `  still to vote: ${missing.length === 0 ? "nobody" : missing.join(", ")}`,
    "  ballots are programs and are counted anew with each one that arrives, so even these may come out otherwise",
  ];
  const gone = proposal.ballotCount - ballots.size;
  const departing = gone > 0 ? [`  and ${count(gone, "ballot")} of members who have left since`] : [];
  return [`  ${count(proposal.ballotCount, "ballot")}`, ...lines, ...finals, ...departing, ...outlook];
}

/** How a ballot was counted when the proposal closed. */
function finalWords({ finalVotes, voteFailures }: Proposal, memberId: string): string {
  const failure = voteFailures !== undefined && Object.hasOwn(voteFailures, memberId)
    ? voteFailures[memberId]
    : undefined;
  if (failure !== undefined) return `, which failed: ${safeText(failure.reason)}`;
  if (finalVotes === undefined || !Object.hasOwn(finalVotes, memberId)) return "";
  return `, counted as ${finalVotes[memberId] ? "yes" : "no"}`;
}

/** What members call each other: the name in the member's data, else in its certificate; and the beginning of its ID. */
export function nameOf(members: readonly Member[], memberId: string): string {
  const member = members.find((each) => each.memberId === memberId);
  const name = member === undefined ? undefined : dataName(member) ?? certificateName(member);
  return name === undefined ? shortId(memberId) : `${safeText(name)} (${shortId(memberId)})`;
}

function dataName({ memberData }: Member): string | undefined {
  if (typeof memberData !== "object" || memberData === null || !("name" in memberData)) return undefined;
  return typeof memberData.name === "string" && memberData.name !== "" ? memberData.name : undefined;
}

function certificateName({ certificate }: Member): string | undefined {
  if (certificate === undefined) return undefined;
  try {
    return subjectOf(parseCertificatePem(certificate)).replace(/^CN=(?=[^,]+$)/, "");
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function proposalDocument(proposal: Proposal, members: readonly Member[]): Record<string, unknown> {
  return {
    proposal_id: proposal.proposalId,
    state: proposal.proposalState,
    proposer_id: proposal.proposerId,
    proposer: nameOf(members, proposal.proposerId),
    ballot_count: proposal.ballotCount,
  };
}

function jsonOrText(payload: Uint8Array): unknown {
  try {
    return parseJsonBytes(payload);
  } catch (error) {
    if (error instanceof FormatError) return fromUtf8Lenient(payload);
    throw error;
  }
}

function asOfWords(txId: string | undefined): string {
  return txId === undefined ? "" : ` as of transaction ${safeText(txId)}`;
}

export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
