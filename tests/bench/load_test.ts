import { strict as assert } from "node:assert";
import { echoing, eventually, listenTls, selfSigned } from "../../node/listener_fixtures.ts";
import { runLoad } from "./load.ts";

Deno.test("runLoad() counts the answers of a listener", async () => {
  const sink = echoing();
  const listener = await listenTls(sink);
  const client = selfSigned("client");
  const load = {
    urls: [new URL(`https://127.0.0.1:${listener.port}/app/log/{i}?x`)],
    method: "PUT",
    headers: ["content-type: text/plain"],
    body: "hello {i}",
    variants: 3,
    connections: 4,
    pipeline: 5,
    seconds: 0.5,
    warmUpSeconds: 0.05,
    certificate: client.certificateChainPem,
    key: client.privateKeyPem,
  };
  try {
    const result = await runLoad(load);
    assert.deepEqual(result.statuses, { "200": result.requests });
    assert.ok(result.requests > 20 && result.requests <= sink.exchanges.length);
    assert.ok(result.p50Ms > 0 && result.p50Ms <= result.p99Ms && result.p99Ms <= result.maxMs * 1.05);
    assert.ok(result.requestsPerSecond > result.requests / 2);
    assert.equal(sink.opened.length, 4);
    const targets = new Set(sink.exchanges.map(({ request }) => request.target));
    assert.deepEqual([...targets].sort(), ["/app/log/0?x", "/app/log/1?x", "/app/log/2?x"]);
    const before = sink.exchanges.length;
    // What it sees first, the end or a reset, is the kernel's choice.
    const stopped = assert.rejects(
      runLoad({ ...load, seconds: 60 }),
      (error: Error & { code?: string }) =>
        error.message === "The node closed the connection" || ["ECONNRESET", "EPIPE"].includes(error.code ?? ""),
    );
    await eventually(() => sink.exchanges.length > before);
    await listener.stop();
    await stopped;
  } finally {
    await listener.stop();
  }
});

Deno.test("runLoad() sends every variant once, spread over the addresses, and ends", async () => {
  const sinks = [echoing(), echoing()];
  const listeners = await Promise.all(sinks.map((sink) => listenTls(sink)));
  const client = selfSigned("client");
  try {
    for (const variants of [2, 11, 10_001]) {
      const before = sinks.map(({ exchanges }) => exchanges.length);
      const { requests } = await runLoad({
        urls: listeners.map(({ port }) => new URL(`https://127.0.0.1:${port}/app/log/{i}`)),
        method: "GET",
        headers: [],
        body: "",
        variants,
        connections: 3,
        pipeline: 4,
        seconds: 0,
        once: true,
        warmUpSeconds: 0,
        certificate: client.certificateChainPem,
        key: client.privateKeyPem,
      });
      assert.equal(requests, variants);
      const sent = sinks.map(({ exchanges }, i) => exchanges.slice(before[i]).map(({ request }) => request.target));
      assert.deepEqual(
        sent.flat().sort(),
        Array.from({ length: variants }, (_, i) => `/app/log/${i}`).sort(),
      );
      assert.ok(sent.every((targets) => targets.length > 0), "both addresses are used");
    }
  } finally {
    for (const listener of listeners) await listener.stop();
  }
});
