import { strict as assert } from "node:assert";
import { DEFAULT_LIMITS, endpointCall, FakeContext, moduleOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";
import type { ScriptLimits } from "../app_engine.ts";

const quickJs = await loadQuickJs();

function call(body: string, limits: Partial<ScriptLimits> = {}, clockMs: () => number = () => 0): string {
  const engine = new ScriptEngine(quickJs, clockMs);
  const program = moduleOf(`export function f() { ${body} }`);
  return textOutcome(
    engine.callEndpoint(endpointCall(program, new FakeContext(), { limits: { ...DEFAULT_LIMITS, ...limits } })),
  );
}

const OUT_OF_MEMORY = /^500 Exception thrown while executing\. InternalError: out of memory/;
const STACK_OVERFLOW = /^500 Exception thrown while executing\. InternalError: stack overflow/;
const TOO_LONG = /^500 Operation took too long to complete\. InternalError: interrupted/;

/** Every call moves the clock by a millisecond: the interrupt handler asks it, and so does `Date`. */
function ticking(): () => number {
  let nowMs = 0;
  return () => nowMs++;
}

Deno.test("a heap limit is kept, whatever fills the heap", () => {
  const fillings = [
    `const a = []; for (;;) a.push(new ArrayBuffer(1_000_000));`,
    `const a = []; for (;;) a.push({});`,
    `let s = "x"; const a = []; for (;;) a.push(s = s + a.length);`,
    `const a = []; for (;;) a.push(ccf.strToBuf("0123456789".repeat(1000)));`,
    `const a = []; for (;;) a.push(ccf.crypto.digest("SHA-256", ccf.strToBuf("a")));`,
    `const m = new Map(); for (let i = 0;; i++) m.set(i, i);`,
    `for (let i = 0;; i++) ccf.kv["table " + i];`,
    `let f = () => 1; for (;;) f = f.bind(null);`,
    `new Uint8Array(200_000_000);`,
    `new ArrayBuffer(2 ** 30);`,
    `"x".repeat(2 ** 28).split("");`,
    `return { body: "ü".repeat(40_000_000) };`,
  ];
  for (const filling of fillings) assert.match(call(filling, { maxHeapBytes: 20_000_000 }), OUT_OF_MEMORY, filling);
});

Deno.test("an exhausted heap is an exception that a script can catch, and memory that is freed counts no more", () => {
  const body = `let n = 0;
    for (let i = 0; i < 5; i++) {
      try { const a = []; for (;;) { a.push(new ArrayBuffer(1_000_000)); } } catch (error) { n += String(error) === "InternalError: out of memory"; }
    }
    return { body: n };`;
  assert.equal(call(body, { maxHeapBytes: 10_000_000 }), "200 5");
});

Deno.test("a heap limit is exact: the same script fails below a size, and runs from there on", () => {
  const fits = (maxHeapBytes: number) =>
    call(`return { body: new ArrayBuffer(1_000_000).byteLength };`, { maxHeapBytes }) === "200 1000000";
  let low = 0, high = 4_000_000;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle)) high = middle;
    else low = middle;
  }
  assert.ok(high > 1_000_000 && high < 1_400_000, `needs ${high} bytes`);
  assert.match(
    call(`return { body: new ArrayBuffer(1_000_000).byteLength };`, { maxHeapBytes: high - 1 }),
    OUT_OF_MEMORY,
  );
});

Deno.test("limits that leave no room fail every call", () => {
  const trivial = `return {};`;
  assert.equal(call(trivial), "200 ");
  for (const maxHeapBytes of [0, 1, 100]) assert.match(call(trivial, { maxHeapBytes }), OUT_OF_MEMORY);
  for (const maxStackBytes of [0, 1, 100]) assert.match(call(trivial, { maxStackBytes }), STACK_OVERFLOW);
  // Time is looked at every 10 000 turns, as in CCF: what is shorter ends before anybody asks.
  assert.equal(call(trivial, { maxExecutionTimeMs: 0 }), "200 ");
  assert.match(call(`for (;;);`, { maxExecutionTimeMs: 0 }), TOO_LONG);
});

Deno.test("negative limits are none of their own", () => {
  const limits = { maxHeapBytes: -1, maxStackBytes: -1, maxExecutionTimeMs: -1 };
  assert.equal(call(`return { body: new ArrayBuffer(150_000_000).byteLength };`, limits), "200 150000000");
  assert.match(call(`(function g() { g(); })();`, limits), STACK_OVERFLOW);
});

