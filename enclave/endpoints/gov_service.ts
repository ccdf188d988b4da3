/**
 * `/gov/service`: what the service's governance tables say, to anybody (http-api.md §7).
 */

import { FormatError } from "../../shared/assert.ts";
import { fromBase64 } from "../../shared/bytes.ts";
import { serialisePem } from "../../shared/crypto/pem.ts";
import {
  CA_CERT_BUNDLES,
  CONSTITUTION,
  DCAP_TCB_STATUSES,
  JWT_ISSUERS,
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  type MemberInfo,
  MEMBERS_CERTS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  MODULES,
  type NodeInfo,
  NODES_CODE_IDS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  USERS_CERTS,
  USERS_INFO,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { anything, object } from "../../shared/json_shape.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import type { EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler, text } from "../frontend/replies.ts";
import { decodePathSegment } from "../frontend/request.ts";
import { storedEndpoints } from "../js_app.ts";
import type { HttpResponse } from "../messages.ts";
import { notFound, requireId, requireTxId, type VersionedEndpoint, versionedRead } from "./api_version.ts";
import { listed, listedKeys } from "./map_order.ts";

export const govServiceEndpoints: readonly VersionedEndpoint[] = [
  versionedRead("/service/constitution", getConstitution),
  versionedRead("/service/info", jsonHandler(getServiceInfo)),
  versionedRead("/service/javascript-app", jsonHandler(getJavascriptApp), "2024-07-01"),
  versionedRead("/service/javascript-modules", jsonHandler(getJavascriptModules), "2024-07-01"),
  versionedRead("/service/javascript-modules/{moduleName}", getJavascriptModule, "2024-07-01"),
  versionedRead("/service/join-policy", jsonHandler(getJoinPolicy)),
  versionedRead("/service/jwk", jsonHandler(getJwk)),
  versionedRead(
    "/service/members",
    jsonHandler(({ tx }) => ({ value: listed(tx, MEMBERS_INFO).map(([id, info]) => describeMember(tx, id, info)) })),
  ),
  versionedRead("/service/members/{memberId}", jsonHandler(getMember)),
  versionedRead(
    "/service/users",
    jsonHandler(({ tx }) => ({ value: listed(tx, USERS_CERTS).map(([id, pem]) => describeUser(tx, id, pem)) })),
  ),
  versionedRead("/service/users/{userId}", jsonHandler(getUser)),
  versionedRead(
    "/service/nodes",
    jsonHandler(({ tx }) => ({ value: listed(tx, NODES_INFO).map(([id, info]) => describeNode(tx, id, info)) })),
  ),
  versionedRead("/service/nodes/{nodeId}", jsonHandler(getNode)),
  versionedRead("/service/transactions/commit", jsonHandler(getCommit)),
  versionedRead("/service/transactions/{transactionId}", jsonHandler(getTransaction)),
];

function getConstitution({ tx }: EndpointContext): HttpResponse {
  const constitution = tx.open(CONSTITUTION).get();
  if (constitution === undefined) throw notFound("No constitution found.");
  return text(constitution, 200, "text/javascript");
}

function getServiceInfo({ tx }: EndpointContext): unknown {
  const service = tx.open(SERVICE_INFO).get();
  const config = tx.open(SERVICE_CONFIG).get();
  if (service === undefined || config === undefined) throw notFound("Service info not available.");
  const previous = service.previous_service_identity_version;
  return {
    certificate: service.cert,
    configuration: {
      maximumNodeCertificateValidityDays: config.maximum_node_certificate_validity_days ?? 365,
      maximumServiceCertificateValidityDays: config.maximum_service_certificate_validity_days ?? 365,
      recentCoseProposalsWindowSize: config.recent_cose_proposals_window_size ?? 100,
      recoveryThreshold: config.recovery_threshold,
    },
    ...(service.current_service_create_txid === undefined
      ? {}
      : { creationTransactionId: service.current_service_create_txid }),
    ...(previous === undefined ? {} : { previousServiceCreationTransactionId: String(previous) }),
    recoveryCount: service.recovery_count ?? 0,
    serviceData: service.service_data ?? null,
    status: service.status,
  };
}

const CAMEL_CASE_FIELDS: Readonly<Record<string, string>> = {
  js_module: "jsModule",
  js_function: "jsFunction",
  forwarding_required: "forwardingRequired",
  redirection_strategy: "redirectionStrategy",
  authn_policies: "authnPolicies",
  mode: "mode",
  openapi: "openApi",
};

function getJavascriptApp({ tx, request }: EndpointContext): unknown {
  const wantedCase = request.parameter("case");
  if (wantedCase !== undefined && wantedCase !== "original") {
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      "Accepted values for the 'case' query parameter are: original",
    );
  }
  const endpoints: Record<string, Record<string, unknown>> = Object.create(null);
  for (const { method, path, value } of storedEndpoints(tx)) {
    const stored = storedJson(value);
    (endpoints[path] ??= {})[method] = wantedCase === "original" ? stored : inCamelCase(stored);
  }
  return { endpoints };
}

