/** Pre-votes of several nodes at once: who makes way for whom, and for how long. */

import { strict as assert } from "node:assert";
import { entries, followerOf, leaderWith, type TestNode } from "../../tests/raft_nodes.ts";
import type { RequestVote, RequestVoteResponse } from "./messages.ts";

const ABC = ["a", "b", "c"];

function preVote(view: number, lastCommittable: number, viewOfLastCommittable = 2): RequestVote {
  return { kind: "request pre-vote", view, lastCommittable, viewOfLastCommittable };
}

const granting = (view: number): RequestVoteResponse => ({ kind: "request pre-vote response", view, granted: true });

/** Asks a node. @returns whether it says yes */
function grants(node: TestNode, from: string, message: RequestVote): boolean {
  node.take();
  node.receive(from, message);
  const [answer] = node.take().map(({ message }) => message);
  assert.ok(answer?.kind === "request pre-vote response" || answer?.kind === "request vote response");
  return answer.granted;
}

Deno.test("of two that ask for pre-votes at once, who has more goes first, of equals the one with the greater ID", () => {
  const judge = (from: string, message: RequestVote) => {
    const node = followerOf(ABC);
    // 6 of view 2 is the last signature.
    node.follow("a", 2, entries(2, 5, "entry", "sign", "entry"));
    node.raft.periodic(100);
    const isGranted = grants(node, from, message);
    assert.equal(node.raft.lastSeqno, 7, "what is not signed is kept");
    assert.deepEqual([node.raft.view, node.raft.leaderId], [2, undefined]);
    return [isGranted, node.raft.leadership];
  };
  assert.deepEqual(judge("c", preVote(2, 6)), [true, "Follower"], "c is greater than b");
  assert.deepEqual(judge("a", preVote(2, 6)), [true, "PreVoteCandidate"], "a is not");
  assert.deepEqual(judge("a", preVote(2, 7)), [true, "Follower"], "more entries");
  assert.deepEqual(judge("a", preVote(2, 5, 3)), [true, "Follower"], "a higher view");
  assert.deepEqual(judge("c", preVote(2, 5)), [false, "PreVoteCandidate"], "less");
  assert.deepEqual(judge("stranger", preVote(2, 6)), [true, "PreVoteCandidate"], "it would not get our votes");
});

Deno.test("a node that stopped asking counts no pre-votes, and asks again in its own time", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign", "sign"));
  node.draw = 50;
  node.raft.periodic(50);
  const draws = node.draws.length;
  assert.ok(grants(node, "c", preVote(2, 6)));
  assert.equal(node.draws.length, draws, "the timer goes on");
  node.receive("c", granting(2));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Follower", 2]);
  node.raft.periodic(49);
  assert.equal(node.raft.leadership, "Follower");
  node.raft.periodic(1);
  assert.equal(node.raft.leadership, "PreVoteCandidate", "c did not win");
});

Deno.test("a node that asks for pre-votes, and votes, has chosen", () => {
  const node = followerOf(ABC);
  node.raft.becomeAwareOfView(3);
  node.raft.periodic(100);
  assert.ok(grants(node, "a", { ...preVote(3, 4), kind: "request vote" }));
  node.receive("c", granting(3));
  assert.deepEqual([node.raft.leadership, node.raft.view], ["Follower", 3]);
});

Deno.test("a node that gives a pre-vote does not ask in the next moment", () => {
  const asksAfter = (elapsedMs: number, message: RequestVote) => {
    const node = followerOf(ABC);
    node.raft.periodic(elapsedMs);
    grants(node, "c", message);
    let ms = 0;
    for (; node.raft.leadership === "Follower"; ms++) node.raft.periodic(1);
    return ms;
  };
  assert.equal(asksAfter(99, preVote(2, 4)), 12, "an eighth of the election timeout");
  assert.equal(asksAfter(89, preVote(2, 4)), 12);
  assert.equal(asksAfter(88, preVote(2, 4)), 12);
  assert.equal(asksAfter(40, preVote(2, 4)), 60, "no sooner than it would have");
  assert.equal(asksAfter(99, preVote(2, 3)), 1, "it was refused");
  const leader = leaderWith("b", "c");
  leader.raft.periodic(9);
  grants(leader, "c", preVote(2, 4));
  leader.raft.periodic(1);
  assert.equal(leader.take().length, 2, "the heartbeat of a leader comes as before");
});

Deno.test("a node that asks over and over and cannot win holds up nobody", () => {
  // c hears nothing, so it asks every 50 ms, as often as a node may.
  const node = followerOf(ABC);
  node.draw = 0;
  let asked = 0;
  for (let ms = 0; asked < 10; ms++) {
    if (ms % 50 === 0) grants(node, "c", preVote(2, 4));
    node.raft.periodic(1);
    if (node.take().some(({ message }) => message.kind === "request pre-vote")) asked++;
    assert.ok(ms < 112 * 10, "it asks once in an election timeout and an eighth");
  }
});

Deno.test("a candidate that lost, asked for pre-votes and stopped asking, gives way to the log of who won too", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign"));
  node.follow("c", 3, entries(3, 5, "sign", "sign"));
  node.raft.periodic(100);
  node.receive("c", granting(3));
  node.raft.periodic(100);
  assert.deepEqual([node.raft.leadership, node.raft.view], ["PreVoteCandidate", 4]);
  assert.ok(grants(node, "c", preVote(4, 6, 3)));
  assert.equal(node.raft.leadership, "Follower");
  node.follow("a", 4, entries(4, 6, "entry", "sign"));
  assert.deepEqual([node.raft.lastSeqno, node.raft.viewOf(6)], [7, 4]);
});
