/**
 * What the service knows of a node: the value of `public:ccf.gov.nodes.info`.
 *
 * Addresses, keys, quote and status, as the node sent them when it joined and as members decided since.
 * Format: ledger-and-receipts.md §10.5, `include/ccf/service/node_info.h`
 */

import { QUOTE_FORMATS } from "../attestation/quote_formats.ts";
import { anything, base64, boolean, listOf, object, type Of, oneOf, recordOf, text, unsigned } from "../json_shape.ts";

/** A listener for node-to-node messages or for clients, as configured. Sizes and times of day are text. */
export const netInterface = object({ bind_address: text }, {
  published_address: text,
  protocol: text,
  app_protocol: text,
  max_open_sessions_soft: unsigned,
  max_open_sessions_hard: unsigned,
  http_configuration: object({}, { max_body_size: text, max_header_size: text, max_headers_count: unsigned }),
  /** Who vouches for the certificate shown: Node, Service, Unsecured; ACME in ledgers of before 7.0. */
  endorsement: object({ authority: text }),
  /** Regular expressions over whole paths. */
  accepted_endpoints: listOf(text),
  forwarding_timeout_ms: unsigned,
  enabled_operator_features: listOf(text),
  redirections: anything,
});
export type NetInterface = Of<typeof netInterface>;

export const quoteInfo = object({
  format: oneOf(...QUOTE_FORMATS),
  /** Base64, as are the endorsements. */
  quote: base64,
  endorsements: base64,
}, {
  uvm_endorsements: base64,
  /** Hex of the TCB version that the endorsements are for. */
  endorsed_tcb: text,
});
export type QuoteInfo = Of<typeof quoteInfo>;

export const nodeInfo = object({
  quote_info: quoteInfo,
  /** PEM of an RSA key, to which ledger secrets are encrypted. */
  encryption_pub_key: text,
  status: oneOf("Pending", "Trusted", "Retired"),
}, {
  node_to_node_interface: netInterface,
  rpc_interfaces: recordOf(netInterface),
  /** PEM; absent in 1.x, as is the public key. */
  certificate_signing_request: text,
  public_key: text,
  /** Hex of the measurement; of its text on the virtual platform. */
  code_digest: text,
  node_data: anything,
  /** First seqno of the ledger secret that was current when a joiner was trusted. */
  ledger_secret_seqno: unsigned,
  /** Set once the retirement is committed, and the node may be deleted. */
  retired_committed: boolean,
  will_locally_seal_ledger_secrets: boolean,
  // Addresses as versions before 2.0 wrote them; written to this day.
  nodehost: text,
  nodeport: text,
  pubhost: text,
  pubport: text,
  rpchost: text,
  rpcport: text,
  /** PEM; 1.x kept the node's certificate here. */
  cert: text,
});
export type NodeInfo = Of<typeof nodeInfo>;
