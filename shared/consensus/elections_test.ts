import { strict as assert } from "node:assert";
import {
  acknowledge,
  addresses,
  entries,
  followerOf,
  leaderWith,
  type Sent,
  TestCluster,
  TestNode,
} from "../../tests/raft_nodes.ts";
import { MAX_VIEWS } from "../limits.ts";
import type { RequestVote, RequestVoteResponse } from "./messages.ts";
import type { RaftTrace } from "./state.ts";

const ABC = ["a", "b", "c"];

function request(view: number, lastCommittable: number, viewOfLastCommittable = 2): RequestVote {
  return { kind: "request vote", view, lastCommittable, viewOfLastCommittable };
}

function preVote(view: number, lastCommittable: number, viewOfLastCommittable = 2): RequestVote {
  return { kind: "request pre-vote", view, lastCommittable, viewOfLastCommittable };
}

const granted = (view: number): RequestVoteResponse => ({ kind: "request vote response", view, granted: true });
const granting = (view: number): RequestVoteResponse => ({ kind: "request pre-vote response", view, granted: true });

/** What a node answers to a request: the view, and whether it votes so. */
function answerTo(node: TestNode, from: string, message: RequestVote): [number, boolean] {
  node.take();
  node.receive(from, message);
  const [sent] = node.take() as [Sent];
  assert.equal(sent.to, from);
  const kind = message.kind === "request vote" ? "request vote response" : "request pre-vote response";
  assert.ok(sent.message.kind === kind);
  return [sent.message.view, sent.message.granted];
}

/** A follower that runs for view 3: it asked before, and was encouraged. */
function candidate(members: readonly string[] = ABC): TestNode {
  const node = followerOf(members, { preVote: false });
  node.raft.periodic(100);
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 3]);
  return node;
}

// Timers: consensus.md §7.

Deno.test("a backup that hears of no leader for a while asks for pre-votes, and changes nothing else", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign", "entry"));
  node.raft.periodic(99);
  assert.equal(node.raft.leadership, "Follower");
  const draws = node.draws.length;
  node.raft.periodic(1);
  assert.deepEqual([node.raft.leadership, node.raft.view], ["PreVoteCandidate", 2]);
  assert.equal(node.raft.leaderId, undefined);
  // Its last signature counts, not its last entry.
  assert.deepEqual(node.take(), ["a", "c"].map((to) => ({ to, message: preVote(2, 5) })));
  assert.equal(node.raft.lastSeqno, 6);
  // It may still vote for another one in this view.
  assert.deepEqual(answerTo(node, "c", request(2, 5)), [2, true]);
  assert.deepEqual(node.draws.slice(draws), [51, 51]);
});

Deno.test("the election timer is restarted anywhere in its first half", () => {
  for (const draw of [0, 50]) {
    const node = followerOf(ABC);
    node.draw = draw;
    node.raft.becomeAwareOfView(3);
    assert.equal(node.draws.at(-1), 51);
    node.raft.periodic(99 - draw);
    assert.equal(node.raft.leadership, "Follower");
    node.raft.periodic(1);
    assert.equal(node.raft.leadership, "PreVoteCandidate");
  }
});

Deno.test("a pre-vote candidate asks again when its timer fires, with the votes of before forgotten", () => {
  const node = followerOf(["a", "b", "c", "d", "e"]);
  node.raft.periodic(100);
  node.receive("c", granting(2));
  node.take();
  node.raft.periodic(100);
  assert.equal(node.take().length, 4);
  node.receive("d", granting(2));
  assert.equal(node.raft.leadership, "PreVoteCandidate");
  node.receive("d", granting(2));
  assert.equal(node.raft.leadership, "PreVoteCandidate", "a vote counts once");
  node.receive("e", granting(2));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 3]);
});

