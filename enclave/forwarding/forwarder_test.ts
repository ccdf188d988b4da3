import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHex, fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import {
  CHANNEL_LOG_WINDOW_MS,
  FORWARDED_GRACE_MS,
  MAX_CHANNEL_LOG_LINES,
  MAX_FORWARDED_BYTES,
  MAX_FORWARDED_REQUESTS,
  MAX_FORWARDED_SESSIONS,
  MAX_HELD_ANSWER_CHARACTERS,
} from "../../shared/limits.ts";
import { mutated } from "../../tests/mutations.ts";
import type { Session } from "../frontend/session.ts";
import type { HttpRequest, HttpResponse } from "../messages.ts";
import { type ForwardedRequest, Forwarder } from "./forwarder.ts";

const GET: HttpRequest = { method: "GET", target: "/app/log", headers: [], body: new Uint8Array() };
const OK: HttpResponse = { status: 200, headers: [["content-type", "text/plain"]], body: toUtf8("fine") };

interface Message {
  readonly from: string;
  readonly to: string;
  readonly header: Uint8Array;
  readonly content: Uint8Array;
}

/** Two nodes, and the messages between them until they are delivered. */
class Pair {
  readonly messages: Message[] = [];
  readonly answers: { readonly session: number; readonly id: number; readonly response: HttpResponse }[] = [];
  readonly ran: { readonly session: Session; readonly request: HttpRequest }[] = [];
  readonly logs: string[] = [];
  takesMessages = true;
  run: (session: Session, request: HttpRequest) => HttpResponse = () => OK;
  readonly backup = this.#node("backup");
  readonly primary = this.#node("primary");

  #node(name: string): Forwarder {
    return new Forwarder({
      send: (to, header, content) => {
        if (this.takesMessages) this.messages.push({ from: name, to, header, content });
        return this.takesMessages;
      },
      respond: (session, id, response) => void this.answers.push({ session, id, response }),
      run: (session, request) => {
        this.ran.push({ session, request });
        return this.run(session, request);
      },
      log: (_level, message) => void this.logs.push(message),
    });
  }

  forward(change: Partial<ForwardedRequest> = {}, nowMs = 0): HttpResponse | undefined {
    return this.backup.forward({
      to: "primary",
      session: 5,
      id: 9,
      view: 2,
      certificate: null,
      request: GET,
      timeoutMs: 3000,
      held: 0,
      complete: (response) => response,
      ...change,
    }, nowMs);
  }

  /** Delivers what is under way, and what that leads to. */
  deliver(): void {
    for (let message = this.messages.shift(); message !== undefined; message = this.messages.shift()) {
      const { from, to, header, content } = message;
      (to === "primary" ? this.primary : this.backup).receive(from, header, content, 0);
    }
  }
}

function errorOf({ body }: HttpResponse): string {
  const { error } = JSON.parse(fromUtf8(body));
  return `${error.code} ${error.message}`;
}

Deno.test("a request runs on the other node, and its answer comes back to the session that asked", () => {
  const pair = new Pair();
  assert.equal(pair.forward({ certificate: fromHex("3000"), view: 7 }), undefined);
  pair.deliver();
  assert.deepEqual(pair.answers, [{ session: 5, id: 9, response: OK }]);
  const [{ session, request }] = pair.ran as [typeof pair.ran[0]];
  assert.deepEqual(request, GET);
  assert.equal(session.isForwarded, true);
  assert.equal(session.view, 7);
  assert.deepEqual(session.certificate, fromHex("3000"));
  assert.equal(pair.backup.pendingCount, 0);
});

Deno.test("answers find their requests in whatever order they come", () => {
  const pair = new Pair();
  pair.run = (_, { target }) => ({ ...OK, body: toUtf8(target) });
  for (let id = 0; id < 4; id++) pair.forward({ id, session: id % 2, request: { ...GET, target: `/${id}` } });
  const commands = pair.messages.splice(0).reverse();
  pair.messages.push(...commands);
  pair.deliver();
  assert.deepEqual(pair.answers.map(({ session, id, response }) => [session, id, fromUtf8(response.body)]), [
    [1, 3, "/3"],
    [0, 2, "/2"],
    [1, 1, "/1"],
    [0, 0, "/0"],
  ]);
});

Deno.test("a session that is over on the other node is closed here", () => {
  const pair = new Pair();
  pair.run = () => ({ ...OK, close: true });
  pair.forward();
  pair.deliver();
  assert.equal(pair.answers[0]!.response.close, true);
});

