/**
 * The sandbox: one node, members, a user, a constitution and an app, from nothing, for trying things out.
 *
 * In: where and how many. Out: a workspace with credentials and configurations under CCF's file names.
 * What it makes is as good as a real service's but for one thing: all keys lie in one folder.
 */

import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateEcPrivateKey, serialiseEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { serialisePem } from "../shared/crypto/pem.ts";
import type { Random } from "../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import type { AppBundle, ServiceOpening } from "../enclave/messages.ts";
import { UsageError } from "./commands/exit.ts";
import { formatAddress } from "./units.ts";

export interface SandboxOptions {
  readonly workspace: string;
  readonly host: string;
  /** Of the first interface; 0: the operating system chooses every port. */
  readonly port: number;
  readonly members: number;
  readonly users: number;
  readonly appFolder: string;
  readonly constitutionFolder: string;
  readonly nativeApp: string | undefined;
}

export const DEFAULT_APP_FOLDER = fileURLToPath(new URL("../getting_started/app", import.meta.url));
export const DEFAULT_CONSTITUTION_FOLDER = fileURLToPath(new URL("../getting_started/constitution", import.meta.url));

/** Certificates of members and users last for a year. */
const VALIDITY_DAYS = 365;
/** The node's and the service's own last for as long as anybody will keep a sandbox. */
const SERVICE_VALIDITY_DAYS = 90;
const CONSTITUTION_FILES = ["actions.js", "validate.js", "resolve.js", "apply.js"];
/** Distance between the ports of a node's interfaces: with client certificates, for the web, between nodes. */
const WEB_PORT_STEP = 1000;
const NODE_PORT_STEP = 2000;

export interface Sandbox {
  /** Absolute path of the folder with the credentials. */
  readonly commonFolder: string;
  readonly nodeFolder: string;
  /** Text of the node's configuration, also in `config.json` of its folder. */
  readonly configFile: string;
  readonly opening: ServiceOpening;
}

/** The ports that a sandbox node needs, apart from those that the operating system chooses. */
export function sandboxPorts(port: number): { rpc: number; web: number; nodeToNode: number } {
  if (port === 0) return { rpc: 0, web: 0, nodeToNode: 0 };
  return { rpc: port, web: port + WEB_PORT_STEP, nodeToNode: port + NODE_PORT_STEP };
}

/**
 * Makes keys, certificates and configuration in an empty workspace.
 *
 * @throws UsageError where the app or the constitution cannot be read
 */
export function createSandbox(options: SandboxOptions, random: Random, nowMs: number): Sandbox {
  const opening: { app?: AppBundle } = options.nativeApp === undefined ? { app: readBundle(options.appFolder) } : {};
  const constitution = readConstitution(options.constitutionFolder);
  const commonFolder = join(options.workspace, "sandbox_common");
  const nodeFolder = join(options.workspace, "node0");
  Deno.mkdirSync(commonFolder, { recursive: true });
  Deno.mkdirSync(nodeFolder, { recursive: true });
  const members: unknown[] = [];
  for (let i = 0; i < options.members; i++) {
    const name = `member${i}`;
    writeIdentity(commonFolder, name, random, nowMs);
    writeEncryptionKeys(commonFolder, name);
    members.push({
      certificate_file: join(commonFolder, `${name}_cert.pem`),
      encryption_public_key_file: join(commonFolder, `${name}_enc_pubk.pem`),
    });
  }
  const users: { certificatePem: string }[] = [];
  for (let i = 0; i < options.users; i++) {
    users.push({ certificatePem: writeIdentity(commonFolder, `user${i}`, random, nowMs) });
  }
  const config = nodeConfig(options, nodeFolder, commonFolder, members, constitution);
  const configFile = join(nodeFolder, "config.json");
  Deno.writeTextFileSync(configFile, JSON.stringify(config, null, 2) + "\n");
  return { commonFolder, nodeFolder, configFile, opening: { users, ...opening } };
}

