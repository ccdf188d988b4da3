/**
 * Where a request runs: here, on the primary, or wherever the client is sent to ask again.
 *
 * In: the endpoint that it is for, the session that it came on, what this node is. Out: one of the three. An interface
 * that has `redirections` goes by the endpoint's redirection strategy and never forwards; any other goes by the
 * endpoint's forwarding declaration.
 * Rules: nodes-and-attestation.md §2, http-api.md §4; texts: CCF src/node/rpc/frontend.h.
 */

import type { NodeId } from "../../shared/consensus/messages.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { Endpoint } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { empty } from "../frontend/replies.ts";
import { PRIMARY_RPC_INTERFACE, type Session } from "../frontend/session.ts";
import type { HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { resolveRedirection } from "./redirections.ts";

/** This node is the primary of the view of the session, and is to run the request. */
export interface Forward {
  readonly forwardTo: NodeId;
}

/**
 * @param target of the request, as the client sent it
 * @returns undefined: the request runs here
 * @throws OdataError where it can run neither here nor anywhere else
 */
export function placeElsewhere(
  node: Node,
  tx: Transaction,
  session: Session,
  endpoint: Endpoint,
  target: string,
): HttpResponse | Forward | undefined {
  const { interfaceName } = session;
  const rpcInterface = interfaceName === undefined ? undefined : node.config.rpcInterfaces[interfaceName];
  if (rpcInterface?.redirections !== undefined) {
    return redirect(node, tx, rpcInterface.redirections, endpoint, interfaceName ?? PRIMARY_RPC_INTERFACE, target);
  }
  if (node.canReplicate || endpoint.forwarding === "never") return undefined;
  // What another node has sent here is for the primary, also where a client of this node would be answered: this one led
  // until a moment ago, and may have dropped what the session saw. (CCF answers it here.)
  if (endpoint.forwarding === "sometimes" && !session.isForwarding && !session.isForwarded) return undefined;
  return forward(node, session, rpcInterface?.app_protocol === "HTTP2");
}

function redirect(
  node: Node,
  tx: Transaction,
  configuration: unknown,
  { redirection }: Endpoint,
  interfaceName: string,
  target: string,
): HttpResponse | undefined {
  if (redirection === "none" || node.canReplicate === (redirection === "to_primary")) return undefined;
  const address = resolveRedirection(node, tx, configuration, redirection, interfaceName);
  if (address !== undefined) return empty(307, [["location", `https://${address}${target}`]]);
  throw redirection === "to_primary"
    ? new OdataError(
      503,
      "PrimaryNotFound",
      "Request should be redirected to primary, but receiving node does not know current primary address",
    )
    : new OdataError(
      503,
      "BackupNotFound",
      "Request should be redirected to backup, but receiving node does not know any current backup address",
    );
}

function forward(node: Node, session: Session, isHttp2: boolean): Forward {
  if (isHttp2) {
    throw new OdataError(501, "NotImplemented", "Request cannot be forwarded to primary on HTTP/2 interface.");
  }
  if (session.isForwarded) throw new OdataError(503, "RequestAlreadyForwarded", "RPC was already forwarded.");
  // The primary takes nothing from it any more, and the client need not wait to learn so.
  if (node.isRetired) {
    throw new OdataError(503, "InternalError", "This node was removed from the service; use another.");
  }
  session.requireConsistencyWithPrimary(node);
  if (node.primaryId === undefined || node.primaryId === node.id) {
    // A primary whose retirement is complete may write no more, and nobody else leads yet.
    throw new OdataError(503, "InternalError", "RPC could not be forwarded to unknown primary.");
  }
  session.isForwarding = true;
  return { forwardTo: node.primaryId };
}
