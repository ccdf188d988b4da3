/**
 * The shape of a node's configuration, as JSON Schema: which properties there are, of which type, which are required.
 *
 * Every `description` is a predicate that completes "… must be": it ends up in the sentence that tells an operator what is
 * wrong. What the schema cannot say (one value against another, what this node does not do) is checked in `config.ts`.
 * Facts: operations.md §2 and doc/host_config_schema of CCF; the wording is ours. Eight keys are our own:
 * `client_certificates` of an RPC interface, `platform`, `dcap_collateral_file`, `dcap_collateral_server` and
 * `test_only_host_data` of the attestation, `native_app`, `storage`, `durability`; and so is the operator feature `LedgerRead`.
 */

/** TIME: a whole number and a unit in either case; without a unit it counts microseconds. */
export const TIME_PATTERN = "^[0-9]{1,16}(?:[uU][sS]|[mM][sS]|[sS]|[mM][iI][nN]|[hH])?$";
/** SIZE: a whole number and a unit in either case, powers of 1024; without a unit it counts bytes. */
export const SIZE_PATTERN = "^[0-9]{1,16}(?:[kKmMgGtTpP]?[bB])?$";
/** host:port; an IPv6 host stands in brackets. */
export const ADDRESS_PATTERN = "^(?:\\[[0-9A-Fa-f:.%a-zA-Z]+\\]|[^\\s:\\[\\]/]+):[0-9]{1,5}$";

const time = {
  type: "string",
  pattern: TIME_PATTERN,
  description: `a time such as "100ms": a whole number and us, ms, s, min or h`,
} as const;
const size = {
  type: "string",
  pattern: SIZE_PATTERN,
  description: `a size such as "5MB": a whole number and B, KB, MB, GB, TB or PB (powers of 1024)`,
} as const;
const address = {
  type: "string",
  pattern: ADDRESS_PATTERN,
  description: `an address such as "127.0.0.1:8000" or "[::1]:8000"`,
} as const;

const text = { type: "string", description: "a string" } as const;
const file = { type: "string", minLength: 1, description: "the path of a file" } as const;
/** CCF takes null and the empty string for "none" here (src/host/run.cpp). */
const optionalFile = { type: ["string", "null"], description: "the path of a file, or null" } as const;
const directory = { type: "string", minLength: 1, description: "the path of a directory" } as const;
const flag = { type: "boolean", description: "true or false" } as const;
const days = {
  type: "integer",
  minimum: 1,
  maximum: 36500,
  description: "a whole number of days, at least 1",
} as const;

function wholeNumber(minimum: number) {
  return {
    type: "integer",
    minimum,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `a whole number, at least ${minimum}`,
  } as const;
}

function oneOf(...words: readonly string[]) {
  const quoted = words.map((word) => JSON.stringify(word));
  return { type: "string", enum: words, description: `one of ${quoted.join(", ")}` } as const;
}

function listOf(items: object, what: string) {
  return { type: "array", items, description: `a list of ${what}` } as const;
}

function object(properties: object, required: readonly string[] = []) {
  return {
    type: "object",
    properties,
    required,
    additionalProperties: false,
    description: "an object",
  } as const;
}

const redirection = {
  type: "object",
  description: `an object with kind "NodeByRole" or "StaticAddress"`,
  required: ["kind"],
  properties: { kind: oneOf("NodeByRole", "StaticAddress") },
  if: { properties: { kind: { const: "StaticAddress" } } },
  then: object({ kind: {}, target: object({ address }, ["address"]) }, ["target"]),
  else: object({ kind: {}, target: object({ role: oneOf("primary", "backup"), interface: text }) }),
} as const;

const httpConfiguration = object({
  max_body_size: size,
  max_header_size: size,
  max_headers_count: wholeNumber(1),
  max_concurrent_streams_count: wholeNumber(1),
  initial_window_size: size,
  max_frame_size: size,
});

/** Unknown properties of an interface are accepted here, as CCF accepts them, and reported as warnings. */
const rpcInterface = {
  type: "object",
  description: "an object that describes one RPC interface",
  required: ["bind_address"],
  properties: {
    bind_address: address,
    published_address: address,
    protocol: oneOf("tcp", "udp"),
    app_protocol: text,
    max_open_sessions_soft: wholeNumber(0),
    max_open_sessions_hard: wholeNumber(0),
    http_configuration: httpConfiguration,
    endorsement: object({ authority: oneOf("Service", "Node", "Unsecured", "ACME"), acme_configuration: text }, [
      "authority",
    ]),
    accepted_endpoints: listOf(text, "regular expressions"),
    forwarding_timeout_ms: wholeNumber(0),
    redirections: object({ to_primary: redirection, to_backup: redirection }),
    enabled_operator_features: listOf(oneOf("SnapshotRead", "LedgerRead"), "operator features"),
    client_certificates: flag,
  },
} as const;

/** Names that the properties of an RPC interface may have. */
export const RPC_INTERFACE_KEYS: readonly string[] = Object.keys(rpcInterface.properties);

const member = object({
  certificate_file: file,
  encryption_public_key_file: optionalFile,
  data_json_file: optionalFile,
  recovery_role: oneOf("NonParticipant", "Participant", "Owner"),
}, ["certificate_file"]);

