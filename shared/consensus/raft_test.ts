import { strict as assert } from "node:assert";
import fc from "fast-check";
import {
  acknowledge,
  addresses,
  type Body,
  entries,
  followerOf,
  leaderWith,
  TestCluster,
  TestNode,
} from "../../tests/raft_nodes.ts";
import type { RaftTrace } from "./state.ts";

const ABC = ["a", "b", "c"];

// How nodes enter: consensus.md §8.

Deno.test("a recovering node leads two views after the one that its ledger ends in", () => {
  const node = new TestNode("r");
  node.ledger.push(...entries(2, 1, "entry", "sign"), ...entries(4, 3, "entry", "sign"));
  node.raft.startFrom({ seqno: 4, view: 4, viewStarts: [1, 1, 3, 3] });
  node.raft.forcePrimary();
  assert.deepEqual([node.raft.view, node.raft.leadership, node.raft.lastSeqno], [6, "Leader", 4]);
  assert.deepEqual([node.raft.committedSeqno, node.raft.lastCommittable], [4, 4]);
  node.append({ members: ["r"] }, "sign");
  assert.equal(node.raft.committedSeqno, 6);
  assert.deepEqual(node.raft.viewStarts.list, [1, 1, 3, 3, 5, 5]);
});

Deno.test("a log that begins in a view which the history does not name yet begins it there", () => {
  const node = new TestNode("r");
  node.raft.startFrom({ seqno: 4, view: 4, viewStarts: [1, 1] });
  assert.deepEqual([3, 4].map((seqno) => node.raft.viewOf(seqno)), [2, 4]);
});

Deno.test("a node that joins from a snapshot follows from there, with the members that it names", () => {
  const node = new TestNode("b", { ticking: false });
  const view = (seqno: number) => node.raft.viewOf(seqno);
  node.ledger.push(...entries(2, 1, "entry", "sign", "entry", "sign"));
  node.raft.startFrom({ seqno: 4, view: 2, viewStarts: [1, 1], members: addresses(ABC) });
  node.raft.becomeAwareOfView(2);
  assert.deepEqual([node.raft.view, node.raft.leadership, node.raft.committedSeqno], [2, "Follower", 4]);
  assert.deepEqual([0, 1, 4, 5].map(view), [0, 2, 2, 0]);
  assert.deepEqual(node.raft.configurations, [{ seqno: 4, members: addresses(ABC) }]);
  const answers = node.follow("a", 3, entries(3, 5, "entry", "sign"), 6);
  assert.deepEqual(answers.map(({ message }) => message), [
    { kind: "append entries response", view: 3, last: 6, success: true },
  ]);
  assert.equal(node.raft.committedSeqno, 6);
});

Deno.test("startFrom() takes a log once, whole", () => {
  const start = { seqno: 4, view: 2, viewStarts: [1, 1] };
  const fails = (node: TestNode, more: Partial<typeof start>) =>
    assert.throws(() => node.raft.startFrom({ ...start, ...more }), { name: "AssertionFailed" });
  fails(new TestNode("b"), { seqno: 0 });
  fails(new TestNode("b"), { viewStarts: [1, 5] });
  fails(new TestNode("b"), { viewStarts: [1, 1, 3] });
  fails(leaderWith("b"), {});
});

// What others ask of it: consensus.md §22.

Deno.test("a leader is at its capacity with so many uncommitted entries, unless there is no limit", () => {
  const at = (maxUncommitted: number) => {
    const node = new TestNode("a", { maxUncommitted });
    node.raft.forcePrimary();
    node.append({ members: ["a", "b"] }, "entry");
    const before = node.raft.isAtMaxCapacity;
    node.append("sign");
    return { node, full: [before, node.raft.isAtMaxCapacity] };
  };
  assert.deepEqual(at(0).full, [false, false]);
  assert.deepEqual(at(4).full, [false, false]);
  const { node, full } = at(3);
  assert.deepEqual(full, [false, true]);
  assert.ok(node.raft.canReplicate, "others may append still");
  node.raft.flush();
  acknowledge(node, "b", 3);
  assert.deepEqual([node.raft.committedSeqno, node.raft.isAtMaxCapacity], [3, false]);
  // A backup refuses nothing.
  const backup = followerOf(ABC, { maxUncommitted: 1 });
  backup.follow("a", 2, entries(2, 5, "entry", "entry"));
  assert.ok(!backup.raft.isAtMaxCapacity);
});

