import { strict as assert } from "node:assert";
import fc from "fast-check";
import { installExactAllocator } from "./exact_allocator.ts";
import { Machine, PendingException } from "./machine.ts";
import { loadQuickJs } from "./runtime.ts";
import { WasmInstance } from "./wasm_instance.ts";

const quickJs = await loadQuickJs();
const instance = new WasmInstance(quickJs.build, {
  callFunction: () => 0,
  shouldInterrupt: () => false,
  nowMs: () => 1_700_000_000_000,
  moduleName: (_base, name) => name,
  moduleSource: () => undefined,
});
installExactAllocator(instance, quickJs.allocatorTable);
const machine = new Machine(instance);
const run = (source: string) => machine.evaluate(source, "test.js");

Deno.test("Machine tells values apart", () => {
  const table: readonly (readonly [source: string, kinds: string])[] = [
    ["undefined", "undefined falsy"],
    ["null", "null falsy"],
    ["true", "boolean truthy"],
    ["false", "boolean falsy"],
    ["0", "number falsy"],
    ["-0.0", "number falsy"],
    ["1.5", "number truthy"],
    ["NaN", "number falsy"],
    ["-1e300", "number truthy"],
    ["Infinity", "number truthy"],
    ["''", "string falsy"],
    ["'a'", "string truthy"],
    ["'x'.repeat(5000) + 'y'.repeat(5000)", "string truthy"],
    ["({})", "object truthy"],
    ["[]", "object truthy"],
    ["(() => 1)", "object function truthy"],
    ["(async function* () {})", "object function truthy"],
    ["new Proxy(() => 1, {})", "object function truthy"],
    ["new TypeError()", "object error truthy"],
    ["Object.create(new Error())", "object truthy"],
    ["10n", "truthy"],
    ["0n", "falsy"],
    ["10n ** 50n", "truthy"],
    ["Symbol()", "truthy"],
  ];
  for (const [source, expected] of table) {
    const value = run(`(${source})`);
    const kinds = [
      machine.isUndefined(value) && "undefined",
      machine.isNull(value) && "null",
      machine.isBoolean(value) && "boolean",
      machine.isNumber(value) && "number",
      machine.isString(value) && "string",
      machine.isObject(value) && "object",
      machine.isFunction(value) && "function",
      machine.isError(value) && "error",
      machine.isTruthy(value) ? "truthy" : "falsy",
    ].filter((kind) => kind !== false);
    assert.equal(kinds.join(" "), expected, source);
    machine.free(value);
  }
});

Deno.test("Machine carries any text both ways", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const value = machine.newString(text);
    assert.equal(machine.textOf(value), text);
    machine.free(value);
  }));
  for (const text of ["", "\0", "a\0b\0", "ü€😀", "x".repeat(100_000)]) {
    const value = machine.newString(text);
    assert.equal(machine.textOf(value), text);
    machine.free(value);
  }
});

Deno.test("Machine.utf8Of() leaves half a surrogate pair as QuickJS encodes it", () => {
  assert.deepEqual([...machine.utf8Of(run(`"\\ud800"`))], [0xed, 0xa0, 0x80]);
});

Deno.test("Machine carries any bytes both ways", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1000 }), (bytes) => {
    const value = machine.newBuffer(bytes);
    assert.deepEqual([...machine.bufferOf(value)!], [...bytes]);
    machine.free(value);
  }));
});

Deno.test("Machine.bufferOf() and bytesOf() take buffers, and views where they say so", () => {
  const table: readonly (readonly [source: string, buffer: string | undefined, bytes: string | undefined])[] = [
    ["new Uint8Array([1, 2, 3]).buffer", "1,2,3", "1,2,3"],
    ["new ArrayBuffer(0)", "", ""],
    ["new SharedArrayBuffer(2)", "0,0", "0,0"],
    ["new Uint8Array([1, 2, 3]).subarray(1)", undefined, "2,3"],
    ["new Uint16Array([1, 2])", undefined, "1,0,2,0"],
    ["new BigInt64Array([1n])", undefined, "1,0,0,0,0,0,0,0"],
    ["new Float64Array(0)", undefined, ""],
    ["new DataView(new ArrayBuffer(3))", undefined, undefined],
    ["(() => { const b = new ArrayBuffer(3); b.transfer(); return b; })()", undefined, undefined],
    ["({ byteLength: 3 })", undefined, undefined],
    ["Object.create(new ArrayBuffer(1))", undefined, undefined],
    ["'abc'", undefined, undefined],
    ["3", undefined, undefined],
  ];
  for (const [source, buffer, bytes] of table) {
    const value = run(source);
    assert.equal(machine.bufferOf(value)?.toString(), buffer, source);
    assert.equal(machine.bytesOf(value)?.toString(), bytes, source);
    machine.free(value);
  }
});

Deno.test("Machine.newValue() makes JSON values, with buffers inside", () => {
  const value = machine.newValue({ a: [1, "x\0", null, { content: new Uint8Array([1, 2]) }], b: new Uint8Array(3) });
  const check = run(
    `(v) => JSON.stringify([v.a[0], v.a[1], v.a[2], [...new Uint8Array(v.a[3].content)], v.b.byteLength])`,
  );
  assert.equal(machine.textOf(machine.call(check, value)), JSON.stringify([1, "x\0", null, [1, 2], 3]));
});

Deno.test("Machine.parseJson() answers what JSON.parse() does", () => {
  fc.assert(fc.property(fc.jsonValue(), (json) => {
    const text = JSON.stringify(json);
    const value = machine.parseJson(text);
    assert.deepEqual(JSON.parse(new TextDecoder().decode(machine.jsonOf(value))), JSON.parse(text));
    machine.free(value);
  }));
  for (const bad of ["", "{", "[1,]", "\0", `{"a":1}\0`, "nul", "'a'"]) {
    assert.throws(() => machine.parseJson(bad), PendingException);
    machine.free(machine.takeException());
  }
});

Deno.test("Machine frees what it makes", () => {
  const before = machine.heapBytes;
  for (let i = 0; i < 1000; i++) {
    for (const value of [machine.newString("text"), machine.newBuffer(new Uint8Array(10)), machine.newNumber(i / 3)]) {
      machine.textOf(value);
      machine.isFunction(value);
      machine.free(value);
    }
    machine.free(machine.newValue({ a: { b: new Uint8Array(5) } }));
    assert.throws(() => machine.parseJsonUtf8(new Uint8Array([1]), "<body>"), PendingException);
    machine.free(machine.takeException());
  }
  assert.ok(Math.abs(machine.heapBytes - before) < 1000, `${machine.heapBytes - before} bytes are left over`);
});

Deno.test("Machine.evaluate() tells the time of the host, in UTC", () => {
  assert.equal(
    machine.textOf(run(`[Date.now(), new Date().getTimezoneOffset(), String(new Date())].join()`)),
    "1700000000000,0,Tue Nov 14 2023 22:13:20 GMT+0000",
  );
});
