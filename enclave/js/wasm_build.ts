/**
 * The WebAssembly build of QuickJS: found once, compiled once, then instantiated synchronously as often as needed.
 *
 * In: the pinned npm package. Out: a compiled module, the names of what it exports, and a few addresses inside it.
 * Knows nothing of scripts. The package's own loader (`quickjs-emscripten-core`) can only instantiate asynchronously
 * and looks at the process, the console and the clock, so it is used to get at the bytes and the names, and no further.
 * Sources: quickjs-emscripten 0.32.0 `c/interface.c`, QuickJS 2025-09-13 `quickjs.c`
 */

import variant from "@jitl/quickjs-singlefile-mjs-release-sync";
import { assert } from "../../shared/assert.ts";

/** The C stack of the build (its link option STACK_SIZE): it lies between the static data and the heap. */
export const C_STACK_BYTES = 5 * 1024 * 1024;

/** What an instance exports under names of our own. */
export const STACK_POINTER_EXPORT = "stack_pointer";
export const TABLE_EXPORT = "table";

export interface QuickJsBuild {
  readonly module: WebAssembly.Module;
  /** From a C name (`QTS_Eval`, `malloc`) to the shortened one that the module exports. */
  readonly exportNames: ReadonlyMap<string, string>;
}

/** The build that the constants of this folder were read from. Another one needs them looked at again. */
const KNOWN_BYTES = 503_134;

let loading: Promise<QuickJsBuild> | undefined;

/** Compiles the build, once a process. */
export function loadBuild(): Promise<QuickJsBuild> {
  loading ??= compile();
  return loading;
}

async function compile(): Promise<QuickJsBuild> {
  const imported = await variant.importModuleLoader();
  const outer = typeof imported === "function" ? imported : imported.default;
  const start = typeof outer === "function" ? outer : outer.default;
  // The bytes are text inside the package's script, which hands them to WebAssembly.instantiate and to nobody else.
  // So we stand in its way for a moment. Other callers of that moment are passed through.
  const original = WebAssembly.instantiate;
  const known: { module?: WebAssembly.Module; instance?: WebAssembly.Instance } = {};
  const standIn = async (source: BufferSource, imports?: WebAssembly.Imports) => {
    if (!(source instanceof Uint8Array) || source.length !== KNOWN_BYTES) return await original(source, imports);
    known.module = await WebAssembly.compile(withTextsOfCcf(withExports(source)));
    known.instance = await original(known.module, imports);
    return { module: known.module, instance: known.instance };
  };
  let glue: object;
  try {
    WebAssembly.instantiate = standIn as typeof WebAssembly.instantiate;
    glue = await start();
  } finally {
    WebAssembly.instantiate = original;
  }
  const { module, instance } = known;
  assert(
    module !== undefined && instance !== undefined,
    "The QuickJS package holds the build this folder was made for",
  );
  return { module, exportNames: namesOf(glue, instance) };
}

/** The package's script has put the exports on itself under their C names: `_QTS_Eval` and so on. */
function namesOf(glue: object, instance: WebAssembly.Instance): Map<string, string> {
  const shortened = new Map<unknown, string>();
  for (const [name, value] of Object.entries(instance.exports)) shortened.set(value, name);
  const names = new Map<string, string>();
  for (const [name, value] of Object.entries(glue)) {
    const short = shortened.get(value);
    if (name.startsWith("_") && short !== undefined) names.set(name.slice(1), short);
  }
  return names;
}

/**
 * The same module, which also exports its stack pointer (global 0) and its function table (table 0).
 *
 * The section of exports is a count and a list: it becomes two longer. All other sections stay as they are.
 */
function withExports(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const EXPORT_SECTION = 7, TABLE_KIND = 1, GLOBAL_KIND = 3;
  const entry = (name: string, kind: number) => [name.length, ...new TextEncoder().encode(name), kind, 0];
  const added = [...entry(STACK_POINTER_EXPORT, GLOBAL_KIND), ...entry(TABLE_EXPORT, TABLE_KIND)];
  let at = 8; // behind the magic number and the version
  while (at < module.length) {
    const id = module[at]!;
    const size = readLeb(module, at + 1);
    const end = size.end + size.value;
    if (id === EXPORT_SECTION) {
      const count = readLeb(module, size.end);
      const body = [...leb(count.value + 2), ...module.subarray(count.end, end), ...added];
      return joined(module.subarray(0, at + 1), leb(body.length), body, module.subarray(end));
    }
    at = end;
  }
  assert(false, "A WebAssembly module has a section of exports");
}

/**
 * Texts that this QuickJS prints otherwise than CCF's older one, and what they become. None may become longer.
 *
 * Traces are printed with the C format ":%d:%d"; CCF's have lines but no columns (js-apps.md §5). JSON that ends too soon
 * is what members see most of errors in JSON (transcripts/one_node_errors.jsonl, "empty payload").
 */
const TEXTS_OF_CCF = [
  [":%d:%d", ":%d"],
  ["Unexpected end of JSON input", "unexpected end of input"],
] as const;

/** The same module with texts of CCF's engine. */
function withTextsOfCcf(module: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  for (const [ours, theirs] of TEXTS_OF_CCF) {
    const wanted = new TextEncoder().encode(`\0${ours}\0`);
    const places: number[] = [];
    for (let at = module.indexOf(0); at >= 0; at = module.indexOf(0, at + 1)) {
      if (wanted.every((byte, i) => module[at + i] === byte)) places.push(at);
    }
    assert(places.length === 1, `The build has the text ${ours} once`);
    module.set(new TextEncoder().encode(`${theirs}\0`), places[0]! + 1);
  }
  return module;
}

/** Unsigned LEB128, as WebAssembly writes its counts. */
function readLeb(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  for (let shift = 0;; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return { value, end: at };
  }
}

export function leb(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

function joined(...parts: (Uint8Array | number[])[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
