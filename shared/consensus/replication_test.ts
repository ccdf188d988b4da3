import { strict as assert } from "node:assert";
import {
  acknowledge,
  entries,
  entry,
  followerOf,
  leaderWith,
  type TestEntry,
  TestNode,
} from "../../tests/raft_nodes.ts";
import { MAX_APPENDS_PER_SENDING } from "../limits.ts";
import type { AppendEntries, AppendEntriesResponse, RaftMessage } from "./messages.ts";

const ABC = ["a", "b", "c"];

/** "Entries after `previous` up to `last`", of view 2 and from the leader of view 2 unless told otherwise. */
function appendEntries(previous: number, last: number, more: Partial<AppendEntries> = {}): AppendEntries {
  return {
    kind: "append entries",
    view: 2,
    last,
    previous,
    previousView: 2,
    committed: 0,
    viewOfEntries: 2,
    ...more,
  };
}

function answer(success: boolean, last: number, view = 2): { to: string; message: AppendEntriesResponse } {
  return { to: "a", message: { kind: "append entries response", view, last, success } };
}

const appended = (node: TestNode, to?: string) =>
  node.take().filter((sent) => to === undefined || sent.to === to).map(({ message }) => {
    assert.equal(message.kind, "append entries");
    return [message.previous, message.last];
  });

// A follower of view 2 whose log is 1 to 6, all of view 2; 4 is signed and committed, 5 and 6 are neither.
function followerWithTail(): TestNode {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "entry", "entry"));
  node.calls.length = 0;
  return node;
}

interface Case {
  readonly name: string;
  readonly message: AppendEntries;
  readonly entries: readonly TestEntry[] | undefined;
  /** What is answered, if anything. */
  readonly answer: ReturnType<typeof answer> | undefined;
  readonly calls: readonly string[];
  readonly last: number;
}

