import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import * as http2 from "node:http2";
import { fromFileUrl } from "../tests/paths.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { HTTP_CORPUS } from "./http_corpus.ts";
import { InterfaceCounters, RequestBatcher, type RequestSink } from "./listener.ts";
import {
  derOf,
  echoing,
  eventually,
  RawClient,
  RecordingSink,
  selfSigned,
  SMALL_LIMITS,
  textResponse,
} from "./listener_fixtures.ts";
import { createWebApp, type WebAppOptions, WebListener, type WebListenerOptions } from "./web_server.ts";

const identity = selfSigned("node");

function webApp(sink: RequestSink, options: Partial<WebAppOptions> = {}) {
  return createWebApp({
    interfaceName: "web_rpc_interface",
    limits: SMALL_LIMITS,
    batcher: new RequestBatcher(sink),
    counters: new InterfaceCounters(10, 20),
    ...options,
  });
}

async function withListener(
  sink: RequestSink,
  options: Partial<WebListenerOptions>,
  test: (listener: WebListener) => Promise<void>,
): Promise<void> {
  const listener = await WebListener.listen({
    interfaceName: "web_rpc_interface",
    hostname: "127.0.0.1",
    port: 0,
    identity,
    limits: SMALL_LIMITS,
    maxOpenSessionsSoft: 1000,
    maxOpenSessionsHard: 1010,
    batcher: new RequestBatcher(sink),
    ...options,
  });
  try {
    await test(listener);
  } finally {
    await listener.stop();
  }
}

const CORS_HEADERS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers":
    "x-ms-ccf-transaction-id, retry-after, location, content-range, x-quorate-ledger-range, x-quorate-ledger-next",
};

/** One request over HTTP/1.1 as a client would send it; the whole answer once the connection is idle or closed. */
async function sendRaw(port: number, sent: string, isWhole: (received: string) => boolean): Promise<string> {
  const client = await RawClient.connect(port);
  try {
    client.send(sent);
    await client.until(() => client.isClosed || isWhole(client.received));
    return client.received;
  } finally {
    client.close();
  }
}

Deno.test("the web app hands requests to the sink as they were sent", async () => {
  const sink = new RecordingSink(() => ({
    status: 202,
    headers: [["content-type", "text/plain"], ["retry-after", "3"], ["x-ms-ccf-transaction-id", "2.5"]],
    body: toUtf8("later"),
  }));
  const response = await webApp(sink).request("https://h:1/app//a/../%2e/x?q=%zz+y", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Two": "b" },
    body: "{}",
  });
  assert.equal(response.status, 202);
  assert.equal(await response.text(), "later");
  assert.deepEqual(Object.fromEntries(response.headers), {
    "content-type": "text/plain",
    "retry-after": "3",
    "x-ms-ccf-transaction-id": "2.5",
    ...CORS_HEADERS,
  });
  const [exchange] = sink.exchanges;
  assert.equal(exchange?.session.callerCertificate, null);
  assert.equal(exchange?.session.interfaceName, "web_rpc_interface");
  assert.equal(exchange?.request.method, "POST");
  assert.deepEqual(exchange?.request.headers, [["content-type", "application/json"], ["x-two", "b"]]);
  assert.deepEqual(exchange?.request.body, toUtf8("{}"));
  await eventually(() => sink.closed.length === 1);
  assert.deepEqual(sink.opened, sink.closed);
});

Deno.test("the web app answers CORS preflights itself, and leaves other OPTIONS to the sink", async () => {
  const sink = echoing();
  const app = webApp(sink, { page: () => "<p>page</p>" });
  for (const path of ["/", "/app/log"]) {
    const preflight = await app.request(path, {
      method: "OPTIONS",
      headers: { origin: "https://o", "access-control-request-method": "POST", "access-control-request-headers": "x" },
    });
    assert.equal(preflight.status, 204);
    assert.deepEqual(Object.fromEntries(preflight.headers), {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, HEAD, POST",
      "access-control-allow-headers": "content-type, authorization, accept, range, prefer, x-ms-ccf-transaction-id",
    });
    assert.equal(sink.exchanges.length, 0);
  }
  const options = await app.request("/app/log", { method: "OPTIONS" });
  assert.equal(await options.text(), "OPTIONS /app/log: ");
  const own = await app.request("/app/log", { method: "OPTIONS", headers: { origin: "https://o" } });
  assert.equal(await own.text(), "OPTIONS /app/log: ");
});

