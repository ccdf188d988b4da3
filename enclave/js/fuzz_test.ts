/**
 * Random programs: whatever they do, a call ends with an outcome, and the next call finds its world as it should be.
 */

import { strict as assert } from "node:assert";
import fc from "fast-check";
import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

// A clock on which a second passes between two looks, so that loops end soon.
let nowMs = 0;
const engine = new ScriptEngine(await loadQuickJs(), () => nowMs += 1000);
const limits = { maxHeapBytes: 4_000_000, maxStackBytes: 200_000, maxExecutionTimeMs: 6000 };

const WITNESS = moduleOf(
  `let n = 0; export function f() { return { body: [n++, Reflect.ownKeys(globalThis).length, ({}).x] }; }`,
);
const PRISTINE = textOutcome(engine.callEndpoint(endpointCall(WITNESS, new FakeContext())));

function survives(source: string, reuse = false): void {
  const program = moduleOf(source);
  for (let i = 0; i < 2; i++) {
    const outcome = engine.callEndpoint(endpointCall(program, new FakeContext(), {
      limits,
      request: requestOf({ body: `{"id":1,"msg":"x"}` }),
      ...(reuse && { reuse: { key: "fuzz", maxCachedInterpreters: 2 } }),
    }));
    if (outcome.kind === "failure") assert.equal(typeof outcome.failure.message, "string");
    else assert.ok(Number.isInteger(outcome.response.status));
  }
  assert.equal(textOutcome(engine.callEndpoint(endpointCall(WITNESS, new FakeContext()))), PRISTINE);
}

/**
 * Expressions that grow out of each other; most of what is dangerous in an engine is among their leaves. Large numbers
 * are not: QuickJS does not interrupt its native loops, and sorting an array of length 2^32 - 1 takes its time.
 */
const { expression } = fc.letrec<{ expression: string }>((tie) => {
  const inner = tie("expression");
  const leaf = fc.constantFrom(
    ...[
      "0",
      "-1",
      "1.5",
      "NaN",
      "''",
      "'ab'.repeat(50)",
      "null",
      "undefined",
      "[]",
      "{}",
      "10n**99n",
      "/a*/g",
    ],
    ...[
      "request",
      "request.body",
      "request.body.json()",
      "request.caller",
      "request.headers",
      "globalThis",
      "this",
      "f",
      "ccf",
    ],
    ...[
      "ccf.kv.t",
      "ccf.kv['public:x']",
      "ccf.kv['ccf.gov.x']",
      "ccf.strToBuf",
      "ccf.bufToStr",
      "ccf.crypto",
      "ccf.consensus",
    ],
    ...[
      "ccf.rpc",
      "Object.prototype",
      "Array.prototype",
      "Function.prototype",
      "Proxy",
      "Reflect",
      "Symbol.iterator",
      "Promise",
    ],
    ...[
      "new ArrayBuffer(100)",
      "new Uint8Array(8)",
      "new DataView(new ArrayBuffer(4))",
      "new Map()",
      "new WeakMap()",
      "Date",
    ],
    ...[
      "new SharedArrayBuffer(8)",
      "Atomics",
      "JSON",
      "Math",
      "console",
      "eval",
      "Error",
      "new Error('x')",
      "WeakRef",
      "x",
      "y",
    ],
  );
  const name = fc.constantFrom(
    ...[
      "length",
      "constructor",
      "__proto__",
      "prototype",
      "get",
      "set",
      "has",
      "size",
      "forEach",
      "delete",
      "clear",
      "map",
      "call",
    ],
    ...[
      "apply",
      "bind",
      "toString",
      "valueOf",
      "toJSON",
      "then",
      "body",
      "statusCode",
      "headers",
      "stack",
      "message",
      "transfer",
    ],
    ...[
      "resize",
      "slice",
      "fill",
      "sort",
      "splice",
      "concat",
      "join",
      "replace",
      "exec",
      "raw",
      "next",
      "return",
      "throw",
    ],
  );
  return {
    expression: fc.oneof(
      { maxDepth: 5, depthIdentifier: "js" },
      leaf,
      fc.tuple(inner, name).map(([a, n]) => `(${a}).${n}`),
      fc.tuple(inner, name, inner).map(([a, n, b]) => `(${a}).${n}(${b})`),
      fc.tuple(inner, name, inner, inner).map(([a, n, b, c]) => `(${a}).${n}(${b}, ${c})`),
      fc.tuple(inner, name, inner).map(([a, n, b]) => `(${a}).${n} = ${b}`),
      fc.tuple(inner, inner).map(([a, b]) => `(${a})(${b})`),
      fc.tuple(inner, inner).map(([a, b]) => `new (${a})(${b})`),
      fc.tuple(inner, inner, fc.constantFrom("+", "in", "instanceof", "??", "==", ",")).map((
        [a, b, o],
      ) => `(${a}) ${o} (${b})`),
      inner.map((a) => `() => { ${a}; }`),
      inner.map((a) => `function* () { yield* ${a}; }`),
      inner.map((a) => `new Proxy(${a}, { get: (t, k) => t[k], ownKeys: () => ["a"], getPrototypeOf: () => t })`),
      inner.map((a) => `[...${a}]`),
      inner.map((a) => `({ ...${a}, toJSON() { return ${a}; }, [Symbol.toPrimitive]: () => ${a} })`),
      inner.map((a) => `Object.defineProperty(${a}, "x", { get() { return ${a}; } })`),
      inner.map((a) => `structured\`\${${a}}\``),
    ),
  };
});

