/**
 * The script engine: runs functions of member-approved JavaScript, each call in a world of its own.
 *
 * In: a program, a function's name, arguments, a context, limits. Out: what it returned, or how it failed.
 * A call starts from a memory image of its program (`memory_image.ts`), taken after its modules were evaluated. Modules
 * that ask for their call while they are evaluated (tables, the time, randomness) are evaluated in each call instead,
 * and so are very large ones. Endpoints with `interpreter_reuse` keep an interpreter and its state. All is synchronous.
 * Rules: js-apps.md §2, §5–§7
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { toUtf8 } from "../../shared/bytes.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import {
  DEFAULT_JS_EXECUTION_TIME_MS,
  MAX_JS_CACHED_INTERPRETERS,
  MAX_JS_IMAGE_BYTES,
  MAX_JS_NESTED_CALLS,
  MAX_JS_PROGRAM_IMAGES,
} from "../../shared/limits.ts";
import type {
  AppContext,
  AppEngine,
  AppFailure,
  AppOutcome,
  AppRequest,
  EndpointInvocation,
  Program,
  ScriptException,
  ScriptInvocation,
  ScriptOutcome,
  ScriptResults,
  Wanted,
} from "../app_engine.ts";
import { kindOf, type ScriptKind } from "./bindings/registry.ts";
import { accidentOf, OUT_OF_MEMORY } from "./accidents.ts";
import { problemOfConstitution } from "./constitution_check.ts";
import { findAllocatorTable } from "./exact_allocator.ts";
import { proposedConstitution } from "./governance_modules.ts";
import {
  type Exception,
  Interpreter,
  NeedsCall,
  notCompiled,
  ProgramUnusable,
  type QuickJs,
  type World,
} from "./interpreter.ts";
import { type Machine, PendingException, Uncatchable } from "./machine.ts";
import { findHeapEnd } from "./memory_image.ts";
import { InvalidResponse, readResponse } from "./response.ts";
import { ccfTrace } from "./trace.ts";
import { loadBuild } from "./wasm_build.ts";
import { type Pointer, type WasmHost, WasmInstance } from "./wasm_instance.ts";

/** What is known of a program: where its calls start, or why there will be none. */
type Prepared =
  | { readonly kind: "image"; readonly world: World }
  | { readonly kind: "afresh"; readonly world: World }
  | { readonly kind: "unusable"; readonly message: string };

let loading: Promise<QuickJs> | undefined;

/** Compiles QuickJS, once a process. */
export function loadQuickJs(): Promise<QuickJs> {
  loading ??= loadBuild().then((build) => ({
    build,
    heapEndAt: findHeapEnd(new WasmInstance(build, NO_HOST)),
    allocatorTable: findAllocatorTable(new WasmInstance(build, NO_HOST)),
  }));
  return loading;
}

/** @param clockMs milliseconds from any beginning, never falling: for time limits */
export async function loadScriptEngine(clockMs: () => number): Promise<ScriptEngine> {
  return new ScriptEngine(await loadQuickJs(), clockMs);
}

export class ScriptEngine implements AppEngine {
  readonly #quickJs: QuickJs;
  readonly #clockMs: () => number;
  readonly #firstWorlds = new Map<ScriptKind, World>();
  /** The least recently used first. */
  readonly #prepared = new Map<string, Prepared>();
  /** Interpreters that no call uses: one, or a few after nested calls. */
  readonly #idle: Interpreter[] = [];
  #running = 0;
  /** Interpreters that keep their state, the least recently used first. */
  readonly #reused = new Map<string, { readonly interpreter: Interpreter; readonly programId: string }>();

  constructor(quickJs: QuickJs, clockMs: () => number) {
    this.#quickJs = quickJs;
    this.#clockMs = clockMs;
  }

  /** Memory that images of programs take. */
  get imageBytes(): number {
    let bytes = 0;
    for (const prepared of this.#prepared.values()) {
      if (prepared.kind === "image") bytes += prepared.world.image.bytes;
    }
    return bytes;
  }

