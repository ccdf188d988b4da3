/**
 * What a node that wants to join sends, and what it is answered.
 *
 * In: bytes of a body, or what is to be said. Out: the other. Whether a node may join is for `endpoints/join.ts`.
 * Format: nodes-and-attestation.md §3.4, §3.6, http-api.md §6.2; JSON as CCF's C++ writes it.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { QUOTE_FORMATS } from "../shared/attestation/quote_formats.ts";
import { fromBase64, toBase64 } from "../shared/bytes.ts";
import { netInterface, quoteInfo } from "../shared/governance/node_info.ts";
import type { NetInterface, NodeInfo, QuoteInfo, ServiceInfo } from "../shared/governance/tables.ts";
import { parseJsonBytes, stableJson, stableJsonBytes } from "../shared/json.ts";
import { boolean, listOf, object, oneOf, recordOf, type Shape, text, unsigned } from "../shared/json_shape.ts";
import { LEDGER_SECRET_BYTES } from "../shared/ledger/secrets.ts";
import { MAX_JOIN_SECRETS, MAX_QUOTED_NAME_CHARACTERS, MAX_RPC_INTERFACES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";

/** Where a node is reached: by other nodes, and by clients at one address an interface. */
export interface NodeAddresses {
  readonly nodeToNodeInterface: NetInterface & { readonly published_address: string };
  /** By name; at least one. */
  readonly rpcInterfaces: Readonly<Record<string, NetInterface>>;
  readonly willLocallySealLedgerSecrets?: boolean;
}

export interface JoinRequest extends NodeAddresses {
  /** Bytes in it are base64. */
  readonly quoteInfo: QuoteInfo;
  /** PEM of the RSA key by which ledger secrets reach the node later. */
  readonly encryptionPublicKeyPem: string;
  readonly certificateSigningRequestPem: string;
  /** Seqno of the snapshot that the node starts from, 0 where it has none. */
  readonly startupSeqno?: Seqno;
  readonly nodeData?: unknown;
}

/** What only a trusted node is told. */
export interface NetworkInfo {
  /** The service is recovering: private tables cannot be read yet. */
  readonly publicOnly: boolean;
  readonly lastRecoveredSignedSeqno: Seqno;
  /** Ascending by first seqno, at least one. */
  readonly ledgerSecrets: readonly SecretOfLedger[];
  readonly serviceCertificatePem: string;
  readonly serviceKeyPem: string;
  readonly serviceStatus?: ServiceInfo["status"];
  /** By the service, for the node's key. */
  readonly endorsedCertificatePem: string;
  readonly coseSignatures: { readonly issuer: string; readonly subject: string };
}

export interface SecretOfLedger {
  readonly first: Seqno;
  readonly secret: Uint8Array;
  /** As `LedgerSecret` has it. */
  readonly previousSecretStoredVersion?: Seqno;
}

/**
 *     {"node_id":"964f…","node_status":"Pending"}
 *     {"network_info":{"cose_signatures_config":{…},"endorsed_certificate":"-----BEGIN …","identity":{"cert":"…",
 *      "priv_key":"…"},"last_recovered_signed_idx":0,"ledger_secrets":[[1,{"raw_key":"2FIF…"}]],"public_only":false,
 *      "service_status":"Open"},"node_id":"964f…","node_status":"Trusted"}
 */
export interface JoinResponse {
  readonly nodeStatus: "Pending" | "Trusted";
  /** Quirk: absent where the service is not open yet and the node was added before. */
  readonly nodeId?: string;
  /** There for a trusted node. */
  readonly networkInfo?: NetworkInfo;
}

// ---- The request ----

/**
 * Reads a request.
 *
 * @throws FormatError whose message goes to the client: for the mistakes that CCF names, in its words
 */
