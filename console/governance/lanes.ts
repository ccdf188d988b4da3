/**
 * Which lane a proposal stands in for whoever looks, and who can still change it.
 *
 * In: records, members, whoever "me" is. Out: lanes, filtered. Pure.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { type ActionWords, proposalWords } from "../../shared/governance/proposal_words.ts";
import { plainVote } from "../../shared/governance/request_words.ts";
import type { BallotRecord, ProposalRecord } from "./proposals.ts";

export type LaneName = "needs me" | "open" | "decided" | "ended";

export const LANES: readonly { readonly name: LaneName; readonly title: string; readonly none: string }[] = [
  { name: "needs me", title: "Needs me", none: "Nothing waits for your vote." },
  { name: "open", title: "Open", none: "No other proposal is open." },
  { name: "decided", title: "Decided", none: "Nothing has been decided yet." },
  { name: "ended", title: "Expired or dropped", none: "None was withdrawn, and none was dropped by another." },
];

/** @param me member ID; undefined: nobody in particular, whom nothing waits for */
export function laneOf(
  record: ProposalRecord,
  me: string | undefined,
  activeMembers: readonly string[],
): LaneName {
  switch (record.state) {
    case "Accepted":
    case "Rejected":
    case "Failed":
      return "decided";
    case "Withdrawn":
    case "Dropped":
      return "ended";
    case "Open":
      return me !== undefined && mayVote(record, activeMembers).includes(me) ? "needs me" : "open";
  }
}

/** Active members who have not voted: a ballot cannot be changed, so they alone can still move an open proposal. */
export function mayVote({ state, ballots }: ProposalRecord, activeMembers: readonly string[]): readonly string[] {
  return state === "Open" ? activeMembers.filter((id) => !ballots.some(({ memberId }) => memberId === id)) : [];
}

export interface ProposalFilter {
  /** In the names of actions, arguments, the ID or the proposer's name. */
  readonly text?: string;
  readonly proposerId?: string;
  readonly action?: string;
}

/** @param nameOf what people call a member */
export function matches(
  record: ProposalRecord,
  filter: ProposalFilter,
  nameOf: (id: string) => string | undefined,
): boolean {
  if (filter.proposerId !== undefined && record.proposerId !== filter.proposerId) return false;
  const actions = actionsOf(record);
  if (filter.action !== undefined && !actions.some(({ name }) => name === filter.action)) return false;
  if (filter.text === undefined || filter.text === "") return true;
  const wanted = filter.text.toLowerCase();
  const words = [
    record.id,
    record.proposerId,
    nameOf(record.proposerId) ?? "",
    record.state,
    ...actions.flatMap(({ name, args }) => [name, ...args.flat()]),
  ];
  return words.some((word) => word.toLowerCase().includes(wanted));
}

const MAX_KEPT_WORDS = 2000;
const kept = new Map<string, readonly ActionWords[]>();

/** Actions in words; none where the text is missing or is no list of actions. */
export function actionsOf({ id, text }: ProposalRecord): readonly ActionWords[] {
  if (text === undefined) return [];
  const known = kept.get(id);
  if (known !== undefined) return known;
  const actions = wordsOf(text)?.actions ?? [];
  if (kept.size >= MAX_KEPT_WORDS) kept.clear();
  kept.set(id, actions);
  return actions;
}

/** undefined where the text is not JSON: a node would have refused it, unless its constitution takes more. */
export function wordsOf(text: Uint8Array): ReturnType<typeof proposalWords> | undefined {
  try {
    return proposalWords(fromUtf8Lenient(text));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** In one word: what it counted as, or what it always says, or that it has to be run. */
export function ballotWord({ text, counted, failure }: BallotRecord): string {
  if (failure !== undefined) return "counted as nothing: it failed";
  if (counted !== undefined) return counted ? "for" : "against";
  const plain = plainVote(text);
  return plain === undefined ? "a program: it decides anew at each count" : plain === "yes" ? "for" : "against";
}

export interface VoteCount {
  readonly yes: number;
  readonly no: number;
  /** Programs that only a count can tell, and those that failed in it. */
  readonly other: number;
}

export function voteCount({ ballots }: ProposalRecord): VoteCount {
  const words = ballots.map(ballotWord);
  const yes = words.filter((word) => word === "for").length;
  const no = words.filter((word) => word === "against").length;
  return { yes, no, other: words.length - yes - no };
}