Deno.test("a node without a configuration, or before its first signature, does not run", () => {
  const lost = new TestNode("b");
  lost.raft.periodic(1000);
  assert.deepEqual([lost.raft.leadership, lost.take()], ["None", []]);
  // The timer went on all the while.
  lost.raft.addConfiguration(0, addresses(ABC));
  lost.raft.periodic(0);
  assert.equal(lost.raft.leadership, "PreVoteCandidate");

  const waiting = new TestNode("b", { ticking: false });
  waiting.draw = 50;
  waiting.follow("a", 2, entries(2, 1, { members: ABC }));
  waiting.raft.periodic(1000);
  waiting.receive("a", { kind: "propose request vote", view: 2 });
  assert.deepEqual([waiting.raft.leadership, waiting.raft.ticking], ["Follower", false]);
  waiting.follow("a", 2, entries(2, 2, "sign"));
  assert.ok(waiting.raft.ticking);
  waiting.raft.periodic(99);
  assert.equal(waiting.raft.leadership, "Follower", "time begins with the signature");
  waiting.raft.periodic(1);
  assert.equal(waiting.raft.leadership, "PreVoteCandidate");

  const outside = new TestNode("x", { ticking: false });
  outside.follow("a", 2, entries(2, 1, { members: ABC }, "sign"));
  assert.equal(outside.raft.ticking, false);
});

// Votes: consensus.md §12.

Deno.test("votes go to who has at least the same last signature, of the same view or a higher one", () => {
  const judge = (message: RequestVote) => {
    const node = followerOf(ABC);
    // 4 is committed; 6 of view 2 is the last signature, 7 is not signed.
    node.follow("a", 2, entries(2, 5, "entry", "sign", "entry"));
    return answerTo(node, "c", message)[1];
  };
  for (const ask of [request, preVote]) {
    assert.equal(judge(ask(3, 6)), true);
    assert.equal(judge(ask(3, 7)), true);
    assert.equal(judge(ask(3, 5)), false, "fewer entries");
    assert.equal(judge(ask(3, 4)), false, "it has all that is committed, but not all that is signed");
    assert.equal(judge(ask(3, 5, 3)), true, "a higher view");
    assert.equal(judge(ask(3, 100, 1)), false, "a lower view");
  }
});

Deno.test("a node votes once in a view, again for the same one, and anew in the next", () => {
  const node = followerOf(ABC);
  node.raft.becomeAwareOfView(3);
  assert.deepEqual(answerTo(node, "c", request(3, 4)), [3, true]);
  assert.deepEqual(answerTo(node, "a", request(3, 9)), [3, false]);
  assert.deepEqual(answerTo(node, "c", request(3, 4)), [3, true]);
  assert.deepEqual(answerTo(node, "a", request(4, 9)), [4, true]);
  assert.deepEqual(answerTo(candidate(), "a", request(3, 9)), [3, false], "it voted for itself");
});

Deno.test("a node that knows a leader gives its vote to nobody else in that view", () => {
  const node = followerOf(ABC);
  assert.equal(node.raft.leaderId, "a");
  assert.deepEqual(answerTo(node, "c", request(2, 9)), [2, false]);
  // It was never asked in this view before, so nothing else stands against it.
  node.raft.becomeAwareOfView(3);
  assert.deepEqual(answerTo(node, "c", request(3, 9)), [3, true]);
  assert.equal(node.raft.leaderId, undefined);

  assert.deepEqual(answerTo(leaderWith("b", "c"), "c", request(2, 9)), [2, false], "a leader knows itself");
});

Deno.test("a pre-vote is given whatever leader is known and whoever was voted for, and binds nobody", () => {
  const node = followerOf(ABC);
  const draws = node.draws.length;
  assert.deepEqual(answerTo(node, "c", preVote(2, 4)), [2, true]);
  assert.equal(node.raft.leaderId, "a");
  assert.equal(node.draws.length, draws, "the timer goes on");
  node.raft.becomeAwareOfView(3);
  assert.deepEqual(answerTo(node, "a", request(3, 4)), [3, true]);
  assert.deepEqual(answerTo(node, "c", preVote(3, 4)), [3, true]);
  assert.deepEqual(answerTo(node, "a", request(3, 4)), [3, true], "the vote of before stands");
});

