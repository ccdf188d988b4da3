/**
 * How the host gives scripts their functions: what a file in `bindings/` has to say, and what its functions are given.
 *
 * A binding is a record: functions by the global names under which scripts find them, and, for what is not a plain
 * function, a line of JavaScript that puts hidden functions in their place. It is evaluated before any script runs.
 * Adding a `ccf.*` name is adding one file and naming it in `bindings/registry.ts`.
 */

import type { RawTable } from "../../shared/kv/table.ts";
import type { AppContext, AppRequest } from "../app_engine.ts";
import { type Machine, ScriptError } from "./machine.ts";
import type { Pointer } from "./wasm_instance.ts";

export interface Binding {
  /** Path from the global object, `ccf.rpc.setApplyWrites`, to function. Objects on the way are made as needed. */
  readonly functions?: Readonly<Record<string, HostFunction>>;
  /** Functions for `setup` alone, by name. */
  readonly hidden?: Readonly<Record<string, HostFunction>>;
  /** Source of a function `(hidden, global) => …`, run in QuickJS once its functions are there. */
  readonly setup?: string;
}

export interface HostFunction {
  /** `length` as scripts see it. */
  readonly length: number;
  /**
   * Whether the answer depends on the arguments alone. Only such functions may run while a module is evaluated for an
   * image; any other makes the module one that is evaluated afresh for each call.
   */
  readonly anytime?: boolean;
  /** Answers a new value, or 0 for undefined. @throws ScriptError PendingException */
  run(call: Call, given: Arguments): Pointer;
}

/** What host functions reach: the engine that called them, and the call that it is running. */
export interface Call {
  readonly machine: Machine;
  /** @throws AssertionFailed while a module is evaluated for an image */
  readonly context: AppContext;
  /** @throws AssertionFailed outside endpoint calls */
  readonly request: AppRequest;
  /** One console line: goes to the log, or into the image to be repeated by each call. */
  log(level: "info" | "fail" | "fatal", message: string): void;
  /** The number under which this interpreter knows a table, above 0. */
  tableId(name: string): number;
  tableName(id: number): string;
  /** The table in the transaction of this call. */
  table(id: number): RawTable;
  /** Whether a finished call is logged. */
  metricsLogging: boolean;
  /**
   * Why a text cannot be a constitution, in CCF's words; undefined where it can.
   *
   * @throws Uncatchable where finding out has taken what was left of the call's time
   */
  constitutionProblem(text: string): string | undefined;
}

/** The arguments of one call of a host function. The values belong to QuickJS. */
export class Arguments {
  readonly #machine: Machine;
  /** The value of `this`. */
  readonly self: Pointer;
  readonly count: number;
  readonly #first: Pointer;

  constructor(machine: Machine, self: Pointer, count: number, first: Pointer) {
    this.#machine = machine;
    this.self = self;
    this.count = count;
    this.#first = first;
  }

  /** The value of an argument; undefined, as a value, where there is none. */
  at(index: number): Pointer {
    return index < this.count ? this.#first + 8 * index : this.#machine.roots.undefined;
  }

  /** @throws ScriptError TypeError with CCF's text, whose end differs between functions */
  expect(count: number, text = `Passed %d arguments, but expected ${count}`): void {
    if (this.count !== count) throw new ScriptError("TypeError", text.replace("%d", String(this.count)));
  }

  /** The bytes of an ArrayBuffer, as a view: copy what you keep. @throws ScriptError TypeError */
  buffer(index: number, text = "Argument must be an ArrayBuffer"): Uint8Array {
    const bytes = this.#machine.bufferOf(this.at(index));
    if (bytes === undefined) throw new ScriptError("TypeError", text);
    return bytes;
  }
}
