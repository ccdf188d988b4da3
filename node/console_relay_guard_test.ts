import { strict as assert } from "node:assert";
import { COMMIT, problemOf, serve, TestRelay, TOKEN } from "../tests/relay_fixtures.ts";
import { RELAY_TOKEN_HEADER } from "./console_relay_guard.ts";

Deno.test("the relay shows the page to anybody on this machine, under names of this machine alone", async () => {
  await using relay = new TestRelay(1);
  assert.equal(relay.url, `http://127.0.0.1:${relay.port}/#/connect?relay=${TOKEN}`);
  const page = await fetch(`http://127.0.0.1:${relay.port}/`);
  assert.equal(await page.text(), "<!doctype html>");
  assert.equal(page.headers.get("content-security-policy"), "default-src 'none'");
  assert.equal(page.headers.get("x-frame-options"), "DENY");
  assert.equal(
    (await fetch(`http://127.0.0.1:${relay.port}/index.html`, { method: "HEAD" })).headers.get("content-length"),
    "15",
  );
  assert.equal(await problemOf(await fetch(`http://127.0.0.1:${relay.port}/x.js`)), "404 relay NotFound");
  assert.equal(
    await problemOf(await fetch(`http://127.0.0.1:${relay.port}/`, { method: "POST" })),
    "404 relay NotFound",
  );
  assert.ok((await relay.raw(`GET / HTTP/1.1\r\nhost: localhost:${relay.port}`)).startsWith("HTTP/1.1 200"));
});

Deno.test("a name of another site that leads here is refused, whatever else is right: DNS rebinding", async () => {
  await using node = await serve(COMMIT);
  await using relay = new TestRelay(node.port);
  const hosts = [
    "evil.example",
    `evil.example:${relay.port}`,
    "127.0.0.1",
    `127.0.0.1:${relay.port + 1}`,
    `127.0.0.1:${relay.port}.evil.example`,
    `[::1]:${relay.port}`,
    "",
  ];
  for (const host of hosts) {
    for (const path of ["/", "/relay/peer", "/relay/node/node/commit"]) {
      const answer = await relay.raw(`GET ${path} HTTP/1.1\r\n${RELAY_TOKEN_HEADER}: ${TOKEN}\r\nhost: ${host}`);
      assert.match(answer, /^HTTP\/1\.1 (403 .*"HostNotAllowed"|400 )/s, `${host} ${path}`);
    }
  }
  const noHost = await relay.raw(`GET /relay/peer HTTP/1.0\r\n${RELAY_TOKEN_HEADER}: ${TOKEN}`);
  assert.match(noHost, /^HTTP\/1\.\d (403 .*"HostNotAllowed"|400 )/s);
  assert.equal(node.connections(), 0);
});

Deno.test("pages of other sites are refused by Origin and by Sec-Fetch-Site, also those of other ports here", async () => {
  await using node = await serve(COMMIT);
  await using relay = new TestRelay(node.port);
  const own = `http://127.0.0.1:${relay.port}`;
  const raw = (headers: string, path = "/relay/peer") =>
    relay.raw(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${relay.port}\r\n${RELAY_TOKEN_HEADER}: ${TOKEN}\r\n${headers}`);
  for (
    const headers of [
      "origin: https://evil.example",
      "origin: null",
      `origin: http://127.0.0.1:${relay.port + 1}`,
      `origin: http://localhost:${relay.port}`,
      `origin: https://127.0.0.1:${relay.port}`,
      "sec-fetch-site: cross-site",
      "sec-fetch-site: same-site",
      `origin: ${own}\r\nsec-fetch-site: cross-site`,
    ]
  ) {
    assert.match(await raw(headers), /^HTTP\/1\.1 403 .*"OriginNotAllowed"/s, headers);
    assert.match(await raw(headers, "/"), /^HTTP\/1\.1 403 .*"OriginNotAllowed"/s, headers);
  }
  assert.equal(node.connections(), 0);
  assert.match(await raw(`origin: ${own}\r\nsec-fetch-site: same-origin`), /^HTTP\/1\.1 200 /);
  // A link elsewhere may lead to the page, which knows nothing without the token.
  const link = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document";
  assert.match(await raw(link, "/"), /^HTTP\/1\.1 200 /);
  assert.match(await raw(link.replace("document", "iframe"), "/"), /^HTTP\/1\.1 403 /);
});

Deno.test("without the token of this start nothing below /relay/ is answered", async () => {
  await using node = await serve(COMMIT);
  await using relay = new TestRelay(node.port);
  for (
    const token of ["", "0123456789abcdee", `${TOKEN}0`, TOKEN.slice(1), TOKEN.toUpperCase(), `${TOKEN}, ${TOKEN}`]
  ) {
    for (const path of ["/relay/peer", "/relay/node/node/commit", `/relay/to/127.0.0.1:${node.port}/x`, "/relay/x"]) {
      const headers: Record<string, string> = token === "" ? {} : { [RELAY_TOKEN_HEADER]: token };
      const response = await fetch(`http://127.0.0.1:${relay.port}${path}`, { headers });
      assert.equal(await problemOf(response), "403 relay TokenMissing", `${token} ${path}`);
    }
  }
  const inQuery = await fetch(`http://127.0.0.1:${relay.port}/relay/peer?relay=${TOKEN}`);
  assert.equal(await problemOf(inQuery), "403 relay TokenMissing", "a URL is kept in histories and logs");
  assert.equal(node.connections(), 0);
});

Deno.test("the relay passes on GET, HEAD and POST, allows no site to read it, and sets no cookie", async () => {
  await using node = await serve(COMMIT);
  await using relay = new TestRelay(node.port);
  for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
    assert.equal(await relay.problem("/relay/node/app/log", { method }), "405 relay MethodNotAllowed");
  }
  const response = await relay.ask("/relay/node/node/commit");
  assert.equal(await response.text(), `{"transaction_id":"2.1"}`);
  const names = [...response.headers.keys()].filter((name) => /^access-control|cookie/.test(name));
  assert.deepEqual(names, []);
  assert.equal(await relay.problem("/relay/x"), "404 relay NotFound");
  assert.equal(await relay.problem("/relay/node"), "404 relay NotFound");
});
