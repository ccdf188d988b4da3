import { strict as assert } from "node:assert";
import {
  acknowledge,
  addresses,
  entries,
  followerOf,
  leaderWith,
  TestCluster,
  TestNode,
} from "../../tests/raft_nodes.ts";

const ABC = ["a", "b", "c"];

/** Everything is sent, and acknowledged by these. */
function reach(node: TestNode, ...peers: string[]): void {
  node.raft.flush();
  for (const peer of peers) acknowledge(node, peer, node.raft.lastSeqno);
}

const state = ({ raft }: TestNode) => [raft.leadership, raft.membership, raft.retirementPhase];

// Reconfiguration: consensus.md §17.

Deno.test("a leader probes new members at the entry before the one that adds them", () => {
  const node = leaderWith("b");
  node.append({ members: ["a", "b", "d", "c"] });
  const probe = {
    kind: "append entries",
    view: 2,
    last: 4,
    previous: 4,
    previousView: 2,
    committed: 4,
    viewOfEntries: 2,
  };
  assert.deepEqual(node.take(), ["c", "d"].map((to) => ({ to, message: probe })));
  assert.deepEqual(node.calls, ["peer c at c.example:1", "peer d at d.example:1"]);
  assert.deepEqual([...node.raft.peers.keys()], ["b", "c", "d"]);
  // It has nothing yet, and says so.
  node.receive("c", { kind: "append entries response", view: 2, last: 0, success: false });
  node.raft.flush();
  const toC = node.take().find(({ to }) => to === "c")!.message;
  assert.ok(toC.kind === "append entries");
  assert.deepEqual([toC.previous, toC.last], [0, 5]);
});

Deno.test("a configuration with the members of the latest one is none", () => {
  const node = leaderWith("b");
  node.append({ members: ["b", "a"] });
  assert.deepEqual(node.raft.configurations.map(({ seqno }) => seqno), [3]);
  assert.throws(() => node.raft.addConfiguration(3, addresses(ABC)), { name: "AssertionFailed" });
});

Deno.test("a configuration of nobody elects and commits nothing", () => {
  const node = leaderWith("b");
  node.append({ members: [] }, "sign");
  reach(node, "b");
  assert.equal(node.raft.committedSeqno, 4);
  node.raft.periodic(10);
  assert.equal(node.raft.leadership, "Follower");
});

// Retirement: consensus.md §18.

Deno.test("a leader leaves in four phases, leads until the last, and then nominates a successor", () => {
  const node = leaderWith("b", "c");
  node.append({ members: ["b", "c"] });
  assert.deepEqual(state(node), ["Leader", "Retired", "Ordered"]);
  reach(node, "b", "c");
  assert.deepEqual(state(node), ["Leader", "Retired", "Ordered"], "nothing is committed without a signature");
  node.append("sign", "sign");
  assert.deepEqual(state(node), ["Leader", "Retired", "Signed"]);
  node.calls.length = 0;
  reach(node, "b");
  assert.deepEqual(state(node), ["Leader", "Retired", "Signed"], "one of the two that stay");
  acknowledge(node, "c", 6);
  assert.equal(node.raft.committedSeqno, 6);
  assert.deepEqual(state(node), ["Leader", "Retired", "Completed"]);
  assert.deepEqual(node.calls, ["commit 6 completed", "record retirements"], "the store is told afterwards");
  assert.ok(node.raft.canReplicate && node.raft.isPrimary);

  acknowledge(node, "c", 7);
  node.append({ retired: ["a"] }, "sign");
  node.take();
  reach(node, "b", "c");
  assert.deepEqual(state(node), ["None", "Retired", "RetiredCommitted"]);
  assert.deepEqual([node.raft.leaderId, node.raft.canReplicate, node.raft.isPrimary], [undefined, false, false]);
  assert.deepEqual(node.take().filter(({ message }) => message.kind === "propose request vote"), [
    { to: "b", message: { kind: "propose request vote", view: 2 } },
  ]);
  assert.throws(() => node.raft.append(10, 1, { committable: false }), { name: "AssertionFailed" });
});

/** Everything about its removal is committed, and that it is. */
function goneLeader(): TestNode {
  const node = leaderWith("b", "c");
  node.append({ members: ["b", "c"] }, "sign");
  reach(node, "b", "c");
  node.append({ retired: ["a"] }, "sign");
  reach(node, "b", "c");
  assert.equal(node.raft.retirementPhase, "RetiredCommitted");
  node.take();
  return node;
}