  /**
   * Calls a function.
   *
   * @param read takes what is needed of the result before its world is gone; exceptions there count as the script's
   */
  call<T>(invocation: ScriptInvocation, read: (machine: Machine, result: Pointer) => T): ScriptOutcome<T> {
    return this.#call(
      invocation,
      undefined,
      ({ machine }) => invocation.arguments.map((value) => machine.newValue(value)),
      ({ machine }, result) => read(machine, result),
    );
  }

  nowMs(): number {
    return this.#clockMs();
  }

  run<W extends Wanted>(invocation: ScriptInvocation, wanted: W): ScriptOutcome<ScriptResults[W]> {
    return this.call(invocation, READERS[wanted]);
  }

  constitutionProblem(text: string): string | undefined {
    return this.#constitutionProblem(text, DEFAULT_JS_EXECUTION_TIME_MS);
  }

  #constitutionProblem(text: string, mostMs: number): string | undefined {
    if (text === "") return "constitution is empty";
    return this.#withIdle((interpreter) => {
      interpreter.enter(this.#firstWorld("bare"));
      interpreter.setProgram(proposedConstitution(text));
      return problemOfConstitution(interpreter, mostMs);
    });
  }

  /**
   * The build of QuickJS keeps its serialiser of bytecode to itself, so what is stored of a module that compiles is the
   * SHA-256 of its source: opaque, the same on every node, and different for every change.
   */
  readonly bytecodeVersion: string = "quorate-1";

  compileAhead(program: Program, names: readonly string[]): ReadonlyMap<string, Uint8Array> {
    const failing = this.#withIdle((interpreter) => {
      interpreter.enter(this.#firstWorld("application"));
      interpreter.setProgram(program);
      return interpreter.firstNotCompiling(names);
    });
    const refuse = (name: string) => new FormatError(`Unable to serialize bytecode for JS module '${name}'`);
    if (failing !== undefined) throw refuse(failing);
    return new Map(names.map((name) => {
      const source = program.source(name);
      if (source === undefined) throw refuse(name);
      return [name, hash("SHA-256", toUtf8(source))];
    }));
  }

  callEndpoint(invocation: EndpointInvocation): AppOutcome {
    const { request, context, reuse } = invocation;
    const outcome = this.#call(
      invocation,
      request,
      (interpreter) => [interpreter.requestValue(reuse !== undefined)],
      (interpreter, result) => respond(interpreter, result, invocation),
    );
    switch (outcome.kind) {
      case "returned":
        return outcome.value;
      case "unusable":
        return { kind: "failure", failure: { message: outcome.message } };
      case "threw": {
        const { exception, timedOut } = outcome;
        if (invocation.logExceptionDetails) context.log("fail", "app", described(exception));
        const message = timedOut ? "Operation took too long to complete." : "Exception thrown while executing.";
        return { kind: "failure", failure: failureOf(message, exception, invocation) };
      }
    }
  }

  /** Chooses the world and the interpreter of a call. */
  #call<T>(
    invocation: Omit<ScriptInvocation, "arguments"> & Pick<EndpointInvocation, "reuse">,
    request: AppRequest | undefined,
    argumentsOf: (interpreter: Interpreter) => Pointer[],
    read: (interpreter: Interpreter, result: Pointer) => T,
  ): ScriptOutcome<T> {
    const { program, context, reuse } = invocation;
    const run = (interpreter: Interpreter): ScriptOutcome<T> => {
      interpreter.setProgram(program);
      interpreter.beginCall(context, request);
      try {
        return execute(interpreter, invocation, argumentsOf, read);
      } finally {
        interpreter.endCall();
      }
    };
    if (reuse !== undefined) return this.#withReused(reuse, program, context, run);
    if (program.isShortLived === true) {
      return this.#withIdle((interpreter) => {
        interpreter.enter(this.#firstWorld(kindOf(context.execution)));
        return run(interpreter);
      });
    }
    const prepared = this.#prepare(program, invocation.module, kindOf(context.execution));
    if (prepared.kind === "unusable") return prepared;
    return this.#withIdle((interpreter) => {
      interpreter.enter(prepared.world);
      return run(interpreter);
    });
  }

  /** Finds where calls of a program start; the first time, by evaluating its modules. */
  #prepare(program: Program, module: string, kind: ScriptKind): Prepared {
    const key = `${kind} ${module} ${identityOf(program)}`;
    const known = this.#prepared.get(key);
    this.#prepared.delete(key);
    const prepared = known ?? this.#withIdle((interpreter) => this.#evaluate(interpreter, program, module, kind));
    this.#prepared.set(key, prepared);
    forgetOldest(this.#prepared, MAX_JS_PROGRAM_IMAGES);
    return prepared;
  }

  #evaluate(interpreter: Interpreter, program: Program, module: string, kind: ScriptKind): Prepared {
    const first = this.#firstWorld(kind);
    interpreter.enter(first);
    interpreter.setProgram(program);
    try {
      interpreter.load(module);
      const world = interpreter.capture();
      if (world.image.bytes > MAX_JS_IMAGE_BYTES) return { kind: "afresh", world: first };
      return { kind: "image", world };
    } catch (error) {
      if (error instanceof NeedsCall) return { kind: "afresh", world: first };
      if (error instanceof ProgramUnusable || error instanceof Uncatchable) {
        return { kind: "unusable", message: error.message };
      }
      const accident = accidentOf(error, interpreter.machine);
      if (accident === undefined) throw error;
      if (program.isSingleText === true) return { kind: "unusable", message: notCompiled(module) };
      return { kind: "unusable", message: `Failed to execute ${module}: ${accident}` };
    }
  }

  #firstWorld(kind: ScriptKind): World {
    let world = this.#firstWorlds.get(kind);
    if (world === undefined) {
      world = this.#newInterpreter().boot(kind);
      this.#firstWorlds.set(kind, world);
    }
    return world;
  }

  #newInterpreter(): Interpreter {
    return new Interpreter(
      this.#quickJs,
      this.#clockMs,
      (text, mostMs) => this.#constitutionProblem(text, Math.min(mostMs, DEFAULT_JS_EXECUTION_TIME_MS)),
    );
  }

  /** Lends an interpreter whose memory may hold anything. */
  #withIdle<T>(run: (interpreter: Interpreter) => T): T {
    assert(this.#running < MAX_JS_NESTED_CALLS, `Script calls nest ${MAX_JS_NESTED_CALLS} deep at most`);
    const interpreter = this.#idle.pop() ?? this.#newInterpreter();
    this.#running++;
    try {
      return run(interpreter);
    } finally {
      this.#running--;
      if (!interpreter.isBloated) this.#idle.push(interpreter);
    }
  }

  /** Lends the interpreter of a key, with its memory as the last call left it. Read-only endpoints have their own. */
  #withReused<T>(
    { key, maxCachedInterpreters }: NonNullable<EndpointInvocation["reuse"]>,
    program: Program,
    { execution }: AppContext,
    run: (interpreter: Interpreter) => ScriptOutcome<T>,
  ): ScriptOutcome<T> {
    const fullKey = `${execution} ${key}`;
    let entry = this.#reused.get(fullKey);
    this.#reused.delete(fullKey);
    if (entry === undefined || entry.programId !== identityOf(program)) {
      entry = { interpreter: this.#newInterpreter(), programId: identityOf(program) };
      entry.interpreter.enter(this.#firstWorld(kindOf(execution)));
    }
    const outcome = run(entry.interpreter);
    if (!entry.interpreter.isTorn) this.#reused.set(fullKey, entry);
    forgetOldest(this.#reused, Math.max(0, Math.min(maxCachedInterpreters, MAX_JS_CACHED_INTERPRETERS)));
    return outcome;
  }
}

const READERS: { readonly [W in Wanted]: (machine: Machine, result: Pointer) => ScriptResults[W] } = {
  nothing: () => undefined,
  truth: (machine, result) => machine.isTruthy(result),
  status: (machine, result) => machine.textOf(result),
  validation(machine, result) {
    if (!machine.isObject(result)) return null;
    const valid = machine.getMember(result, "valid");
    const description = machine.getMember(result, "description");
    const read = {
      valid: machine.isTruthy(valid),
      description: machine.isString(description) ? machine.textOf(description) : undefined,
    };
    for (const member of [valid, description]) machine.free(member);
    return read;
  },
};

/** Runs one call in an interpreter that is ready for it. */
function execute<T>(
  interpreter: Interpreter,
  { program, module, functionName, limits }: Omit<ScriptInvocation, "arguments">,
  argumentsOf: (interpreter: Interpreter) => Pointer[],
  read: (interpreter: Interpreter, result: Pointer) => T,
): ScriptOutcome<T> {
  const threw = (exception: Exception): ScriptOutcome<T> => ({
    kind: "threw",
    exception: inCcfWords(exception, program),
    timedOut: interpreter.timedOut,
  });
  let isLoaded = false;
  try {
    const { machine } = interpreter;
    const called = interpreter.exportedFunction(module, interpreter.load(module), functionName);
    isLoaded = true;
    interpreter.setLimits(limits);
    if (interpreter.isHeapFull) return threw({ message: OUT_OF_MEMORY });
    try {
      const values = argumentsOf(interpreter);
      const result = machine.call(called, ...values);
      const value = read(interpreter, result);
      machine.free(result);
      return { kind: "returned", value };
    } catch (error) {
      if (error instanceof PendingException) return threw(interpreter.takeException());
      throw error;
    }
  } catch (error) {
    if (error instanceof ProgramUnusable) return { kind: "unusable", message: error.message };
    // What the host throws has passed through QuickJS and left it in the middle of something.
    interpreter.isTorn = true;
    if (error instanceof Uncatchable) {
      return interpreter.timedOut
        ? threw({ message: "InternalError: interrupted" })
        : { kind: "unusable", message: error.message };
    }
    const accident = accidentOf(error, interpreter.machine);
    if (accident === undefined) throw error;
    if (program.isSingleText === true && !isLoaded) return { kind: "unusable", message: notCompiled(module) };
    return threw({ message: accident });
  }
}

/** Turns a result into a response, and logs the call. */
function respond(interpreter: Interpreter, result: Pointer, invocation: EndpointInvocation): AppOutcome {
  const { request, context } = invocation;
  try {
    const response = readResponse(interpreter.machine, result);
    if (interpreter.metricsLogging) {
      const { method, route } = request;
      const spent = `Status=${response.status}, ExecMilliseconds=${Math.floor(interpreter.elapsedMs)}`;
      context.log("info", "js", `JS execution complete: Method=${method}, Path=${route}, ${spent}`);
    }
    return { kind: "response", response };
  } catch (error) {
    if (!(error instanceof InvalidResponse)) throw error;
    if (!error.isThrown) return { kind: "failure", failure: { message: error.message } };
    const { message, stack } = interpreter.takeException();
    // CCF converts a body to JSON without a frame of its own for that.
    const ownFrame = /( {4}at stringify \(native\)\n)$/;
    const said = stack === undefined ? { message } : { message, stack: stack.replace(ownFrame, "") };
    const exception = inCcfWords(said, invocation.program);
    if (invocation.logExceptionDetails) {
      const trace = exception.trace ?? "<no trace>";
      context.log("fail", "app", `Failed to convert return value to JSON:${exception.message} ${trace}`);
    }
    // Quirk of CCF: with details the sentence has no full stop (src/js/registry.cpp).
    const sentence = invocation.returnExceptionDetails ? error.message.slice(0, -1) : error.message;
    return { kind: "failure", failure: failureOf(sentence, exception, invocation) };
  }
}

function failureOf(message: string, exception: ScriptException, invocation: EndpointInvocation): AppFailure {
  return invocation.returnExceptionDetails
    ? { message, details: [{ code: "JSException", ...exception }] }
    : { message };
}

function described({ message, trace }: ScriptException): string {
  return `${message}: ${trace ?? "<no trace>"}`;
}

function inCcfWords({ message, stack }: Exception, program: Program): ScriptException {
  if (stack === undefined) return { message };
  const sourceOf = (file: string) => program.source(file.startsWith("/") ? file : `/${file}`);
  return { message, trace: ccfTrace(stack, sourceOf) };
}

/** What an image is an image of: module names are in it too. */
function identityOf({ id, slashInTraces = false }: Program): string {
  return `${id} ${slashInTraces}`;
}

/** Keeps the newest entries of a map that is in order of use. */
function forgetOldest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

/** For instances in which no script runs. */
const NO_HOST: WasmHost = {
  callFunction: () => 0,
  shouldInterrupt: () => true,
  nowMs: () => 0,
  moduleName: (_base, name) => name,
  moduleSource: () => undefined,
};
