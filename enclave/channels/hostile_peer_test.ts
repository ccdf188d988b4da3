import { strict as assert } from "node:assert";
import fc from "fast-check";
import { concat, toHex, toUtf8 } from "../../shared/bytes.ts";
import {
  CHANNEL_LOG_WINDOW_MS,
  MAX_CHANNEL_LOG_LINES,
  MAX_CHANNELS,
  MAX_CLAIMED_CHANNELS,
  MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION,
  MAX_KEY_EXCHANGE_CHECKS_PER_SECOND,
} from "../../shared/limits.ts";
import {
  appendHeader,
  commandHeader,
  consensusHeader,
  type Frame,
  IDLE_MS,
  Network,
  newNode,
  newNodes,
  newService,
  systemRandom,
} from "../../tests/channel_network.ts";
import { mutated } from "../../tests/mutations.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { noblePrimitives, type Primitives } from "../../shared/crypto/primitives.ts";
import { renewService } from "../identity.ts";
import { KEY_EXCHANGE_RETRY_MS } from "./channel.ts";
import type { Channels } from "./channels.ts";

const service = newService();
const otherService = newService();
const nodes = newNodes(service, 3);
const [low, middle, high] = nodes as [typeof nodes[0], typeof nodes[0], typeof nodes[0]];

/** The number of a connection of none of the nodes; others follow. */
const STRANGER = 1000;

/** The node with the lesser ID, so that it yields to every init, and an honest peer with whom it has keys. */
function victim(): { network: Network; channels: Channels; peer: Channels; recorded: Frame[] } {
  const network = new Network();
  const channels = network.add(low, service);
  const peer = network.add(high, service);
  peer.sendConsensus(low.id, consensusHeader(0), network.nowMs);
  const recorded: Frame[] = [];
  for (let frame = network.frames.shift(); frame !== undefined; frame = network.frames.shift()) {
    recorded.push(frame);
    network.deliver(frame);
  }
  network.received.length = 0;
  network.logs.length = 0;
  return { network, channels, peer, recorded };
}

/** Both ends get a message across. */
function assertWorks({ network, channels, peer }: ReturnType<typeof victim>, note?: string): void {
  network.frames.length = network.received.length = 0;
  channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  peer.sendConsensus(low.id, consensusHeader(2), network.nowMs);
  network.settle();
  assert.deepEqual([network.receivedBy(low.id), network.receivedBy(high.id)], [["02"], ["01"]], note);
}

/** The first frame that a node with these keys sends to the victim: an init. */
function initOf(node: ReturnType<typeof newNode>, issuer = service, to = low): Frame {
  const network = new Network();
  network.add(node, issuer).sendConsensus(to.id, consensusHeader(0), 0);
  return network.frames[0]!;
}

/** With a node's certificate, which anybody can read on the wire, and a signature that is not its. */
function forgedInit(node = middle, to = low): Frame {
  const forged = initOf(node, service, to);
  forged.payload[3 * 8 + 98 + 8 + 30]! ^= 1;
  return forged;
}

