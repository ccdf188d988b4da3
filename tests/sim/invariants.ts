/**
 * The invariants and action properties of consensus.md §24, one function each.
 *
 * In: a step of one node and a picture of all. Out: what is wrong, as a sentence. Nothing here knows how nodes work.
 * Only the node that made the step has changed, so most look at this one and compare it with the others.
 */

import type { NodeId } from "../../shared/consensus/messages.ts";
import type { Seqno, View } from "../../shared/tx_id.ts";
import {
  configurationsOf,
  holders,
  isPrefix,
  lastSignature,
  type LoggedEntry,
  type NodePicture,
  type Property,
  quorumOf,
  sameMembers,
  sameUpTo,
  type Step,
  viewAt,
} from "./picture.ts";

/** A new set, since some remember what happened before. */
export function specificationProperties(): Property[] {
  return [
    { name: "LogInv", check: logInv },
    { name: "MoreThanOneLeaderInv", check: moreThanOneLeaderInv() },
    { name: "ElectionSafetyInv", check: electionSafetyInv },
    { name: "LogMatchingInv", check: logMatchingInv },
    { name: "QuorumLogInv", check: quorumLogInv },
    { name: "LeaderCompletenessInv", check: leaderCompletenessInv() },
    { name: "CandidateTermNotInLogInv", check: candidateTermNotInLogInv },
    { name: "SignatureInv", check: signatureInv },
    { name: "TypeInv", check: typeInv },
    { name: "MonoTermInv", check: monoTermInv },
    { name: "MonoLogInv", check: monoLogInv },
    { name: "NoLeaderBeforeInitialTerm", check: noLeaderBeforeInitialTerm },
    { name: "LogConfigurationConsistentInv", check: logConfigurationConsistentInv },
    { name: "MembershipStateConsistentInv", check: membershipStateConsistentInv },
    { name: "CommitCommittableIndices", check: commitCommittableIndices },
    { name: "ReplicationInv", check: replicationInv },
    { name: "RetiredCommittedInv", check: retiredCommittedInv },
    { name: "RetirementCompletedNotInConfigsInv", check: retirementCompletedNotInConfigsInv },
    { name: "CommittedLogAppendOnlyProp", check: committedLogAppendOnlyProp },
    { name: "MonotonicTermProp", check: monotonicTermProp },
    { name: "MonotonicMatchIndexProp", check: monotonicMatchIndexProp },
    { name: "PermittedLogChangesProp", check: permittedLogChangesProp },
    { name: "StateTransitionsProp", check: stateTransitionsProp },
    { name: "MembershipStateTransitionsProp", check: membershipStateTransitionsProp },
    { name: "PendingBecomesFollowerProp", check: pendingBecomesFollowerProp },
    { name: "NeverCommitEntryPrevTermsProp", check: neverCommitEntryPrevTermsProp },
    { name: "RefinementToAbsProp", check: refinementToAbsProp },
  ];
}

// State invariants.

/** Of two committed logs, one is the beginning of the other. */
function logInv({ after, nodes }: Step): string | undefined {
  for (const other of nodes.values()) {
    const both = Math.min(after.committed, other.committed);
    if (!sameUpTo(after.log, other.log, both)) {
      return `${after.id} and ${other.id} committed different entries up to ${both}`;
    }
  }
  return undefined;
}

/** A view has one leader, ever: nodes that led it before count too, which is more than §24 asks. */
function moreThanOneLeaderInv(): Property["check"] {
  const leaders = new Map<View, NodeId>();
  return ({ after }) => {
    if (after.leadership !== "Leader") return undefined;
    const known = leaders.get(after.view);
    leaders.set(after.view, after.id);
    return known === undefined || known === after.id ? undefined : `${known} and ${after.id} lead view ${after.view}`;
  };
}

/** In the form that §24 says is meant: of entries of a leader's view, nobody has more than the leader. */
function electionSafetyInv({ after, nodes }: Step): string | undefined {
  for (const leader of nodes.values()) {
    if (leader.leadership !== "Leader") continue;
    for (const other of leader === after ? nodes.values() : [after]) {
      if (other.log.length > leader.log.length && other.log.at(-1)!.view === leader.view) {
        return `${other.id} has entries of view ${leader.view} that its leader ${leader.id} does not have`;
      }
    }
  }
  return undefined;
}

