import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";
import { parseConfig, resolveRecoveryThreshold, resolveRpcInterface } from "./config.ts";
import type { MemberConfig, NodeConfig } from "./node_config.ts";

const minimal = {
  network: {
    node_to_node_interface: { bind_address: "127.0.0.1:8001" },
    rpc_interfaces: { primary_rpc_interface: { bind_address: "127.0.0.1:8000" } },
  },
  command: { type: "Start", start: { constitution_files: ["actions.js"], members: [{ certificate_file: "m.pem" }] } },
};

// Every key of operations.md §2, in the form that CCF's test framework writes (tests/config.jinja).
const complete = {
  $schema: "https://example.com/schema.json",
  network: {
    node_to_node_interface: { bind_address: "[::1]:0", published_address: "node0.example.com:8081" },
    rpc_interfaces: {
      primary_rpc_interface: {
        bind_address: "0.0.0.0:8080",
        published_address: "node0.example.com:8080",
        protocol: "tcp",
        app_protocol: "HTTP1",
        max_open_sessions_soft: 2000,
        max_open_sessions_hard: 2010,
        http_configuration: {
          max_body_size: "200KB",
          max_header_size: "8KB",
          max_headers_count: 40,
          max_concurrent_streams_count: 50,
          initial_window_size: "128KB",
          max_frame_size: "32KB",
        },
        endorsement: { authority: "Node" },
        accepted_endpoints: ["/node/(state|version)"],
        forwarding_timeout_ms: 4000,
        redirections: {
          to_primary: { kind: "NodeByRole", target: { role: "primary", interface: "primary_rpc_interface" } },
          to_backup: { kind: "StaticAddress", target: { address: "backup.example.com:443" } },
        },
        enabled_operator_features: ["SnapshotRead"],
        client_certificates: true,
      },
      web_rpc_interface: { bind_address: "0.0.0.0:9080", app_protocol: "HTTP2", client_certificates: false },
      plain: { bind_address: "127.0.0.1:7080", endorsement: { authority: "Unsecured" } },
    },
  },
  command: {
    type: "Start",
    service_certificate_file: "service.pem",
    start: {
      constitution_files: ["actions.js", "apply.js"],
      members: [
        { certificate_file: "m0.pem", encryption_public_key_file: "m0_enc.pem", data_json_file: null },
        {
          certificate_file: "m1.pem",
          encryption_public_key_file: "",
          recovery_role: "Owner",
          data_json_file: "m1.json",
        },
      ],
      service_configuration: {
        recovery_threshold: 1,
        maximum_node_certificate_validity_days: 100,
        maximum_service_certificate_validity_days: 200,
        recent_cose_proposals_window_size: 50,
      },
      initial_service_certificate_validity_days: 90,
      service_subject_name: "CN=Our Service",
      cose_signatures: { issuer: "service.example.com", subject: "ledger.signature" },
    },
    join: { target_rpc_address: "" },
    recover: { previous_service_identity_file: "" },
  },
  node_certificate: {
    subject_name: "CN=Our Node",
    subject_alt_names: ["iPAddress:127.0.0.1", "dNSName:node0.example.com"],
    curve_id: "Secp256R1",
    initial_validity_days: 7,
  },
  node_data_json_file: "node.json",
  service_data_json_file: "service.json",
  attestation: {
    snp_security_policy_file: "$UVM_SECURITY_CONTEXT_DIR/policy",
    snp_uvm_endorsements_file: null,
    snp_endorsements_file: "",
    snp_endorsements_servers: [{ type: "AMD", url: "kdsintf.amd.com" }, {
      url: "cache.example.com",
      max_retries_count: 5,
    }],
  },
  ledger: { directory: "/data/ledger", read_only_directories: ["/old/ledger"], chunk_size: "10MB" },
  snapshots: { directory: "/data/snapshots", tx_count: 500, read_only_directory: "/old/snapshots" },
  logging: { format: "Json", host_level: "Info" },
  consensus: { message_timeout: "50ms", election_timeout: "2s", max_uncommitted_tx_count: 0 },
  ledger_signatures: { tx_count: 100, delay: "500ms" },
  jwt: { key_refresh_interval: "1h" },
  output_files: {
    node_certificate_file: "node0.pem",
    pid_file: "node0.pid",
    node_to_node_address_file: "node0.address",
    rpc_addresses_file: "node0.rpc",
    sealed_ledger_secret_location: null,
  },
  tick_interval: "1ms",
  slow_io_logging_threshold: "500us",
  node_client_interface: "127.0.0.2:0",
  client_connection_timeout: "3s",
  idle_connection_timeout: null,
  worker_threads: 2,
  memory: { circuit_size: "16MB", max_msg_size: "64MB", max_fragment_size: "256KB" },
  ignore_first_sigterm: true,
  node_to_node_message_limit: 1000,
  historical_cache_soft_limit: "64MB",
  native_app: "logging",
  storage: "files",
  durability: "commit",
};

