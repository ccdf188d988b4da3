/**
 * One QuickJS engine: JavaScript values by the addresses at which they lie.
 *
 * In: an instance of the build. Out: values made, read, called and thrown.
 * A value is a `Pointer` to the eight bytes of a JSValue: in its upper word a tag, in its lower one an integer or the
 * address of an object. Most questions are answered by looking there, since every call into WebAssembly costs time.
 * Who gets a value from a method here owns it and frees it. Knows nothing of `ccf`, requests or limits' defaults.
 * Layouts: QuickJS 2025-09-13 `quickjs.h` (NaN boxing), `quickjs.c` (JSString, JSObject, JSArrayBuffer); checked at start
 */

import { assert } from "../../shared/assert.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { HOST_FILE, type Primordial, PRIMORDIALS } from "./primordials.ts";
import { OutOfWasmMemory, type Pointer, type WasmInstance } from "./wasm_instance.ts";

/** Upper words of a JSValue. Other upper words belong to floating-point numbers. */
const TAG = {
  int: 0,
  bool: 1,
  null: 2,
  undefined: 3,
  exception: 6,
  object: -1 >>> 0,
  stringRope: -6 >>> 0,
  string: -7 >>> 0,
  symbol: -8 >>> 0,
  lowest: -9 >>> 0,
} as const;

const OBJECT_CLASS = {
  error: 3,
  arrayBuffer: 19,
  sharedArrayBuffer: 20,
  firstTypedArray: 21,
  lastTypedArray: 32,
} as const;
/** Offset in a JSObject of what its class keeps there, and of the length before the characters of a JSString. */
const OBJECT_PAYLOAD = 32;
const STRING_LENGTH_BEFORE = 12;

const EVAL = { script: 0, module: 1 } as const;
const MAX_ARGUMENTS = 8;

/** An exception is pending in QuickJS; host functions let it pass. */
export class PendingException extends Error {
  override name = "PendingException";
}

/** Thrown by host functions: becomes a JavaScript exception that scripts can catch. */
export class ScriptError extends Error {
  constructor(readonly type: "TypeError" | "RangeError" | "InternalError", message: string) {
    super(message);
  }
}

/** Thrown by host functions: ends the call, and no script can catch it. The message goes to the caller. */
export class Uncatchable extends Error {}

/** Members that the host reads in every call: their names are made only once. */
const FREQUENT_NAMES = ["body", "headers", "statusCode"] as const;

/** Where a machine's fixed values lie: all that must be known to use another instance with the same memory. */
export interface MachineRoots {
  readonly runtime: Pointer;
  readonly context: Pointer;
  readonly undefined: Pointer;
  /** Room for the addresses of a call's arguments. */
  readonly arguments: Pointer;
  readonly primordials: Readonly<Record<Primordial, Pointer>>;
  readonly names: ReadonlyMap<string, Pointer>;
}

export class Machine {
  readonly instance: WasmInstance;
  readonly roots: MachineRoots;
  readonly #c: WasmInstance["c"];
  /** The host function that runs, for stack traces. */
  hostFunctionName: string | undefined;

  /** Without `roots` a new runtime is made in the instance; with them it is the one of an image restored into it. */
  constructor(instance: WasmInstance, roots?: MachineRoots) {
    this.instance = instance;
    this.#c = instance.c;
    if (roots !== undefined) {
      this.roots = roots;
      return;
    }
    const { c } = instance;
    const runtime = c.QTS_NewRuntime();
    c.QTS_RuntimeEnableInterruptHandler(runtime);
    c.QTS_RuntimeEnableModuleLoader(runtime, 1);
    const context = c.QTS_NewContext(runtime, 0);
    const undefinedValue = c.malloc(8);
    instance.u32.set([0, TAG.undefined], undefinedValue >> 2);
    const primordials = {} as Record<Primordial, Pointer>;
    const names = new Map<string, Pointer>();
    const room = c.malloc(4 * MAX_ARGUMENTS);
    this.roots = { runtime, context, undefined: undefinedValue, arguments: room, primordials, names };
    for (const [name, source] of Object.entries(PRIMORDIALS)) {
      primordials[name as Primordial] = this.evaluate(source, HOST_FILE);
    }
    for (const name of FREQUENT_NAMES) names.set(name, this.newString(name));
    this.#checkLayouts();
  }

