/**
 * The member-approved JavaScript app: its bundle in the governance tables, and its endpoints as the frontend sees them.
 *
 * In: a bundle to install; a transaction to look in. Out: an endpoint table whose handlers run in the script engine.
 * Rules: js-apps.md §1, §3, §6.
 */

import { FormatError } from "../shared/assert.ts";
import { fromByteString, fromUtf8Lenient, toByteString, toHex, toUtf8, Writer } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import {
  type EndpointProperties,
  ENDPOINTS,
  INTERPRETER_FLUSH,
  JS_RUNTIME_OPTIONS,
  type JsRuntimeOptions,
  MODULES,
  MODULES_QUICKJS_BYTECODE,
  MODULES_QUICKJS_VERSION,
} from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import {
  DEFAULT_JS_CACHED_INTERPRETERS,
  DEFAULT_JS_EXECUTION_TIME_MS,
  DEFAULT_JS_HEAP_BYTES,
  DEFAULT_JS_STACK_BYTES,
} from "../shared/limits.ts";
import type { AppContext, AppEngine, AppRequest, Program } from "./app_engine.ts";
import { toHttp } from "./frontend/byte_text.ts";
import { type Endpoint, endpoint, type EndpointContext, EndpointTable } from "./frontend/endpoint.ts";
import { OdataError, sortedHeaders } from "./frontend/odata_error.ts";
import type { AppBundle, HttpResponse } from "./messages.ts";
import type { EnclavePowers } from "./powers.ts";

/** What holds where members have not said otherwise (js-apps.md §6). */
export const DEFAULT_JS_OPTIONS: Required<JsRuntimeOptions> = {
  max_heap_bytes: DEFAULT_JS_HEAP_BYTES,
  max_stack_bytes: DEFAULT_JS_STACK_BYTES,
  max_execution_time_ms: DEFAULT_JS_EXECUTION_TIME_MS,
  log_exception_details: false,
  return_exception_details: false,
  max_cached_interpreters: DEFAULT_JS_CACHED_INTERPRETERS,
};

/** The limits that apply, defaults filled in. */
export function jsRuntimeOptions(tx: Transaction): Required<JsRuntimeOptions> {
  return { ...DEFAULT_JS_OPTIONS, ...tx.open(JS_RUNTIME_OPTIONS).get() };
}

/**
 * Writes a bundle to the tables as the action `set_js_app` does, without a bytecode cache.
 *
 * @throws FormatError where an endpoint is no object, or names a module that is not in the bundle
 */
export function installBundle(tx: Transaction, bundle: AppBundle): void {
  const modules = tx.open(MODULES);
  const endpoints = tx.openRaw(ENDPOINTS.name);
  modules.clear();
  endpoints.clear();
  const names = new Set(bundle.modules.map(({ name }) => name));
  for (const { name, module } of bundle.modules) modules.put(`/${name}`, module);
  tx.open(MODULES_QUICKJS_BYTECODE).clear();
  tx.open(MODULES_QUICKJS_VERSION).clear();
  tx.open(INTERPRETER_FLUSH).put(true);
  for (const [path, methods] of Object.entries(objectOf(bundle.metadata?.endpoints, '"endpoints" of app.json'))) {
    for (const [method, properties] of Object.entries(objectOf(methods, path))) {
      const route = `${method.toUpperCase()} ${path}`;
      const info: Partial<EndpointProperties> = objectOf(properties, route);
      if (info.js_module === undefined || !names.has(info.js_module)) {
        throw new FormatError(`Cannot install the app: ${route} names module '${info.js_module}', not found in bundle`);
      }
      // Members' JSON.stringify keeps the order in which the bundle's author wrote the properties, and so does this.
      endpoints.put(toByteString(toUtf8(route)), toUtf8(JSON.stringify({ ...info, js_module: `/${info.js_module}` })));
    }
  }
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new FormatError(`Cannot install the app: ${what} is not an object`);
}

/** A row of the endpoints table. */
export interface StoredEndpoint {
  readonly method: string;
  readonly path: string;
  /** As members stored it, whatever its form. */
  readonly value: Uint8Array;
}

/** Every row, read one by one: what is wrong with one is nothing to the others. */
export function* storedEndpoints(tx: Transaction): Generator<StoredEndpoint> {
  for (const [key, value] of tx.openRaw(ENDPOINTS.name).entries()) {
    const route = fromUtf8Lenient(fromByteString(key));
    const space = route.indexOf(" ");
    yield { method: route.slice(0, space), path: route.slice(space + 1), value };
  }
}

/** The modules that the tables hold. */
export function installedProgram(tx: Transaction, { sha256 }: Pick<Primitives, "sha256">): Program {
  const sources = new Map<string, Uint8Array>();
  const listing = new Writer();
  for (const [key, source] of tx.openRaw(MODULES.name).entries()) {
    sources.set(fromUtf8Lenient(fromByteString(key)), source);
    listing.lengthPrefixed(fromByteString(key)).lengthPrefixed(source);
  }
  return {
    id: toHex(sha256(listing.finish())),
    source: (name) => {
      const source = sources.get(name);
      return source && fromUtf8Lenient(source);
    },
  };
}

/** Whether the modules were compiled ahead by an engine such as this (js-apps.md §7). */
export function isCompiledAhead(tx: Transaction, { bytecodeVersion }: Pick<AppEngine, "bytecodeVersion">): boolean {
  return tx.open(MODULES_QUICKJS_VERSION).get() === bytecodeVersion;
}

