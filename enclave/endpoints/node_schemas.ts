/**
 * Shapes of what `/node` answers, for its OpenAPI document (http-api.md §6).
 */

import { QUOTE_FORMATS } from "../../shared/attestation/quote_formats.ts";
import {
  BASE64,
  BOOLEAN,
  JSON_VALUE,
  listOf,
  mapOf,
  oneOf,
  PEM,
  plain,
  type Schema,
  STRING,
  struct,
  TRANSACTION_ID,
  UINT32,
  UINT64,
} from "../frontend/schema.ts";

const NODE_ID = plain("NodeId", { format: "hex", pattern: "^[a-f0-9]{64}$", type: "string" });

// ---- State of this node ----

const STARTUP_STATE = oneOf(
  "ccf__NodeStartupState",
  "Uninitialized",
  "Initialized",
  "Pending",
  "PartOfPublicNetwork",
  "PartOfNetwork",
  "ReadingPublicLedger",
  "ReadingPrivateLedger",
);

export const STATE = struct("GetState__Out", {
  node_id: NODE_ID,
  state: STARTUP_STATE,
  last_signed_seqno: UINT64,
  startup_seqno: UINT64,
  stop_notice: BOOLEAN,
}, { recovery_target_seqno: UINT64, last_recovered_seqno: UINT64 });

export const VERSION = struct("GetVersion__Out", { ccf_version: STRING, quickjs_version: STRING, unsafe: BOOLEAN });

export const SELF_SIGNED_CERTIFICATE = struct("SelfSignedNodeCertificateInfo", { self_signed_certificate: PEM });

/** Our own: `ledger.ts`. */
export const LEDGER_WRITES = struct("LedgerWrites__Out", {
  first_seqno: UINT64,
  indexed_seqno: UINT64,
  seqnos: listOf(UINT64),
}, { next_before: UINT64 });

export const MEMORY = struct("MemoryUsage__Out", {
  max_total_heap_size: UINT64,
  current_allocated_heap_size: UINT64,
  peak_allocated_heap_size: UINT64,
});

export const METRICS = struct("NodeMetrics", {
  sessions: struct("SessionMetrics", {
    active: UINT64,
    peak: UINT64,
    interfaces: mapOf(
      "string",
      struct("SessionMetrics__PerInterface", {
        active: UINT64,
        peak: UINT64,
        soft_cap: UINT64,
        hard_cap: UINT64,
        errors: struct("SessionMetrics__Errors", {
          parsing: UINT64,
          request_payload_too_large: UINT64,
          request_header_too_large: UINT64,
        }),
      }),
    ),
  }),
});

export const JS_METRICS = struct("JavaScriptMetrics", {
  bytecode_size: UINT64,
  bytecode_used: BOOLEAN,
  max_heap_size: UINT64,
  max_stack_size: UINT64,
  max_execution_time: UINT64,
  max_cached_interpreters: UINT64,
});

export const JWT_REFRESH_METRICS = struct("JWTRefreshMetrics", {
  attempts: UINT64,
  successes: UINT64,
  failures: UINT64,
});

// ---- The service and its nodes ----

export const NETWORK = struct("GetNetworkInfo__Out", {
  service_status: oneOf("ServiceStatus", "Opening", "Open", "WaitingForRecoveryShares", "Recovering"),
  service_certificate: PEM,
  current_view: UINT64,
  primary_id: NODE_ID,
  recovery_count: UINT64,
  service_data: JSON_VALUE,
  current_service_create_txid: TRANSACTION_ID,
});

const RECONFIGURATION_TYPE = oneOf("ReconfigurationType", "OneTransaction", "TwoTransaction");

export const SERVICE_CONFIGURATION = struct("ServiceConfiguration", { recovery_threshold: UINT64 }, {
  consensus: oneOf("ConsensusType", "CFT", "BFT"),
  maximum_node_certificate_validity_days: UINT64,
  maximum_service_certificate_validity_days: UINT64,
  recent_cose_proposals_window_size: UINT64,
  reconfiguration_type: RECONFIGURATION_TYPE,
});