function parse(json: unknown): NodeConfig {
  return parseConfig(JSON.stringify(json), "node.json");
}

function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof FormatError, `${error}`);
    return error.message;
  }
  throw new Error("Nothing was thrown");
}

/** The minimal configuration with one value replaced, by its JSON pointer. */
function changed(pointer: string, value: unknown): unknown {
  const json = structuredClone(minimal) as Record<string, unknown>;
  const keys = pointer.slice(1).split("/");
  let at = json;
  for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return json;
}

const RPC = "/network/rpc_interfaces/primary_rpc_interface";

Deno.test("parseConfig() fills in the defaults of CCF", () => {
  const config = parse(minimal);
  const rpc = config.network.rpcInterfaces.get("primary_rpc_interface")!;
  assert.deepEqual(rpc, {
    name: "primary_rpc_interface",
    bindAddress: { host: "127.0.0.1", port: 8000 },
    publishedAddress: { host: "127.0.0.1", port: 8000 },
    appProtocol: "HTTP1",
    maxOpenSessionsSoft: 1000,
    maxOpenSessionsHard: 1010,
    http: {
      maxBodyBytes: 1048576,
      maxHeaderBytes: 16384,
      maxHeadersCount: 256,
      maxConcurrentStreams: 100,
      initialWindowBytes: 65536,
      maxFrameBytes: 16384,
    },
    authority: "Service",
    acceptedEndpoints: undefined,
    forwardingTimeoutMs: 3000,
    redirections: { toPrimary: undefined, toBackup: undefined },
    operatorFeatures: [],
    clientCertificates: true,
    asWritten: { bind_address: "127.0.0.1:8000" },
  });
  assert.deepEqual({ ...config, network: null }, {
    network: null,
    command: {
      type: "Start",
      constitutionFiles: ["actions.js"],
      members: [{
        certificateFile: "m.pem",
        encryptionPublicKeyFile: undefined,
        dataJsonFile: undefined,
        recoveryRole: undefined,
      }],
      serviceConfiguration: {
        recoveryThreshold: 0,
        maximumNodeCertificateValidityDays: 365,
        maximumServiceCertificateValidityDays: 365,
        recentCoseProposalsWindowSize: undefined,
      },
      initialServiceCertificateValidityDays: 1,
      serviceSubjectName: "CN=CCF Service",
      coseSignatures: { issuer: "", subject: "" },
    },
    serviceCertificateFile: "service_cert.pem",
    nodeCertificate: { subjectName: "CN=CCF Node", subjectAltNames: [], curve: "Secp384R1", initialValidityDays: 1 },
    nodeDataJsonFile: undefined,
    serviceDataJsonFile: undefined,
    attestation: {
      snpSecurityPolicyFile: undefined,
      snpUvmEndorsementsFile: undefined,
      snpEndorsementsFile: undefined,
      snpEndorsementsServers: [],
    },
    ledger: { directory: "ledger", readOnlyDirectories: [], chunkBytes: 5 * 1024 * 1024 },
    snapshots: { directory: "snapshots", readOnlyDirectory: undefined, txCount: 10000 },
    logFormat: "Text",
    consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 10000 },
    signatures: { txCount: 5000, delayMs: 1000 },
    jwtKeyRefreshIntervalMs: 1_800_000,
    outputFiles: {
      nodeCertificateFile: "nodecert.pem",
      pidFile: "node.pid",
      nodeToNodeAddressFile: undefined,
      rpcAddressesFile: undefined,
      sealedLedgerSecretLocation: undefined,
    },
    tickIntervalMs: 10,
    slowIoLoggingThresholdMs: 10,
    nodeClientInterface: undefined,
    clientConnectionTimeoutMs: 2000,
    idleConnectionTimeoutMs: 60000,
    ignoreFirstSigterm: false,
    nodeToNodeMessageLimit: 23726566,
    historicalCacheBytes: 536870912,
    nativeApp: undefined,
    storage: "files",
    durability: "none",
    warnings: [],
  });
});

