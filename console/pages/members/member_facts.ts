/**
 * Members and users as the ledger has them.
 *
 * In: the worker. Out: one record for each, with what its certificate says, its part in recovery, and when it last acted.
 */

import { FormatError } from "../../../shared/assert.ts";
import { parsePublicKey } from "../../../shared/crypto/public_key.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { nameToText } from "../../../shared/crypto/x509_name.ts";
import {
  COSE_HISTORY,
  MEMBERS_ACKS,
  MEMBERS_CERTS,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  USERS_CERTS,
  USERS_INFO,
} from "../../../shared/governance/tables.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import type { CertificateLife } from "../../certificate_life.ts";
import { foldedTable, foldedValue, nameIn, type OddRow } from "../../folded.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";

export interface CertificateFacts extends CertificateLife {
  readonly pem: string;
  readonly subject: string;
  /** Of the key: "P-384". */
  readonly key: string;
}

export interface Person {
  readonly id: string;
  readonly name: string | undefined;
  /** What members wrote of it, any JSON. */
  readonly data: unknown;
  /** Or why it cannot be read. */
  readonly certificate: CertificateFacts | string | undefined;
  readonly since: Seqno;
}

export interface MemberFacts extends Person {
  readonly status: "Accepted" | "Active" | "unknown";
  readonly recoveryRole: "Participant" | "Owner" | "NonParticipant";
  readonly holdsShare: boolean;
  readonly hasEncryptionKey: boolean;
  /** Its last signed request, an acknowledgement or to govern, by seqno. */
  readonly lastRequestAt: Seqno | undefined;
  readonly acknowledgedAt: Seqno | undefined;
}

export interface PeopleFacts {
  readonly members: readonly MemberFacts[];
  readonly users: readonly Person[];
  readonly threshold: number | undefined;
  readonly odd: readonly OddRow[];
}

export async function peopleFacts(ledger: LedgerApi): Promise<PeopleFacts> {
  const [info, certs, keys, acks, requests, shares, config, userCerts, userInfo] = await Promise.all([
    foldedTable(ledger, MEMBERS_INFO),
    foldedTable(ledger, MEMBERS_CERTS),
    foldedTable(ledger, MEMBERS_ENCRYPTION_PUBLIC_KEYS),
    foldedTable(ledger, MEMBERS_ACKS),
    foldedTable(ledger, COSE_HISTORY),
    foldedValue(ledger, RECOVERY_SHARES),
    foldedValue(ledger, SERVICE_CONFIG),
    foldedTable(ledger, USERS_CERTS),
    foldedTable(ledger, USERS_INFO),
  ]);
  const infos = byKey(info.rows);
  const encrypting = byKey(keys.rows);
  const acknowledged = byKey(acks.rows);
  const asked = byKey(requests.rows);
  const holders = shares?.value.encrypted_shares ?? {};
  const members = certs.rows.map(({ key, value, writtenAt }): MemberFacts => {
    const row = infos.get(key)?.value;
    const hasEncryptionKey = encrypting.has(key);
    return {
      id: key,
      name: nameIn(row?.member_data),
      data: row?.member_data,
      certificate: certificateFacts(value),
      since: writtenAt,
      status: row?.status ?? "unknown",
      recoveryRole: row?.recovery_role ?? (hasEncryptionKey ? "Participant" : "NonParticipant"),
      holdsShare: Object.hasOwn(holders, key),
      hasEncryptionKey,
      lastRequestAt: later(asked.get(key)?.writtenAt, acknowledged.get(key)?.writtenAt),
      acknowledgedAt: acknowledged.get(key)?.writtenAt,
    };
  });
  const datas = byKey(userInfo.rows);
  const users = userCerts.rows.map(({ key, value, writtenAt }): Person => {
    const data = datas.get(key)?.value.user_data;
    return { id: key, name: nameIn(data), data, certificate: certificateFacts(value), since: writtenAt };
  });
  return {
    members,
    users,
    threshold: config?.value.recovery_threshold,
    odd: [...info.odd, ...certs.odd, ...keys.odd, ...acks.odd, ...requests.odd, ...userCerts.odd, ...userInfo.odd],
  };
}

function later(a: Seqno | undefined, b: Seqno | undefined): Seqno | undefined {
  return a === undefined || b === undefined ? a ?? b : Math.max(a, b);
}

function byKey<V, R extends { readonly key: string; readonly value: V }>(rows: readonly R[]): ReadonlyMap<string, R> {
  return new Map(rows.map((row) => [row.key, row]));
}

export function certificateFacts(pem: string): CertificateFacts | string {
  try {
    const { subject, notBeforeMs, notAfterMs, spki } = parseCertificatePem(pem);
    return { pem, subject: nameToText(subject), notBeforeMs, notAfterMs, key: keyName(spki) };
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

/** @throws FormatError */
function keyName(spki: Uint8Array): string {
  const key = parsePublicKey(spki);
  return "curve" in key ? key.curve : `RSA, ${key.modulusBits} bits`;
}

/** What becomes of a member next, as far as its rows tell. */
export function standingOf({ status, acknowledgedAt }: MemberFacts): string {
  if (status === "Active") return "Active: may propose and vote";
  if (status === "Accepted") {
    return acknowledgedAt === undefined
      ? "Accepted: becomes active with its first acknowledgement (`deno task run member ack`)"
      : "Accepted, and has acknowledged";
  }
  return "It has a certificate and no state: it cannot act";
}
