import { strict as assert } from "node:assert";
import { fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { FaultProxy } from "../tests/e2e/fault_proxy.ts";
import { eventually } from "./listener_fixtures.ts";
import { Peers } from "./peers.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];

interface Node {
  readonly peers: Peers;
  readonly received: string[];
  readonly log: string[];
}

/** A node that sends back what it gets from the other, since one that never answers is connected to anew. */
async function start(ownId: string, other: string): Promise<Node> {
  const received: string[] = [];
  const log: string[] = [];
  const peers = await Peers.listen({
    hostname: "127.0.0.1",
    port: 0,
    onMessage: (_from, messageType, payload) => {
      received.push(fromUtf8(payload));
      if (messageType === 1) peers.send(other, 2, payload);
    },
    // Some are there at once, some after a while.
    readEntries: (from) => from % 2 === 0 ? toUtf8("+") : new Promise((resolve) => setTimeout(resolve, 1, toUtf8("+"))),
    log: (_level, message) => log.push(message),
    silenceMs: 50,
    connectMs: 200,
  });
  peers.ownId = ownId;
  return { peers, received, log };
}

Deno.test("Peers lose messages when the network fails, but none comes twice or changed, and they find each other again", async () => {
  const a = await start(A, B);
  const b = await start(B, A);
  const toB = new FaultProxy(`127.0.0.1:${b.peers.port}`);
  const toA = new FaultProxy(`127.0.0.1:${a.peers.port}`);
  a.peers.setAddress(B, toB.address);
  b.peers.setAddress(A, toA.address);
  const faults = [
    () => toB.cut(),
    () => toB.stall(),
    () => toA.stall("up"),
    () => toA.cut(),
    () => toB.cutNode(A),
    () => toA.cutNode(B),
    () => a.peers.setAddress(B, null),
    () => toB.delay(20),
  ];
  let sent = 0;
  const send = (): void => {
    sent += 1;
    a.peers.send(B, 1, toUtf8(`${sent}`), sent % 3 === 0 ? { from: sent, to: sent } : undefined);
  };
  for (const fault of faults) {
    for (let i = 0; i < 20; i++) send();
    fault();
    for (let i = 0; i < 20; i++) {
      send();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    toA.heal();
    toB.heal();
    a.peers.setAddress(B, toB.address);
    const lastBefore = sent;
    // A new message, there and back.
    await eventually(() => {
      send();
      return a.received.some((text) => parseInt(text) > lastBefore);
    });
  }
  await Promise.all([a.peers.stop(), b.peers.stop(), toA.stop(), toB.stop()]);
  for (const { received } of [a, b]) {
    assert.equal(new Set(received).size, received.length, "None comes twice");
    assert.ok(received.every((text) => (parseInt(text) % 3 === 0) === text.endsWith("+")), "Entries come along");
  }
  assert.ok(b.received.length < sent, "Some were lost");
  assert.ok(a.log.some((line) => line.includes("has not answered for 50 ms")));
  assert.ok(a.log.some((line) => line.includes("Cannot reach node")));
});
