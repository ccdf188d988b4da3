import { strict as assert } from "node:assert";
import * as net from "node:net";
import * as tls from "node:tls";
import { fromUtf8, toUtf8 } from "../shared/bytes.ts";
import { makeTlsService } from "../tests/tls_service.ts";
import type { HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { derOf, listenTls, RecordingSink, selfSigned, textResponse } from "./listener_fixtures.ts";
import { type OutboundRequest, request } from "./outbound_http.ts";

const service = makeTlsService("Service");
/** Another service of the same name. */
const impostor = makeTlsService("Service");
const client = selfSigned("node");

const GET: HttpRequest = { method: "GET", target: "/node/state", headers: [], body: new Uint8Array() };

function ask(port: number, more: Partial<OutboundRequest> = {}): Promise<HttpResponse> {
  return request({
    address: `127.0.0.1:${port}`,
    servicePem: service.service,
    clientCertificatePem: client.certificateChainPem,
    clientKeyPem: client.privateKeyPem,
    request: GET,
    timeoutMs: 30_000,
    maxBodyBytes: 1000,
    ...more,
  });
}

interface RawServer extends AsyncDisposable {
  readonly port: number;
  readonly received: string[];
}

/** Answers the first bytes of each connection with this text, and ends the connection; null: never answers. */
async function serve(answer: string | null, identity: Partial<typeof service> | "plain" = {}): Promise<RawServer> {
  const received: string[] = [];
  const sockets = new Set<net.Socket>();
  const onSocket = (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", (bytes) => {
      received.push(bytes.toString("latin1"));
      if (answer === "") socket.destroy();
      else if (answer !== null) socket.end(answer, "latin1");
    });
  };
  const { certificate: cert, key } = { ...service, ...identity as Partial<typeof service> };
  const server = identity === "plain" ? net.createServer(onSocket) : tls.createServer({ cert, key }, onSocket);
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    received,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

Deno.test("request() shows this node's certificate to a listener of ours, and hands on its answer", async () => {
  const sink = new RecordingSink(({ request }) => {
    const echoed = [request.method, request.target, request.headers.find(([name]) => name === "x-a")?.[1]];
    return textResponse(`${echoed.join(" ")} ${fromUtf8(request.body)}`, {
      status: 308,
      headers: [["location", "https://elsewhere"], ["content-type", "text/plain"]],
    });
  });
  const listener = await listenTls(sink, {
    identity: { certificateChainPem: service.certificate, privateKeyPem: service.key },
  });
  try {
    const response = await ask(listener.port, {
      request: { method: "POST", target: "/node/join?a=1", headers: [["x-a", "b"]], body: toUtf8("{}") },
    });
    assert.deepEqual(sink.opened[0]!.callerCertificate, derOf(client));
    assert.equal(response.status, 308);
    assert.equal(response.headers.find(([name]) => name === "location")?.[1], "https://elsewhere");
    assert.ok(!response.headers.some(([name]) => name === "content-length"));
    assert.equal(fromUtf8(response.body), "POST /node/join?a=1 b {}");
  } finally {
    await listener.stop();
  }
});

Deno.test("request() says how it asks, and takes each form of body", async () => {
  const answers: [string, HttpResponse][] = [
    ["HTTP/1.1 200 OK\r\nX-B: \xe9\r\nContent-Length: 2\r\nA: 1\r\n\r\nok", {
      status: 200,
      headers: [["a", "1"], ["x-b", "\xe9"]],
      body: toUtf8("ok"),
    }],
    ["HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", {
      status: 404,
      headers: [],
      body: toUtf8("ok"),
    }],
    ["HTTP/1.1 503 No\r\n\r\nok", { status: 503, headers: [], body: toUtf8("ok") }],
  ];
  for (const [answer, expected] of answers) {
    await using server = await serve(answer);
    assert.deepEqual(await ask(server.port), expected);
    assert.equal(
      server.received[0],
      `GET /node/state HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\nConnection: close\r\n\r\n`,
    );
  }
});

Deno.test("request() trusts what the service certificate issued, under whatever address, and nothing else", async () => {
  await using server = await serve("HTTP/1.1 204 OK\r\n\r\n");
  assert.equal((await ask(server.port)).status, 204);
  // The certificate names 127.0.0.1 alone.
  assert.equal((await ask(server.port, { address: `localhost:${server.port}` })).status, 204);

  const untrusted = /^Cannot ask (127\.0\.0\.1|localhost):\d+: its certificate is not one of the service \(/;
  await using other = await serve("HTTP/1.1 204 OK\r\n\r\n", impostor);
  const withChain = { certificate: impostor.certificate + impostor.service, key: impostor.key };
  await using chained = await serve("HTTP/1.1 204 OK\r\n\r\n", withChain);
  const own = selfSigned("node");
  await using self = await serve("HTTP/1.1 204 OK\r\n\r\n", {
    certificate: own.certificateChainPem,
    key: own.privateKeyPem,
  });
  for (const { port, received } of [other, chained, self]) {
    await assert.rejects(ask(port), { name: "OutboundFailure", message: untrusted });
    await assert.rejects(ask(port, { address: `localhost:${port}` }), { message: untrusted });
    // Nothing was said to it.
    assert.deepEqual(received, []);
  }
  await assert.rejects(ask(server.port, { servicePem: impostor.service }), { message: untrusted });
});

Deno.test("request() tells failures apart: name, connection, TLS, HTTP, time, length", async () => {
  await using plain = await serve("HTTP/1.1 400 Bad Request\r\n\r\n", "plain");
  await using ssh = await serve("SSH-2.0-OpenSSH\r\n\r\n");
  await using gone = await serve("");
  await using cut = await serve("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
  await using long = await serve("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
  await using longer = await serve(`HTTP/1.1 200 OK\r\n\r\n${"x".repeat(1001)}`);
  await using silent = await serve(null);
  await using deaf = await serve(null, "plain");
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closedPort = closed.addr.port;
  closed.close();
  const failures: [() => Promise<HttpResponse>, RegExp][] = [
    [() => ask(1, { address: "no-such-host.invalid:8000" }), /: no host has that name/],
    [() => ask(closedPort), /: nothing listens there; is the node running\?$/],
    [() => ask(plain.port), /: the TLS handshake fails: /],
    [() => ask(ssh.port), /: it does not answer in HTTP\/1\.1: /],
    [() => ask(gone.port), /: the connection is lost before it answers: /],
    [() => ask(cut.port), /: the connection is lost before the end of the answer$/],
    [() => ask(long.port), /: the answer has 1001 bytes, of 1000 at most$/],
    [() => ask(longer.port), /: the answer has more than 1000 bytes$/],
    [() => ask(silent.port, { timeoutMs: 1000 }), /: the answer takes more than 1000 ms$/],
    [() => ask(deaf.port, { timeoutMs: 1000 }), /: the TLS handshake takes more than 1000 ms$/],
    [() => ask(1, { address: "nowhere" }), /Cannot read "nowhere" as an address/],
    [() => ask(1, { address: "127.0.0.1:0" }), /: port 0 is none to connect to$/],
    [() => ask(ssh.port, { servicePem: "none" }), /: the service certificate is no certificate in PEM$/],
    [() => ask(ssh.port, { request: { ...GET, target: "/a b\r\nX: y" } }), /unescaped/],
    [() => ask(ssh.port, { request: { ...GET, headers: [["x", "a\r\nb: c"]] } }), /^Cannot ask 127/],
  ];
  for (const [failure, message] of failures) {
    await assert.rejects(failure(), { name: "OutboundFailure", message });
  }
  assert.deepEqual(ssh.received.length, 1);
});