// consensus.md §10.
const CASES: readonly Case[] = [
  {
    name: "new entries",
    message: appendEntries(6, 8),
    entries: entries(2, 7, "entry", "entry"),
    answer: answer(true, 8),
    calls: ["execute 2.7", "execute 2.8"],
    last: 8,
  },
  {
    name: "a heartbeat",
    message: appendEntries(6, 6),
    entries: [],
    answer: answer(true, 6),
    calls: [],
    last: 6,
  },
  {
    name: "a heartbeat in the middle of the log",
    message: appendEntries(5, 5),
    entries: [],
    answer: answer(true, 5),
    calls: [],
    last: 6,
  },
  {
    name: "entries that are all there, and more after them",
    message: appendEntries(4, 5),
    entries: entries(2, 5, "entry"),
    answer: answer(true, 5),
    calls: [],
    last: 6,
  },
  {
    name: "entries that are all there, whose bytes are not even looked at",
    message: appendEntries(4, 6),
    entries: undefined,
    answer: answer(true, 6),
    calls: [],
    last: 6,
  },
  {
    name: "entries of which some are there",
    message: appendEntries(4, 7),
    entries: entries(2, 5, "entry", "entry", "entry"),
    answer: answer(true, 7),
    calls: ["execute 2.7"],
    last: 7,
  },
  {
    name: "entries of which the first are committed",
    message: appendEntries(3, 7),
    entries: entries(2, 4, "sign", "entry", "entry", "entry"),
    answer: undefined,
    calls: [],
    last: 6,
  },
  {
    name: "entries that are all committed",
    message: appendEntries(1, 3),
    entries: entries(2, 2, "sign", { members: ABC }),
    answer: undefined,
    calls: [],
    last: 6,
  },
  {
    name: "entries from beyond the end of the log",
    message: appendEntries(7, 8),
    entries: entries(2, 8, "entry"),
    answer: answer(false, 6),
    calls: [],
    last: 6,
  },
  {
    name: "new entries whose bytes are none",
    message: appendEntries(6, 8),
    entries: undefined,
    answer: answer(false, 6),
    calls: [],
    last: 6,
  },
  {
    name: "fewer entries than it says",
    message: appendEntries(5, 9),
    entries: entries(2, 6, "entry", "entry", "entry"),
    answer: answer(false, 8),
    calls: ["execute 2.7", "execute 2.8"],
    last: 8,
  },
  {
    name: "no entries where it says there are some",
    message: appendEntries(6, 8),
    entries: [],
    answer: answer(false, 6),
    calls: [],
    last: 6,
  },
  {
    name: "more entries than it says",
    message: appendEntries(6, 7),
    entries: entries(2, 7, "entry", "entry"),
    answer: answer(false, 6),
    calls: [],
    last: 6,
  },
  {
    name: "an entry in the middle that does not apply",
    message: appendEntries(6, 9),
    entries: [entry(2, 7), { ...entry(2, 8), isBad: true }, entry(2, 9)],
    answer: answer(false, 7),
    calls: ["execute 2.7"],
    last: 7,
  },
  {
    name: "a message of an older view",
    message: appendEntries(6, 7, { view: 1, viewOfEntries: 1, previousView: 1 }),
    entries: entries(1, 7, "entry"),
    answer: answer(false, 6),
    calls: [],
    last: 6,
  },
  {
    // As a new follower it drops its unsigned tail; what it has is then only what is signed.
    name: "a new leader's heartbeat at the last signature",
    message: appendEntries(4, 4, { view: 3 }),
    entries: [],
    answer: answer(true, 4, 3),
    calls: ["rollback 2.4 for 3"],
    last: 4,
  },
  {
    name: "a new leader's entries, of its own view",
    message: appendEntries(4, 6, { view: 3, viewOfEntries: 3 }),
    entries: entries(3, 5, "entry", "sign"),
    answer: answer(true, 6, 3),
    calls: ["rollback 2.4 for 3", "execute 3.5", "execute 3.6"],
    last: 6,
  },
  {
    name: "a new leader's entries after one that is not there any more",
    message: appendEntries(6, 7, { view: 3, viewOfEntries: 3 }),
    entries: entries(3, 7, "entry"),
    answer: answer(false, 4, 3),
    calls: ["rollback 2.4 for 3"],
    last: 4,
  },
  {
    name: "a signature that the leader says is committed, and one that it does not",
    message: appendEntries(6, 9, { committed: 8 }),
    entries: entries(2, 7, "sign", "entry", "sign"),
    answer: answer(true, 9),
    calls: ["execute 2.7", "commit 7", "execute 2.8", "execute 2.9"],
    last: 9,
  },
  {
    name: "a leader that says more is committed than is signed",
    message: appendEntries(6, 6, { committed: 6 }),
    entries: [],
    answer: answer(true, 6),
    calls: [],
    last: 6,
  },
];

for (const { name, message, entries, answer, calls, last } of CASES) {
  Deno.test(`a backup takes ${name}`, () => {
    const node = followerWithTail();
    node.receive("a", message, entries);
    assert.deepEqual(node.take(), answer === undefined ? [] : [answer]);
    assert.deepEqual(node.calls, calls);
    assert.equal(node.raft.lastSeqno, last);
  });
}

// A follower of view 3 whose entries 5 to 8 are of view 2, 6 and 8 signed, but not committed.
function divergedFollower(): TestNode {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "entry", "sign", "entry", "sign"));
  node.raft.becomeAwareOfView(4);
  node.calls.length = 0;
  return node;
}

Deno.test("a backup cuts off a conflict once for each view that it follows", () => {
  const node = divergedFollower();
  const first = appendEntries(4, 6, { view: 4, viewOfEntries: 3 });
  node.receive("a", first, entries(3, 5, "entry", "sign"));
  assert.deepEqual(node.take(), [answer(true, 6, 4)]);
  assert.deepEqual(node.calls, ["rollback 2.4 for 4", "execute 3.5", "execute 3.6"]);

  // A second conflict in the same view is no conflict but an old message: no answer, and nothing is dropped.
  node.receive("a", appendEntries(4, 5, { view: 4 }), entries(2, 5, "entry"));
  assert.deepEqual(node.take(), []);
  assert.equal(node.raft.lastSeqno, 6);

  node.raft.becomeAwareOfView(5);
  node.receive("a", appendEntries(4, 5, { view: 5, viewOfEntries: 4 }), entries(4, 5, "sign"));
  assert.deepEqual(node.take(), [answer(true, 5, 5)]);
});

