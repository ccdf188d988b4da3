/**
 * Looks through a ledger for what its secrets can be restored from, and restores them with members' keys.
 *
 * In: entries in order, or a snapshot they begin behind; then members' private encryption keys. Out: ledger secrets, or why
 * the keys do not suffice. Only public tables are read: nothing here is verified, and no secret is ever told.
 * Format: ledger-and-receipts.md §4.3 to §4.9
 */

import { FormatError } from "../shared/assert.ts";
import { equalBytes, fromUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { parsePublicKeyPem } from "../shared/crypto/public_key.ts";
import type { RsaPrivateKey } from "../shared/crypto/rsa.ts";
import { parseShare, SHARE_BYTES } from "../shared/crypto/shamir.ts";
import {
  HISTORICAL_ENCRYPTED_LEDGER_SECRET,
  MEMBERS_ENCRYPTION_PUBLIC_KEYS,
  RECOVERY_SHARES,
  SERVICE_CONFIG,
  SERVICE_INFO,
} from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { parseRecoveryShares, restoreLedgerSecrets, type SharesWrite } from "../shared/ledger/recovery_shares.ts";
import { type ChainLink, currentFrom, parseHistoricalSecret } from "../shared/ledger/secret_chain.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import type { Snapshot } from "../shared/ledger/snapshot.ts";
import { parseTxId, type Seqno } from "../shared/tx_id.ts";
import { UsageError } from "./commands/exit.ts";
import { walkLedger } from "./ledger_scan.ts";
import { type LedgerStart, readSnapshotFile } from "./ledger_start.ts";

export interface RestoredSecrets {
  readonly secrets: LedgerSecrets;
  /** While a recovery is under way: its first transaction. Nobody was given the secret from there on yet. */
  readonly unsharedFrom: Seqno | undefined;
}

/** A member's private encryption key, and the file it came from. */
export interface MemberKey {
  readonly path: string;
  readonly key: RsaPrivateKey;
}

/**
 * All secrets of a ledger.
 *
 * @param onBytes told how many bytes were read
 * @throws UsageError where a file cannot be read, or the keys do not suffice
 * @throws FormatError where the ledger contradicts itself
 */
export function restoreSecrets(
  primitives: Primitives,
  start: LedgerStart,
  memberKeys: readonly MemberKey[],
  onBytes?: (count: number) => void,
): RestoredSecrets {
  const search = new SecretSearch();
  try {
    if (start.snapshot !== undefined) search.addSnapshot(readSnapshotFile(start.snapshot).snapshot);
    for (const step of walkLedger(start.files, start.first, onBytes)) {
      if (step.kind === "entry") search.add(step.entry.bytes);
    }
  } catch (error) {
    // What was found up to here does for the transactions up to here.
    if (!(error instanceof FormatError)) throw error;
  }
  return search.restore(primitives, memberKeys);
}

class SecretSearch {
  readonly #shares: SharesWrite[] = [];
  readonly #links: ChainLink[] = [];
  /** Shares needed, as of the last transaction that was looked at. */
  #threshold: number | undefined;
  /** The same, as of the last write of the shares. */
  #thresholdOfShares: number | undefined;
  /** Public encryption keys (PEM) of members, former ones included. */
  readonly #memberKeys = new Set<string>();
  #recoveringFrom: Seqno | undefined;

  /** The next transaction. @throws FormatError */
  add(bytes: Uint8Array): void {
    const entry = LedgerEntry.parse(bytes);
    // Old writers' tables are read too: whoever verifies will object to them.
    for (const { name, writes } of entry.publicTables(tolerate)) {
      if (!name.startsWith("public:ccf.")) continue;
      for (const [, value] of writes) this.#note(name, value, entry.seqno);
    }
    if (this.#shares.at(-1)?.seqno === entry.seqno) this.#thresholdOfShares = this.#threshold;
  }

  /** What comes before the first transaction. @throws FormatError */
  addSnapshot(snapshot: Snapshot): void {
    for (const { name, entries } of snapshot.publicTables(tolerate)) {
      for (const { value, version } of entries) this.#note(name, value, version);
    }
    this.#thresholdOfShares = this.#threshold;
  }

  #note(table: string, value: Uint8Array, seqno: Seqno): void {
    switch (table) {
      case RECOVERY_SHARES.name:
        this.#shares.push({ seqno, value: parseRecoveryShares(value) });
        break;
      case HISTORICAL_ENCRYPTED_LEDGER_SECRET.name:
        this.#links.push({ seqno, value: parseHistoricalSecret(value) });
        break;
      case SERVICE_CONFIG.name:
        this.#threshold = SERVICE_CONFIG.value.decode(value).recovery_threshold;
        break;
      case MEMBERS_ENCRYPTION_PUBLIC_KEYS.name:
        this.#memberKeys.add(fromUtf8(value));
        break;
      case SERVICE_INFO.name: {
        const { status, current_service_create_txid: created } = SERVICE_INFO.value.decode(value);
        const isRecovery = status === "Recovering" || status === "WaitingForRecoveryShares";
        if (!isRecovery) this.#recoveringFrom = undefined;
        else this.#recoveringFrom ??= created === undefined ? seqno : parseTxId(created).seqno;
      }
    }
  }

  /** @throws UsageError, FormatError as `restoreSecrets` */
  restore(primitives: Primitives, memberKeys: readonly MemberKey[]): RestoredSecrets {
    const newest = this.#links.at(-1);
    const shares = this.#shares.at(-1);
    if (newest === undefined || shares === undefined) {
      throw new UsageError(
        "Cannot restore the ledger secrets: there are no recovery shares in these files; either the service was never " +
          "opened, or earlier files or a snapshot have them",
      );
    }
    const keys = memberKeys.map(({ key }) => key.pkcs8);
    const secrets = restoreLedgerSecrets(primitives, this.#shares, this.#links, keys);
    if (secrets.startingAt(currentFrom(newest)) === undefined) throw this.#refusal(primitives, shares, memberKeys);
    return { secrets, unsharedFrom: this.#recoveringFrom };
  }

  /** Why the newest secret could not be restored. */
  #refusal(primitives: Primitives, { seqno, value }: SharesWrite, memberKeys: readonly MemberKey[]): Error {
    const holders = [...value.encryptedShares];
    let opened = 0;
    const closed: string[] = [];
    for (const [member, encrypted] of holders) {
      const share = memberKeys.map(({ key }) => primitives.rsaOaepDecrypt(key.pkcs8, encrypted))
        .find((found) => found !== undefined);
      if (share === undefined) {
        closed.push(member);
        continue;
      }
      if (share.length !== SHARE_BYTES) {
        return new UsageError(
          `Cannot restore the ledger secrets: the recovery shares of transaction ${seqno} were made before 5.0, and ` +
            "nothing combines them any more; recover the service with a newer version first",
        );
      }
      opened += parseShare(share).x === 0 ? holders.length : 1;
    }
    const stranger = memberKeys.find(({ key }) => !this.#isMemberKey(key));
    const cannot = "Cannot restore the ledger secrets";
    if (stranger !== undefined) {
      return new UsageError(
        `${cannot}: the key in ${stranger.path} is the encryption key of nobody in this ledger; ` +
          "give the encryption keys (…_enc_privk.pem) of its members",
      );
    }
    const needed = (this.#thresholdOfShares ?? 1) - opened;
    if (needed <= 0) {
      return new FormatError(`${cannot}: the recovery shares of transaction ${seqno} do not open the wrapped secret`);
    }
    const others = closed.map((id) => id.slice(0, 8)).join(", ");
    return new UsageError(
      `${cannot}: it takes ${this.#thresholdOfShares} of the ${holders.length} recovery shares of transaction ${seqno}, ` +
        `and the given keys open ${opened}; give the encryption keys of ${needed} more of the members ${others}`,
    );
  }

  #isMemberKey({ publicKey }: RsaPrivateKey): boolean {
    for (const pem of this.#memberKeys) {
      try {
        if (equalBytes(parsePublicKeyPem(pem).spki, publicKey.spki)) return true;
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
      }
    }
    return false;
  }
}

const tolerate = () => {};
