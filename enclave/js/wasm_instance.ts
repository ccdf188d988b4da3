/**
 * One instance of the QuickJS build: its memory, its C functions, and the whole world that its C code can see.
 *
 * In: a build and a `WasmHost`. Out: C functions to call, and memory to read.
 * That world is: memory, up to a bound; a clock that the host sets; and the four questions of `WasmHost`. No files, no
 * environment, no time zone but UTC, no console. Knows nothing of JavaScript values.
 * Source: the imports of the build's own loader script (`emscripten-module.mjs`), whose names are single letters
 */

import { assert, AssertionFailed } from "../../shared/assert.ts";
import { fromUtf8Lenient, toUtf8 } from "../../shared/bytes.ts";
import { MAX_JS_MEMORY_BYTES } from "../../shared/limits.ts";
import { type QuickJsBuild, STACK_POINTER_EXPORT, TABLE_EXPORT } from "./wasm_build.ts";

/** An address in an instance's memory. */
export type Pointer = number;

/** What QuickJS asks of us while it runs. Whatever is thrown here passes through QuickJS and tears its state. */
export interface WasmHost {
  /** A script called host function `id`. Answers a JSValue on the heap, or 0 for undefined. */
  callFunction(id: number, self: Pointer, count: number, first: Pointer): Pointer;
  /** Asked every 10 000 loop turns and calls. */
  shouldInterrupt(): boolean;
  /** Milliseconds since 1970, for `Date`. */
  nowMs(): number;
  /** The canonical name of a module that `base` imports as `name`. */
  moduleName(base: string, name: string): string;
  /** Source text of a module, by canonical name; undefined where there is none. */
  moduleSource(name: string): string | undefined;
}

/** The C functions that are used here. Arguments and answers are pointers and integers; sizes are bytes. */
const C_NAMES = [
  "malloc",
  "free",
  "QTS_NewRuntime",
  "QTS_NewContext",
  "QTS_RuntimeSetMemoryLimit",
  "QTS_RuntimeSetMaxStackSize",
  "QTS_RuntimeEnableInterruptHandler",
  "QTS_RuntimeEnableModuleLoader",
  "QTS_Eval",
  "QTS_Call",
  "QTS_Throw",
  "QTS_ResolveException",
  "QTS_GetProp",
  "QTS_GetGlobalObject",
  "QTS_GetString",
  "QTS_GetFloat64",
  "QTS_FreeCString",
  "QTS_FreeValuePointer",
  "QTS_DupValuePointer",
  "QTS_NewString",
  "QTS_NewFloat64",
  "QTS_NewFunction",
  "QTS_NewHostRef",
  "QTS_GetHostRefId",
] as const;

export type CFunctions = { readonly [name in typeof C_NAMES[number]]: (...args: number[]) => number };

/** What the build expects at least, and what a fresh instance has. */
const INITIAL_PAGES = 256;
const MAX_PAGES = 32768;
const PAGE_BYTES = 65536;
export const INITIAL_MEMORY_BYTES = INITIAL_PAGES * PAGE_BYTES;