/** One view at one seqno: one log up to there. The highest such seqno of two logs speaks for all below. */
function logMatchingInv({ after, nodes }: Step): string | undefined {
  for (const other of nodes.values()) {
    let seqno = Math.min(after.log.length, other.log.length);
    while (seqno > 0 && after.log[seqno - 1]!.view !== other.log[seqno - 1]!.view) seqno--;
    if (!sameUpTo(after.log, other.log, seqno)) {
      return `${after.id} and ${other.id} have different entries at or before ${viewAt(after, seqno)}.${seqno}`;
    }
  }
  return undefined;
}

/** Every quorum of a node's current configuration has a member that holds all the node committed. */
function quorumLogInv(step: Step): string | undefined {
  for (const { id, configurations, log, committed } of step.nodes.values()) {
    const members = configurations[0]?.members;
    if (members === undefined) continue;
    const without = members.length - holders(step, members, log, committed);
    if (without >= quorumOf(members)) {
      return `${id} committed ${committed}, which ${without} of the members ${members.join(" ")} do not hold`;
    }
  }
  return undefined;
}

/**
 * A leader has all that was committed in its view or before.
 *
 * The specification looks at the views of committed entries instead, which a deposed leader may lack: an entry of an older
 * view that was committed by a newer one (the Raft paper's figure 8). So commits are remembered with the view in which
 * a leader made them.
 */
function leaderCompletenessInv(): Property["check"] {
  const commits: { readonly view: View; readonly seqno: Seqno; readonly log: readonly LoggedEntry[] }[] = [];
  return ({ before, after, nodes }) => {
    if (after.leadership === "Leader" && after.committed > (before?.committed ?? 0)) {
      commits.push({ view: after.view, seqno: after.committed, log: after.log });
      for (const other of nodes.values()) {
        if (
          other.leadership === "Leader" && other.view > after.view && !sameUpTo(other.log, after.log, after.committed)
        ) {
          return `${other.id}, leader of view ${other.view}, lacks what ${after.id} committed up to ${after.committed}`;
        }
      }
    }
    if (after.leadership !== "Leader" || (before?.leadership === "Leader" && before.view === after.view)) {
      return undefined;
    }
    for (const { view, seqno, log } of commits) {
      if (view <= after.view && !sameUpTo(after.log, log, seqno)) {
        return `${after.id}, leader of view ${after.view}, lacks what was committed in view ${view} up to ${seqno}`;
      }
    }
    return undefined;
  };
}

/** Whoever has the votes for a view is the first to write in it: looked at when it comes to lead. */
function candidateTermNotInLogInv({ event, before, after, nodes }: Step): string | undefined {
  if (after.leadership !== "Leader" || before?.leadership === "Leader" || event.kind === "start") return undefined;
  for (const { id, log } of nodes.values()) {
    let seqno = log.length;
    while (seqno > 0 && log[seqno - 1]!.view > after.view) seqno--;
    // A leader may sign in the step in which it is elected.
    const isOwn = id === after.id && seqno > before!.log.length;
    if (log[seqno - 1]?.view === after.view && !isOwn) {
      return `${after.id} was elected in view ${after.view}, of which ${id} has an entry already`;
    }
  }
  return undefined;
}

function signatureInv({ after }: Step): string | undefined {
  return after.committed === 0 || after.log[after.committed - 1]?.committable === true
    ? undefined
    : `${after.id} committed ${after.committed}, which is not a signature in its log`;
}

/** Numbers are in their ranges, lists in order, and nobody writes to itself. */
function typeInv({ after, sent }: Step): string | undefined {
  const { id, view, log, committed, committable, configurations } = after;
  if (!Number.isSafeInteger(view) || view < 0) return `${id} is in view ${view}`;
  if (committed < 0 || committed > log.length) return `${id} committed ${committed} of ${log.length} entries`;
  if (log.length > 0 && log.at(-1)!.view < 1) return `${id} has an entry of view ${log.at(-1)!.view}`;
  const isAscending = (list: readonly Seqno[]) => list.every((seqno, at) => at === 0 || seqno > list[at - 1]!);
  if (!isAscending(committable)) return `${id} lists signatures out of order: ${committable.join(" ")}`;
  if (!isAscending(configurations.map(({ seqno }) => seqno))) return `${id} lists configurations out of order`;
  return sent.some(({ to }) => to === id) ? `${id} sent a message to itself` : undefined;
}