Deno.test("a backup cuts off nothing for an early message without a conflict, and may still do so afterwards", () => {
  const node = divergedFollower();
  // Heartbeats and old entries of a new leader, the first of its view: what comes after them may be committed elsewhere.
  for (const [previous, last] of [[4, 4], [4, 5], [5, 5], [4, 8]] as const) {
    node.receive("a", appendEntries(previous, last, { view: 4 }), entries(2, 5, "entry", "sign", "entry", "sign"));
    assert.deepEqual(node.take(), [answer(true, last, 4)]);
    assert.equal(node.raft.lastSeqno, 8);
  }
  node.receive("a", appendEntries(6, 7, { view: 4, viewOfEntries: 3 }), entries(3, 7, "sign"));
  assert.deepEqual(node.take(), [answer(true, 7, 4)]);
  assert.deepEqual(node.calls, ["rollback 2.6 for 4", "execute 3.7"]);
});

Deno.test("a backup that cannot take what replaces a conflict has dropped it all the same", () => {
  const node = divergedFollower();
  node.receive("a", appendEntries(4, 6, { view: 4, viewOfEntries: 3 }), undefined);
  assert.deepEqual(node.take(), [answer(false, 4, 4)]);
  node.receive("a", appendEntries(4, 6, { view: 4, viewOfEntries: 3 }), entries(3, 5, "entry", "sign"));
  assert.deepEqual(node.take(), [answer(true, 6, 4)]);
});

Deno.test("an acknowledgement covers what the message covered, not what comes after it in the log", () => {
  const node = divergedFollower();
  node.receive("a", appendEntries(5, 5, { view: 4 }), []);
  assert.deepEqual(node.take(), [answer(true, 5, 4)]);
});

Deno.test("a refusal for another view of the entry before tells how far the logs may agree, and that entry's view", () => {
  const node = followerOf(ABC);
  node.follow("a", 2, entries(2, 5, "sign"));
  node.follow("c", 3, entries(3, 6, "entry", "sign"));
  node.follow("a", 5, entries(5, 8, "entry", "sign"));
  node.raft.becomeAwareOfView(7);
  const draws = node.draws.length;
  const refusal = (previous: number, previousView: number) => {
    node.receive("c", appendEntries(previous, previous, { view: 7, previousView, viewOfEntries: previousView }), []);
    return node.take()[0]!.message;
  };
  const kind = "append entries response";
  // Views 5 and 3 are passed over whole; the view told is lower than ours, and that is right.
  assert.deepEqual(refusal(8, 4), { kind, view: 3, last: 7, success: false });
  assert.deepEqual(refusal(9, 2), { kind, view: 2, last: 5, success: false });
  assert.deepEqual(refusal(7, 4), { kind, view: 3, last: 7, success: false });
  // Not there at all.
  assert.deepEqual(refusal(10, 6), { kind, view: 7, last: 9, success: false });
  // Whoever is refused is not taken for a leader, and the election timer goes on.
  assert.equal(node.raft.leaderId, undefined);
  assert.equal(node.draws.length, draws);
});

Deno.test("a backup knows the views of entries before one that it refused", () => {
  const node = followerOf(ABC);
  const list = [entry(3, 5), entry(3, 6), { ...entry(3, 7), isBad: true }];
  node.receive("a", appendEntries(4, 7, { view: 3, viewOfEntries: 3 }), list);
  assert.deepEqual(node.take(), [answer(false, 6, 3)]);
  assert.equal(node.raft.viewOf(6), 3);
  node.receive("a", appendEntries(6, 7, { view: 3, previousView: 3, viewOfEntries: 3 }), [entry(3, 7)]);
  assert.deepEqual(node.take(), [answer(true, 7, 3)]);
});

