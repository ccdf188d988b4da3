import { strict as assert } from "node:assert";
import * as net from "node:net";
import { toHex, toUtf8 } from "../shared/bytes.ts";
import { nodeIdOf } from "../shared/crypto/identifiers.ts";
import { parseCertificatePem, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_RELAY_CONNECTIONS_EACH, MAX_RELAY_REQUESTS } from "../shared/limits.ts";
import { makeTlsService } from "../tests/tls_service.ts";
import { RELAY_PEER_HEADER } from "./console_relay.ts";
import { type Answer, answered, COMMIT, problemOf, serve, service, TestRelay } from "../tests/relay_fixtures.ts";
import { eventually } from "./listener_fixtures.ts";

/** Another service of the same name. */
const impostor = makeTlsService("Service");
const expired = makeTlsService("Service", -3);
const coming = makeTlsService("Service", 3);
const nodeId = nodeIdOf(parseCertificatePem(service.certificate).spki);

Deno.test("a request reaches the node with the headers that matter, and so does the answer the page", async () => {
  await using node = await serve(
    answered(
      "whole",
      "content-type: text/html",
      "x-ms-ccf-transaction-id: 2.7",
      "retry-after: 3",
      "content-range: bytes 0-4/9",
      "x-quorate-ledger-next: 8",
      `${RELAY_PEER_HEADER}: forged`,
      "x-quorate-relay-other: forged",
      "set-cookie: a=b",
      "access-control-allow-origin: *",
    ),
  );
  await using relay = new TestRelay(node.port);
  const response = await relay.ask("/relay/node/app/log?id=%2e%2E&x=a%20b", {
    method: "POST",
    body: "the body",
    headers: {
      "content-type": "application/cose",
      authorization: "Bearer x",
      cookie: "a=b",
      "x-other": "y",
    },
  });
  const [head, body] = node.received.join("").split("\r\n\r\n") as [string, string];
  assert.equal(body, "the body");
  assert.equal(head.split("\r\n")[0], "POST /app/log?id=%2e%2E&x=a%20b HTTP/1.1");
  assert.match(head, new RegExp(`^host: 127\\.0\\.0\\.1:${node.port}$`, "mi"));
  assert.match(head, /^content-type: application\/cose$/mi);
  assert.match(head, /^authorization: Bearer x$/mi);
  assert.match(head, /^content-length: 8$/mi);
  assert.doesNotMatch(head, /cookie|x-other|token|origin|referer|sec-fetch/i);
  assert.equal(await response.text(), "whole");
  const { date: _, vary: __, ...headers } = Object.fromEntries(response.headers);
  assert.deepEqual(headers, {
    "cache-control": "no-store",
    "content-range": "bytes 0-4/9",
    // Whatever it is, it is no page of this origin.
    "content-security-policy": "default-src 'none'; sandbox",
    "content-type": "text/html",
    "cross-origin-resource-policy": "same-origin",
    "retry-after": "3",
    "transfer-encoding": "chunked",
    "x-content-type-options": "nosniff",
    "x-ms-ccf-transaction-id": "2.7",
    "x-quorate-ledger-next": "8",
    [RELAY_PEER_HEADER]: nodeId,
  });
});

Deno.test("redirections lead through the relay again, and to other nodes of the service", async () => {
  await using primary = await serve(answered("of the primary"));
  await using node = await serve((request) => {
    const location = request.includes("GET /there")
      ? `https://127.0.0.1:${primary.port}/gov/x?y=1`
      : request.includes("GET /self")
      ? `https://127.0.0.1:${node.port}/other`
      : "/sibling";
    return `HTTP/1.1 307 Temporary Redirect\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n`;
  });
  await using relay = new TestRelay(node.port);
  const locationOf = async (path: string) => {
    const response = await relay.ask(path);
    await response.body?.cancel();
    return response.headers.get("location");
  };
  assert.equal(await locationOf("/relay/node/there"), `/relay/to/127.0.0.1:${primary.port}/gov/x?y=1`);
  assert.equal(await locationOf("/relay/node/self"), "/relay/node/other");
  assert.equal(await locationOf("/relay/node/x"), "/relay/node/sibling");
  assert.equal(await locationOf(`/relay/to/localhost:${node.port}/x`), `/relay/to/localhost:${node.port}/sibling`);
  const followed = await relay.ask("/relay/node/there", { redirect: "follow" });
  assert.equal(await followed.text(), "of the primary");
  assert.match(primary.received[0]!, /^GET \/gov\/x\?y=1 HTTP/);
});