function monoTermInv({ after, sent }: Step): string | undefined {
  const wrong = sent.find(({ message }) => message.view > after.view);
  return wrong && `${after.id} sent a message of view ${wrong.message.view} in view ${after.view}`;
}

/** Views in a log rise only after a signature. What the log had before this step was looked at before. */
function monoLogInv({ before, after, withoutGenesis }: Step): string | undefined {
  const last = after.log.at(-1);
  if (last !== undefined && last.view > after.view) {
    return `${after.id} has an entry of view ${last.view} in view ${after.view}`;
  }
  for (let at = after.log.length - 1; at > 0; at--) {
    const [earlier, later] = [after.log[at - 1]!, after.log[at]!];
    if (before?.log[at]?.chain === later.chain) break;
    if (later.view < earlier.view) return `${after.id} has view ${later.view} after ${earlier.view} at seqno ${at + 1}`;
    // A cluster without genesis may elect before anything is committed; then nothing is dropped (§12).
    if (later.view > earlier.view && !earlier.committable && !withoutGenesis) {
      return `${after.id} has view ${later.view} at seqno ${at + 1} after an entry that is not a signature`;
    }
  }
  return undefined;
}

function noLeaderBeforeInitialTerm({ after, withoutGenesis }: Step): string | undefined {
  return after.leadership === "Leader" && after.view < 2 && !withoutGenesis
    ? `${after.id} leads view ${after.view}; the first view is 2`
    : undefined;
}

/** The active configurations are what the log says at this commit, no more and no less. */
function logConfigurationConsistentInv({ before, after }: Step): string | undefined {
  if (before?.log === after.log && before.committed === after.committed) return undefined;
  const { configurations } = after;
  if (configurations.length === 0 && (after.leadership === "None" || after.leadership === "Follower")) {
    return after.log.some(({ members }) => members !== undefined)
      ? `${after.id} has no configuration, and its log has one`
      : undefined;
  }
  const expected = configurationsOf(after.log, after.committed, configurations.find(({ seqno }) => seqno === 0));
  // A node that began with a snapshot knows its first configuration from there, not from the entry.
  const isPlace = (at: number) =>
    configurations[at]!.seqno === expected[at]!.seqno ||
    (at === 0 && configurations[at]!.seqno > expected[at]!.seqno && configurations[at]!.seqno <= after.committed);
  const same = expected.length === configurations.length &&
    expected.every(({ members }, at) => isPlace(at) && sameMembers(members, configurations[at]!.members));
  const show = (list: NodePicture["configurations"]) =>
    list.map(({ seqno, members }) => `{${members.join(" ")}} of ${seqno}`).join(", ");
  return same
    ? undefined
    : `${after.id} has the configurations ${show(configurations)}; its log says ${show(expected)}`;
}

/** The retirement phase is what the log says at this commit. */
function membershipStateConsistentInv({ before, after }: Step): string | undefined {
  if (before?.log !== after.log || before.committed !== after.committed || before.leadership !== after.leadership) {
    const expected = phaseOf(after);
    if (expected === "came back") return undefined;
    if (expected !== after.retirementPhase) {
      return `${after.id} is ${after.retirementPhase ?? "Active"}; its log says ${expected ?? "Active"}`;
    }
  }
  if (after.retirementPhase !== "RetiredCommitted") return undefined;
  return after.leadership === "None" || after.leadership === "Follower"
    ? undefined
    : `${after.id} is ${after.leadership}, and its retirement is known to be committed`;
}