Deno.test("details() has the members that CCF's has", () => {
  const node = leaderWith("b");
  node.raft.periodic(7);
  assert.deepEqual(node.raft.details(), {
    acks: { b: { last_received_ms: 7, seqno: 4 } },
    configs: [{ idx: 3, nodes: { a: { address: "a.example:1" }, b: { address: "b.example:1" } }, rid: 3 }],
    current_view: 2,
    leadership_state: "Leader",
    membership_state: "Active",
    primary_id: "a",
    reconfiguration_type: "OneTransaction",
    ticking: true,
  });
  node.append({ members: ["b"] });
  const { membership_state, retirement_phase, configs } = node.raft.details();
  assert.deepEqual([membership_state, retirement_phase, configs.length], ["Retired", "Ordered", 2]);
  assert.deepEqual(new TestNode("x", { ticking: false }).raft.details(), {
    acks: {},
    configs: [],
    current_view: 0,
    leadership_state: "None",
    membership_state: "Active",
    primary_id: null,
    reconfiguration_type: "OneTransaction",
    ticking: false,
  });
});

Deno.test("a node that runs is neither primary nor backup", () => {
  const roles = ({ raft }: TestNode) => [raft.isPrimary, raft.isBackup, raft.canReplicate];
  assert.deepEqual(roles(leaderWith("b")), [true, false, true]);
  const node = followerOf(ABC);
  assert.deepEqual(roles(node), [false, true, false]);
  node.raft.periodic(100);
  assert.deepEqual(roles(node), [false, false, false]);
  node.receive("c", { kind: "request pre-vote response", view: 2, granted: true });
  assert.deepEqual(roles(node), [false, false, false]);
  assert.deepEqual(roles(new TestNode("x")), [false, false, false]);
});

Deno.test("a trace tells what happens, and in which state", () => {
  const events: RaftTrace[] = [];
  const node = new TestNode("a", { trace: (event) => events.push(event) });
  node.raft.forcePrimary();
  node.append({ members: ["a", "b"] }, "sign");
  node.raft.flush();
  node.receive("b", { kind: "append entries response", view: 2, last: 2, success: true });
  assert.deepEqual(events.map(({ event, state, peer, seqno }) => [event, state.last, peer ?? seqno]), [
    ["become_leader", 0, undefined],
    ["replicate", 0, 1],
    ["add_configuration", 0, 1],
    ["send_append_entries", 0, "b"],
    ["replicate", 1, 2],
    ["send_append_entries", 2, "b"],
    ["recv_append_entries_response", 2, "b"],
    ["commit", 2, 2],
  ]);
  assert.deepEqual(events.at(-2), {
    event: "recv_append_entries_response",
    state: {
      id: "a",
      view: 2,
      last: 2,
      committed: 0,
      committable: [2, 2],
      leadership: "Leader",
      membership: "Active",
      retirementPhase: undefined,
      preVote: true,
    },
    peer: "b",
    message: { kind: "append entries response", view: 2, last: 2, success: true },
    sent: 2,
    match: 0,
  });
});

Deno.test("receive() takes nothing from the node itself", () => {
  const message = { kind: "propose request vote", view: 2 } as const;
  assert.throws(() => leaderWith("b").raft.receive("a", message, undefined), { name: "AssertionFailed" });
});

// Several nodes. Most of this is in tests/sim; here is what has a name in consensus.md §25.

Deno.test("what a dead leader committed stays, although those that have it did not know it was committed", () => {
  const cluster = TestCluster.settled(ABC);
  const [a, b, c] = ABC.map((id) => cluster.get(id)) as [TestNode, TestNode, TestNode];
  // 6 reaches b alone; a hears of that, and stops.
  a.append("entry", "sign");
  cluster.beat("a", (from, to) => from === "c" || to === "c");
  assert.deepEqual([a.raft.committedSeqno, b.raft.committedSeqno, c.raft.lastSeqno], [6, 4, 4]);
  cluster.nodes.delete("a");
  // c cannot win, b can; its first messages reach c late.
  c.raft.periodic(100);
  cluster.deliver();
  assert.equal(c.raft.leadership, "PreVoteCandidate");
  b.raft.periodic(100);
  cluster.deliver();
  assert.deepEqual([b.raft.leadership, b.raft.view, b.raft.lastSeqno], ["Leader", 3, 6]);
  b.append("sign");
  for (let beats = 0; beats < 3; beats++) cluster.beat("b");
  assert.deepEqual([b.raft.committedSeqno, c.raft.committedSeqno, c.raft.viewOf(6)], [7, 7, 2]);
});