export const PREVIOUS_IDENTITY = struct("GetServicePreviousIdentity__Out", { previous_service_identity: PEM });

// A size, although CCF calls it a time.
const SIZE = plain("TimeString", { pattern: "^[0-9]+(B|KB|MB|GB|TB|PB)?$", type: "string" });

const RESOLVER = struct("RedirectionResolverConfig", {
  kind: oneOf("RedirectionResolutionKind", "NodeByRole", "StaticAddress"),
}, { target: JSON_VALUE });

const RPC_INTERFACE = struct("NodeInfoNetwork_v2__NetInterface", { bind_address: STRING }, {
  accepted_endpoints: listOf(STRING),
  app_protocol: STRING,
  enabled_operator_features: listOf(oneOf("OperatorFeature", "SnapshotRead"), "set"),
  endorsement: struct("Endorsement", { authority: oneOf("Authority", "Node", "Service", "ACME", "Unsecured") }),
  forwarding_timeout_ms: UINT64,
  http_configuration: struct("ParserConfiguration", {}, {
    initial_window_size: SIZE,
    max_body_size: SIZE,
    max_concurrent_streams_count: UINT64,
    max_frame_size: SIZE,
    max_header_size: SIZE,
    max_headers_count: UINT32,
  }),
  max_open_sessions_hard: UINT64,
  max_open_sessions_soft: UINT64,
  protocol: STRING,
  published_address: STRING,
  redirections: struct("NodeInfoNetwork_v2__NetInterface__Redirections", {}, {
    to_backup: RESOLVER,
    to_primary: RESOLVER,
  }),
});

export const NODE = struct("GetNode__NodeInfo", {
  node_id: NODE_ID,
  status: oneOf("NodeStatus", "Pending", "Trusted", "Retired"),
  primary: BOOLEAN,
  rpc_interfaces: mapOf("string", RPC_INTERFACE),
  node_data: JSON_VALUE,
  last_written: UINT64,
});

export const NODES = struct("GetNodes__Out", { nodes: listOf(NODE) });

const ATTESTATION_FIELDS = {
  node_id: NODE_ID,
  raw: BASE64,
  endorsements: BASE64,
  format: oneOf("QuoteFormat", ...QUOTE_FORMATS),
};
const OPTIONAL_ATTESTATION_FIELDS = { measurement: STRING, uvm_endorsements: BASE64 };

// Two names for one thing, as in the paths.
export const QUOTE = struct("Quote", ATTESTATION_FIELDS, OPTIONAL_ATTESTATION_FIELDS);
export const QUOTES = struct("GetQuotes__Out", { quotes: listOf(QUOTE) });
export const ATTESTATION = struct("Attestation", ATTESTATION_FIELDS, OPTIONAL_ATTESTATION_FIELDS);
export const ATTESTATIONS = struct("GetAttestations__Out", { attestations: listOf(ATTESTATION) });

// ---- Consensus ----

export const CONFIG: Schema = mapOf("string", struct("ConsensusNodeConfig", { address: STRING }));

export const CONSENSUS = struct("ConsensusConfigDetails", {
  details: struct("ConsensusDetails", {
    configs: listOf(
      struct("Configuration", {
        idx: UINT64,
        nodes: mapOf("NodeId", struct("Configuration__NodeInfo", { address: STRING })),
        rid: UINT64,
      }),
    ),
    acks: mapOf("NodeId", struct("ConsensusDetails__Ack", { seqno: UINT64, last_received_ms: UINT64 })),
    membership_state: oneOf("MembershipState", "Active", "Retired"),
    primary_id: NODE_ID,
    current_view: UINT64,
    ticking: BOOLEAN,
  }, {
    leadership_state: oneOf("LeadershipState", "None", "Leader", "Follower", "PreVoteCandidate", "Candidate"),
    learners: mapOf("NodeId", UINT64),
    reconfiguration_type: RECONFIGURATION_TYPE,
    retirement_phase: oneOf("RetirementPhase", "Ordered", "Signed", "Completed", "RetiredCommitted"),
  }),
});
