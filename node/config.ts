/**
 * A node's configuration: CCF's JSON file, with its defaults, as typed values in milliseconds and bytes.
 *
 * In: the text of the file. Out: `NodeConfig`, or a FormatError with one sentence for each mistake.
 * Reads no file: what the configuration names is read by `config_files.ts`.
 * Format: operations.md §2
 */

import { Ajv, type ErrorObject } from "ajv";
import { assert, FormatError } from "../shared/assert.ts";
import {
  DEFAULT_CHUNK_BYTES,
  DEFAULT_MAX_BODY_BYTES,
  DEFAULT_MAX_HEADER_BYTES,
  DEFAULT_MAX_HEADERS_COUNT,
  DEFAULT_MAX_OPEN_SESSIONS_HARD,
  DEFAULT_MAX_OPEN_SESSIONS_SOFT,
  DEFAULT_MAX_UNCOMMITTED_TRANSACTIONS,
  DEFAULT_SIGNATURE_DELAY_MS,
  DEFAULT_SIGNATURE_TX_COUNT,
  DEFAULT_SNAPSHOT_TX_COUNT,
  MAX_CHUNK_BYTES,
  MAX_CONFIG_BYTES,
  MAX_CONFIG_PROBLEMS,
  MAX_ENDORSEMENTS_RETRIES,
  MAX_ENDORSEMENTS_SERVERS,
  MAX_RPC_INTERFACES,
} from "../shared/limits.ts";
import { configSchema, RPC_INTERFACE_KEYS } from "./config_schema.ts";
import { ConfigSection, type JsonObject, shownValue } from "./config_section.ts";
import type { CommandConfig, MemberConfig, NodeConfig, Redirection, RpcInterfaceConfig } from "./node_config.ts";
import { formatAddress } from "./units.ts";

// The schema leaves types out where another part of it has them, and `strict` would ask for them again.
const validate = new Ajv({ allErrors: true, verbose: true, strictTypes: false, strictRequired: false })
  .compile(configSchema);

/**
 * Parses and checks a configuration. `fileName` is for messages.
 *
 * @throws FormatError, its message one sentence a line for each mistake: file, JSON pointer, value, what is allowed
 */
export function parseConfig(text: string, fileName: string): NodeConfig {
  const refuse = (problems: readonly string[]): never => {
    const told = problems.slice(0, MAX_CONFIG_PROBLEMS).map((problem) => `Cannot use ${fileName}: ${problem}`);
    if (problems.length > told.length) told.push(`${fileName} has ${problems.length - told.length} more mistakes`);
    throw new FormatError(told.join("\n"));
  };
  if (text.length > MAX_CONFIG_BYTES) refuse([`it is longer than ${MAX_CONFIG_BYTES} characters`]);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    refuse([`it is not JSON: ${error instanceof Error ? error.message : String(error)}`]);
  }
  if (!validate(json)) refuse(schemaProblems(validate.errors ?? []));

  const problems: string[] = [];
  const root = new ConfigSection(json as JsonObject, "", problems);
  const config = readConfig(root);
  if (problems.length > 0) refuse(problems);
  return config;
}

/**
 * What the ledger keeps of an interface once its port is known (http-api.md §6, "Node"): as written, with the address
 * really bound, and a published address.
 */
export function resolveRpcInterface(
  config: RpcInterfaceConfig,
  boundPort: number,
): JsonObject & { bind_address: string } {
  const { host, port } = config.publishedAddress;
  return {
    ...config.asWritten,
    bind_address: formatAddress({ host: config.bindAddress.host, port: boundPort }),
    published_address: formatAddress({ host, port: port === 0 ? boundPort : port }),
  };
}

/**
 * How many members' shares open the service after a disaster, from what the file says: 0 stands for all members with an
 * encryption key who take part, or 1 where all who could are owners.
 *
 * @returns the threshold, or a sentence that says why none is possible
 */
export function resolveRecoveryThreshold(written: number, members: readonly MemberConfig[]): number | string {
  const roles = members.filter((member) => member.encryptionPublicKeyFile !== undefined)
    .map((member) => member.recoveryRole ?? "Participant");
  const participants = roles.filter((role) => role === "Participant").length;
  const onlyOwners = participants === 0 && roles.includes("Owner");
  if (written === 0) return onlyOwners ? 1 : participants;
  if (onlyOwners && written > 1) return "must be 1, or 0, as all members who can recover are owners";
  if (!onlyOwners && written > participants) {
    return `must be at most ${participants}, the number of members with an encryption key who take part in recovery`;
  }
  return written;
}

