/**
 * Properties of our own: rules of consensus.md §7-§19 whose breach harms nothing at once, or is better named early.
 *
 * In: steps, all of them from the start, since votes, acknowledgements and silence are counted here a second time, from
 * the messages alone. Out: what is wrong, as a sentence. In a step with an event unknown to a rule the rule is silent.
 */

import type { NodeId, RaftMessage, RequestVote, RequestVoteResponse } from "../../shared/consensus/messages.ts";
import type { View } from "../../shared/tx_id.ts";
import {
  holders,
  isPrefix,
  lastSignature,
  type NodePicture,
  type Property,
  quorumOf,
  retiredIn,
  sameUpTo,
  type Step,
  viewAt,
} from "./picture.ts";

/** @param electionTimeoutMs that of all nodes */
export function ruleProperties(electionTimeoutMs: number): Property[] {
  return [
    { name: "OneVoteInAView", check: oneVoteInAView() },
    { name: "VotesAreGrantedByTheRule", check: votesAreGrantedByTheRule() },
    { name: "ElectedByEveryConfiguration", check: electedByEveryConfiguration() },
    { name: "RequestsNameTheLastSignature", check: requestsNameTheLastSignature },
    { name: "ViewsRiseForAReason", check: viewsRiseForAReason },
    { name: "LeaderHearsAQuorum", check: leaderHearsAQuorum(electionTimeoutMs) },
    { name: "AcknowledgesWhatWasSent", check: acknowledgesWhatWasSent },
    { name: "RefusalsMoveNothing", check: refusalsMoveNothing },
    { name: "MatchIsHeld", check: matchIsHeld },
    { name: "CommitHeldByEveryConfiguration", check: commitHeldByEveryConfiguration },
    { name: "TruncatesOnlyOnConflict", check: truncatesOnlyOnConflict },
    { name: "SignedSuffixIsKept", check: signedSuffixIsKept },
    { name: "EverySignatureMayBeCommitted", check: everySignatureMayBeCommitted },
    { name: "NominatesTheBest", check: nominatesTheBest },
  ];
}

const isVote = (message: RaftMessage): message is RequestVoteResponse =>
  message.kind === "request vote response" || message.kind === "request pre-vote response";

/** Who was voted for, as the answers say that were sent. A candidate votes for itself. */
class Votes {
  readonly #given = new Map<string, NodeId>();

  of(voter: NodeId, view: View): NodeId | undefined {
    return this.#given.get(`${voter} ${view}`);
  }

  /** @returns the votes of a step */
  note({ before, after, sent }: Step): { readonly candidate: NodeId; readonly view: View }[] {
    const votes = sent.filter(({ message }) => message.kind === "request vote response" && message.granted)
      .map(({ to, message }) => ({ candidate: to, view: message.view }));
    const stands = after.leadership === "Candidate" ||
      (after.leadership === "Leader" && before?.leadership !== "Leader");
    if (stands) votes.push({ candidate: after.id, view: after.view });
    for (const { candidate, view } of votes) this.#given.set(`${after.id} ${view}`, candidate);
    return votes;
  }
}

/** §12: one vote in a view, for good. */
function oneVoteInAView(): Property["check"] {
  const votes = new Votes();
  return (step) => {
    const { id, view } = step.after;
    const known = votes.of(id, view);
    const other = votes.note(step).find(({ candidate, view: votedIn }) => votedIn === view && candidate !== known);
    return known === undefined || other === undefined
      ? undefined
      : `${id} voted for ${known} and ${other.candidate} in view ${view}`;
  };
}

