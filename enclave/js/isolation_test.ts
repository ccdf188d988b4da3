/**
 * Whatever a call does to its world, the next call finds a pristine one.
 */

import { strict as assert } from "node:assert";
import { MAX_JS_CALLS_BEFORE_GIVING_BACK } from "../../shared/limits.ts";
import { endpointCall, FakeContext, moduleOf, requestOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const quickJs = await loadQuickJs();

/** What a poisoner may do. Each stands in a function that then ends in one of the ways below. */
const POISONS: Readonly<Record<string, string>> = {
  "prototypes": `
    Object.prototype.poison = 1;
    Object.defineProperty(Object.prototype, "get", { value: () => { throw new Error("poisoned descriptor"); } });
    Array.prototype.map = String.prototype.split = () => { throw new Error("poisoned"); };
    Array.prototype[Symbol.iterator] = function* () {};
    Error.prototype.toString = () => { for (;;); };
    Promise.prototype.then = Map.prototype.get = RegExp.prototype.exec = ArrayBuffer.prototype.slice = null;
    Object.setPrototypeOf(Uint8Array.prototype, null);`,
  "globals": `
    globalThis.leaked = request.body.text();
    JSON.parse = JSON.stringify = () => "poisoned";
    Date.now = Math.random = () => 4;
    for (const name of ["Object", "Array", "ArrayBuffer", "TypeError", "Reflect", "Proxy"]) globalThis[name] = undefined;
    globalThis.console = { log() { throw new Error("poisoned"); } };
    undefined = 1;`,
  "module state": `
    state.n++; state.secret = request.body.text(); cache.set("secret", request); list.push(request.body.text()); counter++;
    generator.next(); Object.freeze(state);`,
  "ccf": `
    ccf.strToBuf = () => new ArrayBuffer(9); delete ccf.kv; ccf.rpc = null; ccf.crypto.digest = 5;
    const table = kv["records"]; Object.getPrototypeOf(table).get = () => "poisoned";
    table.own = "poisoned"; kv["leak " + request.body.text()]; globalThis.ccf = { kv: "poisoned" };`,
  "the request": `
    request.params.id = "poisoned"; request.caller = { policy: "root" }; delete request.headers;
    request.body.text = request.body.json = () => "poisoned"; Object.freeze(request);`,
  "buffers": `
    const bytes = ccf.strToBuf("secret ".repeat(1000)); globalThis.bytes = new Uint8Array(bytes); bytes.transfer();
    for (let i = 0; i < 50; i++) list.push(new Uint8Array(10000).fill(0xaa));`,
  "waiting jobs": `
    Promise.resolve().then(() => { counter = 99; state.n = 99; }); (async () => { await 1; counter = 98; })();
    new FinalizationRegistry(() => {}).register({}, 1); import("/m.js").then((m) => { counter = 97; });`,
};

const ENDINGS: Readonly<Record<string, string>> = {
  "returns": `return { body: "poisoned" };`,
  "throws": `throw new Error("poisoned");`,
  "throws in a getter of its result": `return { get body() { throw new Error("poisoned"); } };`,
  "never ends": `for (;;);`,
  "never ends in toJSON": `return { body: { toJSON() { for (;;); } } };`,
  "fills the heap": `const a = []; for (;;) a.push(new ArrayBuffer(500000));`,
  "fills the heap with small objects": `let o = null; for (;;) o = { o };`,
  "fills the stack": `(function g() { g(); })();`,
  "fills the stack of the engine around it": `const o = { toString() { return "" + o; } }; "" + o;`,
};

const VICTIM = `
  let counter = 0; const state = { n: 1 }; const cache = new Map(); const list = [1, 2, 3]; const kv = ccf.kv;
  const generator = (function* () { yield 1; yield 2; })();
  globalThis.fromTheModule = "kept";
  export function look(request) {
    const known = Reflect.ownKeys(globalThis).length + Reflect.ownKeys(Object.prototype).length +
      Reflect.ownKeys(Array.prototype).length + Reflect.ownKeys(ccf).length;
    return { body: [
      counter++, state, cache.size, list, generator.next().value, fromTheModule, known, typeof leaked, typeof bytes,
      [3, 1].map((x) => x + 1), "a b".split(" "), [...list].length, JSON.parse("[1]"), String(new Error("e")),
      Date.now(), Math.random(), Object.keys(request), request.params, request.caller, request.body.json(),
      ccf.strToBuf("ab").byteLength, ccf.kv["records"].get(ccf.strToBuf("k")) === undefined, ccf.kv["records"].own,
      Object.keys(ccf), ccf.bufToStr(ccf.crypto.digest("SHA-256", ccf.strToBuf("")).slice(0, 1)).length,
      undefined, Object.isFrozen(state), ({}).poison, new Uint8Array(2).fill(1),
    ] };
  }`;

/** A clock whose calls end after some 40 questions of the interrupt handler, so that nothing here waits. */
function engineWithFastClock(): ScriptEngine {
  let nowMs = 0;
  return new ScriptEngine(quickJs, () => nowMs += 5);
}

function look(engine: ScriptEngine, program: ReturnType<typeof moduleOf>): string {
  const context = new FakeContext();
  // The time of `Date` is the one thing that may differ, since the clock runs.
  const text = textOutcome(engine.callEndpoint(
    endpointCall(program, context, { functionName: "look", request: requestOf({ body: `{"id":5}` }) }),
  ));
  assert.match(text, /^200 \[0,/);
  return text.replace(/1700000000\d{3}/, "now");
}

for (const [ending, end] of Object.entries(ENDINGS)) {
  Deno.test(`a call that poisons its world and ${ending} leaves nothing to the next call`, () => {
    const engine = engineWithFastClock();
    const poisoners = Object.values(POISONS).map((poison, i) =>
      `export function poison${i}(request) {${poison}\n${end}}`
    );
    const program = moduleOf(VICTIM + poisoners.join("\n"));
    const pristine = look(engine, program);
    Object.keys(POISONS).forEach((what, i) => {
      const outcome = textOutcome(engine.callEndpoint(endpointCall(program, new FakeContext(), {
        functionName: `poison${i}`,
        limits: { maxHeapBytes: 8_000_000, maxStackBytes: 1_000_000, maxExecutionTimeMs: 200 },
        request: requestOf({ body: "secret of another caller" }),
      })));
      assert.match(outcome, ending === "returns" ? /^(200|500) / : /^500 /, `${what}: ${outcome}`);
      assert.equal(look(engine, program), pristine, what);
    });
  });
}

Deno.test("a call that grows the memory leaves nothing in it", () => {
  const engine = engineWithFastClock();
  const program = moduleOf(
    VICTIM + `
    export function grow(request) {
      globalThis.leaked = [];
      for (let i = 0; i < 40; i++) leaked.push(new Uint8Array(1_000_000).fill(0xaa));
      counter = 5;
      return { body: leaked.length };
    }`,
  );
  const pristine = look(engine, program);
  for (let i = 0; i < 3; i++) {
    const outcome = engine.callEndpoint(endpointCall(program, new FakeContext(), { functionName: "grow" }));
    assert.equal(textOutcome(outcome), "200 40");
    assert.equal(look(engine, program), pristine);
  }
});

Deno.test("programs do not see each other, though they share an interpreter", () => {
  const engine = engineWithFastClock();
  const one = moduleOf(
    VICTIM + `export function spoil() { globalThis.other = 1; counter = 7; Array.prototype.map = 1; return {}; }`,
  );
  const two = moduleOf(`export function f() { return { body: [typeof other, typeof counter, [1].map((x) => x)] }; }`);
  const pristine = look(engine, one);
  for (let i = 0; i < 3; i++) {
    engine.callEndpoint(endpointCall(one, new FakeContext(), { functionName: "spoil" }));
    assert.equal(
      textOutcome(engine.callEndpoint(endpointCall(two, new FakeContext()))),
      `200 ["undefined","undefined",[1]]`,
    );
    assert.equal(look(engine, one), pristine);
  }
});

/** Runs something, and answers every WebAssembly memory that it makes. */
function memoriesOf(run: () => void): WebAssembly.Memory[] {
  const original = WebAssembly.Memory;
  const memories: WebAssembly.Memory[] = [];
  WebAssembly.Memory = class extends original {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      memories.push(this);
    }
  };
  try {
    run();
  } finally {
    WebAssembly.Memory = original;
  }
  return memories;
}

Deno.test("the secret of one caller is nowhere in the memory of the next call", () => {
  // A script that has read a secret leaves it in freed blocks and in the dead part of the stack. None of it may stay.
  const engine = engineWithFastClock();
  const program = moduleOf(`
    export function keep(request) {
      const text = request.body.text();
      globalThis.copies = [text, text.split(""), text.toUpperCase(), ccf.strToBuf(text)];
      (function deep(n) { return n === 0 ? text.length : deep(n - 1) + 1; })(500);
      return { body: text.length };
    }
    export function f() {
      ccf.rpc.setApplyWrites(true);
      return {};
    }`);
  const secret = "the very secret text of a caller";
  const request = requestOf({ body: secret });
  const memories = memoriesOf(() => {
    const keep = endpointCall(program, new FakeContext(), { functionName: "keep", request });
    assert.equal(textOutcome(engine.callEndpoint(keep)), `200 ${secret.length}`);
  });
  const holders = () =>
    memories.filter(({ buffer }) => new TextDecoder("latin1").decode(new Uint8Array(buffer)).includes(secret)).length;
  assert.equal(holders(), 1, "the secret is there after the call");
  const context = new FakeContext();
  let during = -1;
  context.setApplyWrites = () => during = holders();
  assert.equal(textOutcome(engine.callEndpoint(endpointCall(program, context))), "200 ");
  assert.equal(during, 0);
});

Deno.test("memory that grew for one call is given back after many smaller ones", () => {
  const engine = engineWithFastClock();
  const program = moduleOf(`export function f() { return {}; }
    export function large() { return { body: new ArrayBuffer(30_000_000).byteLength }; }`);
  const go = (functionName: string, times: number) => {
    const call = endpointCall(program, new FakeContext(), { functionName });
    for (let i = 0; i < times; i++) assert.equal(engine.callEndpoint(call).kind, "response");
  };
  go("large", 3);
  assert.equal(memoriesOf(() => go("f", MAX_JS_CALLS_BEFORE_GIVING_BACK - 10)).length, 0);
  assert.equal(memoriesOf(() => go("f", 20)).length, 1);
  assert.equal(memoriesOf(() => go("f", MAX_JS_CALLS_BEFORE_GIVING_BACK + 10)).length, 0);
});
