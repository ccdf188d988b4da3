/**
 * Ledger secrets: which key covers which seqno, and what is derived from it.
 *
 * In: 32-byte secrets with the first seqno of each. Out: the secret of a seqno, and the commit evidence of transactions.
 * Knows nothing of how secrets are shared, sealed or handed on (`secret_chain.ts`, `recovery_shares.ts`).
 * Format: ledger-and-receipts.md §4.1, §3.5
 */

import { assert } from "../assert.ts";
import { toByteString, toUtf8 } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { formatTxId, type Seqno, type TxId } from "../tx_id.ts";

export const LEDGER_SECRET_BYTES = 32;

const COMMIT_SECRET_LABEL = toUtf8("Commit S");
const EVIDENCE_PREFIX = toUtf8("ce:");
const COLON = 0x3a;
const HEX_DIGITS = toUtf8("0123456789abcdef");

/** Room for the longest: view and seqno have at most 10 and 16 digits. */
const evidence = new Uint8Array(128);
evidence.set(EVIDENCE_PREFIX);
const nonce = new Uint8Array(32);

/** One ledger secret: an AES-256 key, used as it is, and the root of commit evidence. */
export class LedgerSecret {
  readonly #primitives: Primitives;
  #nonceOf: ((message: Uint8Array, into: Uint8Array) => Uint8Array) | undefined;

  constructor(
    primitives: Primitives,
    readonly key: Uint8Array,
    /** Seqno of the entry that holds this secret's predecessor (ledger-and-receipts.md §4.5), if it is known. */
    readonly previousSecretStoredVersion?: Seqno,
  ) {
    assert(key.length === LEDGER_SECRET_BYTES, "A ledger secret is 32 bytes");
    this.#primitives = primitives;
  }

  /**
   * "ce:2.24:6cc9f45f…": what proves that a transaction was committed.
   *
   * The ledger holds only the digest; the text itself is told in receipts of committed transactions and nowhere else.
   */
  commitEvidence(id: TxId): string {
    return toByteString(this.#evidenceBytes(id));
  }

  /** sha256 of the commit evidence, as it stands in the entry. @param into where it is written, if not in a new array */
  commitEvidenceDigest(id: TxId, into?: Uint8Array): Uint8Array {
    return this.#primitives.sha256(this.#evidenceBytes(id), into);
  }

  /**
   * The evidence as ASCII, in a buffer that the next call reuses.
   *
   * Every transaction needs its digest, and going by way of strings would take longer than the two hashes.
   */
  #evidenceBytes(id: TxId): Uint8Array {
    if (this.#nonceOf === undefined) {
      const commitSecret = this.#primitives.hmacSha256(this.key)(COMMIT_SECRET_LABEL);
      this.#nonceOf = this.#primitives.hmacSha256(commitSecret);
    }
    const txId = formatTxId(id);
    const txIdEnd = EVIDENCE_PREFIX.length + txId.length;
    for (let i = 0; i < txId.length; i++) evidence[EVIDENCE_PREFIX.length + i] = txId.charCodeAt(i);
    this.#nonceOf(evidence.subarray(EVIDENCE_PREFIX.length, txIdEnd), nonce);
    evidence[txIdEnd] = COLON;
    let at = txIdEnd + 1;
    for (let i = 0; i < nonce.length; i++) {
      evidence[at++] = HEX_DIGITS[nonce[i]! >> 4]!;
      evidence[at++] = HEX_DIGITS[nonce[i]! & 0xf]!;
    }
    return evidence.subarray(0, at);
  }
}

/** The secrets of one ledger, each from its first seqno on to that of the next. */
export class LedgerSecrets {
  /** Ascending by first seqno. */
  readonly #secrets: { readonly first: Seqno; readonly secret: LedgerSecret }[] = [];
  /** First seqno of the newest secret that is never forgotten. */
  #keptUpTo: Seqno = 0;

  get size(): number {
    return this.#secrets.length;
  }

  /** The secret that covers `seqno`, or undefined where none that is known does. */
  at(seqno: Seqno): LedgerSecret | undefined {
    return this.#covering(seqno)?.secret;
  }

  /** First seqno of the secret that covers `seqno`. */
  firstSeqnoAt(seqno: Seqno): Seqno | undefined {
    return this.#covering(seqno)?.first;
  }

  /** The secret whose first seqno is exactly this one. */
  startingAt(first: Seqno): LedgerSecret | undefined {
    const found = this.#covering(first);
    return found?.first === first ? found.secret : undefined;
  }

  /** The newest secret and its first seqno. */
  latest(): { readonly first: Seqno; readonly secret: LedgerSecret } | undefined {
    return this.#secrets.at(-1);
  }

  /** Adds a secret, at any place: restored ones come newest first. */
  add(first: Seqno, secret: LedgerSecret): void {
    assert(first >= 1, "A ledger secret covers seqnos from 1 on");
    let at = this.#secrets.length;
    while (at > 0 && this.#secrets[at - 1]!.first >= first) at--;
    assert(this.#secrets[at]?.first !== first, "No two ledger secrets start at the same seqno");
    this.#secrets.splice(at, 0, { first, secret });
  }

  /** No rollback forgets what is known now: a joiner is told it once, and its ledger does not tell it again. */
  keepAll(): void {
    this.#keptUpTo = this.latest()?.first ?? 0;
  }

  /** Forgets secrets that transactions after `seqno` brought. The one for `seqno` + 1 stays: a rekey precedes it. */
  rollback(seqno: Seqno): void {
    const last = Math.max(seqno + 1, this.#keptUpTo);
    while (this.#secrets.length > 0 && this.#secrets.at(-1)!.first > last) this.#secrets.pop();
  }

  *[Symbol.iterator](): Generator<{ readonly first: Seqno; readonly secret: LedgerSecret }> {
    yield* this.#secrets;
  }

  #covering(seqno: Seqno): { readonly first: Seqno; readonly secret: LedgerSecret } | undefined {
    let low = 0;
    let high = this.#secrets.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#secrets[middle]!.first <= seqno) low = middle + 1;
      else high = middle;
    }
    return this.#secrets[low - 1];
  }
}
