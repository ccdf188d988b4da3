import { strict as assert } from "node:assert";
import { toUtf8 } from "../shared/bytes.ts";
import { ENDPOINTS, JS_RUNTIME_OPTIONS, MODULES, MODULES_QUICKJS_VERSION } from "../shared/governance/tables.ts";
import { Store } from "../shared/kv/store.ts";
import { appBundle, bodyText, odataError, serviceTest } from "../tests/inline_app.ts";
import type { InlineService } from "../tests/inline_service.ts";
import { refreshBytecodeCache } from "./governance/bytecode_cache.ts";
import { DEFAULT_JS_OPTIONS, installBundle, jsRuntimeOptions, storedEndpoints } from "./js_app.ts";
import type { AppBundle } from "./messages.ts";

function get({ node }: InlineService, target: string): ReturnType<typeof node.request> {
  return node.request({ method: "GET", target });
}

/** Rows as members might store them, by route. */
function putRow(service: InlineService, route: string, value: string | Uint8Array): void {
  service.node.write((tx) => {
    tx.openRaw(ENDPOINTS.name).put(route, typeof value === "string" ? toUtf8(value) : value);
  });
}

serviceTest("a bad row of the endpoints table fails its own endpoint and no other", {
  "GET /good": { js: "return { body: 'good' }" },
}, (service) => {
  const cases: readonly (readonly [value: string | Uint8Array, reason: RegExp])[] = [
    ["no JSON", /Cannot read 7 characters as JSON$/],
    [new Uint8Array([0xff]), /not UTF-8$/],
    ["[]", /it must be an object$/],
    ["{}", /Cannot read JSON at "\/js_module": it must be text$/],
    ['{"js_module":"/app.js","js_function":"f0","forwarding_required":"maybe"}', /forwarding_required/],
    ['{"js_module":"/app.js","js_function":"f0","forwarding_required":"never","authn_policies":[7]}', /authn_policies/],
    ['{"js_module":"/app.js","js_function":"f0","forwarding_required":"never","mode":"both"}', /mode/],
  ];
  for (const [value, reason] of cases) {
    putRow(service, "GET /bad", value);
    const response = get(service, "/app/bad");
    assert.equal(response.status, 500);
    assert.equal(odataError(response).code, "InternalError");
    assert.match(odataError(response).message, /^Cannot use endpoint GET \/bad: /);
    assert.match(odataError(response).message, reason);
    assert.equal(bodyText(get(service, "/app/good")), "good");
    assert.equal(get(service, "/app/commit").status, 200);
    const paths = JSON.parse(bodyText(get(service, "/app/api"))).paths;
    assert("/app/good" in paths && !("/app/bad" in paths));
    const listed = get(service, "/gov/service/javascript-app?api-version=2024-07-01");
    assert.equal(listed.status, 200);
    assert.deepEqual(Object.keys(JSON.parse(bodyText(listed)).endpoints), ["/bad", "/good"]);
  }
  assert.equal(service.node.request({ method: "PUT", target: "/app/bad" }).status, 405);
});

serviceTest("keys of the endpoints table that are no routes are nobody's endpoints", {
  "GET /good": { js: "return { body: 'good' }" },
}, (service) => {
  const value = '{"js_module":"/app.js","js_function":"f0","forwarding_required":"never"}';
  for (const key of ["", "GET", "GET nowhere", " /x", "\u00ff\u00fe"]) putRow(service, key, value);
  assert.equal(bodyText(get(service, "/app/good")), "good");
  assert.equal(get(service, "/app/nowhere").status, 404);
  assert.equal(get(service, "/nowhere").status, 404);
  assert.equal(get(service, "/app/api").status, 200);
  assert.equal(get(service, "/gov/service/javascript-app?api-version=2024-07-01").status, 200);
});

serviceTest("a module that is not UTF-8 fails where it is used", {
  "GET /good": { js: "return { body: 'good' }" },
}, (service) => {
  service.node.write((tx) => tx.openRaw(MODULES.name).put("/other.js", new Uint8Array([0xff])));
  assert.equal(bodyText(get(service, "/app/good")), "good");
  assert.equal(get(service, "/gov/service/javascript-app?api-version=2024-07-01").status, 200);
});

serviceTest("a new app is there from the next request on, and the old one is gone", {
  "GET /old": { js: "return { body: 'old' }" },
  "GET /both": { js: "return { body: 'old' }" },
}, (service) => {
  assert.equal(bodyText(get(service, "/app/both")), "old");
  service.node.write((tx) => installBundle(tx, appBundle({ "GET /both": { js: "return { body: 'new' }" } })));
  assert.equal(bodyText(get(service, "/app/both")), "new");
  assert.equal(get(service, "/app/old").status, 404);
  service.node.write((tx) => tx.open(MODULES).put("/app.js", "export function f0() { return { body: 'newer' } }"));
  assert.equal(bodyText(get(service, "/app/both")), "newer", "a module that changes is a new program");
});