export function parseJoinRequest(body: Uint8Array): JoinRequest {
  const json = requireMembers(
    body.length === 0 ? {} : parseBody(body),
    "",
    "node_info_network",
    "quote_info",
    "public_encryption_key",
    "certificate_signing_request",
  );
  const { startup_seqno: startup, node_data: nodeData } = json;
  return {
    ...parseAddresses(json.node_info_network),
    quoteInfo: parseQuote(json.quote_info),
    encryptionPublicKeyPem: text(json.public_encryption_key, "/public_encryption_key"),
    certificateSigningRequestPem: text(json.certificate_signing_request, "/certificate_signing_request"),
    ...(isGiven(startup) && { startupSeqno: unsigned(startup, "/startup_seqno") }),
    ...(isGiven(nodeData) && { nodeData }),
  };
}

/** The body that a node sends, every time the same. */
export function serialiseJoinRequest(request: JoinRequest): Uint8Array {
  return stableJsonBytes({
    certificate_signing_request: request.certificateSigningRequestPem,
    node_data: request.nodeData ?? undefined,
    node_info_network: {
      node_to_node_interface: request.nodeToNodeInterface,
      rpc_interfaces: asCcfKnows(request.rpcInterfaces),
      will_locally_seal_ledger_secrets: request.willLocallySealLedgerSecrets,
    },
    public_encryption_key: request.encryptionPublicKeyPem,
    quote_info: request.quoteInfo,
    startup_seqno: request.startupSeqno,
  });
}

/**
 * How a node's record gives its addresses: whole, and in the flat fields that versions before 2.0 wrote; CCF still does,
 * of the first interface by name (ledger-and-receipts.md §10.5).
 */
export function addressRows(addresses: NodeAddresses): Partial<NodeInfo> {
  const { nodeToNodeInterface, rpcInterfaces, willLocallySealLedgerSecrets } = addresses;
  const first = Object.keys(rpcInterfaces).sort()[0];
  assert(first !== undefined, "A node has an RPC interface");
  const { published_address, bind_address } = rpcInterfaces[first]!;
  const [rpcHost, rpcPort] = splitAddress(published_address ?? bind_address);
  const [nodeHost, nodePort] = splitAddress(nodeToNodeInterface.published_address);
  return {
    node_to_node_interface: nodeToNodeInterface,
    nodehost: nodeHost,
    nodeport: nodePort,
    pubhost: rpcHost,
    pubport: rpcPort,
    rpc_interfaces: asCcfKnows(rpcInterfaces),
    rpchost: rpcHost,
    rpcport: rpcPort,
    ...(willLocallySealLedgerSecrets === true && { will_locally_seal_ledger_secrets: true }),
  };
}

/** JSON that can be written again: all of it goes to the ledger. */
function parseBody(body: Uint8Array): unknown {
  try {
    const json = parseJsonBytes(body);
    stableJson(json);
    return json;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`The body is not JSON: ${error.message}`);
  }
}

function parseAddresses(value: unknown): NodeAddresses {
  const at = "/node_info_network";
  const network = requireMembers(value, at, "node_to_node_interface", "rpc_interfaces");
  const nodeToNode = parseInterface(network.node_to_node_interface, `${at}/node_to_node_interface`);
  const { published_address } = nodeToNode;
  if (published_address === undefined) {
    throw new FormatError(`At #${at}/node_to_node_interface: Other nodes must be told a published address`);
  }
  const rpc = recordOf((door, doorAt) => parseInterface(door, doorAt))(network.rpc_interfaces, `${at}/rpc_interfaces`);
  const count = Object.keys(rpc).length;
  if (count === 0 || count > MAX_RPC_INTERFACES) {
    throw new FormatError(`At #${at}/rpc_interfaces: A node has 1 to ${MAX_RPC_INTERFACES} interfaces, not ${count}`);
  }
  const seals = network.will_locally_seal_ledger_secrets;
  return {
    nodeToNodeInterface: { ...nodeToNode, published_address },
    rpcInterfaces: rpc,
    ...(isGiven(seals) && { willLocallySealLedgerSecrets: boolean(seals, `${at}/will_locally_seal_ledger_secrets`) }),
  };
}