Deno.test("parseConfig() reads every key", () => {
  const config = parse(complete);
  const interfaces = config.network.rpcInterfaces;
  assert.deepEqual([...interfaces.keys()], ["primary_rpc_interface", "web_rpc_interface", "plain"]);
  assert.deepEqual(config.network.nodeToNode, {
    bindAddress: { host: "::1", port: 0 },
    publishedAddress: { host: "node0.example.com", port: 8081 },
  });
  const rpc = interfaces.get("primary_rpc_interface")!;
  const { client_certificates: _, ...asWritten } = complete.network.rpc_interfaces.primary_rpc_interface;
  assert.deepEqual(rpc.asWritten, asWritten);
  assert.deepEqual({ ...rpc, asWritten: null }, {
    name: "primary_rpc_interface",
    bindAddress: { host: "0.0.0.0", port: 8080 },
    publishedAddress: { host: "node0.example.com", port: 8080 },
    appProtocol: "HTTP1",
    maxOpenSessionsSoft: 2000,
    maxOpenSessionsHard: 2010,
    http: {
      maxBodyBytes: 204800,
      maxHeaderBytes: 8192,
      maxHeadersCount: 40,
      maxConcurrentStreams: 50,
      initialWindowBytes: 131072,
      maxFrameBytes: 32768,
    },
    authority: "Node",
    acceptedEndpoints: ["/node/(state|version)"],
    forwardingTimeoutMs: 4000,
    redirections: {
      toPrimary: { kind: "NodeByRole", role: "primary", interfaceName: "primary_rpc_interface" },
      toBackup: { kind: "StaticAddress", address: "backup.example.com:443" },
    },
    operatorFeatures: ["SnapshotRead"],
    clientCertificates: true,
    asWritten: null,
  });
  assert.equal(interfaces.get("web_rpc_interface")!.clientCertificates, false);
  assert.equal(interfaces.get("web_rpc_interface")!.appProtocol, "HTTP2");
  assert.equal(interfaces.get("plain")!.clientCertificates, false);
  assert.equal(interfaces.get("plain")!.authority, "Unsecured");
  assert.deepEqual({ ...config, network: null }, {
    network: null,
    command: {
      type: "Start",
      constitutionFiles: ["actions.js", "apply.js"],
      members: [
        {
          certificateFile: "m0.pem",
          encryptionPublicKeyFile: "m0_enc.pem",
          dataJsonFile: undefined,
          recoveryRole: undefined,
        },
        {
          certificateFile: "m1.pem",
          encryptionPublicKeyFile: undefined,
          dataJsonFile: "m1.json",
          recoveryRole: "Owner",
        },
      ],
      serviceConfiguration: {
        recoveryThreshold: 1,
        maximumNodeCertificateValidityDays: 100,
        maximumServiceCertificateValidityDays: 200,
        recentCoseProposalsWindowSize: 50,
      },
      initialServiceCertificateValidityDays: 90,
      serviceSubjectName: "CN=Our Service",
      coseSignatures: { issuer: "service.example.com", subject: "ledger.signature" },
    },
    serviceCertificateFile: "service.pem",
    nodeCertificate: {
      subjectName: "CN=Our Node",
      subjectAltNames: ["iPAddress:127.0.0.1", "dNSName:node0.example.com"],
      curve: "Secp256R1",
      initialValidityDays: 7,
    },
    nodeDataJsonFile: "node.json",
    serviceDataJsonFile: "service.json",
    attestation: {
      snpSecurityPolicyFile: "$UVM_SECURITY_CONTEXT_DIR/policy",
      snpUvmEndorsementsFile: undefined,
      snpEndorsementsFile: undefined,
      snpEndorsementsServers: [
        { type: "AMD", url: "kdsintf.amd.com", maxRetriesCount: 3 },
        { type: "Azure", url: "cache.example.com", maxRetriesCount: 5 },
      ],
    },
    ledger: { directory: "/data/ledger", readOnlyDirectories: ["/old/ledger"], chunkBytes: 10 * 1024 * 1024 },
    snapshots: { directory: "/data/snapshots", readOnlyDirectory: "/old/snapshots", txCount: 500 },
    logFormat: "Json",
    consensus: { messageTimeoutMs: 50, electionTimeoutMs: 2000, maxUncommittedTransactions: 0 },
    signatures: { txCount: 100, delayMs: 500 },
    jwtKeyRefreshIntervalMs: 3_600_000,
    outputFiles: {
      nodeCertificateFile: "node0.pem",
      pidFile: "node0.pid",
      nodeToNodeAddressFile: "node0.address",
      rpcAddressesFile: "node0.rpc",
      sealedLedgerSecretLocation: undefined,
    },
    tickIntervalMs: 1,
    slowIoLoggingThresholdMs: 0.5,
    nodeClientInterface: "127.0.0.2:0",
    clientConnectionTimeoutMs: 3000,
    idleConnectionTimeoutMs: undefined,
    ignoreFirstSigterm: true,
    nodeToNodeMessageLimit: 1000,
    historicalCacheBytes: 67108864,
    nativeApp: "logging",
    storage: "files",
    durability: "commit",
    warnings: [
      "/worker_threads has no effect here: it tunes CCF's own host",
      "/memory has no effect here: it tunes CCF's own host",
      "/logging/host_level has no effect: use the option --log-level",
    ],
  });
});