Deno.test("the web app serves the host's page and documents, and all else is the sink's", async () => {
  const asked: string[] = [];
  const app = webApp(echoing(), {
    page: () => "<p>page</p>",
    document: (path) => {
      asked.push(path);
      return path === "/console/%61.css" ? textResponse("css", { headers: [["content-type", "text/css"]] }) : null;
    },
  });
  const page = await app.request("/?x");
  assert.equal(page.headers.get("content-type"), "text/html; charset=UTF-8");
  assert.equal(page.headers.get("access-control-allow-origin"), "*");
  assert.equal(await page.text(), "<p>page</p>");
  const css = await app.request("/console/%61.css?y");
  assert.equal(css.headers.get("content-type"), "text/css");
  assert.equal(await css.text(), "css");
  assert.equal(await (await app.request("/app/x?y")).text(), "GET /app/x?y: ");
  assert.equal(await (await app.request("/console/%61.css", { method: "POST" })).text(), "POST /console/%61.css: ");
  assert.equal(await (await app.request("/", { method: "POST" })).text(), "POST /: ");
  assert.deepEqual(asked, ["/console/%61.css", "/app/x"]);
  assert.equal(await (await webApp(echoing()).request("/")).text(), "GET /: ");
});

Deno.test("the web app says that a document cannot be read, and no more", async () => {
  const errors: string[] = [];
  const app = webApp(echoing(), {
    page: () => {
      throw new Error("no such file: /secret");
    },
    onError: (message) => errors.push(message),
  });
  const response = await app.request("/");
  assert.equal(response.status, 500);
  assert.equal(await response.text(), '{"error":{"code":"InternalError","message":"Cannot read the document"}}');
  assert.deepEqual(errors, ["Cannot answer GET /: no such file: /secret"]);
});

Deno.test("the web app's limits: exactly at them is accepted, one above is not", async () => {
  const counters = new InterfaceCounters(10, 20);
  const sink = echoing();
  const app = webApp(sink, { counters, limits: { ...SMALL_LIMITS, maxHeadersCount: 256 } });
  const headers = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, "v"]));
  const parts = (bytes: number) =>
    new ReadableStream({
      start: (controller) => {
        controller.enqueue(new Uint8Array(bytes - 100));
        controller.enqueue(new Uint8Array(100));
        controller.close();
      },
    });
  const { maxBodyBytes, maxHeaderBytes } = SMALL_LIMITS;
  const lengthOf = (bytes: number) => ({
    method: "POST",
    body: new Uint8Array(bytes),
    headers: { "content-length": `${bytes}` },
  });
  for (
    const init of [
      { headers: headers(100) },
      { headers: { a: "x".repeat(maxHeaderBytes) } },
      { headers: { ["a".repeat(maxHeaderBytes)]: "x" } },
      lengthOf(maxBodyBytes),
      { method: "POST", body: parts(maxBodyBytes) },
    ]
  ) {
    const response = await app.request("/", init);
    assert.equal(response.status, 200);
    await response.body?.cancel();
  }
  assert.equal(sink.exchanges.at(-1)?.request.body.buffer.byteLength, maxBodyBytes);
  const bodyMessage = "HTTP request body is too large (max size allowed: 200KB)";
  const name = "a".repeat(maxHeaderBytes + 1);
  for (
    const [init, status, code, message] of [
      [{ headers: headers(101) }, 431, "RequestHeaderTooLarge", "Too many headers (max number allowed: 100)"],
      [
        { headers: { a: "x".repeat(maxHeaderBytes + 1) } },
        431,
        "RequestHeaderTooLarge",
        "Header value for 'a' is too large (max size allowed: 8KB)",
      ],
      [
        { headers: { [name]: "x" } },
        431,
        "RequestHeaderTooLarge",
        `Header key for '${name}' is too large (max size allowed: 8KB)`,
      ],
      [lengthOf(maxBodyBytes + 1), 413, "RequestBodyTooLarge", bodyMessage],
      [{ method: "POST", body: parts(maxBodyBytes + 1) }, 413, "RequestBodyTooLarge", bodyMessage],
    ] as const
  ) {
    const response = await app.request("/", init);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("access-control-allow-origin"), "*");
    assert.equal(await response.text(), JSON.stringify({ error: { code, message } }));
  }
  assert.equal(sink.exchanges.length, 5);
  assert.deepEqual(counters.errors, { parsing: 0, request_payload_too_large: 2, request_header_too_large: 3 });
  const few = await webApp(sink).request("/", { headers: headers(41) });
  assert.match(await few.text(), /Too many headers \(max number allowed: 40\)/);
});

