/**
 * From a configuration and its files to what the enclave is told to start a service.
 */

import type { CurveName } from "../shared/crypto/primitives.ts";
import type { LogLevel, RpcInterface, StartConfig } from "../enclave/messages.ts";
import { codeDigest } from "./code_digest.ts";
import type { ConfigFiles } from "./config_files.ts";
import type { NodeConfig } from "./node_config.ts";
import { StartFailure } from "./start_failure.ts";
import { formatAddress } from "./units.ts";

const CURVES: Readonly<Record<string, CurveName>> = { Secp384R1: "P-384", Secp256R1: "P-256" };

/**
 * What the enclave is told to start a new service.
 *
 * @param rpcInterfaces as the ledger keeps them, with the ports really bound
 * @throws StartFailure where the configuration asks for what is not there yet
 */
export function startConfig(
  config: NodeConfig,
  files: ConfigFiles,
  rpcInterfaces: Readonly<Record<string, RpcInterface>>,
  logLevel: LogLevel,
): StartConfig {
  const { command, network, nodeCertificate } = config;
  if (command.type !== "Start" || files.command.type !== "Start") {
    throw new StartFailure(`Cannot run the command ${command.type}: only Start is available in this version`);
  }
  if (config.nativeApp === "smallbank") {
    throw new StartFailure('Cannot run the native app "smallbank": only "logging" is available in this version');
  }
  const { publishedAddress, bindAddress } = network.nodeToNode;
  const { recentCoseProposalsWindowSize, ...configuration } = command.serviceConfiguration;
  return {
    nodeToNodeInterface: {
      bind_address: formatAddress(bindAddress),
      published_address: formatAddress(publishedAddress),
    },
    rpcInterfaces,
    node: {
      subjectName: nodeCertificate.subjectName,
      subjectAltNames: subjectAltNames(config),
      curve: CURVES[nodeCertificate.curve]!,
      initialValidityDays: nodeCertificate.initialValidityDays,
      data: files.nodeData,
    },
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
    platform: { kind: "virtual", hostData: codeDigest() },
    signatures: config.signatures,
    chunkBytes: config.ledger.chunkBytes,
    snapshotTxCount: config.snapshots.txCount,
    consensus: config.consensus,
    nodeToNodeMessageLimit: config.nodeToNodeMessageLimit,
    ...(config.nativeApp !== undefined && { nativeApp: config.nativeApp }),
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
