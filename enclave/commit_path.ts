/**
 * From a finished transaction to a ledger entry, a leaf of the Merkle tree and a new version of the store.
 *
 * In: transactions, in order. Out: `ledgerAppend`, `ledgerCommit`; the answers to "where is transaction v.s".
 * One node alone is its own quorum, so a signature commits the moment it is appended; replication enters here.
 * Rules: ledger-and-receipts.md §1, §2.3, §3, §5, §6.
 */

import { assert } from "../shared/assert.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import type { Store } from "../shared/kv/store.ts";
import type { WriteSet } from "../shared/kv/write_set.ts";
import { FORCE_CHUNK_AFTER, sealEntry } from "../shared/ledger/entry.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { leafOf, NO_CLAIMS } from "../shared/merkle/leaf.ts";
import { MerkleTree } from "../shared/merkle/tree.ts";
import type { Seqno, TxId, TxStatus, View } from "../shared/tx_id.ts";
import type { EnclaveOutput } from "./messages.ts";

export class CommitPath {
  readonly store: Store;
  readonly tree: MerkleTree;
  readonly secrets: LedgerSecrets;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  /** `viewHistory[v - 1]` is the first seqno of view v. */
  readonly #viewHistory: Seqno[];
  /** Seqnos of the signatures of this ledger, ascending, by which a proof finds the tree that covers it. */
  readonly #signatures: Seqno[] = [];
  #committed: TxId = { view: 0, seqno: 0 };
  #bytesInChunk = 0;
  #lastEntry: Uint8Array = new Uint8Array(0);

  constructor(
    store: Store,
    secrets: LedgerSecrets,
    primitives: Primitives,
    view: View,
    emit: (output: EnclaveOutput) => void,
  ) {
    this.store = store;
    this.secrets = secrets;
    this.#primitives = primitives;
    this.#emit = emit;
    this.tree = new MerkleTree(primitives);
    this.#viewHistory = new Array<Seqno>(view).fill(1);
  }

  get view(): View {
    return this.#viewHistory.length;
  }

  get viewHistory(): readonly Seqno[] {
    return this.#viewHistory;
  }

  get committed(): TxId {
    return this.#committed;
  }

  get lastSigned(): Seqno {
    return this.#signatures.at(-1) ?? 0;
  }

  /** Bytes of the entry appended last. */
  get lastEntry(): Uint8Array {
    return this.#lastEntry;
  }

  /** Size of the entries since the last chunk ended. */
  get bytesInChunk(): number {
    return this.#bytesInChunk;
  }

  /** Writes one transaction to the ledger; it is committed once a signature covers it. */
  append(writeSet: WriteSet, claimsDigest: Uint8Array = NO_CLAIMS): TxId {
    return this.#append(writeSet, claimsDigest, 0, false);
  }

  /** Writes a signature transaction, and commits everything up to it. */
  appendSignature(writeSet: WriteSet, endChunk: boolean): TxId {
    const id = this.#append(writeSet, NO_CLAIMS, endChunk ? FORCE_CHUNK_AFTER : 0, true);
    this.#signatures.push(id.seqno);
    if (endChunk) this.#bytesInChunk = 0;
    this.#commit(id);
    return id;
  }

  /** The first signature that covers a committed transaction; itself where it is a signature. */
  signatureCovering(seqno: Seqno): Seqno {
    assert(seqno <= this.#committed.seqno, "Only committed transactions are covered by a signature");
    let low = 0;
    let high = this.#signatures.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#signatures[middle]! < seqno) low = middle + 1;
      else high = middle;
    }
    return this.#signatures[low]!;
  }

  /** The view in which a local entry was written; undefined where there is none. */
  viewOf(seqno: Seqno): View | undefined {
    if (seqno < 1 || seqno > this.store.version) return undefined;
    let view = this.#viewHistory.length;
    while (this.#viewHistory[view - 1]! > seqno) view--;
    return view;
  }

  /** What is known of a transaction (http-api.md §5, `/tx`). */
  statusOf(id: TxId): TxStatus {
    const localView = this.viewOf(id.seqno);
    if (id.seqno <= this.#committed.seqno) return localView === id.view ? "Committed" : "Invalid";
    if (localView === id.view) return "Pending";
    return id.view < this.#committed.view ? "Invalid" : "Unknown";
  }

  #append(writeSet: WriteSet, claimsDigest: Uint8Array, flags: number, committable: boolean): TxId {
    const primitives = this.#primitives;
    const txId = { view: this.view, seqno: this.store.version + 1 };
    const secret = this.secrets.at(txId.seqno);
    assert(secret !== undefined, "A node that writes has the ledger secret of what it writes");
    const commitEvidenceDigest = secret.commitEvidenceDigest(txId);
    const entry = sealEntry(primitives, secret.key, { txId, flags, claimsDigest, commitEvidenceDigest, writeSet });
    const writeSetDigest = primitives.sha256(entry);
    this.tree.append(leafOf(primitives, { writeSetDigest, commitEvidenceDigest, claimsDigest }));
    this.store.apply(txId.seqno, writeSet);
    this.#bytesInChunk += entry.length;
    this.#lastEntry = entry;
    this.#emit({ kind: "ledgerAppend", seqno: txId.seqno, entry, committable });
    return txId;
  }

  #commit(id: TxId): void {
    this.#committed = id;
    this.store.compact(id.seqno);
    this.tree.flush(id.seqno);
    this.#emit({ kind: "ledgerCommit", seqno: id.seqno });
  }
}
