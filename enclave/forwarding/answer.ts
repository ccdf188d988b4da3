/**
 * Answers to requests, given at once or later: what the enclave asks of everything behind the door.
 *
 * In: a request of a client of this node, or of another node's client. Out: its answer; or nothing yet, and the forwarder
 * gives it when it has come.
 */

import { processRequest, routeRequest } from "../frontend/frontend.ts";
import { type ForwardedCalls, processJsonRpc, routeJsonRpc } from "../frontend/json_rpc.ts";
import type { Session } from "../frontend/session.ts";
import { DEFAULT_FORWARDING_TIMEOUT_MS } from "../../shared/limits.ts";
import type { HttpRequest, HttpResponse, SessionId } from "../messages.ts";
import type { Node } from "../node.ts";
import type { Forwarder } from "./forwarder.ts";

/** Where JSON-RPC calls are sent, on every RPC interface. */
const JSON_RPC_TARGET = /^\/rpc(?:\?|$)/;

/** A request as the host delivers it. */
export interface Exchange {
  readonly session: SessionId;
  readonly id: number;
  readonly request: HttpRequest;
}

/**
 * Answers a client of this node.
 *
 * @returns undefined where the primary is asked: the forwarder emits the response
 */
export function answerRequest(
  node: Node,
  forwarder: Forwarder,
  session: Session,
  { session: sessionId, id, request }: Exchange,
): HttpResponse | undefined {
  const wasForwarding = session.isForwarding;
  const outcome = route(node, session, request);
  if (!("forwardTo" in outcome)) return outcome;
  const { forwardTo: to, request: forwarded, held, complete } = outcome;
  const { view = node.view, certificate } = session;
  const timeoutMs = forwardingTimeoutMs(node, session);
  const command = { to, session: sessionId, id, view, certificate, request: forwarded, timeoutMs, held, complete };
  const refusal = forwarder.forward(command, node.steadyMs);
  if (refusal === undefined) return undefined;
  // Nothing of it is on the primary, so there is nothing to follow.
  session.isForwarding = wasForwarding;
  return complete(refusal);
}

/** Answers another node's client; its session says so. */
export function answerForwarded(node: Node, session: Session, request: HttpRequest): HttpResponse {
  return JSON_RPC_TARGET.test(request.target)
    ? processJsonRpc(node, session, request)
    : processRequest(node, session, request);
}

function route(node: Node, session: Session, request: HttpRequest): HttpResponse | ForwardedCalls {
  if (JSON_RPC_TARGET.test(request.target)) return routeJsonRpc(node, session, request);
  const outcome = routeRequest(node, session, request);
  return "forwardTo" in outcome ? { ...outcome, request, held: 0, complete: asItIs } : outcome;
}

function asItIs(response: HttpResponse): HttpResponse {
  return response;
}

function forwardingTimeoutMs(node: Node, { interfaceName }: Session): number {
  const configured = node.config.rpcInterfaces[interfaceName!]?.forwarding_timeout_ms;
  return typeof configured === "number" ? configured : DEFAULT_FORWARDING_TIMEOUT_MS;
}