/** Of each attempt a node's start may have to wait for the end. */
function readRetries(server: ConfigSection): number {
  const count = server.number("max_retries_count", 3);
  if (count > MAX_ENDORSEMENTS_RETRIES) {
    server.problem("max_retries_count", `must be at most ${MAX_ENDORSEMENTS_RETRIES}`);
  }
  return count;
}

function readConfig(root: ConfigSection): NodeConfig {
  const warnings: string[] = [];
  const commandSection = root.section("command");
  const nodeCertificate = root.section("node_certificate");
  const attestation = root.section("attestation");
  const ledger = root.section("ledger");
  const snapshots = root.section("snapshots");
  const consensus = root.section("consensus");
  const signatures = root.section("ledger_signatures");
  const outputFiles = root.section("output_files");
  for (const key of ["worker_threads", "memory"]) {
    if (root.has(key)) warnings.push(`/${key} has no effect here: it tunes CCF's own host`);
  }
  if (root.section("logging").has("host_level")) {
    warnings.push("/logging/host_level has no effect: use the option --log-level");
  }

  const servers = attestation.sections("snp_endorsements_servers");
  if (servers.length > MAX_ENDORSEMENTS_SERVERS) {
    attestation.problem("snp_endorsements_servers", `must have at most ${MAX_ENDORSEMENTS_SERVERS} servers`);
  }
  const chunkBytes = ledger.sizeBytes("chunk_size", DEFAULT_CHUNK_BYTES);
  if (chunkBytes < 1 || chunkBytes > MAX_CHUNK_BYTES / 2) {
    ledger.problem("chunk_size", "must be between 1B and 2GB: a ledger file ends below 4GB");
  }
  return {
    network: readNetwork(root.section("network"), warnings),
    command: readCommand(commandSection),
    serviceCertificateFile: commandSection.text("service_certificate_file", "service_cert.pem"),
    nodeCertificate: {
      subjectName: nodeCertificate.text("subject_name", "CN=CCF Node"),
      subjectAltNames: nodeCertificate.texts("subject_alt_names"),
      curve: nodeCertificate.word("curve_id", "Secp384R1"),
      initialValidityDays: nodeCertificate.number("initial_validity_days", 1),
    },
    nodeDataJsonFile: root.optionalText("node_data_json_file"),
    serviceDataJsonFile: root.optionalText("service_data_json_file"),
    attestation: {
      platform: attestation.has("platform") ? attestation.word("platform", "virtual") : undefined,
      snpSecurityPolicyFile: attestation.optionalText("snp_security_policy_file"),
      snpUvmEndorsementsFile: attestation.optionalText("snp_uvm_endorsements_file"),
      snpEndorsementsFile: attestation.optionalText("snp_endorsements_file"),
      snpEndorsementsServers: servers.map((server) => ({
        type: server.word("type", "Azure"),
        url: server.text("url", ""),
        maxRetriesCount: readRetries(server),
      })),
      dcapCollateralFile: attestation.optionalText("dcap_collateral_file"),
      dcapCollateralServer: attestation.optionalText("dcap_collateral_server"),
      testOnlyHostData: attestation.optionalText("test_only_host_data"),
    },
    ledger: {
      directory: ledger.text("directory", "ledger"),
      readOnlyDirectories: ledger.texts("read_only_directories"),
      chunkBytes,
    },
    snapshots: {
      directory: snapshots.text("directory", "snapshots"),
      readOnlyDirectory: snapshots.optionalText("read_only_directory"),
      txCount: snapshots.number("tx_count", DEFAULT_SNAPSHOT_TX_COUNT),
    },
    logFormat: root.section("logging").word("format", "Text"),
    consensus: {
      messageTimeoutMs: consensus.timeMs("message_timeout", 100),
      electionTimeoutMs: consensus.timeMs("election_timeout", 5000),
      maxUncommittedTransactions: consensus.number("max_uncommitted_tx_count", DEFAULT_MAX_UNCOMMITTED_TRANSACTIONS),
    },
    signatures: {
      txCount: signatures.number("tx_count", DEFAULT_SIGNATURE_TX_COUNT),
      delayMs: signatures.timeMs("delay", DEFAULT_SIGNATURE_DELAY_MS),
    },
    jwtKeyRefreshIntervalMs: root.section("jwt").timeMs("key_refresh_interval", 30 * 60_000),
    outputFiles: {
      nodeCertificateFile: outputFiles.text("node_certificate_file", "nodecert.pem"),
      pidFile: outputFiles.text("pid_file", "node.pid"),
      nodeToNodeAddressFile: outputFiles.optionalText("node_to_node_address_file"),
      rpcAddressesFile: outputFiles.optionalText("rpc_addresses_file"),
      sealedLedgerSecretLocation: outputFiles.optionalText("sealed_ledger_secret_location"),
    },
    tickIntervalMs: root.timeMs("tick_interval", 10),
    slowIoLoggingThresholdMs: root.timeMs("slow_io_logging_threshold", 10),
    nodeClientInterface: root.optionalText("node_client_interface"),
    clientConnectionTimeoutMs: root.timeMs("client_connection_timeout", 2000),
    idleConnectionTimeoutMs: root.isNull("idle_connection_timeout")
      ? undefined
      : root.timeMs("idle_connection_timeout", 60_000),
    ignoreFirstSigterm: root.flag("ignore_first_sigterm", false),
    // 2^24.5 records, after which AES-GCM wants a new key (RFC 8446 §5.5).
    nodeToNodeMessageLimit: root.number("node_to_node_message_limit", 23_726_566),
    historicalCacheBytes: root.sizeBytes("historical_cache_soft_limit", 512 * 1024 * 1024),
    nativeApp: root.has("native_app") ? root.word("native_app", "logging") : undefined,
    storage: root.word("storage", "files"),
    durability: root.word("durability", "none"),
    consoleDirectory: root.optionalText("console_directory"),
    warnings,
  };
}