Deno.test("giving a vote restarts the election timer, refusing one does not", () => {
  const node = followerOf(ABC);
  node.raft.becomeAwareOfView(3);
  const draws = node.draws.length;
  answerTo(node, "c", request(3, 3));
  assert.equal(node.draws.length, draws);
  answerTo(node, "c", request(3, 4));
  assert.equal(node.draws.length, draws + 1);
});

Deno.test("requests of older views are refused with ours, those of newer views make us follow, pre-votes too", () => {
  for (const ask of [request, preVote]) {
    const node = followerOf(ABC);
    assert.deepEqual(answerTo(node, "c", ask(1, 9)), [2, false]);
    assert.deepEqual(answerTo(node, "c", ask(5, 0)), [5, false]);
    assert.deepEqual([node.raft.view, node.raft.leaderId], [5, undefined]);
    const leader = leaderWith("b", "c");
    assert.deepEqual(answerTo(leader, "c", ask(3, 9)), [3, true]);
    assert.equal(leader.raft.leadership, "Follower");
  }
});

Deno.test("anybody may ask for a vote: the asker may be a member by entries that are not here yet", () => {
  const node = followerOf(ABC);
  assert.deepEqual(answerTo(node, "stranger", request(3, 4)), [3, true]);
});

Deno.test("answers of other views, of the wrong kind, of strangers and refusals count for nothing", () => {
  const node = candidate();
  node.receive("c", granted(2));
  node.receive("c", granting(3));
  node.receive("c", { kind: "request vote response", view: 3, granted: false });
  node.receive("x", granted(3));
  node.receive("x", granted(7));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 3]);
  node.receive("c", granted(3));
  assert.equal(node.raft.leadership, "Leader");
  // Late answers do not elect it once more.
  node.take();
  node.receive("a", granted(3));
  assert.deepEqual(node.take(), []);

  const asking = followerOf(ABC);
  asking.raft.periodic(100);
  asking.receive("c", granted(2));
  assert.equal(asking.raft.leadership, "PreVoteCandidate");
  asking.receive("c", { kind: "request pre-vote response", view: 3, granted: false });
  assert.deepEqual([asking.raft.leadership, asking.raft.view], ["Follower", 3]);
});

Deno.test("an election needs a quorum of each configuration, not of all nodes and not of the latest", () => {
  // {a, b} is committed, {b, c, d, e, f} is pending.
  const run = () => {
    const node = new TestNode("b", { preVote: false });
    node.follow("a", 2, entries(2, 1, { members: ["a", "b"] }, "sign"), 2);
    node.follow("a", 2, entries(2, 3, { members: ["b", "c", "d", "e", "f"] }, "sign"));
    node.raft.periodic(100);
    assert.deepEqual(node.take().map(({ to }) => to).sort(), ["a", "c", "d", "e", "f"], "members of both are asked");
    return node;
  };
  const elected = (...voters: string[]) => {
    const node = run();
    for (const voter of voters) node.receive(voter, granted(3));
    return node.raft.leadership === "Leader";
  };
  assert.equal(elected("c", "d"), false, "three of five, one of two");
  assert.equal(elected("c", "d", "e", "f"), false, "five of six in all, one of two");
  assert.equal(elected("a"), false, "two of two, one of five");
  assert.equal(elected("a", "c"), false, "two of two, two of five");
  assert.equal(elected("a", "c", "d"), true);
});

Deno.test("pre-votes need a quorum of each configuration too", () => {
  const node = new TestNode("b");
  node.follow("a", 2, entries(2, 1, { members: ["a", "b"] }, "sign"), 2);
  node.follow("a", 2, entries(2, 3, { members: ["b", "c", "d"] }, "sign"));
  node.raft.periodic(100);
  node.receive("c", granting(2));
  node.receive("d", granting(2));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["PreVoteCandidate", 2]);
  node.receive("a", granting(2));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 3]);
});

Deno.test("half of an even configuration is no quorum", () => {
  const node = candidate(["a", "b", "c", "d"]);
  node.receive("c", granted(3));
  assert.equal(node.raft.leadership, "Candidate");
  node.receive("d", granted(3));
  assert.equal(node.raft.leadership, "Leader");
});

