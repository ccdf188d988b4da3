import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toUtf8 } from "../../shared/bytes.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../../shared/ledger/entry.ts";
import { MAX_ENTRIES_PER_APPEND, MAX_WAITING_FORWARDED } from "../../shared/limits.ts";
import { KEY_EXCHANGE_RETRY_MS } from "./channel.ts";
import {
  appendHeader,
  commandHeader,
  consensusHeader,
  type Fate,
  fates,
  type Frame,
  IDLE_MS,
  Network,
  newNode,
  newNodes,
  newService,
} from "../../tests/channel_network.ts";

const service = newService();
const [low, middle, high] = newNodes(service, 3) as [
  ReturnType<typeof newNode>,
  ReturnType<typeof newNode>,
  ReturnType<typeof newNode>,
];
const NO_ENTRIES = new Uint8Array();

/** Two nodes, the first with the lesser ID; `established` lets them agree on keys first. */
function pair({ established = false, messageLimit = 1_000_000 } = {}) {
  const network = new Network();
  const a = network.add(low, service, { messageLimit });
  const b = network.add(high, service, { messageLimit });
  if (established) {
    a.sendConsensus(high.id, consensusHeader(0), network.nowMs);
    network.settle();
    network.received.length = 0;
    assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"]);
  }
  return { network, a, b };
}

const kinds = (frames: readonly Frame[]) =>
  frames.map(({ messageType, payload }) => messageType === 0 ? ["init", "response", "final"][payload[0]!] : "message");

Deno.test("Channels agree on keys when the first message wants to be sent, and deliver it", () => {
  const { network, a, b } = pair();
  a.sendConsensus(high.id, consensusHeader(7), network.nowMs);
  assert.deepEqual(kinds(network.frames), ["init"]);
  assert.equal(a.status(high.id), "INITIATED");
  network.deliver(network.frames.shift()!);
  assert.equal(b.status(low.id), "WAITING_FOR_FINAL");
  assert.deepEqual(kinds(network.frames), ["response"]);
  network.deliver(network.frames.shift()!);
  assert.equal(a.status(high.id), "ESTABLISHED");
  assert.deepEqual(kinds(network.frames), ["final", "message"]);
  network.settle();
  assert.equal(b.status(low.id), "ESTABLISHED");
  assert.deepEqual(network.received, [
    { at: high.id, message: { kind: "consensus", from: low.id, header: consensusHeader(7), entries: NO_ENTRIES } },
  ]);
});

Deno.test("Channels authenticate the header of consensus, leave entries outside, and encrypt what is forwarded", () => {
  const { network, a, b } = pair({ established: true });
  a.sendConsensus(high.id, appendHeader(1), network.nowMs, { from: 5, to: 7 });
  assert.deepEqual(network.frames[0]!.entries, { from: 5, to: 7 });
  assert.equal(network.frames[0]!.payload.length, 57 + 16 + 8);
  const secret = toUtf8("GET /secret HTTP/1.1");
  assert.equal(b.sendForwarded(low.id, commandHeader(2), secret, network.nowMs), true);
  assert.deepEqual(network.frames[1]!.payload.subarray(0, 25), commandHeader(2));
  assert.equal(new TextDecoder("latin1").decode(network.frames[1]!.payload).includes("secret"), false);
  network.settle();
  assert.deepEqual(network.received.map(({ message }) => message), [
    { kind: "consensus", from: low.id, header: appendHeader(1), entries: Uint8Array.of(0xee, 0xee, 0xee) },
    { kind: "forwarded", from: high.id, header: commandHeader(2), plaintext: secret },
  ]);
});

