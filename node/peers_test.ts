import { strict as assert } from "node:assert";
import { concat, fromUtf8, fromUtf8Lenient, toUtf8 } from "../shared/bytes.ts";
import {
  MAX_PEER_CONNECTIONS,
  MAX_PEER_CONNECTIONS_OF_ADDRESS,
  MAX_PEER_LOG_LINES,
  MAX_PEER_QUEUE_MESSAGES,
} from "../shared/limits.ts";
import type { NodeMessageType } from "../enclave/messages.ts";
import { eventually } from "./listener_fixtures.ts";
import { FrameReader, type PeerFrame, serialiseFrameHead } from "./peer_frames.ts";
import { boundedLog } from "./peer_log.ts";
import { Peers, type PeersOptions } from "./peers.ts";

const [A, B, C] = ["a".repeat(64), "b".repeat(64), "c".repeat(64)];

interface TestPeers extends AsyncDisposable {
  readonly peers: Peers;
  /** "type:text" from `from`. */
  readonly received: string[];
  readonly log: string[];
}

async function start(ownId: string, options: Partial<PeersOptions> = {}): Promise<TestPeers> {
  const received: string[] = [];
  const log: string[] = [];
  const peers = await Peers.listen({
    hostname: "127.0.0.1",
    port: 0,
    onMessage: (from, messageType, payload) => {
      received.push(`${from[0]} ${messageType}:${fromUtf8(payload)}`);
    },
    readEntries: () => undefined,
    log: (level, message) => log.push(`${level} ${message}`),
    ...options,
  });
  peers.ownId = ownId;
  return { peers, received, log, [Symbol.asyncDispose]: () => peers.stop() };
}

const addressOf = ({ peers }: TestPeers) => `127.0.0.1:${peers.port}`;
const send = ({ peers }: TestPeers, to: string, text: string, messageType: NodeMessageType = 1) =>
  peers.send(to, messageType, toUtf8(text));

/** A port at which nothing listens. */
function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Sends these bytes and says what became of the connection. */
async function stranger(port: number, ...pieces: Uint8Array[]): Promise<"closed"> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    for (const piece of pieces) await connection.write(piece);
    while (await connection.read(new Uint8Array(10)) !== null);
  } catch {
    // Reset, since some of it was never read.
  }
  return "closed";
}

Deno.test("Peers carry messages both ways, in order, with the sender's ID", async () => {
  await using a = await start(A);
  await using b = await start(B);
  a.peers.setAddress(B, addressOf(b));
  b.peers.setAddress(A, addressOf(a));
  const expected: string[] = [];
  for (let i = 0; i < 500; i++) {
    send(a, B, `message ${i}`, (i % 3) as NodeMessageType);
    expected.push(`a ${i % 3}:message ${i}`);
  }
  send(b, A, "");
  await eventually(() => b.received.length === 500 && a.received.length === 1);
  assert.deepEqual(b.received, expected);
  assert.deepEqual(a.received, ["b 1:"]);
});

Deno.test("Peers answer a node whose address they do not know on the connection that it has opened", async () => {
  await using a = await start(A);
  await using b = await start(B);
  send(b, A, "nobody is there");
  a.peers.setAddress(B, addressOf(b));
  send(a, B, "hello");
  await eventually(() => b.received.length === 1);
  for (let i = 0; i < 100; i++) send(b, A, `${i}`);
  await eventually(() => a.received.length === 100);
  assert.deepEqual(a.received, Array.from({ length: 100 }, (_, i) => `b 1:${i}`));

  b.peers.setAddress(A, addressOf(a));
  send(b, A, "to its address");
  await eventually(() => a.received.at(-1) === "b 1:to its address");
  send(a, B, "again");
  await eventually(() => b.received.length === 2);
  assert.deepEqual(b.log, [`info A message to node ${A} is not sent: its address is not known`, b.log[1]]);
  assert.match(b.log[1]!, /^debug Connected to node /);
});

Deno.test("Peers answer on the newest connection of a node, and nowhere once it has gone", async () => {
  await using b = await start(B);
  for (let round = 0; round < 3; round++) {
    const a = await start(A);
    a.peers.setAddress(B, addressOf(b));
    send(a, B, "hello");
    await eventually(() => b.received.length === round + 1);
    send(b, A, `round ${round}`);
    await eventually(() => a.received.length === 1);
    assert.deepEqual(a.received, [`b 1:round ${round}`]);
    await a.peers.stop();
    await eventually(() => {
      b.log.length = 0;
      send(b, A, "gone");
      return b.log.length === 1;
    });
  }
});