Deno.test("a node that was away for long is brought up, and learns what is committed", () => {
  const cluster = TestCluster.settled(ABC);
  const away = (from: string, to: string) => from === "c" || to === "c";
  for (let i = 0; i < 500; i++) {
    cluster.get("a").append("entry", "sign");
    cluster.beat("a", away);
  }
  assert.equal(cluster.get("c").raft.lastSeqno, 4);
  for (let beats = 0; beats < 20 && cluster.get("c").raft.committedSeqno < 1004; beats++) cluster.beat("a");
  assert.equal(cluster.get("c").raft.committedSeqno, 1004);
});

Deno.test("property: logs that part in many views agree again within as many rounds as there are views", () => {
  const branch = fc.array(
    fc.record({ view: fc.integer({ min: 1, max: 3 }), entries: fc.integer({ min: 1, max: 4 }) }),
    {
      maxLength: 12,
    },
  );
  fc.assert(fc.property(branch, branch, (ours, theirs) => {
    const members: Body = { members: ["a", "b"] };
    const grow = (node: TestNode, leader: string, branch: typeof ours) => {
      node.follow(leader, 2, entries(2, 1, members, "sign"), 2);
      let view = 2;
      for (const piece of branch) {
        // A view has one leader: those of x are odd, those of y even.
        view += 2 * piece.view - (view % 2 === 0 && leader === "x" ? 1 : 0);
        const bodies = Array.from({ length: piece.entries }, (): Body => "sign");
        node.follow(leader, view, entries(view, node.raft.lastSeqno + 1, ...bodies));
      }
      return view;
    };
    const cluster = new TestCluster(["a", "b"], { preVote: false });
    const [a, b] = [cluster.get("a"), cluster.get("b")];
    const highest = Math.max(grow(a, "x", ours), grow(b, "y", theirs));
    // a is elected, by whom does not matter here, and neither does what b had.
    a.raft.becomeAwareOfView(highest);
    a.raft.periodic(100);
    a.receive("b", { kind: "request vote response", view: highest + 1, granted: true });
    assert.equal(a.raft.leadership, "Leader");
    a.append("sign");
    a.take();
    let rounds = 0;
    do {
      assert.ok(rounds++ < 3 + ours.length + theirs.length, "logs agree in time");
      cluster.beat("a");
    } while (a.raft.committedSeqno < a.raft.lastSeqno);
    assert.deepEqual(b.ledger, a.ledger);
  }));
});

Deno.test("property: whatever is lost, committed entries stay and are the same everywhere", () => {
  const ids = ["a", "b", "c", "d", "e"];
  const id = fc.constantFrom(...ids);
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ tick: id, elapsed: fc.constantFrom(10, 60, 100) }) },
    { weight: 4, arbitrary: fc.record({ append: fc.constantFrom<Body[]>(["entry"], ["sign"], ["entry", "sign"]) }) },
    { weight: 1, arbitrary: fc.record({ members: fc.uniqueArray(id, { minLength: 3, maxLength: 5 }) }) },
    // One bit for each pair of nodes that do not hear each other this time.
    { weight: 6, arbitrary: fc.record({ deliver: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0x1ff_ffff })) }) },
  );
  let commits = 0;
  let elections = 0;
  const run = (steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[]) => {
    const cluster = TestCluster.settled(ids);
    const leaders = new Map([[2, "a"]]);
    let committed = cluster.get("a").ledger.slice(0, 4);
    for (const step of steps) {
      if ("tick" in step) cluster.get(step.tick).raft.periodic(step.elapsed);
      else if ("deliver" in step) {
        cluster.deliver((from, to) => ((step.deliver >> (ids.indexOf(from) * 5 + ids.indexOf(to))) & 1) === 1);
      } else {
        for (const node of cluster.nodes.values()) {
          if (!node.raft.canReplicate) continue;
          // Who is removed does not come back.
          const members = [...node.raft.latestMembers!.keys()];
          if ("append" in step) node.append(...step.append);
          else node.append({ members: members.filter((id) => members.length < 4 || step.members.includes(id)) });
          node.raft.flush();
        }
      }
      for (const { raft, ledger } of cluster.nodes.values()) {
        const own = ledger.slice(0, raft.committedSeqno);
        const [shorter, longer] = own.length < committed.length ? [own, committed] : [committed, own];
        assert.deepEqual(longer.slice(0, shorter.length), shorter);
        if (longer.length > committed.length) commits++;
        committed = longer;
        if (!raft.isPrimary) continue;
        assert.equal(leaders.get(raft.view) ?? raft.id, raft.id, "a view has one leader");
        leaders.set(raft.view, raft.id);
      }
    }
    elections += leaders.size - 1;
  };
  fc.assert(fc.property(fc.array(step, { minLength: 50, maxLength: 200 }), run), { numRuns: 100 });
  assert.ok(commits > 100 && elections > 50, `something happens: ${commits} commits, ${elections} elections`);
});
