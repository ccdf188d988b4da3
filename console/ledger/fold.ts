/**
 * Verifies a ledger from its first entry, or from a snapshot on, and hands on what a signature covers.
 *
 * In: entries in order. Out: each of them once a signature covers it, with its tables and leaf; the state they lead to.
 * One face for two folds: a whole ledger also tells who let in which node (shared/trust), one from a snapshot does not.
 */

import { FormatError } from "../../shared/assert.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { LedgerVerifier } from "../../shared/ledger/replay.ts";
import type { ServiceIdentity } from "../../shared/ledger/replay/services.ts";
import type { ReplayMode } from "../../shared/ledger/replay/state.ts";
import { isSignature } from "../../shared/ledger/signature.ts";
import type { Snapshot, SnapshotName } from "../../shared/ledger/snapshot.ts";
import { MAX_UNSIGNED_TRANSACTIONS } from "../../shared/limits.ts";
import type { MerkleTree } from "../../shared/merkle/tree.ts";
import { TrustFold } from "../../shared/trust/trust_fold.ts";
import type { Seqno } from "../../shared/tx_id.ts";

export interface FoldFailure {
  readonly seqno: Seqno;
  readonly reason: string;
}

export interface Fold {
  readonly failure: FoldFailure | undefined;
  /** Entries at the end that no signature covers. */
  readonly unsigned: number;
  readonly identities: readonly ServiceIdentity[];
  /** The whole ledger, where it was read from its first entry. */
  readonly trust: TrustFold | undefined;
  /**
   * Adds an entry, with a rest after each that is verified: a signature may cover thousands. Until it is through, `tables`
   * and `trust` are not yet signed. Nothing is added after a failure.
   */
  addInSteps(bytes: Uint8Array): Generator<void, void>;
  /** Tables as of the last signature. */
  tables(): Transaction;
}

type OnEntry = (bytes: Uint8Array, tree: MerkleTree) => void;

export class WholeFold implements Fold {
  readonly trust: TrustFold;

  constructor(primitives: Primitives, mode: ReplayMode, onEntry: OnEntry) {
    this.trust = new TrustFold({ primitives, mode, onEntry });
  }

  get failure(): FoldFailure | undefined {
    return this.trust.failure;
  }

  get unsigned(): number {
    return this.trust.unsigned;
  }

  get identities(): readonly ServiceIdentity[] {
    return this.trust.identities;
  }

  addInSteps(bytes: Uint8Array): Generator<void, void> {
    return this.trust.addInSteps(bytes);
  }

  tables(): Transaction {
    return this.trust.tables();
  }
}

/** What the snapshot holds is believed as far as the signature in it goes, until its evidence has come. */
export class SnapshotFold implements Fold {
  readonly trust = undefined;
  readonly #verifier: LedgerVerifier;
  readonly #onEntry: OnEntry;
  #unsigned: Uint8Array[] = [];
  #failure: FoldFailure | undefined;

  constructor(primitives: Primitives, mode: ReplayMode, name: SnapshotName, snapshot: Snapshot, onEntry: OnEntry) {
    this.#verifier = new LedgerVerifier({ primitives, mode });
    this.#onEntry = onEntry;
    this.#note(this.#verifier.startFrom(name, snapshot));
  }

  get failure(): FoldFailure | undefined {
    return this.#failure;
  }

  get unsigned(): number {
    return this.#unsigned.length;
  }

  get identities(): readonly ServiceIdentity[] {
    return this.#verifier.identities;
  }

  /** Over all that is signed, and what the snapshot brought. */
  get tree(): MerkleTree {
    return this.#verifier.tree;
  }

  *addInSteps(bytes: Uint8Array): Generator<void, void> {
    this.#unsigned.push(bytes);
    if (!endsRun(bytes)) {
      if (this.#unsigned.length > MAX_UNSIGNED_TRANSACTIONS + 1) {
        this.#failure = {
          seqno: this.#verifier.last.seqno + 1,
          reason: `More than ${MAX_UNSIGNED_TRANSACTIONS} transactions in a row are not signed`,
        };
      }
      return;
    }
    const covered = this.#unsigned;
    this.#unsigned = [];
    for (const entry of covered) {
      this.#note(this.#verifier.add(entry));
      if (this.#failure !== undefined) return;
      this.#onEntry(entry, this.#verifier.tree);
      yield;
    }
  }

  tables(): Transaction {
    return this.#verifier.store.beginReadOnly();
  }

  #note(findings: ReturnType<LedgerVerifier["add"]>): void {
    for (const finding of findings) {
      if (finding.kind === "failure") this.#failure = { seqno: finding.seqno, reason: finding.reason };
    }
  }
}

/** Whether the entry is a signature, or cannot be read, which the verifier will say. */
function endsRun(bytes: Uint8Array): boolean {
  try {
    return isSignature(LedgerEntry.parse(bytes).publicTables(() => {}));
  } catch (error) {
    if (error instanceof FormatError) return true;
    throw error;
  }
}