Deno.test("Peers cut off a node that answers with what is no message, and connect to it anew", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using a = await start(A);
  a.peers.setAddress(B, `127.0.0.1:${listener.addr.port}`);
  for (let round = 0; round < 2; round++) {
    send(a, B, "hello");
    using connection = await listener.accept();
    await connection.write(new Uint8Array(100).fill(255));
    while (await connection.read(new Uint8Array(1000)).catch(() => null) !== null);
  }
  assert(a.log.some((line) => /^info A connection from .* is cut off: /.test(line)), a.log.join("\n"));
  assert.deepEqual(a.received, []);
});

Deno.test("Peers write all that is sent in one turn at once", async () => {
  const reads: number[] = [];
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using a = await start(A);
  a.peers.setAddress(B, `127.0.0.1:${listener.addr.port}`);
  for (let i = 0; i < 50; i++) send(a, B, `${i % 10}`);
  using connection = await listener.accept();
  reads.push((await connection.read(new Uint8Array(100_000)))!);
  assert.deepEqual(reads, [50 * 85]);
});

Deno.test("Peers append entries to a message, and what is sent behind it waits for them", async () => {
  const asked: string[] = [];
  let answer = (_entries: Uint8Array | undefined) => {};
  await using a = await start(A, {
    readEntries: (from, to) => {
      asked.push(`${from}-${to}`);
      if (from === 1) return toUtf8(" one two");
      if (from === 7) throw new Error("the disk reports an error");
      if (from === 9) return undefined;
      return new Promise((resolve) => answer = resolve);
    },
  });
  await using b = await start(B);
  a.peers.setAddress(B, addressOf(b));
  a.peers.send(B, 1, toUtf8("x"), { from: 1, to: 2 });
  await eventually(() => b.received.length === 1);
  a.peers.send(B, 1, toUtf8("y"), { from: 3, to: 4 });
  send(a, B, "behind");
  a.peers.send(B, 1, toUtf8("never"), { from: 7, to: 7 });
  a.peers.send(B, 1, toUtf8("never"), { from: 9, to: 9 });
  send(a, B, "last");
  await eventually(() => asked.length === 2);
  assert.deepEqual(b.received, ["a 1:x one two"]);
  answer(toUtf8(" three four"));
  await eventually(() => b.received.length === 4);
  assert.deepEqual(b.received, ["a 1:x one two", "a 1:y three four", "a 1:behind", "a 1:last"]);
  assert.deepEqual(asked, ["1-2", "3-4", "7-7", "9-9"]);
  assert.deepEqual(a.log.filter((line) => line.includes("Entries")), [
    `info Entries 7 to 7 are not sent to node ${B}: the disk reports an error`,
    `info Entries 9 to 9 are not sent to node ${B}: they are not here`,
  ]);
});

Deno.test("Peers carry entries of many megabytes, and large ones between small ones", async () => {
  const large = new Uint8Array(20 * 1024 * 1024).map((_, i) => i % 253);
  const sizes: number[] = [];
  let last = new Uint8Array();
  await using a = await start(A, { readEntries: () => large });
  await using b = await start(B, {
    onMessage: (_from, _type, payload) => {
      sizes.push(payload.length);
      if (payload.length > large.length) last = payload.slice();
    },
  });
  a.peers.setAddress(B, addressOf(b));
  send(a, B, "before");
  a.peers.send(B, 1, toUtf8("head"), { from: 1, to: 2 });
  send(a, B, "after");
  await eventually(() => sizes.length === 3);
  assert.deepEqual(sizes, [6, 4 + large.length, 5]);
  assert.ok(last.subarray(4).every((byte, i) => byte === large[i]));
});

Deno.test("Peers read no more from a connection while a message is being taken", async () => {
  let taken = 0;
  let release = () => {};
  await using a = await start(A);
  await using b = await start(B, {
    onMessage: () => {
      taken += 1;
      return new Promise<void>((resolve) => release = resolve);
    },
  });
  a.peers.setAddress(B, addressOf(b));
  for (let i = 0; i < 3; i++) send(a, B, "x");
  for (let i = 1; i <= 3; i++) {
    await eventually(() => taken === i);
    release();
  }
});

