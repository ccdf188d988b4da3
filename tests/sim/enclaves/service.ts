/**
 * The service of a schedule: its members and user, and how its nodes are configured.
 *
 * In: a plan and the constitution that the repo ships. Out: configurations as a host gives them to an enclave.
 */

import { fileURLToPath } from "node:url";
import type { CommonConfig, JoinConfig, StartConfig } from "../../../enclave/messages.ts";
import type { SandboxMember, SandboxOpening } from "../../../node/sandbox_opening.ts";
import { generateEcPrivateKey } from "../../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../../shared/crypto/identifiers.ts";
import type { Random } from "../../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate, validityOfDays } from "../../../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../../../shared/crypto/x509_name.ts";
import { constitutionFiles } from "../../../node/constitution_folder.ts";
import type { Plan } from "./plan.ts";
import type { Machinery } from "./powers.ts";

export const MESSAGE_TIMEOUT_MS = 30;
export const ELECTION_TIMEOUT_MS = 300;
/** The world begins here: any date within the lives of the certificates will do. */
export const FIRST_MOMENT_MS = Date.UTC(2026, 0, 1);

const VALIDITY_DAYS = 30;
const CONSTITUTION_FOLDER = fileURLToPath(new URL("../../../getting_started/constitution", import.meta.url));

export interface SimulatedService {
  readonly config: StartConfig;
  readonly opening: SandboxOpening;
  readonly members: readonly SandboxMember[];
  /** DER of the user's certificate, and its text. */
  readonly user: { readonly certificate: Uint8Array; readonly certificatePem: string };
}

let constitution: readonly string[] | undefined;

export function drawService(plan: Plan, machinery: Machinery, random: Random): SimulatedService {
  constitution ??= constitutionFiles(CONSTITUTION_FOLDER).map((path) => Deno.readTextFileSync(path));
  const people = Array.from({ length: plan.memberCount }, (_, at) => drawIdentity(`member${at}`, random));
  const user = drawIdentity("user0", random);
  const members = people.map(({ id, key }) => ({ id, key }));
  const config: StartConfig = {
    ...nodeConfig(plan, 0),
    service: {
      subjectName: "CN=Simulated Service",
      initialValidityDays: VALIDITY_DAYS,
      data: null,
      configuration: {
        recoveryThreshold: Math.floor(plan.memberCount / 2) + 1,
        maximumNodeCertificateValidityDays: 365,
        maximumServiceCertificateValidityDays: 365,
      },
      constitution,
      members: people.map(({ certificatePem }, at) => ({
        certificatePem,
        encryptionPublicKeyPem: machinery.rsaKeyPair(at).publicKeyPem,
      })),
      coseSignatures: { issuer: "quorate.sim", subject: "ledger.signature" },
    },
  };
  return { config, members, user, opening: { members, users: [{ certificatePem: user.certificatePem }] } };
}

/** @param number of the node, which its address tells */
export function joinConfig(plan: Plan, number: number, servicePem: string, targetAddress: string): JoinConfig {
  return { ...nodeConfig(plan, number), servicePem, targetAddress, retryTimeoutMs: 200, followRedirect: true };
}

/** Where clients and joiners reach a node. */
export function rpcAddressOf(number: number): string {
  return `127.0.0.1:${8000 + number}`;
}

function nodeConfig(
  { curve, signatures, snapshotTxCount, messageLimit, maxUncommitted }: Plan,
  number: number,
): CommonConfig {
  const address = `127.0.0.1:${10_000 + number}`;
  const rpcAddress = rpcAddressOf(number);
  return {
    nodeToNodeInterface: { bind_address: address, published_address: address },
    rpcInterfaces: { primary_rpc_interface: { bind_address: rpcAddress, published_address: rpcAddress } },
    node: {
      subjectName: "CN=Simulated Node",
      subjectAltNames: ["iPAddress:127.0.0.1"],
      curve,
      initialValidityDays: VALIDITY_DAYS,
      data: null,
    },
    platform: { kind: "virtual", hostData: "51".repeat(32) },
    signatures,
    chunkBytes: 20_000,
    snapshotTxCount,
    consensus: {
      messageTimeoutMs: MESSAGE_TIMEOUT_MS,
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      maxUncommittedTransactions: maxUncommitted,
    },
    nodeToNodeMessageLimit: messageLimit,
    logLevel: "info",
    nativeApp: "logging",
  };
}

function drawIdentity(name: string, random: Random) {
  const key = generateEcPrivateKey("P-256", random);
  const certificate = signCertificate(
    memberCertificate({
      key: key.publicKey,
      subject: nameFromConfiguration(`CN=${name}`),
      validity: validityOfDays(FIRST_MOMENT_MS, VALIDITY_DAYS),
      serial: randomSerial(random),
    }),
    key,
  );
  return { id: memberIdOf(certificate), key, certificate, certificatePem: serialiseCertificatePem(certificate) };
}
