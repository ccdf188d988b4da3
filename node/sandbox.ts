/**
 * The sandbox: nodes, members, a user, a constitution and an app, from nothing, for trying things out.
 *
 * In: where and how many. Out: a workspace with credentials and configurations under CCF's file names. The first node
 * starts the service; the others join it, and are configured once its address is known.
 * What it makes is as good as a real service's but for one thing: all keys lie in one folder.
 */

import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateEcPrivateKey, serialiseEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../shared/crypto/identifiers.ts";
import { serialisePem } from "../shared/crypto/pem.ts";
import type { Random } from "../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import type { AppBundle } from "../enclave/messages.ts";
import { reasonOf, UsageError } from "./commands/exit.ts";
import { constitutionFiles } from "./constitution_folder.ts";
import type { SandboxMember, SandboxOpening } from "./sandbox_opening.ts";
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

/** Certificates of members and users last for a year. */
const VALIDITY_DAYS = 365;
/** The node's and the service's own last for as long as anybody will keep a sandbox. */
const SERVICE_VALIDITY_DAYS = 90;
/** Distance between the ports of a node's interfaces: with client certificates, for the web, between nodes. */
const WEB_PORT_STEP = 1000;
const NODE_PORT_STEP = 2000;

export interface Sandbox {
  /** Absolute path of the folder with the credentials. */
  readonly commonFolder: string;
  /** Of the node that starts the service. */
  readonly firstNode: SandboxNode;
  readonly opening: SandboxOpening;
}

/** One node of a sandbox, by its files. */
export interface SandboxNode {
  /** "node0" */
  readonly name: string;
  readonly folder: string;
  readonly configFile: string;
  readonly logFile: string;
  /** JSON: interface → "host:port" really bound. */
  readonly rpcAddressesFile: string;
}

/** The ports of the node with this number; 0 where the operating system chooses. */
export function sandboxPorts(port: number, index: number): { rpc: number; web: number; nodeToNode: number } {
  if (port === 0) return { rpc: 0, web: 0, nodeToNode: 0 };
  return { rpc: port + index, web: port + WEB_PORT_STEP + index, nodeToNode: port + NODE_PORT_STEP + index };
}

/** What a sandbox is made from, apart from numbers. */
export interface SandboxInputs {
  readonly app?: AppBundle;
  /** Paths of the constitution's files. */
  readonly constitution: readonly string[];
}

/** Reads app and constitution, and writes nothing. @throws UsageError where either cannot be used */
export function readSandboxInputs({ nativeApp, appFolder, constitutionFolder }: SandboxOptions): SandboxInputs {
  const constitution = constitutionFiles(constitutionFolder);
  return nativeApp === undefined ? { app: readBundle(appFolder), constitution } : { constitution };
}

/** Makes keys, certificates and configuration in an empty workspace. */
export function createSandbox(
  options: SandboxOptions,
  random: Random,
  nowMs: number,
  { app, constitution }: SandboxInputs = readSandboxInputs(options),
): Sandbox {
  const commonFolder = join(options.workspace, "sandbox_common");
  Deno.mkdirSync(commonFolder, { recursive: true });
  const configured: unknown[] = [];
  const members: SandboxMember[] = [];
  for (let i = 0; i < options.members; i++) {
    const name = `member${i}`;
    const { id, key } = writeIdentity(commonFolder, name, random, nowMs);
    members.push({ id, key });
    writeEncryptionKeys(commonFolder, name);
    configured.push({
      certificate_file: join(commonFolder, `${name}_cert.pem`),
      encryption_public_key_file: join(commonFolder, `${name}_enc_pubk.pem`),
      data_json_file: writeName(commonFolder, name),
    });
  }
  const users: { certificatePem: string; data: { name: string } }[] = [];
  for (let i = 0; i < options.users; i++) {
    const name = `user${i}`;
    const { certificatePem } = writeIdentity(commonFolder, name, random, nowMs);
    users.push({ certificatePem, data: { name } });
  }
  const firstNode = writeNode(options, 0, {
    type: "Start",
    service_certificate_file: join(commonFolder, "service_cert.pem"),
    start: {
      constitution_files: constitution,
      members: configured,
      initial_service_certificate_validity_days: SERVICE_VALIDITY_DAYS,
      service_configuration: { recovery_threshold: Math.floor(options.members / 2) + 1 },
      cose_signatures: { issuer: "quorate.sandbox", subject: "ledger.signature" },
    },
  });
  return { commonFolder, firstNode, opening: { members, users, ...(app !== undefined && { app }) } };
}

/** Configures a node that joins. @param targetAddress "host:port" of an interface of a node that is there already */
export function createJoiner(options: SandboxOptions, index: number, targetAddress: string): SandboxNode {
  return writeNode(options, index, {
    type: "Join",
    service_certificate_file: join(options.workspace, "sandbox_common", "service_cert.pem"),
    join: { target_rpc_address: targetAddress, retry_timeout: "200ms" },
  });
}

/** Writes `config.json` of a node. */
function writeNode(options: SandboxOptions, index: number, command: object): SandboxNode {
  const name = `node${index}`;
  const folder = join(options.workspace, name);
  const node = {
    name,
    folder,
    configFile: join(folder, "config.json"),
    logFile: join(folder, "node.log"),
    rpcAddressesFile: join(folder, "rpc_addresses.json"),
  };
  Deno.mkdirSync(folder, { recursive: true });
  Deno.writeTextFileSync(node.configFile, JSON.stringify(nodeConfig(options, index, node, command), null, 2) + "\n");
  return node;
}