Deno.test("Peers forget an address, take another, and drop what is for nobody", async () => {
  await using a = await start(A);
  await using b = await start(B);
  await using c = await start(B);
  send(a, B, "to nobody");
  a.peers.setAddress(B, addressOf(b));
  send(a, B, "first");
  await eventually(() => b.received.length === 1);
  a.peers.setAddress(B, addressOf(c));
  send(a, B, "second");
  await eventually(() => c.received.length === 1);
  a.peers.setAddress(B, null);
  send(a, B, "to nobody");
  a.peers.setAddress(B, addressOf(b));
  send(a, B, "third");
  await eventually(() => b.received.length === 2);
  assert.deepEqual(b.received, ["a 1:first", "a 1:third"]);
  assert.deepEqual(c.received, ["a 1:second"]);
  const lost = `info A message to node ${B} is not sent: its address is not known`;
  assert.deepEqual(a.log.filter((line) => line.startsWith("info")), [lost, lost]);
});

Deno.test("Peers reach a node that comes back, and do not deliver what was sent while it was away", async () => {
  const port = closedPort();
  await using a = await start(A);
  a.peers.setAddress(B, `127.0.0.1:${port}`);
  send(a, B, "nobody is there");
  await eventually(() => a.log.length === 1);
  assert.match(a.log[0]!, /^info Cannot reach node b+ at 127\.0\.0\.1:\d+: .*refused/i);
  for (let incarnation = 0; incarnation < 2; incarnation++) {
    await using b = await start(B, { port });
    await eventually(() => {
      send(a, B, `you are there ${incarnation}`);
      return b.received.length > 0;
    });
    assert.ok(b.received.every((text) => text === `a 1:you are there ${incarnation}`), b.received.join());
  }
  // Said once for each time that it is away.
  assert.equal(a.log.filter((line) => line.includes("Cannot reach")).length <= 2, true);
});

Deno.test("Peers connect anew to a node that does not answer, and only then", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using a = await start(A, { silenceMs: 20 });
  a.peers.setAddress(B, `127.0.0.1:${silent.addr.port}`);
  send(a, B, "first");
  using _first = await silent.accept();
  let second: Deno.TcpConn | undefined;
  void silent.accept().then((connection) => second = connection);
  await eventually(() => {
    send(a, B, "again");
    return second !== undefined;
  });
  second!.close();
  assert.ok(a.log.some((line) => line.includes("has not answered for 20 ms")));

  // One that answers, on a connection of its own, keeps the connection.
  await using b = await start(B, { silenceMs: 20 });
  b.peers.setAddress(A, addressOf(a));
  a.peers.setAddress(B, addressOf(b));
  a.log.length = 0;
  for (let i = 0; i < 30; i++) {
    send(a, B, "question");
    await eventually(() => b.received.length === i + 1);
    send(b, A, "answer");
    await eventually(() => a.received.length === i + 1);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.deepEqual(a.log.filter((line) => !line.startsWith("debug")), []);
});

Deno.test("Peers drop the newest messages for a node that does not take them, and say so once", async () => {
  using slow = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using a = await start(A);
  a.peers.setAddress(B, `127.0.0.1:${slow.addr.port}`);
  for (let i = 0; i < MAX_PEER_QUEUE_MESSAGES + 100; i++) send(a, B, `${i}`);
  using connection = await slow.accept();
  const reader = new FrameReader();
  const received: string[] = [];
  send(a, B, "the last");
  while (received.length < MAX_PEER_QUEUE_MESSAGES) {
    const buffer = new Uint8Array(100_000);
    const count = await connection.read(buffer);
    const frames: PeerFrame[] = [];
    reader.read(buffer.subarray(0, count!), frames);
    received.push(...frames.map(({ payload }) => fromUtf8(payload)));
  }
  // The last one may have found room behind them.
  const first = received.slice(0, MAX_PEER_QUEUE_MESSAGES);
  assert.deepEqual(first, Array.from({ length: MAX_PEER_QUEUE_MESSAGES }, (_, i) => `${i}`));
  assert.deepEqual(a.log.filter((line) => line.startsWith("fail")), [
    `fail Messages to node ${B} are dropped: it takes them too slowly`,
  ]);
});

Deno.test("Peers cut off what is no node, with the reason, and go on", async () => {
  await using b = await start(B);
  const good = concat(serialiseFrameHead(A, 1, 2), toUtf8("ok"));
  await stranger(b.peers.port, toUtf8("GET / HTTP/1.1\r\n\r\n"));
  await stranger(b.peers.port, good, new Uint8Array([255, 255, 255, 255]));
  await eventually(() => b.log.length === 2);
  assert.match(b.log[0]!, /^info A connection from 127\.0\.0\.1:\d+ is cut off: .* announced with 542393671 bytes/);
  assert.match(b.log[1]!, /announced with 4294967295 bytes/);
  await using a = await start(A);
  a.peers.setAddress(B, addressOf(b));
  send(a, B, "still here");
  await eventually(() => b.received.length === 2);
  assert.deepEqual(b.received, ["a 1:ok", "a 1:still here"]);
});