// Leading: consensus.md §12 "Becoming leader".

Deno.test("a new leader drops what nobody signed, keeps what is signed, and shows itself to every peer", () => {
  const seen: (readonly [string, number | undefined])[] = [];
  const trace = ({ event, sent }: RaftTrace) => void seen.push([event, sent]);
  const node = followerOf(ABC, { preVote: false, trace });
  node.follow("a", 2, entries(2, 5, "sign", "entry", "sign", "entry", "entry"));
  node.raft.periodic(100);
  assert.equal(node.raft.lastSeqno, 9);
  node.take();
  node.calls.length = 0;
  node.receive("c", granted(3));
  assert.deepEqual([node.raft.leadership, node.raft.leaderId, node.raft.lastSeqno], ["Leader", "b", 7]);
  assert.deepEqual(node.calls, ["rollback 2.7 for 3", "record retirements"]);
  assert.deepEqual(node.raft.committables, [5, 7]);
  assert.deepEqual([...node.raft.peers.values()].map(({ sent, match }) => [sent, match]), [[7, 0], [7, 0]]);
  const message = {
    kind: "append entries",
    view: 3,
    last: 7,
    previous: 7,
    previousView: 2,
    committed: 4,
    viewOfEntries: 2,
  };
  assert.deepEqual(node.take(), ["a", "c"].map((to) => ({ to, message })));
  assert.deepEqual(seen.slice(-2), [["send_append_entries", 7], ["send_append_entries", 7]]);
  // It is to sign, though nothing is new: until it has, it can commit nothing.
  assert.ok(node.raft.shouldSign);
  node.append("entry");
  assert.ok(node.raft.shouldSign);
  node.append("sign");
  assert.ok(!node.raft.shouldSign);
});

Deno.test("a new leader forgets what it knew of its peers as a leader before", () => {
  const node = leaderWith("b", "c");
  node.append("sign");
  node.raft.flush();
  acknowledge(node, "b", 5);
  node.receive("c", { kind: "append entries response", view: 3, last: 0, success: false });
  node.raft.periodic(100);
  node.receive("c", granting(3));
  node.receive("c", granted(4));
  assert.equal(node.raft.leadership, "Leader");
  assert.deepEqual([...node.raft.peers.values()].map(({ match }) => match), [0, 0]);
});

Deno.test("a node alone leads, signs and commits by itself", () => {
  const node = new TestNode("a");
  node.raft.forcePrimary();
  assert.deepEqual([node.raft.view, node.raft.leadership, node.raft.leaderId], [2, "Leader", "a"]);
  node.append({ members: ["a"] });
  assert.equal(node.raft.committedSeqno, 0);
  node.append("sign");
  assert.equal(node.raft.committedSeqno, 2);
  assert.deepEqual(node.raft.viewStarts.list, [1, 1]);
  node.raft.periodic(1000);
  assert.ok(node.raft.isPrimary, "nobody else has to answer");
  assert.deepEqual(node.take(), []);
});

Deno.test("a node alone elects itself, through both rounds, when it lost its lead", () => {
  const node = new TestNode("a");
  node.raft.forcePrimary();
  node.append({ members: ["a"] }, "sign");
  node.receive("x", request(7, 0, 0));
  node.take();
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Follower", 7]);
  node.raft.periodic(100);
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Leader", 8]);
  assert.deepEqual(node.take(), []);
});

Deno.test("forcePrimary() is refused where a leader is known", () => {
  assert.throws(() => followerOf(ABC).raft.forcePrimary(), { name: "AssertionFailed" });
});

// Stepping down: consensus.md §7, §13.

