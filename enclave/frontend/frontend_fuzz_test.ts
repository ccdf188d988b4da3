import { strict as assert } from "node:assert";
import fc from "fast-check";
import { type AppRoute, bodyText, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { commonEndpoints } from "../endpoints/common.ts";
import { govEndpoints } from "../endpoints/gov.ts";
import { nodeEndpoints } from "../endpoints/node.ts";
import type { HttpRequest, HttpResponse } from "../messages.ts";
import { loggingEndpoints } from "../native/logging.ts";

const APP: Readonly<Record<string, AppRoute>> = {
  "GET /a": { js: "return { body: request.query }" },
  "POST /a": { js: "return { body: request.body.json() }" },
  "PUT /kv/{map}/{key}": {
    js:
      "ccf.kv[decodeURIComponent(request.params.map)].set(ccf.strToBuf(request.params.key), request.body.arrayBuffer());" +
      "return { statusCode: 204, headers: { 'x-key': request.params.key } }",
  },
  "GET /{x}:y": { js: "return { statusCode: Number(request.params.x) }" },
  "GET /{y}": { js: "return { headers: request.headers, body: request.params }" },
  "DELETE /a": { js: "throw request.headers", policies: ["user_cert"] },
  "POST /bad": { policies: ["nothing"] },
};

// ---- Requests: pieces that mean something, put together at random, and some noise ----

const noise = fc.string({
  unit: fc.constantFrom(..."/?&=#%+:.{}-_ \"'\\", "é", "\0", "\u00ff", "\ud800", "\u{1F600}", "a", "1"),
  maxLength: 12,
});
const method = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom("GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE") },
  { weight: 1, arbitrary: noise },
);
/** Verb and path of every endpoint there is. */
const ROUTES = [
  ...nodeEndpoints.map(({ method, path }) => [method, `/node${path}`] as const),
  ...govEndpoints.map(({ method, path }) => [method, `/gov${path}`] as const),
  ...loggingEndpoints.map(({ method, path }) => [method, `/app${path}`] as const),
  ...commonEndpoints.map(({ method, path }) => [method, path] as const),
  ...Object.keys(APP).map((route) => [route.split(" ")[0]!, `/app${route.split(" ")[1]}`] as const),
  ["POST", "/rpc"] as const,
];
const value = fc.oneof(
  fc.constantFrom("a", "self", "2.1", "%2Fapp.js", "0".repeat(64), "200", "t", "public%3Accf.gov.users.certs"),
  noise.filter((text) => text !== ""),
);
const route = fc.tuple(fc.noBias(fc.constantFrom(...ROUTES)), fc.array(value, { minLength: 2, maxLength: 2 }))
  .map(([[method, path], values]) => [method, path.replaceAll(/\{[^}]*\}/g, () => values.pop() ?? "x")] as const);
const parameter = fc.tuple(
  fc.oneof(
    fc.constantFrom("api-version", "transaction_id", "view_history", "view_history_since", "status", "case", "since"),
    noise,
  ),
  fc.oneof(fc.constantFrom("2024-07-01", "2.1", "2.3", "9.9", "true", "1", "99999999999999999999", "original"), noise),
).map(([name, value]) => `${name}=${value}`);
/** null four times out of five. */
function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

/** Mostly a route that is there; at times with another verb, or with something in it changed. */
const line = fc.tuple(
  route,
  seldom(method),
  seldom(fc.tuple(fc.nat(), noise)),
  fc.array(parameter, { maxLength: 3 }),
).map(([[method, path], otherMethod, change, query]) => {
  const at = change === null ? 0 : change[0] % (path.length + 1);
  const changed = change === null ? path : path.slice(0, at) + change[1] + path.slice(at + 1);
  return { method: otherMethod ?? method, target: `${changed}${query.length === 0 ? "" : `?${query.join("&")}`}` };
});
const header = fc.tuple(
  fc.constantFrom("accept", "content-type", "authorization", "range", "host", "x-ms-ccf-transaction-id", "__proto__"),
  fc.oneof(
    fc.constantFrom("application/json", "*/*", "text/html", "application/cose", "Bearer a.b.c", "bytes=0-9", "bytes=-"),
    noise,
  ),
);
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value));
const body = fc.oneof(
  fc.constant(""),
  json,
  noise,
  fc.constantFrom('{"id":1,"msg":"x"}', "{", '{"a":"\\ud800"}', "[".repeat(5000), '{"__proto__":1}'),
).map((text) => new TextEncoder().encode(text));
const request: fc.Arbitrary<HttpRequest> = fc.tuple(
  line,
  fc.array(header, { maxLength: 3 }),
  fc.oneof(body, fc.uint8Array({ maxLength: 30 })),
).map(([line, headers, body]) => ({ ...line, headers, body }));