Deno.test("a node that is gone runs for nothing, and still takes entries and votes", () => {
  const node = goneLeader();
  node.raft.periodic(10_000);
  node.receive("b", { kind: "propose request vote", view: 2 });
  assert.deepEqual([node.raft.leadership, node.take()], ["None", []]);
  node.receive("b", { kind: "request vote", view: 3, lastCommittable: 8, viewOfLastCommittable: 2 });
  assert.deepEqual(node.take(), [{ to: "b", message: { kind: "request vote response", view: 3, granted: true } }]);
  const answers = node.follow("b", 3, entries(3, 9, "sign"), 9);
  assert.equal(node.raft.committedSeqno, 9);
  assert.deepEqual(answers.map(({ message }) => "success" in message && message.success), [true]);
  assert.deepEqual(state(node), ["Follower", "Retired", "RetiredCommitted"]);
  node.raft.periodic(10_000);
  assert.deepEqual(state(node), ["Follower", "Retired", "RetiredCommitted"]);
  node.raft.nominateSuccessor();
  assert.deepEqual(node.take(), []);
});

Deno.test("removals that are not committed are taken back", () => {
  const removed = (...bodies: Parameters<typeof entries>[2][]) => {
    const node = followerOf(ABC);
    node.follow("a", 2, entries(2, 5, "sign", { members: ["a", "c"] }, ...bodies));
    return node;
  };
  const ordered = removed("entry");
  assert.equal(ordered.raft.retirementPhase, "Ordered");
  ordered.raft.becomeAwareOfView(3);
  assert.deepEqual(state(ordered), ["Follower", "Active", undefined]);

  const signed = removed("entry", "sign", "sign");
  assert.equal(signed.raft.retirementPhase, "Signed");
  signed.raft.becomeAwareOfView(3);
  assert.equal(signed.raft.retirementPhase, "Signed", "what is signed is kept");
  const cut = (node: TestNode, after: number) => {
    const message = {
      kind: "append entries",
      last: after + 1,
      previous: after,
      previousView: 2,
      committed: 4,
    } as const;
    node.receive("c", { ...message, view: 3, viewOfEntries: 3 }, entries(3, after + 1, "entry"));
  };
  cut(signed, 8);
  assert.equal(signed.raft.retirementPhase, "Signed", "the first signature is still there");

  const cutAtSignature = removed("entry", "sign");
  cutAtSignature.raft.becomeAwareOfView(3);
  cut(cutAtSignature, 7);
  assert.equal(cutAtSignature.raft.retirementPhase, "Ordered");
  // The next signature counts instead.
  cutAtSignature.follow("c", 3, entries(3, 9, "sign"));
  assert.equal(cutAtSignature.raft.retirementPhase, "Signed");
  cutAtSignature.follow("c", 3, entries(3, 10, "sign"), 9);
  assert.equal(cutAtSignature.raft.retirementPhase, "Completed");

  const cutBefore = removed("entry", "sign");
  cutBefore.raft.becomeAwareOfView(3);
  cut(cutBefore, 5);
  assert.deepEqual(state(cutBefore), ["Follower", "Active", undefined]);
});

Deno.test("a backup whose removal is committed still runs and can win: others may need its votes", () => {
  const node = followerOf(ABC, { preVote: false });
  node.follow("a", 2, entries(2, 5, { members: ["a", "c"] }, "sign"));
  node.follow("a", 2, entries(2, 7, "sign"), 6);
  assert.deepEqual([node.raft.retirementPhase, node.raft.configurations.length], ["Completed", 1]);
  node.raft.periodic(100);
  assert.equal(node.raft.leadership, "Candidate");
  node.receive("a", { kind: "request vote response", view: 3, granted: true });
  assert.equal(node.raft.leadership, "Candidate", "its own vote counts nowhere");
  node.receive("c", { kind: "request vote response", view: 3, granted: true });
  assert.deepEqual(state(node), ["Leader", "Retired", "Completed"]);
  node.append("sign");
  node.raft.flush();
  acknowledge(node, "a", 8);
  assert.equal(node.raft.committedSeqno, 6, "nor does its log");
  acknowledge(node, "c", 8);
  assert.equal(node.raft.committedSeqno, 8);
});