Deno.test("a stack limit is kept, in proportion, whatever fills the stack", () => {
  const depth = (maxStackBytes: number) =>
    Number(
      call(`let n = 0; try { (function g() { n++; g(); })(); } catch { return { body: n }; }`, { maxStackBytes }).slice(
        4,
      ),
    );
  const small = depth(100_000), large = depth(1_000_000);
  assert.ok(small > 100 && small < 200, `${small} calls in 100 kB`);
  assert.ok(large > 9.5 * small && large < 10.5 * small, `${large} calls in 1 MB`);
  const fillings = [
    `(function g() { [1].map(g); })();`,
    `(function g() { "a".replace(/a/, g); })();`,
    `const o = { get x() { return this.x; } }; o.x;`,
    `const o = { toString() { return "" + o; } }; "" + o;`,
    `const o = { toJSON() { return JSON.stringify(o); } }; JSON.stringify(o);`,
    `function* g() { yield* g(); } [...g()];`,
    `new (class G { constructor() { new G(); } })();`,
    `JSON.parse("[".repeat(100_000));`,
    `eval("(".repeat(100_000));`,
    `const t = ccf.kv["t"]; t.set(ccf.strToBuf("k"), ccf.strToBuf("v")); (function g() { t.forEach(g); })();`,
  ];
  for (const filling of fillings) assert.match(call(filling), STACK_OVERFLOW, filling);
});

Deno.test("a time limit is kept, and cannot be caught", () => {
  const loops = [
    `for (;;);`,
    `try { for (;;); } catch {} return {};`,
    `try { for (;;); } finally { for (;;); }`,
    `for (;;) { try { for (;;); } catch {} }`,
    `/(x+x+)+y/.exec("x".repeat(60));`,
    `[..."x".repeat(5000)].sort(() => { for (;;); });`,
    `return { body: { toJSON() { for (;;); } } };`,
    `JSON.parse("[1]", () => { for (;;); });`,
    `ccf.kv["t"].set(ccf.strToBuf("k"), ccf.strToBuf("v")); ccf.kv["t"].forEach(() => { for (;;); });`,
    `class E extends Error { toString() { for (;;); } } throw new E();`,
  ];
  for (const loop of loops) {
    const outcome = call(loop, { maxExecutionTimeMs: 20 }, ticking());
    if (loop.includes("toJSON")) {
      assert.match(outcome, /error during JSON conversion of body\) InternalError: interrupted/);
    } else if (loop.includes("class E")) {
      assert.match(
        outcome,
        /^500 Operation took too long to complete\. {5}at E \(\/m\.js/,
        "even its text takes too long",
      );
    } else assert.match(outcome, TOO_LONG, loop);
  }
});

Deno.test("a time-out is told to the log", () => {
  const context = new FakeContext();
  const engine = new ScriptEngine(quickJs, ticking());
  const limits = { ...DEFAULT_LIMITS, maxExecutionTimeMs: 20 };
  engine.callEndpoint(endpointCall(moduleOf(`export function f() { for (;;); }`), context, { limits }));
  assert.deepEqual(context.lines, ["info app JS execution has timed out after 20ms (max is 20ms)"]);
});

Deno.test("loading is not under the configured limits, but ends too", () => {
  const engine = new ScriptEngine(quickJs, ticking());
  const limits = { maxHeapBytes: 1_000_000, maxStackBytes: 100_000, maxExecutionTimeMs: 5 };
  const run = (source: string) =>
    textOutcome(engine.callEndpoint(endpointCall(moduleOf(source), new FakeContext(), { limits })));
  const loaded = `let n = 0; for (let i = 0; i < 1e6; i++) n++; const gone = new ArrayBuffer(5_000_000).byteLength;`;
  assert.equal(run(`${loaded} export function f() { return { body: n + gone }; }`), "200 6000000");
  assert.equal(run(`for (;;); export function f() { return {}; }`), "500 Operation took too long to complete.");
  // What fails at the top level otherwise is ignored like a throw.
  assert.equal(
    run(`export function f() { return { body: 1 }; } { const a = []; for (;;) a.push(new ArrayBuffer(1e6)); }`),
    "200 1",
  );
  assert.equal(run(`export function f() { return { body: 1 }; } (function g() { g(); })();`), "200 1");
});