Deno.test("a leader that a quorum does not answer for an election timeout follows, in the same view", () => {
  const node = leaderWith("b", "c", "d", "e");
  node.append("sign", "entry");
  const pass = (beats: number) => {
    for (let beat = 0; beat < beats; beat++) {
      node.raft.periodic(10);
      acknowledge(node, "b", 4);
    }
  };
  pass(9);
  node.receive("c", { kind: "append entries response", view: 2, last: 0, success: false });
  pass(9);
  assert.ok(node.raft.isPrimary, "with b, and c of which the last word is 90 ms old, it is one of three of five");
  node.calls.length = 0;
  node.raft.periodic(10);
  assert.deepEqual([node.raft.leadership, node.raft.view, node.raft.leaderId], ["Follower", 2, undefined]);
  assert.deepEqual(node.calls, ["rollback 2.5 for 2"]);
  // It voted for nobody in this view, having led it by force, but it may not drop entries that conflict.
  node.receive("b", {
    kind: "append entries",
    view: 2,
    last: 5,
    previous: 4,
    previousView: 2,
    committed: 4,
    viewOfEntries: 1,
  }, entries(1, 5, "sign"));
  assert.equal(node.raft.viewOf(5), 2);
});

Deno.test("check-quorum asks for a quorum in each configuration", () => {
  // {a} is committed, {a, b, c} pending.
  const node = new TestNode("a");
  node.raft.forcePrimary();
  node.append({ members: ["a"] }, "sign", { members: ABC }, "sign");
  node.raft.periodic(99);
  assert.ok(node.raft.isPrimary);
  node.raft.periodic(1);
  assert.equal(node.raft.leadership, "Follower", "one of one, but one of three");
});

Deno.test("a leader sends its heartbeat before it counts who answered", () => {
  const node = leaderWith("b", "c");
  node.raft.periodic(100);
  assert.deepEqual(node.take().map(({ to, message }) => [to, message.kind]), [
    ["b", "append entries"],
    ["c", "append entries"],
  ]);
  assert.equal(node.raft.leadership, "Follower");
});

Deno.test("a pre-vote candidate that cannot win leaves a working network alone", () => {
  const cluster = TestCluster.settled(ABC);
  const { raft } = cluster.get("c");
  const alone = (from: string, to: string) => from === "c" || to === "c";
  cluster.get("a").append("sign");
  cluster.beat("a", alone);
  for (let beats = 0; beats < 20; beats++) {
    raft.periodic(100);
    cluster.beat("a", alone);
  }
  assert.equal(raft.leadership, "PreVoteCandidate");
  // It comes back: the others have a signature that it lacks, and its view is still theirs.
  raft.periodic(100);
  cluster.deliver();
  assert.deepEqual([raft.leadership, raft.view], ["PreVoteCandidate", 2]);
  for (let beats = 0; beats < 3; beats++) cluster.beat("a");
  assert.deepEqual([raft.leadership, raft.view, raft.committedSeqno], ["Follower", 2, 5]);
  assert.ok(cluster.get("a").raft.isPrimary);
});

Deno.test("a pre-vote candidate that hears its leader again still has what it acknowledged", () => {
  const cluster = TestCluster.settled(ABC);
  const [a, c] = [cluster.get("a"), cluster.get("c")];
  a.append("entry");
  cluster.beat("a");
  assert.equal(a.raft.peers.get("c")?.match, 5);
  c.raft.periodic(100);
  assert.equal(c.raft.leadership, "PreVoteCandidate");
  c.take();
  a.append("sign");
  cluster.beat("a");
  assert.deepEqual([c.raft.leadership, c.raft.leaderId, c.raft.lastSeqno], ["Follower", "a", 6]);
  assert.deepEqual([a.raft.view, a.raft.committedSeqno, a.raft.peers.get("c")?.match], [2, 6, 6]);
});

Deno.test("a candidate that hears the leader of its view keeps the vote that it gave itself", () => {
  const node = candidate();
  node.receive("c", {
    kind: "append entries",
    view: 3,
    last: 5,
    previous: 5,
    previousView: 3,
    committed: 4,
    viewOfEntries: 3,
  }, []);
  assert.deepEqual([node.raft.leadership, node.raft.leaderId], ["Follower", undefined]);
  assert.deepEqual(answerTo(node, "a", request(3, 9)), [3, false]);
  assert.deepEqual(answerTo(node, "a", request(4, 9)), [4, true]);
});

