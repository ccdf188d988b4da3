import { strict as assert } from "node:assert";
import type { EndpointInvocation, Program } from "../app_engine.ts";
import { endpointCall, FakeContext, moduleOf, programOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const quickJs = await loadQuickJs();
let nowMs = 0;
const engine = new ScriptEngine(quickJs, () => nowMs);

function call(
  program: Program | string,
  options: Partial<EndpointInvocation> = {},
  context = new FakeContext(),
): string {
  const asProgram = typeof program === "string" ? moduleOf(program) : program;
  return textOutcome(engine.callEndpoint(endpointCall(asProgram, context, options)));
}

Deno.test("ScriptEngine.callEndpoint() calls an exported function with the request", () => {
  assert.equal(call(`export function f(request) { return { body: request.params.id, statusCode: 201 }; }`), "201 1");
  assert.equal(call(`const f = () => ({ body: "ok" }); export { f };`), "200 ok");
  assert.equal(call(`export default () => ({ body: "ok" })`, { functionName: "default" }), "200 ok");
  assert.equal(
    call(`export class f { constructor() {} }`).slice(0, 43),
    "500 Exception thrown while executing. TypeE",
  );
});

Deno.test("ScriptEngine.callEndpoint() says why there is no function to call", () => {
  const table: readonly (readonly [source: string, message: string])[] = [
    [`export function g() {}`, "Failed to find export 'f' in module '/m.js'"],
    [`export const f = 1;`, "Export 'f' of module '/m.js' is not a function"],
    [`throw 1; export const f = () => ({});`, "Export 'f' of module '/m.js' is not a function"],
    [`export function f( {`, "Failed to compile module '/m.js': SyntaxError: invalid property name"],
    [
      `import "./none.js"; export function f() {}`,
      "Failed to resolve dependencies for module '/m.js': Module '/none.js' could not be loaded",
    ],
    [
      `import { x } from "./m.js"; export function f() {}`,
      "Failed to execute /m.js: SyntaxError: Could not find export 'x' in module '/m.js'",
    ],
  ];
  for (const [source, message] of table) assert.equal(call(source), `500 ${message}`);
  assert.equal(call(programOf({})), "500 Module '/m.js' could not be loaded");
  assert.equal(
    call(programOf({ "/m.js": `import "./bad.js"; export function f() {}`, "/bad.js": "(" })),
    "500 Failed to resolve dependencies for module '/m.js': Failed to compile module '/bad.js': " +
      "SyntaxError: unexpected token in expression: ''",
  );
});

Deno.test("what a module throws at its top level is ignored", () => {
  assert.equal(
    call(`export function f() { return { body: typeof before }; } const before = 1; throw new Error("top");`),
    "200 number",
  );
  assert.equal(
    call(`export function f() { return { body: after }; } throw new Error("top"); let after;`),
    "500 Exception thrown while executing. ReferenceError: after is not initialized\n    at f (/m.js)\n",
  );
  const thrower = {
    "/m.js": `import "./t.js"; export function f() { return { body: "still" }; }`,
    "/t.js": "throw 1;",
  };
  assert.equal(call(programOf(thrower)), "200 still");
  assert.equal(
    call(`export function f() { return { body: "settles never" }; } await new Promise(() => {});`),
    "200 settles never",
  );
});

Deno.test("imports are joined as QuickJS joins them, and lead to one module by whatever way", () => {
  for (const slash of [true, false]) {
    const program = programOf({
      "/dir/entry.js": `
        import { C as a } from "./c.js"; import { C as b } from "../dir/c.js"; import { C as c } from "dir/c.js";
        import { C as d } from "/dir/c.js"; import { top } from "../../top.js"; import { linked } from "linked";
        export function f() { return { body: [a === b, b === c, c === d, top, linked] }; }`,
      "/dir/c.js": `export class C {}`,
      "/../top.js": `export const top = "above";`,
      "/linked": `export const linked = 1;`,
    }, slash);
    assert.equal(call(program, { module: "/dir/entry.js" }), `200 [true,true,true,"above",1]`);
  }
  const cycle = {
    "/m.js": `import { b } from "./b.js"; export const a = 1; export function f() { return { body: b() }; }`,
    "/b.js": `import { a } from "./m.js"; export const b = () => a;`,
  };
  assert.equal(call(programOf(cycle)), "200 1");
});

Deno.test("a function that is asynchronous answers an empty 200, and its promises never settle", () => {
  assert.equal(call(`export async function f() { return { body: 1 }; }`), "200 ");
  assert.equal(
    call(`let n = 0; export function f() { Promise.resolve().then(() => n++); return { body: n }; }`),
    "200 0",
  );
  assert.equal(
    call(`let n = 0; export function f() { import("./m.js").then(() => n++); return { body: n }; }`),
    "200 0",
  );
});

Deno.test("eval and new Function exist, the outside world does not", () => {
  assert.equal(
    call(`export function f() { return { body: [eval("1 + 1"), new Function("return 3")()] }; }`),
    "200 [2,3]",
  );
  const absent = [
    "fetch",
    "process",
    "os",
    "std",
    "setTimeout",
    "print",
    "Deno",
    "performance",
    "crypto",
    "showNamespace",
  ];
  assert.equal(
    call(`export function f() { return { body: ${JSON.stringify(absent)}.filter((name) => name in globalThis) }; }`),
    "200 []",
  );
});

Deno.test("ccf has the enumerable members of CCF that exist here, in its order", () => {
  assert.equal(
    call(`export function f() { return { body: Object.keys(ccf) }; }`),
    `200 ["strToBuf","bufToStr","jsonCompatibleToBuf","bufToJsonCompatible","enableUntrustedDateTime",` +
      `"enableMetricsLogging","pemToId","tcbHexToPolicy","crypto","gov","consensus","kv","rpc"]`,
  );
});

Deno.test("ScriptEngine.call() runs a governance function, which sees no rpc, no consensus and no request", () => {
  const source = `export function vote(proposal, proposer, votes, raw) {
    return [proposal, proposer, votes[1].vote, raw.byteLength, Object.keys(ccf).slice(6)];
  }`;
  const outcome = engine.call(
    {
      program: moduleOf(source),
      module: "/m.js",
      functionName: "vote",
      arguments: ["{}", "abc", [{}, { vote: true }], new Uint8Array(3)],
      context: new FakeContext("read-only governance"),
      limits: endpointCall(moduleOf(""), new FakeContext()).limits,
    },
    (machine, result) => JSON.parse(new TextDecoder().decode(machine.jsonOf(result))),
  );
  assert.deepEqual(outcome, {
    kind: "returned",
    value: ["{}", "abc", true, 3, ["pemToId", "tcbHexToPolicy", "crypto", "gov", "kv"]],
  });
});

Deno.test("lines that modules write are repeated by every call", () => {
  const program = moduleOf(`console.log("top", 1); export function f() { console.warn("in"); return {}; }`);
  for (let i = 0; i < 3; i++) {
    const context = new FakeContext();
    call(program, {}, context);
    assert.deepEqual(context.lines.slice(0, 2), ["info app top 1", "fail app in"]);
  }
});

Deno.test("a module that asks for its call at the top level is evaluated in each call", () => {
  const asking = {
    "the time": `Date.now()`,
    "the time by a constructor": `new Date().getTime()`,
    "randomness": `Math.random()`,
    "a table": `ccf.kv["records"].size`,
    "consensus": `ccf.consensus.getLastCommittedTxId().seqno`,
    "an AES key": `ccf.crypto.generateAesKey(128).byteLength`,
  };
  for (const [what, expression] of Object.entries(asking)) {
    const program = moduleOf(`console.log("evaluated"); const v = ${expression}; let n = 0;
      export function f() { n++; return { body: [v === ${expression}, v, n] }; }`);
    const bodies = [1, 2].map((hour) => {
      const context = new FakeContext();
      context.nowMs += hour * 3_600_000;
      context.table("records").put("k".repeat(hour), new Uint8Array());
      if (hour === 2) context.table("records").put("another", new Uint8Array());
      const text = call(program, {}, context);
      assert.equal(context.lines[0], "info app evaluated", what);
      return text;
    });
    assert.match(bodies[0]!, /^200 \[(true|false),[^,]+,1\]$/, what);
    if (/time|table/.test(what)) assert.notEqual(bodies[0], bodies[1], what);
  }
});

Deno.test("a module that only prepares at the top level is not evaluated again", () => {
  let readings = 0;
  const module = moduleOf(`const big = Array.from({ length: 20000 }, (_, i) => i); const table = ccf.kv["records"];
    const key = ccf.strToBuf("k"); ccf.enableMetricsLogging(false);
    export function f() { table.set(key, key); return { body: [big.length, table.size] }; }`);
  const program = { ...module, source: (name: string) => (readings += 1, module.source(name)) };
  const context = new FakeContext();
  assert.equal(call(program, {}, context), "200 [20000,1]");
  const before = readings;
  assert(before > 0);
  for (let i = 0; i < 20; i++) assert.equal(call(program, {}, context), "200 [20000,1]");
  assert.equal(readings, before);
  const other = moduleOf(`Math.random(); export function f() { return { body: "ok" }; }`);
  let otherReadings = 0;
  const asked = { ...other, source: (name: string) => (otherReadings += 1, other.source(name)) };
  for (let i = 0; i < 20; i++) assert.equal(call(asked), "200 ok");
  assert(otherReadings >= 20, "one that asks for its call is");
  assert.deepEqual(context.lines, [], "the switch of metrics is part of the image");
});

Deno.test("a program is what its id says", () => {
  const sourceOf = (n: number) => ({ id: `v${n}`, source: () => `export function f() { return { body: ${n} }; }` });
  assert.equal(call(sourceOf(1)), "200 1");
  assert.equal(call(sourceOf(2)), "200 2");
  assert.equal(call(sourceOf(1)), "200 1");
});

Deno.test("the images of programs are bounded in number", () => {
  const small = new ScriptEngine(quickJs, () => 0);
  for (let i = 0; i < 150; i++) {
    small.callEndpoint(endpointCall(moduleOf(`export function f() { return {}; }`), new FakeContext()));
  }
  assert.ok(small.imageBytes > 1_000_000 && small.imageBytes < 64 * 300_000, `${small.imageBytes} bytes`);
  const large = moduleOf(
    `const all = new Uint8Array(6_000_000).fill(1); export function f() { return { body: all.length }; }`,
  );
  const before = small.imageBytes;
  assert.equal(textOutcome(small.callEndpoint(endpointCall(large, new FakeContext()))), "200 6000000");
  assert.ok(small.imageBytes <= before, "a very large one is not kept");
});

Deno.test("interpreter_reuse keeps module state, apart for read-only calls, until the program changes", () => {
  const source = `let n = 0; const handle = ccf.kv["records"]; let first;
    export function f(request) { first ??= request; n++; return { body: [n, Number(first.params.id), handle.size] }; }`;
  const program = moduleOf(source);
  const reuse = { key: "k", maxCachedInterpreters: 10 };
  const context = new FakeContext();
  assert.equal(call(program, { reuse }, context), "200 [1,1,0]");
  context.table("records").put("x", new Uint8Array());
  const later = { reuse, request: requestOf({ params: { id: "2" } }) };
  assert.equal(call(program, later, context), "200 [2,1,1]", "a kept handle is of this call's transaction");
  assert.equal(call(program, { reuse: { ...reuse, key: "other" } }), "200 [1,1,0]");
  assert.equal(call(program, { reuse }, new FakeContext("read-only application")), "200 [1,1,0]");
  assert.equal(call(program, {}), "200 [1,1,0]");
  assert.equal(call(program, { reuse }), "200 [3,1,0]");
  assert.equal(call(moduleOf(source), { reuse }), "200 [1,1,0]", "another program");
  assert.equal(call(program, { reuse }), "200 [1,1,0]", "the old one was forgotten");
});

Deno.test("interpreter_reuse survives exceptions and time-outs, and loads several modules", () => {
  const program = programOf({
    "/m.js": `import { state } from "./state.js"; export function f(request) {
      state.n++;
      if (request.params.id === "throw") throw new Error("x");
      if (request.params.id === "loop") for (;;) globalThis.turns = (globalThis.turns ?? 0) + 1;
      return { body: state.n };
    }`,
    "/other.js": `import { state } from "./state.js"; export function f() { state.n += 10; return { body: state.n }; }`,
    "/state.js": `export const state = { n: 0 };`,
  });
  const reuse = { key: "k", maxCachedInterpreters: 10 };
  const timed = new ScriptEngine(quickJs, () => nowMs += 1);
  const go = (id: string, module = "/m.js") =>
    textOutcome(timed.callEndpoint(
      endpointCall(program, new FakeContext(), { reuse, module, request: requestOf({ params: { id } }) }),
    ));
  assert.equal(go("1"), "200 1");
  assert.match(go("throw"), /^500 Exception thrown/);
  assert.match(go("loop"), /^500 Operation took too long to complete. InternalError: interrupted/);
  assert.equal(go("1"), "200 4");
  assert.equal(go("1", "/other.js"), "200 14");
  assert.equal(go("1"), "200 15");
});

Deno.test("interpreter_reuse keeps the most recently used, as many as allowed", () => {
  const program = moduleOf(`let n = 0; export function f() { return { body: ++n }; }`);
  const go = (key: string, maxCachedInterpreters = 2) => call(program, { reuse: { key, maxCachedInterpreters } });
  assert.deepEqual(["a", "b", "a", "c", "a", "b"].map((key) => go(key)), [1, 1, 2, 1, 3, 1].map((n) => `200 ${n}`));
  assert.deepEqual(["x", "x"].map((key) => go(key, 0)), ["200 1", "200 1"]);
});

Deno.test("a finished call is logged, until the app says no", () => {
  nowMs = 0;
  const context = new FakeContext();
  call(`export function f() { return { statusCode: 204 }; }`, {}, context);
  call(`export function f() { ccf.enableMetricsLogging(false); return {}; }`, {}, context);
  call(`export function f() { throw 1; }`, {}, context);
  assert.deepEqual(context.lines, [
    "info js JS execution complete: Method=POST, Path=/app/log/{id}, Status=204, ExecMilliseconds=0",
  ]);
});

Deno.test("an assertion of the host in a host function is not the script's failure, and leaves no trace", () => {
  const context = new FakeContext();
  context.table = () => {
    throw new TypeError("a bug of ours");
  };
  const program = moduleOf(
    `globalThis.n = 1; export function f() { n++; try { ccf.kv["x"].size; } catch {} return {}; }`,
  );
  assert.throws(() => call(program, {}, context), /a bug of ours/);
  assert.equal(call(moduleOf(`export function f() { return { body: typeof n }; }`)), "200 undefined");
});

Deno.test("a script call inside a script call runs in another interpreter", () => {
  const context = new FakeContext();
  const inner = moduleOf(`export function f() { globalThis.stolen = 1; return { body: "inner" }; }`);
  let answer = "";
  context.setApplyWrites = () => {
    answer = call(inner);
  };
  const outer = moduleOf(
    `let n = 1; export function f() { ccf.rpc.setApplyWrites(true); n++; return { body: [n, typeof stolen] }; }`,
  );
  assert.equal(call(outer, {}, context), `200 [2,"undefined"]`);
  assert.equal(answer, "200 inner");
});

Deno.test("exception details are returned and logged where the service wants them", () => {
  const program = moduleOf(`export function f() {\n  throw new Error("why");\n}`);
  const context = new FakeContext();
  assert.deepEqual(
    engine.callEndpoint(endpointCall(program, context, { returnExceptionDetails: false, logExceptionDetails: true })),
    { kind: "failure", failure: { message: "Exception thrown while executing." } },
  );
  assert.deepEqual(context.lines, ["fail app Error: why:     at f (/m.js:2)\n"]);
  assert.deepEqual(engine.callEndpoint(endpointCall(program, context)), {
    kind: "failure",
    failure: {
      message: "Exception thrown while executing.",
      details: [{ code: "JSException", message: "Error: why", trace: "    at f (/m.js:2)\n" }],
    },
  });
});

Deno.test("what is thrown is described as CCF does", () => {
  const table: readonly (readonly [thrown: string, message: string, trace?: string])[] = [
    [`new RangeError("x")`, "RangeError: x", "    at f (/m.js)\n"],
    [`"text"`, "text"],
    [`null`, "null"],
    [`undefined`, "undefined"],
    [`{ a: 1 }`, `{"a":1}`],
    [`Object.assign(new Error("x"), { stack: undefined })`, "Error: x"],
    [`Object.assign(new Error("x"), { stack: 5 })`, "Error: x", "5"],
    [`Object.assign(new Error("x"), { toString() { throw 1; } })`, "", "    at f (/m.js)\n"],
    [`{ toJSON() { throw 1; } }`, ""],
    [`Symbol("s")`, ""],
  ];
  for (const [thrown, message, trace] of table) {
    const outcome = engine.callEndpoint(
      endpointCall(moduleOf(`export function f() { throw ${thrown}; }`), new FakeContext()),
    );
    assert.deepEqual(outcome.kind === "failure" && outcome.failure.details, [
      { code: "JSException", message, ...(trace === undefined ? {} : { trace }) },
    ], thrown);
  }
});
