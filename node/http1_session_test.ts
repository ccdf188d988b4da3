import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { type ByteStream, Http1Session } from "./http1_session.ts";
import { InterfaceCounters, RequestBatcher } from "./listener.ts";
import { RecordingSink, SMALL_LIMITS, textResponse } from "./listener_fixtures.ts";

/** Remembers what a session did with its connection. */
class FakeStream implements ByteStream {
  readonly writes: string[] = [];
  isFull = false;
  isEnded = false;
  isReading = true;

  write(bytes: Uint8Array): boolean {
    assert.ok(!this.isEnded, "Nothing is written behind the end");
    this.writes.push(Buffer.from(bytes).toString("latin1"));
    return !this.isFull;
  }

  end(): void {
    this.isEnded = true;
  }

  setReading(reading: boolean): void {
    this.isReading = reading;
  }
}

function setUp(sink = new RecordingSink()) {
  const stream = new FakeStream();
  const counters = new InterfaceCounters(10, 20);
  const session = { id: 1, interfaceName: "rpc", callerCertificate: null };
  const http = new Http1Session(session, stream, SMALL_LIMITS, new RequestBatcher(sink), counters);
  return { stream, counters, sink, session, http, send: (text: string) => http.receive(Buffer.from(text, "latin1")) };
}