Deno.test("the web app answers 503 above the soft cap of requests under way", async () => {
  const sink = new RecordingSink();
  const counters = new InterfaceCounters(2, 3);
  const app = webApp(sink, { counters });
  const waiting = [app.request("/1"), app.request("/2")];
  await eventually(() => sink.exchanges.length === 2);
  const refused = await app.request("/3");
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /^\{"error":\{"code":"SessionCapExhausted",/);
  for (const exchange of sink.exchanges) exchange.respond(textResponse(exchange.request.target));
  assert.deepEqual(await Promise.all(waiting.map(async (response) => await (await response).text())), ["/1", "/2"]);
  assert.deepEqual([counters.active, counters.peak], [0, 2]);
});

Deno.test("the web app sends what it can and makes the rest a 500", async () => {
  for (
    const [response, status, text] of [
      [textResponse("no", { status: 204 }), 204, ""],
      [textResponse("no", { status: 304 }), 304, ""],
      [textResponse("é", { headers: [["a", "\xe9"]] }), 200, "é"],
      [textResponse("x", { status: 700 }), 500, undefined],
      [textResponse("x", { status: 101 }), 500, undefined],
      [textResponse("x", { headers: [["a", "b\r\nc: d"]] }), 500, undefined],
      [textResponse("x", { headers: [["a", "\u0100"]] }), 500, undefined],
      [textResponse("x", { headers: [["a b", "c"]] }), 500, undefined],
    ] as const
  ) {
    const received = await webApp(new RecordingSink(() => response)).request("/");
    assert.equal(received.status, status);
    const error = {
      code: "InternalError",
      message: "Cannot send the response: its status or a header is none that HTTP allows",
    };
    assert.equal(await received.text(), text ?? JSON.stringify({ error }));
  }
});

Deno.test("the web app refuses a host that would move the path", async () => {
  const sink = echoing();
  await withListener(sink, {}, async ({ port }) => {
    const received = await sendRaw(
      port,
      "GET /b HTTP/1.1\r\nhost: h/a\r\n\r\n",
      (text) => text.includes("Invalid host"),
    );
    assert.match(received, /^HTTP\/1\.1 400 /);
    assert.equal(sink.exchanges.length, 0);
    const ipv6 = await sendRaw(port, "GET /b HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", (text) => text.includes("GET /b: "));
    assert.match(ipv6, /^HTTP\/1\.1 200 /);
  });
});

Deno.test("WebListener answers HEAD with the length that the answer names", async () => {
  const sink = new RecordingSink(() => ({
    status: 200,
    headers: [["content-length", "106824"]],
    body: new Uint8Array(),
  }));
  await withListener(sink, {}, async ({ port }) => {
    const received = await sendRaw(port, "HEAD /s HTTP/1.1\r\nhost: h\r\n\r\n", (text) => text.endsWith("\r\n\r\n"));
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n[^]*content-length: 106824\r\n/);
    assert.equal(sink.exchanges[0]?.request.method, "HEAD");
  });
});

