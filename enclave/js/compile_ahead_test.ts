/**
 * Compiling an app's modules when it is installed: what is refused, and what is not.
 */

import { strict as assert } from "node:assert";
import { FormatError } from "../../shared/assert.ts";
import { endpointCall, FakeContext, programOf, textOutcome } from "./fake_context.ts";
import { loadQuickJs, ScriptEngine } from "./runtime.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

/** The module that is refused, or how many were compiled. */
function outcome(modules: Readonly<Record<string, string>>, names = Object.keys(modules), slash = false): string {
  try {
    const compiled = engine.compileAhead(programOf(modules, slash), names);
    assert.deepEqual([...compiled.keys()], names);
    for (const bytes of compiled.values()) assert.ok(bytes.length > 0, "never empty");
    return String(compiled.size);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return error.message;
  }
}

function refused(name: string): string {
  return `Unable to serialize bytecode for JS module '${name}'`;
}

Deno.test("modules that compile and find what they import are compiled", () => {
  const app = {
    "/m.js": `import { x } from "./lib/x.js"; import "lib/y.js"; export function f() { return { body: x }; }`,
    "/lib/x.js": `import * as m from "../m.js"; export const x = typeof m;`,
    "/lib/y.js": `export default class {}`,
  };
  for (const slash of [true, false]) assert.equal(outcome(app, Object.keys(app), slash), "3");
  assert.equal(outcome({}), "0");
});

Deno.test("a module that does not compile is named, and so is one that imports it or nothing", () => {
  assert.equal(outcome({ "/a.js": "", "/m.js": "export function f( {" }), refused("/m.js"));
  assert.equal(outcome({ "/m.js": `import "./none.js";` }), refused("/m.js"));
  assert.equal(outcome({ "/m.js": `import "./m.js/";` }), refused("/m.js"));
  const chain = { "/a.js": `import "./b.js";`, "/b.js": `import "./c.js";`, "/c.js": "(", "/d.js": "" };
  assert.equal(outcome(chain), refused("/a.js"), "the first of several");
  assert.equal(outcome(chain, ["/d.js", "/c.js", "/b.js", "/a.js"]), refused("/c.js"));
  assert.equal(outcome({ "/m.js": "" }, ["/other.js"]), refused("/other.js"));
  assert.equal(outcome({ "/m.js": "(".repeat(100_000) }), refused("/m.js"));
});

Deno.test("what only running would show is not looked for", () => {
  const fine = [
    `throw new Error("top");`,
    `for (;;);`,
    `ccf.kv["records"].size; Date.now();`,
    `import { nothing } from "./m.js";`,
    `export { nothing } from "./m.js";`,
    `import("./none.js");`,
    `undeclared;`,
  ];
  for (const source of fine) assert.equal(outcome({ "/m.js": source }), "1", source);
});

Deno.test("what is stored is equal for equal sources alone", () => {
  const compiled = engine.compileAhead(programOf({ "/a.js": "1;", "/b.js": "1;", "/c.js": "2;" }), [
    "/a.js",
    "/b.js",
    "/c.js",
  ]);
  assert.deepEqual(compiled.get("/a.js"), compiled.get("/b.js"));
  assert.notDeepEqual(compiled.get("/a.js"), compiled.get("/c.js"));
  assert.notEqual(engine.bytecodeVersion, "2024-01-13", "CCF's own bytecode is not taken for ours");
});

Deno.test("compiling leaves nothing behind for the calls that follow", () => {
  const app = { "/m.js": `let n = 0; export function f() { return { body: ++n }; }` };
  const program = programOf(app);
  for (let i = 0; i < 3; i++) {
    engine.compileAhead(program, ["/m.js"]);
    assert.equal(textOutcome(engine.callEndpoint(endpointCall(program, new FakeContext()))), "200 1");
  }
});

Deno.test("a program in whose traces names have slashes is not one whose names have none", () => {
  const program = programOf({ "/m.js": `export function f() {\n  throw new Error("x");\n}` });
  const traceOf = (slashInTraces: boolean) =>
    textOutcome(engine.callEndpoint(endpointCall({ ...program, slashInTraces }, new FakeContext()))).split("\n").at(1);
  for (let i = 0; i < 2; i++) {
    assert.deepEqual([true, false].map(traceOf), ["    at f (/m.js:2)", "    at f (m.js:2)"]);
  }
});
