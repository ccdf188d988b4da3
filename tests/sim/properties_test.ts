import { strict as assert } from "node:assert";
import type { NodeId, RaftMessage } from "../../shared/consensus/messages.ts";
import { specificationProperties } from "./invariants.ts";
import type { LoggedEntry, NodePicture, Property, Step, StepEvent } from "./picture.ts";
import { ruleProperties } from "./rules.ts";

/**
 * A log in short: a view for each entry, "s" a signature, "{0 1}" a configuration, "-1" a retirement known to be committed,
 * "'" another entry than the one that is usual here; e.g. `2{0} 2s 2 3's`.
 */
function log(text: string): LoggedEntry[] {
  const entries: LoggedEntry[] = [];
  for (const [word, view, other, rest] of text.matchAll(/(\d+)('*)(s|\{[^}]*\}|-\w+)?/g)) {
    const chain = `${entries.at(-1)?.chain ?? ""} ${word.replaceAll(/[{} ]/g, ",")}`;
    entries.push({
      view: Number(view),
      committable: rest === "s",
      chain: `${chain}${other}`,
      ...rest?.startsWith("{") && { members: rest.slice(1, -1).split(" ") },
      ...rest?.startsWith("-") && { retiredCommitted: [rest.slice(1)] },
    });
  }
  return entries;
}

/** A member of {0 1 2} that follows 0 in view 2 with a log of four entries, all committed. */
function picture(id: NodeId, change: Partial<NodePicture> = {}): NodePicture {
  return {
    id,
    view: 2,
    leader: "0",
    leadership: "Follower",
    retirementPhase: undefined,
    preVote: true,
    log: log("2{0} 2s 2{0 1 2} 2s"),
    committed: 4,
    committable: [],
    configurations: [{ seqno: 3, members: ["0", "1", "2"] }],
    peers: new Map(),
    ...change,
  };
}

const peers = (...entries: [NodeId, number][]) => new Map(entries.map(([id, match]) => [id, { sent: match, match }]));
const leader = (change: Partial<NodePicture> = {}) =>
  picture("0", { leadership: "Leader", peers: peers(["1", 4], ["2", 4]), ...change });

/** One step of a node, before it and after it, among others. */
function step(
  before: NodePicture,
  after: Partial<NodePicture>,
  { event = { kind: "tick", elapsedMs: 10 }, sent = [], others = [] }: {
    readonly event?: StepEvent;
    readonly sent?: Step["sent"];
    readonly others?: readonly NodePicture[];
  } = {},
): Step {
  const now = { ...before, ...after };
  const nodes = new Map([leader(), picture("1"), picture("2"), ...others, now].map((node) => [node.id, node]));
  return { event, before, after: now, sent, nodes, withoutGenesis: false };
}

const received = (from: NodeId, message: RaftMessage): StepEvent => ({ kind: "receive", from, message });
const ok = (last: number, view = 2) =>
  ({ kind: "append entries response", view, last, success: true }) as const satisfies RaftMessage;
const fail = (last: number, view = 2) =>
  ({ kind: "append entries response", view, last, success: false }) as const satisfies RaftMessage;
const request = (view: number, lastCommittable = 4, viewOfLastCommittable = 2) =>
  ({ kind: "request vote", view, lastCommittable, viewOfLastCommittable }) as const satisfies RaftMessage;
const vote = (view: number, granted = true) =>
  ({ kind: "request vote response", view, granted }) as const satisfies RaftMessage;
const entries = (previous: number, last: number, view = 2) =>
  ({
    kind: "append entries",
    view,
    last,
    previous,
    previousView: 2,
    committed: 4,
    viewOfEntries: view,
  }) as const satisfies //
  RaftMessage;

const five = log("2{0} 2s 2{0 1 2} 2s 2s");
const LONGER = { log: five, committed: 5 };

/** For each property steps of which the last must break it, and what it then says. */
const BROKEN: Readonly<Record<string, { readonly steps: readonly Step[]; readonly says: string }>> = {
  LogInv: {
    steps: [step(picture("1"), { log: log("2{0} 2s 2{0 1 2} 2's") })],
    says: "1 and 0 committed different entries up to 4",
  },
  MoreThanOneLeaderInv: {
    steps: [step(leader(), {}), step(picture("1"), { leadership: "Leader" })],
    says: "0 and 1 lead view 2",
  },
  ElectionSafetyInv: {
    steps: [step(picture("1"), { log: five })],
    says: "1 has entries of view 2 that its leader 0 does not have",
  },
  LogMatchingInv: {
    steps: [step(picture("1"), { log: log("2{0} 2's 2{0 1 2} 2s") })],
    says: "1 and 0 have different entries at or before 2.4",
  },
  QuorumLogInv: {
    steps: [step(leader(), LONGER)],
    says: "0 committed 5, which 2 of the members 0 1 2 do not hold",
  },
  LeaderCompletenessInv: {
    steps: [
      step(leader({ log: five }), { committed: 5 }),
      step(picture("1", { leadership: "Candidate", view: 3 }), { leadership: "Leader" }),
    ],
    says: "1, leader of view 3, lacks what was committed in view 2 up to 5",
  },
  CandidateTermNotInLogInv: {
    steps: [
      step(picture("1", { leadership: "Candidate", view: 3 }), { leadership: "Leader" }, {
        others: [picture("2", { log: log("2{0} 2s 2{0 1 2} 2s 3") })],
      }),
    ],
    says: "1 was elected in view 3, of which 2 has an entry already",
  },
  TypeInv: {
    steps: [step(picture("1"), { committable: [6, 5] })],
    says: "1 lists signatures out of order: 6 5",
  },
  RetirementCompletedNotInConfigsInv: {
    steps: [step(picture("1", { log: log("2{0} 2s 2{0 1 2} 2s 2{0 1} 2s") }), { committed: 6 })],
    says: "1 committed the removal of 2 and has it in a configuration",
  },
  RefinementToAbsProp: {
    steps: [step(picture("1", { log: five }), { committed: 5 })],
    says: "1 follows and committed 5, which nobody has committed",
  },
  SignatureInv: {
    steps: [step(picture("1"), { committed: 3 })],
    says: "1 committed 3, which is not a signature in its log",
  },
  MonoTermInv: {
    steps: [step(picture("1"), {}, { sent: [{ to: "0", message: ok(4, 3) }] })],
    says: "1 sent a message of view 3 in view 2",
  },
  MonoLogInv: {
    steps: [step(picture("1", { view: 3 }), { log: log("2{0} 2s 2{0 1 2} 2s 2 3") })],
    says: "1 has view 3 at seqno 6 after an entry that is not a signature",
  },
  NoLeaderBeforeInitialTerm: {
    steps: [step(picture("0", { view: 1 }), { leadership: "Leader" })],
    says: "0 leads view 1; the first view is 2",
  },
  LogConfigurationConsistentInv: {
    steps: [step(leader(), { log: log("2{0} 2s 2{0 1 2} 2s 2{0 1}") })],
    says: "0 has the configurations {0 1 2} of 3; its log says {0 1 2} of 3, {0 1} of 5",
  },
  MembershipStateConsistentInv: {
    steps: [step(picture("2"), { log: log("2{0} 2s 2{0 1 2} 2s 2{0 1} 2s"), retirementPhase: "Ordered" })],
    says: "2 is Ordered; its log says Signed",
  },
  CommitCommittableIndices: {
    steps: [step(picture("1"), { committable: [4] })],
    says: "1 would commit 4, which is no signature after 4 in its log",
  },
  ReplicationInv: { steps: [step(leader(), LONGER)], says: "0 committed 5, which no quorum of 0 1 2 holds" },
  RetiredCommittedInv: {
    steps: [step(leader(), { log: log("2{0} 2s 2{0 1 2} 2s 2-1") }, { event: { kind: "append" } })],
    says: "0 says that 1 is retired for good, which its log does not say",
  },
  CommittedLogAppendOnlyProp: {
    steps: [step(picture("1"), { log: log("2{0} 2s"), committed: 2 })],
    says: "1 went back from commit 4 to 2",
  },
  MonotonicTermProp: { steps: [step(picture("1"), { view: 1 })], says: "1 went back from view 2 to 1" },
  MonotonicMatchIndexProp: {
    steps: [step(leader(), { peers: peers(["1", 2], ["2", 4]) })],
    says: "0 matched 1 up to 4 and now only up to 2",
  },
  PermittedLogChangesProp: {
    steps: [step(picture("1", { log: log("2{0} 2s 2{0 1 2} 2s 2"), leadership: "Candidate" }), {
      log: log("2{0} 2s 2{0 1 2} 2s 2 2s"),
      leadership: "Leader",
    })],
    says: "1 became Leader and has a log of 6 entries; 4 were to be kept",
  },
  StateTransitionsProp: {
    steps: [step(picture("1"), { leadership: "Candidate", view: 3 })],
    says: "1 went from Follower in view 2 to Candidate in view 3: it has to ask for pre-votes first",
  },
  MembershipStateTransitionsProp: {
    steps: [step(picture("1", { retirementPhase: "RetiredCommitted" }), { retirementPhase: undefined })],
    says: "1 was retired for good and is Active",
  },
  PendingBecomesFollowerProp: {
    steps: [step(picture("1", { leadership: "None", configurations: [] }), {
      configurations: picture("1").configurations,
    })],
    says: "1 is a member and does not follow",
  },
  NeverCommitEntryPrevTermsProp: {
    steps: [step(leader({ view: 3, log: five }), { committed: 5 })],
    says: "0 leads view 3 and committed 2.5",
  },

  OneVoteInAView: {
    steps: [
      step(picture("2"), { view: 3 }, { event: received("1", request(3)), sent: [{ to: "1", message: vote(3) }] }),
      step(picture("2", { view: 3 }), {}, { event: received("0", request(3)), sent: [{ to: "0", message: vote(3) }] }),
    ],
    says: "2 voted for 1 and 0 in view 3",
  },
  VotesAreGrantedByTheRule: {
    steps: [step(picture("2"), {}, { event: received("1", request(2)), sent: [{ to: "1", message: vote(2) }] })],
    says: "2 granted a request vote to 1, although 0 is known to lead view 2",
  },
  ElectedByEveryConfiguration: {
    steps: [
      step(picture("1", { leadership: "PreVoteCandidate" }), { leadership: "Candidate", view: 3 }),
      step(picture("1", { leadership: "Candidate", view: 3 }), { leadership: "Leader" }, {
        event: received("9", vote(3)),
      }),
    ],
    says: "1 became Leader with the votes of 1 9, no quorum of 0 1 2",
  },
  RequestsNameTheLastSignature: {
    steps: [step(picture("1"), {}, { sent: [{ to: "0", message: request(2, 3) }] })],
    says: "1 asks for votes with 2.3; its last signature is 2.4",
  },
  ViewsRiseForAReason: {
    steps: [step(picture("1"), { view: 3 })],
    says: "1 went from view 2 to 3 without an election",
  },
  LeaderHearsAQuorum: {
    steps: [
      step(leader(), {}, { event: { kind: "tick", elapsedMs: 60 } }),
      step(leader(), {}, { event: { kind: "tick", elapsedMs: 40 } }),
    ],
    says: "0 still leads, and no quorum of 0 1 2 has answered for 100 ms",
  },
  AcknowledgesWhatWasSent: {
    steps: [step(picture("1"), {}, { event: received("0", entries(2, 3)), sent: [{ to: "0", message: ok(4) }] })],
    says: "1 acknowledged 4; it was sent entries up to 3",
  },
  RefusalsMoveNothing: {
    steps: [step(leader({ peers: peers(["1", 2]) }), { peers: peers(["1", 3]) }, { event: received("1", fail(3)) })],
    says: "0 moved the match of 1 from 2 to 3 on a refusal",
  },
  MatchIsHeld: {
    steps: [step(leader({ log: five }), { peers: peers(["1", 5]) })],
    says: "0 believes 1 to hold 5, which it does not",
  },
  CommitHeldByEveryConfiguration: {
    steps: [
      step(leader({ log: five, configurations: [...picture("0").configurations, { seqno: 5, members: ["7", "8"] }] }), {
        committed: 5,
      }, { others: [picture("1", { log: five })] }),
    ],
    says: "0 committed 5, which no quorum of 7 8 holds",
  },
  TruncatesOnlyOnConflict: {
    steps: [step(picture("1", { log: five }), { log: log("2{0} 2s 2{0 1 2} 2s") }, {
      event: received("0", entries(3, 4)),
    })],
    says: "1 dropped entries up to 5 that conflict with nothing it was sent",
  },
  SignedSuffixIsKept: {
    steps: [step(picture("1", { log: log("2{0} 2s 2{0 1 2} 2s 2s 2") }), { log: log("2{0} 2s 2{0 1 2} 2s") })],
    says: "1 cut its log to 4; its last signature is 5",
  },
  EverySignatureMayBeCommitted: { steps: [step(picture("1"), { log: five })], says: "1 does not list signature 5" },
  NominatesTheBest: {
    steps: [step(leader({ peers: peers(["1", 3], ["2", 4]) }), {}, {
      event: { kind: "nominate" },
      sent: [{ to: "1", message: { kind: "propose request vote", view: 2 } }],
    })],
    says: "0 nominated 1, which holds 3 and was last a member at 3; 2 holds 4 and was at 3",
  },
};

const allProperties = (): Property[] => [...specificationProperties(), ...ruleProperties(100)];

Deno.test("every property has a step that breaks it, and says what is wrong", () => {
  assert.deepEqual(allProperties().map(({ name }) => name).sort(), Object.keys(BROKEN).sort());
  for (const [name, { steps, says }] of Object.entries(BROKEN)) {
    const { check } = allProperties().find((property) => property.name === name)!;
    const said = steps.map(check);
    assert.deepEqual(said, [...steps.slice(1).map(() => undefined), says], name);
  }
});

Deno.test("no property minds what nodes do rightly", () => {
  const properties = allProperties();
  const steps = [
    step(leader(), {}, { event: { kind: "tick", elapsedMs: 60 } }),
    step(leader(), {}, { event: received("1", ok(4)) }),
    step(leader(), {}, { event: { kind: "tick", elapsedMs: 60 } }),
    step(leader(), { log: five, committable: [5] }, { event: { kind: "append" } }),
    step(picture("1"), { log: five, committable: [5] }, {
      event: received("0", entries(4, 5)),
      sent: [{ to: "0", message: ok(5) }],
      others: [leader({ log: five, committable: [5] })],
    }),
    step(picture("2"), { view: 3, leader: undefined }, {
      event: received("1", request(3)),
      sent: [{ to: "1", message: vote(3) }],
    }),
  ];
  for (const each of steps) for (const { name, check } of properties) assert.equal(check(each), undefined, name);
});