function readNetwork(network: ConfigSection, warnings: string[]): NodeConfig["network"] {
  const nodeToNode = network.section("node_to_node_interface");
  const bindAddress = nodeToNode.address("bind_address");
  const rpcInterfaces = new Map<string, RpcInterfaceConfig>();
  const interfaces = network.section("rpc_interfaces");
  const bound = new Map([[formatAddress(bindAddress), "node_to_node_interface"]]);
  for (const name of interfaces.keys()) {
    if (rpcInterfaces.size === MAX_RPC_INTERFACES) {
      network.problem("rpc_interfaces", `must have at most ${MAX_RPC_INTERFACES} interfaces`);
      break;
    }
    const section = interfaces.section(name);
    const rpcInterface = readRpcInterface(name, section, warnings);
    rpcInterfaces.set(name, rpcInterface);
    const address = formatAddress(rpcInterface.bindAddress);
    const other = bound.get(address);
    if (other !== undefined && rpcInterface.bindAddress.port !== 0) {
      section.problem("bind_address", `must not be the address of ${JSON.stringify(other)} too`);
    }
    bound.set(address, name);
  }
  return {
    nodeToNode: { bindAddress, publishedAddress: nodeToNode.address("published_address", bindAddress) },
    rpcInterfaces,
  };
}