Deno.test("parseConfig() reads the commands Join and Recover, and looks only into their section", () => {
  const join = parse({
    ...minimal,
    command: { type: "Join", start: { members: 5 }, join: { target_rpc_address: "primary:8000", retry_timeout: "2s" } },
  });
  assert.deepEqual(join.command, {
    type: "Join",
    targetRpcAddress: { host: "primary", port: 8000 },
    retryTimeoutMs: 2000,
    followRedirect: true,
    fetchRecentSnapshot: true,
    fetchSnapshotMaxAttempts: 3,
    fetchSnapshotRetryIntervalMs: 1000,
    fetchSnapshotMaxBytes: 10 * 1024 ** 3,
  });
  const recover = parse({
    ...minimal,
    command: {
      type: "Recover",
      recover: {
        previous_service_identity_file: "old.pem",
        self_healing_open: {
          identity: { intrinsic_id: "0", published_address: "a:1" },
          cluster_identities: [{ intrinsic_id: "0", published_address: "a:1" }],
        },
      },
    },
  });
  assert.deepEqual(recover.command, {
    type: "Recover",
    previousServiceIdentityFile: "old.pem",
    initialServiceCertificateValidityDays: 1,
    previousSealedLedgerSecretLocation: undefined,
    selfHealingOpen: {
      identity: { intrinsicId: "0", publishedAddress: "a:1" },
      clusterIdentities: [{ intrinsicId: "0", publishedAddress: "a:1" }],
      retryTimeoutMs: 100,
      failoverTimeoutMs: 2000,
    },
  });
});

