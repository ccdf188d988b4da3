/**
 * Every table of the service itself, typed: what an auditor reads in the ledger.
 *
 * In: nothing. Out: one constant for each table, with the types of its values. Knows nothing of who may write what, nor
 * of what a change brings about.
 * Values in JSON are checked as far as it takes to use them; members that are not named here are kept. What is bytes in
 * JSON stays base64 text, what is a digest hex text. IDs of members, users and nodes are 64 hex digits.
 * Formats: ledger-and-receipts.md §10.2 to §10.5, governance.md §1
 */

import {
  anything,
  base64,
  boolean,
  either,
  listOf,
  number,
  object,
  type Of,
  oneOf,
  orNull,
  recordOf,
  text,
  unsigned,
} from "../json_shape.ts";
import { json, jsonBase64, jsonHex, jsonText, mapOf, raw, rawText, setOf, singleton } from "../kv/codecs.ts";
import type { Codec } from "../kv/table.ts";
import {
  type IdentityEndorsement,
  parseIdentityEndorsement,
  serialiseIdentityEndorsement,
} from "../ledger/endorsement.ts";
import { nodeInfo } from "./node_info.ts";

const GOV = "public:ccf.gov.";
const INTERNAL = "public:ccf.internal.";

// ---- Members and users ----

const memberInfo = object({ status: oneOf("Accepted", "Active") }, {
  member_data: anything,
  /** Absent: Participant where the member has an encryption key, else NonParticipant. */
  recovery_role: oneOf("NonParticipant", "Participant", "Owner"),
});
export type MemberInfo = Of<typeof memberInfo>;

/** A request signed in HTTP headers, as members sent them before 4.0. */
const signedRequest = object({ sig: base64, req: base64, request_body: base64, md: text }, { key_id: text });
export type SignedRequest = Of<typeof signedRequest>;

const memberAck = object({
  /** Hex of a signed root, the one to acknowledge; empty where there was no signature yet. */
  state_digest: text,
}, {
  cose_sign1_req: base64,
  signed_req: signedRequest,
});
export type MemberAck = Of<typeof memberAck>;

/** Member ID → certificate, PEM. */
export const MEMBERS_CERTS = mapOf(`${GOV}members.certs`, rawText);
/** Member ID → RSA public key, PEM, to which recovery shares are encrypted. */
export const MEMBERS_ENCRYPTION_PUBLIC_KEYS = mapOf(`${GOV}members.encryption_public_keys`, rawText);
export const MEMBERS_INFO = mapOf(`${GOV}members.info`, json(memberInfo));
export const MEMBERS_ACKS = mapOf(`${GOV}members.acks`, json(memberAck));

const userInfo = object({}, { user_data: anything });
export type UserInfo = Of<typeof userInfo>;

/** User ID → certificate, PEM. */
export const USERS_CERTS = mapOf(`${GOV}users.certs`, rawText);
export const USERS_INFO = mapOf(`${GOV}users.info`, json(userInfo));

// ---- Nodes, and which code may join ----

export type { NetInterface, NodeInfo, QuoteInfo } from "./node_info.ts";

/** Node ID → what is known of it. */
export const NODES_INFO = mapOf(`${GOV}nodes.info`, json(nodeInfo));
/** Node ID → certificate issued by the service, PEM. */
export const NODES_ENDORSED_CERTIFICATES = mapOf(`${GOV}nodes.endorsed_certificates`, rawText);

/** "AllowedToJoin"; releases before 2.0 had more. */
const codeStatus = jsonText;

/** SGX measurement, hex. */
export const NODES_CODE_IDS = mapOf(`${GOV}nodes.code_ids`, codeStatus);
/** Measurement as text. */
export const VIRTUAL_MEASUREMENTS = mapOf(`${GOV}nodes.virtual.measurements`, codeStatus);
/** SHA-256 of the node's program, hex. */
export const VIRTUAL_HOST_DATA = setOf(`${GOV}nodes.virtual.host_data`);
/** Measurement, hex. */
export const SNP_MEASUREMENTS = mapOf(`${GOV}nodes.snp.measurements`, codeStatus);
/** SHA-256 of a security policy, hex → the policy, or nothing. */
export const SNP_HOST_DATA = mapOf(`${GOV}nodes.snp.host_data`, jsonText);
/** DID of the issuer → feed → lowest security version. */
export const SNP_UVM_ENDORSEMENTS = mapOf(
  `${GOV}nodes.snp.uvm_endorsements`,
  json(recordOf(object({ svn: text }))),
);

