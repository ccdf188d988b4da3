/**
 * Recovery shares: a ledger secret, wrapped by a key that enough members together can rebuild.
 *
 * In: the active members with an encryption key, the threshold, ledger secrets. Out: the two tables that an auditor and
 * a recovery read, written whenever shares are issued: service open, rekey, and any change of who holds shares.
 * Knows nothing of who decided it, nor of when a new secret comes into force (`governance/ledger_rekey.ts`).
 * Rules: ledger-and-receipts.md §4.3 to §4.5, governance.md §5 "Conditions to issue shares".
 */

import { assert, FormatError } from "../shared/assert.ts";
import { toBase64 } from "../shared/bytes.ts";
import { GCM_IV_BYTES, sealBox } from "../shared/crypto/aes_gcm.ts";
import { parsePemBlock } from "../shared/crypto/pem.ts";
import { parseRsaPublicKey, rsaOaepEncrypt } from "../shared/crypto/rsa.ts";
import { serialiseShare, type Share, shareFreshSecret, wrapLedgerSecret } from "../shared/crypto/shamir.ts";
import {
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  MEMBERS_INFO,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
} from "../shared/governance/tables.ts";
import type { Transaction } from "../shared/kv/transaction.ts";
import type { LedgerSecret } from "../shared/ledger/secrets.ts";
import { MAX_SHARES } from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { EffectSource } from "./governance/effect_source.ts";

interface Recipient {
  readonly id: string;
  readonly encryptionPublicKeyPem: string;
}

interface Recipients {
  /** They get one share each. */
  readonly participants: readonly Recipient[];
  /** They get the whole secret. */
  readonly owners: readonly Recipient[];
}

/** A ledger secret with the first seqno that it covers. */
interface DatedSecret {
  readonly first: Seqno;
  readonly secret: LedgerSecret;
}

/**
 * Issues shares of the secret in force, when the service opens for the first time or after a recovery.
 *
 * @throws FormatError where the active members cannot reach the threshold
 */
export function issueFirstShares(tx: Transaction, node: EffectSource): void {
  const [latest, penultimate] = [...node.path.secrets].reverse();
  assert(latest !== undefined, "A node that opens a service has a ledger secret");
  writeShares(tx, node, latest.secret.key);
  writeHistoricalSecret(tx, node, latest.secret.key, penultimate, latest.first);
}

/**
 * Issues shares of a secret that will cover what comes after this transaction, and seals the one in force under it.
 *
 * @param next 32 bytes
 * @throws FormatError where the active members cannot reach the threshold
 */
export function issueRekeyShares(tx: Transaction, node: EffectSource, next: Uint8Array): void {
  writeShares(tx, node, next);
  writeHistoricalSecret(tx, node, next, latestSecret(node), undefined);
}

/**
 * Issues new shares of the secret in force, under a wrapping key of their own: those issued before open nothing more.
 *
 * They say where the secret's predecessor is stored, which a service's first secret does not have (recorded_governance
 * 2.128), although the opening wrote to the table where it would be.
 *
 * @throws FormatError where the active members cannot reach the threshold
 */
export function reissueShares(tx: Transaction, node: EffectSource): void {
  const { secret } = latestSecret(node);
  writeShares(tx, node, secret.key, secret.previousSecretStoredVersion);
}

/**
 * Issues new shares of a secret that this same transaction brings into force (`issueRekeyShares`).
 *
 * CCF wraps the secret that is being replaced, which no recovery can then use for what follows; a proposal that rekeys
 * and changes who holds shares would cost its service everything written after it. So here we differ.
 */
export function reissueRekeyShares(tx: Transaction, node: EffectSource, next: Uint8Array): void {
  writeShares(tx, node, next);
}

/** Whether a member gets shares once it is active: it has an encryption key, and its role does not say otherwise. */
export function holdsShares(tx: Transaction, memberId: string): boolean {
  const info = tx.open(MEMBERS_INFO).get(memberId);
  return info !== undefined && info.recovery_role !== "NonParticipant" &&
    tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).has(memberId);
}

