/**
 * Faults for consensus, each a small change of its source: proof that the checkers can fail.
 *
 * In: nothing. Out: a table; planted_faults_test.ts makes a copy of consensus with one of them and runs schedules on it.
 * Each is a mistake that an implementation of Raft has made or may make: consensus.md §25, and those found here.
 */

import type { PlantedFault } from "./planted_copies.ts";

export interface ConsensusFault extends PlantedFault {
  /** What comes of it shows too, even where no property is checked but those of `HARM`. */
  readonly doesHarm?: true;
  /** A scenario in tests/scenarios/ that must fail as well. */
  readonly scenario?: string;
}

/** Schedules, from seed 1 on, within which each fault must be caught. */
export const SCHEDULES = 150;

/** Schedules within which harm is done, and in which consensus without a fault fails nowhere. */
export const HARM_SCHEDULES = 1000;

/** Nodes disagree about what is committed or who leads. That nothing goes on any more is found without being named. */
export const HARM = ["LogInv", "CommittedLogAppendOnlyProp", "MoreThanOneLeaderInv", "LeaderCompletenessInv"];

const QUORUM_IN_EACH = "if (!state.isQuorumInEach((id) => state.voters.has(id))) return;";

export const PLANTED_FAULTS: readonly ConsensusFault[] = [
  {
    name: "votes counted over the union of configurations",
    file: "shared/consensus/elections.ts",
    changes: [{
      find: QUORUM_IN_EACH,
      replace: `const union = new Set(state.configurations.flatMap(({ members }) => [...members.keys()]));
        if ([...union].filter((id) => state.voters.has(id)).length <= union.size / 2) return;`,
    }],
    doesHarm: true,
    caughtBy: ["ElectedByEveryConfiguration"],
  },
  {
    name: "votes counted over the latest configuration only",
    file: "shared/consensus/elections.ts",
    changes: [{
      find: QUORUM_IN_EACH,
      replace: `const latest = [...state.configurations.at(-1)!.members.keys()];
        if (latest.filter((id) => state.voters.has(id)).length <= latest.length / 2) return;`,
    }],
    doesHarm: true,
    caughtBy: ["ElectedByEveryConfiguration"],
  },
  {
    name: "commit over the latest configuration only",
    file: "shared/consensus/log.ts",
    changes: [{
      find: "const agreedIn = state.configurations.map(",
      replace: "const agreedIn = state.configurations.slice(-1).map(",
    }],
    doesHarm: true,
    caughtBy: ["CommitHeldByEveryConfiguration", "QuorumLogInv"],
    scenario: "every_configuration_commits",
  },
  {
    name: "commit of an entry of an older view",
    file: "shared/consensus/log.ts",
    changes: [{ find: "if (state.viewOf(committable) !== state.view) return;", replace: "" }],
    caughtBy: ["NeverCommitEntryPrevTermsProp"],
    scenario: "older_view_is_not_committed",
  },
  {
    name: "match index moved by a refusal",
    file: "shared/consensus/replication.ts",
    changes: [{
      find: "peer.sent = Math.max(Math.min(possible, peer.sent), peer.match);",
      replace: "peer.match = possible; peer.sent = possible;",
    }],
    caughtBy: ["MonotonicMatchIndexProp", "RefusalsMoveNothing"],
  },
  {
    name: "commit moved by a refusal",
    file: "shared/consensus/replication.ts",
    changes: [{
      find: "peer.sent = Math.max(Math.min(possible, peer.sent), peer.match);",
      replace: "peer.match = Math.max(possible, peer.match); peer.sent = peer.match; tryCommit(state);",
    }],
    caughtBy: ["RefusalsMoveNothing", "MatchIsHeld", "QuorumLogInv"],
  },
  {
    name: "acknowledging one's own last index",
    file: "shared/consensus/replication.ts",
    changes: [{ find: "last: message.last, success: true", replace: "last: state.last, success: true" }],
    doesHarm: true,
    caughtBy: ["AcknowledgesWhatWasSent"],
  },
  {
    name: "truncating on an early AppendEntries",
    file: "shared/consensus/replication.ts",
    changes: [{
      find: "const next = firstDifference(state, message);",
      replace: `if (state.isNewFollower && message.previous < state.last) rollback(state, message.previous);
        state.isNewFollower = false;
        const next = firstDifference(state, message);`,
    }],
    caughtBy: ["TruncatesOnlyOnConflict", "CommittedLogAppendOnlyProp"],
    scenario: "no_early_truncation",
  },
  {
    name: "keeping the unsigned suffix on election",
    file: "shared/consensus/elections.ts",
    changes: [{
      find: "rollback(state, state.committed === 0 ? state.last : state.lastCommittable);",
      replace: "rollback(state, state.last);",
    }],
    caughtBy: ["PermittedLogChangesProp", "MonoLogInv"],
    scenario: "unsigned_suffix_on_election",
  },
  {
    name: "dropping the signed suffix on step-down",
    file: "shared/consensus/elections.ts",
    changes: [{
      find: "  rollback(state, state.lastCommittable);\n",
      replace: "  rollback(state, state.committed);\n",
    }],
    doesHarm: true,
    caughtBy: ["SignedSuffixIsKept", "QuorumLogInv"],
    scenario: "signatures_outlive_elections",
  },
  {
    name: "comparing the last index instead of the last committable in votes",
    file: "shared/consensus/elections.ts",
    changes: [
      { find: "const lastCommittable = state.lastCommittable;", replace: "const lastCommittable = state.last;" },
      {
        find: "const ownView = state.viewOf(state.lastCommittable);",
        replace: "const ownView = state.viewOf(state.last);",
      },
      { find: "return lastCommittable >= state.lastCommittable;", replace: "return lastCommittable >= state.last;" },
    ],
    caughtBy: ["RequestsNameTheLastSignature", "VotesAreGrantedByTheRule"],
  },
  {
    name: "voting twice",
    file: "shared/consensus/elections.ts",
    changes: [{ find: "(state.votedFor ?? from) === from", replace: "true" }],
    doesHarm: true,
    caughtBy: ["OneVoteInAView"],
  },
  {
    name: "voting while a leader is known",
    file: "shared/consensus/elections.ts",
    changes: [{ find: "state.leaderId === undefined && (state.votedFor", replace: "(state.votedFor" }],
    caughtBy: ["VotesAreGrantedByTheRule"],
    scenario: "leader_known",
  },
  {
    name: "skipping pre-vote's log check",
    file: "shared/consensus/elections.ts",
    changes: [{ find: "isUpToDate(state, request) &&", replace: "(!isReal || isUpToDate(state, request)) &&" }],
    caughtBy: ["VotesAreGrantedByTheRule"],
    scenario: "cut_off_node_disturbs_nobody",
  },
  {
    name: "no check-quorum",
    file: "shared/consensus/raft.ts",
    changes: [{ find: "if (!state.isQuorumInEach(isLive)) becomeFollower(state);", replace: "" }],
    caughtBy: ["LeaderHearsAQuorum"],
    scenario: "pending_configuration_check_quorum",
  },
  {
    name: "retiring at commit instead of retired-committed",
    file: "shared/consensus/membership.ts",
    changes: [{
      find: `    state.retirementPhase = "Completed";`,
      replace: `    state.retirementPhase = "RetiredCommitted"; state.leadership = "None"; state.leaderId = undefined;`,
    }],
    doesHarm: true,
    caughtBy: ["MembershipStateConsistentInv"],
  },
  {
    name: "counting a retired node for votes",
    file: "shared/consensus/state.ts",
    changes: [{
      find: "for (const id of members.keys()) if (counts(id)) count++;",
      replace: "for (const id of new Set([...members.keys(), ...this.peers.keys()])) if (counts(id)) count++;",
    }],
    doesHarm: true,
    caughtBy: ["ElectedByEveryConfiguration", "LeaderHearsAQuorum"],
  },
  {
    name: "counting a retired node for commit",
    file: "shared/consensus/log.ts",
    changes: [{
      find: "const matches = [...members.keys()].map(",
      replace: `const retired = [...state.peers.keys()].filter((id) => !state.configurations.at(-1)!.members.has(id));
        const matches = [...new Set([...members.keys()].slice(retired.length)), ...retired].map(`,
    }],
    doesHarm: true,
    caughtBy: ["ReplicationInv", "QuorumLogInv", "CommitHeldByEveryConfiguration"],
  },
  {
    name: "nominating a non-member",
    file: "shared/consensus/sending.ts",
    changes: [{ find: "(match === best.match && configuredAt > best.configuredAt)", replace: "false" }],
    caughtBy: ["NominatesTheBest"],
    scenario: "successor_is_member",
  },
  {
    name: "committing an unsigned entry",
    file: "shared/consensus/log.ts",
    changes: [{
      find: "const committable = state.committableUpTo(agreed);",
      replace: "const committable = agreed > state.committed ? agreed : undefined;",
    }],
    doesHarm: true,
    caughtBy: ["SignatureInv"],
  },
  {
    name: "clearing the committable list on election",
    file: "shared/consensus/elections.ts",
    changes: [{
      find: "  state.shouldSign = true;\n",
      replace: "  state.shouldSign = true;\n  state.committables = [];\n",
    }],
    doesHarm: true,
    caughtBy: ["EverySignatureMayBeCommitted"],
    scenario: "signatures_outlive_elections",
  },
  {
    name: "forgetting a vote on hearing of a leader of the same view",
    file: "shared/consensus/elections.ts",
    changes: [{ find: "if (view > state.view) state.votedFor = undefined;", replace: "state.votedFor = undefined;" }],
    caughtBy: ["OneVoteInAView"],
  },
  {
    name: "dropping what was acknowledged after asking for pre-votes",
    file: "shared/consensus/replication.ts",
    changes: [{
      find: `if (state.leadership === "PreVoteCandidate") endPreVote(state);`,
      replace: `if (state.leadership === "PreVoteCandidate") becomeAwareOfView(state, message.view);`,
    }],
    doesHarm: true,
    caughtBy: ["MatchIsHeld", "TruncatesOnlyOnConflict"],
    scenario: "pre_vote_keeps_log",
  },
];
