import { strict as assert } from "node:assert";
import { FormatError } from "../../../shared/assert.ts";
import type { Execution } from "../../app_engine.ts";
import { DEFAULT_LIMITS, endpointCall, FakeContext, moduleOf, textOutcome } from "../fake_context.ts";
import { loadQuickJs, ScriptEngine } from "../runtime.ts";
import { rightsOn } from "./kv.ts";

const engine = new ScriptEngine(await loadQuickJs(), () => 0);

function run(body: string, context: FakeContext): unknown {
  const outcome = engine.call(
    {
      program: moduleOf(`const b = ccf.strToBuf, s = ccf.bufToStr; export function f() { ${body} }`),
      module: "/m.js",
      functionName: "f",
      arguments: [],
      context,
      limits: DEFAULT_LIMITS,
    },
    (machine, result) =>
      machine.isUndefined(result) ? undefined : JSON.parse(new TextDecoder().decode(machine.jsonOf(result))),
  );
  return outcome.kind === "returned"
    ? outcome.value
    : outcome.kind === "threw"
    ? outcome.exception.message
    : outcome.message;
}

Deno.test("ccf.kv reads and writes tables of bytes", () => {
  const context = new FakeContext();
  const written = run(
    `const t = ccf.kv["records"];
     const chained = t.set(b("a"), b("1")).set(b("ü"), b("")).set(new ArrayBuffer(0), b("empty key")) === t;
     const bytes = new Uint8Array([0, 255]).buffer; t.set(bytes, bytes);
     return [chained, t.size, t.has(b("a")), t.has(b("z")), s(t.get(b("a"))), t.get(b("ü")).byteLength, t.get(b("z")) === undefined,
       s(t.get(new ArrayBuffer(0))), [...new Uint8Array(t.get(bytes))], t.delete(b("a")) === undefined, t.delete(b("none")) === undefined,
       t.has(b("a")), t.getVersionOfPreviousWrite(b("ü")), t.getVersionOfPreviousWrite(b("z")) === undefined, t.size];`,
    context,
  );
  assert.deepEqual(written, [true, 4, true, false, "1", 0, true, "empty key", [0, 255], true, true, false, 7, true, 3]);
  assert.deepEqual([...context.table("records").map.keys()], ["\xc3\xbc", "", "\0\xff"]);
  assert.equal(run(`ccf.kv["records"].clear(); return ccf.kv["records"].size;`, context), 0);
});

Deno.test("what is put into a table is a copy", () => {
  const context = new FakeContext();
  run(`const v = new Uint8Array([1, 2]); ccf.kv["t"].set(b("k"), v.buffer); v[0] = 9; return 1;`, context);
  assert.deepEqual([...context.table("t").map.get("k")!], [1, 2]);
  run(`new Uint8Array(ccf.kv["t"].get(b("k")))[0] = 9; return 1;`, context);
  assert.deepEqual([...context.table("t").map.get("k")!], [1, 2]);
});

Deno.test("ccf.kv.forEach() gives value, key and table, and stops at an exception", () => {
  const context = new FakeContext();
  const fill = `const t = ccf.kv["t"]; for (const k of ["a", "b", "c"]) t.set(b(k), b(k + "!"));`;
  assert.deepEqual(
    run(
      `${fill} const seen = []; const answer = t.forEach((v, k, m) => { seen.push(s(k), s(v), m === t); t.delete(k); });
      return [seen, answer === undefined, t.size];`,
      context,
    ),
    [["a", "a!", true, "b", "b!", true, "c", "c!", true], true, 0],
  );
  assert.equal(
    run(
      `${fill} let n = 0; try { t.forEach(() => { n++; throw new Error("stop"); }); } catch (e) { return e.message + n; }`,
      context,
    ),
    "stop1",
  );
  assert.equal(
    run(`${fill} t.forEach(() => { t.clear(); ccf.strToBuf(5); });`, context),
    "TypeError: Argument must be a string",
  );
});

Deno.test("handles are one for each name in a call, and only methods of handles work", () => {
  const context = new FakeContext();
  assert.deepEqual(
    run(
      `return [ccf.kv.x === ccf.kv["x"], ccf.kv.x === ccf.kv.y, typeof ccf.kv["__proto__"].get, typeof ccf.kv[""].get,
      typeof ccf.kv["\\u{1f600}"].size, ccf.kv[Symbol.iterator] === undefined, JSON.stringify(ccf.kv)];`,
      context,
    ),
    [true, false, "function", "function", "number", true, "{}"],
  );
  const noHandle = "TypeError: Internal: No map name stored on handle";
  for (
    const self of [
      "{}",
      "undefined",
      "5",
      "ccf.kv",
      "Object.create(ccf.kv.x)",
      "new ArrayBuffer(1)",
      "new Proxy(ccf.kv.x, {})",
    ]
  ) {
    assert.equal(run(`return ccf.kv.x.get.call(${self}, b("a"));`, context), noHandle, self);
  }
  assert.equal(run(`const { size } = Object.create(ccf.kv.x); return size;`, context), noHandle);
});