const tcbVersionPolicy = object({}, {
  hexstring: text,
  boot_loader: number,
  tee: number,
  snp: number,
  microcode: number,
  fmc: number,
});
export type TcbVersionPolicy = Of<typeof tcbVersionPolicy>;

/** CPUID, hex → lowest TCB version. */
export const SNP_TCB_VERSIONS = mapOf(`${GOV}nodes.snp.tcb_versions`, json(tcbVersionPolicy));

// Ours: CCF has no such platforms. Evidence of Intel's DCAP, attestation/formats.md §3.

/** MRENCLAVE, hex. */
export const SGX_MEASUREMENTS = mapOf(`${GOV}nodes.sgx.measurements`, codeStatus);
/** MRTD, RTMR0, RTMR1, RTMR2 and RTMR3, hex, one after the other: 480 digits. */
export const TDX_MEASUREMENTS = mapOf(`${GOV}nodes.tdx.measurements`, codeStatus);
/** MRCONFIGID, hex → the security policy that it is the digest of, or nothing. */
export const TDX_HOST_DATA = mapOf(`${GOV}nodes.tdx.host_data`, jsonText);
/** Intel's word for the state of a platform, of SGX or TDX: "UpToDate", "SWHardeningNeeded", … */
export const DCAP_TCB_STATUSES = mapOf(`${GOV}nodes.dcap.tcb_statuses`, codeStatus);

// ---- The service ----

const serviceInfo = object({
  /** PEM. */
  cert: text,
  status: oneOf("Opening", "Open", "WaitingForRecoveryShares", "Recovering"),
}, {
  /** "2.1": the transaction that created the service under this identity. Absent in old ledgers. */
  current_service_create_txid: text,
  recovery_count: unsigned,
  /** Seqno of the transaction that created the previous service; before 7.0 that of the previous write of this table. */
  previous_service_identity_version: unsigned,
  service_data: anything,
});
export type ServiceInfo = Of<typeof serviceInfo>;

const serviceConfig = object({ recovery_threshold: unsigned }, {
  /** "BFT" in experimental 1.x services. */
  consensus: text,
  reconfiguration_type: text,
  maximum_node_certificate_validity_days: unsigned,
  maximum_service_certificate_validity_days: unsigned,
  recent_cose_proposals_window_size: unsigned,
});
export type ServiceConfig = Of<typeof serviceConfig>;

export const SERVICE_INFO = singleton(`${GOV}service.info`, json(serviceInfo));
export const SERVICE_CONFIG = singleton(`${GOV}service.config`, json(serviceConfig));
/** Certificate of the service that this one recovered, PEM. */
export const SERVICE_PREVIOUS_IDENTITY = singleton(`${GOV}service.previous_service_identity`, jsonText);

// ---- Governance ----

const failure = object({ reason: text }, { trace: text });

const proposalInfo = object({
  /** Member ID. */
  proposer_id: text,
  /** Failed is never stored. */
  state: oneOf("Open", "Accepted", "Withdrawn", "Rejected", "Failed", "Dropped"),
  /** Member ID → script. */
  ballots: recordOf(text),
}, {
  final_votes: recordOf(boolean),
  vote_failures: recordOf(failure),
  failure,
});
export type ProposalInfo = Of<typeof proposalInfo>;
export type ProposalState = ProposalInfo["state"];

/** JavaScript source. */
export const CONSTITUTION = singleton(`${GOV}constitution`, jsonText);
/** Proposal ID, hex → the proposal as it was submitted. */
export const PROPOSALS = mapOf(`${GOV}proposals`, raw);
export const PROPOSALS_INFO = mapOf(`${GOV}proposals_info`, json(proposalInfo));
/** Member ID → last request signed in HTTP headers. Removed with the member, and never written any more. */
export const HISTORY = mapOf(`${GOV}history`, json(signedRequest));
/** Member ID → last governance request, COSE_Sign1. */
export const COSE_HISTORY = mapOf(`${GOV}cose_history`, jsonBase64);
/** Ten digits of creation time, ":", hex SHA-256 of the COSE signature → proposal ID. */
export const COSE_RECENT_PROPOSALS = mapOf(`${GOV}cose_recent_proposals`, jsonText);