// ---- JSON-RPC ----

const params = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.dictionary(
    fc.oneof(
      fc.constantFrom(
        "path",
        "query",
        "headers",
        "body",
        "map",
        "key",
        "x",
        "y",
        "transaction_id",
        "__proto__",
        "node_id",
      ),
      noise,
    ),
    fc.oneof(
      noise,
      fc.nat(),
      fc.constant(null),
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom({ $base64: "AA==" }, { $base64: "?" }, { $base64: 1 }, { a: "\ud800" }, { map: "m", key: "k" }),
    ),
    { maxKeys: 4 },
  ),
);
const call = fc.record({
  jsonrpc: fc.constantFrom("2.0", "2.0", "2.0", "1.0", 2),
  id: fc.oneof(fc.nat(), fc.constantFrom("x", null), fc.jsonValue({ maxDepth: 1 })),
  method: fc.oneof(
    fc.constantFrom(
      "rpc.discover",
      "app/getA",
      "app/POST /a",
      "app/PUT /kv/{map}/{key}",
      "app/GET /{y}",
      "app/deleteA",
    ),
    fc.constantFrom("node/getState", "nodes/GET /network/nodes/{node_id}", "gov/getServiceInfo", "users/getReceipt"),
    noise,
    fc.nat(),
  ),
  params,
}, { requiredKeys: [] });
const calls = fc.oneof(call, fc.array(fc.oneof(call, fc.jsonValue({ maxDepth: 1 })), { maxLength: 5 }));

function send({ node, userCertificate }: InlineService, sent: HttpRequest, asUser: boolean): HttpResponse {
  const { method, target, headers, body } = sent;
  return node.request({ method, target, headers, body, ...(asUser && { certificate: userCertificate }) });
}

function assertAnswer({ node }: InlineService, { status, headers, body }: HttpResponse): void {
  assert.equal(node.fatal, undefined);
  assert(Number.isInteger(status) && status >= 200 && status <= 599, `status ${status}`);
  for (const [name, value] of headers) {
    assert.equal(name, name.toLowerCase());
    assert(!/[^\0-\xff]/.test(name + value), "headers are byte strings");
  }
  assert(body instanceof Uint8Array);
}

for (const app of ["native", "script"] as const) {
  serviceTest(
    `any request is answered, with the ${app} app, and the node lives`,
    app === "native" ? app : APP,
    (service) => {
      const statuses = new Set<number>();
      fc.assert(
        fc.property(request, fc.boolean(), (sent, asUser) => {
          const response = send(service, sent, asUser);
          // A script may answer with any status that it likes.
          const isOwn = app === "script" && /:y(\?|$)/.test(sent.target);
          assertAnswer(service, isOwn ? { ...response, status: 200 } : response);
          statuses.add(response.status);
        }),
        { numRuns: 1500 },
      );
      for (const status of [200, 204, 400, 404, 405, app === "script" ? 500 : 401]) {
        assert(statuses.has(status), `${status}`);
      }
      service.node.deliverReads();
      service.node.advance(10_000);
      assert.equal(service.node.fatal, undefined);
    },
  );

  serviceTest(`any JSON-RPC message is answered, with the ${app} app`, app === "native" ? app : APP, (service) => {
    let results = 0;
    fc.assert(
      fc.property(calls, fc.boolean(), (message, asUser) => {
        const body = new TextEncoder().encode(JSON.stringify(message));
        const response = send(service, { method: "POST", target: "/rpc", headers: [], body }, asUser);
        assertAnswer(service, response);
        assert([200, 204, 400].includes(response.status));
        const text = bodyText(response);
        if (response.status === 204) return assert.equal(text, "");
        for (const answer of [JSON.parse(text)].flat()) {
          assert.equal(answer.jsonrpc, "2.0");
          assert("id" in answer);
          assert.notEqual("result" in answer, "error" in answer, "one of both");
          if ("result" in answer) results++;
          else assert(Number.isInteger(answer.error.code) && typeof answer.error.message === "string");
        }
      }),
      { numRuns: 1000 },
    );
    assert(results > 0, "some calls succeeded");
  });
}
