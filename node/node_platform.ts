/**
 * What this node runs on, as the host has it: detected or configured, asked for evidence, and with what endorses it.
 *
 * In: the configuration, the files that it names, a way to perform operations on devices. Out: what the enclave is told, and
 * evidence when it asks. What protects nothing says so at every start.
 * Rules: nodes-and-attestation.md §8, attestation/formats.md §5; keys of the configuration: operations.md §2
 */

import { dirname } from "node:path";
import { FormatError } from "../shared/assert.ts";
import { fromBase64, fromUtf8, toUtf8 } from "../shared/bytes.ts";
import type { SnpPins } from "../shared/attestation/snp_chain.ts";
import { loadNativePrimitives } from "../enclave/native_primitives.ts";
import type {
  CommonConfig,
  HardwarePlatform,
  LogLevel,
  PlatformEvidence,
  VirtualPlatform,
} from "../enclave/messages.ts";
import { detectPlatform } from "../enclave/platform/detect.ts";
import { type DeviceOperation, type DeviceOutcome, PlatformFailure } from "../enclave/platform/devices.ts";
import { hardwarePlatform, type Platform } from "../enclave/platform/platform.ts";
import { followWith } from "./attestation_devices.ts";
import { codeDigest } from "./code_digest.ts";
import { type AttestationFiles, expandEnvironment, readAttestationFiles, type ReadTextFile } from "./config_files.ts";
import { dcapCollateral } from "./dcap_collateral.ts";
import type { NodeConfig } from "./node_config.ts";
import { DEFAULT_SERVERS } from "./snp_endorsement_sources.ts";
import { snpEndorsements } from "./snp_endorsements.ts";
import { StartFailure } from "./start_failure.ts";

export interface NodePlatform {
  /** What the enclave is told. */
  readonly told: CommonConfig["platform"];
  /** What an operator must know. */
  readonly notices: readonly { readonly level: LogLevel; readonly message: string }[];
  /** Gets evidence over report data. @throws PlatformFailure */
  quote(reportData: Uint8Array, log: Log, signal: AbortSignal): Promise<PlatformEvidence>;
}

export type Log = (level: LogLevel, message: string) => void;

export interface PlatformOptions {
  readonly config: NodeConfig;
  readonly perform: (operation: DeviceOperation) => Promise<DeviceOutcome>;
  readonly readTextFile: ReadTextFile;
  readonly environment: (name: string) => string | undefined;
  /** Where another node has made itself at home too: a name that nobody else uses. */
  readonly name: string;
  readonly now: () => number;
  /** AMD's and Intel's own keys unless said otherwise. */
  readonly pins?: SnpPins;
  readonly intelPins?: readonly string[];
}

/**
 * Looks for the platform.
 *
 * @throws StartFailure where the configured one is not there, or one that is there cannot be used
 */
export async function openPlatform(options: PlatformOptions): Promise<NodePlatform> {
  const { config, perform, name } = options;
  try {
    const detected = await followWith(detectPlatform(config.attestation.platform, name), perform);
    if (detected.kind === "virtual") return virtualPlatform(config, detected.notice);
    if (config.attestation.testOnlyHostData !== undefined) {
      throw new FormatError(
        "Cannot use /attestation/test_only_host_data: this machine has host data of its own; take that key out",
      );
    }
    const files = await readAttestationFiles(config, options.readTextFile, options.environment);
    const platform = hardwarePlatform(detected, name);
    return detected.kind === "snp"
      ? snpNode(platform, files, options)
      : dcapNode(detected.kind, platform, files, options);
  } catch (error) {
    if (error instanceof PlatformFailure || error instanceof FormatError) throw new StartFailure(error.message);
    throw error;
  }
}

/** @param why the node is virtual, in a few words */
export function virtualPlatform(
  config: NodeConfig,
  why: string,
): NodePlatform & { readonly told: VirtualPlatform } {
  const { attestation } = config;
  const notices: { level: LogLevel; message: string }[] = [{
    level: "fail",
    message:
      `Virtual platform (${why}): nothing protects this node and its secrets from whoever runs this machine, and ` +
      "its evidence proves nothing",
  }];
  notices.push(...ignoredKeys(config, [...OF_SNP, ...OF_DCAP]));
  return {
    told: { kind: "virtual", hostData: attestation.testOnlyHostData ?? codeDigest() },
    notices,
    quote: () => Promise.reject(new PlatformFailure("Cannot get evidence of a virtual platform: there is no hardware")),
  };
}