Deno.test("without an answer in time the client is told so, and a late one is ignored", () => {
  const pair = new Pair();
  pair.forward({ timeoutMs: 3000 }, 1000);
  pair.forward({ id: 10, timeoutMs: 500 }, 1000);
  pair.backup.tick(1499);
  assert.equal(pair.answers.length, 0);
  pair.backup.tick(1500);
  assert.deepEqual(pair.answers.map(({ id }) => id), [10]);
  pair.backup.tick(3999);
  assert.equal(pair.answers.length, 1);
  pair.backup.tick(4000);
  const { id, response } = pair.answers[1]!;
  assert.deepEqual([id, response.status, response.headers], [9, 504, [["content-type", "text/plain"]]]);
  assert.equal(
    fromUtf8(response.body),
    "Request was forwarded to node primary, but no response was received after 3000ms",
  );
  pair.deliver();
  pair.backup.tick(10_000);
  assert.equal(pair.ran.length, 2, "it runs all the same: nobody can know");
  assert.equal(pair.answers.length, 2);
});

Deno.test("when another node is primary, those who wait for the one before are told soon, and may ask again", () => {
  const pair = new Pair();
  pair.forward({ id: 1 }, 1000);
  pair.forward({ id: 2, timeoutMs: 50 }, 1000);
  pair.forward({ id: 3, to: "next" }, 1000);
  const answered = () =>
    pair.answers.splice(0).map(({ id, response }) => [id, response.status, fromUtf8(response.body)]);
  const told = "Request was forwarded to node primary, but no response was received ";
  const unknown = `${told}before another node became primary; whether it was executed is not known`;
  pair.backup.leaderChanged("next", 1010);
  pair.backup.tick(1050);
  assert.deepEqual(answered(), [[2, 504, unknown]]);
  pair.backup.leaderChanged("next", 1060);
  pair.backup.tick(1009 + FORWARDED_GRACE_MS);
  assert.deepEqual(answered(), []);
  pair.backup.tick(1010 + FORWARDED_GRACE_MS);
  assert.deepEqual(answered(), [[1, 504, unknown]]);
  // Whom the new primary answers, and who asked after the change, wait as ever.
  pair.forward({ id: 4 }, 2000);
  pair.backup.tick(3999);
  assert.deepEqual(answered(), []);
  pair.backup.tick(5000);
  assert.deepEqual(answered(), [[3, 504, `${told.replace("primary", "next")}after 3000ms`], [
    4,
    504,
    `${told}after 3000ms`,
  ]]);
});

Deno.test("a primary that is deposed, and lives, answers what it was sent", () => {
  const pair = new Pair();
  pair.forward();
  pair.backup.leaderChanged("next", 0);
  pair.deliver();
  assert.deepEqual(pair.answers, [{ session: 5, id: 9, response: OK }]);
  pair.backup.tick(FORWARDED_GRACE_MS);
  assert.equal(pair.answers.length, 1);
  assert.equal(pair.backup.pendingCount, 0);
});

Deno.test("an answer is taken from the node that was asked, for the session that asked", () => {
  const pair = new Pair();
  pair.forward();
  const [command] = pair.messages.splice(0);
  pair.primary.receive("backup", command!.header, command!.content, 0);
  const [answer] = pair.messages.splice(0);
  pair.backup.receive("another", answer!.header, answer!.content, 0);
  const otherSession = answer!.content.slice();
  otherSession[0] = 6;
  pair.backup.receive("primary", answer!.header, otherSession, 0);
  assert.equal(pair.answers.length, 0);
  assert.equal(pair.logs.length, 2);
  assert.match(pair.logs[0]!, /^Cannot use a forwarded message of node another: it answers command 0, which was not/);
  pair.backup.receive("primary", answer!.header, answer!.content, 0);
  assert.equal(pair.answers.length, 1);
  pair.backup.receive("primary", answer!.header, answer!.content, 0);
  assert.equal(pair.answers.length, 1, "a request is answered once");
});

Deno.test("an answer that cannot be read leaves the client waiting for its time to be over", () => {
  const pair = new Pair();
  pair.forward();
  const [command] = pair.messages.splice(0);
  pair.primary.receive("backup", command!.header, command!.content, 0);
  const [answer] = pair.messages.splice(0);
  pair.backup.receive("primary", answer!.header, answer!.content.slice(0, -1), 0);
  assert.equal(pair.answers.length, 0);
  pair.backup.tick(3000);
  assert.equal(pair.answers[0]!.response.status, 504);
});

Deno.test("where the channel takes no more, the client is told at once", () => {
  const pair = new Pair();
  pair.takesMessages = false;
  const refusal = pair.forward();
  assert.equal(refusal?.status, 503);
  assert.equal(errorOf(refusal!), "InternalError Unable to establish channel to forward to primary.");
  assert.equal(pair.backup.pendingCount, 0);
});

Deno.test("a request that no message can carry is the client's mistake", () => {
  const pair = new Pair();
  const refusal = pair.forward({ request: { ...GET, target: "/a b" } });
  assert.equal(refusal?.status, 400);
  assert.match(errorOf(refusal!), /^InvalidInput Cannot write an HTTP request/);
  assert.equal(pair.messages.length, 0);
});