Deno.test("a joining node takes the ledger from its first entry, from senders in no configuration of its own", () => {
  const node = new TestNode("b", { ticking: false });
  assert.equal(node.raft.leadership, "None");
  node.receive("a", appendEntries(4, 4), []);
  assert.deepEqual(node.take(), [answer(false, 0)]);
  assert.equal(node.raft.leadership, "Follower");
  node.receive("a", appendEntries(0, 4, { previousView: 0, committed: 4 }), followerOf(ABC).ledger);
  assert.deepEqual(node.take(), [answer(true, 4)]);
  assert.deepEqual(node.calls, [
    "execute 2.1",
    "peer a at a.example:1",
    "execute 2.2",
    "commit 2",
    "execute 2.3",
    "peer c at c.example:1",
    "execute 2.4",
    "commit 4",
  ]);
  assert.ok(node.raft.ticking);
});

Deno.test("a node takes entries of a heartbeat on an empty log for what they are", () => {
  // A leader whose log is empty says nothing of the views of what others will write at 1.
  const node = new TestNode("b");
  node.receive("a", appendEntries(0, 0, { view: 5, previousView: 0, viewOfEntries: 0 }), []);
  assert.deepEqual(node.take(), [answer(true, 0, 5)]);
  assert.deepEqual(node.follow("a", 5, entries(2, 1, "entry", "sign")), [answer(true, 2, 5)]);
  assert.equal(node.raft.viewOf(2), 2);
});

Deno.test("candidates follow the leader that was elected in their view", () => {
  for (const preVote of [true, false]) {
    const node = followerOf(ABC, { preVote });
    node.raft.periodic(100);
    const view = preVote ? 2 : 3;
    assert.equal(node.raft.leadership, preVote ? "PreVoteCandidate" : "Candidate");
    assert.equal(node.raft.view, view);
    node.take();
    node.receive("c", appendEntries(4, 4, { view }), []);
    assert.equal(node.raft.leadership, "Follower");
    assert.equal(node.raft.leaderId, "c");
    assert.deepEqual(node.take().map(({ to }) => to), ["c"]);
  }
});

Deno.test("a leader takes nothing from another leader of its view, since there is none", () => {
  const node = leaderWith("b", "c");
  node.receive("b", appendEntries(4, 5), entries(2, 5, "sign"));
  assert.deepEqual(node.take(), []);
  assert.equal(node.raft.lastSeqno, 4);
  assert.ok(node.raft.isPrimary);
});

// The leader's side: consensus.md §9, §11.

Deno.test("a leader sends entries with its heartbeat, or as soon as they have 20 000 bytes", () => {
  const node = leaderWith("b");
  node.append("entry", "entry", "sign");
  assert.deepEqual(appended(node), []);
  node.raft.periodic(9);
  assert.deepEqual(appended(node), []);
  node.raft.periodic(1);
  // Messages are small at first: this is the first time that their size is reckoned.
  assert.deepEqual(appended(node), [[4, 6], [6, 7]]);
  node.raft.periodic(9);
  assert.deepEqual(appended(node), []);
  node.raft.periodic(1);
  assert.deepEqual(appended(node), [[7, 7]]);

  // 7 entries of 100 bytes came before, and a heartbeat does not start the count over.
  node.appendOf(19_299, "entry");
  assert.deepEqual(appended(node), []);
  node.appendOf(1, "entry");
  assert.deepEqual(appended(node).at(-1)?.at(-1), 9);
  node.appendOf(19_999, "entry");
  assert.deepEqual(appended(node), []);
});

Deno.test("a leader sends what is new when told to, and nothing where nothing is", () => {
  const node = leaderWith("b", "c");
  node.append("entry", "entry");
  node.raft.flush();
  assert.deepEqual(appended(node), [[4, 6], [4, 6]]);
  node.raft.flush();
  assert.deepEqual(appended(node), []);
  const follower = followerOf(ABC);
  follower.raft.flush();
  assert.deepEqual(follower.take(), []);
});