Deno.test("ccf.kv methods check their arguments with CCF's texts", () => {
  const table: readonly (readonly [call: string, message: string])[] = [
    [`get()`, "Passed 0 arguments, but expected 1"],
    [`get(b("a"), 1)`, "Passed 2 arguments, but expected 1"],
    [`get("a")`, "Argument must be an ArrayBuffer"],
    [`get(new Uint8Array(1))`, "Argument must be an ArrayBuffer"],
    [`has(null)`, "Argument must be an ArrayBuffer"],
    [`delete({})`, "Argument must be an ArrayBuffer"],
    [`getVersionOfPreviousWrite()`, "Passed 0 arguments, but expected 1"],
    [`set(b("a"))`, "Passed 1 arguments, but expected 2"],
    [`set(b("a"), "v")`, "Arguments must be ArrayBuffers"],
    [`set("a", b("v"))`, "Arguments must be ArrayBuffers"],
    [`clear(1)`, "Passed 1 arguments, but expected 0"],
    [`forEach()`, "Passed 0 arguments, but expected 1"],
    [`forEach({})`, "Argument must be a function"],
  ];
  for (const [call, message] of table) {
    assert.equal(run(`return ccf.kv["t"].${call};`, new FakeContext()), `TypeError: ${message}`, call);
  }
});

const EXECUTIONS: readonly Execution[] = [
  "application",
  "read-only application",
  "read-only governance",
  "read-write governance",
];

/** The table of js-apps.md §8.2, one column each for the four executions. */
const RIGHTS: Readonly<Record<string, string>> = {
  "public:records": "RW R - W",
  "records": "RW R - -",
  "public:ccf.gov.members.info": "R R R RW",
  "public:ccf.internal.signatures": "R R R R",
  "ccf.gov.secret": "- - - -",
  "ccf.internal.secret": "- - - -",
  // A reserved name is nobody's.
  "public:ccf.other": "- - - -",
  "ccf.other": "- - - -",
  "public:ccf": "RW R - W",
};

Deno.test("rightsOn() is the table of js-apps.md §8.2", () => {
  for (const [name, row] of Object.entries(RIGHTS)) {
    const rights = EXECUTIONS.map((execution) => {
      const { read, write } = rightsOn(name, execution);
      return (read ? "R" : "") + (write ? "W" : "") || "-";
    });
    assert.equal(rights.join(" "), row, name);
  }
});

Deno.test("a method without rights throws, obtaining the handle never does", () => {
  const calls: Readonly<Record<string, string>> = {
    has: `has(b("a"))`,
    get: `get(b("a"))`,
    getVersionOfPreviousWrite: `getVersionOfPreviousWrite(b("a"))`,
    forEach: `forEach(() => {})`,
    size: `size`,
    set: `set(b("a"), b("v"))`,
    delete: `delete(b("a"))`,
    clear: `clear()`,
  };
  const writes = ["set", "delete", "clear"];
  for (const [name, row] of Object.entries(RIGHTS)) {
    row.split(" ").forEach((rights, i) => {
      const execution = EXECUTIONS[i]!;
      for (const [method, call] of Object.entries(calls)) {
        const context = new FakeContext(execution);
        const outcome = run(
          `const t = ccf.kv[${
            JSON.stringify(name)
          }]; try { t.${call}; return "fine"; } catch (e) { return String(e); }`,
          context,
        );
        const kind = { R: "read-only", W: "write-only", "-": "inaccessible" }[rights];
        const refused = `TypeError: Cannot call "${method}" on table named ${name}. This table is ${kind} in current ` +
          `(${execution}) execution context. See https://microsoft.github.io/CCF/main/audit/read_write_restrictions.html ` +
          "for more detail.";
        const allowed = rights.includes(writes.includes(method) ? "W" : "R");
        assert.equal(outcome, allowed ? "fine" : refused, `${method} on ${name} in ${execution}`);
      }
    });
  }
});

Deno.test("what a table refuses as too large is an exception of the script", () => {
  const context = new FakeContext();
  const table = context.table("t");
  table.put = () => {
    throw new FormatError("Cannot put a key of 2000000 bytes");
  };
  assert.equal(
    run(`try { ccf.kv["t"].set(b("k"), b("v")); } catch (e) { return String(e); }`, context),
    "InternalError: Cannot put a key of 2000000 bytes",
  );
});

Deno.test("an error message ends after 255 bytes, as QuickJS prints them", () => {
  const name = "public:ccf.gov." + "ä".repeat(60);
  const text = run(`ccf.kv[${JSON.stringify(name)}].clear();`, new FakeContext()) as string;
  assert.equal(new TextEncoder().encode(text).length, "TypeError: ".length + 255);
  assert.match(text, /^TypeError: Cannot call "clear" on table named public:ccf\.gov\.ä{60}\. This table is read-only/);
});

Deno.test("the trace of a refused method has a frame for it", () => {
  const outcome = engine.callEndpoint(
    endpointCall(moduleOf(`export function f() {\n  ccf.kv["ccf.gov.x"].get();\n}`), new FakeContext()),
  );
  assert.match(textOutcome(outcome), /for more detail\.\n {4}at get \(native\)\n {4}at f \(\/m\.js:2\)\n$/);
});
