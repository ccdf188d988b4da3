import { strict as assert } from "node:assert";
import * as log from "./app/src/log.js";
import { FakeCcf } from "./fake_ccf.ts";
import app from "./app/app.json" with { type: "json" };

type Handler = (request: Request) => { statusCode?: number; body: unknown };

interface Request {
  query: string;
  body: { json(): unknown };
}

interface Endpoint {
  js_module: string;
  js_function: string;
  mode: string;
  forwarding_required: string;
  redirection_strategy: string;
  authn_policies: string[];
  openapi: { summary: string; responses: Record<string, unknown> };
}

const handlers = log as unknown as Record<string, Handler>;
const routes = Object.entries(app.endpoints as unknown as Record<string, Record<string, Endpoint>>)
  .flatMap(([path, verbs]) => Object.entries(verbs).map(([verb, endpoint]) => ({ path, verb, endpoint })));

/** Calls a route as a node would: the endpoint of a verb and path, with a query and a body. */
function call(ccf: FakeCcf, verb: string, path: string, query = "", body = ""): { status: number; body: unknown } {
  const endpoint = routes.find((route) => route.verb === verb && route.path === path)?.endpoint;
  assert.ok(endpoint, `${verb} ${path} is a route`);
  ccf.writable = endpoint.mode === "readwrite";
  const { statusCode = 200, body: answer } = ccf.run(() =>
    handlers[endpoint.js_function]!({ query, body: { json: () => JSON.parse(body) } })
  );
  return { status: statusCode, body: answer };
}

for (
  const [kind, table, other] of [["private", "records", "public:records"], ["public", "public:records", "records"]]
) {
  const path = `/log/${kind}`;

  Deno.test(`POST ${path} keeps a message as plain text under the text of its id`, () => {
    const ccf = new FakeCcf();
    const written = [{ id: 42, msg: "hello" }, { id: "forty-two", msg: 'Grüße, "quoted"' }, { id: -1, msg: "" }];
    for (const record of written) {
      assert.deepEqual(call(ccf, "post", path, "", JSON.stringify(record)), { status: 200, body: true });
    }
    assert.deepEqual(ccf.kv[table!]!.texts(), { "42": "hello", "forty-two": 'Grüße, "quoted"', "-1": "" });
    assert.equal(ccf.kv[other!]!.size, 0);
  });

  Deno.test(`GET ${path} answers with the message last written`, () => {
    const ccf = new FakeCcf();
    call(ccf, "post", path, "", '{"id":42,"msg":"first"}');
    call(ccf, "post", path, "", '{"id":"42","msg":"second"}');
    assert.deepEqual(call(ccf, "get", path, "id=42"), { status: 200, body: { msg: "second" } });
    assert.deepEqual(call(ccf, "get", path, "x=1&id=42&id=7"), { status: 200, body: { msg: "second" } });
    call(ccf, "post", path, "", '{"id":"a=b c","msg":"odd"}');
    assert.deepEqual(call(ccf, "get", path, "id=a=b c"), { status: 200, body: { msg: "odd" } });
  });

  Deno.test(`GET and DELETE ${path} answer 404 where there is no record`, () => {
    const ccf = new FakeCcf();
    const missing = { error: { code: "ResourceNotFound", message: "There is no record 42" } };
    assert.deepEqual(call(ccf, "get", path, "id=42"), { status: 404, body: missing });
    assert.deepEqual(call(ccf, "delete", path, "id=42"), { status: 404, body: missing });
  });

  Deno.test(`GET and DELETE ${path} answer 400 where the query names no record`, () => {
    const message = "The query must name a record, e.g. ?id=42";
    for (const verb of ["get", "delete"]) {
      for (const query of ["", "id", "id=", "ID=42", "xid=42"]) {
        assert.deepEqual(call(new FakeCcf(), verb, path, query), {
          status: 400,
          body: { error: { code: "InvalidInput", message } },
        }, `${verb} ?${query}`);
      }
    }
  });

  Deno.test(`POST ${path} answers 400 to what is not a record, and writes nothing`, () => {
    const message = 'The body must be a JSON object such as {"id": 42, "msg": "hello"}';
    const bad = [
      "",
      "{",
      "null",
      "42",
      '"text"',
      "[]",
      "{}",
      '{"id":42}',
      '{"msg":"hello"}',
      '{"id":42,"msg":7}',
      '{"id":42,"msg":null}',
      '{"id":"","msg":"hello"}',
      '{"id":null,"msg":"hello"}',
      '{"id":1.5,"msg":"hello"}',
      '{"id":1e300,"msg":"hello"}',
      '{"id":[42],"msg":"hello"}',
      '{"id":"a&b","msg":"hello"}',
    ];
    const ccf = new FakeCcf();
    for (const body of bad) {
      assert.deepEqual(call(ccf, "post", path, "", body), {
        status: 400,
        body: { error: { code: "InvalidInput", message } },
      }, body);
    }
    assert.equal(ccf.kv[table!]!.size, 0);
  });

  Deno.test(`DELETE ${path} removes one record, DELETE ${path}/all the rest, and GET ${path}/count counts`, () => {
    const ccf = new FakeCcf();
    for (const id of [1, 2, 3]) call(ccf, "post", path, "", JSON.stringify({ id, msg: "x" }));
    assert.deepEqual(call(ccf, "get", `${path}/count`), { status: 200, body: 3 });
    assert.deepEqual(call(ccf, "delete", path, "id=2"), { status: 200, body: true });
    assert.deepEqual(Object.keys(ccf.kv[table!]!.texts()), ["1", "3"]);
    assert.deepEqual(call(ccf, "delete", `${path}/all`), { status: 200, body: true });
    assert.deepEqual(call(ccf, "get", `${path}/count`), { status: 200, body: 0 });
  });
}