Deno.test("an init is refused where another service issued the certificate, or it is another node's", () => {
  const { network, channels } = victim();
  const stranger = newNode(otherService);
  const inits: readonly (readonly [Frame, RegExp])[] = [
    [initOf(stranger), /the service did not issue it/],
    [
      initOf({ ...middle, id: stranger.id }),
      /Cannot accept the certificate of node [0-9a-f]{64}: its frame names another/,
    ],
    [{ ...initOf(middle), from: stranger.id }, /its frame names another/],
    // Somebody who has seen the certificate, but does not have its key.
    [initOf({ ...middle, key: stranger.key }), /not signed by its certificate's key/],
    [initOf({ ...middle, certificatePem: service.certificatePem }), /its frame names another/],
    [initOf({ ...middle, certificatePem: "-----BEGIN" }), /Cannot read PEM/],
  ];
  for (const [init, reason] of inits) {
    network.logs.length = 0;
    assert.equal(network.deliver(init), undefined);
    assert.match(network.logs[0]!.message, reason);
    assert.deepEqual([network.frames.length, channels.size], [0, 1]);
  }
  network.deliver(initOf(middle));
  assert.equal(channels.status(middle.id), "WAITING_FOR_FINAL");
});

Deno.test("a response is refused where its certificate would be, and the exchange can still end", () => {
  for (const impostor of [newNode(otherService), newNode(service)]) {
    const network = new Network();
    const channels = network.add(low, service);
    channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
    const init = network.frames.shift()!;
    // It answers in the other's place: its frame has the other's ID, its certificate its own.
    const answering = new Network();
    answering.add({ ...impostor, id: high.id }, otherService, { servicePem: () => service.certificatePem });
    answering.deliver(init);
    network.deliver(answering.frames[0]!);
    assert.equal(channels.status(high.id), "INITIATED");
    network.add(high, service);
    network.deliver(init);
    network.settle();
    assert.deepEqual(network.receivedBy(high.id), ["01"]);
  }
});

Deno.test("a response is refused where another key signed it, or it answers an earlier init", () => {
  const stranger = newNode(service);
  const network = new Network();
  const channels = network.add(low, service);
  channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  const answers = [{ ...high, key: stranger.key }, high].map((keys) => {
    const answering = new Network();
    answering.add(keys, service);
    answering.deliver(network.frames[0]!);
    return answering.frames[0]!;
  });
  network.deliver(answers[0]!);
  assert.equal(channels.status(high.id), "INITIATED");
  network.tick(KEY_EXCHANGE_RETRY_MS);
  channels.sendConsensus(high.id, consensusHeader(2), network.nowMs);
  network.deliver(answers[1]!);
  assert.equal(channels.status(high.id), "INITIATED");
  assert.deepEqual(network.frames.map(({ payload }) => payload[0]), [0, 0], "no final was sent");
});

Deno.test("the service's own certificate is no node's", () => {
  const keys = { id: nodeIdOf(service.key.publicKey.spki), key: service.key, certificatePem: service.certificatePem };
  const { network, channels } = victim();
  network.deliver(initOf(keys));
  assert.equal(channels.size, 1);
  assert.match(network.logs[0]!.message, /Cannot accept the service's own certificate as a node's/);
});

Deno.test("certificates of the service are believed by their key: a renewed service certificate changes nothing", () => {
  const network = new Network();
  const renewed = renewService(service, { notBeforeMs: 0, notAfterMs: 1000 }, systemRandom);
  const channels = network.add(low, renewed);
  network.add(high, service);
  channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  network.settle();
  assert.deepEqual(network.receivedBy(high.id), ["01"]);
});

Deno.test("frames under the own ID, or under what is no ID, are refused", () => {
  const { network, channels } = victim();
  const init = initOf(middle);
  for (const from of [low.id, "", "x", high.id.toUpperCase(), `${high.id}0`, "é".repeat(64)]) {
    for (const messageType of [0, 1, 2] as const) {
      assert.equal(channels.receive(STRANGER, from, messageType, init.payload, network.nowMs), undefined);
    }
  }
  assert.deepEqual([network.frames.length, channels.size], [0, 1]);
});

Deno.test("an init that is sent again does not take the keys in use away, however often, in either direction", () => {
  const all = victim();
  const { network, channels, recorded } = all;
  const oldInit = recorded[0]!;
  for (let i = 0; i < 5; i++) {
    network.deliver(oldInit);
    assert.equal(channels.status(high.id), "WAITING_FOR_FINAL");
    network.frames.length = 0; // the response reaches nobody
    assertWorks(all, `after replay ${i}`);
    network.tick(KEY_EXCHANGE_RETRY_MS / 2);
  }
  // The exchange that does not end is replaced by one that does.
  network.tick(KEY_EXCHANGE_RETRY_MS);
  assertWorks(all);
  assert.equal(channels.status(high.id), "ESTABLISHED");
});

Deno.test("an init that comes twice while its final is awaited is answered with the same response", () => {
  const { network } = victim();
  const init = initOf(middle);
  network.deliver(init);
  network.deliver(init);
  const [first, second] = network.frames;
  assert.deepEqual(first, second);
});

Deno.test("inits that are sent again and again do not put off this node's own", () => {
  const { network, channels } = victim();
  const inits = [initOf(high), initOf(high)];
  for (let i = 0; i < 2 * KEY_EXCHANGE_RETRY_MS / 500; i++) {
    network.deliver(inits[i % 2]!);
    network.tick(500);
    network.frames.length = 0;
    channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
    if (network.frames.some(({ messageType, payload }) => messageType === 0 && payload[0] === 0)) return;
  }
  assert.fail("it never began an exchange");
});

Deno.test("old messages of every kind, in any order, take nothing from an established channel", () => {
  const all = victim();
  const { network, peer, channels, recorded } = all;
  peer.sendForwarded(low.id, commandHeader(1), toUtf8("x"), network.nowMs);
  channels.sendConsensus(high.id, appendHeader(1), network.nowMs);
  recorded.push(...network.frames);
  network.settle();
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...recorded), { maxLength: 10 }), (replayed) => {
      for (const frame of replayed) assert.equal(network.deliver(frame), undefined);
      assertWorks(all);
      network.tick(500);
    }),
    { numRuns: 30 },
  );
});