Deno.test("a node that is out stays out, though a later entry names it again", () => {
  const node = leaderWith("b", "c");
  node.append({ members: ["b", "c"] }, "sign");
  reach(node, "b", "c");
  node.append({ members: ABC }, { members: ["b", "c"] });
  assert.deepEqual(state(node), ["Leader", "Retired", "Completed"]);
  assert.deepEqual(node.raft.configurations.map(({ seqno }) => seqno), [5, 7, 8]);
});

Deno.test("a removed node is sent entries until it is committed that its removal is", () => {
  const node = leaderWith("b", "c");
  node.append({ members: ["a", "b"] }, "sign");
  reach(node, "b", "c");
  assert.equal(node.raft.committedSeqno, 6);
  node.append({ retired: ["c"] }, "sign");
  assert.ok(node.raft.peers.has("c"));
  node.calls.length = 0;
  reach(node, "b");
  assert.deepEqual(node.calls, ["commit 8", "no peer c"]);
  assert.deepEqual([...node.raft.peers.keys()], ["b"]);
  // What it still says is a stranger's, and it is given no vote, whatever its log.
  node.receive("c", { kind: "append entries response", view: 9, last: 8, success: true });
  for (const kind of ["request pre-vote", "request vote"] as const) {
    node.outbox = [];
    node.receive("c", { kind, view: 9, lastCommittable: 100, viewOfLastCommittable: 9 });
    const answers = node.outbox.map(({ message }) => message.kind.endsWith("vote response") && message);
    assert.deepEqual(answers, [{ kind: `${kind} response`, view: 2, granted: false }]);
  }
  assert.equal(node.raft.view, 2);
  assert.equal(node.raft.leadership, "Leader");
});

Deno.test("several nodes go at once, the leader among them, in the order in which the store names them", () => {
  const node = leaderWith("b", "c");
  node.append({ members: ["d"] }, "sign");
  reach(node, "b", "c", "d");
  assert.equal(node.raft.retirementPhase, "Completed");
  node.append({ retired: ["a", "b", "c"] }, "sign");
  node.take();
  reach(node, "d");
  assert.deepEqual(state(node), ["None", "Retired", "RetiredCommitted"]);
  assert.deepEqual(node.take().at(-1), { to: "d", message: { kind: "propose request vote", view: 2 } });
  assert.deepEqual([...node.raft.peers.keys()], ["d"]);
});

Deno.test("a node that is told that its removal is committed is gone, whether it saw the removal or not", () => {
  const node = leaderWith("b", "c");
  node.append({ retired: ["a"] }, "sign");
  node.raft.flush();
  acknowledge(node, "b", 6);
  assert.deepEqual(state(node), ["None", "Retired", "RetiredCommitted"]);
});

Deno.test("the only node is replaced by another one, which goes on", () => {
  const cluster = new TestCluster(["a", "b"]);
  const [a, b] = [cluster.get("a"), cluster.get("b")];
  a.raft.forcePrimary();
  a.append({ members: ["a"] }, "sign", { members: ["b"] }, "sign");
  for (let beats = 0; beats < 4; beats++) cluster.beat("a");
  assert.deepEqual(state(a), ["Leader", "Retired", "Completed"]);
  a.append({ retired: ["a"] }, "sign");
  cluster.beat("a");
  // Its successor has greeted it already.
  assert.deepEqual(state(a), ["Follower", "Retired", "RetiredCommitted"]);
  assert.deepEqual([b.raft.leadership, b.raft.view], ["Leader", 3]);
  b.append("sign");
  cluster.beat("b");
  assert.equal(b.raft.committedSeqno, 7);
  assert.deepEqual([...b.raft.peers.keys()], []);
});

Deno.test("a removed node unseats nobody by what it sends as a leader", () => {
  const node = leaderWith("b", "c");
  node.append({ members: ["a", "b"] }, "sign");
  reach(node, "b", "c");
  node.append({ retired: ["c"] }, "sign");
  reach(node, "b");
  node.receive("c", {
    kind: "append entries",
    view: 9,
    last: 8,
    previous: 8,
    previousView: 2,
    committed: 8,
    viewOfEntries: 2,
  });
  assert.deepEqual([node.raft.view, node.raft.leadership], [2, "Leader"]);
});
