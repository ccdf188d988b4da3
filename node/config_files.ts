/**
 * Reads the files that a configuration names: constitution, members' certificates and keys, JSON data.
 *
 * In: `NodeConfig` and a way to read a text file. Out: their contents, or a FormatError that names each missing file with
 * the key that named it. Relative paths count from the working directory of the process, as in CCF.
 * Facts: operations.md §2, src/host/run.cpp of CCF
 */

import { FormatError } from "../shared/assert.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { parseRsaPublicKey } from "../shared/crypto/rsa.ts";
import { parseCertificate } from "../shared/crypto/x509.ts";
import { MAX_CONFIGURED_FILE_BYTES } from "../shared/limits.ts";
import type { CommandConfig, NodeConfig } from "./node_config.ts";

export interface ConfigFiles {
  readonly command: CommandFiles;
  /** Parsed JSON; null where the configuration names no file. */
  readonly nodeData: unknown;
  /** Parsed JSON; null where the configuration names no file, and for Join, which has no use for it. */
  readonly serviceData: unknown;
}

export type CommandFiles =
  | {
    readonly type: "Start";
    /** One text a file, in order. */
    readonly constitution: readonly string[];
    readonly members: readonly MemberFiles[];
  }
  | { readonly type: "Join"; readonly serviceCertificatePem: string }
  | { readonly type: "Recover"; readonly previousServiceIdentityPem: string };

export interface MemberFiles {
  readonly certificatePem: string;
  readonly encryptionPublicKeyPem: string | undefined;
  readonly data: unknown;
  /** Quirk of CCF: a role counts only for a member with an encryption key. */
  readonly recoveryRole: "NonParticipant" | "Participant" | "Owner" | undefined;
}

export interface AttestationFiles {
  /** Base64 text each, undefined where the configuration names no file or the file cannot be read. */
  readonly securityPolicy: string | undefined;
  readonly uvmEndorsements: string | undefined;
  readonly endorsements: string | undefined;
  /** JSON text: what Intel says of the platform, where there is such a file. */
  readonly dcapCollateral: string | undefined;
  /** A sentence for each file that could not be read. */
  readonly warnings: readonly string[];
}

/** Reads one text file; what it throws becomes part of the message. */
export type ReadTextFile = (path: string) => Promise<string>;

/**
 * Reads every file that the configuration's command needs.
 *
 * @throws FormatError, one sentence a line for each file that is missing, too long or not what it must be
 */
export async function readConfigFiles(config: NodeConfig, readTextFile: ReadTextFile): Promise<ConfigFiles> {
  const files = new NamedFiles(readTextFile);
  const result: ConfigFiles = {
    command: await readCommandFiles(config.command, config.serviceCertificateFile, files),
    nodeData: await files.json(config.nodeDataJsonFile, "/node_data_json_file"),
    serviceData: config.command.type === "Join"
      ? null
      : await files.json(config.serviceDataJsonFile, "/service_data_json_file"),
  };
  files.throwProblems();
  return result;
}

/**
 * Reads what a node on hardware shows about its machine. `$NAME` pieces of these paths stand for environment variables.
 * Missing files are warnings: the endorsements can come from a server.
 */
export async function readAttestationFiles(
  config: NodeConfig,
  readTextFile: ReadTextFile,
  environment: (name: string) => string | undefined,
): Promise<AttestationFiles> {
  const files = new NamedFiles(readTextFile);
  const read = async (path: string | undefined, key: string) => {
    if (path === undefined) return undefined;
    const text = await files.optional(expandEnvironment(path, environment), `/attestation/${key}`);
    return text?.trim();
  };
  const { attestation } = config;
  const securityPolicy = await read(attestation.snpSecurityPolicyFile, "snp_security_policy_file");
  const uvmEndorsements = await read(attestation.snpUvmEndorsementsFile, "snp_uvm_endorsements_file");
  const endorsements = await read(attestation.snpEndorsementsFile, "snp_endorsements_file");
  const dcapCollateral = await read(attestation.dcapCollateralFile, "dcap_collateral_file");
  return { securityPolicy, uvmEndorsements, endorsements, dcapCollateral, warnings: files.problems };
}