Deno.test("changed messages of a key exchange change nothing at either end", () => {
  const all = victim();
  const { network, recorded } = all;
  const exchange = recorded.filter(({ messageType }) => messageType === 0);
  const changed = fc.constantFrom(...exchange).chain((frame) =>
    mutated(frame.payload).filter((payload) => toHex(payload) !== toHex(frame.payload))
      .map((payload) => ({ ...frame, payload }))
  );
  fc.assert(
    fc.property(changed, (frame) => {
      // A change of the salt alone is not noticed before the final, and one in the PEM's line ends never.
      network.deliver(frame);
      assertWorks(all);
      network.tick(100);
    }),
    { numRuns: 60 },
  );
});

Deno.test("an exchange under way ends although forged messages come in between", () => {
  const network = new Network();
  const channels = network.add(low, service);
  network.add(high, service);
  const forged = [initOf(newNode(otherService)), { ...initOf(middle), from: high.id }];
  channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
  for (let frame = network.frames.shift(); frame !== undefined; frame = network.frames.shift()) {
    for (const { payload } of forged) {
      for (const [from, to] of [[low.id, high.id], [high.id, low.id]] as const) {
        for (const tag of [0, 1, 2]) {
          const changed = payload.slice();
          changed[0] = tag;
          network.deliver({ from, to, messageType: 0, payload: changed, entries: undefined, connection: STRANGER });
        }
        network.deliver({ from, to, messageType: 1, payload: new Uint8Array(81), entries: undefined });
      }
    }
    network.deliver(frame);
  }
  assert.deepEqual(network.receivedBy(high.id), ["01"]);
  assert.equal(channels.status(high.id), "ESTABLISHED");
});

/** Something of a type and shape that gets far into the parser, or does not; the number chooses which. */
function nonsense(number: number): { messageType: 0 | 1 | 2; payload: Uint8Array } {
  const sealed = (header: Uint8Array, length: number) =>
    concat(header, systemRandom(16), Uint8Array.of(0), systemRandom(6), Uint8Array.of(0), systemRandom(length));
  switch (number % 7) {
    case 0:
      return { messageType: (number % 3) as 0 | 1 | 2, payload: systemRandom(number % 300) };
    case 1:
      return { messageType: 1, payload: sealed(appendHeader(0), 50) };
    case 2:
      return { messageType: 1, payload: sealed(consensusHeader(1), 0) };
    case 3:
      return { messageType: 2, payload: sealed(commandHeader(1), 100) };
    case 4:
      return { messageType: 0, payload: STRANGE_INIT };
    case 5:
      return { messageType: 0, payload: STRANGE_INIT.slice(0, number % STRANGE_INIT.length) };
    default:
      return { messageType: 0, payload: concat(Uint8Array.of(1), STRANGE_INIT.subarray(1, -40)) };
  }
}
const STRANGE_INIT = initOf(newNode(otherService)).payload;

