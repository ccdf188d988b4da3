/**
 * What a node's configuration says, as values: milliseconds, bytes, addresses taken apart, defaults filled in.
 *
 * Types only; `config.ts` makes them from the file. Facts: operations.md §2.
 */

import type { JsonObject } from "./config_section.ts";
import type { Address } from "./units.ts";

export interface NodeConfig {
  readonly network: {
    readonly nodeToNode: { readonly bindAddress: Address; readonly publishedAddress: Address };
    /** In the order written. */
    readonly rpcInterfaces: ReadonlyMap<string, RpcInterfaceConfig>;
  };
  readonly command: CommandConfig;
  /** Written by Start and Recover; by Join read, as what to trust. */
  readonly serviceCertificateFile: string;
  readonly nodeCertificate: {
    readonly subjectName: string;
    /** "iPAddress:…" and "dNSName:…"; where empty, the host of the first RPC interface's published address counts. */
    readonly subjectAltNames: readonly string[];
    readonly curve: "Secp384R1" | "Secp256R1";
    readonly initialValidityDays: number;
  };
  readonly nodeDataJsonFile: string | undefined;
  readonly serviceDataJsonFile: string | undefined;
  readonly attestation: {
    /** Ours: what the node must run on; undefined: what is found. */
    readonly platform: "virtual" | "snp" | "tdx" | "sgx" | undefined;
    readonly snpSecurityPolicyFile: string | undefined;
    readonly snpUvmEndorsementsFile: string | undefined;
    readonly snpEndorsementsFile: string | undefined;
    readonly snpEndorsementsServers: readonly {
      readonly type: "Azure" | "AMD" | "THIM";
      readonly url: string;
      readonly maxRetriesCount: number;
    }[];
    /** Ours: what Intel says of this platform, and who is asked for it. */
    readonly dcapCollateralFile: string | undefined;
    readonly dcapCollateralServer: string | undefined;
    /** Ours: hex that stands for the node's code on the virtual platform instead of its digest. */
    readonly testOnlyHostData: string | undefined;
  };
  readonly ledger: {
    readonly directory: string;
    readonly readOnlyDirectories: readonly string[];
    readonly chunkBytes: number;
  };
  readonly snapshots: {
    readonly directory: string;
    readonly readOnlyDirectory: string | undefined;
    readonly txCount: number;
  };
  readonly logFormat: "Text" | "Json";
  readonly consensus: {
    readonly messageTimeoutMs: number;
    readonly electionTimeoutMs: number;
    /** 0 is no limit. */
    readonly maxUncommittedTransactions: number;
  };
  readonly signatures: { readonly txCount: number; readonly delayMs: number };
  readonly jwtKeyRefreshIntervalMs: number;
  readonly outputFiles: {
    readonly nodeCertificateFile: string;
    readonly pidFile: string;
    readonly nodeToNodeAddressFile: string | undefined;
    readonly rpcAddressesFile: string | undefined;
    readonly sealedLedgerSecretLocation: string | undefined;
  };
  readonly tickIntervalMs: number;
  readonly slowIoLoggingThresholdMs: number;
  readonly nodeClientInterface: string | undefined;
  readonly clientConnectionTimeoutMs: number;
  /** Undefined keeps idle connections for ever. */
  readonly idleConnectionTimeoutMs: number | undefined;
  readonly ignoreFirstSigterm: boolean;
  readonly nodeToNodeMessageLimit: number;
  readonly historicalCacheBytes: number;
  /** Ours: an app linked into the enclave instead of the members' bundle. */
  readonly nativeApp: "logging" | "smallbank" | undefined;
  /** Ours: where ledger and snapshots are kept. */
  readonly storage: "files";
  /** Ours: when ledger writes are forced to the disk: never, as CCF does; before a commit; before anything is told. */
  readonly durability: Durability;
  /** Ours: the built page of the console that the host serves; undefined: that of this checkout, where there is one. */
  readonly consoleDirectory: string | undefined;
  /** What was accepted and has no effect, one sentence each, for the log. */
  readonly warnings: readonly string[];
}

