import { strict as assert } from "node:assert";
import { installExactAllocator } from "./exact_allocator.ts";
import { Machine } from "./machine.ts";
import { loadQuickJs } from "./runtime.ts";
import { WasmInstance } from "./wasm_instance.ts";

const quickJs = await loadQuickJs();

function newMachine(): Machine {
  const instance = new WasmInstance(quickJs.build, {
    callFunction: () => 0,
    shouldInterrupt: () => false,
    nowMs: () => 0,
    moduleName: (_base, name) => name,
    moduleSource: () => undefined,
  });
  installExactAllocator(instance, quickJs.allocatorTable);
  return new Machine(instance);
}

Deno.test("Machine.heapBytes counts the bytes of blocks, not only the blocks", () => {
  const machine = newMachine();
  const before = machine.heapBytes;
  const value = machine.evaluate(`new ArrayBuffer(1_000_000)`, "a.js");
  const grown = machine.heapBytes - before;
  assert.ok(grown >= 1_000_000 && grown < 1_001_000, String(grown));
  machine.free(value);
  assert.ok(Math.abs(machine.heapBytes - before) < 1000, "what is freed is counted off");
});

Deno.test("Machine.setLimits() bounds the heap to the byte", () => {
  const machine = newMachine();
  const room = 2_000_000;
  machine.setLimits(machine.heapBytes + room, 1 << 18);
  const counted = (size: number) =>
    machine.numberOf(machine.evaluate(
      `(() => { const all = []; try { for (;;) all.push(new ArrayBuffer(${size})); } catch { return all.length; } })()`,
      "a.js",
    ));
  assert.equal(counted(500_000), 3, "four do not fit beside their objects");
  assert.equal(counted(900_000), 2);
  assert.equal(counted(2_000_001), 0);
  // Small things too: an empty object takes some 50 bytes.
  const objects = machine.numberOf(machine.evaluate(
    `(() => { let last = null, n = 0; try { for (;; n++) last = { last }; } catch {} last = null; return n; })()`,
    "a.js",
  ));
  assert.ok(objects > 15_000 && objects < 40_000, String(objects));
});

Deno.test("garbage in cycles is collected before a limit is reached", () => {
  const machine = newMachine();
  machine.setLimits(3_000_000, 1 << 18);
  const source = `for (let i = 0; i < 2000; i++) { const c = { big: new ArrayBuffer(100_000) }; c.self = c; } "done"`;
  assert.equal(machine.textOf(machine.evaluate(source, "a.js")), "done");
});

Deno.test("realloc counts the difference, and a block that could not grow stays counted", () => {
  const machine = newMachine();
  machine.setLimits(machine.heapBytes + 3_000_000, 1 << 18);
  const before = machine.heapBytes;
  // Arrays and strings grow by realloc; the last growth is refused.
  const source =
    `(() => { const a = []; try { for (;;) a.push(0); } catch { const n = a.length; a.length = 0; return n; } })()`;
  assert.ok(machine.numberOf(machine.evaluate(source, "a.js")) > 100_000);
  assert.ok(Math.abs(machine.heapBytes - before) < 2000, `${machine.heapBytes - before} bytes are left over`);
});
