/**
 * `/node`: what anybody may know about this node and its service, without credentials (http-api.md §6).
 */

import {
  MODULES_QUICKJS_BYTECODE,
  type NodeInfo,
  NODES_INFO,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SERVICE_PREVIOUS_IDENTITY,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { empty, jsonHandler } from "../frontend/replies.ts";
import type { HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { jsRuntimeOptions } from "../js_app.ts";

const NEVER = { forwarding: "never" } as const;

export const nodeEndpoints: readonly Endpoint[] = [
  endpoint("GET", "/state", "read-only", jsonHandler(getState), NEVER),
  endpoint("GET", "/version", "command", jsonHandler(getVersion), NEVER),
  endpoint("GET", "/network", "read-only", jsonHandler(getNetwork)),
  endpoint("GET", "/network/nodes", "read-only", jsonHandler(getNodes)),
  endpoint("GET", "/network/nodes/self", "read-only", jsonHandler(getSelf), NEVER),
  endpoint("GET", "/network/nodes/primary", "read-only", jsonHandler(getPrimaryNode)),
  endpoint("GET", "/network/nodes/{node_id}", "read-only", jsonHandler(getNode)),
  endpoint("DELETE", "/network/nodes/{node_id}", "read-write", jsonHandler(deleteNode)),
  endpoint("GET", "/network/removable_nodes", "read-only", jsonHandler(getRemovableNodes)),
  endpoint("HEAD", "/primary", "command", () => empty(200), NEVER),
  endpoint("GET", "/primary", "command", () => empty(200), NEVER),
  endpoint("GET", "/backup", "command", getBackup, NEVER),
  endpoint("GET", "/config", "command", jsonHandler(getConfig), NEVER),
  endpoint("GET", "/consensus", "command", jsonHandler(getConsensus), NEVER),
  endpoint("GET", "/quotes/self", "read-only", jsonHandler(getOwnQuote), NEVER),
  endpoint("GET", "/attestations/self", "read-only", jsonHandler(getOwnQuote), NEVER),
  endpoint("GET", "/quotes", "read-only", jsonHandler((context) => ({ quotes: trustedQuotes(context.tx) }))),
  endpoint(
    "GET",
    "/attestations",
    "read-only",
    jsonHandler((context) => ({ attestations: trustedQuotes(context.tx) })),
  ),
  endpoint(
    "GET",
    "/self_signed_certificate",
    "command",
    jsonHandler(({ node }) => ({ self_signed_certificate: node.identity.selfSignedPem })),
    NEVER,
  ),
  endpoint("GET", "/service/previous_identity", "read-only", jsonHandler(getPreviousIdentity)),
  endpoint("GET", "/service/configuration", "read-only", jsonHandler(({ tx }) => tx.open(SERVICE_CONFIG).get()), NEVER),
  endpoint("GET", "/memory", "command", jsonHandler(getMemory), NEVER),
  endpoint("GET", "/metrics", "command", jsonHandler(({ node }) => ({ sessions: node.sessionMetrics })), NEVER),
  endpoint("GET", "/js_metrics", "read-only", jsonHandler(getJsMetrics)),
  endpoint(
    "GET",
    "/jwt_keys/refresh/metrics",
    "command",
    jsonHandler(() => ({ attempts: 0, failures: 0, successes: 0 })),
  ),
  endpoint("GET", "/index/strategies", "command", jsonHandler(() => []), NEVER),
  endpoint("GET", "/ready/app", "command", ({ node }) => empty(node.isReadyForApp ? 204 : 503), NEVER),
  endpoint("GET", "/ready/gov", "command", ({ node }) => empty(node.isReadyForGov ? 204 : 503), NEVER),
  endpoint("POST", "/create", "read-write", refuseCreate),
];

function getState({ node, tx }: EndpointContext): unknown {
  tx.open(SERVICE_INFO).get();
  return {
    last_signed_seqno: node.lastSignedSeqno,
    node_id: node.id,
    startup_seqno: 0,
    state: node.state,
    stop_notice: node.stopNotice,
  };
}

/** CCF's version, since clients compare it, and our own (`unsafe` says that debugging aids are compiled in). */
function getVersion(): unknown {
  return { ccf_version: "ccf-7.0.0-dev7", quickjs_version: "2024-01-13", unsafe: false };
}

function getNetwork({ node, tx }: EndpointContext): unknown {
  const service = tx.open(SERVICE_INFO).get();
  if (service === undefined) throw new OdataError(404, "ResourceNotFound", "Service state not available.");
  return {
    current_service_create_txid: service.current_service_create_txid ?? null,
    current_view: node.view,
    primary_id: node.id,
    recovery_count: service.recovery_count ?? 0,
    service_certificate: service.cert,
    service_data: service.service_data ?? null,
    service_status: service.status,
  };
}

function getNodes({ node, request, tx }: EndpointContext): unknown {
  const host = request.parameter("host");
  const port = request.parameter("port");
  const status = request.parameter("status");
  if (status !== undefined && status !== "Pending" && status !== "Trusted" && status !== "Retired") {
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      `Query parameter '${status}' is not a valid node status`,
    );
  }
  const nodes: unknown[] = [];
  for (const [id, info] of tx.open(NODES_INFO).entries()) {
    if (status !== undefined && info.status !== status) continue;
    if ((host !== undefined || port !== undefined) && !publishes(info, host, port)) continue;
    nodes.push(describeNode(node, tx, id, info));
  }
  return { nodes };
}

/** Whether one interface publishes both the host and the port asked for. */
function publishes(info: NodeInfo, host: string | undefined, port: string | undefined): boolean {
  return Object.values(info.rpc_interfaces ?? {}).some((rpcInterface) => {
    const address = rpcInterface.published_address ?? rpcInterface.bind_address;
    const colon = address.lastIndexOf(":");
    return (host === undefined || address.slice(0, colon) === host) &&
      (port === undefined || address.slice(colon + 1) === port);
  });
}

function getNode({ node, params, tx }: EndpointContext): unknown {
  const info = tx.open(NODES_INFO).get(params.node_id!);
  if (info === undefined) throw new OdataError(404, "ResourceNotFound", "Node not found");
  return describeNode(node, tx, params.node_id!, info);
}

function getSelf({ node, tx }: EndpointContext): unknown {
  return describeNode(node, tx, node.id, ownInfo(node, tx));
}

/** This node is the primary of a service of one. */
function getPrimaryNode(context: EndpointContext): unknown {
  return getSelf(context);
}

function describeNode(node: Node, tx: Transaction, id: string, info: NodeInfo): unknown {
  return {
    last_written: tx.open(NODES_INFO).versionOfPreviousWrite(id) ?? 0,
    node_data: info.node_data ?? null,
    node_id: id,
    primary: id === node.id,
    rpc_interfaces: info.rpc_interfaces ?? {},
    status: info.status,
  };
}

function ownInfo(node: Node, tx: Transaction): NodeInfo {
  const info = tx.open(NODES_INFO).get(node.id);
  if (info === undefined) throw new OdataError(404, "ResourceNotFound", "Node not found");
  return info;
}

function deleteNode({ params, tx }: EndpointContext): unknown {
  const info = tx.open(NODES_INFO).get(params.node_id!);
  if (info === undefined) throw new OdataError(404, "ResourceNotFound", "No such node");
  if (info.status !== "Retired" || info.retired_committed !== true) {
    throw new OdataError(400, "NodeNotRetiredCommitted", "Node is not completely retired");
  }
  tx.open(NODES_INFO).remove(params.node_id!);
  return true;
}

function getRemovableNodes({ node, tx }: EndpointContext): unknown {
  const committed = node.store.beginCommitted();
  const nodes: unknown[] = [];
  for (const [id, info] of committed.open(NODES_INFO).entries()) {
    if (info.status === "Retired" && info.retired_committed === true) nodes.push(describeNode(node, tx, id, info));
  }
  tx.open(NODES_INFO).has(node.id);
  return { nodes };
}

function getBackup(): HttpResponse {
  throw new OdataError(404, "ResourceNotFound", "Node is not backup");
}

function getConfig({ node }: EndpointContext): unknown {
  return { [node.id]: { address: node.config.nodeToNodeInterface.published_address } };
}

/** Consensus of one: always the leader of its own configuration. */
function getConsensus({ node }: EndpointContext): unknown {
  return {
    details: {
      acks: {},
      configs: [{
        idx: 1,
        nodes: { [node.id]: { address: node.config.nodeToNodeInterface.published_address } },
        rid: 1,
      }],
      current_view: node.view,
      leadership_state: "Leader",
      membership_state: "Active",
      primary_id: node.id,
      reconfiguration_type: "OneTransaction",
      ticking: true,
    },
  };
}

function describeQuote(id: string, info: NodeInfo): unknown {
  return {
    endorsements: info.quote_info.endorsements,
    format: info.quote_info.format,
    measurement: info.code_digest ?? "",
    node_id: id,
    raw: info.quote_info.quote,
    ...(info.quote_info.uvm_endorsements === undefined ? {} : { uvm_endorsements: info.quote_info.uvm_endorsements }),
  };
}

function getOwnQuote({ node, tx }: EndpointContext): unknown {
  const info = tx.open(NODES_INFO).get(node.id);
  if (info === undefined) throw new OdataError(404, "ResourceNotFound", "Could not find node quote.");
  return describeQuote(node.id, info);
}

function trustedQuotes(tx: Transaction): unknown[] {
  const quotes: unknown[] = [];
  for (const [id, info] of tx.open(NODES_INFO).entries()) {
    if (info.status === "Trusted") quotes.push(describeQuote(id, info));
  }
  return quotes;
}

function getPreviousIdentity({ tx }: EndpointContext): unknown {
  const previous = tx.open(SERVICE_PREVIOUS_IDENTITY).get();
  if (previous === undefined) {
    throw new OdataError(404, "ResourceNotFound", "This service is not a recovery of a previous service.");
  }
  return { previous_service_identity: previous };
}

function getMemory({ node }: EndpointContext): unknown {
  return {
    current_allocated_heap_size: node.heapBytes.current,
    max_total_heap_size: node.heapBytes.max,
    peak_allocated_heap_size: node.heapBytes.peak,
  };
}

function getJsMetrics({ tx }: EndpointContext): unknown {
  let bytecode_size = 0;
  for (const [, bytecode] of tx.open(MODULES_QUICKJS_BYTECODE).entries()) bytecode_size += bytecode.length;
  const options = jsRuntimeOptions(tx);
  return {
    bytecode_size,
    bytecode_used: false,
    max_cached_interpreters: options.max_cached_interpreters,
    max_execution_time: options.max_execution_time_ms,
    max_heap_size: options.max_heap_bytes,
    max_stack_size: options.max_stack_bytes,
  };
}

function refuseCreate(): HttpResponse {
  throw new OdataError(403, "InternalError", "Node is not in initial state.");
}
