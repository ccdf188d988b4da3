/**
 * `POST /node/join`: a node asks to take part in the service.
 *
 * In: the key that the client's TLS certificate proves, its evidence, what the ledger knows of it. Out: a row for it,
 * Pending until members trust it; or, for a trusted one, **the service's key and the ledger secrets**, which nothing but
 * this TLS session protects. Any trusted node may hand them out; only the primary adds nodes.
 * Rules: nodes-and-attestation.md §3.5 in its order, http-api.md §6.2; statuses, codes and texts are CCF's
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { JOIN_REFUSALS } from "../../shared/attestation/join_policy.ts";
import { equalBytes, toHex } from "../../shared/bytes.ts";
import {
  type CertificateRequest,
  isRequestSigned,
  parseCertificateRequestPem,
  serialiseCertificateRequestPem,
} from "../../shared/crypto/csr.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { parsePemBlock, serialisePem } from "../../shared/crypto/pem.ts";
import { parsePublicKey, serialisePublicKeyPem } from "../../shared/crypto/public_key.ts";
import { parseRsaPublicKey } from "../../shared/crypto/rsa.ts";
import type { Certificate } from "../../shared/crypto/x509.ts";
import {
  type NodeInfo,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  SERVICE_INFO,
  type ServiceInfo,
} from "../../shared/governance/tables.ts";
import { stableJsonBytes } from "../../shared/json.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import {
  MAX_EVIDENCE_CHECKS_PER_SECOND,
  MAX_JOIN_REQUEST_BYTES,
  MAX_NODE_DATA_BYTES,
  MAX_NODES_BEFORE_OPENING,
  MAX_PENDING_NODES,
} from "../../shared/limits.ts";
import { redirectAddress } from "../forwarding/redirections.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { json } from "../frontend/replies.ts";
import { endorseNode, privateKeyPem } from "../identity.ts";
import { judgeEvidence } from "../join_policy.ts";
import {
  addressRows,
  type JoinRequest,
  type JoinResponse,
  joinResponseJson,
  type NetworkInfo,
  parseJoinRequest,
} from "../join_request.ts";
import { secretsForJoiner } from "../network_secrets.ts";
import type { Node, NodeStartupState } from "../node.ts";

export const joinEndpoint: Endpoint = endpoint("POST", "/join", "read-write", (context) => {
  return json(joinResponseJson(join(context)));
}, { forwarding: "never", hidden: true });

/** In which a node can speak for its service. */
const TAKES_PART: readonly NodeStartupState[] = ["PartOfNetwork", "PartOfPublicNetwork", "ReadingPrivateLedger"];

function join(context: EndpointContext): JoinResponse {
  const { node, tx } = context;
  const request = readRequest(context);
  if (!TAKES_PART.includes(node.state)) {
    throw new OdataError(500, "InternalError", "Target node should be part of network to accept new nodes.");
  }
  requireRecentStart(node, request);
  const service = tx.open(SERVICE_INFO).get();
  if (service === undefined) {
    throw new OdataError(500, "InternalError", "No service is available to accept new node.");
  }
  const joiner = joinerOf(context);
  const known = knownNode(tx, joiner);
  const trustsAtOnce = service.status === "Opening" || service.status === "Recovering";
  if (known?.info.status === "Trusted") {
    const endorsedPem = tx.open(NODES_ENDORSED_CERTIFICATES).get(known.id);
    const networkInfo = networkInfoFor(node, service, known.info, endorsedPem);
    // Quirk: CCF names the node here only once the service is open.
    return { nodeStatus: "Trusted", networkInfo, ...(!trustsAtOnce && { nodeId: known.id }) };
  }
  if (known?.info.status === "Pending" && !trustsAtOnce) return { nodeStatus: "Pending", nodeId: known.id };
  // CCF takes a retired node back while the service is not open; consensus relies on what is retired to stay so.
  if (known?.info.status === "Retired") {
    const message = `Joining node is not in expected state (${known.info.status}).`;
    throw new OdataError(400, "InvalidNodeState", message);
  }
  if (!node.canReplicate) throw redirectToPrimary(context);
  return addNode(node, tx, service, joiner, request, trustsAtOnce ? "Trusted" : "Pending");
}

