import { strict as assert } from "node:assert";
import { bodyText, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";

interface OpenRpcMethod {
  readonly name: string;
  readonly params: readonly { readonly name: string; readonly required: boolean }[];
  readonly [other: string]: unknown;
}

function rpc({ node, userCertificate }: InlineService, method: string, params: unknown = {}): Record<string, unknown> {
  const response = node.request({
    method: "POST",
    target: "/rpc",
    body: { jsonrpc: "2.0", id: 1, method, params },
    certificate: userCertificate,
  });
  return JSON.parse(bodyText(response));
}

function errorCode(answer: Record<string, unknown>): number | undefined {
  return (answer.error as { code: number } | undefined)?.code;
}

function discovered(service: InlineService): OpenRpcMethod[] {
  return (rpc(service, "rpc.discover").result as { methods: OpenRpcMethod[] }).methods;
}

function names(service: InlineService, prefix: string): string[] {
  return discovered(service).map(({ name }) => name).filter((name) => name.startsWith(prefix)).sort();
}

const body = (text: string) => ({ js: `return { body: '${text}' }` });

serviceTest("an endpoint has the name of its route, and a short one", {
  "GET /log/raw_text/{id}": { js: "return { body: request.params.id }" },
  "POST /log": body("post"),
  "DELETE /a-b.c/{xId}:withdraw": { js: "return { body: request.params.xId }" },
  "GET /": body("root"),
  "PUT /kv/{map_name}/{key}": { js: "return { body: request.params.map_name + request.params.key }" },
}, (service) => {
  assert.deepEqual(names(service, "app/").filter((name) => !/commit|receipt|tx|api/i.test(name)), [
    "app/DELETE /a-b.c/{xId}:withdraw",
    "app/GET /",
    "app/GET /log/raw_text/{id}",
    "app/POST /log",
    "app/PUT /kv/{map_name}/{key}",
    "app/deleteABCByXIdWithdraw",
    "app/get",
    "app/getLogRawTextById",
    "app/postLog",
    "app/putKvByMapNameByKey",
  ]);
  assert.equal(rpc(service, "app/GET /log/raw_text/{id}", { id: "7" }).result, "7");
  assert.equal(rpc(service, "app/getLogRawTextById", { id: "7" }).result, "7");
  assert.equal(rpc(service, "app/postLog").result, "post");
  assert.equal(rpc(service, "app/get").result, "root");
  assert.equal(rpc(service, "app/deleteABCByXIdWithdraw", { xId: "1" }).result, "1");
  assert.equal(rpc(service, "app/putKvByMapNameByKey", { map_name: "m", key: "k" }).result, "mk");
});

serviceTest("built-in endpoints have the names that the rules give them", "native", (service) => {
  const all = new Set(discovered(service).map(({ name }) => name));
  for (
    const name of [
      "app/getCommit",
      "app/GET /commit",
      "app/getLogPrivate",
      "node/getNetworkNodesByNodeId",
      "node/GET /network/nodes/{node_id}",
      "node/headPrimary",
      "gov/getServiceJavascriptModulesByModuleName",
      "gov/getMembersProposalsByProposalIdBallotsByMemberId",
      "rpc.discover",
    ]
  ) assert(all.has(name), name);
});

serviceTest("clients of 2019 find the frontends under their old names", "native", (service) => {
  for (const [old, now] of [["users", "app"], ["members", "gov"], ["nodes", "node"]]) {
    assert.deepEqual(
      names(service, `${old}/`).map((name) => name.slice(old!.length)),
      names(service, `${now}/`).map((name) => name.slice(now!.length)),
    );
    assert.match(
      String((rpc(service, `${old}/getCommit`).result as { transaction_id: string }).transaction_id),
      /^2\./,
    );
  }
  const old = discovered(service).filter(({ deprecated }) => deprecated === true);
  assert(old.every(({ name }) => /^(users|members|nodes)\//.test(name)));
});

serviceTest("an operationId that the app wrote is an alias, and one that is generated is not", {
  "GET /a": { ...body("a"), openapi: { operationId: "FetchA", summary: "Fetches a" } },
  "GET /hidden": { ...body("h"), openapi: { operationId: "FetchHidden" }, hidden: true },
  "GET /odd": { ...body("o"), openapi: { operationId: 7 } },
  "GET /same": { ...body("s"), openapi: { operationId: "getSame" } },
}, (service) => {
  assert.equal(rpc(service, "app/FetchA").result, "a");
  assert.equal(rpc(service, "app/getA").result, "a");
  assert.equal(rpc(service, "app/FetchHidden").result, "h");
  assert.equal(rpc(service, "app/getSame").result, "s", "an alias equal to its own short name takes nothing away");
  assert.equal(errorCode(rpc(service, "app/GetAppCommit")), -32601);
  assert.equal(errorCode(rpc(service, "node/GetNodeState")), -32601);
  const document = discovered(service);
  assert.equal(document.find(({ name }) => name === "app/FetchA")!.summary, "Fetches a");
  assert(document.some(({ name }) => name === "app/FetchHidden"));
});

serviceTest("a short name that two endpoints would get belongs to neither, and their routes remain", {
  "GET /a/b": body("1"),
  "GET /a-b": body("2"),
  "GET /x": { ...body("x"), openapi: { operationId: "getY" } },
  "GET /y": body("y"),
  "GET /p": { ...body("p"), openapi: { operationId: "both" } },
  "GET /q": { ...body("q"), openapi: { operationId: "both" } },
  "GET /r": { ...body("r"), openapi: { operationId: "both" } },
  "GET /s": { ...body("s"), openapi: { operationId: "GET /y" } },
  "GET /receipt/": body("near a built-in one"),
}, (service) => {
  for (const name of ["getAB", "getY", "both", "getReceipt"]) {
    assert.equal(errorCode(rpc(service, `app/${name}`)), -32601, name);
    assert(!names(service, "app/").includes(`app/${name}`));
  }
  for (const [route, result] of [["/a/b", "1"], ["/a-b", "2"], ["/x", "x"], ["/y", "y"], ["/q", "q"], ["/r", "r"]]) {
    assert.equal(rpc(service, `app/GET ${route}`).result, result);
  }
  assert.equal(rpc(service, "app/getX").result, "x");
  assert.equal(rpc(service, "app/GET /y").result, "y", "a route is always its own endpoint's");
  assert.equal(rpc(service, "app/getS").result, "s");
});

serviceTest("an app's route hides the built-in one, and its names with it", {
  "GET /commit": body("mine"),
}, (service) => {
  assert.equal(rpc(service, "app/getCommit").result, "mine");
  assert.equal(rpc(service, "app/GET /commit").result, "mine");
  assert.equal(names(service, "app/").filter((name) => name.endsWith("ommit")).length, 2);
});

serviceTest("rpc.discover answers an OpenRPC document with unique names and the parameters of each", {
  "GET /log/{id}": { js: "return {}" },
  "GET /{a}/{a}/x": { js: "return {}" },
  "GET nowhere": { js: "return {}" },
}, (service) => {
  const document = rpc(service, "rpc.discover").result as {
    openrpc: string;
    info: { title: string; version: string };
    methods: OpenRpcMethod[];
  };
  assert.match(document.openrpc, /^1\.\d+\.\d+$/);
  assert.equal(typeof document.info.title, "string");
  assert.equal(typeof document.info.version, "string");
  const all = document.methods.map(({ name }) => name);
  assert.equal(new Set(all).size, all.length);
  for (const { name, params, result } of document.methods) {
    assert.equal(typeof (result as { name: string }).name, "string", name);
    assert.equal(new Set(params.map((param) => param.name)).size, params.length, name);
  }
  const method = document.methods.find(({ name }) => name === "app/getLogById")!;
  assert.deepEqual(method.params, [{ name: "id", required: true, schema: { type: "string" } }]);
  const commit = document.methods.find(({ name }) => name === "node/getCommit")!;
  assert.deepEqual(commit.params.map(({ name, required }) => [name, required]), [
    ["view_history", false],
    ["view_history_since", false],
  ]);
  assert(!all.includes("app/GET nowhere"), "it can never be reached");
});

/** Calls every name with something in each place, and one that is not listed. */
function callAll(service: InlineService): void {
  const listed = discovered(service);
  for (const { name, params } of listed) {
    if (name.includes("DELETE ") || /\/(delete|post|put)/.test(name)) continue;
    const filled = Object.fromEntries(params.filter(({ required }) => required).map((param) => [param.name, "1"]));
    const code = errorCode(rpc(service, name, filled));
    assert.notEqual(code, -32601, name);
  }
}

serviceTest("every name that rpc.discover lists works, with the native app", "native", callAll);
serviceTest("every name that rpc.discover lists works, with a script", {
  "GET /a/{b}": { js: "return {}", openapi: { operationId: "x y" } },
  "GET /é": { js: "return {}" },
  "FOO /a": { js: "return {}" },
}, callAll);

serviceTest("before the service is open rpc.discover lists what works then", "native", (service) => {
  assert.deepEqual(names(service, "app/"), []);
  assert.deepEqual(names(service, "users/"), []);
  assert(names(service, "node/").length > 50);
  callAll(service);
  const answer = rpc(service, "app/getCommit");
  assert.equal(errorCode(answer), -32050);
  assert.equal((answer.error as { message: string }).message, "Frontend is not open.");
}, { closed: true });

serviceTest("names change with the app", { "GET /a": body("a") }, (service) => {
  assert.equal(rpc(service, "app/getA").result, "a");
  service.node.write((tx) => {
    const table = tx.openRaw("public:ccf.gov.endpoints");
    const [key, value] = [...table.entries()][0]!;
    table.remove(key);
    table.put("GET /b", value);
  });
  assert.equal(errorCode(rpc(service, "app/getA")), -32601);
  assert.equal(rpc(service, "app/getB").result, "a");
});

serviceTest("a name that nothing has is no method", "native", (service) => {
  const wrong = ["", "app", "app/", "/getCommit", "App/getCommit", "app/get /commit", "app/GET  /commit", "rpc.x"];
  for (const name of wrong) {
    const error = { code: -32601, message: `Method not found: ${name}` };
    assert.deepEqual(rpc(service, name), { jsonrpc: "2.0", id: 1, error });
  }
  const { message } = rpc(service, "x".repeat(1000)).error as { message: string };
  assert.equal(message, `Method not found: ${"x".repeat(200)}`);
});

serviceTest("what answers with a file has no JSON-RPC name", "native", (service) => {
  assert(!discovered(service).some(({ name }) => name.endsWith("GET /snapshot/{snapshot_name}")));
  assert.equal(errorCode(rpc(service, "node/GET /snapshot/{snapshot_name}", { snapshot_name: "x" })), -32601);
  assert(discovered(service).some(({ name }) => name === "node/headSnapshotBySnapshotName"));
});
