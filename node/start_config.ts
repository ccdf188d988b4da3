/**
 * From a configuration and its files to the first thing that the enclave is told: start a service, or join one.
 */

import type { CurveName } from "../shared/crypto/primitives.ts";
import type { CommonConfig, JoinConfig, LogLevel, RpcInterface, StartConfig } from "../enclave/messages.ts";
import { SIGNATURE_QUIET_MS } from "../shared/limits.ts";
import type { ConfigFiles } from "./config_files.ts";
import type { NodeConfig } from "./node_config.ts";
import { StartFailure } from "./start_failure.ts";
import { formatAddress } from "./units.ts";

const CURVES: Readonly<Record<string, CurveName>> = { Secp384R1: "P-384", Secp256R1: "P-256" };

/** @throws StartFailure where the configuration asks for what is not there yet */
export function requireAvailable({ command, nativeApp }: NodeConfig): void {
  if (command.type === "Recover") {
    throw new StartFailure("Cannot run the command Recover: only Start and Join are available in this version");
  }
  if (nativeApp === "smallbank") {
    throw new StartFailure('Cannot run the native app "smallbank": only "logging" is available in this version');
  }
}

/** What an operator must know of a configuration that is used. */
export function startNotices(
  { attestation, outputFiles }: NodeConfig,
): readonly { level: LogLevel; message: string }[] {
  const notices: { level: LogLevel; message: string }[] = [];
  if (attestation.testOnlyHostData !== undefined) {
    notices.push({
      level: "fail",
      message: "The host data of this node is /attestation/test_only_host_data and not the digest of its code: " +
        "take this key out of every configuration that is not a test's",
    });
  }
  if (outputFiles.sealedLedgerSecretLocation !== undefined) {
    notices.push({
      level: "fail",
      message:
        "Ledger secrets are not sealed in this version: /output_files/sealed_ledger_secret_location has no effect",
    });
  }
  return notices;
}

/**
 * What the enclave is told to start a new service.
 *
 * @param rpcInterfaces as the ledger keeps them, with the ports really bound
 * @param platform what the node runs on
 * @param nodeToNodePort the one really bound
 * @throws StartFailure as `requireAvailable`, and where the command is another one
 */
export function startConfig(
  config: NodeConfig,
  files: ConfigFiles,
  rpcInterfaces: Readonly<Record<string, RpcInterface>>,
  platform: CommonConfig["platform"],
  logLevel: LogLevel,
  nodeToNodePort: number = config.network.nodeToNode.bindAddress.port,
): StartConfig {
  const { command } = config;
  if (command.type !== "Start" || files.command.type !== "Start") {
    throw new StartFailure(`Cannot start a new service: the command of the configuration is ${command.type}`);
  }
  const { recentCoseProposalsWindowSize, ...configuration } = command.serviceConfiguration;
  return {
    ...commonConfig(config, files, rpcInterfaces, platform, logLevel, nodeToNodePort),
    service: {
      subjectName: command.serviceSubjectName,
      initialValidityDays: command.initialServiceCertificateValidityDays,
      data: files.serviceData,
      configuration: {
        ...configuration,
        ...(recentCoseProposalsWindowSize !== undefined && { recentCoseProposalsWindowSize }),
      },
      constitution: files.command.constitution,
      members: files.command.members.map(({ encryptionPublicKeyPem, recoveryRole, ...member }) => ({
        ...member,
        ...(encryptionPublicKeyPem !== undefined && { encryptionPublicKeyPem }),
        ...(recoveryRole !== undefined && { recoveryRole }),
      })),
      coseSignatures: command.coseSignatures,
    },
  };
}

/** What the enclave is told to join a service. Parameters and errors as for `startConfig`. */
export function joinConfig(
  config: NodeConfig,
  files: ConfigFiles,
  rpcInterfaces: Readonly<Record<string, RpcInterface>>,
  platform: CommonConfig["platform"],
  logLevel: LogLevel,
  nodeToNodePort: number = config.network.nodeToNode.bindAddress.port,
): JoinConfig {
  const { command } = config;
  if (command.type !== "Join" || files.command.type !== "Join") {
    throw new StartFailure(`Cannot join a service: the command of the configuration is ${command.type}`);
  }
  return {
    ...commonConfig(config, files, rpcInterfaces, platform, logLevel, nodeToNodePort),
    servicePem: files.command.serviceCertificatePem,
    targetAddress: formatAddress(command.targetRpcAddress),
    retryTimeoutMs: command.retryTimeoutMs,
    followRedirect: command.followRedirect,
  };
}

function commonConfig(
  config: NodeConfig,
  files: ConfigFiles,
  rpcInterfaces: Readonly<Record<string, RpcInterface>>,
  platform: CommonConfig["platform"],
  logLevel: LogLevel,
  nodeToNodePort: number,
): CommonConfig {
  requireAvailable(config);
  const { nodeCertificate, network, nativeApp } = config;
  const { bindAddress, publishedAddress: { host, port } } = network.nodeToNode;
  return {
    nodeToNodeInterface: {
      bind_address: formatAddress({ host: bindAddress.host, port: nodeToNodePort }),
      published_address: formatAddress({ host, port: port === 0 ? nodeToNodePort : port }),
    },
    rpcInterfaces,
    node: {
      subjectName: nodeCertificate.subjectName,
      subjectAltNames: subjectAltNames(config),
      curve: CURVES[nodeCertificate.curve]!,
      initialValidityDays: nodeCertificate.initialValidityDays,
      data: files.nodeData,
    },
    platform,
    signatures: { ...config.signatures, quietMs: SIGNATURE_QUIET_MS },
    chunkBytes: config.ledger.chunkBytes,
    snapshotTxCount: config.snapshots.txCount,
    consensus: config.consensus,
    nodeToNodeMessageLimit: config.nodeToNodeMessageLimit,
    ...(nativeApp !== undefined && { nativeApp: nativeApp as "logging" }),
    logLevel,
  };
}

/** Where none are configured: the host of the first interface (operations.md §2). */
function subjectAltNames({ nodeCertificate, network }: NodeConfig): readonly string[] {
  if (nodeCertificate.subjectAltNames.length > 0) return nodeCertificate.subjectAltNames;
  const [first] = network.rpcInterfaces.values();
  if (first === undefined) return [];
  const { host } = first.publishedAddress;
  return [/^[0-9.]+$|:/.test(host) ? `iPAddress:${host}` : `dNSName:${host}`];
}