function readRpcInterface(name: string, section: ConfigSection, warnings: string[]): RpcInterfaceConfig {
  const bindAddress = section.address("bind_address");
  const http = section.section("http_configuration");
  const redirections = section.section("redirections");
  const authority = section.section("endorsement").word<"Service" | "Node" | "Unsecured" | "ACME">(
    "authority",
    "Service",
  );
  const clientCertificates = section.flag("client_certificates", authority !== "Unsecured");
  const appProtocol = section.text("app_protocol", "HTTP1");
  const maxOpenSessionsSoft = section.number("max_open_sessions_soft", DEFAULT_MAX_OPEN_SESSIONS_SOFT);
  const maxOpenSessionsHard = section.number("max_open_sessions_hard", DEFAULT_MAX_OPEN_SESSIONS_HARD);
  const maxFrameBytes = http.sizeBytes("max_frame_size", 16 * 1024);

  if (authority === "ACME") {
    section.section("endorsement").problem(
      "authority",
      `must be "Service", "Node" or "Unsecured": ACME is not supported`,
    );
  }
  if (authority === "Unsecured" && clientCertificates) {
    section.problem("client_certificates", "must be false on an unsecured interface: certificates come with TLS");
  }
  if (section.text("protocol", "tcp") === "udp") section.problem("protocol", `must be "tcp": UDP is not supported`);
  if (appProtocol !== "HTTP1" && appProtocol !== "HTTP2") {
    section.problem("app_protocol", `must be "HTTP1" or "HTTP2": other protocols are not supported`);
  } else if (appProtocol === "HTTP2" && clientCertificates) {
    section.problem("app_protocol", `must be "HTTP1", unless client_certificates is false`);
  }
  if (maxOpenSessionsHard <= maxOpenSessionsSoft) {
    section.problem(
      "max_open_sessions_hard",
      `must be above max_open_sessions_soft, ${maxOpenSessionsSoft}`,
      maxOpenSessionsHard,
    );
  }
  if (maxFrameBytes < 16 * 1024 || maxFrameBytes > 16 * 1024 * 1024) {
    http.problem("max_frame_size", "must be between 16KB and 16MB");
  }
  section.texts("accepted_endpoints").forEach((pattern, i) => {
    if (!isRegExp(pattern)) section.problem(`accepted_endpoints/${i}`, "must be a regular expression", pattern);
  });
  for (const key of section.keys()) {
    if (!RPC_INTERFACE_KEYS.includes(key)) warnings.push(`${section.pointer(key)} is unknown and has no effect`);
  }

  return {
    name,
    bindAddress,
    publishedAddress: section.address("published_address", bindAddress),
    appProtocol: appProtocol === "HTTP2" ? "HTTP2" : "HTTP1",
    maxOpenSessionsSoft,
    maxOpenSessionsHard,
    http: {
      maxBodyBytes: http.sizeBytes("max_body_size", DEFAULT_MAX_BODY_BYTES),
      maxHeaderBytes: http.sizeBytes("max_header_size", DEFAULT_MAX_HEADER_BYTES),
      maxHeadersCount: http.number("max_headers_count", DEFAULT_MAX_HEADERS_COUNT),
      maxConcurrentStreams: http.number("max_concurrent_streams_count", 100),
      initialWindowBytes: http.sizeBytes("initial_window_size", 64 * 1024),
      maxFrameBytes,
    },
    authority: authority === "ACME" ? "Service" : authority,
    acceptedEndpoints: section.has("accepted_endpoints") ? section.texts("accepted_endpoints") : undefined,
    forwardingTimeoutMs: section.number("forwarding_timeout_ms", 3000),
    redirections: {
      toPrimary: readRedirection(redirections, "to_primary"),
      toBackup: readRedirection(redirections, "to_backup"),
    },
    operatorFeatures: section.texts("enabled_operator_features") as ("SnapshotRead" | "LedgerRead")[],
    clientCertificates,
    asWritten: section.pick(RPC_INTERFACE_KEYS.filter((key) => key !== "client_certificates")),
  };
}

function readRedirection(redirections: ConfigSection, key: "to_primary" | "to_backup"): Redirection | undefined {
  if (!redirections.has(key)) return undefined;
  const section = redirections.section(key);
  const target = section.section("target");
  if (section.word<Redirection["kind"]>("kind", "NodeByRole") === "StaticAddress") {
    return { kind: "StaticAddress", address: target.text("address", "") };
  }
  return {
    kind: "NodeByRole",
    role: target.word("role", "primary"),
    interfaceName: target.optionalText("interface"),
  };
}