Deno.test("WebListener speaks HTTP/2 to those who offer it", async () => {
  const sink = echoing();
  await withListener(sink, {}, async ({ port }) => {
    const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const ask = (body: string) =>
      new Promise<string>((resolve, reject) => {
        const stream = session.request({ ":method": "POST", ":path": "/app/x?y", "x-a": "1" });
        let head = "";
        let content = "";
        // In any order: the runtime's client may tell of the head last.
        stream.on("response", (headers) => head = `${headers[":status"]} ${headers["access-control-allow-origin"]}`);
        stream.on("data", (bytes) => content += Buffer.from(bytes).toString());
        stream.on("close", () => resolve(`${head} ${content}`));
        stream.on("error", reject);
        stream.end(body);
      });
    try {
      assert.equal(await ask("hello"), "200 * POST /app/x?y: hello");
      assert.match(
        await ask("x".repeat(SMALL_LIMITS.maxBodyBytes + 1)),
        /^413 \* \{"error":\{"code":"RequestBodyTooLarge"/,
      );
    } finally {
      session.destroy();
    }
    const headers = new Map(sink.exchanges[0]?.request.headers);
    assert.equal(headers.get("x-a"), "1");
    assert.ok(![...headers.keys()].some((name) => name.startsWith(":")));
  });
});

Deno.test("WebListener shows a renewed certificate on the same port", async () => {
  const sink = echoing();
  await withListener(sink, { identity: null }, async (listener) => {
    const renewed = selfSigned("node");
    for (const current of [identity, renewed]) {
      await listener.setIdentity(current);
      const client = await RawClient.connect(listener.port);
      const shown =
        (client.socket as unknown as { getPeerCertificate(): { raw: Uint8Array } }).getPeerCertificate().raw;
      assert.deepEqual(new Uint8Array(shown), derOf(current));
      client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
      await client.until(() => client.received.endsWith("GET /: "));
      client.close();
    }
  });
});

Deno.test("WebListener.stop() lets waiting requests be answered", async () => {
  const sink = new RecordingSink();
  await withListener(sink, {}, async (listener) => {
    const client = await RawClient.connect(listener.port);
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    await eventually(() => sink.exchanges.length === 1);
    const stopped = listener.stop();
    sink.exchanges[0]!.respond(textResponse("last words"));
    await client.until(() => client.received.endsWith("last words"));
    client.close();
    await stopped;
    await assert.rejects(RawClient.connect(listener.port));
  });
});

Deno.test("WebListener.stop() does not wait for a client that never sends the rest", async () => {
  await withListener(echoing(), {}, async (listener) => {
    const client = await RawClient.connect(listener.port);
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nabc");
    await eventually(() => listener.counters.active === 1);
    await listener.stop();
    await assert.rejects(RawClient.connect(listener.port));
    client.close();
    await eventually(() => listener.counters.active === 0);
  });
});

Deno.test("WebListener.listen() says why it cannot listen", async () => {
  await withListener(echoing(), {}, async ({ port }) => {
    await assert.rejects(withListener(echoing(), { port }, () => Promise.resolve()), {
      message: new RegExp(`^Cannot listen on 127.0.0.1:${port}: `),
    });
  });
});

/** What came back for one entry of the corpus, in the words of the table in README.md. */
function outcome({ received, isClosed }: RawClient): string {
  const words: string[] = [];
  let rest = received;
  for (;;) {
    const answer = /^HTTP\/1\.[01] (\d+)[^]*?\r\ncontent-length: (\d+)\r\n[^]*?\r\n\r\n/i.exec(rest);
    if (answer === null) break;
    const end = answer[0].length + Number(answer[2]);
    words.push(
      answer[1] === "200" ? `\`${rest.substring(answer[0].length, end).replace(/: /, " ").trim()}\`` : answer[1]!,
    );
    rest = rest.substring(end);
  }
  if (rest !== "") words.push("HTTP/2");
  if (isClosed) words.push("closed");
  return words.length === 0 ? "nothing" : words.join(", ");
}

Deno.test("README.md has what the runtime's own HTTP server makes of the corpus", async () => {
  await withListener(echoing(), {}, async ({ port }) => {
    const clients = await Promise.all(HTTP_CORPUS.map(() => RawClient.connect(port)));
    HTTP_CORPUS.forEach(({ sent }, i) => clients[i]!.send(sent));
    await Promise.all(clients.map((client) => client.until(() => client.isClosed || client.received !== "")));
    const rows = () =>
      HTTP_CORPUS.map(({ name, requests, error }, i) => {
        const ours = [...requests.map((request) => `\`${request}\``), ...(error === undefined ? [] : ["400, closed"])];
        return `| ${name} | ${ours.join(", ")} | ${outcome(clients[i]!)} |`;
      });
    const readme = Deno.readTextFileSync(fromFileUrl(new URL("README.md", import.meta.url)));
    const table = readme.split("\n").filter((line) => line.startsWith("| ")).map((line) => line.replace(/ +/g, " "))
      .slice(2);
    // What comes behind the first answer may take a while, and nothing may come behind what the table has.
    await eventually(() => rows().join() === table.join()).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.deepEqual(table, rows());
    for (const client of clients) client.close();
  });
});
