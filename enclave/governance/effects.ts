/**
 * What an accepted proposal brings about besides its writes: secrets, shares, certificates, keys, files.
 *
 * In: calls of the constitution's `apply`, through the transaction it writes in. Out: more writes in that transaction;
 * once it is on the ledger, what is not in tables. A transaction that is discarded has changed nothing.
 * Rules: governance.md §4.1, §5, §6; the sentences of failures: js-apps.md §8.7
 */

import { assert, FormatError } from "../../shared/assert.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LedgerSecret } from "../../shared/ledger/secrets.ts";
import type { Seqno, TxId } from "../../shared/tx_id.ts";
import type { GovernanceEffects } from "../app_engine.ts";
import type { Node } from "../node.ts";
import type { EffectSource } from "./effect_source.ts";
import { reissueRekeyShares, reissueShares } from "../share_manager.ts";
import { refreshBytecodeCache } from "./bytecode_cache.ts";
import { endorsedCertificate, serviceCertificate } from "./certificate_renewal.ts";
import { removeJwtPublicSigningKeys, setJwtPublicSigningKeys } from "./jwt_keys.ts";
import { because, canRekey, writeRekey } from "./ledger_rekey.ts";
import { openService } from "./service_opening.ts";

/** The effects of one transaction. */
export class Effects implements GovernanceEffects {
  readonly #node: EffectSource;
  readonly #tx: Transaction;
  /** The ledger secret that covers what follows the transaction, where it brings one. */
  #nextSecret: Uint8Array | undefined;
  /** Why an effect did not come about, if one did not: then the transaction must not be committed. */
  failure: string | undefined;
  #endsChunk = false;
  #takesSnapshot = false;

  constructor(node: EffectSource, tx: Transaction) {
    this.#node = node;
    this.#tx = tx;
  }

  /**
   * The transaction is on the ledger: what waited for it begins. Nothing may have been written since.
   *
   * What a node finds in tables by itself is not among this: that the service is open, that certificates are renewed.
   */
  onCommitted(node: Node, id: TxId): void {
    const { path, primitives, signer } = node;
    assert(path.store.version === id.seqno, "Effects begin before anything else is written");
    if (this.#nextSecret !== undefined) {
      path.secrets.add(id.seqno + 1, new LedgerSecret(primitives, this.#nextSecret, id.seqno));
    }
    if (this.#endsChunk) signer.forceChunk(id.seqno);
    if (this.#takesSnapshot) signer.forceSnapshot();
  }

  openService(previousIdentityPem: string | undefined, nextIdentityPem: string): void {
    const opening = this.#attempt(
      "Unable to open service",
      () => openService(this.#tx, this.#node, previousIdentityPem, nextIdentityPem),
    );
    // Whoever joins or recovers an open service need not replay how it was set up.
    if (opening === "opened") this.#takesSnapshot = true;
  }

  rekeyLedger(): void {
    if (!canRekey(this.#tx) || this.#node.state !== "PartOfNetwork") this.#refuse("Could not rekey ledger");
    this.#nextSecret = this.#attempt("Failed to rekey ledger", () => writeRekey(this.#tx, this.#node));
  }

  refreshRecoveryShares(): void {
    this.#attempt("Unable to trigger recovery shares refresh", () => {
      if (this.#nextSecret === undefined) reissueShares(this.#tx, this.#node);
      else reissueRekeyShares(this.#tx, this.#node, this.#nextSecret);
    });
  }

  endLedgerChunk(): void {
    this.#endsChunk = true;
  }

  takeSnapshot(): void {
    this.#takesSnapshot = true;
  }

  /** Of the secret in force while this transaction is written: it is also the last that a new node must be given. */
  latestLedgerSecretSeqno(): Seqno {
    const latest = this.#node.path.secrets.latest();
    assert(latest !== undefined, "A node that writes has a ledger secret");
    return latest.first;
  }

  endorsedCertificate(requestPem: string, validFrom: string, validityDays: number): string {
    return this.#attempt(
      "Failed to create endorsed cert",
      () => endorsedCertificate(this.#node, requestPem, validFrom, validityDays),
    );
  }

  serviceCertificate(validFrom: string, validityDays: number): string {
    return this.#attempt("Error", () => serviceCertificate(this.#node, validFrom, validityDays));
  }

  refreshBytecodeCache(): void {
    this.#attempt("Failed to refresh bytecode", () => refreshBytecodeCache(this.#tx, this.#node));
  }

  /** The metadata is not looked at: CCF takes constraints from the keys alone. */
  setJwtPublicSigningKeys(issuer: string, _metadata: unknown, jwks: unknown): void {
    this.#attempt("set_jwt_public_signing_keys() failed", () => setJwtPublicSigningKeys(this.#tx, issuer, jwks));
  }

  removeJwtPublicSigningKeys(issuer: string): void {
    this.#attempt("Failed to remove JWT public signing keys", () => removeJwtPublicSigningKeys(this.#tx, issuer));
  }

  /** A step that fails may have written half of its tables, and a script may catch the exception. */
  #attempt<T>(what: string, step: () => T): T {
    try {
      return because(what, step);
    } catch (error) {
      if (error instanceof FormatError) this.failure ??= error.message;
      throw error;
    }
  }

  #refuse(sentence: string): never {
    this.failure ??= sentence;
    throw new FormatError(sentence);
  }
}