/** Anybody may send one, and what is Pending stays in the ledger: it must not be large. */
function readRequest({ request }: EndpointContext): JoinRequest {
  if (request.body.length > MAX_JOIN_REQUEST_BYTES) {
    const message =
      `A request to join has at most ${MAX_JOIN_REQUEST_BYTES} bytes, and this one ${request.body.length}`;
    throw new OdataError(400, "InvalidInput", message);
  }
  const parsed = orRefuse("InvalidInput", () => parseJoinRequest(request.body));
  const { length } = stableJsonBytes(parsed.nodeData ?? null);
  if (length > MAX_NODE_DATA_BYTES) {
    const message = `"/node_data" has at most ${MAX_NODE_DATA_BYTES} bytes of JSON, and this one ${length}`;
    throw new OdataError(400, "InvalidInput", message);
  }
  return parsed;
}

/** Secrets of before this node's own snapshot may be missing here. */
function requireRecentStart(node: Node, { startupSeqno }: JoinRequest): void {
  const own = node.startupSeqno;
  if (startupSeqno === undefined || startupSeqno >= own) return;
  throw new OdataError(
    400,
    "StartupSeqnoIsOld",
    `Node requested to join from seqno ${startupSeqno} which is older than this node startup seqno ${own}. ` +
      `A snapshot at least as recent as ${own} must be used instead.`,
  );
}

/** Who asks, by the certificate of its TLS session. */
interface Joiner {
  readonly certificate: Certificate;
  readonly publicKeyPem: string;
}

function joinerOf({ certificate }: EndpointContext): Joiner {
  if (certificate === null) {
    throw new OdataError(
      500,
      "InternalError",
      "A node can only join over a connection with its client certificate, whose key is the node's identity",
    );
  }
  return orRefuse("InvalidInput", () => {
    const key = parsePublicKey(certificate.certificate.spki);
    if (key.kind !== "EC") throw new FormatError("The key of a node's certificate must be on an elliptic curve");
    return { certificate: certificate.certificate, publicKeyPem: serialisePublicKeyPem(key) };
  });
}

/** A node is the same as long as its key is, by which its row is found. */
function knownNode(
  tx: Transaction,
  { certificate, publicKeyPem }: Joiner,
): { readonly id: string; readonly info: NodeInfo } | undefined {
  const id = nodeIdOf(certificate.spki);
  const info = tx.open(NODES_INFO).get(id);
  if (info === undefined) return undefined;
  if (info.public_key === publicKeyPem) return { id, info };
  // Only a constitution can have written such a row; it must not be overwritten, Trusted or Retired as it may be.
  throw new OdataError(500, "InternalError", `The record of node ${id} has another public key than its ID is of`);
}

function redirectToPrimary({ node, tx, interfaceName }: EndpointContext): OdataError {
  if (node.primaryId === undefined) return new OdataError(500, "InternalError", "Primary unknown");
  const location = `https://${redirectAddress(tx, node.primaryId, interfaceName)}/node/join`;
  const message = "Node is not primary; cannot handle write";
  return new OdataError(308, "NodeCannotHandleRequest", message, [], [["location", location]]);
}

function addNode(
  node: Node,
  tx: Transaction,
  service: ServiceInfo,
  { certificate, publicKeyPem }: Joiner,
  request: JoinRequest,
  status: "Pending" | "Trusted",
): JoinResponse {
  requirePlace(tx, request, status);
  requireTime(node, request);
  const id = nodeIdOf(certificate.spki);
  const { primitives, nowMs, evidenceAnchors } = node;
  const judgement = judgeEvidence(tx, request.quoteInfo, certificate.spki, {
    primitives,
    atMs: nowMs,
    anchors: evidenceAnchors,
  });
  if (judgement.verdict === "rejected") {
    const { step, code, reason } = judgement;
    const why = `${reason} (${step}: ${code})`;
    if (node.refusedJoiners.isDue(id, why, node.steadyMs)) node.log("fail", "join", `Node ${id} is not let in: ${why}`);
    const { status, message } = JOIN_REFUSALS[step];
    throw new OdataError(status, "InvalidQuote", message);
  }
  const certificateRequest = readCertificateRequest(node, request, certificate);
  const latest = node.path.secrets.latest();
  assert(latest !== undefined, "A node that writes has a ledger secret");
  const info: NodeInfo = {
    ...addressRows(request),
    certificate_signing_request: serialiseCertificateRequestPem(certificateRequest.der),
    code_digest: toHex(judgement.measurement),
    encryption_pub_key: readEncryptionKey(request),
    public_key: publicKeyPem,
    quote_info: request.quoteInfo,
    status,
    ...(status === "Trusted" && { ledger_secret_seqno: latest.first }),
    ...(request.nodeData !== undefined && { node_data: request.nodeData }),
  };
  tx.open(NODES_INFO).put(id, info);
  node.log("info", "join", `Node ${id} is added as ${status}`);
  if (status === "Pending") return { nodeStatus: status, nodeId: id };

  const { notBeforeMs, notAfterMs } = certificate;
  const endorsedPem = endorseNode(certificateRequest, node.service, { notBeforeMs, notAfterMs }, node.random);
  tx.open(NODES_ENDORSED_CERTIFICATES).put(id, endorsedPem);
  return { nodeStatus: status, nodeId: id, networkInfo: networkInfoFor(node, service, info, endorsedPem) };
}

