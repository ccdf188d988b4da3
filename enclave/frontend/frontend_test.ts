import { strict as assert } from "node:assert";
import { toHex } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { bodyText, headerOf, odataError, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";
import { processRequest } from "./frontend.ts";
import { Session } from "./session.ts";

const TX_ID = "x-ms-ccf-transaction-id";

function ask({ node }: InlineService, line: string, interfaceName?: string): ReturnType<typeof node.request> {
  const [method, target] = line.split(" ") as [string, string];
  return node.request({ method, target }, interfaceName);
}

/** "404 ResourceNotFound Unknown path: /x." */
function refusal(service: InlineService, line: string, interfaceName?: string): string {
  const response = ask(service, line, interfaceName);
  if (response.body.length === 0) return String(response.status);
  const { code, message } = odataError(response);
  return `${response.status} ${code} ${message}`;
}

serviceTest("a request goes to the frontend that its first path segment names, else to the app", {
  "GET /where": { js: "return { body: request.path }" },
  "GET /app/where": { js: "return { body: 'app in app: ' + request.path }" },
}, (service) => {
  const unknown = (path: string) => `404 ResourceNotFound Unknown path: ${path}.`;
  assert.equal(bodyText(ask(service, "GET /app/where")), "/app/where");
  assert.equal(bodyText(ask(service, "GET /where")), "/where", "the app's endpoints need no prefix");
  assert.equal(bodyText(ask(service, "GET /app/app/where")), "app in app: /app/app/where");
  assert.equal(ask(service, "GET /commit").status, 200);
  for (
    const [target, path] of [
      ["/", "/"],
      ["", ""],
      ["/app", "/app"],
      ["/node", "/node"],
      ["/app/", "/"],
      ["//app/where", "//app/where"],
      ["/App/where", "/App/where"],
      ["/where/", "/where/"],
      ["/where#f", "/where#f"],
      ["https://127.0.0.1/app/where", "https://127.0.0.1/app/where"],
      ["/node/where", "/where"],
      ["/gov/where", "/where"],
      ["/constructor/where", "/constructor/where"],
    ] as const
  ) assert.equal(refusal(service, `GET ${target}`), unknown(path), target);
  assert.equal(bodyText(ask(service, "GET /where?x=1#f")), "/where");
});

serviceTest("an app's endpoints come before the built-in ones, and hide them", {
  "GET /commit": { js: "return { body: 'mine' }" },
  "POST /{any}": { js: "return { body: request.params.any }" },
}, (service) => {
  assert.equal(bodyText(ask(service, "GET /app/commit")), "mine");
  assert.equal(bodyText(ask(service, "POST /app/tx")), "tx");
  assert.match(bodyText(ask(service, "GET /node/commit")), /transaction_id/);
  assert.match(refusal(service, "GET /app/tx"), /^400 InvalidQueryParameterValue/);
});

serviceTest("a path that is there for other verbs says for which, and OPTIONS asks for them", {
  "GET /a": {},
  "PUT /{x}": {},
  "GET /b": {},
  "OPTIONS /b": { js: "return { body: 'mine' }" },
}, (service) => {
  const response = ask(service, "POST /app/a");
  assert.equal(
    refusal(service, "POST /app/a"),
    "405 UnsupportedHttpVerb Allowed methods for '/a' are: OPTIONS, GET, PUT.",
  );
  assert.deepEqual(response.headers, [["allow", "OPTIONS, GET, PUT"], ["content-type", "application/json"]]);
  assert.equal(ask(service, "HEAD /app/a").status, 405, "HEAD is a verb of its own");
  const options = ask(service, "OPTIONS /app/a");
  assert.deepEqual([options.status, options.headers, options.body.length], [204, [["allow", "OPTIONS, GET, PUT"]], 0]);
  assert.equal(refusal(service, "OPTIONS /app/a/b"), "404 ResourceNotFound Unknown path: /a/b.");
  assert.equal(bodyText(ask(service, "OPTIONS /app/b")), "mine");
  assert.equal(ask(service, "OPTIONS /app/commit").status, 204);
});

serviceTest("two templates that match are an error that names them", {
  "GET /{a}/x": {},
  "GET /x/{b}": {},
}, (service) => {
  assert.equal(
    refusal(service, "GET /app/x/x"),
    "500 InternalError Found multiple potential endpoints for /x/x: /x/{b}, /{a}/x",
  );
  assert.equal(ask(service, "GET /app/y/x").status, 200);
});

serviceTest("before the service is open there is only /node and /gov", "native", (service) => {
  const closed = "404 FrontendNotOpen Frontend is not open.";
  for (const target of ["/app/commit", "/commit", "/app/nothing", "/", "/log/private"]) {
    assert.equal(refusal(service, `GET ${target}`), closed, target);
  }
  assert.equal(ask(service, "GET /node/state").status, 200);
  assert.equal(ask(service, "GET /gov/service/info?api-version=2024-07-01").status, 200);
  assert.equal(ask(service, "GET /node/ready/gov").status, 204);
  assert.equal(ask(service, "GET /node/ready/app").status, 503);
}, { closed: true });

serviceTest("answers name the transaction they hold at, where they committed one that touched a table", {
  "GET /read": { js: "return { body: ccf.kv.t.size }", mode: "readonly" },
  "POST /write": { js: "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf('v')); return { statusCode: 201 }" },
  "POST /refuse": { js: "ccf.kv.t.set(ccf.strToBuf('no'), ccf.strToBuf('v')); return { statusCode: 400 }" },
  "POST /keep": {
    js: "ccf.kv.t.set(ccf.strToBuf('kept'), ccf.strToBuf('v')); ccf.rpc.setApplyWrites(true); throw new Error('x')",
  },
  "POST /drop": {
    js: "ccf.kv.t.set(ccf.strToBuf('no'), ccf.strToBuf('v')); ccf.rpc.setApplyWrites(false); return {}",
  },
  "POST /secret": { policies: ["user_cert"] },
}, (service) => {
  const at = (line: string) => {
    const response = ask(service, line);
    return [response.status, headerOf(response, TX_ID)];
  };
  const version = service.node.entries.length;
  assert.deepEqual(at("GET /app/read"), [200, `2.${version}`]);
  assert.deepEqual(at("GET /app/commit"), [200, `2.${version}`], "finding a script's endpoints reads a table");
  assert.deepEqual(at("POST /app/write"), [201, `2.${version + 1}`]);
  assert.deepEqual(at("POST /app/refuse"), [400, undefined]);
  assert.deepEqual(at("POST /app/drop"), [200, undefined]);
  assert.deepEqual(at("POST /app/secret"), [401, undefined]);
  assert.deepEqual(at("GET /app/nothing"), [404, undefined]);
  assert.equal(service.node.entries.length, version + 1);
  assert.deepEqual(at("POST /app/keep"), [500, `2.${version + 2}`]);
  assert.equal(bodyText(ask(service, "GET /app/read")), "2");
  assert.deepEqual(at("GET /node/state"), [200, `2.${version + 2}`]);
  for (const target of ["/node/version", "/node/commit", "/node/api", "/gov/commit", "/gov/api"]) {
    assert.deepEqual(at(`GET ${target}`), [200, undefined], target);
  }
});

serviceTest("finding a native endpoint touches no table", "native", (service) => {
  assert.equal(headerOf(ask(service, "GET /app/commit"), TX_ID), undefined);
  assert.equal(headerOf(ask(service, "GET /app/api"), TX_ID), undefined);
});

serviceTest("a response's headers are lower case and in order, and text in them goes as UTF-8", {
  "GET /h": { js: "return { headers: { 'X-B': 'é', 'x-a': 5, 'Content-Type': 'text/x' }, body: 'b' }" },
}, (service) => {
  const { headers } = ask(service, "GET /app/h");
  assert.deepEqual(headers.slice(0, 2), [["content-type", "text/x"], ["x-a", "5"]]);
  assert.deepEqual(headers[2], ["x-b", "\u00c3\u00a9"]);
  assert.equal(headers[3]![0], TX_ID);
});

serviceTest("a script cannot say that its answer holds at another transaction", {
  "GET /h": { js: "return { headers: { 'X-Ms-Ccf-Transaction-Id': '9.9', 'z': '1' } }" },
}, (service) => {
  const { headers } = ask(service, "GET /app/h");
  assert.deepEqual(headers, [[TX_ID, `2.${service.node.entries.length}`], ["z", "1"]]);
});

serviceTest("claims that a script sets are those of its transaction", {
  "POST /c": {
    js: "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf('v'));" +
      "ccf.rpc.setClaimsDigest(ccf.crypto.digest('SHA-256', ccf.strToBuf('claimed'))); return {}",
  },
}, (service) => {
  ask(service, "POST /app/c");
  const entry = LedgerEntry.parse(service.node.entries.at(-1)!);
  assert.equal(
    entry.claimsDigest && toHex(entry.claimsDigest),
    toHex(noblePrimitives.sha256(new TextEncoder().encode("claimed"))),
  );
});

serviceTest("a session that began in another view is over", "native", ({ node }) => {
  const session = new Session("primary_rpc_interface", null);
  const request = { method: "GET", target: "/node/state", headers: [], body: new Uint8Array() };
  const inner = node.enclave.node!;
  assert.equal(processRequest(inner, session, request).status, 200);
  assert.equal(session.view, 2);
  session.view = 1;
  const response = processRequest(inner, session, request);
  assert.equal(response.status, 500);
  assert.equal(odataError(response).code, "SessionConsistencyLost");
  assert.equal(response.close, true);
});

serviceTest(
  "the first request that runs fixes a session's view, and what is refused before does not run",
  "native",
  (
    { node },
  ) => {
    const session = new Session("primary_rpc_interface", null);
    const ask = (target: string) =>
      processRequest(node.enclave.node!, session, { method: "GET", target, headers: [], body: new Uint8Array() })
        .status;
    assert.equal(ask("/app/commit"), 404);
    assert.equal(session.view, undefined);
    assert.equal(ask("/node/nothing"), 404);
    assert.equal(session.view, undefined);
    assert.equal(ask("/node/state"), 200);
    assert.equal(session.view, 2);
  },
  { closed: true },
);

const ADDRESS = { bind_address: "127.0.0.1:1", published_address: "127.0.0.1:1" };

serviceTest("an interface lets through what its configuration says, by the templated path", {
  "GET /log/{id}": {},
}, (service) => {
  const status = (line: string, interfaceName: string) => ask(service, line, interfaceName).status;
  // No rules, and an interface that nobody configured.
  assert.equal(status("GET /node/state", "open"), 200);
  assert.equal(status("GET /node/state", "unheard_of"), 200);
  // Patterns match whole paths, with templates as they are written.
  assert.equal(status("GET /node/state", "some"), 200);
  assert.equal(status("GET /node/state?x=1", "some"), 200);
  assert.equal(status("GET /node/statement", "some"), 404, "unknown paths are found out first");
  assert.equal(status("GET /app/log/7", "some"), 200);
  assert.equal(status("GET /log/7", "some"), 200, "the frontend's name belongs to the path even where it was left out");
  const refused = ask(service, "GET /node/network", "some");
  assert.deepEqual([refused.status, refused.headers, refused.body.length], [503, [], 0]);
  assert.equal(status("GET /node/network/nodes", "some"), 503);
  // Without protection nothing is let through that is not named.
  assert.equal(status("GET /node/state", "unsecured"), 503);
  assert.equal(status("GET /node/state", "unsecured_some"), 200);
  assert.equal(status("GET /node/network", "unsecured_some"), 503);
  assert.equal(status("POST /node/state", "unsecured"), 405);
  // Operator features come first, and answer as if nothing were there.
  const hidden = ask(service, "GET /node/snapshot", "open");
  assert.deepEqual([hidden.status, hidden.headers, hidden.body.length], [404, [], 0]);
  assert.notEqual(status("GET /node/snapshot", "snapshots"), 404);
  assert.equal(status("GET /node/snapshot", "some"), 404);
}, {
  change: {
    rpcInterfaces: {
      open: ADDRESS,
      some: { ...ADDRESS, accepted_endpoints: ["/node/state", "/app/log/\\{id\\}", "/node/snap.*"] },
      unsecured: { ...ADDRESS, endorsement: { authority: "Unsecured" } },
      unsecured_some: { ...ADDRESS, endorsement: { authority: "Unsecured" }, accepted_endpoints: ["/node/s.*"] },
      snapshots: { ...ADDRESS, enabled_operator_features: ["SnapshotRead"] },
    },
  },
});

serviceTest("with too much uncommitted, /app and /gov wait and /node does not", {
  "POST /w": { js: "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf('v')); return {}" },
}, (service) => {
  for (let i = 0; i < 3; i++) assert.equal(ask(service, "POST /app/w").status, 200);
  const waiting = "503 TooManyPendingTransactions Too many transactions wait to be committed; try again later";
  assert.equal(refusal(service, "POST /app/w"), waiting);
  assert.equal(refusal(service, "GET /app/commit"), waiting);
  assert.equal(refusal(service, "GET /gov/service/info?api-version=2024-07-01"), waiting);
  assert.equal(refusal(service, "GET /app/nothing"), waiting);
  assert.equal(ask(service, "GET /node/state").status, 200);
  service.node.advance(1000);
  assert.equal(ask(service, "POST /app/w").status, 200);
}, {
  change: {
    consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 3 },
    signatures: { txCount: 1000, delayMs: 1000 },
  },
});

serviceTest("a limit of 0 uncommitted transactions is none", "native", ({ node, userCertificate }) => {
  for (let id = 0; id < 20; id++) {
    const body = { id, msg: "x" };
    const response = node.request({ method: "POST", target: "/log/private", body, certificate: userCertificate });
    assert.equal(response.status, 200);
  }
}, {
  change: {
    consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 0 },
    signatures: { txCount: 1000, delayMs: 1000 },
  },
});

serviceTest("what the service has stored wrongly is the service's fault, not the client's", "native", (service) => {
  service.node.write((tx) => tx.openRaw("public:ccf.gov.nodes.info").put("x", new Uint8Array([0x7b])));
  const response = ask(service, "GET /node/network/nodes");
  assert.equal(response.status, 500);
  assert.match(odataError(response).message, /^Cannot use table public:ccf\.gov\.nodes\.info: /);
  assert.equal(ask(service, "GET /node/network/nodes/self").status, 200);
});
