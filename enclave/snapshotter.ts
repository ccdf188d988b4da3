/**
 * Snapshots: the state at a signature, sealed; its digest as evidence in the ledger; its receipt once that is committed.
 *
 * In: each signature, and whether the state there is to be kept. Out: `snapshotWrite`, for a file that a joining or
 * recovering node can start from.
 * Rules: ledger-and-receipts.md §9
 */

import { assert } from "../shared/assert.ts";
import { concat, toHex, toUtf8 } from "../shared/bytes.ts";
import type { Primitives } from "../shared/crypto/primitives.ts";
import { SNAPSHOT_EVIDENCE } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { formatSnapshotName, sealSnapshot } from "../shared/ledger/snapshot.ts";
import { MAX_REMEMBERED_SNAPSHOTS } from "../shared/limits.ts";
import { buildReceipt } from "../shared/receipt/build_receipt.ts";
import { serialiseReceipt } from "../shared/receipt/receipt.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { CommitPath } from "./commit_path.ts";
import type { EnclaveOutput } from "./messages.ts";

/** A snapshot that was given to the host, whole. */
export interface WrittenSnapshot {
  readonly name: string;
  /** Of the state it holds. */
  readonly seqno: Seqno;
  readonly sizeBytes: number;
}

interface Pending {
  readonly seqno: Seqno;
  readonly snapshot: Uint8Array;
  /** The evidence transaction. */
  readonly evidence: LedgerEntry;
}

export class Snapshotter {
  readonly #path: CommitPath;
  readonly #primitives: Primitives;
  readonly #emit: (output: EnclaveOutput) => void;
  readonly #written: WrittenSnapshot[] = [];
  /** At most one: alone, a node commits evidence with the next signature. */
  #pending: Pending | undefined;

  constructor(path: CommitPath, primitives: Primitives, emit: (output: EnclaveOutput) => void) {
    this.#path = path;
    this.#primitives = primitives;
    this.#emit = emit;
  }

  /** Snapshots of this process, oldest first. Older files are known to the host alone. */
  get written(): readonly WrittenSnapshot[] {
    return this.#written;
  }

  /**
   * A signature was committed: evidence before it can be proved now.
   *
   * @param isSnapshotPoint whether the state at this signature becomes a snapshot
   */
  onSignature(seqno: Seqno, isSnapshotPoint: boolean): void {
    const signatureEntry = LedgerEntry.parse(this.#path.lastEntry);
    assert(signatureEntry.seqno === seqno, "The last entry is the signature");
    if (this.#pending !== undefined) this.#finish(this.#pending, signatureEntry);
    this.#pending = isSnapshotPoint ? this.#take(seqno) : undefined;
  }

  #take(seqno: Seqno): Pending {
    const { store, secrets, tree, viewHistory } = this.#path;
    const secret = secrets.at(seqno);
    assert(secret !== undefined, "A node that writes has the ledger secret of what it writes");
    const content = { store: store.snapshot(seqno), leaf: tree.leaf(seqno), viewStarts: viewHistory };
    const snapshot = sealSnapshot(this.#primitives, secret.key, content);
    const digest = this.#primitives.sha256(snapshot);
    const tx = store.begin();
    tx.open(SNAPSHOT_EVIDENCE).put({ hash: toHex(digest), version: seqno });
    this.#path.append(tx.writeSet(), digest);
    return { seqno, snapshot, evidence: LedgerEntry.parse(this.#path.lastEntry) };
  }

  #finish({ seqno, snapshot, evidence }: Pending, signatureEntry: LedgerEntry): void {
    const secret = this.#path.secrets.at(evidence.seqno);
    assert(secret !== undefined, "A node that writes has the ledger secret of what it writes");
    const receipt = buildReceipt(this.#primitives, {
      entry: evidence,
      signatureEntry,
      commitEvidence: secret.commitEvidence(evidence.txId),
    });
    const name = formatSnapshotName({ seqno, evidenceSeqno: evidence.seqno, committed: true });
    const file = concat(snapshot, toUtf8(serialiseReceipt(receipt)));
    this.#emit({ kind: "snapshotWrite", name, snapshot: file });
    this.#written.push({ name, seqno, sizeBytes: file.length });
    if (this.#written.length > MAX_REMEMBERED_SNAPSHOTS) this.#written.shift();
  }
}
