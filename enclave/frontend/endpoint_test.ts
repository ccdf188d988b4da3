import { strict as assert } from "node:assert";
import fc from "fast-check";
import { type Endpoint, endpoint, EndpointTable, templateNames } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";

/** A table with these routes, and what it finds as "route {params}". */
function tableOf(...routes: readonly string[]): EndpointTable {
  return new EndpointTable(routes.map((route) => {
    const [method, path] = route.split(" ") as [string, string];
    return endpoint(method, path, "command", () => ({ status: 200, headers: [], body: new Uint8Array() }));
  }));
}

function found(table: EndpointTable, method: string, path: string): string | undefined {
  const match = table.find(method, path);
  return match && `${match.endpoint.path} ${JSON.stringify(match.params)}`;
}

const GOOD: readonly (readonly [routes: string[], request: string, found: string | undefined])[] = [
  [["GET /a"], "GET /a", "/a {}"],
  [["GET /a"], "POST /a", undefined],
  [["GET /a"], "GET /a/", undefined],
  [["GET /a"], "GET /A", undefined],
  [["GET /a/{x}"], "GET /a/1", '/a/{x} {"x":"1"}'],
  [["GET /a/{x}"], "GET /a/", undefined],
  [["GET /a/{x}"], "GET /a/1/2", undefined],
  [["GET /a/{x}"], "GET /b/a/1", undefined],
  // Raw: nothing is decoded.
  [["GET /a/{x}"], "GET /a/1%2F2", '/a/{x} {"x":"1%2F2"}'],
  [["GET /{x}/{y}"], "GET /1/2", '/{x}/{y} {"x":"1","y":"2"}'],
  // The character behind a brace ends a value.
  [["POST /p/{id}:withdraw"], "POST /p/1:withdraw", '/p/{id}:withdraw {"id":"1"}'],
  [["POST /p/{id}:withdraw"], "POST /p/1:2:withdraw", undefined],
  [["GET /{a}-{b}"], "GET /1-2", '/{a}-{b} {"a":"1","b":"2"}'],
  [["GET /{a}-{b}"], "GET /1-2-3", '/{a}-{b} {"a":"1","b":"2-3"}'],
  // Everything else of a template is literal.
  [["GET /a.b/{x}"], "GET /aXb/1", undefined],
  [["GET /(a|b)*/{x}"], "GET /(a|b)*/1", '/(a|b)*/{x} {"x":"1"}'],
  [["GET /a$/{x}"], "GET /a$/1", '/a$/{x} {"x":"1"}'],
  [["GET /{x}$"], "GET /1$", '/{x}$ {"x":"1"}'],
  // An exact path comes before a template, wherever it stands.
  [["GET /n/{x}", "GET /n/self"], "GET /n/self", "/n/self {}"],
  [["GET /n/self", "GET /n/{x}"], "GET /n/self", "/n/self {}"],
  [["POST /n/self", "GET /n/{x}"], "GET /n/self", '/n/{x} {"x":"self"}'],
  // HEAD and OPTIONS are verbs like others.
  [["GET /a"], "HEAD /a", undefined],
  [["HEAD /a"], "HEAD /a", "/a {}"],
  [["OPTIONS /a"], "OPTIONS /a", "/a {}"],
  // Names that objects have already.
  [["GET /a/{__proto__}"], "GET /a/1", '/a/{__proto__} {"__proto__":"1"}'],
  [["GET /a/{constructor}"], "GET /a/1", '/a/{constructor} {"constructor":"1"}'],
];

Deno.test("EndpointTable.find() finds exact paths and templates as CCF does", () => {
  for (const [routes, request, expected] of GOOD) {
    const [method, path] = request.split(" ") as [string, string];
    assert.equal(found(tableOf(...routes), method, path), expected, `${request} in ${routes}`);
  }
});

Deno.test("EndpointTable.find() refuses to choose between two templates, and names both", () => {
  const table = tableOf("GET /{a}/x", "GET /x/{b}", "POST /{a}/x");
  assert.throws(() => table.find("GET", "/x/x"), (error) => {
    assert(error instanceof OdataError);
    assert.equal(error.status, 500);
    assert.equal(error.code, "InternalError");
    assert.equal(error.message, "Found multiple potential endpoints for /x/x: /{a}/x, /x/{b}");
    return true;
  });
  assert.equal(found(table, "GET", "/1/x"), '/{a}/x {"a":"1"}');
  assert.equal(found(table, "POST", "/x/x"), '/{a}/x {"a":"x"}', "of another verb there is only one");
});

Deno.test("EndpointTable.verbsAt() lists the verbs of the exact path and of every template", () => {
  const table = tableOf("GET /a/b", "PUT /a/{x}", "DELETE /a/{x}", "POST /c");
  assert.deepEqual([...table.verbsAt("/a/b")].sort(), ["DELETE", "GET", "PUT"]);
  assert.deepEqual([...table.verbsAt("/a/c")].sort(), ["DELETE", "PUT"]);
  assert.deepEqual([...table.verbsAt("/d")], []);
});

Deno.test("EndpointTable keeps the first of two endpoints with one route", () => {
  const named = (name: string): Endpoint => ({
    ...endpoint("GET", "/a", "command", () => ({ status: 200, headers: [], body: new Uint8Array() })),
    described: { summary: name },
  });
  assert.equal(new EndpointTable([named("1"), named("2")]).find("GET", "/a")!.endpoint.described!.summary, "1");
});

Deno.test("endpoint() gives endpoints CCF's forwarding and redirection by kind", () => {
  const properties = (kind: "command" | "read-only" | "read-write", forwarding?: Endpoint["forwarding"]) => {
    const made = endpoint(
      "GET",
      "/a",
      kind,
      () => ({ status: 200, headers: [], body: new Uint8Array() }),
      forwarding && { forwarding },
    );
    return [made.mode, made.forwarding, made.redirection];
  };
  assert.deepEqual(properties("read-write"), ["readwrite", "always", "to_primary"]);
  assert.deepEqual(properties("read-only"), ["readonly", "sometimes", "none"]);
  assert.deepEqual(properties("command"), ["readonly", "sometimes", "none"]);
  assert.deepEqual(properties("read-write", "never"), ["readwrite", "never", "none"]);
});

Deno.test("templateNames() lists the names in order", () => {
  assert.deepEqual(templateNames("/a/{x}/{y}:b"), ["x", "y"]);
  assert.deepEqual(templateNames("/a"), []);
  assert.deepEqual(templateNames("/{unclosed"), []);
});

Deno.test("EndpointTable.find() gives back the values that a template was filled with", () => {
  const value = fc.string({ unit: fc.constantFrom(..."abc019.%~*()|^$"), minLength: 1, maxLength: 6 });
  const literal = fc.constantFrom("/", "/a/", "/x.y/", "/(b)*/", "/$/");
  fc.assert(fc.property(fc.array(fc.tuple(literal, value), { minLength: 1, maxLength: 4 }), (pieces) => {
    const template = pieces.map(([before], i) => `${before}{p${i}}`).join("");
    const path = pieces.map(([before, filled]) => before + filled).join("");
    const match = tableOf(`GET ${template}`).find("GET", path);
    assert.deepEqual({ ...match?.params }, Object.fromEntries(pieces.map(([, filled], i) => [`p${i}`, filled])));
  }));
});