Deno.test("parseConfig() accepts an unknown property of an interface with a warning, as CCF does without one", () => {
  const config = parse(changed(`${RPC}/acme`, { configuration: "x" }));
  assert.deepEqual(config.warnings, [`${RPC}/acme is unknown and has no effect`]);
  assert.deepEqual(config.network.rpcInterfaces.get("primary_rpc_interface")!.asWritten, {
    bind_address: "127.0.0.1:8000",
  });
});

const bad: readonly (readonly [pointer: string, value: unknown, message: string])[] = [
  [
    "/ledgr",
    {},
    `the file has the unknown property "ledgr"; allowed are "$schema", "network", "command", ` +
    `"node_certificate", "node_data_json_file", "service_data_json_file", "attestation", "ledger", "snapshots", ` +
    `"logging", "consensus", "ledger_signatures", "jwt", "output_files", "tick_interval", "slow_io_logging_threshold", ` +
    `"node_client_interface", "client_connection_timeout", "idle_connection_timeout", "worker_threads", "memory", ` +
    `"ignore_first_sigterm", "node_to_node_message_limit", "historical_cache_soft_limit", "native_app", "storage", ` +
    `"durability"`,
  ],
  ["/network", 5, "/network is 5 and must be an object"],
  [
    "/network/rpc_interfaces",
    {},
    "/network/rpc_interfaces is {} and must be an object with at least one RPC interface",
  ],
  [
    RPC,
    {},
    `${RPC} lacks the property "bind_address", which must be an address such as "127.0.0.1:8000" or "[::1]:8000"`,
  ],
  [
    `${RPC}/bind_address`,
    "localhost",
    `${RPC}/bind_address is "localhost" and must be an address such as "127.0.0.1:8000" or "[::1]:8000"`,
  ],
  [
    `${RPC}/bind_address`,
    "localhost:70000",
    `${RPC}/bind_address: Cannot read "localhost:70000" as an address: it must look like "127.0.0.1:8000" or ` +
    `"[::1]:8000", with a port up to 65535`,
  ],
  [
    `${RPC}/bind_address`,
    "127.0.0.1:8001",
    `${RPC}/bind_address is "127.0.0.1:8001" and must not be the address of "node_to_node_interface" too`,
  ],
  [`${RPC}/client_certificates`, "yes", `${RPC}/client_certificates is "yes" and must be true or false`],
  [
    `${RPC}/endorsement`,
    { authority: "ACME" },
    `${RPC}/endorsement/authority is "ACME" and must be "Service", "Node" or "Unsecured": ACME is not supported`,
  ],
  [
    `${RPC}/endorsement`,
    {},
    `${RPC}/endorsement lacks the property "authority", which must be one of "Service", "Node", "Unsecured", "ACME"`,
  ],
  [`${RPC}/protocol`, "udp", `${RPC}/protocol is "udp" and must be "tcp": UDP is not supported`],
  [
    `${RPC}/app_protocol`,
    "QUIC",
    `${RPC}/app_protocol is "QUIC" and must be "HTTP1" or "HTTP2": other protocols are not supported`,
  ],
  [
    `${RPC}/app_protocol`,
    "HTTP2",
    `${RPC}/app_protocol is "HTTP2" and must be "HTTP1", unless client_certificates is false`,
  ],
  [
    `${RPC}/max_open_sessions_soft`,
    1010,
    `${RPC}/max_open_sessions_hard is 1010 and must be above max_open_sessions_soft, 1010`,
  ],
  [`${RPC}/accepted_endpoints`, ["/app/("], `${RPC}/accepted_endpoints/0 is "/app/(" and must be a regular expression`],
  [
    `${RPC}/http_configuration`,
    { max_body_size: "1 MB" },
    `${RPC}/http_configuration/max_body_size is "1 MB" and must be a size such as "5MB": a whole number and B, KB, MB, ` +
    `GB, TB or PB (powers of 1024)`,
  ],
  [
    `${RPC}/http_configuration`,
    { max_frame_size: "1KB" },
    `${RPC}/http_configuration/max_frame_size is "1KB" and must be between 16KB and 16MB`,
  ],
  [
    `${RPC}/redirections`,
    { to_primary: { kind: "StaticAddress" } },
    `${RPC}/redirections/to_primary lacks the property "target", which must be an object`,
  ],
  [
    `${RPC}/redirections`,
    { to_backup: { kind: "NodeByRole", target: { role: "leader" } } },
    `${RPC}/redirections/to_backup/target/role is "leader" and must be one of "primary", "backup"`,
  ],
  [
    `${RPC}/enabled_operator_features`,
    ["LedgerRead"],
    `${RPC}/enabled_operator_features/0 is "LedgerRead" and must be one of "SnapshotRead"`,
  ],
  ["/command/type", "Stop", `/command/type is "Stop" and must be one of "Start", "Join", "Recover"`],
  ["/command/type", "Join", `/command lacks the property "join", which must be an object`],
  [
    "/command/start/members",
    [{ certificate_file: "a", role: 1 }],
    `/command/start/members/0 has the unknown property "role"; allowed are "certificate_file", ` +
    `"encryption_public_key_file", "data_json_file", "recovery_role"`,
  ],
  [
    "/command/start/service_configuration",
    { recovery_threshold: 1 },
    "/command/start/service_configuration/recovery_threshold is 1 and must be at most 0, the number of members with an " +
    "encryption key who take part in recovery",
  ],
  [
    "/command/start/service_configuration",
    { recovery_threshold: -1 },
    "/command/start/service_configuration/recovery_threshold is -1 and must be a whole number, at least 0",
  ],
  [
    "/consensus/election_timeout",
    "5 seconds",
    `/consensus/election_timeout is "5 seconds" and must be a time such as "100ms": a whole number and us, ms, s, min or h`,
  ],
  [
    "/consensus/election_timeout",
    "9999999999999999h",
    `/consensus/election_timeout: Cannot read "9999999999999999h" as a time: it is longer than 285 years`,
  ],
  [
    "/ledger/chunk_size",
    "4GB",
    `/ledger/chunk_size is "4GB" and must be between 1B and 2GB: a ledger file ends below 4GB`,
  ],
  [
    "/ledger/chunk_size",
    5,
    `/ledger/chunk_size is 5 and must be a size such as "5MB": a whole number and B, KB, MB, GB, ` +
    `TB or PB (powers of 1024)`,
  ],
  ["/snapshots/tx_count", 0.5, "/snapshots/tx_count is 0.5 and must be a whole number, at least 1"],
  ["/logging/format", "text", `/logging/format is "text" and must be one of "Text", "Json"`],
  [
    "/node_certificate/subject_alt_names",
    ["127.0.0.1"],
    `/node_certificate/subject_alt_names/0 is "127.0.0.1" and must be a name such as "iPAddress:127.0.0.1" or ` +
    `"dNSName:example.com"`,
  ],
  ["/durability", "sometimes", `/durability is "sometimes" and must be one of "none", "commit", "always"`],
  ["/native_app", "x".repeat(100), `/native_app is "${"x".repeat(59)}… and must be one of "logging", "smallbank"`],
];

