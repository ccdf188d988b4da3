/**
 * For tests: a context whose tables are maps in memory, and small programs from source text.
 */

import type { ByteString } from "../../shared/bytes.ts";
import type { RawTable } from "../../shared/kv/table.ts";
import { DEFAULT_JS_EXECUTION_TIME_MS, DEFAULT_JS_HEAP_BYTES, DEFAULT_JS_STACK_BYTES } from "../../shared/limits.ts";
import { fromUtf8Lenient, toUtf8 } from "../../shared/bytes.ts";
import type {
  AppContext,
  AppOutcome,
  AppRequest,
  EndpointInvocation,
  Execution,
  Program,
  ScriptLimits,
} from "../app_engine.ts";

export const DEFAULT_LIMITS: ScriptLimits = {
  maxHeapBytes: DEFAULT_JS_HEAP_BYTES,
  maxStackBytes: DEFAULT_JS_STACK_BYTES,
  maxExecutionTimeMs: DEFAULT_JS_EXECUTION_TIME_MS,
};

export class FakeTable implements RawTable {
  readonly map = new Map<ByteString, Uint8Array>();

  constructor(readonly name: string) {}

  get(key: ByteString): Uint8Array | undefined {
    return this.map.get(key);
  }

  has(key: ByteString): boolean {
    return this.map.has(key);
  }

  put(key: ByteString, value: Uint8Array): void {
    this.map.set(key, value);
  }

  remove(key: ByteString): void {
    this.map.delete(key);
  }

  clear(): void {
    this.map.clear();
  }

  entries(): Iterable<readonly [key: ByteString, value: Uint8Array]> {
    return [...this.map];
  }

  get size(): number {
    return this.map.size;
  }

  versionOfPreviousWrite(key: ByteString): number | undefined {
    return this.map.has(key) ? 7 : undefined;
  }
}

export class FakeContext implements AppContext {
  readonly tables = new Map<string, FakeTable>();
  readonly lines: string[] = [];
  nowMs = 1_700_000_000_000;
  applyWrites: boolean | undefined;
  claimsDigest: Uint8Array | undefined;
  #drawn = 0;

  constructor(readonly execution: Execution = "application") {}

  table(name: string): FakeTable {
    let table = this.tables.get(name);
    if (table === undefined) this.tables.set(name, table = new FakeTable(name));
    return table;
  }

  random(length: number): Uint8Array {
    this.#drawn++;
    return new Uint8Array(length).fill(this.#drawn * 37);
  }

  log(level: string, tag: string, message: string): void {
    this.lines.push(`${level} ${tag} ${message}`);
  }

  setApplyWrites(apply: boolean): void {
    this.applyWrites = apply;
  }

  setClaimsDigest(digest: Uint8Array): void {
    this.claimsDigest = digest;
  }

  lastCommittedTxId() {
    return { view: 2, seqno: 14 };
  }

  statusOf({ seqno }: { seqno: number }) {
    return seqno <= 14 ? "Committed" as const : "Unknown" as const;
  }

  viewOf(seqno: number): number | undefined {
    return seqno <= 14 ? 2 : undefined;
  }
}

let programs = 0;

/** A program of several modules by name, with a slash in front. */
export function programOf(modules: Readonly<Record<string, string>>, slashInTraces = true): Program {
  return { id: `program ${++programs}`, source: (name) => modules[name], slashInTraces };
}

/** A program of one module, `/m.js`. */
export function moduleOf(source: string): Program {
  return programOf({ "/m.js": source });
}

export function requestOf(fields: Partial<Omit<AppRequest, "body">> & { body?: string | Uint8Array } = {}): AppRequest {
  const { body = "", ...others } = fields;
  return {
    method: "POST",
    path: "/app/log/1",
    route: "/app/log/{id}",
    query: "",
    params: { id: "1" },
    headers: { host: "127.0.0.1:8000", "content-type": "application/json" },
    caller: null,
    ...others,
    body: typeof body === "string" ? toUtf8(body) : body,
  };
}

export function endpointCall(
  program: Program,
  context: AppContext,
  options: Partial<EndpointInvocation> = {},
): EndpointInvocation {
  return {
    program,
    module: "/m.js",
    functionName: "f",
    request: requestOf(),
    context,
    limits: DEFAULT_LIMITS,
    returnExceptionDetails: true,
    logExceptionDetails: false,
    ...options,
  };
}

/** An outcome in one line: status and body, or 500, message and what was thrown. */
export function textOutcome(outcome: AppOutcome): string {
  if (outcome.kind === "response") return `${outcome.response.status} ${fromUtf8Lenient(outcome.response.body)}`;
  const { message, details = [] } = outcome.failure;
  return ["500", message, ...details.map((detail) => [detail.message, detail.trace].filter(Boolean).join("\n"))].join(
    " ",
  );
}