Deno.test("entries of two views never travel in one message", () => {
  const node = followerOf(ABC, { preVote: false });
  node.follow("a", 2, entries(2, 5, "entry", "sign"));
  node.raft.periodic(100);
  node.receive("c", { kind: "request vote response", view: 3, granted: true });
  assert.ok(node.raft.isPrimary);
  node.append("entry", "sign");
  node.take();
  node.receive("c", { kind: "append entries response", view: 2, last: 4, success: false });
  node.raft.flush();
  const sent = node.take().filter(({ to }) => to === "c").map(({ message }) => message);
  const common = { kind: "append entries", view: 3, committed: 4, previousView: 2 };
  assert.deepEqual(sent, [
    { ...common, previous: 4, last: 6, viewOfEntries: 2 },
    { ...common, previous: 6, last: 8, viewOfEntries: 3 },
  ]);
});

Deno.test("a refusal moves where sending goes on, and nothing else", () => {
  const node = leaderWith("b", "c");
  node.append("entry", "sign", "entry", "sign");
  node.raft.flush();
  acknowledge(node, "b", 5);
  node.take();
  node.calls.length = 0;
  const refuse = (last: number, view: number) => {
    node.receive("b", { kind: "append entries response", view, last, success: false });
    assert.deepEqual(node.take(), [], "the next heartbeat sends");
    const { sent, match } = node.raft.peers.get("b")!;
    assert.equal(match, 5);
    return sent;
  };
  assert.equal(refuse(7, 2), 7);
  // What is further on than what was sent does not count.
  assert.equal(refuse(8, 2), 7);
  assert.equal(refuse(6, 2), 6);
  // Never before what the peer has said it has.
  assert.equal(refuse(1, 2), 5);
  // A view older than any of ours.
  assert.equal(refuse(8, 1), 5);
  assert.deepEqual(node.calls, []);
  assert.equal(node.raft.committedSeqno, 4);
  node.raft.periodic(10);
  assert.equal(appended(node, "b").at(0)?.at(0), 5);
});

Deno.test("a leader looks in its own log for where a refusal may agree", () => {
  // Views 2 (to 6), 3 (7, 8), 6 (9, 10).
  const node = followerOf(ABC, { preVote: false });
  node.follow("a", 2, entries(2, 5, "entry", "sign"));
  node.follow("c", 3, entries(3, 7, "entry", "sign"));
  node.raft.becomeAwareOfView(5);
  node.raft.periodic(100);
  node.receive("c", { kind: "request vote response", view: 6, granted: true });
  node.append("entry", "sign");
  const sentAfter = (last: number, view: number) => {
    node.raft.flush();
    node.receive("a", { kind: "append entries response", view, last, success: false });
    return node.raft.peers.get("a")!.sent;
  };
  assert.equal(sentAfter(10, 6), 10);
  assert.equal(sentAfter(10, 5), 8);
  assert.equal(sentAfter(9, 3), 8);
  assert.equal(sentAfter(7, 3), 7);
  assert.equal(sentAfter(100, 2), 6);
  assert.equal(sentAfter(5, 2), 5);
  assert.equal(sentAfter(10, 1), 0);
});

Deno.test("acknowledgements that are old, of other views, of strangers or impossible change nothing", () => {
  const node = leaderWith("b", "c");
  node.append("entry", "sign");
  node.raft.flush();
  acknowledge(node, "b", 5);
  const before = [...node.raft.peers.values()].map((peer) => ({ ...peer }));
  const ok = (last: number, view: number): RaftMessage => ({
    kind: "append entries response",
    view,
    last,
    success: true,
  });
  node.receive("b", ok(4, 2));
  node.receive("b", ok(6, 1));
  node.receive("b", ok(7, 2));
  node.receive("x", ok(6, 2));
  node.receive("x", ok(6, 9));
  assert.deepEqual([...node.raft.peers.values()], before);
  assert.deepEqual([node.raft.view, node.raft.committedSeqno], [2, 4]);

  const follower = followerOf(ABC);
  follower.receive("c", ok(4, 9));
  assert.equal(follower.raft.view, 2);
});