Deno.test("POST /log/private/anonymous says in the record that nobody knows who wrote it", () => {
  const ccf = new FakeCcf();
  assert.deepEqual(call(ccf, "post", "/log/private/anonymous", "", '{"id":1,"msg":"hi"}'), { status: 200, body: true });
  assert.deepEqual(call(ccf, "get", "/log/private", "id=1"), { status: 200, body: { msg: "Anonymous: hi" } });
});

Deno.test("app.json names functions that its modules export, and no export is left without a route", () => {
  assert.deepEqual(routes.map(({ endpoint }) => endpoint.js_module).filter((module) => module !== "log.js"), []);
  assert.deepEqual(routes.map(({ endpoint }) => endpoint.js_function).sort(), Object.keys(handlers).sort());
});

Deno.test("app.json routes the logging paths", () => {
  const expected = ["private", "public"].flatMap((kind) => [
    `get /log/${kind}`,
    `post /log/${kind}`,
    `delete /log/${kind}`,
    ...(kind === "private" ? ["post /log/private/anonymous"] : []),
    `get /log/${kind}/count`,
    `delete /log/${kind}/all`,
  ]);
  assert.deepEqual(routes.map(({ verb, path }) => `${verb} ${path}`), expected);
});

Deno.test("app.json reads on any node, writes on the primary, and lets strangers read public records and write unsigned ones", () => {
  for (const { path, verb, endpoint } of routes) {
    const how = [endpoint.mode, endpoint.forwarding_required, endpoint.redirection_strategy];
    const expected = verb === "get" ? ["readonly", "sometimes", "none"] : ["readwrite", "always", "to_primary"];
    assert.deepEqual(how, expected, `${verb} ${path}`);
    const open = { "get /log/public": ["user_cert", "no_auth"], "post /log/private/anonymous": ["no_auth"] };
    const policies = open[`${verb} ${path}` as keyof typeof open] ?? ["user_cert"];
    assert.deepEqual(endpoint.authn_policies, policies, `${verb} ${path}`);
  }
});

Deno.test("app.json describes every answer that a route gives", () => {
  for (const { path, verb, endpoint } of routes) {
    const expected = ["200"];
    if (!path.endsWith("/count") && !path.endsWith("/all")) expected.push("400");
    if (expected.length === 2 && verb !== "post") expected.push("404");
    assert.deepEqual(Object.keys(endpoint.openapi.responses), expected, `${verb} ${path}`);
    assert.notEqual(endpoint.openapi.summary, "");
  }
});
