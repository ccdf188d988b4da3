import { strict as assert } from "node:assert";
import { toBase64 } from "../../shared/bytes.ts";
import { MAX_JSON_RPC_ANSWER_CHARACTERS, MAX_JSON_RPC_BATCH } from "../../shared/limits.ts";
import { bodyText, headerOf, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import type { HeaderList, HttpResponse } from "../messages.ts";
import { processJsonRpc } from "./json_rpc.ts";
import { Session } from "./session.ts";

/** Everything that an endpoint sees of its request. */
const ECHO = `return { body: {
  method: request.method, path: request.path, query: request.query, params: request.params,
  headers: request.headers, text: request.body.text(), caller: request.caller && request.caller.policy } }`;

function post({ node, userCertificate }: InlineService, body: unknown, headers: HeaderList = []): HttpResponse {
  return node.request({ method: "POST", target: "/rpc", headers, body, certificate: userCertificate });
}

/** Parsed answers of a call. */
// deno-lint-ignore no-explicit-any -- tests look deep into JSON of any shape
function call(service: InlineService, method: string, params?: unknown, headers?: HeaderList): any {
  const response = post(service, { jsonrpc: "2.0", id: 1, method, params }, headers);
  assert.equal(response.status, 200);
  assert.deepEqual(response.headers, [["content-type", "application/json"]]);
  const answer = JSON.parse(bodyText(response));
  assert.equal(answer.jsonrpc, "2.0");
  assert.equal(answer.id, 1);
  return answer;
}

function write(id: number): Record<string, unknown> {
  return { jsonrpc: "2.0", id, method: "app/postLogPrivate", params: { id, msg: `message ${id}` } };
}

// ---- Messages (JSON-RPC 2.0 specification, §4 to §7) ----

serviceTest("what is not JSON-RPC is answered with 400, and says why", "native", (service) => {
  const cases: readonly (readonly [body: unknown, code: number, message: string])[] = [
    ["", -32700, "Cannot read the request body as JSON"],
    ["{", -32700, "Cannot read the request body as JSON"],
    [new Uint8Array([0x22, 0xff, 0x22]), -32700, "Cannot read the request body as JSON"],
    ["1", -32600, "A JSON-RPC call must be an object"],
    ["null", -32600, "A JSON-RPC call must be an object"],
    ["[]", -32600, "A JSON-RPC batch must not be empty"],
    ["{}", -32600, 'The member "jsonrpc" must be "2.0"'],
    ['{"jsonrpc":"1.0","id":1,"method":"node/getState"}', -32600, 'The member "jsonrpc" must be "2.0"'],
    ['{"jsonrpc":2.0,"id":1,"method":"node/getState"}', -32600, 'The member "jsonrpc" must be "2.0"'],
    ['{"jsonrpc":"2.0","id":1}', -32600, 'The member "method" must be a string'],
    ['{"jsonrpc":"2.0","method":1,"params":"bar"}', -32600, 'The member "method" must be a string'],
    ['{"jsonrpc":"2.0","id":{},"method":"x"}', -32600, 'The member "id" must be a string, a number or null'],
    ['{"jsonrpc":"2.0","id":true,"method":"x"}', -32600, 'The member "id" must be a string, a number or null'],
  ];
  for (const [body, code, message] of cases) {
    const response = post(service, body);
    assert.equal(response.status, 400, String(body));
    const { id, ...rest } = JSON.parse(bodyText(response));
    assert.deepEqual(rest, { jsonrpc: "2.0", error: { code, message } });
    assert.equal(id, String(body).includes('"id":1') ? 1 : null);
  }
});

serviceTest("an ID comes back as it was, and null is one", "native", (service) => {
  for (const id of [0, -1, 1.5, "", "x", "é\n", null]) {
    const response = post(service, { jsonrpc: "2.0", id, method: "node/getState" });
    assert.equal(response.status, 200);
    assert.equal(JSON.parse(bodyText(response)).id, id);
  }
});

serviceTest("a notification runs and is not answered", "native", (service) => {
  const version = service.node.entries.length;
  const { id: _, ...notification } = write(1);
  const response = post(service, notification);
  assert.deepEqual([response.status, response.headers, response.body.length], [204, [], 0]);
  assert.equal(service.node.entries.length, version + 1);
  for (const method of ["app/nothing", "app/getTx", "rpc.discover"]) {
    assert.equal(post(service, { jsonrpc: "2.0", method }).status, 204, "nor are its failures");
  }
  assert.equal(post(service, { jsonrpc: "2.0", method: "app/getTx", params: [] }).status, 204);
  assert.equal(post(service, [notification, notification]).status, 204);
});

serviceTest("a batch runs in order, each call its own transaction, and is answered in order", "native", (service) => {
  const version = service.node.entries.length;
  const { id: _, ...notification } = write(8);
  const response = post(service, [
    write(7),
    notification,
    7,
    { jsonrpc: "2.0", id: "read", method: "app/getLogPrivate", params: { id: 7 } },
    { jsonrpc: "2.0", id: "none", method: "app/getLogPrivate", params: { id: 9 } },
    [write(1)],
    write(9),
  ]);
  assert.equal(response.status, 200);
  const answers = JSON.parse(bodyText(response));
  assert.deepEqual(answers.map(({ id }: { id: unknown }) => id), [7, null, "read", "none", null, 9]);
  assert.deepEqual(answers[0], {
    jsonrpc: "2.0",
    id: 7,
    result: true,
    tx_id: `2.${version + 1}`,
    commit: version + 1,
    term: 2,
    global_commit: version,
  });
  assert.equal(answers[1].error.code, -32600);
  assert.deepEqual(answers[2].result, { msg: "message 7" });
  assert.equal(answers[3].error.code, -32050);
  assert.equal(answers[4].error.code, -32600);
  assert.equal(answers[5].commit, version + 3);
  assert.equal(service.node.entries.length, version + 3);
});

serviceTest("a batch has a limit", "native", (service) => {
  const one = { jsonrpc: "2.0", id: 1, method: "node/getVersion" };
  const full = post(service, new Array(MAX_JSON_RPC_BATCH).fill(one));
  assert.equal(full.status, 200);
  assert.equal(JSON.parse(bodyText(full)).length, MAX_JSON_RPC_BATCH);
  const over = post(service, new Array(MAX_JSON_RPC_BATCH + 1).fill(one));
  assert.equal(over.status, 413);
  assert.deepEqual(JSON.parse(bodyText(over)), {
    jsonrpc: "2.0",
    id: null,
    error: {
      code: -32600,
      message: `A JSON-RPC batch has at most ${MAX_JSON_RPC_BATCH} calls, and this one has ${MAX_JSON_RPC_BATCH + 1}`,
    },
  });
});

serviceTest("the door is there for POST, also with a query", "native", ({ node }) => {
  const get = node.request({ method: "GET", target: "/rpc" });
  assert.equal(get.status, 405);
  assert.equal(headerOf(get, "allow"), "OPTIONS, POST");
  assert.equal(JSON.parse(bodyText(get)).error.code, -32600);
  const options = node.request({ method: "OPTIONS", target: "/rpc" });
  assert.deepEqual([options.status, options.headers], [204, [["allow", "OPTIONS, POST"]]]);
  const body = { jsonrpc: "2.0", id: 1, method: "node/getState" };
  assert.equal(node.request({ method: "POST", target: "/rpc?x=1", body }).status, 200);
  assert.equal(node.request({ method: "POST", target: "/rpc/", body }).status, 404);
  assert.equal(node.request({ method: "POST", target: "/app/rpc", body }).status, 404);
});

// ---- Parameters ----

serviceTest("params is an object, or absent", { "GET /e": { js: ECHO } }, (service) => {
  for (const params of [[], [1], null, "x", 1, true]) {
    assert.deepEqual(call(service, "app/getE", params).error, {
      code: -32602,
      message: 'The member "params" must be an object',
    });
  }
  assert.equal(call(service, "app/getE").result.query, "");
  assert.equal(call(service, "app/getE", {}).result.query, "");
});

serviceTest("members that name a template parameter are it, others go into the query or the body by verb", {
  "GET /e/{id}": { js: ECHO },
  "DELETE /e/{id}": { js: ECHO },
  "HEAD /e/{id}": { js: ECHO },
  "POST /e/{id}": { js: ECHO },
  "PUT /e/{id}": { js: ECHO },
  "PATCH /e/{id}": { js: ECHO },
}, (service) => {
  for (const verb of ["GET", "DELETE", "HEAD"]) {
    const { result } = call(service, `app/${verb} /e/{id}`, { id: "a/b c", x: "1&2", y: 2.5, z: true });
    assert.equal(result.method, verb);
    assert.equal(result.path, "/app/e/a%2Fb%20c");
    assert.deepEqual(result.params, { id: "a%2Fb%20c" });
    assert.equal(result.query, "x=1&2&y=2.5&z=true");
    assert.equal(result.text, "");
    assert.equal(result.headers["content-type"], undefined);
  }
  for (const verb of ["POST", "PUT", "PATCH"]) {
    const params = { id: 7, x: [1, { a: null }], y: "é" };
    const { result } = call(service, `app/${verb} /e/{id}`, params);
    assert.equal(result.path, "/app/e/7");
    assert.equal(result.query, "");
    assert.deepEqual(JSON.parse(result.text), { x: [1, { a: null }], y: "é" });
    assert.equal(result.headers["content-type"], "application/json");
    assert.equal(call(service, `app/${verb} /e/{id}`, { id: 7 }).result.text, "", "nothing is no body");
  }
});

serviceTest("path, query, headers and body are taken as what they are called", {
  "GET /e/{path}/{x}": { js: ECHO },
  "POST /e/{x}": { js: ECHO },
}, (service) => {
  const got = call(service, "app/GET /e/{path}/{x}", {
    path: { path: "p", x: "from path" },
    query: { q: "1" },
    headers: { "X-Mine": "é", accept: 5 },
    body: { a: 1 },
    x: "from beside",
    r: 2,
  }).result;
  assert.equal(got.path, "/app/e/p/from%20beside");
  assert.equal(got.query, "q=1&r=2");
  assert.deepEqual(got.headers, { "x-mine": "é", accept: "5", "content-type": "application/json" });
  assert.equal(got.text, '{"a":1}', "a GET may carry a body");

  const posted = call(service, "app/POST /e/{x}", { x: 1, query: { q: "a b", e: "" }, body: ["bare"] }).result;
  assert.equal(posted.query, "q=a b&e=");
  assert.equal(posted.text, '["bare"]');
  for (const body of [null, 0, "", "text", false]) {
    assert.equal(call(service, "app/POST /e/{x}", { x: 1, body }).result.text, JSON.stringify(body));
  }
  const own = { x: 1, body: {}, headers: { "Content-Type": "application/x" } };
  assert.equal(call(service, "app/POST /e/{x}", own).result.headers["content-type"], "application/x");
});

serviceTest("bytes go in as base64 with their type", { "POST /e": { js: ECHO } }, (service) => {
  const sent = (body: unknown) => call(service, "app/postE", { body }).result;
  const typed = sent({ $base64: toBase64(new TextEncoder().encode("raw")), content_type: "application/cose" });
  assert.equal(typed.text, "raw");
  assert.equal(typed.headers["content-type"], "application/cose");
  const bare = sent({ $base64: "" });
  assert.equal(bare.text, "");
  assert.equal(bare.headers["content-type"], "application/octet-stream");
});

serviceTest("parameters that cannot be used are refused by name", {
  "GET /e/{id}": { js: ECHO },
  "POST /e/{id}": { js: ECHO },
}, (service) => {
  const cases: readonly (readonly [method: string, params: unknown, message: string])[] = [
    ["GET", {}, 'Missing parameter "id" of the path /e/{id}'],
    ["GET", { path: {} }, 'Missing parameter "id" of the path /e/{id}'],
    ["GET", { path: 1 }, 'The parameter "path" must be an object'],
    ["GET", { query: [] }, 'The parameter "query" must be an object'],
    ["GET", { id: 1, headers: null }, 'The parameter "headers" must be an object'],
    ["GET", { id: {} }, 'The parameter "id" must be a string, a number or a boolean'],
    ["GET", { id: null }, 'The parameter "id" must be a string, a number or a boolean'],
    ["GET", { id: 1, x: [1] }, 'The parameter "x" must be a string, a number or a boolean'],
    ["GET", { id: 1, headers: { h: {} } }, 'The parameter "h" must be a string, a number or a boolean'],
    ["GET", { id: "\ud800" }, "A parameter of the path or the query holds half a surrogate pair"],
    ["GET", { id: 1, "\ud800": 1 }, "A parameter of the path or the query holds half a surrogate pair"],
    ["POST", { id: 1, body: {}, a: 1, b: 2 }, 'With "body" there can be no other parameters: a, b'],
    ["POST", { id: 1, body: { $base64: "?" } }, 'Cannot read "?" as base64'],
    ["POST", { id: 1, body: { $base64: 1 } }, 'Bytes are {"$base64": "…", "content_type": "…"}, both of them text'],
    [
      "POST",
      { id: 1, body: { $base64: "", content_type: 1 } },
      'Bytes are {"$base64": "…", "content_type": "…"}, both of them text',
    ],
  ];
  for (const [verb, params, message] of cases) {
    assert.deepEqual(call(service, `app/${verb} /e/{id}`, params).error, { code: -32602, message });
  }
});

serviceTest("parameters named like members of every object are parameters", {
  "POST /e": { js: ECHO },
  "GET /e/{constructor}": { js: ECHO },
}, (service) => {
  const send = (params: string) =>
    JSON.parse(bodyText(post(service, `{"jsonrpc":"2.0","id":1,"method":"app/postE","params":${params}}`))).result.text;
  assert.equal(send('{"__proto__":{"a":1},"b":2}'), '{"__proto__":{"a":1},"b":2}');
  const { error } = call(service, "app/GET /e/{constructor}", {});
  assert.equal(error.message, 'Missing parameter "constructor" of the path /e/{constructor}');
  assert.equal(call(service, "app/GET /e/{constructor}", { constructor: "x" }).result.params.constructor, "x");
});

serviceTest("who calls, and where, is what the carrying request says, unless the call says otherwise", {
  "GET /e": { js: ECHO, policies: ["user_cert"] },
}, (service) => {
  const carrier: HeaderList = [["host", "h:1"], ["authorization", "Bearer t"], ["accept", "text/html"], ["x-a", "1"]];
  const { result } = call(service, "app/getE", {}, carrier);
  assert.deepEqual(result.headers, { authorization: "Bearer t", host: "h:1" });
  assert.equal(result.caller, "user_cert");
  const own = call(service, "app/getE", { headers: { Authorization: "Bearer own" } }, carrier).result.headers;
  assert.deepEqual(own, { authorization: "Bearer own", host: "h:1" });
});

// ---- Answers ----

serviceTest("results are JSON as it is, text as a string, nothing as null, and the rest as bytes", {
  "GET /json": {
    js: "return { headers: { 'content-type': 'application/json' }, body: '{\"n\":18446744073709551615}' }",
  },
  "GET /charset": { js: "return { headers: { 'content-type': 'application/json; charset=utf-8' }, body: '[1]' }" },
  "GET /bad": { js: "return { headers: { 'content-type': 'application/json' }, body: 'no JSON' }" },
  "GET /object": { js: "return { body: { b: 1, a: [true, null] } }" },
  "GET /text": { js: "return { body: 'é\\n' }" },
  "GET /html": { js: "return { headers: { 'content-type': 'text/html' }, body: '<p>' }" },
  "GET /latin": {
    js: "return { headers: { 'content-type': 'text/plain' }, body: new Uint8Array([0xe9]) }",
  },
  "GET /bytes": { js: "return { body: new Uint8Array([1, 2, 255]) }" },
  "GET /cose": { js: "return { headers: { 'content-type': 'application/cose' }, body: new Uint8Array([1]) }" },
  "GET /nothing": { js: "return {}" },
  "GET /none": { js: "return { statusCode: 204 }" },
  "GET /created": { js: "return { statusCode: 201, body: 'made' }" },
  "GET /odd": { js: "return { statusCode: 299, body: null }" },
}, (service) => {
  const result = (path: string) => call(service, `app/GET /${path}`).result;
  assert.match(bodyText(post(service, { jsonrpc: "2.0", id: 1, method: "app/getJson" })), /"n":18446744073709551615/);
  assert.deepEqual(result("charset"), [1]);
  assert.deepEqual(result("bad"), {
    $base64: toBase64(new TextEncoder().encode("no JSON")),
    content_type: "application/json",
  });
  assert.deepEqual(result("object"), { b: 1, a: [true, null] });
  assert.equal(result("text"), "é\n");
  assert.equal(result("html"), "<p>");
  assert.deepEqual(result("latin"), { $base64: toBase64(new Uint8Array([0xe9])), content_type: "text/plain" });
  assert.deepEqual(result("bytes"), { $base64: "AQL/", content_type: "application/octet-stream" });
  assert.deepEqual(result("cose"), { $base64: "AQ==", content_type: "application/cose" });
  assert.equal(result("nothing"), null);
  assert.equal(result("none"), null);
  assert.equal(result("created"), "made");
  assert.equal(result("odd"), null);
});

serviceTest("the transaction stands beside a result where REST names one", "native", (service) => {
  const written = call(service, "app/postLogPrivate", { id: 1, msg: "x" });
  assert.equal(written.tx_id, `${written.term}.${written.commit}`);
  assert.equal(written.commit, service.node.entries.length);
  assert.equal(written.global_commit, service.node.committed);
  assert.equal("tx_id" in call(service, "node/getVersion"), false);
  service.node.advance(0);
  service.node.advance(1000);
  assert.equal(call(service, "app/getLogPrivateCount").global_commit, service.node.entries.length);
});

serviceTest("every other status is an error with a code, and with all that REST says", {
  ...Object.fromEntries(
    [100, 202, 300, 307, 308, 400, 401, 403, 404, 405, 406, 410, 413, 451, 499, 500, 501, 503, 504, 599, 600].map((
      status,
    ) => [
      `GET /status/${status}`,
      {
        js:
          `return { statusCode: ${status}, headers: { 'x-why': 'é' }, body: { error: { code: 'Mine', message: 'why' } } }`,
      },
    ]),
  ),
  "GET /primary": { js: "return { statusCode: 503, body: { error: { code: 'PrimaryNotFound', message: 'p' } } }" },
  "GET /replication": {
    js: "return { statusCode: 503, body: { error: { code: 'TransactionReplicationFailed', message: 'r' } } }",
  },
  "GET /later": { js: "return { statusCode: 202, headers: { 'retry-after': '3' }, body: 'Come again' }" },
  "GET /empty": { js: "return { statusCode: 500 }" },
  "GET /shape": { js: "return { statusCode: 404, body: { error: 'no object' } }" },
  "GET /list": { js: "return { statusCode: 404, body: { error: [1] } }" },
  "GET /lie": {
    js: "return { statusCode: 404, body: { error: { code: 'Mine', message: 'Unknown path: /lie.' } } }",
  },
  "GET /kept": {
    js: "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf('v')); ccf.rpc.setApplyWrites(true); return { statusCode: 400 }",
  },
}, (service) => {
  const codes: Readonly<Record<number, number>> = {
    100: -32050,
    202: -32020,
    300: -32050,
    307: -32001,
    308: -32001,
    400: -32602,
    401: -32008,
    403: -32004,
    404: -32050,
    405: -32601,
    406: -32050,
    410: -32050,
    413: -32050,
    451: -32050,
    499: -32050,
    500: -32603,
    501: -32603,
    503: -32603,
    504: -32603,
    599: -32603,
    600: -32603,
  };
  for (const [status, code] of Object.entries(codes)) {
    const answer = call(service, `app/GET /status/${status}`);
    assert.equal("result" in answer, false);
    const { headers, ...data } = answer.error.data;
    assert.deepEqual({ ...answer.error, data }, {
      code,
      message: "why",
      data: { status: Number(status), error: { code: "Mine", message: "why" } },
    });
    assert.equal(headers["x-why"], "é");
    assert.equal(headers["content-type"], "application/json");
  }
  assert.equal(call(service, "app/getPrimary").error.code, -32005);
  assert.equal(call(service, "app/getReplication").error.code, -32002);
  const later = call(service, "app/getLater");
  assert.equal(later.error.code, -32020);
  assert.equal(later.error.message, "Come again");
  assert.equal(later.error.data.headers["retry-after"], "3");
  assert.equal(later.error.data.error, null);
  assert.equal(later.tx_id, `2.${service.node.entries.length}`);
  assert.equal(call(service, "app/getEmpty").error.message, "HTTP status 500");
  assert.equal(call(service, "app/getShape").error.data.error, null);
  assert.equal(call(service, "app/getList").error.message, "HTTP status 404");
  assert.equal(call(service, "app/getLie").error.code, -32050, "an app's own 404 is no unknown method");
  const kept = call(service, "app/getKept");
  assert.equal(kept.error.code, -32602);
  assert.equal(kept.commit, service.node.entries.length, "writes that were kept are named");
});

serviceTest("REST's own refusals have their codes", {
  "GET /x/{id}": {},
  "POST /user": { policies: ["user_cert", "member_cert"] },
}, (service) => {
  assert.equal(call(service, "app/GET /x/{id}", { id: "" }).error.code, -32601, "404 for an unknown path");
  assert.equal(call(service, "node/GET /network/nodes/{node_id}", { node_id: "x" }).error.code, -32050);
  assert.equal(call(service, "app/getTx").error.code, -32602);
  assert.equal(call(service, "app/getTx").error.data.error.code, "InvalidQueryParameterValue");
  const response = service.node.request({
    method: "POST",
    target: "/rpc",
    body: { jsonrpc: "2.0", id: 1, method: "app/postUser" },
  });
  const { error } = JSON.parse(bodyText(response));
  assert.equal(error.code, -32008);
  assert.equal(error.message, "Invalid authentication credentials.");
  assert.equal(error.data.error.details.length, 2);
  assert.equal(call(service, "node/postCreate").error.code, -32004);
  const receipt = call(service, "app/getReceipt", { transaction_id: "2.1" });
  assert.equal(receipt.error.code, -32020);
  service.node.deliverReads();
  assert.equal(call(service, "app/getReceipt", { transaction_id: "2.1" }).result.proof.length > 0, true);
});

serviceTest("an interface's rules hold for calls, each by its own endpoint", "native", ({ node }) => {
  const body = [
    { jsonrpc: "2.0", id: 1, method: "node/getState" },
    { jsonrpc: "2.0", id: 2, method: "node/getNetwork" },
    { jsonrpc: "2.0", id: 3, method: "node/getSnapshot" },
  ];
  const response = node.request({ method: "POST", target: "/rpc", body }, "some");
  const answers = JSON.parse(bodyText(response));
  assert.equal("result" in answers[0], true);
  assert.deepEqual(answers[1].error, {
    code: -32603,
    message: "HTTP status 503",
    data: { status: 503, headers: {}, error: null },
  });
  assert.equal(answers[2].error.data.status, 404);
}, {
  change: {
    rpcInterfaces: {
      some: { bind_address: "127.0.0.1:1", published_address: "127.0.0.1:1", accepted_endpoints: ["/node/state"] },
    },
  },
});

serviceTest("a call in a session that is lost closes it", "native", ({ node }) => {
  const session = new Session("primary_rpc_interface", null);
  session.view = 1;
  const message = { jsonrpc: "2.0", id: 1, method: "node/getState" };
  for (const body of [message, [message, message]]) {
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const request = { method: "POST", target: "/rpc", headers: [], body: bytes };
    const response = processJsonRpc(node.enclave.node!, session, request);
    assert.equal(response.close, true);
    assert.match(bodyText(response), /SessionConsistencyLost/);
  }
});

serviceTest("parameters that nest deeply are refused, and the node goes on", { "POST /e": { js: ECHO } }, (service) => {
  // Objects with numbers for names are what the runtime reads deeper than it writes.
  const deep = `${'{"0":'.repeat(100_000)}1${"}".repeat(100_000)}`;
  const ask = (params: string) =>
    JSON.parse(bodyText(post(service, `{"jsonrpc":"2.0","id":1,"method":"app/postE","params":${params}}`)));
  assert.deepEqual(ask(`{"a":${deep}}`).error, { code: -32602, message: "The parameters nest too deep" });
  assert.equal(ask(`{"headers":{"a":${deep}}}`).error.code, -32602);
  assert.equal(ask(deep).error.code, -32602);
  assert.equal(post(service, deep).status, 400);
  assert.equal(post(service, `[${deep}]`).status, 200);
  assert.equal(service.node.fatal, undefined);
});

serviceTest("a batch whose answers are too long is answered in part, and the node goes on", "native", (service) => {
  const msg = "x".repeat(900_000);
  assert.equal(call(service, "app/postLogPublic", { id: 7, msg }).result, true);
  const read = { jsonrpc: "2.0", id: 1, method: "app/getLogPublic", params: { id: 7 } };
  const write = { jsonrpc: "2.0", id: 2, method: "app/postLogPublic", params: { id: 8, msg: "y" } };
  const notification = { ...write, id: undefined, params: { id: 9, msg: "z" } };
  const response = post(service, [...Array(997).fill(read), write, notification]);
  assert.equal(response.status, 200);
  assert.ok(response.body.length <= MAX_JSON_RPC_ANSWER_CHARACTERS + 998 * 300);
  const answers = JSON.parse(bodyText(response));
  assert.equal(answers.length, 998);
  const whole = Math.floor(MAX_JSON_RPC_ANSWER_CHARACTERS / 900_100);
  assert.equal(answers[whole - 1].result.msg, msg);
  assert.match(answers[whole].error.message, /^Called, but cannot answer: the answers/);
  assert.match(answers[whole + 1].error.message, /^Not called: the answers/);
  assert.equal(call(service, "app/getLogPublic", { id: 8 }).error.code, -32050);
  assert.equal(call(service, "app/getLogPublic", { id: 9 }).result.msg, "z");
  assert.equal(service.node.fatal, undefined);
});
