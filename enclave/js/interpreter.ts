/**
 * A script engine with `ccf` in it, which runs one program at a time.
 *
 * In: a world to start from, a program, a context. Out: functions called, with everything the host gives to scripts.
 * A world is a memory image and what lies where in it. `runtime.ts` decides which world a call starts from, and whether
 * an interpreter is used again with its memory as the last call left it.
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { fromUtf8Lenient, toUtf8 } from "../../shared/bytes.ts";
import type { RawTable } from "../../shared/kv/table.ts";
import {
  DEFAULT_JS_EXECUTION_TIME_MS,
  DEFAULT_JS_HEAP_BYTES,
  DEFAULT_JS_STACK_BYTES,
  MAX_JS_CALLS_BEFORE_GIVING_BACK,
  MAX_JS_EXECUTION_TIME_MS,
  MAX_JS_HEAP_BYTES,
  MAX_JS_MODULES,
} from "../../shared/limits.ts";
import type { AppContext, AppRequest, Program, ScriptLimits } from "../app_engine.ts";
import { accidentOf } from "./accidents.ts";
import { Arguments, type Call } from "./binding.ts";
import { BINDINGS, HOST_FUNCTION_NAMES, HOST_FUNCTIONS, type ScriptKind } from "./bindings/registry.ts";
import { request as requestBinding } from "./bindings/request.ts";
import { type AllocatorTable, installExactAllocator } from "./exact_allocator.ts";
import { Machine, type MachineRoots, PendingException, ScriptError, Uncatchable } from "./machine.ts";
import { MAX_SCRIPT_STACK_BYTES, MemoryImage } from "./memory_image.ts";
import { install } from "./installation.ts";
import { canonicalModuleName, importedModuleName } from "./module_names.ts";
import type { QuickJsBuild } from "./wasm_build.ts";
import { INITIAL_MEMORY_BYTES, type Pointer, type WasmHost, WasmInstance } from "./wasm_instance.ts";

/** The build, and two places in it. */
export interface QuickJs {
  readonly build: QuickJsBuild;
  readonly heapEndAt: Pointer;
  readonly allocatorTable: AllocatorTable;
}

/** A state to which an interpreter can be set. */
export interface World {
  readonly kind: ScriptKind;
  readonly image: MemoryImage;
  readonly roots: MachineRoots;
  readonly newRequest: Pointer | undefined;
  /** A request that nobody has touched. */
  readonly request: Pointer | undefined;
  readonly showNamespace: Pointer;
  readonly tableNames: readonly string[];
  readonly metricsLogging: boolean;
  /** Lines that modules wrote when they were evaluated. */
  readonly consoleLines: readonly ConsoleLine[];
  /** Names and namespaces of the entry modules that are loaded. */
  readonly modules: ReadonlyMap<string, LoadedModule>;
}

type ConsoleLine = readonly [level: "info" | "fail" | "fatal", message: string];

export interface LoadedModule {
  readonly namespace: Pointer;
  readonly exportNames: ReadonlySet<string>;
}

/** The two modules through which others are evaluated or compiled, and the namespace of one once it is known. */
interface OwnModules {
  readonly driver: string;
  readonly witness: string;
  readonly witnessSource: string;
  namespace: Pointer;
  /** What the driver has imported last. */
  imported: string;
}

/** A program cannot be used; the message goes to the caller. */
export class ProgramUnusable extends Error {}

/** A module asks for the call that it is part of, while it is evaluated for an image. */
export class NeedsCall extends Error {}

/** What an exception says (js-apps.md §5). */
export interface Exception {
  readonly message: string;
  /** The `stack` of an Error, as QuickJS made it. */
  readonly stack?: string;
}

/** Why a text cannot be a constitution, found in another interpreter within a time; undefined where it can. */
export type ConstitutionCheck = (text: string, mostMs: number) => string | undefined;

/** QuickJS prints error messages into 256 bytes, one of them the zero behind. */
const MAX_ERROR_MESSAGE_BYTES = 255;