export type Durability = "none" | "commit" | "always";

export interface RpcInterfaceConfig {
  readonly name: string;
  readonly bindAddress: Address;
  /** Port 0 stands for the port bound. */
  readonly publishedAddress: Address;
  readonly appProtocol: "HTTP1" | "HTTP2";
  readonly maxOpenSessionsSoft: number;
  readonly maxOpenSessionsHard: number;
  readonly http: {
    readonly maxBodyBytes: number;
    /** Of one header name or value. */
    readonly maxHeaderBytes: number;
    readonly maxHeadersCount: number;
    readonly maxConcurrentStreams: number;
    readonly initialWindowBytes: number;
    readonly maxFrameBytes: number;
  };
  readonly authority: "Service" | "Node" | "Unsecured";
  /** Regular expressions for whole paths such as "/app/log/.*"; undefined serves all. */
  readonly acceptedEndpoints: readonly string[] | undefined;
  readonly forwardingTimeoutMs: number;
  readonly redirections: { readonly toPrimary: Redirection | undefined; readonly toBackup: Redirection | undefined };
  /** `LedgerRead` is ours. */
  readonly operatorFeatures: readonly ("SnapshotRead" | "LedgerRead")[];
  /** Ours: whether clients are asked for a certificate (decisions: listeners). Never on an unsecured interface. */
  readonly clientCertificates: boolean;
  /** As the file has it, for the ledger: without our extension keys and unknown ones, nothing added or converted. */
  readonly asWritten: JsonObject;
}

export type Redirection =
  | { readonly kind: "NodeByRole"; readonly role: "primary" | "backup"; readonly interfaceName: string | undefined }
  | { readonly kind: "StaticAddress"; readonly address: string };

export type CommandConfig =
  | {
    readonly type: "Start";
    readonly constitutionFiles: readonly string[];
    readonly members: readonly MemberConfig[];
    readonly serviceConfiguration: {
      /** Never the 0 that stands for "all": see `resolveRecoveryThreshold`. */
      readonly recoveryThreshold: number;
      readonly maximumNodeCertificateValidityDays: number;
      readonly maximumServiceCertificateValidityDays: number;
      /** Undefined where the file does not name it: the ledger does not name it then either. */
      readonly recentCoseProposalsWindowSize: number | undefined;
    };
    readonly initialServiceCertificateValidityDays: number;
    readonly serviceSubjectName: string;
    readonly coseSignatures: { readonly issuer: string; readonly subject: string };
  }
  | {
    readonly type: "Join";
    readonly targetRpcAddress: Address;
    readonly retryTimeoutMs: number;
    readonly followRedirect: boolean;
    readonly fetchRecentSnapshot: boolean;
    readonly fetchSnapshotMaxAttempts: number;
    readonly fetchSnapshotRetryIntervalMs: number;
    readonly fetchSnapshotMaxBytes: number;
  }
  | {
    readonly type: "Recover";
    readonly previousServiceIdentityFile: string;
    readonly initialServiceCertificateValidityDays: number;
    readonly previousSealedLedgerSecretLocation: string | undefined;
    readonly selfHealingOpen: SelfHealingOpen | undefined;
  };

export interface MemberConfig {
  readonly certificateFile: string;
  readonly encryptionPublicKeyFile: string | undefined;
  readonly dataJsonFile: string | undefined;
  readonly recoveryRole: "NonParticipant" | "Participant" | "Owner" | undefined;
}

export interface SelfHealingOpen {
  readonly identity: HealingIdentity;
  readonly clusterIdentities: readonly HealingIdentity[];
  readonly retryTimeoutMs: number;
  readonly failoverTimeoutMs: number;
}

export interface HealingIdentity {
  readonly intrinsicId: string;
  readonly publishedAddress: string;
}