Deno.test("before there is a key the latest consensus message waits, and ten forwarded ones; more are not taken", () => {
  const { network, a } = pair();
  for (let i = 1; i <= 3; i++) a.sendConsensus(high.id, consensusHeader(i), network.nowMs);
  const taken = Array.from(
    { length: MAX_WAITING_FORWARDED + 2 },
    (_, i) => a.sendForwarded(high.id, commandHeader(0x10 + i), toUtf8("x"), network.nowMs),
  );
  assert.deepEqual(taken, [...new Array(MAX_WAITING_FORWARDED).fill(true), false, false]);
  assert.deepEqual(kinds(network.frames), ["init"]);
  network.settle();
  assert.deepEqual(
    network.receivedBy(high.id),
    ["03", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"],
  );
});

Deno.test("of two nodes that begin at once, the one with the greater ID is answered", () => {
  const { network, a, b } = pair();
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  b.sendConsensus(low.id, consensusHeader(2), network.nowMs);
  assert.deepEqual(kinds(network.frames), ["init", "init"]);
  network.deliver(network.frames.shift()!);
  assert.equal(b.status(low.id), "INITIATED");
  network.deliver(network.frames.shift()!);
  assert.equal(a.status(high.id), "WAITING_FOR_FINAL");
  // What waited goes at once with the key that the response brings along.
  assert.deepEqual(kinds(network.frames), ["response", "message"]);
  network.settle();
  assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"]);
  assert.deepEqual([network.receivedBy(low.id), network.receivedBy(high.id)], [["02"], ["01"]]);
});

Deno.test("three nodes talk to each other, each pair with keys of its own", () => {
  const network = new Network();
  const nodes = [low, middle, high];
  const channels = nodes.map((node) => network.add(node, service));
  for (const [i, channel] of channels.entries()) {
    for (const [j, { id }] of nodes.entries()) {
      if (i !== j) channel.sendConsensus(id, consensusHeader(16 * i + j), network.nowMs);
    }
  }
  network.settle();
  assert.deepEqual(nodes.map(({ id }) => network.receivedBy(id).sort()), [["10", "20"], ["01", "21"], ["02", "12"]]);
  // A message for one is nothing to another, and nothing from another.
  channels[0]!.sendConsensus(high.id, consensusHeader(9), network.nowMs);
  const [frame] = network.frames.splice(0);
  assert.equal(network.deliver({ ...frame!, to: middle.id }), undefined);
  assert.equal(network.deliver({ ...frame!, from: middle.id }), undefined);
  assert.notEqual(network.deliver(frame!), undefined);
});

Deno.test("keys on P-256 sign with the hash of that curve", () => {
  const network = new Network();
  const smallService = newService("P-256");
  const small = newNode(smallService, "P-256");
  const other = newNode(smallService, "P-384");
  const channels = network.add(small, smallService);
  network.add(other, smallService);
  channels.sendConsensus(other.id, consensusHeader(1), network.nowMs);
  network.settle();
  assert.deepEqual(network.receivedBy(other.id), ["01"]);
});
Deno.test("a node without an endorsed certificate begins and answers nothing, and catches up once it has one", () => {
  const network = new Network();
  let endorsed = false;
  const a = network.add(low, service, { identity: () => endorsed ? low : undefined });
  const b = network.add(high, service);
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  assert.deepEqual(kinds(network.frames), []);
  b.sendConsensus(low.id, consensusHeader(2), network.nowMs);
  network.settle();
  assert.deepEqual([a.status(high.id), b.status(low.id)], ["INACTIVE", "INITIATED"]);
  endorsed = true;
  a.sendConsensus(high.id, consensusHeader(3), network.nowMs);
  network.settle();
  network.tick(KEY_EXCHANGE_RETRY_MS);
  b.sendConsensus(low.id, consensusHeader(4), network.nowMs);
  network.settle();
  assert.deepEqual([network.receivedBy(low.id), network.receivedBy(high.id)], [["04"], ["03"]]);
});

Deno.test("a message is accepted once, in order: one that comes again, or late, is refused", () => {
  const { network, a } = pair({ established: true });
  for (const i of [1, 2, 3]) a.sendConsensus(high.id, consensusHeader(i), network.nowMs);
  const [first, second, third] = network.frames.splice(0) as [Frame, Frame, Frame];
  assert.notEqual(network.deliver(second), undefined);
  assert.equal(network.deliver(first), undefined);
  assert.equal(network.deliver(second), undefined);
  assert.notEqual(network.deliver(third), undefined);
});

Deno.test("a message of which any bit has changed is refused, and those after it are not", () => {
  const { network, a } = pair({ established: true });
  fc.assert(
    fc.property(fc.boolean(), fc.nat(), (forwarded, bit) => {
      if (forwarded) a.sendForwarded(high.id, commandHeader(1), toUtf8("some request"), network.nowMs);
      else a.sendConsensus(high.id, appendHeader(1), network.nowMs);
      const [frame] = network.frames.splice(0);
      const payload = frame!.payload.slice();
      const at = bit % (8 * payload.length);
      payload[at >>> 3]! ^= 1 << (at & 7);
      assert.equal(network.deliver({ ...frame!, payload }), undefined);
      assert.notEqual(network.deliver(frame!), undefined);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a message that is cut off anywhere is refused, and so is one with bytes too many", () => {
  const { network, a } = pair({ established: true });
  a.sendForwarded(high.id, commandHeader(1), toUtf8("some request"), network.nowMs);
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  for (const frame of network.frames.splice(0)) {
    for (let length = 0; length < frame.payload.length; length++) {
      assert.equal(network.deliver({ ...frame, payload: frame.payload.slice(0, length) }), undefined);
    }
    assert.equal(network.deliver({ ...frame, payload: Uint8Array.of(...frame.payload, 0) }), undefined);
    assert.notEqual(network.deliver(frame), undefined);
  }
});

/** "Entries 5 to `last`", in a channel's own words: the header of an append entries. */
function appendUpTo(last: number, flagsUnknown = 0): Uint8Array {
  const header = appendHeader(flagsUnknown);
  header[8] = last;
  header[16] = 4;
  return header;
}

/** What looks like entries back to back, with these flags. */
const entriesWith = (...flags: number[]) =>
  Uint8Array.from(flags.flatMap((each, i) => [1, each, i, 0, 0, 0, 0, 0, ...new Array<number>(i).fill(0xee)]));

/** Sends entries 5 to 7 with the flags of the last, and has others arrive. @returns whether they are taken */
function arrives(
  { network, a }: ReturnType<typeof pair>,
  sent: { readonly lastFlags?: number; readonly flagsUnknown?: number },
  came: Uint8Array,
): boolean {
  const { lastFlags = 0, flagsUnknown = 0 } = sent;
  a.sendConsensus(high.id, appendUpTo(7, flagsUnknown), network.nowMs, { from: 5, to: 7, lastFlags });
  const [frame] = network.frames.splice(0) as [Frame];
  assert.deepEqual(frame.entries, { from: 5, to: 7 }, "the host is told nothing of flags");
  const payload = Uint8Array.of(...frame.payload, ...came);
  const received = network.deliver({ ...frame, payload, entries: undefined });
  if (received === undefined) {
    // Nobody's counters have moved.
    assert.notEqual(
      network.deliver({ ...frame, payload: Uint8Array.of(...frame.payload), entries: undefined }),
      undefined,
    );
    return false;
  }
  assert(received.kind === "consensus");
  assert.deepEqual([received.header, received.entries], [frame.payload.subarray(0, 57), came]);
  assert.equal(network.deliver({ ...frame, payload, entries: undefined }), undefined, "once");
  return true;
}

Deno.test("the flags of the last entry are bound to the message, and no other entry may have any", () => {
  const network = pair({ established: true });
  const [NONE, AFTER, BEFORE] = [0, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE];
  for (const lastFlags of [NONE, AFTER, BEFORE]) {
    for (const came of [NONE, AFTER, BEFORE, AFTER | BEFORE]) {
      assert.equal(
        arrives(network, { lastFlags }, entriesWith(0, 0, came)),
        came === lastFlags,
        `${lastFlags} ${came}`,
      );
    }
    for (const came of [[AFTER, 0, lastFlags], [0, BEFORE, lastFlags]]) {
      assert.equal(arrives(network, { lastFlags }, entriesWith(...came)), false, came.join());
    }
  }
});

Deno.test("where fewer entries come, what is left of the message holds, whatever flags the last has; none have any", () => {
  const network = pair({ established: true });
  for (const lastFlags of [0, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE]) {
    assert.equal(arrives(network, { lastFlags }, entriesWith()), true);
    assert.equal(arrives(network, { lastFlags }, entriesWith(0)), true);
    assert.equal(arrives(network, { lastFlags }, entriesWith(0, 0)), true);
    assert.equal(arrives(network, { lastFlags }, entriesWith(FORCE_CHUNK_AFTER)), false);
    assert.equal(arrives(network, { lastFlags }, entriesWith(0, lastFlags || FORCE_CHUNK_AFTER)), false);
    // Consensus asks again for what it cannot read.
    assert.equal(arrives(network, { lastFlags }, entriesWith(0, 0, 0, 0)), true);
    assert.equal(arrives(network, { lastFlags }, Uint8Array.of(1, 2, 3)), true);
    assert.equal(arrives(network, { lastFlags }, entriesWith(4)), true);
  }
});

Deno.test("a sender that has not seen the entries says so, and then nothing is known of their flags", () => {
  const network = pair({ established: true });
  assert.equal(arrives(network, { flagsUnknown: 1 }, entriesWith(1, 2, 3)), true);
  assert.equal(arrives(network, { flagsUnknown: 1 }, entriesWith(0, 0, 0)), true);
});

Deno.test("a message without flags is byte for byte one of CCF, and flags that wait for a key are not lost", () => {
  const { network, a } = pair();
  a.sendConsensus(high.id, appendUpTo(5), network.nowMs, { from: 5, to: 5, lastFlags: FORCE_CHUNK_AFTER });
  while (network.frames[0]?.messageType === 0) network.deliver(network.frames.shift()!);
  const [frame] = network.frames.splice(0) as [Frame];
  const deliver = (flags: number) =>
    network.deliver({ ...frame, payload: Uint8Array.of(...frame.payload, ...entriesWith(flags)), entries: undefined });
  assert.equal(deliver(0), undefined);
  assert.notEqual(deliver(FORCE_CHUNK_AFTER), undefined);
  assert.equal(frame.payload.length, 57 + 16 + 8);
});

Deno.test("a message that names more entries than any has is refused before they are looked at", () => {
  const { network, a } = pair({ established: true });
  const header = appendUpTo(4);
  new DataView(header.buffer).setUint32(8, 4 + MAX_ENTRIES_PER_APPEND + 1, true);
  a.sendConsensus(high.id, header, network.nowMs);
  network.settle();
  assert.equal(network.received.length, 0);
  assert.match(network.logs.at(-1)!.message, /Cannot take 10001 entries at once: at most 10000$/);
  new DataView(header.buffer).setUint32(8, 4 + MAX_ENTRIES_PER_APPEND, true);
  a.sendConsensus(high.id, header, network.nowMs);
  network.settle();
  assert.equal(network.received.length, 1);
});

Deno.test("at half of the message limit keys are renewed while messages go on in both directions", () => {
  const { network, a, b } = pair({ established: true, messageLimit: 40 });
  let sent = 0;
  const exchanges: string[] = [];
  for (let i = 0; i < 100; i++) {
    a.sendConsensus(high.id, consensusHeader(i), network.nowMs);
    b.sendConsensus(low.id, consensusHeader(i), network.nowMs);
    sent++;
    network.tick(100);
    // One frame at a time, so that messages cross the key exchange.
    for (let n = 0; n < 3; n++) {
      const frame = network.frames.shift();
      if (frame?.messageType === 0) exchanges.push(kinds([frame])[0]!);
      if (frame !== undefined) network.deliver(frame);
    }
  }
  network.settle();
  assert.equal(network.receivedBy(high.id).length, sent);
  assert.equal(network.receivedBy(low.id).length, sent);
  assert.ok(exchanges.filter((kind) => kind === "final").length >= 5, exchanges.join());
});

Deno.test("at the message limit keys are dropped, and nothing goes until there are new ones", () => {
  const { network, a } = pair({ established: true, messageLimit: 10 });
  for (let i = 0; i < 20; i++) a.sendConsensus(high.id, consensusHeader(i), network.nowMs);
  // The counter begins at 1 and one message went before: eight more bring it to the limit.
  assert.equal(network.frames.filter(({ messageType }) => messageType === 1).length, 8);
  network.settle();
  assert.equal(network.receivedBy(high.id).at(-1), "13");
  assert.equal(a.status(high.id), "ESTABLISHED");
});

Deno.test("a channel that is not used is closed, and opens again by itself where one end has forgotten it", () => {
  const { network, a, b } = pair({ established: true });
  network.tick(IDLE_MS - 1);
  assert.equal(a.status(high.id), "ESTABLISHED");
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  network.frames.length = 0;
  network.tick(1);
  assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", undefined]);
  a.sendConsensus(high.id, consensusHeader(2), network.nowMs);
  network.settle();
  assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"]);
  a.sendConsensus(high.id, consensusHeader(3), network.nowMs);
  network.settle();
  assert.deepEqual(network.receivedBy(high.id), ["03"]);
});

Deno.test("close() forgets keys and what waits", () => {
  const { network, a } = pair();
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  a.close(high.id);
  assert.equal(a.status(high.id), undefined);
  network.settle();
  assert.equal(network.received.length, 0);
});

Deno.test("a lost init, response or final is made good two seconds later, whoever speaks next", () => {
  for (const lost of [0, 1, 2]) {
    for (const speaker of ["initiator", "responder", "both"]) {
      const { network, a, b } = pair();
      a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
      for (let frame = network.frames.shift(); frame !== undefined; frame = network.frames.shift()) {
        if (frame.messageType !== 0 || frame.payload[0] !== lost) network.deliver(frame);
      }
      for (let round = 0; round < 3; round++) {
        network.tick(KEY_EXCHANGE_RETRY_MS);
        if (speaker !== "responder") a.sendConsensus(high.id, consensusHeader(2), network.nowMs);
        if (speaker !== "initiator") b.sendConsensus(low.id, consensusHeader(3), network.nowMs);
        network.settle();
      }
      assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"], `${lost} ${speaker}`);
    }
  }
});

Deno.test("a node whose init got lost, and which has nothing more to say, begins again when its peer wants to", () => {
  const { network, a, b } = pair();
  b.sendConsensus(low.id, consensusHeader(1), network.nowMs);
  network.frames.length = 0;
  a.sendConsensus(high.id, consensusHeader(2), network.nowMs);
  network.settle();
  assert.equal(b.status(low.id), "INITIATED", "it has priority, and waits for an answer");
  network.tick(KEY_EXCHANGE_RETRY_MS);
  a.sendConsensus(high.id, consensusHeader(3), network.nowMs);
  network.settle();
  assert.deepEqual([network.receivedBy(low.id), network.receivedBy(high.id)], [["01"], ["03"]]);
});

Deno.test("two ends come back to ESTABLISHED, with the same keys, after any losses, doublings, delays and changes", () => {
  const step = fc.record({
    action: fc.constantFrom("a", "b", "forward", "deliver", "deliver", "deliver", "wait", "close", "late"),
    fate: fates,
    at: fc.nat({ max: 50 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(6, 12, 1000), (steps, messageLimit) => {
      const { network, a, b } = pair({ messageLimit });
      const delayed: Frame[] = [];
      for (const { action, fate, at } of steps) {
        if (action === "a") a.sendConsensus(high.id, consensusHeader(0xaa), network.nowMs);
        if (action === "b") b.sendConsensus(low.id, consensusHeader(0xbb), network.nowMs);
        if (action === "forward") b.sendForwarded(low.id, commandHeader(0xff), toUtf8("x"), network.nowMs);
        if (action === "wait") network.tick(100 * at);
        if (action === "close") (at % 2 === 0 ? a : b).close(at % 2 === 0 ? high.id : low.id);
        if (action === "late" && delayed.length > 0) network.deliver(delayed.splice(at % delayed.length, 1)[0]!);
        if (action === "deliver" && network.frames.length > 0) meet(network, delayed, fate, at);
      }
      // From here on the network is good again, but what was delayed still comes first.
      for (const frame of delayed) network.deliver(frame);
      for (let round = 0; round < 4; round++) {
        network.tick(KEY_EXCHANGE_RETRY_MS);
        a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
        b.sendConsensus(low.id, consensusHeader(2), network.nowMs);
        network.settle();
      }
      assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"]);
      network.received.length = 0;
      a.sendConsensus(high.id, consensusHeader(3), network.nowMs);
      b.sendConsensus(low.id, consensusHeader(4), network.nowMs);
      network.settle();
      assert.deepEqual([network.receivedBy(low.id), network.receivedBy(high.id)], [["04"], ["03"]]);
    }),
    { numRuns: 60 },
  );
});

function meet(network: Network, delayed: Frame[], fate: Fate, at: number): void {
  const [frame] = network.frames.splice(at % network.frames.length, 1) as [Frame];
  if (fate === "delay") delayed.push(frame);
  if (fate === "deliver" || fate === "double") network.deliver(frame);
  if (fate === "double") network.deliver(frame);
  if (fate === "change") {
    // The last byte: of an init it is the salt's, of the others the certificate's end, the signature's or the IV's.
    const payload = frame.payload.slice();
    payload[payload.length - 1]! ^= 1;
    network.deliver({ ...frame, payload });
  }
}

Deno.test("an init of which the salt was changed under way, which no signature covers, is made good two seconds later", () => {
  const { network, a, b } = pair();
  a.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  const init = network.frames.shift()!;
  init.payload[init.payload.length - 1]! ^= 1;
  network.deliver(init);
  network.settle();
  assert.deepEqual([a.status(high.id), b.status(low.id)], ["ESTABLISHED", "ESTABLISHED"]);
  assert.equal(network.received.length, 0);
  network.tick(KEY_EXCHANGE_RETRY_MS);
  for (const i of [2, 3]) {
    a.sendConsensus(high.id, consensusHeader(i), network.nowMs);
    network.settle();
  }
  assert.deepEqual(network.receivedBy(high.id), ["03"]);
});
