/**
 * `/gov/service` and the member-facing reads: what the service's governance tables say, to anybody (http-api.md §7).
 *
 * Only reads, which need no governance; proposals, ballots and acknowledgements come with it.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromUtf8Lenient } from "../../shared/bytes.ts";
import { serialisePem } from "../../shared/crypto/pem.ts";
import {
  CA_CERT_BUNDLES,
  CONSTITUTION,
  ENDPOINTS,
  JWT_ISSUERS,
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2,
  type MemberInfo,
  MEMBERS_ACKS,
  MEMBERS_CERTS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  MODULES,
  type NodeInfo,
  NODES_CODE_IDS,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  USERS_CERTS,
  USERS_INFO,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { formatTxId, parseTxId, type TxId } from "../../shared/tx_id.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler, text } from "../frontend/replies.ts";
import { decodePathSegment } from "../frontend/request.ts";
import type { HttpResponse } from "../messages.ts";

const API_VERSIONS = ["2023-06-01-preview", "2024-07-01"] as const;
type ApiVersion = typeof API_VERSIONS[number];

export const govEndpoints: readonly Endpoint[] = [
  read("/service/constitution", getConstitution),
  read("/service/info", jsonHandler(getServiceInfo)),
  read("/service/javascript-app", jsonHandler(getJavascriptApp), "2024-07-01"),
  read("/service/javascript-modules", jsonHandler(getJavascriptModules), "2024-07-01"),
  read("/service/javascript-modules/{moduleName}", getJavascriptModule, "2024-07-01"),
  read("/service/join-policy", jsonHandler(getJoinPolicy)),
  read("/service/jwk", jsonHandler(getJwk)),
  read(
    "/service/members",
    jsonHandler(({ tx }) => ({
      value: [...tx.open(MEMBERS_INFO).entries()].map(([id, info]) => describeMember(tx, id, info)),
    })),
  ),
  read("/service/members/{memberId}", jsonHandler(getMember)),
  read(
    "/service/users",
    jsonHandler(({ tx }) => ({
      value: [...tx.open(USERS_CERTS).entries()].map(([id, pem]) => describeUser(tx, id, pem)),
    })),
  ),
  read("/service/users/{userId}", jsonHandler(getUser)),
  read(
    "/service/nodes",
    jsonHandler(({ tx }) => ({
      value: [...tx.open(NODES_INFO).entries()].map(([id, info]) => describeNode(tx, id, info)),
    })),
  ),
  read("/service/nodes/{nodeId}", jsonHandler(getNode)),
  read(
    "/service/transactions/commit",
    jsonHandler(({ node }) => ({ status: "Committed", transactionId: formatTxId(node.committedTxId) })),
  ),
  read("/service/transactions/{transactionId}", jsonHandler(getTransaction)),
  read("/members/state-digests/{memberId}", jsonHandler(getStateDigest)),
  read("/recovery/encrypted-shares/{memberId}", jsonHandler(getEncryptedShare)),
];

/** A versioned read: `?api-version=` is checked first; hidden from the generated OpenAPI document. */
function read(
  path: string,
  handler: (context: EndpointContext) => HttpResponse,
  since: ApiVersion = "2023-06-01-preview",
): Endpoint {
  const supported = API_VERSIONS.slice(API_VERSIONS.indexOf(since));
  return endpoint("GET", path, "read-only", (context) => {
    requireApiVersion(context, supported);
    return handler(context);
  }, { openapi: null });
}

function requireApiVersion({ request }: EndpointContext, supported: readonly ApiVersion[]): void {
  const version = request.parameter("api-version");
  const list = `The supported api-versions are: ${supported.join(", ")}`;
  if (version === undefined) {
    throw new OdataError(
      400,
      "MissingApiVersionParameter",
      `The api-version query parameter (?api-version=) is required for all requests. ${list}`,
    );
  }
  if (!(supported as readonly string[]).includes(version)) {
    throw new OdataError(400, "UnsupportedApiVersionValue", `Unsupported api-version '${version}'. ${list}`);
  }
}

function notFound(message: string): OdataError {
  return new OdataError(404, "ResourceNotFound", message);
}