function nodeConfig(
  { host, port, nativeApp }: SandboxOptions,
  index: number,
  { name, folder, rpcAddressesFile }: SandboxNode,
  command: object,
): unknown {
  const ports = sandboxPorts(port, index);
  const address = (port: number) => formatAddress({ host, port });
  const kind = /^[0-9.]+$|:/.test(host) ? "iPAddress" : "dNSName";
  const names = [`${kind}:${host}`, ...(host === "localhost" ? [] : ["dNSName:localhost"])];
  return {
    network: {
      node_to_node_interface: { bind_address: address(ports.nodeToNode) },
      rpc_interfaces: {
        primary_rpc_interface: {
          bind_address: address(ports.rpc),
          enabled_operator_features: ["SnapshotRead", "LedgerRead"],
        },
        web_rpc_interface: {
          bind_address: address(ports.web),
          enabled_operator_features: ["LedgerRead"],
          client_certificates: false,
        },
      },
    },
    node_certificate: { subject_alt_names: names, initial_validity_days: SERVICE_VALIDITY_DAYS },
    attestation: { platform: "virtual" },
    node_data_json_file: writeName(folder, name),
    command,
    ledger: { directory: join(folder, "ledger") },
    snapshots: { directory: join(folder, "snapshots") },
    output_files: {
      node_certificate_file: join(folder, "nodecert.pem"),
      pid_file: join(folder, "node.pid"),
      node_to_node_address_file: join(folder, "node_to_node_address.json"),
      rpc_addresses_file: rpcAddressesFile,
    },
    ...(nativeApp === undefined ? {} : { native_app: nativeApp }),
  };
}

/** `NAME_data.json`: what the ledger says of somebody, by which people know them. Answers the file. */
function writeName(folder: string, name: string): string {
  const file = join(folder, `${name}_data.json`);
  Deno.writeTextFileSync(file, JSON.stringify({ name }) + "\n");
  return file;
}

/** `NAME_cert.pem` and `NAME_privk.pem`: an EC key on P-384 and a self-signed certificate. */
function writeIdentity(
  folder: string,
  name: string,
  random: Random,
  nowMs: number,
): SandboxMember & { readonly certificatePem: string } {
  const key = generateEcPrivateKey("P-384", random);
  const fields = memberCertificate({
    key: key.publicKey,
    subject: nameFromConfiguration(`CN=${name}`),
    validity: validityOfDays(nowMs, VALIDITY_DAYS),
    serial: randomSerial(random),
  });
  const der = signCertificate(fields, key);
  const certificatePem = serialiseCertificatePem(der);
  Deno.writeTextFileSync(join(folder, `${name}_cert.pem`), certificatePem);
  Deno.writeTextFileSync(join(folder, `${name}.curl`), curlConfig(folder, name));
  writeSecret(join(folder, `${name}_privk.pem`), serialisePem("PRIVATE KEY", serialiseEcPrivateKey(key)));
  return { id: memberIdOf(der), key, certificatePem };
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

/**
 * A bundle on disk: `app.json`, and every file of `src` as a module named by its path there (js-apps.md §1).
 *
 * @throws UsageError that names the file, and the endpoint if it is about one
 */
export function readBundle(folder: string): AppBundle {
  const refuse = (why: string): never => {
    throw new UsageError(`Cannot use the app in ${folder}: ${why}`);
  };
  const metadata = readMetadata(folder, refuse);
  const modules = listModules(join(folder, "src"), "", refuse);
  const names = new Set(modules.map(({ name }) => name));
  for (const [path, methods] of Object.entries(metadata.endpoints)) {
    if (!isObject(methods)) refuse(`app.json: the endpoint ${path} must be an object with a method for each name`);
    for (const [method, properties] of Object.entries(methods)) {
      const route = `${method.toUpperCase()} ${path}`;
      const { js_module: module, js_function: name } = isObject(properties)
        ? properties
        : refuse(`app.json: ${route} must be an object with js_module and js_function`);
      if (typeof module !== "string") refuse(`app.json: ${route} has no js_module, the name of a file in src`);
      if (typeof name !== "string") refuse(`app.json: ${route} has no js_function, the name of a function it exports`);
      if (!names.has(module as string)) refuse(`app.json: ${route} names the module ${module}, which is not in src`);
    }
  }
  return { metadata, modules };
}

type Refuse = (why: string) => never;

function readMetadata(folder: string, refuse: Refuse): AppBundle["metadata"] {
  let text: string;
  try {
    text = Deno.readTextFileSync(join(folder, "app.json"));
  } catch (error) {
    return refuse(`app.json: ${reasonOf(error)}`);
  }
  let metadata: unknown;
  try {
    metadata = JSON.parse(text);
  } catch (error) {
    return refuse(`app.json is not JSON: ${reasonOf(error)}`);
  }
  if (isObject(metadata) && isObject(metadata.endpoints)) return metadata as unknown as AppBundle["metadata"];
  return refuse('app.json has no "endpoints", an object with a path for each name');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function listModules(folder: string, prefix: string, refuse: Refuse): { name: string; module: string }[] {
  const read = <T>(what: string, reader: () => T): T => {
    try {
      return reader();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && prefix === "" && what === "src/") {
        return refuse("it has no folder src with the modules");
      }
      return refuse(`${what}: ${reasonOf(error)}`);
    }
  };
  const entries = read(`src/${prefix}`, () => [...Deno.readDirSync(folder)]);
  return entries.sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    if (isDirectory) return listModules(path, `${prefix}${name}/`, refuse);
    const module = read(`src/${prefix}${name}`, () => Deno.readTextFileSync(path));
    return [{ name: `${prefix}${name}`, module }];
  });
}