function nodeConfig(
  { host, port, members: memberCount, nativeApp }: SandboxOptions,
  nodeFolder: string,
  commonFolder: string,
  members: readonly unknown[],
  constitutionFiles: readonly string[],
): unknown {
  const ports = sandboxPorts(port);
  const address = (port: number) => formatAddress({ host, port });
  const kind = /^[0-9.]+$|:/.test(host) ? "iPAddress" : "dNSName";
  const names = [`${kind}:${host}`, ...(host === "localhost" ? [] : ["dNSName:localhost"])];
  return {
    network: {
      node_to_node_interface: { bind_address: address(ports.nodeToNode) },
      rpc_interfaces: {
        primary_rpc_interface: { bind_address: address(ports.rpc), enabled_operator_features: ["SnapshotRead"] },
        web_rpc_interface: { bind_address: address(ports.web), client_certificates: false },
      },
    },
    node_certificate: { subject_alt_names: names, initial_validity_days: SERVICE_VALIDITY_DAYS },
    command: {
      type: "Start",
      service_certificate_file: join(commonFolder, "service_cert.pem"),
      start: {
        constitution_files: constitutionFiles,
        members,
        initial_service_certificate_validity_days: SERVICE_VALIDITY_DAYS,
        service_configuration: { recovery_threshold: Math.floor(memberCount / 2) + 1 },
        cose_signatures: { issuer: "quorate.sandbox", subject: "ledger.signature" },
      },
    },
    ledger: { directory: join(nodeFolder, "ledger") },
    snapshots: { directory: join(nodeFolder, "snapshots") },
    output_files: {
      node_certificate_file: join(nodeFolder, "nodecert.pem"),
      pid_file: join(nodeFolder, "node.pid"),
      rpc_addresses_file: join(nodeFolder, "rpc_addresses.json"),
    },
    ...(nativeApp === undefined ? {} : { native_app: nativeApp }),
  };
}

/** `NAME_cert.pem` and `NAME_privk.pem`: an EC key on P-384 and a self-signed certificate. */
function writeIdentity(folder: string, name: string, random: Random, nowMs: number): string {
  const key = generateEcPrivateKey("P-384", random);
  const fields = memberCertificate({
    key: key.publicKey,
    subject: nameFromConfiguration(`CN=${name}`),
    validity: validityOfDays(nowMs, VALIDITY_DAYS),
    serial: randomSerial(random),
  });
  const certificatePem = serialiseCertificatePem(signCertificate(fields, key));
  Deno.writeTextFileSync(join(folder, `${name}_cert.pem`), certificatePem);
  Deno.writeTextFileSync(join(folder, `${name}.curl`), curlConfig(folder, name));
  writeSecret(join(folder, `${name}_privk.pem`), serialisePem("PRIVATE KEY", serialiseEcPrivateKey(key)));
  return certificatePem;
}

/** Options for `curl --config`: whom to trust, and who calls. */
function curlConfig(folder: string, name: string): string {
  const file = (suffix: string) => JSON.stringify(join(folder, suffix));
  return `cacert = ${file("service_cert.pem")}
cert = ${file(`${name}_cert.pem`)}
key = ${file(`${name}_privk.pem`)}
`;
}

/** `NAME_enc_pubk.pem` and `NAME_enc_privk.pem`: an RSA key pair for recovery shares. */
function writeEncryptionKeys(folder: string, name: string): void {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  Deno.writeTextFileSync(join(folder, `${name}_enc_pubk.pem`), publicKey);
  writeSecret(join(folder, `${name}_enc_privk.pem`), privateKey);
}

/** Only the owner may read it. */
function writeSecret(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { mode: 0o600 });
}

/** Paths of a constitution's files: the four with fixed names, then the others by name. */
function readConstitution(folder: string): string[] {
  const names = listFolder(folder, "constitution").filter((name) => name.endsWith(".js"));
  for (const name of CONSTITUTION_FILES) {
    if (!names.includes(name)) throw new UsageError(`Cannot use the constitution in ${folder}: it has no ${name}`);
  }
  const others = names.filter((name) => !CONSTITUTION_FILES.includes(name)).sort();
  return [...CONSTITUTION_FILES, ...others].map((name) => join(folder, name));
}

/** A bundle on disk: `app.json`, and every file of `src` as a module named by its path there (js-apps.md §1). */
export function readBundle(folder: string): AppBundle {
  let metadata: AppBundle["metadata"];
  try {
    metadata = JSON.parse(Deno.readTextFileSync(join(folder, "app.json")));
  } catch (error) {
    throw new UsageError(
      `Cannot use the app in ${folder}: app.json: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (typeof metadata?.endpoints !== "object" || metadata.endpoints === null) {
    throw new UsageError(`Cannot use the app in ${folder}: app.json has no "endpoints"`);
  }
  const modules = listModules(join(folder, "src"), "");
  return { metadata, modules };
}

function listModules(folder: string, prefix: string): { name: string; module: string }[] {
  return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, isDirectory }) =>
    isDirectory
      ? listModules(join(folder, name), `${prefix}${name}/`)
      : [{ name: `${prefix}${name}`, module: Deno.readTextFileSync(join(folder, name)) }]
  );
}

function listFolder(folder: string, what: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    throw new UsageError(`Cannot read the ${what} folder ${folder}: ${error instanceof Error ? error.message : error}`);
  }
}
