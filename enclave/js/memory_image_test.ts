import { strict as assert } from "node:assert";
import { installExactAllocator } from "./exact_allocator.ts";
import { Machine, PendingException } from "./machine.ts";
import { MAX_SCRIPT_STACK_BYTES, MemoryImage } from "./memory_image.ts";
import { loadQuickJs } from "./runtime.ts";
import { type WasmHost, WasmInstance } from "./wasm_instance.ts";

const quickJs = await loadQuickJs();

/** Interrupts what runs when `turns` polls are used up. */
function limitedHost(turns: number): WasmHost {
  return {
    callFunction: () => 0,
    shouldInterrupt: () => turns-- <= 0,
    nowMs: () => 0,
    moduleName: (_base, name) => name,
    moduleSource: () => undefined,
  };
}

function newInstance(turns = 100): WasmInstance {
  const instance = new WasmInstance(quickJs.build, limitedHost(turns));
  installExactAllocator(instance, quickJs.allocatorTable);
  return instance;
}

/** All memory below the end of what was ever used, as one hash would do; compared by Buffer, which is fast. */
function sameMemory(a: WasmInstance, b: WasmInstance): boolean {
  return a.u8.length === b.u8.length && a.u8.every((byte, at) => byte === b.u8[at]);
}

const MISDEEDS: Readonly<Record<string, string>> = {
  "changes globals and prototypes":
    `globalThis.x = 1; Object.prototype.y = 2; Array.prototype.map = null; JSON.parse = 3;`,
  "throws": `throw new Error("no")`,
  "recurses until the stack is full": `(function f() { f(); })()`,
  "recurses through native functions": `(function f() { [1].map(f); })()`,
  "fills the heap": `const a = []; for (;;) a.push(new Uint8Array(100_000).fill(7));`,
  "fills the heap with small objects": `let a = null; for (;;) a = { a };`,
  "never ends": `for (;;);`,
  "touches much memory": `new Uint8Array(5_000_000).fill(255); "x".repeat(1_000_000).split("");`,
  "has many local variables":
    `eval("(() => {" + Array.from({ length: 5000 }, (_, i) => "let v" + i + "=" + i).join(";") + "})()")`,
  "parses deep JSON": `JSON.parse("[".repeat(5000))`,
  "matches a long expression": `/(a|b|c)*d/.exec("abc".repeat(5000))`,
};

Deno.test("MemoryImage.restore() makes all memory equal to the image, whatever ran", () => {
  const instance = newInstance(200);
  const machine = new Machine(instance);
  machine.setLimits(8_000_000, MAX_SCRIPT_STACK_BYTES);
  const image = new MemoryImage(instance, quickJs.heapEndAt);
  const pristine = newInstance();
  image.restore(pristine);
  for (const [what, source] of Object.entries(MISDEEDS)) {
    image.restore(instance);
    try {
      machine.free(machine.evaluate(source, "misdeed.js"));
    } catch (error) {
      if (!(error instanceof PendingException || error instanceof RangeError)) throw error;
    }
    assert.equal(instance.hasGrown, false, what);
    image.restore(instance);
    assert.ok(sameMemory(instance, pristine), `A script that ${what} leaves nothing behind`);
    assert.equal(instance.stackPointer.value, pristine.stackPointer.value);
  }
});

Deno.test("MemoryImage fits another instance, and values lie where they lay", () => {
  const first = newInstance();
  const machine = new Machine(first);
  const value = machine.evaluate(`globalThis.kept = { a: [1, 2, 3] }`, "a.js");
  const image = new MemoryImage(first, quickJs.heapEndAt);
  const second = newInstance();
  image.restore(second);
  const twin = new Machine(second, machine.roots);
  assert.equal(twin.textOf(twin.evaluate(`JSON.stringify(kept)`, "b.js")), `{"a":[1,2,3]}`);
  assert.equal(new TextDecoder().decode(twin.jsonOf(value)), `{"a":[1,2,3]}`);
});

Deno.test("MemoryImage.restore() wipes the whole stack where something was written beyond the reach of scripts", () => {
  const instance = newInstance();
  new Machine(instance);
  const image = new MemoryImage(instance, quickJs.heapEndAt);
  const top = instance.stackPointer.value;
  const guard = top - MAX_SCRIPT_STACK_BYTES - 64 * 1024 - 100, far = top - 4_000_000;
  instance.u8[guard] = instance.u8[far] = 1;
  image.restore(instance);
  assert.equal(instance.u8[guard], 0);
  assert.equal(instance.u8[far], 0);
});
