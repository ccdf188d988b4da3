/**
 * Whether a signature that a primary sent may be believed: a trusted node and the service signed the root that this
 * node's own entries lead to.
 *
 * In: the entry, this node's tables and tree as of the transaction before. Out: nothing, or a FormatError.
 * The rules are those of whoever replays the ledger later (`shared/ledger/replay/signatures.ts`), in their strict form:
 * what a backup accepts, an auditor will.
 */

import { FormatError } from "../shared/assert.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { SERVICE_INFO } from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { LedgerEntry } from "../shared/ledger/entry.ts";
import { checkSignature } from "../shared/ledger/replay/signatures.ts";
import { ReplayState } from "../shared/ledger/replay/state.ts";
import type { MerkleTree } from "../shared/merkle/tree.ts";

export class SignatureCheck {
  readonly #state: ReplayState;

  constructor(primitives: Primitives, store: Store, tree: MerkleTree) {
    this.#state = new ReplayState(primitives, "strict", undefined, store, tree);
  }

  /** @throws FormatError where the signature is not one of this service over this ledger */
  require(entry: LedgerEntry): void {
    const tables = new Map(entry.publicTables().map((changes) => [changes.name, changes]));
    const certificatePem = this.#state.store.beginReadOnly().open(SERVICE_INFO).get()?.cert;
    if (certificatePem === undefined) throw new FormatError("it is signed before there is a service");
    checkSignature(this.#state, { entry, tables, secret: undefined }, this.#state.certificates.get(certificatePem));
  }
}
