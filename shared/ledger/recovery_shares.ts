/**
 * Recovery shares: how members together hold the newest ledger secret, and how the secrets of a ledger come back.
 *
 * In: values of `public:ccf.internal.recovery_shares`, the members' private encryption keys. Out: ledger secrets.
 * Knows nothing of how shares are submitted over HTTP, nor of who may submit one.
 * Format: ledger-and-receipts.md §4.4, §4.9
 */

import { FormatError } from "../assert.ts";
import { equalBytes, fromBase64, toBase64 } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { combineShares, parseShare, type Share, SHARE_BYTES, unwrapLedgerSecret } from "../crypto/shamir.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { object, recordOf, text, unsigned } from "../json_shape.ts";
import type { Seqno } from "../tx_id.ts";
import { type ChainLink, currentFrom, restoreOlderSecrets } from "./secret_chain.ts";
import { LedgerSecret, LedgerSecrets } from "./secrets.ts";

/** One value of the table. */
export interface RecoveryShares {
  /** By member ID: a share, or the full secret for an owner, encrypted to the member's RSA key. */
  readonly encryptedShares: ReadonlyMap<string, Uint8Array>;
  /** The current ledger secret, in a box under the key that the shares give. */
  readonly wrappedLedgerSecret: Uint8Array;
  /** Seqno at which the wrapped secret's predecessor is stored; absent where the secret is new. */
  readonly previousSecretStoredVersion?: Seqno;
}

/** A value of the table with the seqno of the transaction that wrote it. */
export interface SharesWrite {
  readonly seqno: Seqno;
  readonly value: RecoveryShares;
}

/**
 * The ledger secret that shares wrap.
 *
 * @param memberKeys private encryption keys, PKCS#8 DER, of any members in any order
 * @returns undefined where the keys open too few shares, or shares of before 5.0, which nothing combines any more
 * @throws FormatError where the shares that open do not belong together
 */
export function openRecoveryShares(
  primitives: Primitives,
  shares: RecoveryShares,
  memberKeys: readonly Uint8Array[],
): Uint8Array | undefined {
  const opened: Share[] = [];
  for (const encrypted of shares.encryptedShares.values()) {
    const share = openShare(primitives, encrypted, memberKeys);
    if (share?.x === 0) return unwrapLedgerSecret(primitives, share, shares.wrappedLedgerSecret);
    if (share !== undefined) opened.push(share);
  }
  if (opened.length === 0) return undefined;
  // All of them, whatever the threshold is: more shares than needed lie on the same curve, or else nothing unwraps.
  return unwrapLedgerSecret(primitives, combineShares(opened, opened.length), shares.wrappedLedgerSecret);
}

function openShare(
  primitives: Primitives,
  encrypted: Uint8Array,
  memberKeys: readonly Uint8Array[],
): Share | undefined {
  for (const key of memberKeys) {
    const share = primitives.rsaOaepDecrypt(key, encrypted);
    if (share !== undefined) return share.length === SHARE_BYTES ? parseShare(share) : undefined;
  }
  return undefined;
}

/**
 * Every ledger secret that the members' keys lead to: those wrapped by shares that open, and the older ones behind each.
 *
 * @param writes every write of the shares, in order
 * @param links every write of the historical secrets, in order
 * @param memberKeys private encryption keys, PKCS#8 DER
 * @throws FormatError where the ledger contradicts itself: a box does not open, or two ways lead to different secrets
 */
export function restoreLedgerSecrets(
  primitives: Primitives,
  writes: readonly SharesWrite[],
  links: readonly ChainLink[],
  memberKeys: readonly Uint8Array[],
): LedgerSecrets {
  const secrets = new LedgerSecrets();
  for (const { seqno, value } of writes.toReversed()) {
    const upToHere = links.filter((link) => link.seqno <= seqno);
    const current = upToHere.at(-1);
    const key = openRecoveryShares(primitives, value, memberKeys);
    if (key === undefined || current === undefined) continue;
    const known = secrets.startingAt(currentFrom(current));
    if (known === undefined) {
      const secret = new LedgerSecret(primitives, key, current.seqno);
      secrets.add(currentFrom(current), secret);
      restoreOlderSecrets(primitives, upToHere, secret, secrets);
    } else if (!equalBytes(known.key, key)) {
      throw new FormatError(
        `Cannot restore the ledger secrets: the shares of transaction ${seqno} lead to another secret than later ones`,
      );
    }
  }
  return secrets;
}

const SHAPE = object(
  { encrypted_shares: recordOf(text), wrapped_latest_ledger_secret: text },
  { previous_secret_stored_version: unsigned },
);

/** @throws FormatError */
export function parseRecoveryShares(bytes: Uint8Array): RecoveryShares {
  const json = SHAPE(parseJsonBytes(bytes), "");
  const stored = json.previous_secret_stored_version;
  return {
    encryptedShares: new Map(
      Object.entries(json.encrypted_shares).map(([member, share]) => [member, fromBase64(share)]),
    ),
    wrappedLedgerSecret: fromBase64(json.wrapped_latest_ledger_secret),
    ...(stored !== undefined && { previousSecretStoredVersion: stored }),
  };
}

export function serialiseRecoveryShares(shares: RecoveryShares): Uint8Array {
  const encrypted = [...shares.encryptedShares].map(([member, share]) => [member, toBase64(share)]);
  return stableJsonBytes({
    encrypted_shares: Object.fromEntries(encrypted),
    previous_secret_stored_version: shares.previousSecretStoredVersion,
    wrapped_latest_ledger_secret: toBase64(shares.wrappedLedgerSecret),
  });
}
