/**
 * Ends of a script's call that QuickJS does not notice, or not first: memory and stacks around it are exhausted.
 *
 * In: what was thrown through QuickJS. Out: the words in which QuickJS would have said it.
 */

import type { Machine } from "./machine.ts";
import { OutOfWasmMemory } from "./wasm_instance.ts";

export const OUT_OF_MEMORY = "InternalError: out of memory";

/** What the exhaustion of a host's resource looks like to a script's caller; undefined for other errors. */
export function accidentOf(error: unknown, machine: Machine): string | undefined {
  if (error instanceof OutOfWasmMemory) return OUT_OF_MEMORY;
  // QuickJS counts a part of the stack only, so the engine around it may be the first to have enough.
  if (error instanceof RangeError && error.message.includes("call stack")) return "InternalError: stack overflow";
  // This QuickJS does not bear every refusal of memory, and reaches for addresses that are none.
  if (error instanceof WebAssembly.RuntimeError && machine.wasRefusedMemory) return OUT_OF_MEMORY;
  if (error instanceof WebAssembly.RuntimeError) return `InternalError: ${error.message}`;
  return undefined;
}