Deno.test("a peer that sends nonsense for ever fills neither memory nor log, and others go on", () => {
  const all = victim();
  const { network, channels } = all;
  const seconds = 40;
  let most = 0;
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < 150; i++) {
      const from = i % 4 === 0 ? high.id : toHex(systemRandom(32));
      const { messageType, payload } = nonsense(150 * second + i);
      assert.equal(channels.receive(STRANGER, from, messageType, payload, network.nowMs), undefined);
      most = Math.max(most, channels.size);
    }
    network.frames.length = 0;
    network.tick(1000);
    if (second % 5 === 0) assertWorks(all, `after ${second} seconds`);
  }
  assertWorks(all);
  assert.equal(most, 1 + MAX_CLAIMED_CHANNELS);
  const windows = seconds / (CHANNEL_LOG_WINDOW_MS / 1000) + 1;
  const levels = new Set(network.logs.map(({ level }) => level)).size;
  assert.ok(levels <= 3 && network.logs.length > MAX_CHANNEL_LOG_LINES);
  assert.ok(network.logs.length <= windows * levels * (MAX_CHANNEL_LOG_LINES + 1), `${network.logs.length} lines`);
  for (const { message } of network.logs) assert.ok(message.length < 400, message);
  network.tick(IDLE_MS);
  assert.equal(channels.size, 0);
});

Deno.test("a flood of forged inits takes only so much of a second, and afterwards endorsed nodes are heard again", () => {
  const all = victim();
  const { network } = all;
  let checks = 0;
  const primitives: Primitives = {
    ...noblePrimitives,
    ecdsaVerifyHashed(...signed) {
      checks++;
      return noblePrimitives.ecdsaVerifyHashed(...signed);
    },
  };
  const channels = network.add(low, service, { primitives });
  all.channels = channels;
  all.peer.sendConsensus(low.id, consensusHeader(1), network.nowMs);
  network.settle();
  network.tick(1000);
  checks = 0;
  const forged = forgedInit();
  for (let i = 0; i < 1000; i++) network.deliver({ ...forged, connection: STRANGER });
  // The chain's signature and its own.
  assert.equal(checks, 2 * MAX_KEY_EXCHANGE_CHECKS_OF_CONNECTION);
  for (const connections of [20, 200]) {
    for (let i = 0; i < 2000; i++) network.deliver({ ...forged, connection: STRANGER + i % connections });
  }
  assert.equal(channels.status(middle.id), undefined);
  assert.equal(checks, 2 * 2 * MAX_KEY_EXCHANGE_CHECKS_PER_SECOND, "the pools of fresh and of doubtful connections");
  assertWorks(all);
  network.tick(1000);
  network.add(middle, service).sendConsensus(low.id, consensusHeader(5), network.nowMs);
  network.settle();
  assert.equal(network.receivedBy(low.id).at(-1), "05");
});

Deno.test("inits forged on some connections, or sent again from a record, do not keep nodes from a channel", () => {
  const forged = [forgedInit(high, low), forgedInit(low, high)];
  const played = [initOf(high), initOf(high)];
  for (const connections of [1, 20]) {
    const network = new Network();
    const channels = network.add(low, service);
    const peer = network.add(high, service);
    let exchanged = 0;
    for (let step = 0; step < 1500; step++) {
      // Ten milliseconds on the way, each.
      for (const frame of network.frames.splice(0)) network.deliver(frame);
      // Whose certificate it shows makes no difference: anybody can read it on the wire. Both ends are flooded.
      const connection = STRANGER + step % connections;
      for (const frame of forged) network.deliver({ ...frame, connection });
      network.deliver({ ...played[step % 2]!, connection });
      // As after idle time, or the loss of an address.
      if (step % 300 === 0) {
        channels.close(high.id);
        peer.close(low.id);
      }
      if (step % 10 === 5) {
        if ([low.id, high.id].every((id) => network.receivedBy(id).length > 0)) exchanged += 1;
        network.received.length = 0;
        channels.sendConsensus(high.id, consensusHeader(1), network.nowMs);
        peer.sendConsensus(low.id, consensusHeader(2), network.nowMs);
      }
      network.tick(10);
    }
    // Where an exchange is spoiled the next one comes two seconds later.
    assert.ok(exchanged > (connections === 1 ? 140 : 40), `${exchanged} of 150 times messages came both ways`);
  }
});