Deno.test("a response that no message can carry, and a file, become a 500", () => {
  const pair = new Pair();
  pair.run = () => ({ ...OK, headers: [["x", "y\r\nz: w"]] });
  pair.forward();
  pair.deliver();
  pair.run = () => ({ ...OK, fromHost: { kind: "entries", from: 1, to: 1 } });
  pair.forward();
  pair.deliver();
  assert.deepEqual(pair.answers.map(({ response }) => response.status), [500, 500]);
  assert.match(
    errorOf(pair.answers[0]!.response),
    /^InternalError Cannot write an HTTP message: the value of header x/,
  );
  assert.match(errorOf(pair.answers[1]!.response), /^InternalError .*Files are read on the node that is asked/);
});

Deno.test("what is too large for a message between nodes is refused by the node that has it", () => {
  const pair = new Pair();
  const tooLarge = pair.forward({ request: { ...GET, body: new Uint8Array(MAX_FORWARDED_BYTES) } });
  assert.equal(tooLarge?.status, 413);
  assert.match(errorOf(tooLarge!), /^RequestBodyTooLarge A request of more than 33554432 bytes/);
  pair.run = () => ({ ...OK, body: new Uint8Array(MAX_FORWARDED_BYTES) });
  pair.forward();
  pair.deliver();
  assert.match(errorOf(pair.answers[0]!.response), /^InternalError A response of more than 33554432 bytes/);
});

Deno.test("only so many requests wait for another node", () => {
  const pair = new Pair();
  for (let id = 0; id < MAX_FORWARDED_REQUESTS; id++) assert.equal(pair.forward({ id }), undefined);
  assert.equal(pair.forward()?.status, 503);
  pair.backup.tick(3000);
  assert.equal(pair.answers.length, MAX_FORWARDED_REQUESTS);
  assert.equal(pair.forward({}, 3000), undefined);
});

Deno.test("only so much of batches waits for the rest of them", () => {
  const pair = new Pair();
  const half = { held: MAX_HELD_ANSWER_CHARACTERS / 2 };
  assert.equal(pair.forward(half), undefined);
  assert.equal(pair.forward(half), undefined);
  assert.equal(pair.forward({ held: 1 })?.status, 503);
  assert.equal(pair.forward(), undefined);
  pair.deliver();
  assert.equal(pair.forward({ held: MAX_HELD_ANSWER_CHARACTERS }), undefined, "those that are answered hold nothing");
  pair.backup.tick(3000);
  pair.takesMessages = false;
  assert.equal(pair.forward(half, 3000)?.status, 503);
  pair.takesMessages = true;
  assert.equal(pair.forward({ held: MAX_HELD_ANSWER_CHARACTERS }, 3000), undefined);
});

Deno.test("the certificate of a session is taken apart once, and never for another's", () => {
  const pair = new Pair();
  const one = fromHex("3000");
  const other = fromHex("3001");
  for (const [session, certificate] of [[1, one], [1, one], [1, other], [1, null], [1, null], [2, null]] as const) {
    pair.forward({ session, certificate });
  }
  pair.deliver();
  const sessions = pair.ran.map(({ session }) => session);
  assert.deepEqual(sessions.map(({ certificate }) => certificate), [one, one, other, null, null, null]);
  assert.equal(sessions[0], sessions[1]);
  assert.equal(sessions[3], sessions[4]);
  assert.equal(new Set(sessions).size, 4);
  // A node that has ever new sessions does not fill the memory: the first is forgotten.
  for (let session = 3; session < MAX_FORWARDED_SESSIONS + 3; session++) pair.forward({ session });
  pair.forward({ session: 2 });
  pair.deliver();
  assert.notEqual(pair.ran.at(-1)!.session, sessions[5]);
});

Deno.test("a node that sends nonsense for ever has nothing run and does not fill the log", () => {
  const pair = new Pair();
  pair.forward({ certificate: fromHex("3000") });
  const [command] = pair.messages.splice(0);
  const { header, content } = command!;
  fc.assert(fc.property(mutated(header), mutated(content), (badHeader, badContent) => {
    const before = pair.ran.length;
    pair.primary.receive("backup", badHeader, badContent, 0);
    pair.primary.receive("backup", fromHex("0300000000000000"), badContent, 0);
    for (const { request } of pair.ran.slice(before)) assert.match(request.method, /^[!-~]+$/);
  }));
  assert.equal(pair.logs.length, MAX_CHANNEL_LOG_LINES);
  pair.primary.tick(CHANNEL_LOG_WINDOW_MS);
  assert.match(pair.logs.at(-1)!, /^[0-9]+ more lines/);
});