/** Scenarios may list a removed node again, which no network does: then its phase is nobody's business. */
function phaseOf({ id, log, committed, configurations }: NodePicture): NodePicture["retirementPhase"] | "came back" {
  let latest = configurations.find(({ seqno }) => seqno === 0)?.members;
  let removed: Seqno = 0;
  let signed: Seqno = 0;
  let retired: Seqno = 0;
  for (let seqno = 1; seqno <= log.length; seqno++) {
    const { members, committable, retiredCommitted } = log[seqno - 1]!;
    if (members !== undefined) {
      const isMember = members.includes(id);
      if (removed > 0 && isMember) return "came back";
      if (latest?.includes(id) && !isMember) removed = seqno;
      latest = members;
    }
    if (committable) signed = seqno;
    if (retiredCommitted?.includes(id) && seqno <= committed) retired = seqno;
  }
  if (removed === 0) return undefined;
  if (signed < removed) return "Ordered";
  if (committed < removed) return "Signed";
  return retired === 0 ? "Completed" : "RetiredCommitted";
}

/** What is listed for commit are signatures beyond the commit. */
function commitCommittableIndices({ after }: Step): string | undefined {
  const { id, log, committed, committable } = after;
  const wrong = committable.find((seqno) => seqno <= committed || log[seqno - 1]?.committable !== true);
  return wrong === undefined
    ? undefined
    : `${id} would commit ${wrong}, which is no signature after ${committed} in its log`;
}

function replicationInv(step: Step): string | undefined {
  let best = step.after;
  for (const other of step.nodes.values()) if (other.committed > best.committed) best = other;
  const { id, log, committed } = best;
  const members = best.configurations.findLast(({ seqno }) => seqno <= committed)?.members;
  if (members === undefined || holders(step, members, log, committed) >= quorumOf(members)) return undefined;
  return `${id} committed ${committed}, which no quorum of ${members.join(" ")} holds`;
}

/** Whoever leads says only of removals that it has committed that they are. */
function retiredCommittedInv({ event, after }: Step): string | undefined {
  const named = after.log.at(-1)?.retiredCommitted;
  if (event.kind !== "append" || named === undefined) return undefined;
  const wrong = named.find((id) => phaseOf({ ...after, id }) !== "Completed");
  return wrong && `${after.id} says that ${wrong} is retired for good, which its log does not say`;
}

/** Whose removal a node has committed is in none of its configurations. */
function retirementCompletedNotInConfigsInv({ before, after }: Step): string | undefined {
  if (before?.committed === after.committed && before.configurations.length === after.configurations.length) {
    return undefined;
  }
  for (const id of new Set(after.configurations.flatMap(({ members }) => members))) {
    const phase = phaseOf({ ...after, id });
    if (phase === "Completed" || phase === "RetiredCommitted") {
      return `${after.id} committed the removal of ${id} and has it in a configuration`;
    }
  }
  return undefined;
}

// What a step may change.

function committedLogAppendOnlyProp({ before, after }: Step): string | undefined {
  if (before === undefined) return undefined;
  if (after.committed < before.committed) {
    return `${after.id} went back from commit ${before.committed} to ${after.committed}`;
  }
  return sameUpTo(before.log, after.log, before.committed)
    ? undefined
    : `${after.id} changed its log at or before its commit ${before.committed}`;
}

function monotonicTermProp({ before, after }: Step): string | undefined {
  return before !== undefined && after.view < before.view
    ? `${after.id} went back from view ${before.view} to ${after.view}`
    : undefined;
}

const stillLeads = ({ before, after }: Step): boolean =>
  before?.leadership === "Leader" && after.leadership === "Leader" && before.view === after.view;

function monotonicMatchIndexProp(step: Step): string | undefined {
  if (!stillLeads(step)) return undefined;
  for (const [peer, { match }] of step.before!.peers) {
    const now = step.after.peers.get(peer)?.match ?? match;
    if (now < match) return `${step.after.id} matched ${peer} up to ${match} and now only up to ${now}`;
  }
  return undefined;
}