Deno.test("parseConfig() refuses what is wrong with a sentence of file, pointer, value and what is allowed", () => {
  for (const [pointer, value, expected] of bad) {
    assert.equal(message(() => parse(changed(pointer, value))), `Cannot use node.json: ${expected}`);
  }
});

Deno.test("parseConfig() tells all mistakes at once, and no more than 20 of them", () => {
  const two = changed("/ledger", { chunk_size: "big" }) as Record<string, unknown>;
  two["durability"] = 1;
  assert.deepEqual(message(() => parse(two)).split("\n").map((line) => line.slice(0, 45)), [
    `Cannot use node.json: /ledger/chunk_size is "`,
    `Cannot use node.json: /durability is 1 and mu`,
  ]);
  const many = changed("/ledger/read_only_directories", new Array(30).fill(7));
  const lines = message(() => parse(many)).split("\n");
  assert.equal(lines.length, 21);
  assert.equal(lines[20], "node.json has 10 more mistakes");
});

Deno.test("parseConfig() refuses what is not JSON, and what is too long", () => {
  assert.match(message(() => parseConfig(`{"network":`, "a.json")), /^Cannot use a\.json: it is not JSON: /);
  assert.equal(message(() => parseConfig("[]", "a.json")), "Cannot use a.json: the file is [] and must be an object");
  assert.equal(
    message(() => parseConfig(" ".repeat(1048577), "a.json")),
    "Cannot use a.json: it is longer than 1048576 characters",
  );
});