/** §12, receiving a request: granted or denied, there is exactly one answer, and it is the right one. */
function votesAreGrantedByTheRule(): Property["check"] {
  const votes = new Votes();
  const judge = ({ event, before, after, sent }: Step): string | undefined => {
    if (event.kind !== "receive" || before === undefined) return undefined;
    const { message: request, from } = event;
    if (request.kind !== "request vote" && request.kind !== "request pre-vote") return undefined;
    const answer = sent[0]?.message;
    const kind = request.kind === "request vote" ? "request vote response" : "request pre-vote response";
    if (sent.length !== 1 || sent[0]!.to !== from || answer === undefined || !isVote(answer) || answer.kind !== kind) {
      return `${after.id} did not answer a ${request.kind} of ${from} with one response`;
    }
    const why = reasonToDeny(before, from, request, votes.of(before.id, before.view));
    if (answer.granted === (why === undefined)) return undefined;
    // Ours: who is known to be retired for good is denied. Whoever began behind a snapshot may not know of it.
    if (!answer.granted && retiredIn(before).has(from)) return undefined;
    return answer.granted
      ? `${after.id} granted a ${request.kind} to ${from}, although ${why}`
      : `${after.id} denied a ${request.kind} to ${from} without a reason`;
  };
  return (step) => {
    const wrong = judge(step);
    votes.note(step);
    return wrong;
  };
}

/** @param given whom the voter has voted for in its view */
function reasonToDeny(
  voter: NodePicture,
  candidate: NodeId,
  request: RequestVote,
  given: NodeId | undefined,
): string | undefined {
  if (request.view < voter.view) return `its view ${request.view} is over`;
  if (request.kind === "request vote" && request.view === voter.view) {
    if (voter.leader !== undefined) return `${voter.leader} is known to lead view ${voter.view}`;
    if (given !== undefined && given !== candidate) return `${given} has its vote in view ${voter.view}`;
  }
  const own = lastSignature(voter);
  const [ownView, view] = [viewAt(voter, own), request.viewOfLastCommittable];
  return view < ownView || (view === ownView && request.lastCommittable < own)
    ? `its last signature ${view}.${request.lastCommittable} is behind ${ownView}.${own}`
    : undefined;
}

/** §12: a candidate counts votes, and a pre-vote candidate pre-votes, in each of its configurations. */
function electedByEveryConfiguration(): Property["check"] {
  interface Campaign {
    readonly view: View;
    readonly leadership: string;
    readonly voters: Set<NodeId>;
  }
  const campaigns = new Map<NodeId, Campaign>();
  return ({ event, before, after, sent }) => {
    const campaign = campaigns.get(after.id);
    if (event.kind === "receive" && campaign !== undefined) {
      const { message, from } = event;
      const counts = campaign.leadership === "Candidate" ? "request vote response" : "request pre-vote response";
      if (message.kind === counts && message.granted && message.view === campaign.view) campaign.voters.add(from);
    }
    const isRunning = after.leadership === "PreVoteCandidate" || after.leadership === "Candidate";
    const ran = before?.leadership === "PreVoteCandidate" || before?.leadership === "Candidate";
    const asked = sent.some(({ message }) => message.kind === "request vote" || message.kind === "request pre-vote");
    const moved = before?.leadership !== after.leadership || before.view !== after.view;
    if (isRunning && (asked || moved)) {
      campaigns.set(after.id, { view: after.view, leadership: after.leadership, voters: new Set([after.id]) });
    }
    if (!isRunning) campaigns.delete(after.id);
    const won =
      (before?.leadership === "PreVoteCandidate" && after.leadership === "Candidate" && event.kind === "receive" &&
        event.message.kind === "request pre-vote response") || (ran && after.leadership === "Leader");
    if (!won || campaign === undefined) return undefined;
    const lost = before.configurations.find(({ members }) =>
      members.filter((id) => campaign.voters.has(id)).length < quorumOf(members)
    );
    return lost && `${after.id} became ${after.leadership} with the votes of ${[...campaign.voters].join(" ")}, ` +
        `no quorum of ${lost.members.join(" ")}`;
  };
}

function requestsNameTheLastSignature({ after, sent }: Step): string | undefined {
  const last = lastSignature(after);
  for (const { message } of sent) {
    if (message.kind !== "request vote" && message.kind !== "request pre-vote") continue;
    if (message.lastCommittable !== last || message.viewOfLastCommittable !== viewAt(after, last)) {
      return `${after.id} asks for votes with ${message.viewOfLastCommittable}.${message.lastCommittable}; ` +
        `its last signature is ${viewAt(after, last)}.${last}`;
    }
  }
  return undefined;
}

