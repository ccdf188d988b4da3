import { strict as assert } from "node:assert";
import { endpointCall, FakeContext, moduleOf } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

function respond(returned: string): unknown[] {
  const outcome = engine.callEndpoint(
    endpointCall(moduleOf(`export function f(request) { return ${returned}; }`), new FakeContext()),
  );
  if (outcome.kind === "failure") return [outcome.failure.message, ...(outcome.failure.details ?? [])];
  const { status, headers, body } = outcome.response;
  return [status, headers.map((header) => header.join(": ")).join(", "), new TextDecoder("latin1").decode(body)];
}

const JSON_TYPE = "content-type: application/json",
  TEXT = "content-type: text/plain",
  BYTES = "content-type: application/octet-stream";

Deno.test("a returned object becomes a response", () => {
  const table: readonly (readonly [returned: string, status: number, headers: string, body: string])[] = [
    [`{}`, 200, "", ""],
    [`[]`, 200, "", ""],
    [`() => 1`, 200, "", ""],
    [`new Date()`, 200, "", ""],
    [`{ body: undefined }`, 200, "", ""],
    [`{ body: null }`, 200, JSON_TYPE, "null"],
    [`{ body: 5.5 }`, 200, JSON_TYPE, "5.5"],
    [`{ body: NaN }`, 200, JSON_TYPE, "null"],
    [`{ body: false }`, 200, JSON_TYPE, "false"],
    [`{ body: [1, { a: "ü" }] }`, 200, JSON_TYPE, '[1,{"a":"Ã¼"}]'],
    [`{ body: "" }`, 200, TEXT, ""],
    [`{ body: "ü" }`, 200, TEXT, "Ã¼"],
    [`{ body: new String("a") }`, 200, JSON_TYPE, '"a"'],
    [`{ body: () => 1 }`, 200, JSON_TYPE, "undefined"],
    [`{ body: Symbol() }`, 200, JSON_TYPE, "undefined"],
    [`{ body: new ArrayBuffer(2) }`, 200, BYTES, "\0\0"],
    [`{ body: new Uint8Array([65, 66, 67]).subarray(1, 2) }`, 200, BYTES, "B"],
    [`{ body: new Uint16Array([65, 66]) }`, 200, BYTES, "A\0B\0"],
    [`{ body: new DataView(new ArrayBuffer(2)) }`, 200, JSON_TYPE, "{}"],
    [
      `{ body: Object.defineProperty(new Uint8Array([65, 66, 67, 68]).subarray(2), 'byteLength', { value: 100 }) }`,
      200,
      BYTES,
      "CD",
    ],
    [`{ get body() { return "got"; }, get statusCode() { return 202; } }`, 202, TEXT, "got"],
    [`Object.create({ body: "inherited" })`, 200, TEXT, "inherited"],
    [`{ statusCode: null }`, 200, "", ""],
    [`{ statusCode: 299 }`, 299, "", ""],
    [`{ statusCode: 404, body: { error: 1 } }`, 404, JSON_TYPE, '{"error":1}'],
    [`{ statusCode: 808 / 2 }`, 404, "", ""],
    [`{ headers: null }`, 200, "", ""],
    [`{ headers: "x" }`, 200, "", ""],
    [`{ headers: { a: 5, B: true, c: null, d: [1, 2], e: "ü" } }`, 200, "a: 5, B: true, c: null, d: 1,2, e: ü", ""],
    [`{ body: "x", headers: { "content-type": "text/html" } }`, 200, "content-type: text/html", "x"],
    [`{ body: "x", headers: { a: 1, "Content-Type": "text/html" } }`, 200, "Content-Type: text/html, a: 1", "x"],
    [
      `{ headers: Object.create({ inherited: 1 }, { hidden: { value: 1 }, own: { value: 1, enumerable: true } }) }`,
      200,
      "own: 1",
      "",
    ],
  ];
  for (const [returned, ...expected] of table) assert.deepEqual(respond(returned), expected, returned);
});

Deno.test("what is no response fails with CCF's sentence", () => {
  const invalid = (reason: string) => `Invalid endpoint function return value (${reason}`;
  for (const returned of ["undefined", "null", "5", "'text'", "true", "Symbol()", "1n"]) {
    assert.deepEqual(respond(returned), [invalid("not an object).")], returned);
  }
  for (const status of ["'200'", "200.5", "NaN", "Infinity", "2 ** 31", "true", "{}", "200n"]) {
    assert.deepEqual(respond(`{ statusCode: ${status} }`), [invalid("status code type).")], status);
  }
  for (const header of ["Symbol()", "{ toString() { throw 1; } }", "Object.create(null)"]) {
    assert.deepEqual(respond(`{ headers: { a: ${header} } }`), [invalid("header value type).")], header);
  }
  const cycle = `(() => { const a = {}; a.a = a; return { body: a }; })()`;
  for (
    const returned of [`{ body: 10n }`, cycle, `{ body: { toJSON() { throw 1; } } }`, `{ get body() { throw 1; } }`]
  ) {
    assert.equal(respond(returned)[0], invalid("error during JSON conversion of body)"), returned);
  }
});

Deno.test("a failed conversion keeps its details, and its full stop only without them", () => {
  const program = moduleOf(`export function f() { return { body: { toJSON() { throw new Error("mine"); } } }; }`);
  const context = new FakeContext();
  assert.deepEqual(engine.callEndpoint(endpointCall(program, context)), {
    kind: "failure",
    failure: {
      message: "Invalid endpoint function return value (error during JSON conversion of body)",
      details: [{ code: "JSException", message: "Error: mine", trace: "    at toJSON (/m.js)\n" }],
    },
  });
  assert.deepEqual(
    engine.callEndpoint(endpointCall(program, context, { returnExceptionDetails: false, logExceptionDetails: true })),
    {
      kind: "failure",
      failure: { message: "Invalid endpoint function return value (error during JSON conversion of body)." },
    },
  );
  assert.deepEqual(context.lines, [
    "fail app Failed to convert return value to JSON:Error: mine     at toJSON (/m.js)\n",
  ]);
});