Deno.test("Peers close an idle connection, and cut off one that sends a message bit by bit", async () => {
  await using b = await start(B, { frameMs: 40 });
  await stranger(b.peers.port);
  assert.deepEqual(b.log, []);
  using slow = await Deno.connect({ hostname: "127.0.0.1", port: b.peers.port });
  const bytes = concat(serialiseFrameHead(A, 1, 1000), new Uint8Array(1000));
  let at = 0;
  await eventually(() => {
    if (b.log.length === 0 && at < bytes.length) void slow.write(bytes.subarray(at, ++at)).catch(() => {});
    return b.log.length > 0;
  });
  assert.match(b.log[0]!, /cut off: its message is not finished after 40 ms/);
  assert.ok(at < bytes.length);
  assert.deepEqual(b.received, []);
});

/** Strangers' connections to a node; each says something first. */
async function strangers(b: TestPeers, count: number, from = C): Promise<Deno.TcpConn[]> {
  const connections: Deno.TcpConn[] = [];
  for (let i = 0; i < count; i++) {
    connections.push(await Deno.connect({ hostname: "127.0.0.1", port: b.peers.port }));
    await speak(b, connections[i]!, from);
  }
  return connections;
}

async function speak(b: TestPeers, connection: Deno.TcpConn, from = C): Promise<void> {
  const before = b.received.length;
  await connection.write(concat(serialiseFrameHead(from, 1, 2), toUtf8("hi")));
  await eventually(() => b.received.length > before);
}

const isCutOff = async (connection: Deno.TcpConn) =>
  await connection.read(new Uint8Array(1)).catch(() => null) === null;

function closeAll(connections: readonly Deno.TcpConn[]): void {
  for (const connection of connections) connection.close();
}

Deno.test("Peers number connections, and never again the same", async () => {
  const numbers: number[] = [];
  await using b = await start(B, { onMessage: (_from, _type, _payload, connection) => void numbers.push(connection) });
  const frame = concat(serialiseFrameHead(A, 1, 0), serialiseFrameHead(C, 1, 0));
  for (let round = 1; round <= 3; round++) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: b.peers.port });
    await connection.write(frame);
    await eventually(() => numbers.length === 2 * round);
  }
  assert.deepEqual(numbers, [1, 1, 2, 2, 3, 3]);
});

Deno.test("Peers take only so many connections from one address, and give each its time to prove itself", async () => {
  await using b = await start(B);
  const connections = await strangers(b, MAX_PEER_CONNECTIONS_OF_ADDRESS);
  const refused = await Deno.connect({ hostname: "127.0.0.1", port: b.peers.port });
  assert.equal(await isCutOff(refused), true);
  assert.deepEqual(b.log, ["info A connection from 127.0.0.1 is refused: there are 64 connections from there"]);
  for (const connection of connections) await speak(b, connection);
  // Proved ones do not count: there is room for another.
  b.peers.heardOn(1, C, true);
  const taken = await strangers(b, 1, A);
  assert.equal(b.log.length, 1);
  closeAll([...connections, ...taken, refused]);
});

Deno.test("Peers make room by closing what has not proved to be a node's in time, but never what has", async () => {
  for (const connectionsOfAddress of [MAX_PEER_CONNECTIONS_OF_ADDRESS, 2 * MAX_PEER_CONNECTIONS]) {
    const count = Math.min(connectionsOfAddress, MAX_PEER_CONNECTIONS);
    await using b = await start(B, { proofMs: 0, connectionsOfAddress, acceptsAtOnce: 1000 });
    const [node] = await strangers(b, 1, A);
    b.peers.heardOn(1, A, true);
    const connections = await strangers(b, count);
    // With the node's there is one too many, where all are counted.
    const isTotal = connectionsOfAddress > MAX_PEER_CONNECTIONS;
    if (isTotal) assert.equal(await isCutOff(connections[0]!), true);
    const second = isTotal ? 1 : 0;
    await speak(b, connections[second]!);
    const more = await strangers(b, 1);
    assert.equal(await isCutOff(connections[second + 1]!), true, "it was silent longest");
    for (const still of [node!, connections[second]!, ...more]) await speak(b, still);
    for (let i = 0; i < 100; i++) more.push(...await strangers(b, 1));
    await speak(b, node!, A);
    assert.match(b.log.at(-1)!, /is cut off: there are \d+ connections.*, and it has been silent longest of those not/);
    closeAll([node!, ...connections, ...more]);
  }
});