function parseInterface(value: unknown, at: string): NetInterface {
  requireMembers(value, at, "bind_address");
  const door = netInterface(value, at);
  for (const address of [door.bind_address, door.published_address]) {
    if (address === undefined) continue;
    const [host, port] = splitAddress(address);
    const isAddress = host !== "" && host.length <= MAX_HOST_CHARACTERS && !/\s/.test(host) && isPort(port);
    if (!isAddress) throw new FormatError(`At #${at}: ${quoted(address)} is no address: host:port`);
  }
  return door;
}

const CCF_OPERATOR_FEATURES = ["SnapshotRead"];

/** Without operator features of our own: CCF cannot read a record, nor a request, that has another one. */
function asCcfKnows(doors: NodeAddresses["rpcInterfaces"]): NodeAddresses["rpcInterfaces"] {
  const known = Object.entries(doors).map(([name, { enabled_operator_features: features, ...door }]) => {
    const kept = features?.filter((feature) => CCF_OPERATOR_FEATURES.includes(feature));
    const isLeftOut = kept === undefined || (kept.length === 0 && features!.length > 0);
    return [name, isLeftOut ? door : { ...door, enabled_operator_features: kept }] as const;
  });
  return Object.fromEntries(known);
}

/** A name of the DNS has at most 253 characters; an address with its brackets and zone fewer. */
const MAX_HOST_CHARACTERS = 255;

function isPort(digits: string): boolean {
  return /^\d{1,5}$/.test(digits) && Number(digits) <= 0xffff;
}

/** At the last colon: an IPv6 address has others, in brackets. */
function splitAddress(address: string): [host: string, port: string] {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, Math.max(colon, 0)), address.slice(colon + 1)];
}

function parseQuote(value: unknown): QuoteInfo {
  const at = "/quote_info";
  const json = requireMembers(value, at, "format", "quote", "endorsements");
  if (!QUOTE_FORMATS.some((format) => format === json.format)) {
    throw new FormatError(`At #${at}/format: ${quoted(json.format)} is not convertible to QuoteFormat`);
  }
  const info = quoteInfo(json, at);
  for (const name of ["quote", "endorsements", "uvm_endorsements"] as const) {
    if (info[name] !== undefined) base64(info[name], `${at}/${name}`);
  }
  const { format, quote, endorsements, uvm_endorsements, endorsed_tcb } = info;
  return {
    format,
    quote,
    endorsements,
    ...(uvm_endorsements !== undefined && { uvm_endorsements }),
    ...(endorsed_tcb !== undefined && { endorsed_tcb }),
  };
}

/** The members of an object, of which these must be there; whether they are of the right kind is looked at later. */
function requireMembers(value: unknown, at: string, ...names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new FormatError(`At #${at === "" ? "/" : at}: Expected object, found: ${quoted(value)}`);
  }
  const members = value as Record<string, unknown>;
  for (const name of names) {
    if (Object.hasOwn(members, name)) continue;
    throw new FormatError(
      `At #${at === "" ? "/" : at}: Missing required field '${name}' in object: ${quoted(members)}`,
    );
  }
  return members;
}

/** As it came, or its beginning. */
function quoted(value: unknown): string {
  const json = stableJson(value);
  return json.length <= MAX_QUOTED_NAME_CHARACTERS ? json : `${json.slice(0, MAX_QUOTED_NAME_CHARACTERS)}…`;
}

/** C++ reads null as absent. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function base64(value: string, at: string): Uint8Array {
  try {
    return fromBase64(value);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`At #${at}: It must be base64`);
  }
}

// ---- The response ----

const ledgerSecret = object({ raw_key: text }, { previous_secret_stored_version: unsigned });

const networkInfo = object({
  public_only: boolean,
  last_recovered_signed_idx: unsigned,
  /** A map whose keys are numbers: pairs. */
  ledger_secrets: listOf(pair(unsigned, ledgerSecret)),
  identity: object({ cert: text, priv_key: text }),
  endorsed_certificate: text,
  cose_signatures_config: object({ issuer: text, subject: text }),
}, {
  service_status: oneOf("Opening", "Open", "WaitingForRecoveryShares", "Recovering"),
});