/** Nobody raises the view but a candidate, so that a node which cannot win does not unseat who leads (§3, §12). */
function viewsRiseForAReason({ event, before, after }: Step): string | undefined {
  if (before === undefined || after.view <= before.view || event.kind === "start") return undefined;
  if (event.kind === "receive" && event.message.view === after.view) return undefined;
  return after.view === before.view + 1 && (after.leadership === "Candidate" || after.leadership === "Leader")
    ? undefined
    : `${after.id} went from view ${before.view} to ${after.view} without an election`;
}

/** §7: whoever has not heard from a quorum of each configuration for an election timeout leads no longer. */
function leaderHearsAQuorum(electionTimeoutMs: number): Property["check"] {
  const silences = new Map<NodeId, Map<NodeId, number>>();
  return ({ event, before, after }) => {
    if (after.leadership !== "Leader") {
      silences.delete(after.id);
      return undefined;
    }
    const began = before?.leadership !== "Leader";
    const silence = began ? new Map<NodeId, number>() : silences.get(after.id) ?? new Map<NodeId, number>();
    silences.set(after.id, silence);
    for (const peer of after.peers.keys()) if (!silence.has(peer)) silence.set(peer, 0);
    if (event.kind === "receive" && event.message.kind === "append entries response") silence.set(event.from, 0);
    if (event.kind !== "tick" || before?.leadership !== "Leader") return undefined;
    for (const [peer, ms] of silence) silence.set(peer, ms + event.elapsedMs);
    const heard = (id: NodeId) => id === after.id || (silence.get(id) ?? 0) < electionTimeoutMs;
    const lost = after.configurations.find(({ members }) => members.filter(heard).length < quorumOf(members));
    return lost &&
      `${after.id} still leads, and no quorum of ${lost.members.join(" ")} has answered for ${electionTimeoutMs} ms`;
  };
}

/** §10: OK speaks of the message, not of the log behind it, and is true. */
function acknowledgesWhatWasSent({ event, after, sent }: Step): string | undefined {
  if (event.kind !== "receive" || event.message.kind !== "append entries") return undefined;
  const { last, previous, previousView, viewOfEntries } = event.message;
  for (const { message } of sent) {
    if (message.kind !== "append entries response" || !message.success) continue;
    if (message.last !== last) return `${after.id} acknowledged ${message.last}; it was sent entries up to ${last}`;
    const expected = last === previous ? previousView : viewOfEntries;
    if (viewAt(after, last) !== expected) return `${after.id} acknowledged ${expected}.${last}, which it does not have`;
  }
  return undefined;
}

/** §11: a refusal says where to send from, and nothing about what is held. */
function refusalsMoveNothing({ event, before, after }: Step): string | undefined {
  if (event.kind !== "receive" || event.message.kind !== "append entries response" || event.message.success) {
    return undefined;
  }
  if (before?.leadership !== "Leader" || after.leadership !== "Leader") return undefined;
  if (after.committed !== before.committed) {
    return `${after.id} committed ${after.committed} on a refusal of ${event.from}`;
  }
  const [match, now] = [before.peers.get(event.from)?.match, after.peers.get(event.from)?.match];
  return match === now
    ? undefined
    : `${after.id} moved the match of ${event.from} from ${match} to ${now} on a refusal`;
}

/**
 * What a leader believes a peer to hold it holds, unless the peer has gone on to a later view.
 *
 * Otherwise the leader, which never goes back behind its belief, sends from a place that the peer refuses for ever.
 */
function matchIsHeld({ after, nodes }: Step): string | undefined {
  for (const leader of nodes.values()) {
    if (leader.leadership !== "Leader") continue;
    for (const [id, { match }] of leader.peers) {
      const peer = nodes.get(id);
      if ((leader !== after && peer !== after) || peer === undefined || peer.view > leader.view) continue;
      if (!sameUpTo(leader.log, peer.log, match)) {
        return `${leader.id} believes ${id} to hold ${match}, which it does not`;
      }
    }
  }
  return undefined;
}