/** The endpoints of the app that the tables hold, rebuilt when they change. */
export class JsApp {
  readonly #powers: EnclavePowers;
  #installed: { readonly table: EndpointTable; readonly program: Program } | undefined;
  /** Limits and their like, read once between changes. */
  #options: Required<JsRuntimeOptions> | undefined;

  constructor(powers: EnclavePowers, store: Store) {
    this.#powers = powers;
    const forget = () => {
      this.#installed = undefined;
      this.#options = undefined;
    };
    const ofModules = [MODULES, MODULES_QUICKJS_BYTECODE, MODULES_QUICKJS_VERSION];
    for (const table of [ENDPOINTS, ...ofModules, INTERPRETER_FLUSH, JS_RUNTIME_OPTIONS]) {
      store.onApply(table.name, forget);
    }
    store.onRollback(forget);
  }

  /** The app's endpoints. Every request depends on them, so the transaction counts the table as read. */
  endpoints(tx: Transaction): EndpointTable {
    tx.openRaw(ENDPOINTS.name);
    this.#installed ??= this.#read(tx);
    return this.#installed.table;
  }

  #read(tx: Transaction): { table: EndpointTable; program: Program } {
    const program: Program = {
      ...installedProgram(tx, this.#powers.primitives),
      slashInTraces: isCompiledAhead(tx, this.#powers.scripts),
    };
    const endpoints: Endpoint[] = [];
    for (const row of storedEndpoints(tx)) endpoints.push(this.#endpoint(row, program));
    return { table: new EndpointTable(endpoints), program };
  }

  #endpoint({ method, path, value }: StoredEndpoint, program: Program): Endpoint {
    let properties: EndpointProperties;
    try {
      properties = ENDPOINTS.value.decode(value);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return brokenEndpoint(method, path, error.message);
    }
    const { js_module: module, js_function: functionName, mode = "readwrite" } = properties;
    const call = (context: EndpointContext) => this.#call(context, properties, program, module, functionName);
    return {
      method,
      path,
      mode,
      forwarding: properties.forwarding_required,
      redirection: properties.redirection_strategy ?? "to_primary",
      policies: properties.authn_policies ?? [],
      openapi: operationOf(properties.openapi),
      hidden: properties.openapi_hidden === true,
      handler: mode === "historical" ? refuseHistorical : call,
    };
  }

  #call(
    context: EndpointContext,
    properties: EndpointProperties,
    program: Program,
    module: string,
    functionName: string,
  ): HttpResponse {
    const options = this.#options ??= jsRuntimeOptions(context.tx);
    const { interpreter_reuse: reuse } = properties;
    const outcome = this.#powers.scripts.callEndpoint({
      program,
      module,
      functionName,
      request: appRequest(context),
      context: appContext(context),
      limits: {
        maxHeapBytes: options.max_heap_bytes,
        maxStackBytes: options.max_stack_bytes,
        maxExecutionTimeMs: options.max_execution_time_ms,
      },
      returnExceptionDetails: options.return_exception_details,
      logExceptionDetails: options.log_exception_details,
      ...(reuse && { reuse: { key: reuse.key, maxCachedInterpreters: options.max_cached_interpreters } }),
    });
    if (outcome.kind === "failure") {
      const { message, details } = outcome.failure;
      throw new OdataError(500, "InternalError", message, details);
    }
    const { status, headers, body } = outcome.response;
    return {
      status,
      headers: sortedHeaders(headers.map(([name, value]) => [toHttp(name.toLowerCase()), toHttp(value)])),
      body,
    };
  }
}

/** The endpoint of a row that cannot be used: it is there, and says why it does not work. */
function brokenEndpoint(method: string, path: string, reason: string): Endpoint {
  return endpoint(method, path, "read-write", () => {
    throw new OdataError(500, "InternalError", `Cannot use endpoint ${method} ${path}: ${reason}`);
  }, { hidden: true });
}

/** The operation that the app's author wrote, verbatim; an empty one where there is none. */
function operationOf(openapi: unknown): Readonly<Record<string, unknown>> {
  return typeof openapi === "object" && openapi !== null ? openapi as Readonly<Record<string, unknown>> : {};
}

function appRequest({ request, params, caller, endpoint, frontend }: EndpointContext): AppRequest {
  return {
    method: request.method,
    path: request.path,
    route: `/${frontend}${endpoint.path}`,
    query: request.query,
    params,
    headers: request.headers(),
    body: request.body,
    caller,
  };
}

function appContext(context: EndpointContext): AppContext {
  const { tx, node, endpoint } = context;
  return {
    execution: endpoint.mode === "readwrite" ? "application" : "read-only application",
    table: (name) => tx.openRaw(name),
    nowMs: node.nowMs,
    random: node.random,
    log: (level, tag, message) => node.log(level, tag, message),
    setApplyWrites: (apply) => {
      context.applyWrites = apply;
    },
    setClaimsDigest: (digest) => {
      context.claimsDigest = digest;
    },
    lastCommittedTxId: () => node.committedTxId,
    statusOf: (id) => node.statusOf(id),
    viewOf: (seqno) => node.path.viewOf(seqno),
  };
}

/** Apps that look into the past come with the rest of the JavaScript API. */
function refuseHistorical(): HttpResponse {
  throw new OdataError(501, "NotImplemented", "Endpoints of mode historical are not available in this version");
}