function readCommand(command: ConfigSection): CommandConfig {
  const type = command.word<CommandConfig["type"]>("type", "Start");
  if (type === "Start") return readStart(command.section("start"));
  if (type === "Join") {
    const join = command.section("join");
    return {
      type,
      targetRpcAddress: join.address("target_rpc_address"),
      retryTimeoutMs: join.timeMs("retry_timeout", 1000),
      followRedirect: join.flag("follow_redirect", true),
      fetchRecentSnapshot: join.flag("fetch_recent_snapshot", true),
      fetchSnapshotMaxAttempts: join.number("fetch_snapshot_max_attempts", 3),
      fetchSnapshotRetryIntervalMs: join.timeMs("fetch_snapshot_retry_interval", 1000),
      fetchSnapshotMaxBytes: join.sizeBytes("fetch_snapshot_max_size", 10 * 1024 ** 3),
    };
  }
  const recover = command.section("recover");
  const healing = recover.section("self_healing_open");
  const identity = (section: ConfigSection) => ({
    intrinsicId: section.text("intrinsic_id", ""),
    publishedAddress: section.text("published_address", ""),
  });
  return {
    type,
    previousServiceIdentityFile: recover.text("previous_service_identity_file", ""),
    initialServiceCertificateValidityDays: recover.number("initial_service_certificate_validity_days", 1),
    previousSealedLedgerSecretLocation: recover.optionalText("previous_sealed_ledger_secret_location"),
    selfHealingOpen: !recover.has("self_healing_open") ? undefined : {
      identity: identity(healing.section("identity")),
      clusterIdentities: healing.sections("cluster_identities").map(identity),
      retryTimeoutMs: healing.timeMs("retry_timeout", 100),
      failoverTimeoutMs: healing.timeMs("failover_timeout", 2000),
    },
  };
}

function readStart(start: ConfigSection): CommandConfig {
  const service = start.section("service_configuration");
  const cose = start.section("cose_signatures");
  const members = start.sections("members").map((member): MemberConfig => ({
    certificateFile: member.text("certificate_file", ""),
    encryptionPublicKeyFile: member.optionalText("encryption_public_key_file"),
    dataJsonFile: member.optionalText("data_json_file"),
    recoveryRole: member.has("recovery_role") ? member.word("recovery_role", "Participant") : undefined,
  }));
  const threshold = resolveRecoveryThreshold(service.number("recovery_threshold", 0), members);
  if (typeof threshold === "string") service.problem("recovery_threshold", threshold);
  return {
    type: "Start",
    constitutionFiles: start.texts("constitution_files"),
    members,
    serviceConfiguration: {
      recoveryThreshold: typeof threshold === "string" ? 0 : threshold,
      maximumNodeCertificateValidityDays: service.number("maximum_node_certificate_validity_days", 365),
      maximumServiceCertificateValidityDays: service.number("maximum_service_certificate_validity_days", 365),
      recentCoseProposalsWindowSize: service.has("recent_cose_proposals_window_size")
        ? service.number("recent_cose_proposals_window_size", 100)
        : undefined,
    },
    initialServiceCertificateValidityDays: start.number("initial_service_certificate_validity_days", 1),
    serviceSubjectName: start.text("service_subject_name", "CN=CCF Service"),
    coseSignatures: { issuer: cose.text("issuer", ""), subject: cose.text("subject", "") },
  };
}

function isRegExp(pattern: string): boolean {
  try {
    new RegExp(`^(?:${pattern})$`);
    return true;
  } catch {
    return false;
  }
}

function schemaProblems(errors: readonly ErrorObject[]): string[] {
  // "if" only says that its "then" failed, and that failure has its own line. One value may fail twice in the same way.
  return [...new Set(errors.filter((error) => error.keyword !== "if").map(schemaProblem))];
}

function schemaProblem(error: ErrorObject): string {
  const where = error.instancePath === "" ? "the file" : error.instancePath;
  const parent: Readonly<Record<string, unknown>> = error.parentSchema ?? {};
  const properties = (parent["properties"] ?? {}) as Readonly<Record<string, { readonly description?: string }>>;
  switch (error.keyword) {
    case "required": {
      const missing = String(error.params["missingProperty"]);
      const description = properties[missing]?.description;
      return `${where} lacks the property ${JSON.stringify(missing)}` +
        (description === undefined ? "" : `, which must be ${description}`);
    }
    case "additionalProperties": {
      const allowed = Object.keys(properties).map((key) => JSON.stringify(key)).join(", ");
      return `${where} has the unknown property ${
        shownValue(error.params["additionalProperty"])
      }; allowed are ${allowed}`;
    }
    default:
      assert(typeof parent["description"] === "string", "Every part of the schema describes what it allows");
      return `${where} is ${shownValue(error.data)} and must be ${parent["description"]}`;
  }
}