/**
 * Of a stack limit, the part that QuickJS can count. It counts the C stack in memory; the larger part of a frame is in
 * WebAssembly locals, on the stack of the JavaScript engine around it, which nobody can measure. For a plain recursion
 * the first is 176 bytes, the second about 370, and more for recursion through native functions. With this part, and
 * the default limit, QuickJS is the first to say that the stack is full; larger limits gain nothing.
 */
const COUNTED_STACK_PART = 1 / 4;

/** Loading is not under the configured limits, but under these (js-apps.md §6). */
const LOADING_LIMITS: ScriptLimits = {
  maxHeapBytes: DEFAULT_JS_HEAP_BYTES,
  maxStackBytes: DEFAULT_JS_STACK_BYTES,
  maxExecutionTimeMs: DEFAULT_JS_EXECUTION_TIME_MS,
};

export class Interpreter implements WasmHost, Call {
  readonly #quickJs: QuickJs;
  readonly #clockMs: () => number;
  readonly #checkConstitution: ConstitutionCheck;
  readonly #instance: WasmInstance;
  #machine: Machine | undefined;
  #smallCalls = 0;
  #world!: World;

  // Of the program.
  #program: Program | undefined;
  #tableNames: string[] = [];
  #tableIds = new Map<string, number>();
  #modules = new Map<string, LoadedModule>();
  #consoleLines: ConsoleLine[] = [];
  metricsLogging = true;

  // Of the call.
  #context: AppContext | undefined;
  #request: AppRequest | undefined;
  #tables: (RawTable | undefined)[] = [];
  #startMs = 0;
  #limitMs = MAX_JS_EXECUTION_TIME_MS;
  #heapLimit = MAX_JS_HEAP_BYTES;
  timedOut = false;
  /** Whether an exception of the host has passed through QuickJS: only another world helps then. */
  isTorn = false;

  // Of a module that is being loaded.
  #ownModules: OwnModules | undefined;
  #sourcesLoaded = 0;
  #missing: string | undefined;