/** null for what is not JSON. */
function storedJson(value: Uint8Array): unknown {
  try {
    return parseJsonBytes(value);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return null;
  }
}

/** What was stored in another form is shown as it is. */
function inCamelCase(stored: unknown): unknown {
  if (typeof stored !== "object" || stored === null) return stored;
  return Object.fromEntries(
    Object.entries(stored).flatMap(([name, value]) => {
      const camel = CAMEL_CASE_FIELDS[name];
      return camel === undefined ? [] : [[camel, value]];
    }),
  );
}

function getJavascriptModules({ tx }: EndpointContext): unknown {
  return { value: listedKeys(tx, MODULES).map((moduleName) => ({ moduleName })) };
}

function getJavascriptModule({ tx, params }: EndpointContext): HttpResponse {
  const name = decodePathSegment(params.moduleName!);
  const source = tx.open(MODULES).get(name);
  if (source === undefined) throw notFound(`Module ${name} does not exist.`);
  return text(source, 200, "text/javascript");
}

function getJoinPolicy({ tx }: EndpointContext): unknown {
  return {
    sgx: { measurements: listedKeys(tx, NODES_CODE_IDS) },
    snp: {
      hostData: Object.fromEntries(tx.open(SNP_HOST_DATA).entries()),
      measurements: listedKeys(tx, SNP_MEASUREMENTS),
      tcbVersions: Object.fromEntries(tx.open(SNP_TCB_VERSIONS).entries()),
      uvmEndorsements: Object.fromEntries(tx.open(SNP_UVM_ENDORSEMENTS).entries()),
    },
    virtual: {
      hostData: listedKeys(tx, VIRTUAL_HOST_DATA),
      measurements: listedKeys(tx, VIRTUAL_MEASUREMENTS),
    },
    ...intelPolicy(tx),
  };
}

/** Ours, and left out where there is none of it: CCF knows no such platforms. Its own `sgx` is that of before 6.0. */
function intelPolicy(tx: Transaction): object {
  const sgx = listedKeys(tx, SGX_MEASUREMENTS);
  const tdx = {
    hostData: Object.fromEntries(tx.open(TDX_HOST_DATA).entries()),
    measurements: listedKeys(tx, TDX_MEASUREMENTS),
  };
  const tcbStatuses = listedKeys(tx, DCAP_TCB_STATUSES);
  const isUsed = sgx.length + tdx.measurements.length + tcbStatuses.length > 0 || Object.keys(tdx.hostData).length > 0;
  return isUsed ? { dcap: { sgx: { measurements: sgx }, tcbStatuses, tdx } } : {};
}

function getJwk({ tx }: EndpointContext): unknown {
  const issuers: Record<string, unknown> = {};
  for (const [issuer, info] of tx.open(JWT_ISSUERS).entries()) {
    issuers[issuer] = {
      autoRefresh: info.auto_refresh ?? false,
      ...(info.ca_cert_bundle_name === undefined ? {} : { caCertBundleName: info.ca_cert_bundle_name }),
    };
  }
  const keys: Record<string, unknown> = {};
  for (const [kid, entries] of tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2).entries()) {
    keys[kid] = entries.map((entry) => ({
      constraint: entry.constraint ?? null,
      issuer: entry.issuer,
      publicKey: serialisePem("PUBLIC KEY", fromBase64(entry.public_key)),
    }));
  }
  return { caCertBundles: Object.fromEntries(tx.open(CA_CERT_BUNDLES).entries()), issuers, keys };
}

