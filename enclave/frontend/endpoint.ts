/**
 * One route, and the table that finds it.
 *
 * In: a verb and a path without its frontend. Out: the endpoint and the values of its template, or what is allowed there.
 * Rules: http-api.md §2.4, §2.5, §4.1.
 */

import type { Transaction } from "../../shared/kv/transaction.ts";
import type { TxId } from "../../shared/tx_id.ts";
import type { HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import type { Caller } from "./caller.ts";
import type { MemberCosePolicy } from "./cose_authentication.ts";
import { OdataError } from "./odata_error.ts";
import type { OperationDescription } from "./openapi.ts";
import type { ParsedRequest } from "./request.ts";
import type { CallerCertificate } from "./session.ts";

/** A policy's name, several that must all succeed, or one that apps cannot name. */
export type AuthenticationPolicy =
  | string
  | { readonly all_of: readonly string[] }
  | { readonly native: "node_cert" }
  | MemberCosePolicy;

/** What a handler is given. It is good for one call. */
export interface EndpointContext {
  readonly request: ParsedRequest;
  /** Raw values of the path template. */
  readonly params: Readonly<Record<string, string>>;
  /** null where the endpoint asks for no authentication. */
  readonly caller: Caller | null;
  /** Of the connection, whoever that is; for what is proved by the key itself. */
  readonly certificate: CallerCertificate | null;
  readonly tx: Transaction;
  readonly node: Node;
  readonly frontend: FrontendName;
  readonly endpoint: Endpoint;
  /** On which the request came. */
  readonly interfaceName: string;
  /** Decides over the status whether writes are applied. */
  applyWrites: boolean | undefined;
  /** 32 bytes bound into the receipt of this transaction. */
  claimsDigest: Uint8Array | undefined;
  /** Called once what was written is on the ledger, and not where it is discarded. */
  onCommitted: ((id: TxId) => void) | undefined;
}

export type FrontendName = "app" | "gov" | "node";

export interface Endpoint {
  readonly method: string;
  /** Without the frontend: `/log/private/{id}`. */
  readonly path: string;
  /** A read-only endpoint's transaction refuses writes. */
  readonly mode: "readwrite" | "readonly" | "historical";
  readonly forwarding: "always" | "sometimes" | "never";
  readonly redirection: "none" | "to_primary" | "to_backup";
  /** Tried in order; empty: anybody, and the caller is null. */
  readonly policies: readonly AuthenticationPolicy[];
  /** Only on interfaces that enable this feature. */
  readonly operatorFeature?: "SnapshotRead" | "LedgerRead";
  /** Its operation in the frontend's OpenAPI document, as an app's author wrote it. */
  readonly openapi?: Readonly<Record<string, unknown>>;
  /** Left out of that document. */
  readonly hidden?: boolean;
  /** What the generated operation says, where there is no other; absent: it answers some JSON. */
  readonly described?: OperationDescription;
  /** Its answers are bytes of the host's, which JSON-RPC cannot carry. */
  readonly sendsFile?: boolean;
  handler(context: EndpointContext): HttpResponse;
}

export type EndpointOptions = Partial<
  Pick<Endpoint, "forwarding" | "redirection" | "policies" | "operatorFeature" | "hidden" | "described" | "sendsFile">
>;

/** Builds an endpoint of our own, with CCF's defaults by kind (http-api.md §4.1). */
export function endpoint(
  method: string,
  path: string,
  kind: "command" | "read-only" | "read-write",
  handler: (context: EndpointContext) => HttpResponse,
  options: EndpointOptions = {},
): Endpoint {
  const forwarding = options.forwarding ?? (kind === "read-write" ? "always" : "sometimes");
  return {
    method,
    path,
    mode: kind === "read-write" ? "readwrite" : "readonly",
    redirection: kind === "read-write" && forwarding !== "never" ? "to_primary" : "none",
    policies: [],
    handler,
    ...options,
    forwarding,
  };
}

export interface Match {
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});

interface Template {
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly endpoint: Endpoint;
}

/** Endpoints by route. It never changes; of two with one route the first counts. */
export class EndpointTable {
  /** Path, then verb. */
  readonly #exact = new Map<string, Map<string, Endpoint>>();
  readonly #templates: Template[] = [];
  readonly endpoints: readonly Endpoint[];

  constructor(endpoints: readonly Endpoint[]) {
    this.endpoints = endpoints;
    for (const endpoint of endpoints) {
      if (endpoint.path.includes("{")) {
        this.#templates.push(compileTemplate(endpoint));
        continue;
      }
      const verbs = this.#exact.get(endpoint.path);
      if (verbs === undefined) this.#exact.set(endpoint.path, new Map([[endpoint.method, endpoint]]));
      else if (!verbs.has(endpoint.method)) verbs.set(endpoint.method, endpoint);
    }
  }

  /**
   * The endpoint for a verb and path: an exact path first, then templates.
   *
   * @throws OdataError 500 where several templates match
   */
  find(method: string, path: string): Match | undefined {
    const exact = this.#exact.get(path)?.get(method);
    if (exact !== undefined) return { endpoint: exact, params: NO_PARAMS };
    let found: { readonly template: Template; readonly values: readonly string[] } | undefined;
    const candidates: string[] = [];
    for (const template of this.#templates) {
      if (template.endpoint.method !== method) continue;
      const values = template.pattern.exec(path);
      if (values === null) continue;
      candidates.push(template.endpoint.path);
      found ??= { template, values };
    }
    if (found === undefined) return undefined;
    if (candidates.length > 1) {
      throw new OdataError(
        500,
        "InternalError",
        `Found multiple potential endpoints for ${path}: ${candidates.join(", ")}`,
      );
    }
    const { template: { endpoint, names }, values } = found;
    // A template may name any word, `__proto__` too.
    const params: Record<string, string> = Object.create(null);
    names.forEach((name, i) => params[name] = values[i + 1]!);
    return { endpoint, params };
  }

  /** Verbs that some endpoint has at this path. */
  verbsAt(path: string): Set<string> {
    const verbs = new Set(this.#exact.get(path)?.keys());
    for (const { pattern, endpoint } of this.#templates) if (pattern.test(path)) verbs.add(endpoint.method);
    return verbs;
  }
}

/** Names in the braces of a path template, in order. */
export function templateNames(path: string): string[] {
  return [...path.matchAll(TEMPLATE)].map(([, name]) => name!);
}

const TEMPLATE = /\{([^}]*)\}/g;

/** `{name}` captures one or more characters other than `/` and other than the character that follows the brace. */
function compileTemplate(endpoint: Endpoint): Template {
  let source = "";
  let at = 0;
  for (const brace of endpoint.path.matchAll(TEMPLATE)) {
    source += RegExp.escape(endpoint.path.slice(at, brace.index));
    at = brace.index + brace[0].length;
    const next = endpoint.path[at];
    source += next === undefined || next === "/" ? "([^/]+)" : `([^/${RegExp.escape(next)}]+)`;
  }
  source += RegExp.escape(endpoint.path.slice(at));
  return { pattern: new RegExp(`^${source}$`), names: templateNames(endpoint.path), endpoint };
}
