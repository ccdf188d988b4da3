import { strict as assert } from "node:assert";
import fc from "fast-check";
import { acknowledge, leaderWith, type TestNode } from "../../tests/raft_nodes.ts";
import { MAX_APPENDS_PER_SENDING } from "../limits.ts";

/** What one node sent of its log: after which entry, up to which. */
function sentBy(node: TestNode): [number, number][] {
  return node.take().map(({ message }) => {
    assert(message.kind === "append entries");
    return [message.previous, message.last];
  });
}

Deno.test("a message ends at an entry behind which nothing else may go, and what follows goes in the next", () => {
  const leader = leaderWith("b");
  for (const last of [4, 6, 9, 10, 20]) leader.lastInMessage.add(last);
  leader.append("entry", "sign", "entry", "entry", "sign", "sign", "entry"); // 5 to 11
  leader.raft.flush();
  assert.deepEqual(sentBy(leader), [[4, 6], [6, 9], [9, 10], [10, 11]]);
});

Deno.test("a heartbeat has no entry to end with, whichever the last one is", () => {
  const leader = leaderWith("b");
  leader.lastInMessage.add(4);
  leader.raft.periodic(10);
  assert.deepEqual(sentBy(leader), [[4, 4]]);
});

Deno.test("a peer is sent no more at once where every entry needs a message of its own", () => {
  const leader = leaderWith("b");
  for (let seqno = 5; seqno <= 150; seqno++) {
    leader.lastInMessage.add(seqno);
    leader.append("entry");
  }
  leader.raft.flush();
  const first = sentBy(leader);
  assert.equal(first.length, MAX_APPENDS_PER_SENDING);
  assert.deepEqual(first.at(-1), [67, 68]);
  acknowledge(leader, "b", 68);
  assert.deepEqual(sentBy(leader)[0], [68, 69], "its answer brings the next");
});

Deno.test("property: messages bring each entry once, in order, and end wherever they must", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 })), fc.integer({ min: 5, max: 60 }), (ends, last) => {
      const leader = leaderWith("b");
      for (const end of ends.sort((a, b) => a - b)) leader.lastInMessage.add(end);
      leader.append(...new Array<"entry">(last - 4).fill("entry"));
      leader.raft.flush();
      let next = 4;
      for (const [previous, end] of sentBy(leader)) {
        assert.equal(previous, next);
        assert(end > previous);
        assert(!ends.some((each) => each > previous && each < end), `${previous} to ${end}`);
        next = end;
      }
      assert.equal(next, last);
    }),
    { numRuns: 100 },
  );
});