export class WasmInstance {
  readonly c: CFunctions;
  readonly memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: MAX_PAGES });
  readonly stackPointer: WebAssembly.Global<"i32">;
  readonly table: WebAssembly.Table;
  readonly host: WasmHost;
  /** Views of the whole memory, renewed when it grows. */
  u8!: Uint8Array<ArrayBuffer>;
  u32!: Uint32Array<ArrayBuffer>;

  constructor(build: QuickJsBuild, host: WasmHost) {
    this.host = host;
    this.#renewViews();
    const { exports } = new WebAssembly.Instance(build.module, { a: this.#imports() });
    const exported = (name: string) => {
      const value = exports[name];
      assert(value !== undefined, `The QuickJS build exports ${name}`);
      return value;
    };
    const c: Record<string, unknown> = {};
    for (const name of C_NAMES) c[name] = exported(build.exportNames.get(name) ?? name);
    this.c = c as CFunctions;
    this.stackPointer = exported(STACK_POINTER_EXPORT) as WebAssembly.Global<"i32">;
    this.table = exported(TABLE_EXPORT) as WebAssembly.Table;
    (exported(CONSTRUCTORS_EXPORT) as () => void)();
  }

  /** Whether memory is larger than a fresh instance's; it can never shrink again. */
  get hasGrown(): boolean {
    return this.u8.length > INITIAL_MEMORY_BYTES;
  }

  /** Copies text to the heap, with a zero byte behind it. The caller frees it. */
  newCString(text: string): Pointer {
    return this.newBytes(toUtf8(text));
  }

  /** Copies bytes to the heap, with a zero byte behind them. The caller frees them. */
  newBytes(bytes: Uint8Array): Pointer {
    const at = this.c.malloc(bytes.length + 1);
    if (at === 0) throw new OutOfWasmMemory();
    this.u8.set(bytes, at);
    this.u8[at + bytes.length] = 0;
    return at;
  }

  readCString(at: Pointer): string {
    return fromUtf8Lenient(this.u8.subarray(at, this.u8.indexOf(0, at)));
  }

  #renewViews(): void {
    this.u8 = new Uint8Array(this.memory.buffer);
    this.u32 = new Uint32Array(this.memory.buffer);
  }

  /** `emscripten_resize_heap`: QuickJS's C heap is full. Some room is added, so that it does not come here too often. */
  #grow(wantedBytes: number): 0 | 1 {
    if (wantedBytes > MAX_JS_MEMORY_BYTES) return 0;
    const roomyBytes = Math.min(Math.max(wantedBytes, this.u8.length * 1.25), MAX_JS_MEMORY_BYTES);
    try {
      this.memory.grow(Math.ceil((roomyBytes - this.u8.length) / PAGE_BYTES));
    } catch {
      return 0; // the process has no more
    }
    this.#renewViews();
    return 1;
  }

  /** The imports of the build, under the letters that its linker gave them. */
  #imports(): WebAssembly.ModuleImports {
    const { host } = this;
    const refuse = (what: string) => () => {
      throw new AssertionFailed(`Assertion failed: QuickJS does not ${what}`);
    };
    return {
      a: this.memory,
      b: refuse("fail an assertion of its own"),
      q: refuse("abort"),
      r: refuse("exit"),
      p: () => host.nowMs(),
      k: (bytes: number) => this.#grow(bytes >>> 0),
      // struct tm of a moment in UTC. QuickJS reads its offset from UTC only, so that all of it may be zero.
      m: (_seconds: bigint, tm: Pointer) => void this.u8.fill(0, tm, tm + 44),
      n: () => 0, // tzset
      // The environment is empty: no variables, no bytes of them.
      e: () => 0,
      f: (count: Pointer, bytes: Pointer) => {
        this.u32[count >> 2] = this.u32[bytes >> 2] = 0;
        return 0;
      },
      // Files do not exist: close, seek and write fail with ENOSYS.
      d: () => 52,
      o: () => 52,
      c: () => 52,
      j: () => 0, // setitimer
      l: () => {}, // the runtime need not be kept alive
      s: (_context: Pointer, self: Pointer, count: number, first: Pointer, id: number) =>
        host.callFunction(id, self, count, first),
      i: () => (host.shouldInterrupt() ? 1 : 0),
      h: (_runtime: Pointer, _context: Pointer, name: Pointer) => {
        const source = host.moduleSource(this.readCString(name));
        return source === undefined ? 0 : this.newCString(source);
      },
      g: (_runtime: Pointer, _context: Pointer, base: Pointer, name: Pointer) =>
        this.newCString(host.moduleName(this.readCString(base), this.readCString(name))),
      t: () => {}, // a reference to a host object was collected; we keep nothing for it
    };
  }
}

/** The export that runs what C wants to run before anything else. */
const CONSTRUCTORS_EXPORT = "u";

/** WebAssembly memory is at its bound. Passes through QuickJS like every exception of the host. */
export class OutOfWasmMemory extends Error {
  override name = "OutOfWasmMemory";
}