const statement = fc.tuple(
  fc.constantFrom(
    ...[
      "E;",
      "try { E; } catch (e) { x = e; }",
      "try { E; } finally { y = E; }",
      "for (const v of E) { E; }",
      "for (const k in E) E;",
    ],
    ...[
      "if (E) { E; }",
      "while (E) { E; }",
      "var x = E, y = E;",
      "throw E;",
      "return E;",
      "return { body: E, headers: E, statusCode: E };",
    ],
    ...[
      "{ let x = E; class C extends (E) { constructor() { super(E); } } new C(); }",
      "switch (E) { case E: E; }",
      "label: do { E; break label; } while (E);",
    ],
  ),
  fc.array(expression, { minLength: 4, maxLength: 4 }),
).map(([form, expressions]) => {
  let i = 0;
  return form.replace(/\bE\b/g, () => expressions[i++ % 4]!);
});

const body = fc.array(statement, { maxLength: 5 }).map((statements) =>
  statements.map((s) => `try { ${s} } catch {}`).join("\n")
);

Deno.test("random programs end with an outcome, and leave nothing behind", () => {
  fc.assert(
    fc.property(body, body, fc.boolean(), (atLoad, inCall, reuse) => {
      survives(
        `var x, y; export function f(request) {\n${inCall}\nreturn { body: [x, y] };\n}\n(() => {\n${atLoad}\n})();`,
        reuse,
      );
    }),
    { numRuns: 120 },
  );
});

Deno.test("random text that looks like JavaScript ends with an outcome", () => {
  const token = fc.constantFrom(
    ..."export function f ( ) { } return import from await async class extends super yield => ... `${ } [ ] ; , . ? : = == + - / * 'a' \"b\" \\ \n 1 0x 1n x #p @ let const var if else for while try catch throw new this null"
      .split(" "),
    "/*",
    "*/",
    "//",
    "\u2028",
    "\0",
    "\ud800",
    "/(?:/",
    "\\u{1f600}",
  );
  fc.assert(fc.property(fc.array(token, { maxLength: 40 }), (tokens) => survives(tokens.join(" "))), { numRuns: 150 });
});

Deno.test("a valid program with a few characters changed ends with an outcome", () => {
  const source = `import * as self from "./m.js"; let n = 0; const kv = ccf.kv["records"];
    class Store { #key; constructor(key) { this.#key = ccf.strToBuf(key); } put(v) { kv.set(this.#key, ccf.jsonCompatibleToBuf(v)); return this; } }
    export function f(request) { const { id, msg } = request.body.json(); n++;
      for (const x of [id, msg]) try { new Store(String(x)).put({ x, n, self: Object.keys(self) }); } catch (e) { console.log(e); }
      return { body: \`\${n} \${/m(s)g/.exec("msg")?.[1]}\`, headers: { a: 1 }, statusCode: 200 }; }`;
  survives(source);
  const change = fc.tuple(fc.nat(source.length - 1), fc.nat(3), fc.string({ maxLength: 2 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let text = source;
      for (const [at, length, inserted] of changes) text = text.slice(0, at) + inserted + text.slice(at + length);
      survives(text);
    }),
    { numRuns: 150 },
  );
});

Deno.test("any request reaches a script", () => {
  const program = moduleOf(`export function f(request) {
    let json; try { json = request.body.json(); } catch { json = "none"; }
    return { body: [JSON.parse(JSON.stringify(request)), request.body.text().length, request.body.arrayBuffer().byteLength, json] }; }`);
  const text = fc.string({ unit: "binary", maxLength: 30 });
  fc.assert(
    fc.property(
      text,
      text,
      fc.dictionary(text, text),
      fc.jsonValue(),
      fc.uint8Array({ maxLength: 50 }),
      (path, query, params, data, body) => {
        const caller = { policy: "user_cert", id: path, data, cert: query } as const;
        const outcome = engine.callEndpoint(
          endpointCall(program, new FakeContext(), { request: requestOf({ path, query, params, caller, body }) }),
        );
        assert.equal(outcome.kind, "response", JSON.stringify(outcome));
      },
    ),
    { numRuns: 100 },
  );
});
