import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import * as net from "node:net";
import type * as tls from "node:tls";
import { teamData, teamTest } from "../tests/team_data.ts";
import type { RequestSink } from "./listener.ts";
import {
  derOf,
  echoing,
  eventually,
  listenTls,
  RawClient,
  RecordingSink,
  selfSigned,
  SMALL_LIMITS,
  textResponse,
} from "./listener_fixtures.ts";
import { TlsListener, type TlsListenerOptions } from "./tls_server.ts";

const identity = selfSigned("node");

function listen(sink: RequestSink, options: Partial<TlsListenerOptions> = {}): Promise<TlsListener> {
  return listenTls(sink, { identity, ...options });
}

/** Clients and a listener, all of them gone at the end of the test. */
async function withListener<Sink extends RequestSink>(
  sink: Sink,
  options: Partial<TlsListenerOptions>,
  test: (listener: TlsListener, connect: typeof RawClient.connect, sink: Sink) => Promise<void>,
): Promise<void> {
  const listener = await listen(sink, options);
  const clients: RawClient[] = [];
  const connect: typeof RawClient.connect = async (...args) => {
    const client = await RawClient.connect(...args);
    clients.push(client);
    return client;
  };
  try {
    await test(listener, connect, sink);
  } finally {
    for (const client of clients) client.close();
    await listener.stop();
  }
}