Deno.test("Peers refuse an address that opens connections too fast, and take it again", async () => {
  await using b = await start(B, { acceptsAtOnce: 3 });
  const connections = await strangers(b, 3);
  const frame = concat(serialiseFrameHead(A, 1, 2), toUtf8("hi"));
  let refused = 0;
  let isBack = false;
  for (let i = 0; i < 1000 && !(refused > 0 && isBack); i++) {
    const before = b.received.length;
    try {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: b.peers.port });
      await connection.write(frame);
      await new Promise((resolve) => setTimeout(resolve, refused === 0 ? 0 : 100));
    } catch {
      // Reset: it was refused.
    }
    isBack = refused > 0 && b.received.length > before;
    refused = b.log.filter((line) => line.endsWith("refused: there were too many from there a moment ago")).length;
  }
  assert.ok(refused > 0 && isBack);
  closeAll(connections);
});

Deno.test("Peers answer where the enclave has believed a node, whatever others claim", async () => {
  await using b = await start(B);
  const [honest] = await strangers(b, 1, A);
  b.peers.heardOn(1, A, true);
  const [claiming, replaying] = await strangers(b, 2, A);
  b.peers.heardOn(3, A, false);
  const answered = async (connection: Deno.TcpConn, text: string) => {
    let received = "";
    const read = async () => {
      const buffer = new Uint8Array(10_000);
      while (!received.endsWith(text)) {
        const count = await connection.read(buffer);
        assert(count !== null);
        received += fromUtf8Lenient(buffer.subarray(0, count));
      }
    };
    const reading = read();
    // Until it is noticed that another connection has ended, what is sent may be lost there.
    await eventually(() => {
      if (!received.endsWith(text)) send(b, A, text);
      return received.endsWith(text);
    });
    await reading;
  };
  await answered(honest!, "to the node");
  honest!.close();
  // It comes back: as long as nothing is proved, what is signed counts more than what is claimed.
  const [again] = await strangers(b, 1, A);
  await answered(again!, "to what was claimed last");
  b.peers.heardOn(4, A, false);
  const [third] = await strangers(b, 1, A);
  await answered(again!, "to what was signed");
  b.peers.heardOn(3, C, false);
  b.peers.heardOn(99, A, true);
  await answered(again!, "to what was signed, still");
  closeAll([claiming!, replaying!, again!, third!]);
});

Deno.test("Peers.listen() says which address cannot be had", async () => {
  await using a = await start(A);
  await assert.rejects(start(B, { port: a.peers.port }), {
    name: "StartFailure",
    message: new RegExp(`^Cannot listen for other nodes on 127\\.0\\.0\\.1:${a.peers.port}: .*in use`),
  });
});

Deno.test("Peers.stop() ends also while a node is being waited for, which then hears nothing of it", async () => {
  const a = await start(A);
  const own = a.peers.port;
  const port = closedPort();
  a.peers.setAddress(B, `127.0.0.1:${port}`);
  a.peers.setAddress(C, "no address");
  send(a, B, "x");
  send(a, C, "x");
  await eventually(() => a.log.length === 2);
  for (let i = 0; i < 20; i++) send(a, B, "x");
  await a.peers.stop();
  assert.equal(a.log.length, 2, `to stop is no fault: ${a.log}`);
  await using b = await start(B, { port });
  // Its own port is free for another.
  await using c = await start(C, { port: own });
  c.peers.setAddress(B, addressOf(b));
  send(c, B, "hello");
  await eventually(() => b.received.length > 0);
  assert.deepEqual(b.received, ["c 1:hello"]);
});

Deno.test("boundedLog() passes on so many lines a minute and counts the others", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const log = boundedLog((_, message) => lines.push(message), () => nowMs);
  for (let i = 0; i < MAX_PEER_LOG_LINES + 5; i++) log("info", "line");
  assert.equal(lines.length, MAX_PEER_LOG_LINES);
  nowMs = 60_000;
  log("info", "next");
  assert.deepEqual(lines.slice(MAX_PEER_LOG_LINES), [
    "5 more lines on connections between nodes were left out",
    "next",
  ]);
});
