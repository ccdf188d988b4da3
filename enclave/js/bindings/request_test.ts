import { strict as assert } from "node:assert";
import type { AppRequest } from "../../app_engine.ts";
import type { PolicyCaller } from "../../frontend/caller.ts";
import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "../fake_context.ts";
import { loadQuickJs, ScriptEngine } from "../runtime.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

function run(body: string, fields: Parameters<typeof requestOf>[0] = {}, reused = false): string {
  const reuse = { key: body, maxCachedInterpreters: 3 };
  return textOutcome(engine.callEndpoint(endpointCall(
    moduleOf(`export function f(request) { ${body} }`),
    new FakeContext(),
    { request: requestOf(fields), ...(reused && { reuse }) },
  )));
}

const FIELDS: Partial<Omit<AppRequest, "body">> = {
  method: "PUT",
  path: "/app/log/a%20b",
  route: "/app/log/{id}",
  query: "x=1&y=ü z",
  params: { id: "a%20b", "__proto__x": "y" },
  headers: { host: "node:8000", "x-a": "1", accept: "*/*" },
};

Deno.test("a request has the members of js-apps.md §4, in order, made when asked for or at once", () => {
  for (const reused of [false, true]) {
    assert.equal(
      run(`return { body: request };`, FIELDS, reused),
      `200 {"headers":{"host":"node:8000","x-a":"1","accept":"*/*"},"query":"x=1&y=ü z","path":"/app/log/a%20b",` +
        `"method":"PUT","hostname":"node:8000","route":"/app/log/{id}","url":"/app/log/a%20b?x=1&y=ü z",` +
        `"params":{"id":"a%20b","__proto__x":"y"},"body":{},"caller":null}`,
    );
    assert.equal(
      run(`return { body: [request.hostname, request.url] };`, { headers: {} }, reused),
      `200 [null,"/app/log/1"]`,
    );
  }
});

Deno.test("members of a request behave like plain ones", () => {
  for (const reused of [false, true]) {
    assert.equal(
      run(
        `"use strict"; const same = request.params === request.params; request.params.id = "changed"; request.query = "new"; request.more = 1;
        delete request.headers; const { url, ...rest } = request;
        return { body: [same, request.params.id, request.query, Object.keys(request).length, Object.keys(rest).length, "headers" in request] };`,
        FIELDS,
        reused,
      ),
      `200 [true,"changed","new",10,9,false]`,
    );
  }
});

Deno.test("a caller has the shape of its policy", () => {
  const callers: readonly (PolicyCaller | null)[] = [
    null,
    { policy: "no_auth" },
    { policy: "any_cert", cert: "PEM" },
    { policy: "user_cert", id: "ab", data: { isAdmin: true }, cert: "PEM" },
    { policy: "member_cert", id: "ab", data: null, cert: "PEM" },
    { policy: "jwt", jwt: { keyIssuer: "https://i", header: { kid: "k" }, payload: { sub: "s", n: 1 } } },
  ];
  for (const caller of callers) {
    assert.equal(run(`return { body: request.caller };`, { caller }), `200 ${JSON.stringify(caller)}`);
  }
  const cose = {
    policy: "user_cose_sign1",
    id: "ab",
    data: null,
    cert: "PEM",
    cose: { content: new Uint8Array([104, 105]) },
  } as const;
  assert.equal(run(`return { body: ccf.bufToStr(request.caller.cose.content) };`, { caller: cose }), "200 hi");
  const all = { policy: ["user_cert", "user_cose_sign1"], user_cert: callers[3]!, user_cose_sign1: cose };
  assert.equal(
    run(
      `const { policy, user_cert, user_cose_sign1 } = request.caller;
      return { body: [policy, user_cert.data.isAdmin, user_cose_sign1.cose.content.byteLength] };`,
      { caller: all },
    ),
    `200 [["user_cert","user_cose_sign1"],true,2]`,
  );
});

Deno.test("a body can be read as text, JSON and bytes, again and again", () => {
  assert.equal(
    run(
      `const { body } = request; return { body: [body.text(), body.json().a, body.arrayBuffer().byteLength, body.text().length] };`,
      { body: `{"a":"ü"}` },
    ),
    `200 ["{\\"a\\":\\"ü\\"}","ü",10,9]`,
  );
  assert.equal(
    run(`return { body: request.body.text() };`, { body: new Uint8Array([0x61, 0xff, 0, 0x62]) }),
    "200 a\ufffd\0b",
  );
  assert.equal(
    run(`return { body: request.body.arrayBuffer() };`, { body: new Uint8Array([0x61, 0, 0x62]) }),
    "200 a\0b",
  );
  assert.equal(run(`return { body: [request.body.text(), request.body.arrayBuffer().byteLength] };`), `200 ["",0]`);
});

Deno.test("a body that is no JSON throws a SyntaxError, whose trace begins in the body", () => {
  assert.equal(
    run(`\n  return request.body.json();\n`, { body: `{"a":\n1,}` }),
    "500 Exception thrown while executing. SyntaxError: expecting property name\n    at <body>:2\n    at json (native)\n    at f (/m.js:2)\n",
  );
  for (const body of ["", "{", `{"a":1}\0`, "\0", `"\u0001"`, "[1] x", "NaN", "\ufeff1"]) {
    assert.equal(
      run(`try { return request.body.json(); } catch (e) { return { body: e.name }; }`, { body }),
      "200 SyntaxError",
      JSON.stringify(body),
    );
  }
});

Deno.test("body methods take no argument", () => {
  for (const name of ["text", "json", "arrayBuffer"]) {
    assert.equal(
      run(`request.body.${name}(1);`),
      `500 Exception thrown while executing. TypeError: Passed 1 arguments, but expected none\n    at ${name} (native)\n    at f (/m.js)\n`,
    );
  }
});

Deno.test("a request that is kept by a reused interpreter stays what it was", () => {
  const program = moduleOf(
    `let kept; export function f(request) { kept ??= request; return { body: [kept.params.id, kept.caller.id, request.params.id] }; }`,
  );
  const go = (id: string) =>
    textOutcome(engine.callEndpoint(endpointCall(program, new FakeContext(), {
      reuse: { key: "kept", maxCachedInterpreters: 3 },
      request: requestOf({ params: { id }, caller: { policy: "user_cert", id, data: null, cert: "" } }),
    })));
  assert.equal(go("one"), `200 ["one","one","one"]`);
  assert.equal(go("two"), `200 ["one","one","two"]`);
});