/**
 * Nodes find each other by address. And whoever has evidence may ask: members must not be made to look through heaps, and
 * before a service is open nobody is asked at all.
 */
function requirePlace(tx: Transaction, { nodeToNodeInterface }: JoinRequest, as: "Pending" | "Trusted"): void {
  const address = nodeToNodeInterface.published_address;
  let [pending, trusted] = [0, 0];
  for (const [id, { status, node_to_node_interface }] of tx.open(NODES_INFO).entries()) {
    if (status === "Pending") pending++;
    if (status === "Trusted") trusted++;
    if (status === "Retired" || node_to_node_interface?.published_address !== address) continue;
    throw new OdataError(
      400,
      "NodeAlreadyExists",
      `A node with the same published node address ${address} already exists (node id: n[${id}]).`,
    );
  }
  if (as === "Pending" && pending >= MAX_PENDING_NODES) {
    const message = `${pending} nodes wait for the members' decision; some must be trusted or removed first`;
    throw new OdataError(503, "TooManyRequests", message);
  }
  if (as === "Trusted" && trusted >= MAX_NODES_BEFORE_OPENING) {
    const message = `The service has ${trusted} nodes, and takes no more before its members have opened it`;
    throw new OdataError(503, "TooManyRequests", message);
  }
}

/** Whoever has a node's evidence, which is public, can show it with other keys as often as he likes. */
function requireTime({ evidenceChecks, steadyMs }: Node, { quoteInfo }: JoinRequest): void {
  if (quoteInfo.format === "Insecure_Virtual") return;
  if (!evidenceChecks.has(steadyMs)) {
    const message = `This node checks the evidence of ${MAX_EVIDENCE_CHECKS_PER_SECOND} joining nodes in a second`;
    throw new OdataError(503, "TooManyRequests", message);
  }
  evidenceChecks.take();
}

/** Checked here, since a proposal to trust the node would fail by it: for which key it is, and who signed it. */
function readCertificateRequest(
  node: Node,
  { certificateSigningRequestPem }: JoinRequest,
  { spki }: Certificate,
): CertificateRequest {
  return orRefuse("CSRPublicKeyInvalid", () => {
    const request = parseCertificateRequestPem(certificateSigningRequestPem);
    if (!equalBytes(request.spki, spki)) {
      throw new FormatError("Public key in CSR does not match TLS client identity.");
    }
    if (!isRequestSigned(node.primitives, request)) {
      throw new FormatError("The certificate request is not signed with the key that it is for");
    }
    return request;
  });
}

/** Checked here, since no ledger secret could be changed any more while there is a node that cannot be told it. */
function readEncryptionKey({ encryptionPublicKeyPem }: JoinRequest): string {
  return orRefuse("InvalidInput", () => {
    const spki = parsePemBlock(encryptionPublicKeyPem, "PUBLIC KEY");
    parseRsaPublicKey(spki);
    return serialisePem("PUBLIC KEY", spki);
  });
}

function networkInfoFor(
  node: Node,
  service: ServiceInfo,
  { ledger_secret_seqno }: NodeInfo,
  endorsedCertificatePem: string | undefined,
): NetworkInfo {
  if (endorsedCertificatePem === undefined) {
    throw new OdataError(500, "InternalError", "The service has no certificate for this node, which it needs to join");
  }
  return {
    publicOnly: node.state === "PartOfPublicNetwork",
    // Of a recovery; a service that goes on where it began has recovered nothing.
    lastRecoveredSignedSeqno: 0,
    ledgerSecrets: secretsForJoiner(node.path.secrets, ledger_secret_seqno),
    serviceCertificatePem: node.service.certificatePem,
    serviceKeyPem: privateKeyPem(node.service.key),
    serviceStatus: service.status,
    endorsedCertificatePem,
    coseSignatures: node.coseSignatures,
  };
}

/** What is wrong with bytes of the client is told to it, with status 400. */
function orRefuse<T>(code: "CSRPublicKeyInvalid" | "InvalidInput", read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(400, code, error.message);
  }
}
