/**
 * A new ledger secret for what follows: shares of it for the members, and the secret itself for every node.
 *
 * In: entropy, the secret in force, the nodes. Out: three tables, and the new secret, which counts from the seqno after
 * the transaction that holds them; putting it in force is for who commits that (`effects.ts`).
 * Rules: ledger-and-receipts.md §4.6, §4.7
 */

import { FormatError } from "../../shared/assert.ts";
import { toBase64 } from "../../shared/bytes.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { parseRsaPublicKey, rsaOaepEncrypt } from "../../shared/crypto/rsa.ts";
import { ENCRYPTED_LEDGER_SECRETS, NODES_INFO, SERVICE_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LEDGER_SECRET_BYTES } from "../../shared/ledger/secrets.ts";
import type { EffectSource } from "./effect_source.ts";
import { issueRekeyShares } from "../share_manager.ts";

/**
 * Whether the ledger may get a new secret now.
 *
 * Not before the service is open: submitted recovery shares are sealed with the secret in force, and while a service
 * recovers its older secrets are not yet known.
 */
export function canRekey(tx: Transaction): boolean {
  return tx.open(SERVICE_INFO).get()?.status === "Open";
}

/**
 * Writes a new secret to the tables, sealed to all who are to have it.
 *
 * @returns 32 bytes
 * @throws FormatError where the active members cannot reach the threshold
 */
export function writeRekey(tx: Transaction, node: EffectSource): Uint8Array {
  const next = node.random(LEDGER_SECRET_BYTES);
  issueRekeyShares(tx, node, next);
  const broadcast = [...secretHolders(tx, node)].map(([id, encryptionPublicKeyPem]) => {
    const key = parseRsaPublicKey(parsePemBlock(encryptionPublicKeyPem, "PUBLIC KEY"));
    return [id, [{ encrypted_secret: toBase64(rsaOaepEncrypt(key, next, node.random)), version: null }]];
  });
  tx.open(ENCRYPTED_LEDGER_SECRETS).put(Object.fromEntries(broadcast));
  return next;
}

/** A retired node still takes part until its retirement is committed, so it must be able to read on. */
function* secretHolders(tx: Transaction, node: EffectSource): Generator<[id: string, encryptionPublicKeyPem: string]> {
  const committed = node.store.beginCommitted().open(NODES_INFO);
  for (const [id, info] of tx.open(NODES_INFO).entries()) {
    const isRetiring = info.status === "Retired" && committed.get(id)?.retired_committed !== true;
    if (info.status === "Trusted" || isRetiring) yield [id, info.encryption_pub_key];
  }
}

/** Says what could not be done before the reason that a step below gives. */
export function because<T>(what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`${what}: ${error.message}`);
  }
}