serviceTest("limits of scripts are those that members set, from the next call on", {
  "GET /loop": { js: "while (true); return {}" },
  "GET /throw": { js: "throw new Error('why')" },
}, (service) => {
  const set = (options: Record<string, unknown>) =>
    service.node.write((tx) => tx.open(JS_RUNTIME_OPTIONS).put(options));
  set({ max_execution_time_ms: 20 });
  assert.equal(odataError(get(service, "/app/loop")).message, "Operation took too long to complete.");
  assert.equal("details" in odataError(get(service, "/app/throw")), false);
  set({ return_exception_details: true });
  const { details } = odataError(get(service, "/app/throw")) as unknown as { details: { message: string }[] };
  assert.equal(details[0]!.message, "Error: why");
  const metrics = JSON.parse(bodyText(get(service, "/node/js_metrics")));
  assert.equal(metrics.max_execution_time, 5000, "what is not set has its default");
});

serviceTest("an endpoint's mode decides whether it writes", {
  "GET /ro": { js: "ccf.kv.t.set(ccf.strToBuf('k'), ccf.strToBuf('v')); return {}", mode: "readonly" },
  "GET /past": { mode: "historical" },
}, (service) => {
  const version = service.node.entries.length;
  assert.equal(get(service, "/app/ro").status, 500);
  assert.equal(service.node.entries.length, version);
  assert.equal(odataError(get(service, "/app/past")).code, "NotImplemented");
});

serviceTest("a script is told of its request in full", {
  "PUT /e/{a}": {
    js: `return { body: { headers: request.headers, query: request.query, path: request.path, method: request.method,
      hostname: request.hostname, route: request.route, url: request.url, params: request.params,
      body: request.body.text(), caller: request.caller } }`,
    policies: ["user_cert"],
  },
}, ({ node, userCertificate }) => {
  const response = node.request({
    method: "PUT",
    target: "/app/e/%41?x=%41&y",
    headers: [["host", "h:1"], ["x-a", "1"], ["x-a", "2"]],
    body: "é",
    certificate: userCertificate,
  });
  const { caller, ...seen } = JSON.parse(bodyText(response));
  assert.deepEqual(seen, {
    headers: { host: "h:1", "x-a": "1" },
    query: "x=A&y",
    path: "/app/e/%41",
    method: "PUT",
    hostname: "h:1",
    route: "/app/e/{a}",
    url: "/app/e/%41?x=A&y",
    params: { a: "%41" },
    body: "é",
  });
  assert.deepEqual(Object.keys(caller), ["policy", "id", "data", "cert"]);
});

Deno.test("installBundle() replaces what was there, and refuses modules that are not in the bundle", () => {
  const store = new Store();
  const install = (bundle: AppBundle) => {
    const tx = store.begin();
    installBundle(tx, bundle);
    store.apply(store.version + 1, tx.writeSet());
    return [...storedEndpoints(store.begin())].map(({ method, path }) => `${method} ${path}`);
  };
  assert.deepEqual(install(appBundle({ "get /a": {}, "POST /b/{c}": {} })), ["GET /a", "POST /b/{c}"]);
  assert.deepEqual(install(appBundle({ "GET /d": {} })), ["GET /d"]);
  const missing: AppBundle = {
    metadata: { endpoints: { "/a": { get: { js_module: "b.js", js_function: "f" } } } },
    modules: [],
  };
  assert.throws(() => install(missing), {
    message: "Cannot install the app: GET /a names module 'b.js', not found in bundle",
  });
});

Deno.test("jsRuntimeOptions() fills in defaults", () => {
  const store = new Store();
  assert.equal(jsRuntimeOptions(store.begin()).max_heap_bytes, 100 * 1024 * 1024);
  const tx = store.begin();
  tx.open(JS_RUNTIME_OPTIONS).put({ max_heap_bytes: 7 });
  assert.equal(jsRuntimeOptions(tx).max_heap_bytes, 7);
  assert.equal(jsRuntimeOptions(tx).max_stack_bytes, 1024 * 1024);
});

serviceTest("traces name modules with a slash while the tables say that this engine has compiled them", {
  "GET /throws": { js: "throw new Error('x')" },
}, (service) => {
  const { node } = service;
  const state = node.enclave.node!;
  const bundle = appBundle({ "GET /throws": { js: "throw new Error('x')" } });
  const seen = () => {
    const [detail] = JSON.parse(bodyText(get(service, "/app/throws"))).error.details;
    const metrics = JSON.parse(bodyText(get(service, "/node/js_metrics")));
    return [/\(.*\)/.exec(detail.trace)![0], metrics.bytecode_size, metrics.bytecode_used];
  };
  node.write((tx) => {
    tx.open(JS_RUNTIME_OPTIONS).put({
      ...DEFAULT_JS_OPTIONS,
      return_exception_details: true,
    });
    installBundle(tx, bundle);
  });
  assert.deepEqual(seen(), ["(app.js)", 0, false]);
  node.write((tx) => refreshBytecodeCache(tx, state));
  assert.deepEqual(seen(), ["(/app.js)", 32, true]);
  node.write((tx) => tx.open(MODULES_QUICKJS_VERSION).put("2024-01-13")); // as CCF leaves it
  assert.deepEqual(seen(), ["(app.js)", 32, false]);
  node.write((tx) => installBundle(tx, bundle));
  assert.deepEqual(seen(), ["(app.js)", 0, false]);
});
