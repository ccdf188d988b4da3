import { strict as assert } from "node:assert";
import { endpointCall, FakeContext, programOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";
import { ccfTrace } from "./trace.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

/** The trace of what `f` of `/dir/m.js` throws. */
function traceOf(source: string, slash = true): string {
  const outcome = textOutcome(engine.callEndpoint(
    endpointCall(programOf({ "/dir/m.js": source }, slash), new FakeContext(), {
      module: "/dir/m.js",
      request: requestOf({ body: "{" }),
    }),
  ));
  return outcome.slice(outcome.indexOf("\n") + 1);
}

Deno.test("a trace has a line a frame, with file and line and without column (js-apps.md §5)", () => {
  const source = `function nested() {
  throw new Error("deep");
}
const arrow = (x) => {
  nested(x);
};
class C {
  method() {
    [1].map(arrow);
  }
}
export function f() {
  new C().method();
}`;
  const frames = (file: string) =>
    `    at nested (${file}:2)\n    at arrow (${file}:5)\n    at map (native)\n    at method (${file}:9)\n    at f (${file}:13)\n`;
  assert.equal(traceOf(source), frames("/dir/m.js"));
  assert.equal(
    traceOf(source, false),
    frames("dir/m.js"),
    "CCF names a module without the slash if it was not compiled ahead",
  );
});

Deno.test("a function on one line has no line in a trace", () => {
  const bodies: readonly (readonly [functions: string, name: string])[] = [
    [`function g() { throw new Error("x"); }`, "g"],
    [`function g(a = (1), { b } = {}) { if (a) { throw new Error("x"); } }`, "g"],
    [`const g = () => { throw new Error("x"); };`, "g"],
    [`const g = (a) => h(a); const h = (a) => { throw new Error("x"); };`, "h"],
    [`const g = function () { throw new Error("x"); };`, "g"],
    [`const o = { method() { throw new Error("x"); } }, g = o.method;`, "method"],
    [`const o = { named: function () { throw new Error("x"); } }, g = o.named;`, "named"],
    [`class C { static s() { throw new Error("x"); } } const g = C.s;`, "s"],
    [`const [g] = [() => { throw new Error("x"); }];`, "<anonymous>"],
    [`const [g] = [function () { throw new Error("x"); }];`, "<anonymous>"],
  ];
  for (const [functions, name] of bodies) {
    assert.match(
      traceOf(`${functions}\nexport function f() {\n  g();\n}`),
      new RegExp(`^    at ${name} \\(/dir/m\\.js\\)\n`),
      functions,
    );
  }
});

Deno.test("a line that holds blocks or other functions is not taken for a function", () => {
  const source = `export function f() {
  const other = () => { return 1; }; if (other()) { throw new Error("x"); }
}`;
  assert.equal(traceOf(source), "    at f (/dir/m.js:2)\n");
  assert.equal(
    traceOf(`export function f(a) {\n  f2(() => { return 1; });\n}\nfunction f2(a) {\n  throw new Error(a);\n}`),
    "    at f2 (/dir/m.js:5)\n    at f (/dir/m.js:2)\n",
  );
});

Deno.test("a script that looks at a stack sees lines without columns", () => {
  const source = `export function f() {\n  const { stack } = new Error("x");\n  throw stack;\n}`;
  const outcome = engine.callEndpoint(endpointCall(programOf({ "/m.js": source }), new FakeContext()));
  assert.equal(textOutcome(outcome), "500 Exception thrown while executing.     at f (/m.js:2)\n");
});

Deno.test("ccfTrace() leaves alone what it does not know, and ends on any text", () => {
  const none = () => undefined;
  for (
    const text of ["", "text", "    at f (native)\n", "    at f (/gone.js:1000000)\n", "at f (a:1)", "    at (:1)\n"]
  ) {
    assert.equal(ccfTrace(text, none), text);
  }
  assert.equal(ccfTrace("    at f (/m.js:7)\n", () => "one line"), "    at f (/m.js:7)\n");
  assert.equal(ccfTrace("    at $a.b* (/m.js:1)\n", () => "$a.b* = () => { 1; }"), "    at $a.b* (/m.js)\n");
  assert.equal(ccfTrace("    at f (/m.js:1)\n", () => "f(".repeat(900)), "    at f (/m.js:1)\n");
  assert.equal(ccfTrace("    at f (/m.js:1)\n".repeat(2000), () => "f(".repeat(900)).length, 19 * 2000);
  assert.equal(ccfTrace("    at f (/m.js:1)\n", () => "packed;".repeat(20_000)), "    at f (/m.js)\n");
});