Deno.test("any answer shows that a peer is alive", () => {
  const node = leaderWith("b", "c");
  const answers: [number, number, boolean][] = [[4, 2, true], [1, 1, true], [4, 1, false], [0, 2, false]];
  for (const [last, view, success] of answers) {
    node.raft.periodic(60);
    assert.equal(node.raft.peers.get("b")!.lastAckMs, 60);
    node.receive("b", { kind: "append entries response", view, last, success });
    assert.equal(node.raft.peers.get("b")!.lastAckMs, 0);
  }
  assert.ok(node.raft.isPrimary);
});

Deno.test("a leader steps down for an answer of a higher view, without its unsigned tail", () => {
  const node = leaderWith("b", "c");
  node.append("entry", "sign", "entry");
  node.receive("b", { kind: "append entries response", view: 3, last: 4, success: false });
  assert.deepEqual([node.raft.leadership, node.raft.view, node.raft.lastSeqno], ["Follower", 3, 6]);
  assert.equal(node.raft.leaderId, undefined);
});

Deno.test("one sending has a limit; the rest goes when all of it is acknowledged, or with the next heartbeat", () => {
  const node = leaderWith("b");
  const batch = 20;
  const all = 4 + batch * (2 * MAX_APPENDS_PER_SENDING + 1);
  // Too small to be sent by themselves.
  while (node.raft.lastSeqno < all) node.appendOf(1, "entry");
  node.raft.flush();
  const first = appended(node);
  assert.equal(first.length, MAX_APPENDS_PER_SENDING);
  assert.deepEqual(first.slice(0, 2), [[4, 24], [24, 44]]);
  const end = 4 + batch * MAX_APPENDS_PER_SENDING;
  assert.equal(first.at(-1)?.at(-1), end);

  acknowledge(node, "b", end - batch);
  assert.deepEqual(appended(node), []);
  acknowledge(node, "b", end);
  assert.deepEqual(appended(node).map(([previous]) => previous).slice(0, 2), [end, end + batch]);
  node.raft.flush();
  assert.deepEqual(appended(node).at(-1)?.at(-1), all);
  // Nothing is waiting any more: acknowledgements send nothing.
  acknowledge(node, "b", all);
  assert.deepEqual(appended(node), []);
});

Deno.test("append() is for leaders, in order", () => {
  assert.throws(() => followerOf(ABC).raft.append(5, 1, { committable: false }), { name: "AssertionFailed" });
  const node = leaderWith("b");
  assert.throws(() => node.raft.append(4, 1, { committable: false }), { name: "AssertionFailed" });
  assert.throws(() => node.raft.append(6, 1, { committable: false }), { name: "AssertionFailed" });
});

Deno.test("a commit index says nothing of entries behind the message that the leader never had", () => {
  const node = followerOf(ABC); // 1 to 4, of view 2, committed
  const inView3 = { view: 3, viewOfEntries: 3 };
  node.receive("c", appendEntries(4, 6, inView3), entries(3, 5, "entry", "sign")); // which nobody else has
  assert.equal(node.raft.lastCommittable, 6);
  // The leader of view 4 has other entries from 5 on, and begins too low, because of a refusal that came late.
  node.receive("a", appendEntries(4, 4, { view: 4, committed: 7 }), []);
  assert.equal(node.raft.committedSeqno, 4);
  const inView4 = { view: 4, viewOfEntries: 4, committed: 7 };
  node.receive("a", appendEntries(4, 7, inView4), entries(4, 5, "entry", "entry", "sign"));
  assert.deepEqual([node.raft.committedSeqno, node.ledger.at(-1)!.view], [7, 4]);
});
