import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../shared/assert.ts";
import { parseConfig, resolveRecoveryThreshold, resolveRpcInterface } from "./config.ts";
import type { MemberConfig } from "./node_config.ts";
import { changed, complete, minimal, parse, RPC } from "./config_fixtures.ts";

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
      platform: undefined,
      snpSecurityPolicyFile: undefined,
      snpUvmEndorsementsFile: undefined,
      snpEndorsementsFile: undefined,
      snpEndorsementsServers: [],
      dcapCollateralFile: undefined,
      dcapCollateralServer: undefined,
      testOnlyHostData: undefined,
    },
    ledger: { directory: "ledger", readOnlyDirectories: [], chunkBytes: 5 * 1024 * 1024 },
    snapshots: { directory: "snapshots", readOnlyDirectory: undefined, txCount: 10000 },
    logFormat: "Text",
    consensus: { messageTimeoutMs: 100, electionTimeoutMs: 5000, maxUncommittedTransactions: 10000 },
    signatures: { txCount: 5000, delayMs: 100 },
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
    consoleDirectory: undefined,
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
    operatorFeatures: ["SnapshotRead", "LedgerRead"],
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
      platform: "snp",
      snpSecurityPolicyFile: "$UVM_SECURITY_CONTEXT_DIR/policy",
      snpUvmEndorsementsFile: undefined,
      snpEndorsementsFile: undefined,
      snpEndorsementsServers: [
        { type: "AMD", url: "kdsintf.amd.com", maxRetriesCount: 3 },
        { type: "Azure", url: "cache.example.com", maxRetriesCount: 5 },
      ],
      dcapCollateralFile: "collateral.json",
      dcapCollateralServer: "pccs.example.com:8081",
      testOnlyHostData: "ab".repeat(32),
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
    consoleDirectory: "console/dist/app",
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
      if (key !== "length") at[key] = value; // of an array it would have to be a number
      survives(JSON.stringify(json));
    }),
    { numRuns: 500 },
  );
});