  constructor(quickJs: QuickJs, clockMs: () => number, checkConstitution: ConstitutionCheck) {
    this.#quickJs = quickJs;
    this.#clockMs = clockMs;
    this.#checkConstitution = checkConstitution;
    this.#instance = new WasmInstance(quickJs.build, this);
    installExactAllocator(this.#instance, quickJs.allocatorTable);
  }

  get machine(): Machine {
    assert(this.#machine !== undefined, "An interpreter is in a world when scripts run");
    return this.#machine;
  }

  get context(): AppContext {
    assert(this.#context !== undefined, "Only functions that depend on nothing but arguments run outside calls");
    return this.#context;
  }

  get request(): AppRequest {
    assert(this.#request !== undefined, "Only endpoint calls have a request");
    return this.#request;
  }

  /**
   * Whether its memory has grown for a call long ago, and no call has needed as much since. Then another should take
   * its place, so that the memory is freed. Not earlier: the collector is in no hurry with memory of this kind, and
   * heavy calls that left it a hundred megabytes each would fill the machine.
   */
  get isBloated(): boolean {
    return this.#instance.hasGrown && this.#smallCalls >= MAX_JS_CALLS_BEFORE_GIVING_BACK;
  }

  // Worlds.

  /** Makes the first world of a kind, in an interpreter that has never been used. */
  boot(kind: ScriptKind): World {
    const machine = this.#machine = new Machine(this.#instance);
    this.setLimits(LOADING_LIMITS);
    const made = install(machine, BINDINGS[kind]);
    const newRequest = made.get(requestBinding);
    const request = newRequest === undefined ? undefined : machine.call(newRequest);
    const showNamespace = machine.newFunction("", SHOW_NAMESPACE);
    return this.#world = {
      ...{ kind, roots: machine.roots, newRequest, request, showNamespace },
      ...{ tableNames: [], metricsLogging: true, consoleLines: [], modules: new Map<string, LoadedModule>() },
      image: new MemoryImage(this.#instance, this.#quickJs.heapEndAt),
    };
  }

  /** Sets memory and everything else to a world. */
  enter(world: World): void {
    const heapEnd = world.image.restore(this.#instance);
    this.#smallCalls = heapEnd > INITIAL_MEMORY_BYTES ? 0 : this.#smallCalls + 1;
    if (this.#world?.roots !== world.roots) this.#machine = new Machine(this.#instance, world.roots);
    this.#world = world;
    this.#tableNames = [...world.tableNames];
    this.#tableIds = new Map(world.tableNames.map((name, i) => [name, i + 1]));
    this.#modules = new Map(world.modules);
    this.#consoleLines = [...world.consoleLines];
    this.metricsLogging = world.metricsLogging;
    this.isTorn = false;
    this.endCall();
  }

  /** The world as it is now. */
  capture(): World {
    return {
      ...this.#world,
      tableNames: [...this.#tableNames],
      metricsLogging: this.metricsLogging,
      consoleLines: [...this.#consoleLines],
      modules: new Map(this.#modules),
      image: new MemoryImage(this.#instance, this.#quickJs.heapEndAt),
    };
  }

  // Calls.

  /** Gives scripts a transaction. Lines of modules that were loaded before are said again. */
  beginCall(context: AppContext, request: AppRequest | undefined): void {
    this.#context = context;
    this.#request = request;
    this.#tables = [];
    for (const [level, message] of this.#world.consoleLines) context.log(level, this.#tag(), message);
  }

  endCall(): void {
    this.#context = undefined;
    this.#request = undefined;
    this.#tables = [];
  }

  /** Starts the clock. */
  setLimits(limits: ScriptLimits): void {
    const within = (limit: number, most: number) => limit < 0 ? most : Math.min(limit, most);
    this.#heapLimit = within(limits.maxHeapBytes, MAX_JS_HEAP_BYTES);
    this.#limitMs = within(limits.maxExecutionTimeMs, MAX_JS_EXECUTION_TIME_MS);
    this.#startMs = this.#clockMs();
    this.timedOut = false;
    // 0 would mean no limit to QuickJS.
    const stackBytes = within(limits.maxStackBytes * COUNTED_STACK_PART, MAX_SCRIPT_STACK_BYTES);
    this.machine.setLimits(this.#heapLimit, Math.max(1, Math.floor(stackBytes)));
  }

  /** Whether the heap limit is reached before anything has run. */
  get isHeapFull(): boolean {
    return this.machine.heapBytes >= this.#heapLimit;
  }

  /** Milliseconds since limits were set. */
  get elapsedMs(): number {
    return this.#clockMs() - this.#startMs;
  }

  /** The argument of an endpoint's function. */
  requestValue(isReused: boolean): Pointer {
    const { newRequest, request } = this.#world;
    assert(newRequest !== undefined && request !== undefined, "Endpoints run in the world of applications");
    if (!isReused) return request;
    const eager = this.machine.newBoolean(true);
    try {
      return this.machine.call(newRequest, eager);
    } finally {
      this.machine.free(eager);
    }
  }

  /** What the pending exception says; it is pending no more. Runs a little of the script's code, at worst. */
  takeException(): Exception {
    const { machine } = this;
    const ROOM_BYTES = 1 << 20; // a full heap or stack must have room for the words that say so
    const wasFull = machine.wasRefusedMemory;
    machine.setLimits(this.#heapLimit + ROOM_BYTES, MAX_SCRIPT_STACK_BYTES);
    const exception = machine.takeException();
    // QuickJS throws null where there is no room for an error.
    if (machine.isNull(exception) && wasFull) return { message: "InternalError: out of memory" };
    const text = <T>(say: () => T): T | "" => {
      try {
        return say();
      } catch (error) {
        if (!(error instanceof PendingException)) throw error;
        machine.free(machine.takeException());
        return "";
      }
    };
    const isError = machine.isError(exception);
    const asJson = machine.isObject(exception) && !isError;
    const message = text(() => asJson ? fromUtf8Lenient(machine.jsonOf(exception)) : machine.textOf(exception));
    const stack = isError ? text(() => stackOf(machine, exception)) : undefined;
    machine.free(exception);
    // Nor is there always room to say what an error is.
    if (message === "" && wasFull) return { message: "InternalError: out of memory" };
    return stack === undefined || (stack === "null" && wasFull) ? { message } : { message, stack };
  }

  // Modules.

  /** For modules that are loaded from now on. */
  setProgram(program: Program): void {
    this.#program = program;
  }

  /**
   * Loads and evaluates an entry module, once. A throw at its top level is ignored, as in CCF.
   *
   * @param mostMs the time it may take
   * @throws ProgramUnusable NeedsCall Uncatchable
   */
  load(name: string, mostMs = DEFAULT_JS_EXECUTION_TIME_MS): LoadedModule {
    const loaded = this.#modules.get(name);
    if (loaded !== undefined) return loaded;
    const program = this.#program;
    assert(program !== undefined, "Modules are loaded from a program");
    if (program.source(name) === undefined) throw new ProgramUnusable(`Module '${name}' could not be loaded`);
    this.setLimits({ ...LOADING_LIMITS, maxExecutionTimeMs: mostMs });
    const { machine } = this;
    const namespace = this.#evaluateModule(name, canonicalModuleName(name, program.slashInTraces === true));
    const keys = machine.call("ownKeys", namespace);
    const exportNames: unknown[] = JSON.parse(fromUtf8Lenient(machine.jsonOf(keys)));
    machine.free(keys);
    const made = { namespace, exportNames: new Set(exportNames.filter((key) => typeof key === "string")) };
    this.#modules.set(name, made);
    return made;
  }

  /**
   * Evaluates a module by way of two modules of our own, and answers its namespace, also when it throws. The driver
   * imports the witness first, and the witness imports the driver: so the witness is evaluated when all is linked and
   * before the module is, and shows us the namespace then.
   */
  #evaluateModule(name: string, fileName: string): Pointer {
    const { machine } = this;
    // No module of the program has names of this form: theirs begin with a slash all, or none.
    const prefix = `${fileName.startsWith("/") ? "" : "/"}${this.#modules.size}`;
    const driver = `${prefix} driver`, witness = `${prefix} witness`;
    const global = machine.globalObject();
    machine.setMember(global, WITNESS_GLOBAL, this.#world.showNamespace);
    machine.free(global);
    const own = this.#ownModules = {
      driver,
      witness,
      witnessSource: `import { namespace } from ${JSON.stringify(driver)};
        const show = globalThis.${WITNESS_GLOBAL};
        delete globalThis.${WITNESS_GLOBAL};
        show(namespace);`,
      namespace: 0,
      imported: "",
    };
    this.#sourcesLoaded = 0;
    this.#missing = undefined;
    try {
      const importing = `import ${JSON.stringify(witness)}; export * as namespace from ${JSON.stringify(fileName)};`;
      machine.runModule(importing, driver);
    } catch (error) {
      if (!(error instanceof PendingException)) throw error;
      const exception = this.takeException();
      if (this.timedOut) throw new ProgramUnusable("Operation took too long to complete.");
      if (own.namespace === 0) throw new ProgramUnusable(this.#whyNotLinked(name, fileName, exception));
    } finally {
      this.#ownModules = undefined;
    }
    return own.namespace;
  }

  /**
   * Compiles modules of the program and all that they import, and evaluates none of them. Once only in a world.
   *
   * A driver imports them all, but first a witness, whose own import cannot be found. That is noticed when everything is
   * compiled, and before modules are linked: what one imports from another by name need not be there, as in CCF.
   *
   * @returns the first that does not compile or imports one that is not there; undefined where there is none
   */
  firstNotCompiling(names: readonly string[]): string | undefined {
    const { machine } = this;
    const slash = this.#program?.slashInTraces === true;
    const byFileName = new Map(names.map((name) => [canonicalModuleName(name, slash), name]));
    const prefix = slash ? "" : "/";
    const driver = `${prefix}driver of all`, witness = `${prefix}witness of all`;
    const witnessSource = `import { everything } from ${JSON.stringify(driver)};`;
    const own: OwnModules = this.#ownModules = { driver, witness, witnessSource, namespace: 0, imported: "" };
    this.#sourcesLoaded = 0;
    this.setLimits(LOADING_LIMITS);
    try {
      const imports = [witness, ...byFileName.keys()].map((fileName) => `import ${JSON.stringify(fileName)};`);
      machine.runModule(imports.join("\n"), driver);
    } catch (error) {
      const isAccident = !(error instanceof PendingException);
      if (isAccident && accidentOf(error, machine) === undefined) throw error;
      const message = isAccident ? "" : this.takeException().message;
      const isCompiled = message === `SyntaxError: Could not find export 'everything' in module '${driver}'`;
      return isCompiled ? undefined : byFileName.get(own.imported);
    } finally {
      this.#ownModules = undefined;
    }
    assert(false, "A module cannot import what another does not export");
  }

  #whyNotLinked(name: string, fileName: string, { message, stack = "" }: Exception): string {
    if (this.#program?.isSingleText === true && !LINK_ERROR.test(message)) return notCompiled(name);
    if (this.#missing !== undefined) {
      return `Failed to resolve dependencies for module '${name}': Module '${this.#missing}' could not be loaded`;
    }
    const [, syntaxErrorIn] = /^ {4}at ([^\n]*):\d+\n/.exec(stack) ?? [];
    if (syntaxErrorIn === fileName) return `Failed to compile module '${name}': ${message}`;
    if (syntaxErrorIn !== undefined) {
      return `Failed to resolve dependencies for module '${name}': Failed to compile module '${syntaxErrorIn}': ${message}`;
    }
    return `Failed to execute ${name}: ${message}`;
  }

  /** A function that a module exports. @throws ProgramUnusable */
  exportedFunction(name: string, { namespace, exportNames }: LoadedModule, functionName: string): Pointer {
    const { machine } = this;
    if (!exportNames.has(functionName)) {
      throw new ProgramUnusable(`Failed to find export '${functionName}' in module '${name}'`);
    }
    const notFunction = `Export '${functionName}' of module '${name}' is not a function`;
    // A `let`, `const` or `class` behind a throw has no value; reading it throws.
    try {
      const value = machine.getMember(namespace, functionName);
      if (machine.isFunction(value)) return value;
    } catch (error) {
      if (!(error instanceof PendingException)) throw error;
      machine.free(machine.takeException());
    }
    throw new ProgramUnusable(notFunction);
  }

  // What host functions ask for.

  constitutionProblem(text: string): string | undefined {
    const problem = this.#checkConstitution(text, Math.max(0, this.#limitMs - this.elapsedMs));
    // The text has used up this call's time. Nobody would notice for the next 10 000 such texts if not here.
    if (this.shouldInterrupt()) throw new Uncatchable("Operation took too long to complete.");
    return problem;
  }

  log(level: ConsoleLine[0], message: string): void {
    if (this.#context === undefined) this.#consoleLines.push([level, message]);
    else this.#context.log(level, this.#tag(), message);
  }

  #tag(): "app" | "gov" {
    return this.#world.kind === "application" ? "app" : "gov";
  }

  tableId(name: string): number {
    let id = this.#tableIds.get(name);
    if (id === undefined) this.#tableIds.set(name, id = this.#tableNames.push(name));
    return id;
  }

  tableName(id: number): string {
    const name = this.#tableNames[id - 1];
    assert(name !== undefined, "A handle has the number of a table");
    return name;
  }

  table(id: number): RawTable {
    return this.#tables[id] ??= this.context.table(this.tableName(id));
  }

  // What QuickJS asks for.

  callFunction(id: number, self: Pointer, count: number, first: Pointer): Pointer {
    const { machine } = this;
    if (id === SHOW_NAMESPACE) {
      if (this.#ownModules !== undefined) this.#ownModules.namespace = machine.duplicate(first);
      return 0;
    }
    const called = HOST_FUNCTIONS[id];
    assert(called !== undefined, "QuickJS calls host functions by their numbers");
    if (this.#context === undefined && !called.anytime) throw new NeedsCall();
    const caller = machine.hostFunctionName;
    machine.hostFunctionName = HOST_FUNCTION_NAMES[id];
    try {
      return called.run(this, new Arguments(machine, self, count, first));
    } catch (error) {
      if (error instanceof PendingException) return machine.passException();
      if (error instanceof ScriptError) return this.#throwError(error);
      // A script gave us something malformed or too large, and its function does not say so in CCF's words.
      if (error instanceof FormatError) return this.#throwError(new ScriptError("InternalError", error.message));
      throw error;
    } finally {
      machine.hostFunctionName = caller;
    }
  }

  #throwError({ type, message }: ScriptError): Pointer {
    try {
      return this.machine.throwError(type, shortened(message));
    } catch (error) {
      if (error instanceof PendingException) return this.machine.passException();
      throw error;
    }
  }

  shouldInterrupt(): boolean {
    const passedMs = this.elapsedMs;
    if (passedMs < this.#limitMs) return false;
    if (!this.timedOut) {
      const spent = `${Math.floor(passedMs)}ms (max is ${this.#limitMs}ms)`;
      this.#context?.log("info", this.#tag(), `JS execution has timed out after ${spent}`);
    }
    this.timedOut = true;
    return true;
  }

  nowMs(): number {
    if (this.#machine === undefined) return 0; // a new context asks for a seed, which nobody uses
    if (this.#world.kind === "bare") return 0; // a text that is only looked at knows no time
    if (this.#context === undefined) throw new NeedsCall();
    return this.#context.nowMs + Math.max(0, this.#clockMs() - this.#startMs);
  }

  moduleName(base: string, name: string): string {
    const own = this.#ownModules;
    if (own !== undefined && (base === own.driver || base === own.witness)) return own.imported = name;
    return importedModuleName(base, name, this.#program?.slashInTraces === true);
  }

  moduleSource(name: string): string | undefined {
    if (name === this.#ownModules?.witness) return this.#ownModules.witnessSource;
    this.#sourcesLoaded++;
    const path = name.startsWith("/") ? name : `/${name}`;
    const source = this.#sourcesLoaded > MAX_JS_MODULES ? undefined : this.#program?.source(path);
    if (source === undefined) this.#missing = name;
    return source;
  }
}

/** What CCF says of a constitution or a ballot that does not compile (`isSingleText`). */
export function notCompiled(name: string): string {
  return `Failed to compile ${name}`;
}

/** What QuickJS says of modules that compile but do not fit together (js_resolve_export, `quickjs.c`). */
const LINK_ERROR =
  /^SyntaxError: (?:Could not find export|circular reference when looking for|export '.*' in module '.*' is ambiguous)/;

/** The global under which a witness finds what to call. It removes that before any other module runs. */
const WITNESS_GLOBAL = "showNamespace";
/** The number of a host function that belongs to no binding. */
const SHOW_NAMESPACE = -1;

function stackOf(machine: Machine, error: Pointer): string | undefined {
  const stack = machine.getMember(error, "stack");
  try {
    return machine.isUndefined(stack) ? undefined : machine.textOf(stack);
  } finally {
    machine.free(stack);
  }
}

function shortened(message: string): string {
  const bytes = toUtf8(message);
  return bytes.length <= MAX_ERROR_MESSAGE_BYTES
    ? message
    : fromUtf8Lenient(bytes.subarray(0, MAX_ERROR_MESSAGE_BYTES));
}
