/**
 * Starting a new service: keys, the genesis transaction, the first signature.
 *
 * In: the start configuration and the enclave's powers; between two steps, evidence over the node's new key. Out: a node
 * that is the primary of a service of one, Opening.
 * Rules: operations.md §5 "Start", ledger-and-receipts.md §10; the genesis tables are those that CCF writes.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { toHex } from "../shared/bytes.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { parseRsaPublicKey } from "../shared/crypto/rsa.ts";
import { parseCertificate, serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { type Validity, validityOfDays } from "../shared/crypto/x509_build.ts";
import {
  CONSTITUTION,
  DCAP_TCB_STATUSES,
  type MemberInfo,
  MEMBERS_ACKS,
  MEMBERS_CERTS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  type NodeInfo,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  SERVICE_CONFIG,
  SERVICE_INFO,
  SGX_MEASUREMENTS,
  SNP_HOST_DATA,
  SNP_MEASUREMENTS,
  SNP_TCB_VERSIONS,
  SNP_UVM_ENDORSEMENTS,
  TDX_HOST_DATA,
  TDX_MEASUREMENTS,
  VIRTUAL_HOST_DATA,
  VIRTUAL_MEASUREMENTS,
} from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import { LEDGER_SECRET_BYTES, LedgerSecret } from "../shared/ledger/secrets.ts";
import { formatTxId } from "../shared/tx_id.ts";
import { createNodeIdentity, createServiceIdentity, endorseNode, type NodeIdentity } from "./identity.ts";
import { addressRows } from "./join_request.ts";
import type { EnclaveOutput, StartConfig, StartMember } from "./messages.ts";
import { Node } from "./node.ts";
import type { EnclavePowers } from "./powers.ts";
import type { OwnEvidence, TrustedCode } from "./platform/own_evidence.ts";

/** A new service starts here: consensus begins at view 0, and a forced primary adds 2 (ledger-and-receipts.md §1). */
const STARTING_VIEW = 2;

/** What has been looked at, and the keys of the node for which there is to be evidence. */
export interface PreparedStart {
  readonly config: StartConfig;
  readonly members: readonly Member[];
  readonly constitution: string;
  readonly nodeValidity: Validity;
  readonly identity: NodeIdentity;
}

/**
 * The first step.
 *
 * @throws FormatError where a member's certificate or key cannot be used, or the constitution cannot govern
 */
export function prepareStart(config: StartConfig, powers: EnclavePowers, nowMs: number): PreparedStart {
  if (Object.keys(config.rpcInterfaces).length === 0) {
    throw new FormatError("Cannot start: the configuration has no RPC interface");
  }
  const constitution = config.service.constitution.join("\n");
  const problem = powers.scripts.constitutionProblem(constitution);
  if (problem !== undefined) throw new FormatError(`Cannot start: the constitution cannot govern: ${problem}`);
  const members = config.service.members.map((member) => readMember(member, powers));
  const nodeValidity = validityOfDays(nowMs, config.node.initialValidityDays);
  const identity = createNodeIdentity(config.node, nodeValidity, powers);
  return { config, members, constitution, nodeValidity, identity };
}

/** The second step: starts the service. @param evidence over the node's key */
export function startService(
  { config, members, constitution, nodeValidity, identity }: PreparedStart,
  evidence: OwnEvidence,
  powers: EnclavePowers,
  nowMs: number,
  emit: (output: EnclaveOutput) => void,
): Node {
  const { primitives, random } = powers;
  const serviceValidity = validityOfDays(nowMs, config.service.initialValidityDays);
  const service = createServiceIdentity(config.node.curve, config.service.subjectName, serviceValidity, random);
  const endorsedPem = endorseNode(identity.request, service, nodeValidity, random);

  const node = new Node(config, identity, powers, nowMs, emit);
  const { path } = node;
  path.secrets.add(1, new LedgerSecret(primitives, random(LEDGER_SECRET_BYTES)));
  node.becomeMember({ service, endorsedPem, coseSignatures: config.service.coseSignatures });
  path.raft.forcePrimary();
  assert(path.view === STARTING_VIEW, "A service starts in view 2");

  const tx = path.store.begin();
  writeMembers(tx, members);
  writeService(tx, config, service.certificatePem);
  tx.open(CONSTITUTION).put(constitution);
  writeFirstNode(tx, config, identity, endorsedPem, evidence);
  writeTrustedCode(tx, evidence.trusted);
  node.commitTransaction(tx);
  node.sign();
  node.settle();
  return node;
}

