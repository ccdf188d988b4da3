/**
 * From a request to its answer: the one place where frontends, endpoints, authentication and transactions meet.
 *
 * In: a session and a request. Out: a response, and what it wrote is committed through the node; or that another node is
 * to run it.
 * Rules: http-api.md §2, §3.3, §4.5.
 */

import { assert, AssertionFailed } from "../../shared/assert.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { type Forward, placeElsewhere } from "../forwarding/placement.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { authenticate } from "./authentication.ts";
import type { Endpoint, EndpointContext, EndpointTable, FrontendName, Match } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";
import { empty } from "./replies.ts";
import { ParsedRequest } from "./request.ts";
import { PRIMARY_RPC_INTERFACE, type Session } from "./session.ts";

export const TRANSACTION_ID_HEADER = "x-ms-ccf-transaction-id";

/** The endpoints of one of `/app`, `/gov`, `/node`. */
export interface Frontend {
  readonly name: FrontendName;
  /** Whether requests are taken at all yet. */
  isOpen(node: Node): boolean;
  /** Tables to look in, first match wins; reading them may touch the transaction. */
  tables(tx: Transaction): readonly EndpointTable[];
}

export type Frontends = Readonly<Record<FrontendName, Frontend>>;

/** Answers one request, unless another node is to run it. Never throws for what a client can send. */
export function routeRequest(node: Node, session: Session, request: HttpRequest): HttpResponse | Forward {
  try {
    return execute(node, session, new ParsedRequest(request), request.target);
  } catch (error) {
    return errorResponse(node, error);
  }
}

/** The same where no other node can: on a node that leads, or for a session that is forwarded already. */
export function processRequest(node: Node, session: Session, request: HttpRequest): HttpResponse {
  const outcome = routeRequest(node, session, request);
  assert(!("forwardTo" in outcome), "A request that cannot be forwarded is answered");
  return outcome;
}

function execute(node: Node, session: Session, request: ParsedRequest, target: string): HttpResponse | Forward {
  const [frontend, path] = selectFrontend(node.frontends, request.path);
  if (frontend.name !== "node" && node.isPrimary && node.tooManyUncommitted) {
    throw new OdataError(
      503,
      "TooManyPendingTransactions",
      "Too many transactions wait to be committed; try again later",
    );
  }
  if (!frontend.isOpen(node)) throw new OdataError(404, "FrontendNotOpen", "Frontend is not open.");

  const tx = node.store.begin();
  const match = findEndpoint(frontend.tables(tx), request.method, path);
  if (!("endpoint" in match)) return otherVerbs(request.method, path, match.verbs);
  const { endpoint, params } = match;

  const refusal = refusedByInterface(node, session.interfaceName, frontend.name, endpoint);
  if (refusal !== undefined) return refusal;
  const elsewhere = placeElsewhere(node, tx, session, endpoint, target);
  if (elsewhere !== undefined) return elsewhere;

  const certificate = session.caller(node.primitives);
  const caller = authenticate(
    endpoint.policies,
    { certificate, request, primitives: node.primitives, nowMs: node.nowMs },
    tx,
  );
  session.requireConsistency(node);
  const context: EndpointContext = {
    request,
    params,
    caller,
    certificate,
    tx,
    node,
    frontend: frontend.name,
    endpoint,
    interfaceName: session.interfaceName ?? PRIMARY_RPC_INTERFACE,
    applyWrites: undefined,
    claimsDigest: undefined,
    onCommitted: undefined,
  };
  let response: HttpResponse;
  try {
    response = endpoint.handler(context);
  } catch (error) {
    response = errorResponse(node, error);
  }
  return finish(node, session, context, response);
}

/** Commits or discards what the handler wrote, and says at which transaction the answer holds. */
function finish(node: Node, session: Session, context: EndpointContext, response: HttpResponse): HttpResponse {
  const { tx } = context;
  const success = response.status >= 200 && response.status < 300;
  if (!(context.applyWrites ?? success) || !tx.touched) return response;
  const writes = tx.hasWrites && context.endpoint.mode === "readwrite";
  if (writes && !node.canReplicate) {
    return new OdataError(503, "TransactionReplicationFailed", "Transaction failed to replicate.").toResponse();
  }
  const id = writes ? node.commitTransaction(tx, context.claimsDigest) : node.txIdAt(tx.readVersion);
  session.seen = id;
  if (writes) context.onCommitted?.(id);
  return { ...response, headers: withHeader(response.headers, TRANSACTION_ID_HEADER, formatTxId(id)) };
}

/** `/app`, `/gov` and `/node` choose a frontend; everything else is the app's, with its path whole. */
function selectFrontend(frontends: Frontends, path: string): [Frontend, string] {
  if (path.startsWith("/app/")) return [frontends.app, path.slice("/app".length)];
  if (path.startsWith("/node/")) return [frontends.node, path.slice("/node".length)];
  if (path.startsWith("/gov/")) return [frontends.gov, path.slice("/gov".length)];
  return [frontends.app, path];
}

function findEndpoint(
  tables: readonly EndpointTable[],
  method: string,
  path: string,
): Match | { readonly verbs: readonly string[] } {
  for (const table of tables) {
    const match = table.find(method, path);
    if (match !== undefined) return match;
  }
  const verbs = new Set<string>();
  for (const table of tables) for (const verb of table.verbsAt(path)) verbs.add(verb);
  return { verbs: [...verbs].sort() };
}

/** 404 for a path that nothing has, 204 or 405 with the verbs that it has. */
function otherVerbs(method: string, path: string, verbs: readonly string[]): HttpResponse {
  if (verbs.length === 0) throw new OdataError(404, "ResourceNotFound", `Unknown path: ${path}.`);
  const allow = ["OPTIONS", ...verbs].join(", ");
  if (method === "OPTIONS") return empty(204, [["allow", allow]]);
  throw new OdataError(405, "UnsupportedHttpVerb", `Allowed methods for '${path}' are: ${allow}.`, [], [[
    "allow",
    allow,
  ]]);
}

/** An interface's own rules, for requests that arrive on it (http-api.md §2.6). */
function refusedByInterface(
  node: Node,
  interfaceName: string | undefined,
  frontend: FrontendName,
  endpoint: Endpoint,
): HttpResponse | undefined {
  if (interfaceName === undefined) return undefined;
  const rules = node.interfaceRules(interfaceName);
  if (endpoint.operatorFeature !== undefined && !rules.features.has(endpoint.operatorFeature)) return empty(404);
  if (rules.accepted !== undefined) {
    const path = `/${frontend}${endpoint.path}`;
    return rules.accepted.some((pattern) => pattern.test(path)) ? undefined : empty(503);
  }
  return rules.unsecured ? empty(503) : undefined;
}

/** Puts a header in its place among sorted ones, instead of one of the same name. */
function withHeader(headers: HeaderList, name: string, value: string): HeaderList {
  let at = 0;
  while (at < headers.length && headers[at]![0] < name) at++;
  return headers.toSpliced(at, headers[at]?.[0] === name ? 1 : 0, [name, value]);
}

/** Expected failures as they are; the rest as 500 with its text (http-api.md §3.3). */
function errorResponse(node: Node, error: unknown): HttpResponse {
  if (error instanceof OdataError) return error.toResponse();
  if (error instanceof AssertionFailed) throw error; // our bug: the node stops
  const message = error instanceof Error ? error.message : String(error);
  node.log("fail", "rpc", `Cannot answer a request: ${message}`);
  return new OdataError(500, "InternalError", message).toResponse();
}
