/**
 * Makes QuickJS count its memory exactly, so that a heap limit means what it says.
 *
 * In: an instance without a runtime. Out: the same instance, whose runtimes will count every byte they hold.
 * QuickJS keeps to a limit by asking the C library how large each block is. In this build that question is answered
 * with 0: the limit would count eight bytes a block, and garbage would be collected far too late. But a runtime takes
 * its allocator as a table of four function pointers, and the table it takes by default lies in memory. So four small
 * functions are put in front of the four old ones, which add and subtract the real sizes.
 * Source: QuickJS 2025-09-13 `quickjs.c` (`def_malloc_funcs`, `JSMallocState`), dlmalloc's chunk header
 */

import { assert } from "../../shared/assert.ts";
import { leb } from "./wasm_build.ts";
import type { Pointer, WasmInstance } from "./wasm_instance.ts";

/** Where the default table lies, and the functions that stand in it. Found with `findAllocatorTable`. */
export interface AllocatorTable {
  readonly at: Pointer;
  /** Indexes into the instance's function table: malloc, free, realloc, usable size. */
  readonly functions: readonly number[];
}

/** Looks for the table: a runtime begins with a copy of it, and the original lies in the static data. */
export function findAllocatorTable(instance: WasmInstance): AllocatorTable {
  const { c, u32, stackPointer } = instance;
  const runtime = c.QTS_NewRuntime() >> 2;
  const functions = [...u32.subarray(runtime, runtime + 4)];
  const places: Pointer[] = [];
  for (let at = 0; at < stackPointer.value >> 2; at++) {
    if (functions.every((index, i) => u32[at + i] === index)) places.push(at << 2);
  }
  const [at, ...others] = places;
  assert(at !== undefined && others.length === 0, "There is one default table of allocator functions");
  return { at, functions };
}

/** Puts the counting functions into the table. Every runtime made afterwards uses them. */
export function installExactAllocator(instance: WasmInstance, { at, functions }: AllocatorTable): void {
  const { memory, table, u32 } = instance;
  const [malloc, free, realloc] = functions.map((index) => table.get(index));
  assembled ??= new WebAssembly.Module(assemble());
  const { exports } = new WebAssembly.Instance(assembled, { old: { memory, malloc, free, realloc } });
  const first = table.grow(4);
  ["malloc", "free", "realloc", "usable_size"].forEach((name, i) => {
    table.set(first + i, exports[name]);
    u32[(at >> 2) + i] = first + i;
  });
}

let assembled: WebAssembly.Module | undefined;

/**
 * The four functions, in WebAssembly. `state` points to four words: count and size of the blocks, the limit, and one
 * that QuickJS leaves to its allocator. There we note that a request was refused.
 */
function assemble(): Uint8Array<ArrayBuffer> {
  const I32 = 0x7f,
    END = 0x0b,
    ELSE = 0x05,
    IF = [0x04, 0x40],
    IF_I32 = [0x04, I32],
    EQZ = 0x45,
    ADD = 0x6a,
    SUB = 0x6b,
    AND = 0x71;
  const get = (local: number) => [0x20, local];
  const set = (local: number) => [0x21, local];
  const constant = (value: number) => [0x41, value & 0x7f]; // -64 to 63
  const call = (callee: number) => [0x10, callee];
  const load = (offset: number) => [0x28, 2, offset];
  const store = (offset: number) => [0x36, 2, offset];
  const OLD_MALLOC = 0, OLD_FREE = 1, OLD_REALLOC = 2, USABLE_SIZE = 3;
  const STATE = 0, SIZE = 4, REFUSED = 12;

  // A chunk's size stands in the word before it, with three flags in its low bits, and counts that word too.
  const usableSize = [
    ...[...get(0), EQZ, ...IF_I32, ...constant(0), ELSE],
    ...[...get(0), ...constant(4), SUB, ...load(0), ...constant(-8), AND, ...constant(4), SUB, END],
  ];
  /** state.size = state.size + or - what `amount` pushes */
  const count = (
    sign: number,
    amount: number[],
  ) => [...get(STATE), ...get(STATE), ...load(SIZE), ...amount, sign, ...store(SIZE)];
  const sizeOf = (local: number) => [...get(local), ...call(USABLE_SIZE)];
  /** if (block === 0) state.refused = 1 */
  const noteRefusal = (
    block: number,
  ) => [...get(block), EQZ, ...IF, ...get(STATE), ...constant(1), ...store(REFUSED), END];

  // malloc(state, bytes): the old one refuses what would pass the limit.
  const malloc = [
    ...[...get(STATE), ...get(1), ...call(OLD_MALLOC), ...set(2)],
    ...[...noteRefusal(2), ...count(ADD, sizeOf(2)), ...get(2)],
  ];
  // free(state, block)
  const free = [...count(SUB, sizeOf(1)), ...get(STATE), ...get(1), ...call(OLD_FREE)];
  // realloc(state, block, bytes): the old one compares with the limit as if the old block were gone already. Where it
  // fails the block is still there; where bytes is 0 it has been freed.
  const realloc = [
    ...[...sizeOf(1), ...set(3), ...count(SUB, get(3))],
    ...[...get(STATE), ...get(1), ...get(2), ...call(OLD_REALLOC), ...set(4)],
    ...count(ADD, [
      ...[...get(4), ...IF_I32, ...sizeOf(4), ELSE],
      ...[...get(2), ...IF_I32, ...noteRefusal(4), ...get(3), ELSE, ...constant(0), END, END],
    ]),
    ...get(4),
  ];

  const list = (items: number[][]) => [...leb(items.length), ...items.flat()];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body];
  const type = (
    parameters: number,
    results: number,
  ) => [0x60, ...list(Array(parameters).fill([I32])), ...list(Array(results).fill([I32]))];
  const code = (locals: number, body: number[]) => {
    const whole = [...(locals === 0 ? [0] : [1, locals, I32]), ...body, END];
    return [...leb(whole.length), ...whole];
  };
  const FUNCTION = 0, MEMORY = 2;
  const imported = (text: string, kind: number[]) => [...name("old"), ...name(text), ...kind];
  const exported = (text: string, index: number) => [...name(text), FUNCTION, index];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list([type(2, 1), type(2, 0), type(3, 1), type(1, 1)])),
    ...section(
      2,
      list([
        imported("memory", [MEMORY, 1, ...leb(256), ...leb(32768)]),
        imported("malloc", [FUNCTION, 0]),
        imported("free", [FUNCTION, 1]),
        imported("realloc", [FUNCTION, 2]),
      ]),
    ),
    ...section(3, list([[3], [0], [1], [2]])),
    ...section(
      7,
      list([exported("usable_size", 3), exported("malloc", 4), exported("free", 5), exported("realloc", 6)]),
    ),
    ...section(10, list([code(0, usableSize), code(1, malloc), code(0, free), code(2, realloc)])),
  ]);
}