const get = (target: string) => `GET ${target} HTTP/1.1\r\n\r\n`;
const answer = (text: string) =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\ncontent-type: text/plain\r\n\r\n${text}`;

Deno.test("TlsListener passes on the DER of a client's certificate, whatever it is", async () => {
  await withListener(echoing(), {}, async ({ port }, connect, sink) => {
    const dayMs = 86_400_000;
    for (
      const client of [
        selfSigned("client"),
        selfSigned("client", { curve: "P-256" }),
        selfSigned("node"),
        selfSigned("client", { startMs: Date.now() - 10 * dayMs }),
        selfSigned("client", { startMs: Date.now() + 10 * dayMs }),
      ]
    ) {
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const raw = await connect(port, client, { minVersion: version, maxVersion: version });
        raw.send(get("/"));
        await raw.until(() => raw.received.endsWith("GET /: "));
        const { session } = sink.exchanges.at(-1)!;
        assert.deepEqual(session.callerCertificate, derOf(client));
        assert.equal(session.callerCertificate?.buffer.byteLength, derOf(client).length);
        assert.equal(session.interfaceName, "primary_rpc_interface");
      }
    }
    assert.equal(new Set(sink.opened.map(({ id }) => id)).size, 10);
  });
});

Deno.test("TlsListener serves a client that shows no certificate", async () => {
  await withListener(echoing(), {}, async ({ port }, connect, sink) => {
    const raw = await connect(port);
    raw.send(get("/"));
    await raw.until(() => raw.received === answer("GET /: "));
    assert.equal(sink.exchanges[0]?.session.callerCertificate, null);
  });
});

Deno.test("TlsListener keeps the certificate of a TLS session that is resumed", async () => {
  await withListener(echoing(), {}, async ({ port }, connect, sink) => {
    const client = selfSigned("client");
    let ticket: Buffer | undefined;
    const first = await connect(port, client, { maxVersion: "TLSv1.2" });
    (first.socket as tls.TLSSocket).on("session", (session: Buffer) => ticket = session);
    first.send(get("/1"));
    await first.until(() => first.received !== "");
    ticket ??= (first.socket as tls.TLSSocket).getSession();
    const second = await connect(port, client, { maxVersion: "TLSv1.2", ...(ticket ? { session: ticket } : {}) });
    second.send(get("/2"));
    await second.until(() => second.received !== "");
    assert.deepEqual(sink.exchanges.at(-1)?.session.callerCertificate, derOf(client));
  });
});

Deno.test("TlsListener does not speak TLS 1.1 or plain HTTP, and goes on", async () => {
  const errors: string[] = [];
  await withListener(echoing(), { onConnectionError: (message) => errors.push(message) }, async (listener, connect) => {
    const plain = await connect(listener.port, "unsecured");
    plain.send(get("/"));
    await plain.until(() => plain.isClosed);
    assert.doesNotMatch(plain.received, /HTTP/);
    // A ClientHello that offers TLS 1.1 and nothing newer.
    const old = await connect(listener.port, "unsecured");
    const hello = "0302" + "00".repeat(32) + "00" + "0004c009c02b" + "0100";
    const handshake = "01" + (hello.length / 2).toString(16).padStart(6, "0") + hello;
    old.send(
      Buffer.from("160301" + (handshake.length / 2).toString(16).padStart(4, "0") + handshake, "hex").toString(
        "latin1",
      ),
    );
    await old.until(() => old.isClosed);
    assert.equal(old.received.charCodeAt(0), 21, "an alert");
    await eventually(() => listener.counters.active === 0);
    assert.equal(errors.length, 2);
    const good = await connect(listener.port);
    good.send(get("/"));
    await good.until(() => good.received === answer("GET /: "));
  });
});

Deno.test("TlsListener serves clients whatever protocols they offer", async () => {
  await withListener(echoing(), {}, async ({ port }, connect) => {
    for (const ALPNProtocols of [["http/1.1"], ["h2", "http/1.1"], ["h2"]]) {
      const raw = await connect(port, undefined, { ALPNProtocols });
      raw.send(get("/"));
      await raw.until(() => raw.received === answer("GET /: "));
    }
  });
});

Deno.test("TlsListener answers pipelined requests in order, each connection its own", async () => {
  const sink = new RecordingSink();
  await withListener(sink, {}, async ({ port }, connect) => {
    const clients = await Promise.all([connect(port), connect(port), connect(port)]);
    clients.forEach((client, c) => {
      for (let i = 0; i < 50; i++) client.send(get(`/${c}/${i}`));
    });
    await eventually(() => sink.exchanges.length === 150);
    for (const exchange of sink.exchanges.reverse()) exchange.respond(textResponse(exchange.request.target));
    for (const [c, client] of clients.entries()) {
      const expected = Array.from({ length: 50 }, (_, i) => answer(`/${c}/${i}`)).join("");
      await client.until(() => client.received.length >= expected.length);
      assert.equal(client.received, expected);
    }
  });
});

Deno.test("TlsListener carries large bodies both ways", async () => {
  const limits = { ...SMALL_LIMITS, maxBodyBytes: 8_000_000 };
  const sink = new RecordingSink(({ request }) => ({ status: 200, headers: [], body: request.body }));
  await withListener(sink, { limits }, async ({ port }, connect) => {
    const raw = await connect(port);
    const body = Array.from({ length: 8_000_000 / 10 }, (_, i) => String(i).padStart(10, " ")).join("");
    raw.send(`POST / HTTP/1.1\r\ncontent-length: ${body.length}\r\n\r\n${body}` + get("/"));
    const expected =
      `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`;
    await raw.until(() => raw.received.length >= expected.length);
    assert.ok(raw.received === expected);
  });
});

Deno.test("TlsListener shows a renewed certificate to new connections, and old ones go on", async () => {
  await withListener(echoing(), {}, async (listener, connect) => {
    const shown = (client: RawClient) => new Uint8Array((client.socket as tls.TLSSocket).getPeerCertificate().raw);
    const before = await connect(listener.port);
    assert.deepEqual(shown(before), derOf(identity));
    const renewed = selfSigned("node");
    listener.setIdentity(renewed);
    const after = await connect(listener.port);
    assert.deepEqual(shown(after), derOf(renewed));
    for (const client of [before, after]) {
      client.send(get("/"));
      await client.until(() => client.received === answer("GET /: "));
    }
  });
});

Deno.test("TlsListener without a certificate closes connections before the handshake", async () => {
  await withListener(echoing(), { identity: null }, async (listener, connect) => {
    await assert.rejects(connect(listener.port));
    assert.equal(listener.counters.active, 0);
    listener.setIdentity(identity);
    const raw = await connect(listener.port);
    raw.send(get("/"));
    await raw.until(() => raw.received === answer("GET /: "));
  });
});

Deno.test("TlsListener on an unsecured interface speaks plain HTTP", async () => {
  await withListener(echoing(), { identity: "unsecured" }, async ({ port }, connect, sink) => {
    const raw = await connect(port, "unsecured");
    raw.send(get("/1") + get("/2"));
    await raw.until(() => raw.received === answer("GET /1: ") + answer("GET /2: "));
    assert.equal(sink.exchanges[0]?.session.callerCertificate, null);
  });
});

Deno.test("TlsListener answers 503 above the soft cap and hangs up above the hard one", async () => {
  const caps = { maxOpenSessionsSoft: 2, maxOpenSessionsHard: 4 };
  await withListener(echoing(), caps, async (listener, connect, sink) => {
    const { port, counters } = listener;
    const first = await connect(port);
    // Without a handshake it counts as well.
    const silent = await connect(port, "unsecured");
    await eventually(() => counters.active === 2);
    const over = await connect(port);
    const overToo = await connect(port);
    await assert.rejects(connect(port));
    assert.equal(counters.active, 4);

    over.send(get("/"));
    await over.until(() => over.isClosed);
    const body =
      '{"error":{"code":"SessionCapExhausted","message":"Service is currently busy and unable to serve new connections"}}';
    assert.equal(
      over.received,
      `HTTP/1.1 503 SERVICE_UNAVAILABLE\r\ncontent-length: ${body.length}\r\ncontent-type: application/json\r\n\r\n${body}`,
    );
    first.send(get("/"));
    await first.until(() => first.received === answer("GET /: "));
    assert.equal(sink.opened.length, 1);

    for (const client of [over, overToo, silent]) client.close();
    await eventually(() => counters.active === 1);
    const again = await connect(port);
    again.send(get("/again"));
    await again.until(() => again.received === answer("GET /again: "));
    assert.deepEqual(counters.snapshot(), {
      active: 2,
      peak: 4,
      soft_cap: 2,
      hard_cap: 4,
      errors: { parsing: 0, request_payload_too_large: 0, request_header_too_large: 0 },
    });
  });
});

Deno.test("TlsListener closes connections that are idle, shaken hands or not, and no others", async () => {
  await withListener(echoing(), { idleTimeoutMs: 1000 }, async (listener, connect, sink) => {
    const idle = await connect(listener.port);
    const silent = await connect(listener.port, "unsecured");
    const busy = await connect(listener.port);
    const timer = setInterval(() => busy.send("\r\n"), 50);
    try {
      await Promise.all([idle.until(() => idle.isClosed), silent.until(() => silent.isClosed)]);
      await eventually(() => listener.counters.active === 1);
      assert.ok(!busy.isClosed);
      assert.equal(sink.closed.length, 1);
    } finally {
      clearInterval(timer);
    }
    await busy.until(() => busy.isClosed);
  });
});

Deno.test("TlsListener delivers a refusal to a client that is still sending", async () => {
  await withListener(echoing(), {}, async (listener, connect) => {
    const raw = await connect(listener.port);
    raw.send(get("/") + "POST / HTTP/1.1\r\ncontent-length: 30000000\r\n\r\n");
    for (let i = 0; i < 20; i++) raw.send("x".repeat(500_000));
    await raw.until(() => raw.isClosed);
    assert.ok(raw.received.startsWith(answer("GET /: ") + "HTTP/1.1 413 PAYLOAD_TOO_LARGE\r\n"));
    assert.equal(listener.counters.errors.request_payload_too_large, 1);
    raw.close();
    await eventually(() => listener.counters.active === 0);
  });
});

Deno.test("TlsListener cuts a client that neither reads its refusal nor closes", async () => {
  await withListener(echoing(), { idleTimeoutMs: null }, async (listener, connect) => {
    const raw = await connect(listener.port);
    raw.socket.pause();
    raw.send("x");
    await eventually(() => listener.counters.errors.parsing === 1);
    assert.equal(listener.counters.active, 1);
    await eventually(() => listener.counters.active === 0);
  });
});

Deno.test("TlsListener answers a client that has ended its side", async () => {
  const sink = new RecordingSink();
  await withListener(sink, { identity: "unsecured" }, async (listener) => {
    const socket = net.connect({ port: listener.port, host: "127.0.0.1", allowHalfOpen: true });
    const raw = new RawClient(socket);
    try {
      socket.end(get("/1") + get("/2"));
      await eventually(() => sink.exchanges.length === 2);
      for (const { request, respond } of sink.exchanges) {
        assert.equal(typeof respond, "function");
        assert.equal(request.method, "GET");
      }
      for (const exchange of sink.exchanges) exchange.respond(textResponse(exchange.request.target));
      await raw.until(() => raw.isClosed);
      assert.equal(raw.received, answer("/1") + answer("/2"));
      await eventually(() => listener.counters.active === 0);
    } finally {
      socket.destroy();
    }
  });
});

for (const security of ["TLS", "unsecured"] as const) {
  Deno.test(`TlsListener (${security}) does not take in what a client sends while its requests wait`, async () => {
    const sink = new RecordingSink();
    const options: Partial<TlsListenerOptions> = security === "TLS" ? {} : { identity: "unsecured" };
    await withListener(sink, options, async ({ port }, connect) => {
      const raw = await connect(port, security === "TLS" ? undefined : "unsecured");
      const count = 5000;
      const request = `POST / HTTP/1.1\r\ncontent-length: 4000\r\n\r\n${"x".repeat(4000)}`;
      for (let i = 0; i < count; i++) raw.send(request);
      await eventually(() => sink.exchanges.length >= 1024);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const taken = sink.exchanges.length;
      assert.ok(taken < 1024 + 200, `${taken} requests were taken`);
      // Given answers, it goes on to the last of them.
      let answered = 0;
      while (answered < count) {
        const exchanges = sink.exchanges;
        for (; answered < exchanges.length; answered++) exchanges[answered]!.respond(textResponse(""));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await raw.until(() => raw.received.length === count * answer("").length);
    });
  });
}

Deno.test("TlsListener does not fill the memory with answers that a client does not read", async () => {
  const body = "x".repeat(20_000);
  let answered = 0;
  const sink = new RecordingSink(() => {
    answered++;
    return textResponse(body);
  });
  await withListener(sink, {}, async ({ port }, connect) => {
    const tcp = net.connect(port, "127.0.0.1");
    const raw = await connect(port, undefined, { socket: tcp });
    // A client that does not read. Pausing the TLS socket would not do it here either.
    const handle = (tcp as unknown as { _handle: { readStop(): void; readStart(): void } })._handle;
    handle.readStop();
    for (let i = 0; i < 20_000; i++) raw.send(get("/"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(answered < 4096, `${answered} answers of 20 kB were made`);
    handle.readStart();
    await raw.until(() => answered === 20_000 && raw.received.length === 20_000 * answer(body).length);
  });
});

Deno.test("TlsListener.stop() answers what is waiting, closes the rest, and frees the port", async () => {
  const sink = new RecordingSink();
  const listener = await listen(sink);
  const { port } = listener;
  const waiting = await RawClient.connect(port);
  const idle = await RawClient.connect(port);
  waiting.send(get("/1"));
  await eventually(() => sink.exchanges.length === 1);
  const stopped = listener.stop();
  assert.equal(listener.stop(), stopped);
  await idle.until(() => idle.isClosed);
  sink.exchanges[0]!.respond(textResponse("one"));
  await waiting.until(() => waiting.isClosed);
  assert.equal(waiting.received, answer("one"));
  await stopped;
  assert.equal(listener.counters.active, 0);
  await eventually(() => sink.closed.length === 2);
  await assert.rejects(RawClient.connect(port));
  for (const client of [waiting, idle]) client.close();
});

Deno.test("TlsListener.listen() says why it cannot listen", async () => {
  await withListener(echoing(), {}, async ({ port }) => {
    await assert.rejects(listen(echoing(), { port }), { message: new RegExp(`^Cannot listen on 127.0.0.1:${port}: `) });
  });
});

interface Recorded {
  readonly note: string;
  readonly sentLatin1: string | null;
  readonly responses: readonly {
    readonly status: number;
    readonly reason: string;
    readonly headers: readonly [string, string][];
    readonly body?: string;
  }[];
  readonly serverClosed: boolean;
}

teamTest("TlsListener writes what a CCF node wrote, given the same answers", async () => {
  const lines = Deno.readTextFileSync(teamData("ccf/transcripts/one_node_raw.jsonl")).trim().split("\n");
  let left: Recorded["responses"][number][] = [];
  const sink = new RecordingSink(() => {
    const { status, headers, body } = left.shift()!;
    return textResponse(body!, { status, headers });
  });
  await withListener(sink, {}, async ({ port }, connect) => {
    for (const line of lines) {
      const { note, sentLatin1, responses, serverClosed } = JSON.parse(line) as Recorded;
      if (sentLatin1 === null) continue;
      left = [...responses];
      const expected = responses.map(({ status, reason, headers, body }) =>
        `HTTP/1.1 ${status} ${reason}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`
      ).join("");
      const raw = await connect(port);
      raw.send(sentLatin1);
      await raw.until(() => raw.received.length >= expected.length);
      assert.equal(raw.received, expected, note);
      if (serverClosed) await raw.until(() => raw.isClosed);
      else assert.ok(!raw.isClosed, note);
    }
  });
});