  // What a value is.

  #tag(value: Pointer): number {
    return this.instance.u32[(value >> 2) + 1]!;
  }

  #class(value: Pointer): number {
    return this.#tag(value) === TAG.object ? this.instance.u32[(this.instance.u32[value >> 2]! >> 2) + 1]! >>> 16 : 0;
  }

  isUndefined(value: Pointer): boolean {
    return this.#tag(value) === TAG.undefined;
  }

  isNull(value: Pointer): boolean {
    return this.#tag(value) === TAG.null;
  }

  isBoolean(value: Pointer): boolean {
    return this.#tag(value) === TAG.bool;
  }

  isString(value: Pointer): boolean {
    const tag = this.#tag(value);
    return tag === TAG.string || tag === TAG.stringRope;
  }

  isNumber(value: Pointer): boolean {
    const tag = this.#tag(value);
    return tag === TAG.int || (tag > TAG.exception + 1 && tag < TAG.lowest);
  }

  /** Arrays and functions are objects too. */
  isObject(value: Pointer): boolean {
    return this.#tag(value) === TAG.object;
  }

  isError(value: Pointer): boolean {
    return this.#class(value) === OBJECT_CLASS.error;
  }

  isException(value: Pointer): boolean {
    return this.#tag(value) === TAG.exception;
  }

  isFunction(value: Pointer): boolean {
    if (!this.isObject(value)) return false;
    const answer = this.call("isFunction", value);
    const isFunction = this.booleanOf(answer);
    this.free(answer);
    return isFunction;
  }

  // What a value holds.

  booleanOf(value: Pointer): boolean {
    return this.instance.u32[value >> 2] !== 0;
  }

  /** The number that a value is. */
  numberOf(value: Pointer): number {
    if (this.#tag(value) === TAG.int) return this.instance.u32[value >> 2]! | 0;
    return this.#c.QTS_GetFloat64(this.roots.context, value);
  }

  /** As JavaScript's unary plus does. @throws PendingException */
  toNumber(value: Pointer): number {
    if (this.isNumber(value)) return this.numberOf(value);
    const converted = this.call("toNumber", value);
    const number = this.numberOf(converted);
    this.free(converted);
    return number;
  }

  /** As JavaScript's `if` does. */
  isTruthy(value: Pointer): boolean {
    const tag = this.#tag(value);
    if (tag === TAG.bool) return this.booleanOf(value);
    if (tag === TAG.undefined || tag === TAG.null) return false;
    if (this.isNumber(value)) return !(this.numberOf(value) === 0 || Number.isNaN(this.numberOf(value)));
    if (this.isString(value)) return this.utf8Of(value).length > 0;
    if (tag === TAG.object || tag === TAG.symbol) return true;
    return this.textOf(value) !== "0"; // a BigInt
  }

  /** As `String(value)` does, in UTF-8; half surrogate pairs stay three bytes. @throws PendingException */
  utf8Of(value: Pointer): Uint8Array<ArrayBuffer> {
    const { context } = this.roots;
    const at = this.#c.QTS_GetString(context, value);
    if (at === 0) throw new PendingException();
    const { u8, u32 } = this.instance;
    const bytes = u8.slice(at, at + (u32[(at - STRING_LENGTH_BEFORE) >> 2]! & 0x7fff_ffff));
    this.#c.QTS_FreeCString(context, at);
    return bytes;
  }

  /** As `String(value)` does. @throws PendingException */
  textOf(value: Pointer): string {
    return fromUtf8Lenient(this.utf8Of(value));
  }

  /** The bytes of an ArrayBuffer, as a view that the next call into QuickJS may break; undefined for all else. */
  bufferOf(value: Pointer): Uint8Array<ArrayBuffer> | undefined {
    const kind = this.#class(value);
    if (kind !== OBJECT_CLASS.arrayBuffer && kind !== OBJECT_CLASS.sharedArrayBuffer) return undefined;
    const { u8, u32 } = this.instance;
    const buffer = u32[(u32[value >> 2]! + OBJECT_PAYLOAD) >> 2]! >> 2;
    const length = u32[buffer]!, data = u32[buffer + 3]!;
    return data === 0 ? undefined : u8.subarray(data, data + length); // a detached buffer has no data
  }

  /** A copy of the bytes of an ArrayBuffer, or of what a typed array views; undefined for all else. */
  bytesOf(value: Pointer): Uint8Array | undefined {
    if (!this.isObject(value)) return undefined;
    const buffer = this.bufferOf(value);
    if (buffer !== undefined) return buffer.slice();
    const kind = this.#class(value);
    if (kind < OBJECT_CLASS.firstTypedArray || kind > OBJECT_CLASS.lastTypedArray) return undefined;
    const viewed = this.call("viewedBytes", value);
    const bytes = this.bufferOf(viewed)?.slice();
    this.free(viewed);
    return bytes;
  }

  /** @throws PendingException where a getter throws */
  getMember(object: Pointer, name: string): Pointer {
    const frequent = this.roots.names.get(name);
    const key = frequent ?? this.newString(name);
    const value = this.#c.QTS_GetProp(this.roots.context, object, key);
    if (frequent === undefined) this.free(key);
    return this.#checked(value);
  }

  setMember(object: Pointer, name: string, value: Pointer): void {
    const key = this.newString(name);
    this.free(this.call("setMember", object, key, value));
    this.free(key);
  }

  /** JSON text as `JSON.stringify` makes it, or the text "undefined" for what it leaves out. @throws PendingException */
  jsonOf(value: Pointer): Uint8Array<ArrayBuffer> {
    const text = this.call("stringify", value);
    const bytes = this.utf8Of(text);
    this.free(text);
    return bytes;
  }

  globalObject(): Pointer {
    return this.#checked(this.#c.QTS_GetGlobalObject(this.roots.context));
  }

  // New values.

  newBoolean(value: boolean): Pointer {
    return this.#newWords(value ? 1 : 0, TAG.bool);
  }

  newNull(): Pointer {
    return this.#newWords(0, TAG.null);
  }

  newNumber(value: number): Pointer {
    return this.#checked(this.#c.QTS_NewFloat64(this.roots.context, value));
  }

  newString(text: string): Pointer {
    if (text.includes("\0")) return this.parseJson(JSON.stringify(text)); // C strings end at a zero
    return this.newStringFromUtf8(utf8(text));
  }

  /** Bytes that are not UTF-8 become U+FFFD. */
  newStringFromUtf8(bytes: Uint8Array): Pointer {
    if (bytes.includes(0)) return this.newString(fromUtf8Lenient(bytes));
    const text = this.instance.newBytes(bytes);
    const value = this.#checked(this.#c.QTS_NewString(this.roots.context, text));
    this.#c.free(text);
    return value;
  }

  /** An ArrayBuffer with a copy of the bytes. @throws PendingException where the heap limit is reached */
  newBuffer(bytes: Uint8Array): Pointer {
    return this.newFilledBuffer(bytes.length, (room) => room.set(bytes));
  }

  /** An ArrayBuffer whose bytes `fill` writes. @throws PendingException where the heap limit is reached */
  newFilledBuffer(length: number, fill: (room: Uint8Array) => void): Pointer {
    const count = this.#newWords(length, TAG.int);
    const buffer = this.call("newArrayBuffer", count);
    this.#c.free(count);
    fill(this.bufferOf(buffer)!);
    return buffer;
  }

  /** Any JSON value; `Uint8Array`s inside become ArrayBuffers. @throws PendingException */
  newValue(value: unknown): Pointer {
    if (typeof value === "string") return this.newString(value);
    if (value instanceof Uint8Array) return this.newBuffer(value);
    const buffers: (readonly [path: readonly string[], bytes: Uint8Array])[] = [];
    const made = this.parseJson(JSON.stringify(withoutBuffers(value, [], buffers)));
    for (const [path, bytes] of buffers) {
      let owner = this.duplicate(made);
      for (const name of path.slice(0, -1)) {
        const member = this.getMember(owner, name);
        this.free(owner);
        owner = member;
      }
      const buffer = this.newBuffer(bytes);
      this.setMember(owner, path.at(-1)!, buffer);
      this.free(buffer);
      this.free(owner);
    }
    return made;
  }

  /** @throws PendingException where the heap limit is reached */
  parseJson(text: string): Pointer {
    return this.parseJsonUtf8(utf8(text), "<json>");
  }

  /**
   * Reads JSON as if `JSON.parse` were the host function that now runs.
   *
   * @param fileName how a stack trace calls the text
   * @throws PendingException where the bytes are not JSON
   */
  parseJsonUtf8(bytes: Uint8Array, fileName: string): Pointer {
    // JSON has no zero bytes; one that stands there shall be an error, not the end of a C string.
    const text = this.newStringFromUtf8(bytes.includes(0) ? bytes.map((byte) => byte || 1) : bytes);
    try {
      return this.call("parse", text);
    } catch (error) {
      if (error instanceof PendingException) this.#renameJsonError(fileName);
      throw error;
    } finally {
      this.free(text);
    }
  }

  /** Puts the host function's frame in place of that of `JSON.parse`, in the trace of a pending syntax error. */
  #renameJsonError(fileName: string): void {
    const error = this.takeException();
    if (this.isError(error)) {
      const own = /^ {4}at <input>(.*)\n {4}at parse \(native\)\n/;
      this.#editStack(
        error,
        (stack) => stack.replace(own, (_, line) => `    at ${fileName}${line}\n${this.#hostFrame()}`),
      );
    }
    this.free(this.#throw(error));
  }

  /** A function of the host, which `WasmHost.callFunction` answers under this id. */
  newFunction(name: string, id: number): Pointer {
    const text = this.instance.newCString(name);
    const value = this.#checked(this.#c.QTS_NewFunction(this.roots.context, text, 0, 0, id));
    this.#c.free(text);
    return value;
  }

  /** An object that nobody but the host can make, with a number above 0 in it. */
  newHostObject(id: number): Pointer {
    return this.#checked(this.#c.QTS_NewHostRef(this.roots.context, id));
  }

  /** The number in a host object; 0 for all other values. */
  hostObjectId(value: Pointer): number {
    return this.isObject(value) ? this.#c.QTS_GetHostRefId(value) : 0;
  }

  duplicate(value: Pointer): Pointer {
    return this.#checked(this.#c.QTS_DupValuePointer(this.roots.context, value));
  }

  free(value: Pointer): void {
    this.#c.QTS_FreeValuePointer(this.roots.context, value);
  }

  // Running.

  /** Calls a function with `this` undefined. @throws PendingException */
  call(callee: Pointer | Primordial, ...values: Pointer[]): Pointer {
    const { context, primordials, undefined: self, arguments: room } = this.roots;
    const at = typeof callee === "number" ? callee : primordials[callee];
    assert(values.length <= MAX_ARGUMENTS, `A call from the host has at most ${MAX_ARGUMENTS} arguments`);
    for (let i = 0; i < values.length; i++) this.instance.u32[(room >> 2) + i] = values[i]!;
    return this.#checked(this.#c.QTS_Call(context, at, self, values.length, room));
  }

  /** Evaluates a script. @throws PendingException */
  evaluate(source: string, fileName: string): Pointer {
    return this.#evaluate(source, fileName, EVAL.script);
  }

  /** Loads, links and runs a module; its promise is not waited for. @throws PendingException also for a throw in it */
  runModule(source: string, fileName: string): void {
    this.free(this.#evaluate(source, fileName, EVAL.module));
  }

  /** The answer of a host function that throws a new error. @throws PendingException another one, of a full heap */
  throwError(type: ScriptError["type"], message: string): Pointer {
    const text = this.newString(message);
    const error = this.call(type, text);
    this.free(text);
    this.#editStack(error, (stack) => this.#hostFrame() + stack);
    return this.#throw(error);
  }

  #throw(error: Pointer): Pointer {
    const exception = this.#c.QTS_Throw(this.roots.context, error);
    this.free(error);
    return exception;
  }

  #editStack(error: Pointer, edit: (stack: string) => string): void {
    const stack = this.getMember(error, "stack");
    const edited = this.newString(edit(this.textOf(stack)));
    this.setMember(error, "stack", edited);
    for (const value of [stack, edited]) this.free(value);
  }

  /** QuickJS has no frame for host functions as it has for its own native ones; CCF's are of that kind. */
  #hostFrame(): string {
    return this.hostFunctionName === undefined ? "" : `    at ${this.hostFunctionName} (native)\n`;
  }

  /** The answer of a host function that lets a pending exception pass. */
  passException(): Pointer {
    return this.#newWords(0, TAG.exception);
  }

  /** The pending exception, which is then pending no more. */
  takeException(): Pointer {
    const marker = this.passException();
    const exception = this.#c.QTS_ResolveException(this.roots.context, marker);
    this.#c.free(marker);
    if (exception === 0) throw new OutOfWasmMemory();
    return exception;
  }

  /** @param heapBytes of everything that the runtime holds; @param stackBytes of the C stack */
  setLimits(heapBytes: number, stackBytes: number): void {
    this.#c.QTS_RuntimeSetMemoryLimit(this.roots.runtime, heapBytes);
    this.#c.QTS_RuntimeSetMaxStackSize(this.roots.runtime, stackBytes);
    this.instance.u32[this.#allocatorState + 3] = 0;
  }

  /** Bytes that the runtime holds now. */
  get heapBytes(): number {
    return this.instance.u32[this.#allocatorState + 1]!;
  }

  /** Whether memory was refused since limits were set, be it for the limit or because there is no more. */
  get wasRefusedMemory(): boolean {
    return this.instance.u32[this.#allocatorState + 3] !== 0;
  }

  /** Index of the runtime's JSMallocState, see `exact_allocator.ts`: behind four function pointers. */
  get #allocatorState(): number {
    return (this.roots.runtime >> 2) + 4;
  }

  #evaluate(source: string, fileName: string, flags: number): Pointer {
    const bytes = utf8(source);
    const text = this.instance.newBytes(bytes);
    const name = this.instance.newCString(fileName);
    const value = this.#c.QTS_Eval(this.roots.context, text, bytes.length, name, 0, flags);
    this.#c.free(text);
    this.#c.free(name);
    return this.#checked(value);
  }

  #checked(value: Pointer): Pointer {
    if (value === 0) throw new OutOfWasmMemory();
    if (this.#tag(value) !== TAG.exception) return value;
    this.#c.free(value);
    throw new PendingException();
  }

  #newWords(low: number, tag: number): Pointer {
    const value = this.#c.malloc(8);
    if (value === 0) throw new OutOfWasmMemory();
    this.instance.u32[value >> 2] = low;
    this.instance.u32[(value >> 2) + 1] = tag;
    return value;
  }

  /** The layouts above are facts about one version of QuickJS; a short experiment shows that it is this one. */
  #checkLayouts(): void {
    const value = this.evaluate(
      `({ text: "a\\0\\u00fc" + "z".repeat(9), buffer: new Uint8Array([7, 8, 9]).buffer })`,
      "check",
    );
    const text = this.getMember(value, "text"), buffer = this.getMember(value, "buffer");
    const error = this.call("TypeError", text);
    assert(this.isString(text) && this.textOf(text) === "a\0ü" + "z".repeat(9), "A JSString has the known layout");
    assert(String(this.bufferOf(buffer)) === "7,8,9", "A JSArrayBuffer has the known layout");
    assert(this.isError(error) && !this.isError(value), "A JSObject has the known layout");
  }
}

const encoder = new TextEncoder();

function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The value with null in place of every `Uint8Array`; their places are added to `found`. */
function withoutBuffers(
  value: unknown,
  path: readonly string[],
  found: (readonly [path: readonly string[], bytes: Uint8Array])[],
): unknown {
  if (value instanceof Uint8Array) {
    found.push([path, value]);
    return null;
  }
  if (Array.isArray(value)) return value.map((item, i) => withoutBuffers(item, [...path, String(i)], found));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withoutBuffers(member, [...path, name], found)]),
  );
}