/** Replaces each path piece that is `$NAME` by the variable's value; an unset one stays as written. */
export function expandEnvironment(path: string, environment: (name: string) => string | undefined): string {
  return path.split("/").map((piece) => {
    const name = /^\$(?:\{(\w+)\}|(\w+))$/.exec(piece);
    return name === null ? piece : environment(name[1] ?? name[2] ?? "") ?? piece;
  }).join("/");
}

async function readCommandFiles(
  command: CommandConfig,
  serviceCertificateFile: string,
  files: NamedFiles,
): Promise<CommandFiles> {
  switch (command.type) {
    case "Join":
      return {
        type: "Join",
        serviceCertificatePem: await files.certificate(serviceCertificateFile, "/command/service_certificate_file"),
      };
    case "Recover":
      return {
        type: "Recover",
        previousServiceIdentityPem: await files.certificate(
          command.previousServiceIdentityFile,
          "/command/recover/previous_service_identity_file",
        ),
      };
    case "Start": {
      const constitution: string[] = [];
      for (const [i, path] of command.constitutionFiles.entries()) {
        constitution.push(await files.text(path, `/command/start/constitution_files/${i}`));
      }
      const members: MemberFiles[] = [];
      for (const [i, member] of command.members.entries()) {
        const key = `/command/start/members/${i}`;
        const keyFile = member.encryptionPublicKeyFile;
        members.push({
          certificatePem: await files.certificate(member.certificateFile, `${key}/certificate_file`),
          encryptionPublicKeyPem: keyFile === undefined
            ? undefined
            : await files.rsaPublicKey(keyFile, `${key}/encryption_public_key_file`),
          data: await files.json(member.dataJsonFile, `${key}/data_json_file`),
          recoveryRole: keyFile === undefined ? undefined : member.recoveryRole,
        });
      }
      return { type: "Start", constitution, members };
    }
  }
}

/** Reads files and collects what is wrong with them, so that an operator sees all of it at once. */
class NamedFiles {
  readonly problems: string[] = [];
  readonly #read: ReadTextFile;

  constructor(read: ReadTextFile) {
    this.#read = read;
  }

  async optional(path: string, key: string): Promise<string | undefined> {
    try {
      const text = await this.#read(path);
      if (text.length <= MAX_CONFIGURED_FILE_BYTES) return text;
      this.#refuse(path, key, `it is longer than ${MAX_CONFIGURED_FILE_BYTES} characters`);
    } catch (error) {
      this.#refuse(path, key, reason(error));
    }
    return undefined;
  }

  async text(path: string, key: string): Promise<string> {
    return await this.optional(path, key) ?? "";
  }

  certificate(path: string, key: string): Promise<string> {
    return this.#pem(path, key, (text) => void parseCertificate(parsePemBlock(text, "CERTIFICATE")));
  }

  rsaPublicKey(path: string, key: string): Promise<string> {
    return this.#pem(path, key, (text) => void parseRsaPublicKey(parsePemBlock(text, "PUBLIC KEY")));
  }

  /** Read here as the enclave will read it, so that an operator learns beforehand that it cannot. */
  async #pem(path: string, key: string, parse: (text: string) => void): Promise<string> {
    const text = await this.optional(path, key);
    if (text === undefined) return "";
    // Whoever names a private key here has mixed up two files, and it must go no further.
    if (text.includes("PRIVATE KEY-----")) {
      this.#refuse(path, key, "it is a private key; name the certificate or the public key");
      return text;
    }
    try {
      parse(text);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#refuse(path, key, error.message);
    }
    return text;
  }

  async json(path: string | undefined, key: string): Promise<unknown> {
    if (path === undefined) return null;
    const text = await this.optional(path, key);
    if (text === undefined) return null;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      this.#refuse(path, key, "it is not JSON");
      return null;
    }
  }

  /** @throws FormatError */
  throwProblems(): void {
    if (this.problems.length > 0) throw new FormatError(this.problems.join("\n"));
  }

  #refuse(path: string, key: string, why: string): void {
    this.problems.push(`Cannot read ${JSON.stringify(path)}, named by ${key}: ${why}`);
  }
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return "reading it is not permitted";
  }
  return error instanceof Error ? error.message : String(error);
}
