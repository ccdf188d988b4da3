import { strict as assert } from "node:assert";
import { acknowledge, entries, followerOf, leaderWith, TestNode } from "../../tests/raft_nodes.ts";

const ABC = ["a", "b", "c"];

Deno.test("a leader commits up to the last signature that a quorum has", () => {
  const node = leaderWith("b", "c");
  node.append("entry", "sign", "entry", "sign", "entry");
  node.raft.flush();
  acknowledge(node, "b", 5);
  assert.equal(node.raft.committedSeqno, 4, "5 is no signature");
  acknowledge(node, "b", 7);
  assert.equal(node.raft.committedSeqno, 6);
  assert.deepEqual(node.raft.committables, [8]);
  acknowledge(node, "c", 9);
  assert.deepEqual([node.raft.committedSeqno, node.raft.lastCommittable], [8, 8]);
  assert.deepEqual(node.calls, ["commit 6", "commit 8"]);
});

Deno.test("half of an even number of nodes commits nothing", () => {
  const node = leaderWith("b", "c", "d");
  node.append("sign");
  node.raft.flush();
  acknowledge(node, "b", 5);
  assert.equal(node.raft.committedSeqno, 4);
  acknowledge(node, "d", 5);
  assert.equal(node.raft.committedSeqno, 5);
});

Deno.test("a leader commits with a quorum of each configuration, not of all nodes and not of the latest", () => {
  const committed = (...peers: string[]) => {
    const node = leaderWith("b");
    node.append({ members: ["a", "c", "d", "e", "f"] }, "sign");
    node.raft.flush();
    for (const peer of peers) acknowledge(node, peer, 6);
    return node.raft.committedSeqno === 6;
  };
  assert.equal(committed("c", "d", "e", "f"), false, "five of six in all, five of five, one of two");
  assert.equal(committed("b"), false, "two of two, one of five");
  assert.equal(committed("b", "c"), false, "two of five");
  assert.equal(committed("b", "c", "d"), true);
});

Deno.test("pending configurations count for entries before them too", () => {
  const node = leaderWith("b");
  node.append("sign", { members: ["a", "b", "c", "d", "e"] });
  node.raft.flush();
  acknowledge(node, "b", 5);
  assert.equal(node.raft.committedSeqno, 4);
  acknowledge(node, "c", 5);
  assert.equal(node.raft.committedSeqno, 5);
});

/** Leads view 3, of b, with signatures of view 2 at 5 and 6 that were not committed. */
function newLeader(): TestNode {
  const node = followerOf(ABC, { preVote: false });
  node.follow("a", 2, entries(2, 5, "sign", "sign"));
  node.raft.periodic(100);
  node.receive("c", { kind: "request vote response", view: 3, granted: true });
  assert.equal(node.raft.leadership, "Leader");
  node.take();
  return node;
}

Deno.test("a leader commits entries of older views only below one of its own", () => {
  // Figure 8 of the Raft paper: a quorum has 6, and a node that lacks it may yet be elected.
  const node = newLeader();
  acknowledge(node, "a", 6);
  acknowledge(node, "c", 6);
  assert.equal(node.raft.committedSeqno, 4);
  assert.deepEqual(node.raft.committables, [5, 6], "they are remembered");
  node.append("entry");
  node.raft.flush();
  acknowledge(node, "c", 7);
  assert.equal(node.raft.committedSeqno, 4, "7 is of this view, but no signature");
  node.append("sign");
  node.raft.flush();
  acknowledge(node, "c", 8);
  assert.equal(node.raft.committedSeqno, 8);
  assert.deepEqual(node.raft.committables, []);
});

Deno.test("signatures of older views are still there for a leader that falls back and is elected again", () => {
  const node = newLeader();
  node.receive("c", { kind: "request vote", view: 4, lastCommittable: 0, viewOfLastCommittable: 0 });
  assert.deepEqual([node.raft.leadership, node.raft.committables], ["Follower", [5, 6]]);
  // As a backup it commits them when told.
  node.receive("c", {
    kind: "append entries",
    view: 4,
    last: 6,
    previous: 6,
    previousView: 2,
    committed: 5,
    viewOfEntries: 2,
  }, []);
  assert.deepEqual([node.raft.committedSeqno, node.raft.committables], [5, [6]]);
});

Deno.test("refusals commit nothing, whatever they say is there", () => {
  const node = leaderWith("b", "c");
  node.append("sign");
  node.raft.flush();
  for (const view of [2, 1]) {
    node.receive("b", { kind: "append entries response", view, last: 5, success: false });
    node.receive("c", { kind: "append entries response", view, last: 5, success: false });
  }
  assert.equal(node.raft.committedSeqno, 4);
  assert.deepEqual([...node.raft.peers.values()].map(({ match }) => match), [4, 4]);
});

Deno.test("a commit ends configurations before the newest one that it covers", () => {
  const node = leaderWith("b", "c");
  const configuredAt = () => node.raft.configurations.map(({ seqno }) => seqno);
  node.append({ members: ["a", "b"] }, "sign", { members: ["a", "b", "d"] }, "entry", { members: ["a", "d"] });
  assert.deepEqual(configuredAt(), [3, 5, 7, 9]);
  node.raft.flush();
  for (const peer of ["b", "c", "d"]) acknowledge(node, peer, 9);
  assert.deepEqual([node.raft.committedSeqno, configuredAt()], [6, [5, 7, 9]]);
  assert.deepEqual(node.calls, ["peer d at d.example:1", "commit 6", "record retirements"]);
  node.append("sign");
  node.raft.flush();
  for (const peer of ["b", "d"]) acknowledge(node, peer, 10);
  assert.deepEqual([node.raft.committedSeqno, configuredAt()], [10, [9]]);
  assert.deepEqual(node.raft.latestMembers, new Map([["a", "a.example:1"], ["d", "d.example:1"]]));
  // Those removed are still sent to: not every future leader knows it yet.
  assert.deepEqual([...node.raft.peers.keys()], ["b", "c", "d"]);
});

Deno.test("a backup that commits a change of members does not record retirements", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, { members: ["a", "b"] }, "sign"));
  node.follow("a", 2, entries(2, 7, "sign"), 6);
  assert.deepEqual(node.calls.filter((call) => !call.startsWith("execute")), ["commit 6"]);
  assert.equal(node.raft.configurations.length, 1);
});

Deno.test("a rollback takes back configurations, signatures and views, and peers stay", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign", { members: ["a", "b", "d"] }, "entry"));
  assert.equal(node.raft.configurations.length, 2);
  node.calls.length = 0;
  node.raft.becomeAwareOfView(3);
  assert.deepEqual(node.calls, ["rollback 2.5 for 3"]);
  assert.deepEqual(node.raft.configurations.map(({ seqno }) => seqno), [3]);
  assert.deepEqual([...node.raft.peers.keys()], ["a", "c", "d"]);
  assert.deepEqual(node.follow("c", 3, entries(3, 6, { members: ["b", "c"] }, "sign")).length, 1);
  assert.deepEqual(node.raft.configurations.map(({ seqno }) => seqno), [3, 6]);
  assert.deepEqual(node.raft.viewStarts.list, [1, 1, 6]);
});