/** The batch of this turn, and the writes that its answers cause. */
const turn = () => new Promise<void>((resolve) => setImmediate(() => setTimeout(resolve, 0)));
const get = (target: string) => `GET ${target} HTTP/1.1\r\n\r\n`;
const answer = (text: string) =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\ncontent-type: text/plain\r\n\r\n${text}`;

Deno.test("Http1Session hands over what a turn brought in one batch", async () => {
  const { sink, send, session } = setUp();
  send(get("/1") + get("/2").slice(0, 5));
  send(get("/2").slice(5) + get("/3"));
  assert.equal(sink.batches.length, 0);
  await turn();
  assert.deepEqual(sink.batches.map((batch) => batch.map(({ request }) => request.target)), [["/1", "/2", "/3"]]);
  assert.ok(sink.exchanges.every((exchange) => exchange.session === session));
  assert.deepEqual(sink.opened, [session]);
});

Deno.test("Http1Session answers in the order of the requests, all that is ready in one write", async () => {
  const { stream, sink, send } = setUp();
  send(get("/1") + get("/2") + get("/3") + get("/4"));
  await turn();
  const [first, second, third, fourth] = sink.exchanges;
  third!.respond(textResponse("three"));
  second!.respond(textResponse("two"));
  await turn();
  assert.equal(stream.writes.length, 0);
  first!.respond(textResponse("one"));
  await turn();
  assert.deepEqual(stream.writes, [answer("one") + answer("two") + answer("three")]);
  fourth!.respond(textResponse("four"));
  await turn();
  assert.equal(stream.writes[1], answer("four"));
  assert.ok(!stream.isEnded);
});

Deno.test("Http1Session answers HEAD without a body, and with the length that the answer names or 0", async () => {
  const { stream, sink, send } = setUp();
  send("HEAD /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\n" + get("/3"));
  await turn();
  const [first, second, third] = sink.exchanges;
  first!.respond(textResponse("body"));
  second!.respond({ status: 200, headers: [["content-length", "106824"]], body: new Uint8Array() });
  third!.respond({ status: 200, headers: [["content-length", "106824"]], body: Uint8Array.of(0x78) });
  await turn();
  assert.deepEqual(stream.writes, [
    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-type: text/plain\r\n\r\n" +
    "HTTP/1.1 200 OK\r\ncontent-length: 106824\r\n\r\n" +
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
  ]);
});

Deno.test("Http1Session refuses behind the answers that are due, then ends and throws the rest away", async () => {
  const { stream, sink, send, counters } = setUp();
  send(get("/1") + "FOO /2 HTTP/1.1\r\n\r\n");
  send(get("/3"));
  await turn();
  assert.deepEqual(sink.exchanges.map(({ request }) => request.target), ["/1"]);
  assert.equal(stream.writes.length, 0);
  sink.exchanges[0]!.respond(textResponse("one"));
  await turn();
  assert.equal(stream.writes.length, 1);
  assert.ok(stream.writes[0]!.startsWith(answer("one") + "HTTP/1.1 400 BAD_REQUEST\r\ncontent-length: "));
  assert.ok(stream.isEnded && stream.isReading);
  send(get("/4"));
  await turn();
  assert.equal(sink.exchanges.length, 1);
  assert.deepEqual(counters.errors, { parsing: 1, request_payload_too_large: 0, request_header_too_large: 0 });
});

Deno.test("Http1Session counts each kind of refusal", async () => {
  for (
    const [sent, kind] of [
      ["x", "parsing"],
      ["POST / HTTP/1.1\r\ncontent-length: 999999\r\n\r\n", "request_payload_too_large"],
      [`GET / HTTP/1.1\r\na: ${"b".repeat(9000)}\r\n\r\n`, "request_header_too_large"],
    ] as const
  ) {
    const { counters, send, stream } = setUp();
    send(sent);
    await turn();
    assert.ok(stream.isEnded);
    assert.deepEqual(Object.entries(counters.errors).filter(([, count]) => count === 1).map(([name]) => name), [kind]);
  }
});

Deno.test("Http1Session ends after an answer that closes, and drops the answers behind it", async () => {
  const { stream, sink, send } = setUp();
  send(get("/1") + get("/2") + get("/3"));
  await turn();
  const [first, second, third] = sink.exchanges;
  third!.respond(textResponse("three"));
  second!.respond(textResponse("two", { close: true }));
  first!.respond(textResponse("one"));
  await turn();
  assert.deepEqual(stream.writes, [answer("one") + answer("two")]);
  assert.ok(stream.isEnded);
});

Deno.test("Http1Session still answers a client that has ended its side, then ends too", async () => {
  const { stream, sink, send, http } = setUp();
  send(get("/1") + get("/2"));
  http.inputEnded();
  await turn();
  assert.ok(!stream.isEnded);
  sink.exchanges[0]!.respond(textResponse("one"));
  await turn();
  assert.ok(!stream.isEnded);
  sink.exchanges[1]!.respond(textResponse("two"));
  await turn();
  assert.deepEqual(stream.writes, [answer("one"), answer("two")]);
  assert.ok(stream.isEnded);

  const idle = setUp();
  idle.send("GET /half");
  idle.http.inputEnded();
  assert.ok(idle.stream.isEnded);
});

Deno.test("Http1Session tells of its end once, after its requests, and drops answers that come later", async () => {
  const { stream, sink, send, http, session } = setUp();
  send(get("/1"));
  http.closed();
  http.closed();
  assert.equal(sink.closed.length, 0);
  await turn();
  assert.equal(sink.exchanges.length, 1);
  assert.deepEqual(sink.closed, [session]);
  sink.exchanges[0]!.respond(textResponse("late"));
  await turn();
  assert.equal(stream.writes.length, 0);
});

Deno.test("Http1Session stops reading while too many requests wait, and goes on at half of them", async () => {
  const { stream, sink, send } = setUp();
  send(get("/").repeat(1023));
  assert.ok(stream.isReading);
  send(get("/"));
  assert.ok(!stream.isReading);
  // What comes all the same waits unparsed.
  send(get("/late").repeat(100));
  await turn();
  assert.deepEqual(sink.batches.map((batch) => batch.length), [1024]);
  const exchanges = sink.exchanges;
  for (const exchange of exchanges.slice(0, 512)) exchange.respond(textResponse(""));
  await turn();
  assert.ok(!stream.isReading);
  assert.deepEqual(sink.batches.map((batch) => batch.length), [1024]);
  exchanges[512]!.respond(textResponse(""));
  await turn();
  await turn();
  assert.deepEqual(sink.batches.map((batch) => batch.length), [1024, 100]);
  assert.ok(!stream.isReading);
  for (const exchange of exchanges.slice(513, 613)) exchange.respond(textResponse(""));
  await turn();
  assert.ok(stream.isReading);
});

Deno.test("Http1Session takes no more from one large read than its limit and a fragment", async () => {
  const { stream, sink, send, http } = setUp();
  const count = 10_000;
  send(get("/").repeat(count));
  http.inputEnded();
  let answered = 0;
  while (answered < count) {
    await turn();
    const { length } = sink.exchanges;
    const fragment = Math.ceil(16 * 1024 / get("/").length);
    assert.ok(length > answered && length - answered <= 1024 + fragment, `${length - answered} are waiting`);
    assert.ok(!stream.isEnded);
    for (const exchange of sink.exchanges.slice(answered)) exchange.respond(textResponse(""));
    answered = length;
  }
  await turn();
  assert.equal(stream.writes.join(""), answer("").repeat(count));
  assert.ok(stream.isEnded);
});

Deno.test("Http1Session stops reading and writing while the connection takes nothing more", async () => {
  const { stream, sink, send, http } = setUp();
  stream.isFull = true;
  send(get("/1") + get("/2"));
  await turn();
  sink.exchanges[0]!.respond(textResponse("one"));
  await turn();
  assert.ok(!stream.isReading);
  sink.exchanges[1]!.respond(textResponse("two"));
  await turn();
  assert.deepEqual(stream.writes, [answer("one")]);
  stream.isFull = false;
  http.drained();
  assert.deepEqual(stream.writes, [answer("one"), answer("two")]);
  assert.ok(stream.isReading);
});

Deno.test("Http1Session joins answers into one write up to a limit", async () => {
  const { stream, sink, send } = setUp();
  send(get("/").repeat(5));
  await turn();
  for (const exchange of sink.exchanges) exchange.respond(textResponse("x".repeat(400_000)));
  await turn();
  assert.deepEqual(stream.writes.map((written) => Math.floor(written.length / 400_000)), [3, 2]);
});

Deno.test("Http1Session: a request is answered once", async () => {
  const { sink, send } = setUp();
  send(get("/1"));
  await turn();
  sink.exchanges[0]!.respond(textResponse("one"));
  assert.throws(() => sink.exchanges[0]!.respond(textResponse("again")), { name: "AssertionFailed" });
});
