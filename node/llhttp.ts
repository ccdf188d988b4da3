/**
 * llhttp, Node's own HTTP parser and CCF's, as the WebAssembly module inside undici: memory, parser states, events.
 *
 * In: a parser state and a fragment of input. Out: events with offsets into the fragment, and llhttp's verdict.
 * Knows nothing of limits or answers. The module is built for undici's client side but parses requests as well; all
 * `lenient` switches stay off, which is llhttp's strict mode.
 *
 * One instance serves all connections. Each has its own state of about a hundred bytes there; they share one input
 * buffer, since parsing never stops halfway through a fragment.
 */

import { Buffer } from "node:buffer";
import llhttpWasm from "undici/lib/llhttp/llhttp_simd-wasm.js";
import { METHODS } from "undici/lib/llhttp/constants.js";
import { assert } from "../shared/assert.ts";
import { MAX_PARSED_FRAGMENT_BYTES, MAX_POOLED_PARSERS } from "../shared/limits.ts";

/** Address of a parser's state in WebAssembly memory. */
export type LlhttpState = number;

/**
 * What llhttp finds in a fragment. A target, name, value or body may come in several pieces; a header without a value
 * has one empty piece of it. `true` goes on, `false` stops.
 */
export interface LlhttpEvents {
  onMessageBegin(): void;
  onTarget(start: number, end: number): boolean;
  onHeaderName(start: number, end: number): boolean;
  onHeaderValue(start: number, end: number): boolean;
  onHeadersComplete(method: string): boolean;
  onBody(start: number, end: number): boolean;
  onMessageComplete(): void;
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(size: number): number;
  llhttp_alloc(type: number): LlhttpState;
  llhttp_free(state: LlhttpState): void;
  llhttp_reset(state: LlhttpState): void;
  llhttp_execute(state: LlhttpState, data: number, length: number): number;
  llhttp_get_method(state: LlhttpState): number;
  llhttp_get_error_pos(state: LlhttpState): number;
  llhttp_get_error_reason(state: LlhttpState): number;
  llhttp_errno_name(error: number): number;
  llhttp_resume_after_upgrade(state: LlhttpState): void;
}

// Numbers of llhttp.h.
/** HTTP_REQUEST: parse requests only. */
const REQUEST = 1;
/** HPE_USER: what a callback returns to stop. */
const STOP = 24;

const METHOD_NAMES: readonly string[] = Object.entries(METHODS).reduce<string[]>((names, [name, number]) => {
  names[number] = name;
  return names;
}, []);

export class Llhttp {
  readonly #wasm: Exports;
  /** Address of the input buffer. */
  readonly #input: number;
  /** The whole memory; replaced when it grows. */
  #memory: Uint8Array;
  readonly #pool: LlhttpState[] = [];
  #events: LlhttpEvents | null = null;

  constructor() {
    const span = (event: "onTarget" | "onHeaderName" | "onHeaderValue" | "onBody") => {
      return (_state: LlhttpState, address: number, length: number): number => {
        const start = address - this.#input;
        return this.#events![event](start, start + length) ? 0 : STOP;
      };
    };
    const env = {
      wasm_on_message_begin: (): number => {
        this.#events!.onMessageBegin();
        return 0;
      },
      wasm_on_url: span("onTarget"),
      wasm_on_status: (): number => 0,
      wasm_on_header_field: span("onHeaderName"),
      wasm_on_header_value: span("onHeaderValue"),
      wasm_on_headers_complete: (state: LlhttpState): number => {
        const method = METHOD_NAMES[this.#wasm.llhttp_get_method(state)];
        assert(method !== undefined, "llhttp reports only methods that it names");
        return this.#events!.onHeadersComplete(method) ? 0 : STOP;
      },
      wasm_on_body: span("onBody"),
      wasm_on_message_complete: (): number => {
        this.#events!.onMessageComplete();
        return 0;
      },
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(llhttpWasm), { env });
    this.#wasm = instance.exports as unknown as Exports;
    this.#wasm._initialize();
    this.#input = this.#wasm.malloc(MAX_PARSED_FRAGMENT_BYTES);
    assert(this.#input !== 0, "WebAssembly memory has room for the input buffer");
    this.#memory = new Uint8Array(this.#wasm.memory.buffer);
  }

  /** A state for a new connection. */
  take(): LlhttpState {
    const pooled = this.#pool.pop();
    if (pooled !== undefined) return pooled;
    const state = this.#wasm.llhttp_alloc(REQUEST);
    assert(state !== 0, "WebAssembly memory has room for a parser state");
    return state;
  }

  giveBack(state: LlhttpState): void {
    if (this.#pool.length < MAX_POOLED_PARSERS) {
      this.#wasm.llhttp_reset(state);
      this.#pool.push(state);
    } else {
      this.#wasm.llhttp_free(state);
    }
  }

  /** Makes a fragment the input. Offsets count from its first byte. */
  load(fragment: Uint8Array): void {
    assert(fragment.length <= MAX_PARSED_FRAGMENT_BYTES, "A fragment fits the input buffer");
    if (this.#memory.length === 0) this.#memory = new Uint8Array(this.#wasm.memory.buffer);
    this.#memory.set(fragment, this.#input);
  }

  /**
   * Parses the loaded fragment from `start` to `end`.
   *
   * @returns llhttp's error number, 0 where all of it is parsed
   */
  execute(state: LlhttpState, start: number, end: number, events: LlhttpEvents): number {
    assert(this.#events === null, "One fragment is parsed at a time");
    this.#events = events;
    try {
      return this.#wasm.llhttp_execute(state, this.#input + start, end - start);
    } finally {
      this.#events = null;
    }
  }

  /** Offset at which parsing stopped. */
  errorPosition(state: LlhttpState): number {
    return this.#wasm.llhttp_get_error_pos(state) - this.#input;
  }

  /** llhttp's words for an error, e.g. `HPE_INVALID_METHOD: Invalid method encountered`. */
  errorText(state: LlhttpState, error: number): string {
    return `${this.#text(this.#wasm.llhttp_errno_name(error))}: ${
      this.#text(this.#wasm.llhttp_get_error_reason(state))
    }`;
  }

  /** Goes on with HTTP after a request that offered another protocol. */
  resumeAfterUpgrade(state: LlhttpState): void {
    this.#wasm.llhttp_resume_after_upgrade(state);
  }

  /** A C string. */
  #text(address: number): string {
    if (address === 0) return "";
    const memory = new Uint8Array(this.#wasm.memory.buffer);
    return Buffer.from(memory.subarray(address, memory.indexOf(0, address))).toString("latin1");
  }
}