/** A leader only appends; whoever becomes one keeps exactly what is signed; a candidate changes nothing. */
function permittedLogChangesProp({ before, after, withoutGenesis }: Step): string | undefined {
  if (before === undefined || before.log === after.log) return undefined;
  if (after.leadership === "None" || after.leadership === "Follower") return undefined;
  if (before.leadership === "Leader" && after.leadership === "Leader") {
    return isPrefix(before.log, after.log) ? undefined : `${after.id} leads and did not only append to its log`;
  }
  // Quirk: before anything is committed nothing is dropped (§12); after a genesis nobody is elected that early.
  const drops = after.leadership === "Leader" && !(withoutGenesis && before.committed === 0);
  const kept = drops ? lastSignature(before) : before.log.length;
  // A node whose first input makes it primary may append in the same step.
  if (before.leadership === "None" && isPrefix(before.log, after.log)) return undefined;
  return after.log.length === kept && isPrefix(after.log, before.log)
    ? undefined
    : `${after.id} became ${after.leadership} and has a log of ${after.log.length} entries; ${kept} were to be kept`;
}

/** Several moves may happen in one step: whoever is a quorum alone goes from Follower to Leader in one. */
function stateTransitionsProp({ event, before, after, withoutGenesis }: Step): string | undefined {
  if (before === undefined) return undefined;
  const [from, to] = [before.leadership, after.leadership];
  const wrong = (why: string) =>
    `${after.id} went from ${from} in view ${before.view} to ${to} in view ${after.view}: ${why}`;
  if (to === "None" && from !== "None" && after.retirementPhase !== "RetiredCommitted") {
    return wrong("it is not retired for good");
  }
  // Where all were told who the members are, there is nobody to follow first.
  if (from === "None" && to !== "None" && to !== "Follower" && event.kind !== "start" && !withoutGenesis) {
    return wrong("it has to follow first");
  }
  if (from === "Leader" && to !== "Leader" && to !== "Follower" && to !== "None") {
    return wrong("it has to follow first");
  }
  if (from === "Leader" && to === "Leader" && after.view !== before.view) return wrong("it has to be elected");
  if (to === "PreVoteCandidate" && !after.preVote) return wrong("it runs without pre-votes");
  if (from !== to && (to === "Candidate" || to === "Leader") && from !== "Candidate" && after.view === before.view) {
    return wrong("a candidate begins a new view");
  }
  const proposed = event.kind === "receive" && event.message.kind === "propose request vote";
  const isQuorumAlone = after.configurations.every(({ members }) => quorumOf(members) === 1 && members[0] === after.id);
  if (from === "Follower" && to === "Candidate" && after.preVote && !proposed && !isQuorumAlone) {
    return wrong("it has to ask for pre-votes first");
  }
  return undefined;
}

function membershipStateTransitionsProp({ before, after }: Step): string | undefined {
  return before?.retirementPhase === "RetiredCommitted" && after.retirementPhase !== "RetiredCommitted"
    ? `${after.id} was retired for good and is ${after.retirementPhase ?? "Active"}`
    : undefined;
}

function pendingBecomesFollowerProp({ event, before, after }: Step): string | undefined {
  if (before?.leadership !== "None" || after.leadership !== "None" || event.kind === "start") return undefined;
  if (after.retirementPhase === "RetiredCommitted") return undefined;
  return before.configurations.length === 0 && after.configurations.some(({ members }) => members.includes(after.id))
    ? `${after.id} is a member and does not follow`
    : undefined;
}

function neverCommitEntryPrevTermsProp({ before, after }: Step): string | undefined {
  if (before?.leadership !== "Leader" || after.committed <= before.committed || after.view !== before.view) {
    return undefined;
  }
  const view = viewAt(after, after.committed);
  return view === after.view
    ? undefined
    : `${after.id} leads view ${after.view} and committed ${view}.${after.committed}`;
}

/** Of what is committed anywhere, only a leader makes more; all others take it over. */
function refinementToAbsProp({ before, after, nodes }: Step): string | undefined {
  if (after.committed <= (before?.committed ?? 0) || after.leadership === "Leader") return undefined;
  // A leader whose retirement is known with this commit leads no longer.
  if (before?.leadership === "Leader") return undefined;
  for (const other of nodes.values()) if (other !== after && other.committed >= after.committed) return undefined;
  return `${after.id} follows and committed ${after.committed}, which nobody has committed`;
}
