/**
 * What a simulation shows of its nodes, so that one set of checkers serves bare consensus and whole enclaves.
 *
 * A picture is taken after every step, that is, after one input to one node; it never changes afterwards. Seqnos count
 * from 1, so the entry at seqno s is `log[s - 1]`. A node that started from a snapshot shows the whole log nevertheless:
 * what it never held is committed, so whoever takes the picture has it from another node.
 */

import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import type { Leadership, RetirementPhase } from "../../shared/consensus/state.ts";
import type { Seqno, View } from "../../shared/tx_id.ts";

export interface LoggedEntry {
  readonly view: View;
  /** A signature. */
  readonly committable: boolean;
  /** Stands for this entry with all before it: equal (===) exactly where two logs are equal up to here. */
  readonly chain: number | string;
  /** The new configuration, sorted, where the entry changes it. */
  readonly members?: readonly NodeId[];
  /** The nodes, sorted, whose retirement the entry says to be committed. */
  readonly retiredCommitted?: readonly NodeId[];
}

export interface ActiveConfiguration {
  readonly seqno: Seqno;
  /** Sorted. */
  readonly members: readonly NodeId[];
}

export interface NodePicture {
  readonly id: NodeId;
  readonly view: View;
  readonly leader: NodeId | undefined;
  readonly leadership: Leadership;
  /** Undefined while the node is an active member. */
  readonly retirementPhase: RetirementPhase | undefined;
  readonly preVote: boolean;
  readonly log: readonly LoggedEntry[];
  readonly committed: Seqno;
  /** Signatures that are not committed yet, as consensus lists them. */
  readonly committable: readonly Seqno[];
  readonly configurations: readonly ActiveConfiguration[];
  /** What a leader knows of the others. */
  readonly peers: ReadonlyMap<NodeId, { readonly sent: Seqno; readonly match: Seqno }>;
}

/** What a node was given. */
export type StepEvent =
  | { readonly kind: "receive"; readonly from: NodeId; readonly message: RaftMessage }
  | { readonly kind: "tick"; readonly elapsedMs: number }
  | { readonly kind: "append" }
  | { readonly kind: "flush" }
  | { readonly kind: "nominate" }
  /** The node was made, forced to lead, or told a configuration from outside. */
  | { readonly kind: "start" };

export interface Step {
  readonly event: StepEvent;
  /** Undefined at the node's first step. */
  readonly before: NodePicture | undefined;
  readonly after: NodePicture;
  /** In this step, in order. */
  readonly sent: readonly { readonly to: NodeId; readonly message: RaftMessage }[];
  /** All nodes as they are now, those that crashed as they were last. */
  readonly nodes: ReadonlyMap<NodeId, NodePicture>;
  /** The cluster did not begin with one primary but with a configuration given to all (the old scenario command). */
  readonly withoutGenesis: boolean;
}

/** Something that must hold after every step. */
export interface Property {
  /** As consensus.md §24 calls it, or a name of our own. */
  readonly name: string;
  /** @returns what is wrong, as a sentence, or undefined */
  check(step: Step): string | undefined;
}

/** Half of the members and one more. */
export const quorumOf = (members: readonly NodeId[]): number => Math.floor(members.length / 2) + 1;

/** 0 for seqno 0 and beyond the end. */
export const viewAt = (picture: NodePicture, seqno: Seqno): View => picture.log[seqno - 1]?.view ?? 0;

/** Seqno of the last signature in the log, or 0. */
export const lastSignature = ({ log }: NodePicture): Seqno => lastSignatureUpTo(log, log.length);

/** Seqno of the last signature at or before `seqno`, or 0. */
export function lastSignatureUpTo(log: readonly LoggedEntry[], seqno: Seqno): Seqno {
  while (seqno > 0 && log[seqno - 1]?.committable !== true) seqno--;
  return seqno;
}

/** Whether a log goes as far as `seqno` and equals another up to there. */
export function holds(picture: NodePicture | undefined, log: readonly LoggedEntry[], seqno: Seqno): boolean {
  return seqno === 0 || (picture !== undefined && sameUpTo(picture.log, log, seqno));
}

/** Whether two logs are equal up to a seqno that both have. */
export function sameUpTo(a: readonly LoggedEntry[], b: readonly LoggedEntry[], seqno: Seqno): boolean {
  return seqno === 0 || (seqno <= a.length && seqno <= b.length && a[seqno - 1]!.chain === b[seqno - 1]!.chain);
}

/** Whether the whole of one log is the beginning of another. */
export const isPrefix = (shorter: readonly LoggedEntry[], longer: readonly LoggedEntry[]): boolean =>
  sameUpTo(shorter, longer, shorter.length);

/** How many of the members hold a log up to `seqno`. */
export function holders(step: Step, members: readonly NodeId[], log: readonly LoggedEntry[], seqno: Seqno): number {
  return members.filter((id) => holds(step.nodes.get(id), log, seqno)).length;
}

/** The configurations that a log makes active at a commit, consensus.md §17; `given` was told from outside. */
export function configurationsOf(
  log: readonly LoggedEntry[],
  committed: Seqno,
  given?: ActiveConfiguration,
): ActiveConfiguration[] {
  const all = given === undefined ? [] : [given];
  log.forEach(({ members }, at) => {
    if (members !== undefined && (all.length === 0 || !sameMembers(members, all.at(-1)!.members))) {
      all.push({ seqno: at + 1, members });
    }
  });
  const current = all.findLastIndex(({ seqno }) => seqno <= committed);
  return all.slice(Math.max(current, 0));
}

/** Both sorted. */
export function sameMembers(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id, at) => id === b[at]);
}

/** Nodes whose retirement is committed for good, as a log says. */
export function retiredIn({ log, committed }: NodePicture): Set<NodeId> {
  return new Set(log.slice(0, committed).flatMap(({ retiredCommitted }) => retiredCommitted ?? []));
}
