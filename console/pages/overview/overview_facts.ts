/**
 * What the ledger says of the whole service, in few facts.
 *
 * In: the worker. Out: status, members, nodes, proposals, certificates that end, recovery. All of it is folded; what a
 * node says of the present moment stands elsewhere.
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromByteString } from "../../../shared/bytes.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import {
  CONSTITUTION,
  MEMBERS_CERTS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  NODES_ENDORSED_CERTIFICATES,
  NODES_INFO,
  PROPOSALS_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
  USERS_CERTS,
} from "../../../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../../../shared/kv/codecs.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import type { CertificateLife } from "../../certificate_life.ts";
import { foldedTable, foldedValue } from "../../folded.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";

export interface ExpiringCertificate extends CertificateLife {
  readonly kind: "service" | "member" | "node" | "user";
  readonly id: string;
}

export interface OverviewFacts {
  readonly status: string;
  /** Since when it has that status. */
  readonly statusSince: { readonly seqno: Seqno; readonly timeMs?: number } | undefined;
  readonly recoveries: number;
  /** The last transaction that a recovery began with. */
  readonly recoveredAt: Seqno | undefined;
  readonly activeMembers: number;
  readonly acceptedMembers: number;
  readonly users: number;
  readonly trustedNodes: number;
  readonly pendingNodes: number;
  /** How many nodes may fail before no transaction commits. */
  readonly mayFail: number;
  readonly openProposals: readonly {
    readonly id: string;
    readonly proposer: string;
    readonly voted: readonly string[];
  }[];
  /** All certificates that can be read, first those that end first. */
  readonly certificates: readonly ExpiringCertificate[];
  readonly recovery: {
    readonly threshold: number | undefined;
    readonly shareHolders: number;
    /** Members with an encryption key who hold no share yet. */
    readonly without: number;
    readonly sharesWrittenAt: Seqno | undefined;
  };
  readonly constitutionSince: Seqno | undefined;
}

export async function overviewFacts(ledger: LedgerApi): Promise<OverviewFacts> {
  const [service, config, members, memberCerts, keys, users, nodes, nodeCerts, proposals, shares, constitution] =
    await Promise.all([
      foldedValue(ledger, SERVICE_INFO),
      foldedValue(ledger, SERVICE_CONFIG),
      foldedTable(ledger, MEMBERS_INFO),
      foldedTable(ledger, MEMBERS_CERTS),
      foldedTable(ledger, MEMBERS_ENCRYPTION_PUBLIC_KEYS),
      foldedTable(ledger, USERS_CERTS),
      foldedTable(ledger, NODES_INFO),
      foldedTable(ledger, NODES_ENDORSED_CERTIFICATES),
      foldedTable(ledger, PROPOSALS_INFO),
      foldedValue(ledger, RECOVERY_SHARES),
      foldedValue(ledger, CONSTITUTION),
    ]);
  const versions = await ledger.history(SERVICE_INFO.name, fromByteString(SINGLETON_KEY));
  const statuses = versions.flatMap(({ value, ...at }) =>
    value === undefined ? [] : { ...at, status: statusIn(value) }
  );
  const trusted = nodes.rows.filter(({ value }) => value.status === "Trusted");
  const trustedIds = new Set(trusted.map(({ key }) => key));
  const holders = new Set(Object.keys(shares?.value.encrypted_shares ?? {}));
  const certificates = [
    ...endOf("service", "", service?.value.cert),
    ...memberCerts.rows.flatMap(({ key, value }) => endOf("member", key, value)),
    ...users.rows.flatMap(({ key, value }) => endOf("user", key, value)),
    ...nodeCerts.rows.flatMap(({ key, value }) => trustedIds.has(key) ? endOf("node", key, value) : []),
  ];
  const changed = statuses.findIndex(({ status }) => status !== service?.value.status);
  const since = statuses[changed === -1 ? statuses.length - 1 : changed - 1];
  return {
    status: service?.value.status ?? "unknown",
    statusSince: since && { seqno: since.seqno, ...(since.timeMs !== undefined && { timeMs: since.timeMs }) },
    recoveries: service?.value.recovery_count ?? 0,
    recoveredAt: statuses.find(({ status }) => status === "Recovering" || status === "WaitingForRecoveryShares")?.seqno,
    activeMembers: members.rows.filter(({ value }) => value.status === "Active").length,
    acceptedMembers: members.rows.filter(({ value }) => value.status === "Accepted").length,
    users: users.total,
    trustedNodes: trusted.length,
    pendingNodes: nodes.rows.filter(({ value }) => value.status === "Pending").length,
    mayFail: Math.max(0, Math.ceil(trusted.length / 2) - 1),
    openProposals: proposals.rows.filter(({ value }) => value.state === "Open").map(({ key, value }) => ({
      id: key,
      proposer: value.proposer_id,
      voted: Object.keys(value.ballots),
    })),
    certificates: certificates.sort((a, b) => a.notAfterMs - b.notAfterMs),
    recovery: {
      threshold: config?.value.recovery_threshold,
      shareHolders: holders.size,
      without:
        keys.rows.filter(({ key }) =>
          !holders.has(key) && members.rows.some((row) => row.key === key && row.value.status === "Active")
        ).length,
      sharesWrittenAt: shares?.writtenAt,
    },
    constitutionSince: constitution?.writtenAt,
  };
}

function statusIn(value: Uint8Array): string {
  try {
    return SERVICE_INFO.value.decode(value).status;
  } catch (error) {
    if (error instanceof FormatError) return "unreadable";
    throw error;
  }
}

/** Where the certificate cannot be read nothing is said about its end; the screen of its owner tells why. */
function endOf(kind: ExpiringCertificate["kind"], id: string, pem: string | undefined): ExpiringCertificate[] {
  if (pem === undefined) return [];
  try {
    const { notBeforeMs, notAfterMs } = parseCertificatePem(pem);
    return [{ kind, id, notBeforeMs, notAfterMs }];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}

/** The service's status in words. */
export const STATUS_WORDS: Readonly<Record<string, string>> = {
  Opening: "Opening: members have not opened it to users yet",
  Open: "Open to users",
  WaitingForRecoveryShares: "In recovery: waiting for members' recovery shares",
  Recovering: "In recovery: reading the ledger's private tables",
};

/** How much of a service may fail, in words. */
export function toleranceText(trusted: number, mayFail: number): string {
  if (trusted === 0) return "no node is trusted yet";
  if (mayFail === 0) return trusted === 1 ? "one node: if it fails, the service stops" : "none may fail";
  return mayFail === 1 ? "one more node may fail" : `${mayFail} more nodes may fail`;
}
