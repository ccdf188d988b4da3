/**
 * The memory image: why each call of a script starts in the same pristine world, at the price of a memory copy.
 *
 * A script engine inside WebAssembly is nothing but its linear memory and one register, the stack pointer: every object,
 * every prototype, every loaded module is bytes in that memory, and every pointer is an offset into it. So when the
 * modules of a program have been evaluated we keep a copy of the bytes, and before each call we copy them back. Whatever
 * the call before did to globals, prototypes, module variables or the heap, also when it ended in an exception, a
 * time-out or an exhausted heap, is gone, exactly. It also follows that an image fits every instance of the build.
 *
 *     0             static data        C stack, grows down          heap, grows up
 *     ├────────────────┤├──────────────────────────┬──────────────┤├─────────────────┬───────────┬─ - - ─┤
 *     │ copied back    ││ never reached (guarded)  │ zeroed       ││ copied back     │ zeroed    │ untouched
 *     └────────────────┘└──────────────────────────┴──────────────┘└─────────────────┴───────────┴─ - - ─┘
 *                    stack bottom                              stack top         image's end   heap's end
 *
 * Copying back everything is cheaper than finding out what changed: JavaScript cannot see which pages were written, and
 * comparing reads as much as copying writes. Measured: 1 µs for each 128 kB copied or 160 kB zeroed; an engine with a
 * small app is 90 kB of static data and 150 kB of heap. Memory that grew cannot shrink, but nothing in it can tell.
 *
 * In: an instance, between calls. Out: its image; or an instance that equals the image. Knows nothing of JavaScript.
 */

import { assert } from "../../shared/assert.ts";
import { C_STACK_BYTES } from "./wasm_build.ts";
import type { Pointer, WasmInstance } from "./wasm_instance.ts";

/** What scripts can reach of the C stack: `MAX_SCRIPT_STACK_BYTES`, and behind it the frames that check no limit. */
export const MAX_SCRIPT_STACK_BYTES = 264 * 1024;
const REACHED_STACK_BYTES = MAX_SCRIPT_STACK_BYTES + 64 * 1024;
/** Beside the reached part. If anything was written here, all of the stack is wiped. */
const GUARD_BYTES = 4096;

export class MemoryImage {
  readonly #staticData: Uint8Array;
  readonly #heap: Uint8Array;
  readonly #heapEndAt: Pointer;
  readonly #stackTop: Pointer;

  /**
   * Takes the image of an instance while nothing runs in it.
   *
   * @param heapEndAt address of the word that holds the end of the C heap, see `findHeapEnd`
   */
  constructor(instance: WasmInstance, heapEndAt: Pointer) {
    const { u8, u32, stackPointer } = instance;
    this.#heapEndAt = heapEndAt;
    this.#stackTop = stackPointer.value;
    this.#staticData = u8.slice(0, this.#stackTop - C_STACK_BYTES);
    this.#heap = u8.slice(this.#stackTop, u32[heapEndAt >> 2]);
  }

  get bytes(): number {
    return this.#staticData.length + this.#heap.length;
  }

  /**
   * Makes an instance equal to the image, whatever ran in it since it was made.
   *
   * @returns how far its heap had reached: an address
   */
  restore(instance: WasmInstance): Pointer {
    const { u8, u32, stackPointer } = instance;
    const heapEnd = u32[this.#heapEndAt >> 2]!;
    const top = this.#stackTop;
    const wiped = guardIsTouched(instance, top - REACHED_STACK_BYTES) ? C_STACK_BYTES : REACHED_STACK_BYTES;
    u8.set(this.#staticData);
    u8.fill(0, top - wiped, top);
    u8.set(this.#heap, top);
    u8.fill(0, top + this.#heap.length, heapEnd);
    stackPointer.value = top;
    return heapEnd;
  }
}

function guardIsTouched({ u32 }: WasmInstance, end: Pointer): boolean {
  for (let at = (end - GUARD_BYTES) >> 2; at < end >> 2; at++) if (u32[at] !== 0) return true;
  return false;
}

/**
 * The address of the word in which the C library keeps the end of its heap: nobody exports it, so it is found by
 * asking for a megabyte and looking which words of the static data now point behind that megabyte. The heap's end is
 * the farthest. It never falls again: this library does not give memory back.
 */
export function findHeapEnd(instance: WasmInstance): Pointer {
  const MEGABYTE = 1 << 20;
  const { c, u32, stackPointer } = instance;
  const words = (stackPointer.value - C_STACK_BYTES) >> 2;
  const before = u32.slice(0, words);
  const behind = c.malloc(MEGABYTE) + MEGABYTE;
  let found = 0;
  for (let at = 0; at < words; at++) {
    if (u32[at] !== before[at] && u32[at]! >= behind && u32[at]! > (u32[found] ?? 0)) found = at;
  }
  assert(found !== 0, "The end of the C heap is kept in the static data");
  return found << 2;
}