Deno.test("resolveRecoveryThreshold() takes 0 for all who can, and refuses what nobody could meet", () => {
  const member = (encrypts: boolean, recoveryRole?: MemberConfig["recoveryRole"]): MemberConfig => ({
    certificateFile: "c.pem",
    encryptionPublicKeyFile: encrypts ? "e.pem" : undefined,
    dataJsonFile: undefined,
    recoveryRole,
  });
  const participants = [member(true), member(true, "Participant"), member(true, "NonParticipant"), member(false)];
  const owners = [member(true, "Owner"), member(true, "Owner")];
  assert.equal(resolveRecoveryThreshold(0, participants), 2);
  assert.equal(resolveRecoveryThreshold(2, participants), 2);
  assert.match(`${resolveRecoveryThreshold(3, participants)}`, /^must be at most 2/);
  assert.equal(resolveRecoveryThreshold(0, owners), 1);
  assert.equal(resolveRecoveryThreshold(1, owners), 1);
  assert.match(`${resolveRecoveryThreshold(2, owners)}`, /^must be 1, or 0/);
  assert.equal(resolveRecoveryThreshold(0, []), 0);
});

Deno.test("resolveRpcInterface() adds the port really bound and the published address, and keeps the rest as written", () => {
  const parsed = parse(changed(RPC, {
    bind_address: "[::1]:0",
    published_address: "example.com:0",
    http_configuration: { max_body_size: "200KB" },
    client_certificates: true,
  })).network.rpcInterfaces.get("primary_rpc_interface")!;
  assert.deepEqual(resolveRpcInterface(parsed, 4711), {
    bind_address: "[::1]:4711",
    published_address: "example.com:4711",
    http_configuration: { max_body_size: "200KB" },
  });
});

Deno.test("parseConfig() parses a mutated configuration or throws a FormatError, nothing else", () => {
  const text = JSON.stringify(complete);
  const survives = (mutated: string) => {
    try {
      parseConfig(mutated, "node.json");
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  };
  // Characters replaced: mostly broken JSON, sometimes broken values.
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.nat(8), fc.string({ maxLength: 4 }), (at, length, piece) => {
      survives(text.slice(0, at) + piece + text.slice(at + length));
    }),
    { numRuns: 500 },
  );
  // Values replaced: always JSON.
  const pointers: (readonly (string | number)[])[] = [];
  const collect = (value: unknown, path: readonly (string | number)[]) => {
    if (path.length > 0) pointers.push(path);
    if (typeof value !== "object" || value === null) return;
    for (const [key, child] of Object.entries(value)) collect(child, [...path, key]);
  };
  collect(complete, []);
  fc.assert(
    fc.property(fc.constantFrom(...pointers), fc.jsonValue({ maxDepth: 2 }), fc.string(), (path, value, key) => {
      const json = structuredClone(complete) as unknown as Record<string | number, unknown>;
      let at = json;
      for (const step of path.slice(0, -1)) at = at[step] as Record<string | number, unknown>;
      at[path.at(-1)!] = value;
      at[key] = value;
      survives(JSON.stringify(json));
    }),
    { numRuns: 500 },
  );
});