interface Member extends StartMember {
  readonly id: string;
  /** As it goes into the table. */
  readonly certificatePem: string;
  readonly encryptionPublicKeyPem?: string;
}

function readMember(member: StartMember, { primitives }: EnclavePowers): Member {
  const der = parsePemBlock(member.certificatePem, "CERTIFICATE");
  parseCertificate(der);
  const id = toHex(primitives.sha256(der));
  if (member.encryptionPublicKeyPem !== undefined) {
    parseRsaPublicKey(parsePemBlock(member.encryptionPublicKeyPem, "PUBLIC KEY"));
  }
  return { ...member, id, certificatePem: serialiseCertificatePem(der) };
}

function writeMembers(tx: Transaction, members: readonly Member[]): void {
  for (const { id, certificatePem, encryptionPublicKeyPem, data, recoveryRole } of members) {
    tx.open(MEMBERS_CERTS).put(id, certificatePem);
    if (encryptionPublicKeyPem !== undefined) tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).put(id, encryptionPublicKeyPem);
    const info: MemberInfo = {
      status: "Accepted",
      ...(data === undefined || data === null ? {} : { member_data: data }),
      ...(recoveryRole === undefined ? {} : { recovery_role: recoveryRole }),
    };
    tx.open(MEMBERS_INFO).put(id, info);
    tx.open(MEMBERS_ACKS).put(id, { state_digest: "" });
  }
}

function writeService(tx: Transaction, { service }: StartConfig, cert: string): void {
  const { configuration } = service;
  tx.open(SERVICE_INFO).put({
    cert,
    status: "Opening",
    recovery_count: 0,
    current_service_create_txid: formatTxId({ view: STARTING_VIEW, seqno: 1 }),
    ...(service.data === undefined || service.data === null ? {} : { service_data: service.data }),
  });
  tx.open(SERVICE_CONFIG).put({
    recovery_threshold: configuration.recoveryThreshold,
    maximum_node_certificate_validity_days: configuration.maximumNodeCertificateValidityDays,
    maximum_service_certificate_validity_days: configuration.maximumServiceCertificateValidityDays,
    ...(configuration.recentCoseProposalsWindowSize === undefined
      ? {}
      : { recent_cose_proposals_window_size: configuration.recentCoseProposalsWindowSize }),
  });
}

function writeFirstNode(
  tx: Transaction,
  config: StartConfig,
  identity: NodeIdentity,
  endorsedPem: string,
  { quoteInfo, codeDigest }: OwnEvidence,
): void {
  const info: NodeInfo = {
    certificate_signing_request: identity.requestPem,
    code_digest: codeDigest,
    encryption_pub_key: identity.encryption.publicKeyPem,
    public_key: identity.publicKeyPem,
    quote_info: quoteInfo,
    ...addressRows(config),
    status: "Trusted",
    ...(config.node.data === undefined || config.node.data === null ? {} : { node_data: config.node.data }),
  };
  tx.open(NODES_INFO).put(identity.id, info);
  tx.open(NODES_ENDORSED_CERTIFICATES).put(identity.id, endorsedPem);
}

/** The first node is its own measure of who may join (nodes-and-attestation.md §4). */
function writeTrustedCode(tx: Transaction, trusted: TrustedCode): void {
  switch (trusted.platform) {
    case "virtual":
      tx.open(VIRTUAL_MEASUREMENTS).put(trusted.measurement, "AllowedToJoin");
      tx.open(VIRTUAL_HOST_DATA).put(trusted.hostData, undefined);
      return;
    case "snp": {
      const { code, hostData, securityPolicy, cpuid, minimumTcb } = trusted;
      if ("measurement" in code) tx.open(SNP_MEASUREMENTS).put(code.measurement, "AllowedToJoin");
      else tx.open(SNP_UVM_ENDORSEMENTS).put(code.did, { [code.feed]: { svn: code.svn } });
      tx.open(SNP_HOST_DATA).put(hostData, securityPolicy);
      tx.open(SNP_TCB_VERSIONS).put(cpuid, minimumTcb);
      return;
    }
    case "tdx":
    case "sgx": {
      const { platform, measurement, hostData, tcbStatuses } = trusted;
      tx.open(platform === "tdx" ? TDX_MEASUREMENTS : SGX_MEASUREMENTS).put(measurement, "AllowedToJoin");
      if (hostData !== undefined) tx.open(TDX_HOST_DATA).put(hostData, "");
      for (const status of tcbStatuses) tx.open(DCAP_TCB_STATUSES).put(status, "AllowedToJoin");
      return;
    }
  }
}
