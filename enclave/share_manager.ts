/**
 * Recovery shares: the current ledger secret, wrapped by a key that enough members together can rebuild.
 *
 * In: the active members with an encryption key, the threshold, the newest ledger secret. Out: the two tables that an
 * auditor and a recovery read.
 * Rules: ledger-and-receipts.md §4.3 to §4.5, governance.md §5 "Conditions to issue shares".
 */

import { assert, FormatError } from "../shared/assert.ts";
import { toBase64 } from "../shared/bytes.ts";
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
import type { Node } from "./node.ts";

interface Recipient {
  readonly id: string;
  readonly encryptionPublicKeyPem: string;
}

/**
 * Issues shares of the first ledger secret, when the service opens.
 *
 * @throws FormatError where the active members cannot reach the threshold
 */
export function issueFirstShares(tx: Transaction, node: Node): void {
  const { participants, owners } = recipients(tx);
  const config = tx.open(SERVICE_CONFIG).get();
  assert(config !== undefined, "A service that opens has a configuration");
  const threshold = config.recovery_threshold;
  const canRecover = participants.length > 0 ? participants.length >= threshold : owners.length > 0 && threshold === 1;
  if (!canRecover || threshold < 1) {
    throw new FormatError(
      `Cannot issue recovery shares: the threshold is ${threshold}, and ${participants.length} active members take part`,
    );
  }
  const latest = node.path.secrets.latest();
  assert(latest !== undefined, "A node of an open service has a ledger secret");

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
    wrapped_latest_ledger_secret: toBase64(wrapLedgerSecret(node.primitives, secret, latest.secret.key)),
  });
  tx.open(HISTORICAL_ENCRYPTED_LEDGER_SECRET).put({ next_version: latest.first });
}

/** Active members with an encryption key, in ascending order of ID; owners get the whole secret and no number. */
function recipients(tx: Transaction): { participants: Recipient[]; owners: Recipient[] } {
  const participants: Recipient[] = [];
  const owners: Recipient[] = [];
  for (const [id, info] of tx.open(MEMBERS_INFO).entries()) {
    const encryptionPublicKeyPem = tx.open(MEMBERS_ENCRYPTION_PUBLIC_KEYS).get(id);
    if (info.status !== "Active" || encryptionPublicKeyPem === undefined) continue;
    if (info.recovery_role === "NonParticipant") continue;
    (info.recovery_role === "Owner" ? owners : participants).push({ id, encryptionPublicKeyPem });
  }
  return { participants, owners };
}