Deno.test("another node must be of the pinned service, and a relay that pins nothing speaks to one node alone", async () => {
  await using node = await serve(COMMIT);
  await using stranger = await serve(COMMIT, impostor);
  await using pinned = new TestRelay(node.port);
  const other = `/relay/to/127.0.0.1:${stranger.port}/x`;
  assert.equal(await pinned.problem(other), "502 tls CertificateNotOfService");
  assert.deepEqual(stranger.received, [], "it was told nothing");
  assert.equal(await pinned.problem("/relay/to/nonsense/x"), "400 relay AddressInvalid");
  assert.equal(await pinned.problem("/relay/to/127.0.0.1:99999/x"), "400 relay AddressInvalid");
  await using unpinned = new TestRelay(node.port, { servicePem: undefined });
  assert.equal(await unpinned.problem(other), "403 relay RelayNotPinned");
  assert.deepEqual(stranger.received, []);
});

Deno.test("GET /relay/peer gives the certificate whose key ended a connection that was used", async () => {
  await using node = await serve(COMMIT);
  await using relay = new TestRelay(node.port);
  const peer = await (await relay.ask("/relay/peer")).json();
  assert.deepEqual(peer, {
    node_url: `https://127.0.0.1:${node.port}`,
    pinned: true,
    certificate: serialiseCertificatePem(parseCertificatePem(service.certificate).der),
    node_id: nodeId,
    tls: { protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" },
    service_certificate: service.service,
    named_service_certificate: null,
  });
  assert.match(node.received[0]!, /^GET \/node\/commit HTTP/);
});

const network = (pem: string) => answered(JSON.stringify({ service_certificate: pem }));

Deno.test("without a service certificate the node is held to the service that it first named, and the page is told", async () => {
  await using node = await serve((request) =>
    request.startsWith("GET /node/network") ? network(service.service) : COMMIT
  );
  await using relay = new TestRelay(node.port, { servicePem: undefined });
  const peer = await (await relay.ask("/relay/peer")).json();
  assert.deepEqual(
    [peer.pinned, peer.service_certificate, peer.named_service_certificate, peer.node_id],
    [false, null, service.service, nodeId],
  );
  await (await relay.ask("/relay/node/node/commit")).text();
  assert.equal(node.received.filter((request) => request.startsWith("GET /node/network")).length, 1);
});

Deno.test("a node that names a service which did not issue its certificate is told nothing more", async () => {
  await using node = await serve(network(impostor.service));
  await using relay = new TestRelay(node.port, { servicePem: undefined });
  assert.equal(await relay.problem("/relay/node/app/secret"), "502 tls CertificateNotOfService");
  assert.ok(!node.received.some((request) => request.includes("secret")));
});

Deno.test("who answers in the place of a node of the pinned service is refused, and the page hears whom it names", async () => {
  await using node = await serve(network(impostor.service), impostor);
  await using relay = new TestRelay(node.port);
  const response = await relay.ask("/relay/peer");
  const { named_service_certificate } = await response.clone().json();
  assert.equal(named_service_certificate, impostor.service);
  assert.equal(await problemOf(response), "502 tls CertificateNotOfService");
  assert.equal(await relay.problem("/relay/node/app/secret"), "502 tls CertificateNotOfService");
  assert.ok(!node.received.some((request) => request.includes("secret")));
});

Deno.test("every way in which there is no answer has a stage and a code of its own", async () => {
  const cases: readonly [string, Answer, (Partial<typeof service> | "plain")?][] = [
    ["502 tls CertificateNotValidNow", COMMIT, expired],
    ["502 tls CertificateNotValidNow", COMMIT, coming],
    ["502 tls CertificateNotOfService", COMMIT, impostor],
    ["502 tls TlsFailed", "hello there\n", "plain"],
    ["502 tls TlsTimeout", null, "plain"],
    ["502 http AnswerTimeout", null],
    ["502 http NoHttp", "hello there\r\n\r\n"],
    ["502 http ConnectionLost", (_, socket) => (socket.destroy(), null)],
    ["502 http AnswerTooLarge", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"],
  ];
  for (const [expected, answer, identity] of cases) {
    await using node = await serve(answer, identity);
    const servicePem = identity === expired || identity === coming ? identity.service : service.service;
    await using relay = new TestRelay(node.port, { servicePem });
    assert.equal(await relay.problem("/relay/node/node/commit"), expected);
  }
  await using refusing = new TestRelay(1);
  assert.equal(await refusing.problem("/relay/peer"), "502 tcp ConnectionRefused");
  await using nameless = new TestRelay(1, { nodeUrl: new URL("https://no-such-host.invalid:1") });
  assert.equal(await nameless.problem("/relay/peer"), "502 dns NameNotFound");
  await using page = await serve(answered("<html>"));
  await using unpinned = new TestRelay(page.port, { servicePem: undefined });
  assert.equal(await unpinned.problem("/relay/peer"), "502 http NotANode");
});

Deno.test("an answer comes through piece by piece, and breaks off where the node does not go on", async () => {
  let begun = Promise.withResolvers<net.Socket>();
  await using node = await serve((_, socket) => {
    begun.resolve(socket);
    return "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none";
  });
  await using relay = new TestRelay(node.port);
  const pieces = async (finish: (socket: net.Socket) => void, asked = relay) => {
    begun = Promise.withResolvers();
    const response = await asked.ask("/relay/node/x");
    const reader = response.body!.getReader();
    assert.equal(toHex((await reader.read()).value!), toHex(toUtf8("one")), "before the rest is there");
    finish(await begun.promise);
    let rest = 0;
    for (let read = await reader.read(); !read.done; read = await reader.read()) rest += read.value.length;
    return rest;
  };
  assert.equal(await pieces((socket) => socket.write("twotri")), 6);
  await assert.rejects(pieces(() => {}));
  // It is not waited for longer than the connection lasts.
  await using patient = new TestRelay(node.port, { patience: { connectMs: 60_000, answerMs: 600_000 } });
  await assert.rejects(pieces((socket) => socket.destroy(), patient));
});

Deno.test("connections are kept from one request to the next, and answers that nobody reads make room", async () => {
  await using node = await serve((request) =>
    request.includes(" /endless ") ? "HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\nx" : COMMIT
  );
  await using relay = new TestRelay(node.port);
  for (let i = 0; i < 10; i++) await (await relay.ask("/relay/node/x")).text();
  assert.equal(node.connections(), 1);
  for (let i = 0; i < 2 * MAX_RELAY_REQUESTS; i++) {
    const answer = await relay.ask("/relay/node/endless");
    assert.equal(answer.status, 200, `${i}`);
    await answer.body!.cancel();
  }
});

Deno.test("a connection that the node has ended is not used again, and nothing is sent twice that may change something", async () => {
  await using node = await serve((request, socket) => {
    if (request.startsWith("POST")) return (socket.destroy(), null);
    setTimeout(() => socket.destroy(), 0);
    return COMMIT;
  });
  await using relay = new TestRelay(node.port);
  for (let i = 0; i < 4; i++) assert.equal((await (await relay.ask("/relay/node/x")).text()).length, 24);
  assert.equal(await relay.problem("/relay/node/x", { method: "POST", body: "b" }), "502 http ConnectionLost");
  assert.equal(node.received.filter((request) => request.startsWith("POST")).length, 1);
});

Deno.test("no more requests are under way at once than the relay allows, and each that ends makes room", async () => {
  let isOpen = false;
  const held = new Set<net.Socket>();
  await using node = await serve((_, socket) => isOpen ? COMMIT : (held.add(socket), null));
  await using relay = new TestRelay(node.port, { patience: { connectMs: 60_000, answerMs: 60_000 } });
  const waiting = Array.from({ length: MAX_RELAY_REQUESTS }, () => relay.ask("/relay/node/x"));
  await eventually(() => held.size === MAX_RELAY_CONNECTIONS_EACH);
  await eventuallyAsync(async () => await relay.problem("/relay/nowhere") === "503 relay RelayBusy");
  assert.equal(held.size, MAX_RELAY_CONNECTIONS_EACH);
  isOpen = true;
  for (const socket of held) socket.write(COMMIT);
  for (const answer of waiting) assert.equal((await (await answer).text()).length, 24);
  await eventuallyAsync(async () => await relay.problem("/relay/nowhere") === "404 relay NotFound");
});

async function eventuallyAsync(condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((done) => setTimeout(done, 10));
}