function latestSecret(node: EffectSource): DatedSecret {
  const latest = node.path.secrets.latest();
  assert(latest !== undefined, "A node that writes has a ledger secret");
  return latest;
}

function writeShares(
  tx: Transaction,
  node: EffectSource,
  ledgerSecret: Uint8Array,
  previousSecretStored?: Seqno,
): void {
  const { participants, owners } = recipients(tx);
  const threshold = checkedThreshold(tx, participants.length, owners.length);
  // With owners alone, one share is made and given to nobody.
  const { secret, shares } = shareFreshSecret(threshold, Math.max(1, participants.length), node.random);
  const encrypted_shares: Record<string, string> = {};
  const give = ({ id, encryptionPublicKeyPem }: Recipient, share: Share) => {
    const key = parseRsaPublicKey(parsePemBlock(encryptionPublicKeyPem, "PUBLIC KEY"));
    encrypted_shares[id] = toBase64(rsaOaepEncrypt(key, serialiseShare(share), node.random));
  };
  participants.forEach((participant, i) => give(participant, shares[i]!));
  for (const owner of owners) give(owner, secret);
  tx.open(RECOVERY_SHARES).put({
    encrypted_shares,
    wrapped_latest_ledger_secret: toBase64(wrapLedgerSecret(node.primitives, secret, ledgerSecret)),
    ...(previousSecretStored !== undefined && { previous_secret_stored_version: previousSecretStored }),
  });
}

/** @param next absent in a rekey, where it is the seqno after the transaction's own */
function writeHistoricalSecret(
  tx: Transaction,
  { primitives, random }: EffectSource,
  secret: Uint8Array,
  predecessor: DatedSecret | undefined,
  next: Seqno | undefined,
): void {
  const table = tx.open(HISTORICAL_ENCRYPTED_LEDGER_SECRET);
  const stored = table.versionOfPreviousWrite();
  table.put({
    ...(next !== undefined && { next_version: next }),
    ...(predecessor !== undefined && {
      previous_ledger_secret: {
        encrypted_data: toBase64(sealBox(primitives, secret, random(GCM_IV_BYTES), predecessor.secret.key)),
        version: predecessor.first,
        ...(stored !== undefined && { previous_secret_stored_version: stored }),
      },
    }),
  });
}

/** @returns the threshold, from 1 to the number of shares */
function checkedThreshold(tx: Transaction, participants: number, owners: number): number {
  const config = tx.open(SERVICE_CONFIG).get();
  if (config === undefined) throw new FormatError("the service has no configuration");
  const threshold = config.recovery_threshold;
  if (participants === 0 && owners === 0) {
    throw new FormatError("no active member has an encryption key to receive a recovery share");
  }
  if (threshold < 1) throw new FormatError("the recovery threshold is 0, and must be set before shares are issued");
  if (participants > MAX_SHARES) {
    throw new FormatError(
      `${participants} active members would receive recovery shares, and at most ${MAX_SHARES} can`,
    );
  }
  if (participants === 0 && threshold > 1) {
    throw new FormatError(`the recovery threshold is ${threshold}, and must be 1 where only owners hold shares`);
  }
  if (participants > 0 && threshold > participants) {
    throw new FormatError(
      `the recovery threshold is ${threshold}, and only ${participants} active members would receive recovery shares`,
    );
  }
  return threshold;
}

/** Active members with an encryption key, in ascending order of ID; owners get the whole secret and no number. */
function recipients(tx: Transaction): Recipients {
  const participants: Recipient[] = [];
  const owners: Recipient[] = [];
  for (const [id, info] of tx.open(MEMBERS_INFO).entries()) {
    if (info.status !== "Active" || !holdsShares(tx, id)) continue;
    const encryptionPublicKeyPem = tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).get(id)!;
    (info.recovery_role === "Owner" ? owners : participants).push({ id, encryptionPublicKeyPem });
  }
  return { participants, owners };
}