const start = object({
  constitution_files: listOf(file, "paths of files"),
  members: listOf(member, "members"),
  service_configuration: object({
    recovery_threshold: wholeNumber(0),
    maximum_node_certificate_validity_days: days,
    maximum_service_certificate_validity_days: days,
    recent_cose_proposals_window_size: wholeNumber(1),
  }, ["recovery_threshold"]),
  initial_service_certificate_validity_days: days,
  service_subject_name: text,
  cose_signatures: object({ issuer: text, subject: text }, ["issuer", "subject"]),
}, ["constitution_files", "members"]);

const join = object({
  target_rpc_address: address,
  retry_timeout: time,
  follow_redirect: flag,
  fetch_recent_snapshot: flag,
  fetch_snapshot_max_attempts: wholeNumber(1),
  fetch_snapshot_retry_interval: time,
  fetch_snapshot_max_size: size,
}, ["target_rpc_address"]);

const healingIdentity = object({ intrinsic_id: text, published_address: address }, [
  "intrinsic_id",
  "published_address",
]);

const recover = object({
  previous_service_identity_file: file,
  initial_service_certificate_validity_days: days,
  previous_sealed_ledger_secret_location: optionalFile,
  self_healing_open: object({
    identity: healingIdentity,
    cluster_identities: listOf(healingIdentity, "identities"),
    retry_timeout: time,
    failover_timeout: time,
  }, ["identity", "cluster_identities"]),
}, ["previous_service_identity_file"]);

/**
 * Only the section of the command's own type is looked into: generated configurations carry all three, with blanks in
 * the two that do not matter (tests/config.jinja).
 */
const command = {
  type: "object",
  description: "an object with the type of command and its section",
  required: ["type"],
  properties: {
    type: oneOf("Start", "Join", "Recover"),
    service_certificate_file: file,
    start: {},
    join: {},
    recover: {},
  },
  additionalProperties: false,
  allOf: [
    { if: { properties: { type: { const: "Start" } } }, then: { required: ["start"], properties: { start } } },
    { if: { properties: { type: { const: "Join" } } }, then: { required: ["join"], properties: { join } } },
    { if: { properties: { type: { const: "Recover" } } }, then: { required: ["recover"], properties: { recover } } },
  ],
} as const;

/** The whole file. */
export const configSchema = object({
  $schema: text,
  network: object({
    node_to_node_interface: object({ bind_address: address, published_address: address }, ["bind_address"]),
    rpc_interfaces: {
      type: "object",
      minProperties: 1,
      additionalProperties: rpcInterface,
      description: "an object with at least one RPC interface",
    },
  }, ["node_to_node_interface", "rpc_interfaces"]),
  command,
  node_certificate: object({
    subject_name: text,
    subject_alt_names: listOf({
      type: "string",
      pattern: "^(?:iPAddress|dNSName):.+$",
      description: `a name such as "iPAddress:127.0.0.1" or "dNSName:example.com"`,
    }, "names"),
    curve_id: oneOf("Secp384R1", "Secp256R1"),
    initial_validity_days: days,
  }),
  node_data_json_file: optionalFile,
  service_data_json_file: optionalFile,
  attestation: object({
    platform: oneOf("virtual", "snp", "tdx", "sgx"),
    snp_security_policy_file: optionalFile,
    snp_uvm_endorsements_file: optionalFile,
    snp_endorsements_file: optionalFile,
    snp_endorsements_servers: listOf(
      object({ type: oneOf("Azure", "AMD", "THIM"), url: text, max_retries_count: wholeNumber(0) }, ["url"]),
      "servers",
    ),
    dcap_collateral_file: optionalFile,
    dcap_collateral_server: { type: ["string", "null"], description: "a server such as host or host:port, or null" },
    test_only_host_data: {
      type: "string",
      pattern: "^[0-9a-f]{64}$",
      description: "64 hex digits that stand for other code than that which runs, which only a test may do",
    },
  }),
  ledger: object({ directory, read_only_directories: listOf(directory, "paths of directories"), chunk_size: size }),
  snapshots: object({ directory, tx_count: wholeNumber(1), read_only_directory: optionalFile }),
  logging: object({ format: oneOf("Text", "Json"), host_level: text }),
  consensus: object({ message_timeout: time, election_timeout: time, max_uncommitted_tx_count: wholeNumber(0) }),
  ledger_signatures: object({ tx_count: wholeNumber(1), delay: time }),
  jwt: object({ key_refresh_interval: time }),
  output_files: object({
    node_certificate_file: file,
    pid_file: file,
    node_to_node_address_file: text,
    rpc_addresses_file: text,
    sealed_ledger_secret_location: optionalFile,
  }),
  tick_interval: time,
  slow_io_logging_threshold: time,
  node_client_interface: { type: ["string", "null"], description: "an address, or null" },
  client_connection_timeout: time,
  idle_connection_timeout: { ...time, type: ["string", "null"], description: `${time.description}; or null for never` },
  worker_threads: wholeNumber(0),
  memory: object({ circuit_size: size, max_msg_size: size, max_fragment_size: size }),
  ignore_first_sigterm: flag,
  node_to_node_message_limit: wholeNumber(0),
  historical_cache_soft_limit: size,
  native_app: oneOf("logging", "smallbank"),
  storage: oneOf("files"),
  durability: oneOf("none", "commit", "always"),
  console_directory: { type: ["string", "null"], minLength: 1, description: "the path of a directory, or null" },
}, ["network", "command"]);