// ---- The JavaScript app (js-apps.md §1, §6, §7) ----

const endpointProperties = object({
  js_module: text,
  js_function: text,
  forwarding_required: oneOf("sometimes", "always", "never"),
}, {
  mode: oneOf("readwrite", "readonly", "historical"),
  authn_policies: listOf(either(text, object({ all_of: listOf(text) }))),
  /** The operation as it stands in the OpenAPI document. */
  openapi: anything,
  openapi_hidden: boolean,
  interpreter_reuse: object({ key: text }),
  redirection_strategy: oneOf("none", "to_primary", "to_backup"),
});
export type EndpointProperties = Of<typeof endpointProperties>;

const jsRuntimeOptions = object({}, {
  max_heap_bytes: number,
  max_stack_bytes: number,
  max_execution_time_ms: number,
  log_exception_details: boolean,
  return_exception_details: boolean,
  max_cached_interpreters: number,
});
export type JsRuntimeOptions = Of<typeof jsRuntimeOptions>;

/** Path, e.g. "/logging.js" → source. */
export const MODULES = mapOf(`${GOV}modules`, rawText);
export const MODULES_QUICKJS_BYTECODE = mapOf(`${GOV}modules_quickjs_bytecode`, raw);
/** Version of the engine that made the bytecode, e.g. "2024-01-13". */
export const MODULES_QUICKJS_VERSION = singleton(`${GOV}modules_quickjs_version`, rawText);
export const JS_RUNTIME_OPTIONS = singleton(`${GOV}js_runtime_options`, json(jsRuntimeOptions));
/** Written so that its version changes, and interpreters that were kept are dropped. */
export const INTERPRETER_FLUSH = singleton(`${GOV}interpreter.flush`, json(boolean));
/** Verb, space, path → properties. */
export const ENDPOINTS = mapOf(`${GOV}endpoints`, json(endpointProperties));

// ---- Trust in others ----

const jwtIssuer = object({}, {
  issuer: text,
  auto_refresh: boolean,
  ca_cert_bundle_name: text,
  /** Before 3.0. */
  key_filter: text,
});
export type JwtIssuer = Of<typeof jwtIssuer>;

/** The constraint, if any, is matched with the issuer of a token. */
const jwtKey = object({ public_key: base64, issuer: text }, { constraint: text });
export type JwtKey = Of<typeof jwtKey>;

/** Name → certificates, PEM. */
export const CA_CERT_BUNDLES = mapOf(`${GOV}tls.ca_cert_bundles`, jsonText);
/** URL → settings. */
export const JWT_ISSUERS = mapOf(`${GOV}jwt.issuers`, json(jwtIssuer));
/** Key ID → keys, SPKI DER. */
export const JWT_PUBLIC_SIGNING_KEYS_METADATA_V2 = mapOf(
  `${GOV}jwt.public_signing_keys_metadata_v2`,
  json(listOf(jwtKey)),
);
/** Key ID → certificates, DER: 5.x. */
export const JWT_PUBLIC_SIGNING_KEYS_METADATA = mapOf(
  `${GOV}jwt.public_signing_keys_metadata`,
  json(listOf(object({ cert: base64, issuer: text }, { constraint: text }))),
);
/** Key ID → certificate, DER, and its issuer: up to 4.x. */
export const JWT_PUBLIC_SIGNING_KEYS = mapOf(`${GOV}jwt.public_signing_keys`, raw);
export const JWT_PUBLIC_SIGNING_KEY_ISSUER = mapOf(`${GOV}jwt.public_signing_key_issuer`, rawText);

// ---- Recovery without members (nodes-and-attestation.md, "self-healing open"); keys are intrinsic IDs ----

