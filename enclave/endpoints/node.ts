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
import { NODE_CERT } from "../frontend/authentication.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { empty, jsonHandler } from "../frontend/replies.ts";
import { JSON_VALUE, type Schema, STRING } from "../frontend/schema.ts";
import { redirectAddress } from "../forwarding/redirections.ts";
import type { HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { isCompiledAhead, jsRuntimeOptions } from "../js_app.ts";
import { commonEndpoints } from "./common.ts";
import { joinEndpoint } from "./join.ts";
import { ledgerEndpoints } from "./ledger.ts";
import { listed } from "./map_order.ts";
import * as schemas from "./node_schemas.ts";
import { retirementEndpoints } from "./retirement.ts";
import { snapshotEndpoints } from "./snapshot.ts";

export const nodeEndpoints: readonly Endpoint[] = [
  get("/state", "read-only", getState, schemas.STATE, "never"),
  get("/version", "command", getVersion, schemas.VERSION, "never"),
  get("/network", "read-only", getNetwork, schemas.NETWORK),
  get("/network/nodes", "read-only", getNodes, schemas.NODES, "sometimes", ["host", "port", "status"]),
  get("/network/nodes/self", "read-only", getSelf, schemas.NODE, "never"),
  get("/network/nodes/primary", "read-only", getPrimaryNode, schemas.NODE),
  get("/network/nodes/{node_id}", "read-only", getNode, schemas.NODE),
  ...retirementEndpoints,
  joinEndpoint,
  bare("HEAD", "/primary", headPrimary, 200),
  bare("GET", "/primary", getPrimary, 200),
  bare("GET", "/backup", getBackup, 200),
  get("/config", "command", getConfig, schemas.CONFIG, "never"),
  get("/consensus", "command", getConsensus, schemas.CONSENSUS, "never"),
  get("/quotes/self", "read-only", getOwnQuote, schemas.QUOTE, "never"),
  get("/attestations/self", "read-only", getOwnQuote, schemas.ATTESTATION, "never"),
  get("/quotes", "read-only", ({ tx }) => ({ quotes: trustedQuotes(tx) }), schemas.QUOTES),
  get("/attestations", "read-only", ({ tx }) => ({ attestations: trustedQuotes(tx) }), schemas.ATTESTATIONS),
  get("/self_signed_certificate", "command", getSelfSignedCertificate, schemas.SELF_SIGNED_CERTIFICATE, "never"),
  get("/service/previous_identity", "read-only", getPreviousIdentity, schemas.PREVIOUS_IDENTITY),
  get("/service/configuration", "read-only", getServiceConfiguration, schemas.SERVICE_CONFIGURATION, "never"),
  get("/memory", "command", getMemory, schemas.MEMORY, "never"),
  get("/metrics", "command", ({ node }) => ({ sessions: node.sessionMetrics }), schemas.METRICS, "never"),
  get("/js_metrics", "read-only", getJsMetrics, schemas.JS_METRICS),
  get("/jwt_keys/refresh/metrics", "command", getJwtRefreshMetrics, schemas.JWT_REFRESH_METRICS),
  get("/index/strategies", "command", () => [], JSON_VALUE, "never"),
  bare("GET", "/ready/app", ({ node }) => empty(node.isReadyForApp ? 204 : 503), 204),
  bare("GET", "/ready/gov", ({ node }) => empty(node.isReadyForGov ? 204 : 503), 204),
  ...snapshotEndpoints,
  ...ledgerEndpoints,
  // Of no use to people, and left out of the document.
  endpoint("POST", "/create", "read-write", refuseCreate, { hidden: true }),
  endpoint("POST", "/jwt_keys/refresh", "read-write", notYet, { hidden: true, policies: [NODE_CERT] }),
  ...commonEndpoints,
];

/** One that answers JSON. `query`: optional parameters. */
function get(
  path: string,
  kind: "command" | "read-only",
  answer: (context: EndpointContext) => unknown,
  answers: Schema,
  forwarding: "never" | "sometimes" = "sometimes",
  query: readonly string[] = [],
): Endpoint {
  const parameters = Object.fromEntries(query.map((name) => [name, { schema: STRING, required: false }]));
  return endpoint("GET", path, kind, jsonHandler(answer), { forwarding, described: { answers, query: parameters } });
}

/** One that answers by its status alone. */
function bare(
  method: string,
  path: string,
  handler: (context: EndpointContext) => HttpResponse,
  success: 200 | 204,
): Endpoint {
  return endpoint(method, path, "command", handler, {
    forwarding: "never",
    described: { answers: { nothing: success } },
  });
}

function getState({ node, tx }: EndpointContext): unknown {
  tx.open(SERVICE_INFO).get();
  return {
    last_signed_seqno: node.lastSignedSeqno,
    node_id: node.id,
    startup_seqno: node.startupSeqno,
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
    primary_id: node.primaryId ?? null,
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
  for (const [id, info] of listed(tx, NODES_INFO)) {
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

/** Until the ledger knows this node, as it is configured. */
function getSelf({ node, tx }: EndpointContext): unknown {
  const info = tx.open(NODES_INFO).get(node.id);
  if (info !== undefined) return describeNode(node, tx, node.id, info);
  return {
    last_written: 0,
    node_data: node.config.node.data ?? null,
    node_id: node.id,
    primary: false,
    rpc_interfaces: node.config.rpcInterfaces,
    status: "Pending",
  };
}

function getPrimaryNode({ node, tx }: EndpointContext): unknown {
  const id = requirePrimary(node);
  const info = tx.open(NODES_INFO).get(id);
  if (info === undefined) throw new OdataError(404, "ResourceNotFound", "Node not found");
  return describeNode(node, tx, id, info);
}

function requirePrimary({ primaryId }: Node): string {
  if (primaryId === undefined) throw new OdataError(500, "InternalError", "Primary unknown");
  return primaryId;
}

function describeNode(node: Node, tx: Transaction, id: string, info: NodeInfo): unknown {
  return {
    last_written: tx.open(NODES_INFO).versionOfPreviousWrite(id) ?? 0,
    node_data: info.node_data ?? null,
    node_id: id,
    primary: id === node.primaryId,
    rpc_interfaces: info.rpc_interfaces ?? {},
    status: info.status,
  };
}

/** 200 on the primary; elsewhere a redirection to it. */
function headPrimary({ node, tx, interfaceName }: EndpointContext): HttpResponse {
  if (node.canReplicate) return empty(200);
  const address = redirectAddress(tx, requirePrimary(node), interfaceName);
  return empty(308, [["location", `https://${address}/node/primary`]]);
}

function getPrimary({ node }: EndpointContext): HttpResponse {
  if (node.canReplicate) return empty(200);
  throw new OdataError(404, "ResourceNotFound", "Node is not primary");
}

function getBackup({ node }: EndpointContext): HttpResponse {
  if (!node.canReplicate) return empty(200);
  throw new OdataError(404, "ResourceNotFound", "Node is not backup");
}

/** The nodes of the latest configuration. */
function getConfig({ node }: EndpointContext): unknown {
  const members = requireConsensus(node).latestMembers ?? [];
  return Object.fromEntries([...members].map(([id, address]) => [id, { address }]));
}

function getConsensus({ node }: EndpointContext): unknown {
  return { details: requireConsensus(node).details() };
}

/** A node that has not been admitted takes no part in it. */
function requireConsensus({ state, path: { raft } }: Node): Node["path"]["raft"] {
  if (state !== "Initialized" && state !== "Pending") return raft;
  throw new OdataError(404, "ResourceNotFound", "No configured consensus");
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
  for (const [id, info] of listed(tx, NODES_INFO)) {
    if (info.status === "Trusted") quotes.push(describeQuote(id, info));
  }
  return quotes;
}

function getSelfSignedCertificate({ node }: EndpointContext): unknown {
  return { self_signed_certificate: node.identity.selfSignedPem };
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

function getJsMetrics({ tx, node }: EndpointContext): unknown {
  let bytecode_size = 0;
  for (const [, bytecode] of tx.open(MODULES_QUICKJS_BYTECODE).entries()) bytecode_size += bytecode.length;
  const options = jsRuntimeOptions(tx);
  return {
    bytecode_size,
    bytecode_used: isCompiledAhead(tx, node.engine),
    max_cached_interpreters: options.max_cached_interpreters,
    max_execution_time: options.max_execution_time_ms,
    max_heap_size: options.max_heap_bytes,
    max_stack_size: options.max_stack_bytes,
  };
}

function getServiceConfiguration({ tx }: EndpointContext): unknown {
  const configuration = tx.open(SERVICE_CONFIG).get();
  if (configuration === undefined) throw new OdataError(404, "ResourceNotFound", "Service state not available.");
  return configuration;
}

/** Keys of token issuers are not fetched yet. */
function getJwtRefreshMetrics(): unknown {
  return { attempts: 0, failures: 0, successes: 0 };
}

/** What comes with the authentication by tokens. */
function notYet({ endpoint: { method, path } }: EndpointContext): HttpResponse {
  throw new OdataError(501, "NotImplemented", `${method} ${path} is not available in this version`);
}

function refuseCreate(): HttpResponse {
  throw new OdataError(403, "InternalError", "Node is not in initial state.");
}