/** @throws OdataError 400 where the ID is not 64 hex digits */
function requireId(id: string, kind: "member" | "user" | "node"): string {
  if (!/^[0-9a-fA-F]{64}$/.test(id)) {
    throw new OdataError(400, "InvalidResourceName", `'${id}' is not a valid hex-encoded ${kind} ID`);
  }
  return id;
}

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
  const endpoints: Record<string, Record<string, unknown>> = {};
  for (const [route, properties] of tx.open(ENDPOINTS).entries()) {
    const space = route.indexOf(" ");
    (endpoints[route.slice(space + 1)] ??= {})[route.slice(0, space)] = wantedCase === "original"
      ? properties
      : Object.fromEntries(
        Object.entries(properties).flatMap(([name, value]) => {
          const camel = CAMEL_CASE_FIELDS[name];
          return camel === undefined ? [] : [[camel, value]];
        }),
      );
  }
  return { endpoints };
}

function getJavascriptModules({ tx }: EndpointContext): unknown {
  return { value: [...tx.open(MODULES).entries()].map(([moduleName]) => ({ moduleName })) };
}

function getJavascriptModule({ tx, params }: EndpointContext): HttpResponse {
  const name = decodePathSegment(params.moduleName!);
  const source = tx.open(MODULES).get(name);
  if (source === undefined) throw notFound(`Module ${name} does not exist.`);
  return text(source, 200, "text/javascript");
}

function getJoinPolicy({ tx }: EndpointContext): unknown {
  const keys = <K>(entries: Iterable<readonly [K, unknown]>): K[] => [...entries].map(([key]) => key);
  return {
    sgx: { measurements: keys(tx.open(NODES_CODE_IDS).entries()) },
    snp: {
      hostData: Object.fromEntries(tx.open(SNP_HOST_DATA).entries()),
      measurements: keys(tx.open(SNP_MEASUREMENTS).entries()),
      tcbVersions: Object.fromEntries(tx.open(SNP_TCB_VERSIONS).entries()),
      uvmEndorsements: Object.fromEntries(tx.open(SNP_UVM_ENDORSEMENTS).entries()),
    },
    virtual: {
      hostData: keys(tx.open(VIRTUAL_HOST_DATA).entries()),
      measurements: keys(tx.open(VIRTUAL_MEASUREMENTS).entries()),
    },
  };
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

/** The claims inside a virtual quote; they went through our own checks when the node was added. */
function virtualDetails(quote: string): unknown {
  const claims = JSON.parse(fromUtf8Lenient(fromBase64(quote)));
  return { hostData: claims.host_data, measurement: claims.measurement, reportData: claims.report_data };
}

function getNode({ tx, params }: EndpointContext): unknown {
  const id = requireId(params.nodeId!, "node");
  const info = tx.open(NODES_INFO).get(id);
  if (info === undefined) throw notFound(`Node n[${id}] does not exist.`);
  return describeNode(tx, id, info);
}

function getTransaction({ node, params }: EndpointContext): unknown {
  let id: TxId;
  try {
    id = parseTxId(params.transactionId!);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(
      400,
      "InvalidQueryParameterValue",
      `The value '${params.transactionId}' passed as parameter 'transactionId' could not be converted to a valid Transaction ID.`,
    );
  }
  return { status: node.statusOf(id), transactionId: formatTxId(id) };
}

/** The shape of the ID is not checked here, unlike elsewhere (http-api.md §7). */
function getStateDigest({ tx, params }: EndpointContext): unknown {
  const memberId = params.memberId!;
  const ack = tx.open(MEMBERS_ACKS).get(memberId);
  if (ack === undefined) throw notFound(`No ACK record exists for member m[${memberId}].`);
  return { memberId, stateDigest: ack.state_digest };
}

function getEncryptedShare({ tx, params }: EndpointContext): unknown {
  const memberId = requireId(params.memberId!, "member");
  const shares = tx.open(RECOVERY_SHARES).get();
  if (shares === undefined) {
    throw new OdataError(500, "InternalError", "Failed to retrieve current recovery shares info");
  }
  const encryptedShare = shares.encrypted_shares[memberId];
  if (encryptedShare === undefined) throw notFound(`Recovery share not found for member m[${memberId}].`);
  return { encryptedShare, memberId };
}