export const SELF_HEALING_OPEN_NODES = mapOf(`${GOV}self_healing_open.nodes`, json(anything));
/** Last recovered signed seqno of each. */
export const SELF_HEALING_OPEN_GOSSIP = mapOf(`${GOV}self_healing_open.gossip`, json(unsigned));
export const SELF_HEALING_OPEN_VOTES = setOf(`${GOV}self_healing_open.votes`);
export const SELF_HEALING_OPEN_CHOSEN_NODE = singleton(`${GOV}self_healing_open.chosen_node`, jsonText);
export const SELF_HEALING_OPEN_SM_STATE = singleton(`${GOV}self_healing_open.sm_state`, jsonText);
export const SELF_HEALING_OPEN_TIMEOUT_SM_STATE = singleton(`${GOV}self_healing_open.timeout_sm_state`, jsonText);
export const SELF_HEALING_OPEN_OPEN_KIND = singleton(`${GOV}self_healing_open.open_kind`, jsonText);

// ---- Internal tables ----

const signature = object({ node: text, seqno: unsigned, view: unsigned, root: text, sig: base64 }, {
  /** PEM; absent in 1.x. */
  cert: text,
  // Of no use any more: 64 zeros, and two zeros.
  hashed_nonce: text,
  commit_seqno: unsigned,
  commit_view: unsigned,
});
export type Signature = Of<typeof signature>;

/** By the node over the Merkle root; `ledger/signature.ts` makes and verifies them. */
export const SIGNATURES = singleton(`${INTERNAL}signatures`, json(signature));
/** By the service: COSE_Sign1. */
export const COSE_SIGNATURES = singleton(`${INTERNAL}cose_signatures`, jsonBase64);
/** The Merkle tree that was signed, serialised. */
export const TREE = singleton(`${INTERNAL}tree`, raw);
/** The last snapshot made: its digest, hex, and seqno. */
export const SNAPSHOT_EVIDENCE = singleton(
  `${INTERNAL}snapshot_evidence`,
  json(object({ hash: text, version: unsigned })),
);

const recoveryShares = object({
  /** Member ID → base64. */
  encrypted_shares: recordOf(base64),
  wrapped_latest_ledger_secret: base64,
}, {
  previous_secret_stored_version: unsigned,
});
export type RecoverySharesJson = Of<typeof recoveryShares>;

const historicalEncryptedLedgerSecret = object({}, {
  next_version: unsigned,
  previous_ledger_secret: object({ encrypted_data: base64, version: unsigned }, {
    previous_secret_stored_version: unsigned,
  }),
});
export type HistoricalEncryptedLedgerSecret = Of<typeof historicalEncryptedLedgerSecret>;

/** Node ID → secrets, each encrypted to the node's key. A null version means the seqno after the transaction. */
const encryptedLedgerSecrets = recordOf(
  listOf(object({ encrypted_secret: base64, version: orNull(unsigned) }, { previous_secret_stored_version: unsigned })),
);
export type EncryptedLedgerSecrets = Of<typeof encryptedLedgerSecrets>;

export const RECOVERY_SHARES = singleton(`${INTERNAL}recovery_shares`, json(recoveryShares));
export const HISTORICAL_ENCRYPTED_LEDGER_SECRET = singleton(
  `${INTERNAL}historical_encrypted_ledger_secret`,
  json(historicalEncryptedLedgerSecret),
);
export const ENCRYPTED_LEDGER_SECRETS = singleton(`${INTERNAL}encrypted_ledger_secrets`, json(encryptedLedgerSecrets));
/** Member ID → share, in a box under the current ledger secret. */
export const ENCRYPTED_SUBMITTED_SHARES = mapOf(`${INTERNAL}encrypted_submitted_shares`, jsonBase64);
export const LAST_RECOVERY_TYPE = singleton(
  `${INTERNAL}last_recovery_type`,
  json(oneOf("None", "RECOVERY_SHARES", "LOCAL_UNSEALING")),
);

const identityEndorsement: Codec<IdentityEndorsement> = {
  encode: serialiseIdentityEndorsement,
  decode: parseIdentityEndorsement,
};

export const PREVIOUS_SERVICE_IDENTITY_ENDORSEMENT = singleton(
  `${INTERNAL}previous_service_identity_endorsement`,
  identityEndorsement,
);
/** 32 bytes. */
export const PREVIOUS_SERVICE_LAST_SIGNED_ROOT = singleton(`${INTERNAL}previous_service_last_signed_root`, jsonHex);