const joinResponse = object({ node_status: oneOf("Pending", "Trusted") }, {
  node_id: text,
  network_info: networkInfo,
});

/**
 * Reads the answer to a request. Nothing in its messages is taken from the answer, since that holds secrets.
 *
 * @throws FormatError also where a trusted node is told no secrets
 */
export function parseJoinResponse(body: Uint8Array): JoinResponse {
  const { node_status: nodeStatus, node_id, network_info: info } = joinResponse(parseJsonBytes(body), "");
  const nodeId = node_id === undefined || node_id === "" ? {} : { nodeId: node_id };
  if (nodeStatus === "Pending") return { nodeStatus, ...nodeId };
  if (info === undefined) {
    throw new FormatError("Cannot read the answer to a join request: it trusts this node and has no secrets for it");
  }
  return {
    nodeStatus,
    ...nodeId,
    networkInfo: {
      publicOnly: info.public_only,
      lastRecoveredSignedSeqno: info.last_recovered_signed_idx,
      ledgerSecrets: parseSecrets(info.ledger_secrets),
      serviceCertificatePem: info.identity.cert,
      serviceKeyPem: info.identity.priv_key,
      ...(info.service_status !== undefined && { serviceStatus: info.service_status }),
      endorsedCertificatePem: info.endorsed_certificate,
      coseSignatures: info.cose_signatures_config,
    },
  };
}

/** What is answered, as `replies.ts` writes it. **It holds the secrets of the service where the node is trusted.** */
export function joinResponseJson({ nodeStatus, nodeId, networkInfo: network }: JoinResponse): unknown {
  return {
    network_info: network === undefined ? undefined : {
      cose_signatures_config: network.coseSignatures,
      endorsed_certificate: network.endorsedCertificatePem,
      identity: { cert: network.serviceCertificatePem, priv_key: network.serviceKeyPem },
      last_recovered_signed_idx: network.lastRecoveredSignedSeqno,
      ledger_secrets: network.ledgerSecrets.map(({ first, secret, previousSecretStoredVersion }) => [
        first,
        { previous_secret_stored_version: previousSecretStoredVersion, raw_key: toBase64(secret) },
      ]),
      public_only: network.publicOnly,
      service_status: network.serviceStatus,
    },
    node_id: nodeId,
    node_status: nodeStatus,
  };
}

export function serialiseJoinResponse(response: JoinResponse): Uint8Array {
  return stableJsonBytes(joinResponseJson(response));
}

type SecretPair = readonly [Seqno, { readonly raw_key: string; readonly previous_secret_stored_version?: Seqno }];

function parseSecrets(pairs: readonly SecretPair[]): SecretOfLedger[] {
  if (pairs.length === 0 || pairs.length > MAX_JOIN_SECRETS) {
    throw refusedSecrets(`there are ${pairs.length}, and must be 1 to ${MAX_JOIN_SECRETS}`);
  }
  let before = 0;
  return pairs.map(([first, { raw_key, previous_secret_stored_version: stored }]) => {
    if (first <= before) throw refusedSecrets("they are not in ascending order of seqnos from 1");
    before = first;
    const secret = base64(raw_key, "/network_info/ledger_secrets");
    if (secret.length !== LEDGER_SECRET_BYTES) throw refusedSecrets(`one has not ${LEDGER_SECRET_BYTES} bytes`);
    return { first, secret, ...(stored !== undefined && { previousSecretStoredVersion: stored }) };
  });
}

function refusedSecrets(why: string): FormatError {
  return new FormatError(`Cannot use the ledger secrets in the answer to a join request: ${why}`);
}

/** What nlohmann::json makes of an entry of a map whose keys are not text. */
function pair<A, B>(first: Shape<A>, second: Shape<B>): Shape<readonly [A, B]> {
  return (value, at) => {
    if (!Array.isArray(value) || value.length !== 2) {
      throw new FormatError(`Cannot read JSON at "${at}": it must be a pair`);
    }
    return [first(value[0], `${at}/0`), second(value[1], `${at}/1`)];
  };
}