/** @throws FormatError where the files that this node must show cannot be read */
function snpNode(platform: Platform, files: AttestationFiles, options: PlatformOptions): NodePlatform {
  const { config, perform, now, pins } = options;
  const { attestation } = config;
  const securityPolicy = requiredFile(
    files.securityPolicy,
    attestation.snpSecurityPolicyFile,
    "snp_security_policy_file",
  );
  const uvm = requiredFile(files.uvmEndorsements, attestation.snpUvmEndorsementsFile, "snp_uvm_endorsements_file");
  const told: HardwarePlatform = {
    kind: "snp",
    securityPolicy: securityPolicy === undefined ? null : fromUtf8(securityPolicy),
  };
  const configured = attestation.snpEndorsementsServers.map((server) => ({
    ...server,
    url: expandEnvironment(server.url, options.environment),
  }));
  const primitives = loadNativePrimitives();
  return {
    told,
    notices: hardwareNotices(platform, files, config, OF_DCAP),
    quote: async (reportData, log, signal) => {
      const { quote, certificates } = await followWith(platform.evidence(reportData), perform);
      const { pem, endorsedTcb } = await snpEndorsements({
        report: quote,
        certificates,
        file: files.endorsements,
        servers: configured.length === 0 ? DEFAULT_SERVERS : configured,
        cacheDirectory: dirname(config.ledger.directory),
        nowMs: now(),
        primitives,
        log,
        signal,
        ...(pins !== undefined && { pins }),
      });
      return {
        quote,
        endorsements: toUtf8(pem),
        ...(uvm !== undefined && { uvmEndorsements: uvm }),
        ...(endorsedTcb !== undefined && { endorsedTcb }),
      };
    },
  };
}

/** @throws FormatError */
function dcapNode(
  kind: "tdx" | "sgx",
  platform: Platform,
  files: AttestationFiles,
  { config, perform, now, intelPins, environment }: PlatformOptions,
): NodePlatform {
  const { dcapCollateralServer } = config.attestation;
  const primitives = loadNativePrimitives();
  return {
    told: { kind },
    notices: hardwareNotices(platform, files, config, OF_SNP),
    quote: async (reportData, log, signal) => {
      const { quote } = await followWith(platform.evidence(reportData), perform);
      const endorsements = await dcapCollateral({
        kind,
        quote,
        file: files.dcapCollateral,
        server: dcapCollateralServer === undefined ? undefined : expandEnvironment(dcapCollateralServer, environment),
        cacheDirectory: dirname(config.ledger.directory),
        nowMs: now(),
        primitives,
        log,
        signal,
        ...(intelPins !== undefined && { pins: intelPins }),
      });
      return { quote, endorsements };
    },
  };
}

/** Keys of /attestation, each for one kind of hardware, and how to see whether they are there. */
type Key = readonly [name: string, isSet: (attestation: NodeConfig["attestation"]) => boolean];
const OF_SNP: readonly Key[] = [
  ["snp_security_policy_file", ({ snpSecurityPolicyFile }) => snpSecurityPolicyFile !== undefined],
  ["snp_uvm_endorsements_file", ({ snpUvmEndorsementsFile }) => snpUvmEndorsementsFile !== undefined],
  ["snp_endorsements_file", ({ snpEndorsementsFile }) => snpEndorsementsFile !== undefined],
  ["snp_endorsements_servers", ({ snpEndorsementsServers }) => snpEndorsementsServers.length > 0],
];
const OF_DCAP: readonly Key[] = [
  ["dcap_collateral_file", ({ dcapCollateralFile }) => dcapCollateralFile !== undefined],
  ["dcap_collateral_server", ({ dcapCollateralServer }) => dcapCollateralServer !== undefined],
];

function ignoredKeys({ attestation }: NodeConfig, keys: readonly Key[]): { level: LogLevel; message: string }[] {
  const ignored = keys.filter(([, isSet]) => isSet(attestation)).map(([name]) => name);
  if (ignored.length === 0) return [];
  return [{ level: "fail", message: `Of /attestation, ${ignored.join(", ")}: without effect on this platform` }];
}

function hardwareNotices(
  { kind }: Platform,
  { warnings }: AttestationFiles,
  config: NodeConfig,
  ofOthers: readonly Key[],
): NodePlatform["notices"] {
  return [
    { level: "info", message: `This machine is protected by ${PLATFORM_NAMES[kind]}` },
    ...warnings.map((message) => ({ level: "fail" as const, message })),
    ...ignoredKeys(config, ofOthers),
  ];
}

const PLATFORM_NAMES = { virtual: "nothing", snp: "AMD SEV-SNP", tdx: "Intel TDX", sgx: "Intel SGX" } as const;

/** What is configured and not there must not be done without: it may be what members look at. */
function requiredFile(base64: string | undefined, path: string | undefined, key: string): Uint8Array | undefined {
  if (path === undefined) return undefined;
  if (base64 === undefined) {
    throw new FormatError(`Cannot start without ${JSON.stringify(path)}, which /attestation/${key} names`);
  }
  try {
    return fromBase64(base64);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`Cannot read ${JSON.stringify(path)}, which /attestation/${key} names: it is not base64`);
  }
}