Deno.test("a candidate that lost, and asked for pre-votes, still gives way to the log of who won", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign"));
  // In view 3 a conflict was cut off already.
  node.follow("c", 3, entries(3, 5, "sign", "sign"));
  node.raft.periodic(100);
  node.receive("c", granting(3));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 4]);
  node.raft.periodic(100);
  assert.deepEqual([node.raft.leadership, node.raft.view], ["PreVoteCandidate", 4]);
  node.follow("a", 4, entries(4, 6, "entry", "sign"));
  assert.deepEqual([node.raft.leadership, node.raft.lastSeqno, node.raft.viewOf(6)], ["Follower", 7, 4]);
});

Deno.test("a pre-vote candidate that hears the leader it voted for has no second vote in that view", () => {
  // a and c run for view 3 at once; b votes for a, which wins and signs, and then b loses patience.
  const node = followerOf(ABC);
  assert.deepEqual(answerTo(node, "a", request(3, 4)), [3, true]);
  node.raft.periodic(100);
  assert.equal(node.raft.leadership, "PreVoteCandidate");
  // It lacks the entry before, so it refuses; and the request of c is late.
  const message = { kind: "append entries", view: 3, last: 6, previous: 5, committed: 4 } as const;
  const draws = node.draws.length;
  node.receive("a", { ...message, previousView: 3, viewOfEntries: 3 }, entries(3, 6, "entry"));
  assert.equal(node.draws.length, draws + 1, "it waits anew all the same");
  assert.deepEqual([node.raft.leadership, node.raft.leaderId], ["Follower", undefined]);
  assert.deepEqual(answerTo(node, "c", request(3, 4)), [3, false]);
});

// Nominations: consensus.md §19.

Deno.test("a node that its leader nominates runs at once", () => {
  const node = followerOf(ABC);
  node.receive("a", { kind: "propose request vote", view: 1 });
  node.receive("a", { kind: "propose request vote", view: 3 });
  assert.deepEqual(node.take(), []);
  node.receive("a", { kind: "propose request vote", view: 2 });
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Candidate", 3]);
  assert.deepEqual(node.take().map(({ message }) => message), [request(3, 4), request(3, 4)]);
});

Deno.test("a leader nominates the peer that has most, else the newest member, else the one added first", () => {
  const nominee = (node: TestNode) => {
    node.take();
    node.raft.nominateSuccessor();
    return node.take().map(({ to, message }) => [to, message.kind, message.view]);
  };
  const proposal = (to: string) => [[to, "propose request vote", 2]];
  const node = leaderWith("d", "c");
  assert.deepEqual(nominee(node), proposal("c"), "of those added together, the lowest ID");
  node.append("sign");
  node.raft.flush();
  acknowledge(node, "d", 5);
  assert.deepEqual(nominee(node), proposal("d"));
  assert.ok(node.raft.isPrimary, "it leads until it is deposed");
  acknowledge(node, "c", 5);
  assert.deepEqual(nominee(node), proposal("c"));
  // c is out by the pending configuration, though it has as much.
  node.append({ members: ["a", "d"] });
  assert.deepEqual(nominee(node), proposal("d"));

  assert.deepEqual(nominee(followerOf(ABC)), []);
  const alone = new TestNode("a");
  alone.raft.forcePrimary();
  assert.deepEqual(nominee(alone), []);

  node.receive("d", { kind: "propose request vote", view: 2 });
  assert.ok(node.raft.isPrimary, "a leader does not run against itself");
});

Deno.test("where somebody has used up the views, nobody runs, and nobody stops", () => {
  const node = followerOf(ABC);
  node.receive("c", request(MAX_VIEWS, 0));
  assert.equal(node.raft.view, MAX_VIEWS);
  node.raft.periodic(100);
  node.receive("c", { kind: "request pre-vote response", view: MAX_VIEWS, granted: true });
  assert.equal(node.raft.view, MAX_VIEWS);
});