Deno.test("a connection that has proved whose it is gets its checks while strangers use up all others", () => {
  const all = victim();
  const { network, channels, peer } = all;
  const forged = forgedInit(high);
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 200; i++) network.deliver({ ...forged, connection: STRANGER + 200 * second + i });
    // The node has forgotten its keys, and begins again.
    peer.close(low.id);
    peer.sendConsensus(low.id, consensusHeader(1), network.nowMs);
    network.settle();
    assertWorks(all, `in second ${second}`);
    network.tick(1000);
  }
  const proofs = network.heardOn.filter(({ at, isProved }) => at === low.id && isProved);
  assert.deepEqual(proofs, [{
    at: low.id,
    from: high.id,
    connection: network.connection(high.id, low.id),
    isProved: true,
  }]);
  // Once it has been removed it must prove itself anew.
  channels.close(high.id);
  peer.sendConsensus(low.id, consensusHeader(1), network.nowMs);
  network.settle();
  assertWorks(all);
  assert.equal(network.heardOn.filter(({ at, isProved }) => at === low.id && isProved).length, 2);
});

Deno.test("an init sent again by a stranger proves nothing of its connection", () => {
  const { network, recorded } = victim();
  network.heardOn.length = 0;
  for (const frame of recorded) network.deliver({ ...frame, connection: STRANGER });
  assert.deepEqual(network.heardOn.filter(({ connection, isProved }) => connection === STRANGER && isProved), []);
});

Deno.test("claims by frames do not keep an endorsed node out, nor throw out one that this node speaks to", () => {
  const { network, channels, peer } = victim();
  for (let i = 0; i < 2 * MAX_CLAIMED_CHANNELS; i++) {
    channels.receive(STRANGER, toHex(systemRandom(32)), 1, new Uint8Array(81), network.nowMs);
  }
  assert.equal(channels.size, 1 + MAX_CLAIMED_CHANNELS);
  network.frames.length = 0;
  const third = network.add(middle, service);
  third.sendConsensus(low.id, consensusHeader(3), network.nowMs);
  peer.sendConsensus(low.id, consensusHeader(4), network.nowMs);
  network.settle();
  assert.deepEqual(network.receivedBy(low.id), ["04", "03"]);
});

Deno.test("a node whose keys were forgotten here is told so, and one that was claimed becomes known by its response", () => {
  const { network, channels, peer } = victim();
  channels.close(high.id);
  peer.sendConsensus(low.id, consensusHeader(1), network.nowMs);
  network.settle();
  assert.equal(channels.status(high.id), "ESTABLISHED");
  network.tick(KEY_EXCHANGE_RETRY_MS);
  for (let i = 0; i < 2 * MAX_CLAIMED_CHANNELS; i++) {
    channels.receive(STRANGER, toHex(systemRandom(32)), 1, new Uint8Array(81), network.nowMs);
  }
  assert.equal(channels.status(high.id), "ESTABLISHED");
});

Deno.test("endorsed nodes that are gone, played back from a record, fill only so many channels", () => {
  const { network, channels } = victim();
  const gone = Array.from({ length: MAX_CHANNELS + 5 }, () => initOf(newNode(service, "P-256")));
  for (const [i, init] of gone.entries()) {
    if (i % MAX_KEY_EXCHANGE_CHECKS_PER_SECOND === 0) network.tick(1000);
    network.deliver({ ...init, connection: STRANGER + i });
  }
  assert.equal(channels.size, MAX_CHANNELS);
  assert.ok(network.logs.some(({ message }) => message.endsWith("there are as many channels as there may be")));
  network.tick(IDLE_MS);
  assert.equal(channels.size, 0);
});
