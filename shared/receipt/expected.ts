/**
 * What somebody says a receipt is for: claims, a transaction ID.
 *
 * A receipt without these proves only that some transaction is in the ledger.
 */

import { FormatError } from "../assert.ts";
import { equalBytes, toHex } from "../bytes.ts";
import { formatTxId, parseTxId, type TxId } from "../tx_id.ts";
import type { Steps } from "../verdict.ts";

export interface Expected {
  /** SHA-256 of what the application claims, 32 bytes. */
  readonly claimsDigest?: Uint8Array;
  readonly txId?: TxId;
}

export function checkClaims(steps: Steps, { claimsDigest }: Expected, proven: Uint8Array | undefined): void {
  if (claimsDigest === undefined) {
    steps.skip("claims", "not checked", "no claims were given to compare with");
  } else if (proven === undefined) {
    steps.skip("claims", "cannot be checked", "the receipt has no claims digest");
  } else {
    const detail = `the digest of the claims is ${toHex(claimsDigest)}, in the receipt ${toHex(proven)}`;
    steps.check("claims", equalBytes(claimsDigest, proven), detail);
  }
}

export function checkTxId(steps: Steps, { txId }: Expected, commitEvidence: string | undefined): void {
  const proven = commitEvidence === undefined ? undefined : txIdOf(commitEvidence);
  if (txId === undefined) {
    const what = proven === undefined
      ? "the receipt proves a signed root alone, and names no transaction"
      : `the receipt is for ${formatTxId(proven)}`;
    steps.skip("transaction", "not checked", what);
  } else if (proven === undefined) {
    steps.skip("transaction", "cannot be checked", "the receipt of a signature transaction does not name it");
  } else {
    const detail = `the transaction asked for is ${formatTxId(txId)}, in the receipt ${formatTxId(proven)}`;
    steps.check("transaction", txId.view === proven.view && txId.seqno === proven.seqno, detail);
  }
}

/**
 * The transaction that commit evidence ("ce:2.24:6cc9…") is of.
 *
 * @throws FormatError
 */
export function txIdOf(commitEvidence: string): TxId {
  const [prefix, txId, nonce] = commitEvidence.split(":");
  if (prefix !== "ce" || txId === undefined || nonce === undefined) {
    throw new FormatError(`Cannot read commit evidence ${JSON.stringify(commitEvidence.slice(0, 60))}`);
  }
  return parseTxId(txId);
}