/** §14: each configuration that was active counts, also one after what is committed. */
function commitHeldByEveryConfiguration(step: Step): string | undefined {
  const { before, after } = step;
  if (before?.leadership !== "Leader" || after.committed <= before.committed) return undefined;
  if (step.event.kind === "receive" && step.event.message.kind === "append entries") return undefined;
  const lost = before.configurations.find(({ members }) =>
    holders(step, members, after.log, after.committed) < quorumOf(members)
  );
  return lost && `${after.id} committed ${after.committed}, which no quorum of ${lost.members.join(" ")} holds`;
}

/** §10: entries that were there already, and a heartbeat, never shorten a log. */
function truncatesOnlyOnConflict({ event, before, after }: Step): string | undefined {
  if (event.kind !== "receive" || event.message.kind !== "append entries" || before === undefined) return undefined;
  const { previous, last, viewOfEntries, view } = event.message;
  // Whoever takes up a view, or stood for it, first drops what is not signed (§13). A pre-vote candidate changed nothing.
  const follows = before.view === view && before.leadership !== "Candidate";
  let kept = follows ? before.log.length : Math.min(before.log.length, lastSignature(before));
  if (view < before.view) kept = before.log.length;
  for (let seqno = previous + 1; seqno <= Math.min(last, kept); seqno++) {
    if (viewAt(before, seqno) !== viewOfEntries) kept = seqno - 1;
  }
  return sameUpTo(before.log, after.log, kept)
    ? undefined
    : `${after.id} dropped entries up to ${kept} that conflict with nothing it was sent`;
}

/** §13: without entries from a leader a log loses at most what no signature covers, and all of that. */
function signedSuffixIsKept({ event, before, after }: Step): string | undefined {
  if (before === undefined || after.log === before.log || isPrefix(before.log, after.log)) return undefined;
  if (event.kind === "receive" && event.message.kind === "append entries") return undefined;
  const signed = lastSignature(before);
  return after.log.length === signed && sameUpTo(before.log, after.log, signed)
    ? undefined
    : `${after.id} cut its log to ${after.log.length}; its last signature is ${signed}`;
}

/** §25: an election does not make a leader forget which older signatures it may commit. */
function everySignatureMayBeCommitted({ before, after }: Step): string | undefined {
  const { log, committed, committable } = after;
  if (before?.log === log && before.committed === committed && before.committable.length === committable.length) {
    return undefined;
  }
  let at = committable.length;
  for (let seqno = log.length; seqno > committed; seqno--) {
    if (log[seqno - 1]!.committable && committable[--at] !== seqno) {
      return `${after.id} does not list signature ${seqno}`;
    }
  }
  return undefined;
}

/**
 * §19: the peer that holds most; among equals one of the latest configuration.
 *
 * A leader nominates while it learns who is retired for good, so a nominee may be nobody's peer after this step.
 */
function nominatesTheBest({ event, before, after, sent }: Step): string | undefined {
  const nominee = sent.find(({ message }) => message.kind === "propose request vote")?.to;
  if (nominee === undefined || before === undefined) return undefined;
  if (!before.peers.has(nominee)) return `${after.id} nominated ${nominee}, which is none of its peers`;
  const acknowledged = event.kind === "receive" && event.message.kind === "append entries response"
    ? event.message.last
    : 0;
  const match = (id: NodeId) =>
    after.peers.get(id)?.match ??
      Math.max(before.peers.get(id)!.match, event.kind === "receive" && event.from === id ? acknowledged : 0);
  const rank = (id: NodeId) => before.configurations.findLast(({ members }) => members.includes(id))?.seqno ?? 0;
  for (const other of before.peers.keys()) {
    if (!after.peers.has(other)) continue;
    if (match(other) > match(nominee) || (match(other) === match(nominee) && rank(other) > rank(nominee))) {
      return `${after.id} nominated ${nominee}, which holds ${match(nominee)} and was last a member at ${
        rank(nominee)
      }; ` +
        `${other} holds ${match(other)} and was at ${rank(other)}`;
    }
  }
  return undefined;
}