function describeMember(tx: Transaction, memberId: string, info: MemberInfo): unknown {
  const certificate = tx.open(MEMBERS_CERTS).get(memberId);
  const publicEncryptionKey = tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).get(memberId);
  return {
    ...(certificate === undefined ? {} : { certificate }),
    memberData: info.member_data ?? null,
    memberId,
    ...(publicEncryptionKey === undefined ? {} : { publicEncryptionKey }),
    recoveryRole: info.recovery_role ?? (publicEncryptionKey === undefined ? "NonParticipant" : "Participant"),
    status: info.status,
  };
}

function getMember({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.memberId!, "member");
  const info = tx.open(MEMBERS_INFO).get(id);
  if (info === undefined) throw notFound(`Member m[${id}] does not exist.`);
  return describeMember(tx, id, info);
}

function describeUser(tx: Transaction, userId: string, certificate: string): unknown {
  return { certificate, userData: tx.open(USERS_INFO).get(userId) ?? null, userId };
}

function getUser({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.userId!, "user");
  const certificate = tx.open(USERS_CERTS).get(id);
  if (certificate === undefined) throw notFound(`User u[${id}] does not exist.`);
  return describeUser(tx, id, certificate);
}

function describeNode(tx: Transaction, nodeId: string, info: NodeInfo): unknown {
  const certificate = tx.open(NODES_ENDORSED_CERTIFICATES).get(nodeId);
  const rpcInterfaces: Record<string, unknown> = {};
  for (const [name, { bind_address, published_address, protocol }] of Object.entries(info.rpc_interfaces ?? {})) {
    rpcInterfaces[name] = {
      ...(protocol === undefined ? {} : { protocol }),
      publishedAddress: published_address ?? bind_address,
    };
  }
  return {
    ...(certificate === undefined ? {} : { certificate }),
    nodeData: info.node_data ?? null,
    nodeId,
    quoteInfo: describeQuote(info),
    retiredCommitted: info.retired_committed ?? false,
    rpcInterfaces,
    status: info.status,
  };
}

function describeQuote({ quote_info }: NodeInfo): unknown {
  switch (quote_info.format) {
    case "Insecure_Virtual":
      return { details: virtualDetails(quote_info.quote), format: quote_info.format, rawQuote: quote_info.quote };
    case "AMD_SEV_SNP_v1":
      return {
        ...(quote_info.endorsed_tcb === undefined ? {} : { endorsedTcb: quote_info.endorsed_tcb }),
        format: quote_info.format,
        ...(quote_info.uvm_endorsements === undefined ? {} : { uvmEndorsements: quote_info.uvm_endorsements }),
      };
    default:
      return { endorsements: quote_info.endorsements, format: quote_info.format, quote: quote_info.quote };
  }
}

const VIRTUAL_CLAIMS = object({ host_data: anything, measurement: anything, report_data: anything });

/** The claims inside a virtual quote. They were checked when the node was added, and members may have written others. */
function virtualDetails(quote: string): unknown {
  const claims = VIRTUAL_CLAIMS(parseJsonBytes(fromBase64(quote)), "");
  return { hostData: claims.host_data, measurement: claims.measurement, reportData: claims.report_data };
}

function getNode({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.nodeId!, "node");
  const info = tx.open(NODES_INFO).get(id);
  if (info === undefined) throw notFound(`Node n[${id}] does not exist.`);
  return describeNode(tx, id, info);
}

function getCommit({ node }: EndpointContext): unknown {
  return { status: "Committed", transactionId: formatTxId(node.committedTxId) };
}

function getTransaction({ node, params }: EndpointContext): unknown {
  const id = requireTxId(params.transactionId!);
  return { status: node.statusOf(id), transactionId: formatTxId(id) };
}
