/**
 * From a finished transaction to a ledger entry, a leaf of the Merkle tree and a new version of the store; and on a
 * backup from the entry to the same.
 *
 * In: transactions of this node, entries of the primary, and what consensus decides: which of them are committed, which
 * have never been. Out: `ledgerAppend`, `ledgerTruncate`, `ledgerCommit`; the answers to "where is transaction v.s".
 * Consensus orders entries without knowing what is in them (`shared/consensus/port.ts`); here they get their meaning.
 * Rules: ledger-and-receipts.md §1, §2.3, §3, §5, §6; consensus.md §4, §9, §14, §15.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { equalBytes } from "../shared/bytes.ts";
import type { NodeId, RaftMessage } from "../shared/consensus/messages.ts";
import type { EntryEffects, Members, RaftPort } from "../shared/consensus/port.ts";
import { Raft } from "../shared/consensus/raft.ts";
import type { Primitives, Random } from "../shared/crypto/primitives.ts";
import { SERVICE_INFO } from "../shared/governance/tables.ts";
import { Store, type StoreSnapshot } from "../shared/kv/store.ts";
import type { WriteSet } from "../shared/kv/write_set.ts";
import { FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE, LedgerEntry, sealEntry } from "../shared/ledger/entry.ts";
import type { LedgerSecrets } from "../shared/ledger/secrets.ts";
import { isSignature } from "../shared/ledger/signature.ts";
import { leafOf, NO_CLAIMS } from "../shared/merkle/leaf.ts";
import { MerkleTree } from "../shared/merkle/tree.ts";
import { formatTxId, type Seqno, type TxId, type TxStatus, type View } from "../shared/tx_id.ts";
import type { CommonConfig, EnclaveOutput } from "./messages.ts";
import { NodeRows } from "./node_rows.ts";
import { SignatureCheck } from "./signature_check.ts";

/** What the path reports to the node around it. */
export interface CommitPathListener {
  send(to: NodeId, message: RaftMessage): void;
  /** An entry of the primary was applied. */
  executed(id: TxId, writeSet: WriteSet): void;
  rolledBack(to: Seqno): void;
  /** Nothing is to be sent to a node any more. */
  peerRemoved(id: NodeId): void;
  committed(seqno: Seqno): void;
  retirementsMayBeRecorded(): void;
}

export interface CommitPathOptions {
  readonly id: NodeId;
  readonly consensus: CommonConfig["consensus"];
  readonly primitives: Primitives;
  readonly random: Random;
  readonly secrets: LedgerSecrets;
  readonly emit: (output: EnclaveOutput) => void;
  readonly listener: CommitPathListener;
}

/** Where a ledger goes on: behind a snapshot that was verified. */
export interface LedgerStart {
  readonly store: StoreSnapshot;
  /** Over all entries up to the snapshot's. */
  readonly tree: MerkleTree;
  readonly viewStarts: readonly Seqno[];
  readonly view: View;
}

const NOBODY: Members = new Map();

export class CommitPath {
  readonly store = new Store();
  readonly secrets: LedgerSecrets;
  readonly raft: Raft<Uint8Array>;
  readonly #options: CommitPathOptions;
  readonly #rows: NodeRows;
  #tree: MerkleTree;
  #signatureCheck: SignatureCheck;
  /** Seqnos of the signatures that this node has seen, ascending, by which a proof finds the tree that covers it. */
  readonly #signatures: Seqno[] = [];
  /** Seqno that this node's own view of the ledger begins after: that of its snapshot, or 0. */
  #start: Seqno = 0;
  /** Size of the file so far, after each entry that is not committed; the first is of the last one that is. */
  #bytesInChunk: number[] = [0];
  #committedSeqno: Seqno = 0;
  /** Entries that have flags, ascending, of those after `start`: about one for each ledger file. */
  readonly #flagged: { readonly seqno: Seqno; readonly flags: number }[] = [];
  #lastEntry: Uint8Array = new Uint8Array(0);
  /** Of the entry that is being written or applied: small arrays of its own would cost as much as the hashes. */
  readonly #evidenceDigest = new Uint8Array(32);
  readonly #leaf = new Uint8Array(32);

  constructor(options: CommitPathOptions) {
    const { id, consensus, primitives, random } = options;
    this.#options = options;
    this.secrets = options.secrets;
    this.#tree = new MerkleTree(primitives);
    this.#rows = new NodeRows(this.store);
    this.#signatureCheck = new SignatureCheck(primitives, this.store, this.#tree);
    this.raft = new Raft<Uint8Array>(
      {
        id,
        messageTimeoutMs: consensus.messageTimeoutMs,
        electionTimeoutMs: consensus.electionTimeoutMs,
        maxUncommitted: consensus.maxUncommittedTransactions,
      },
      this.#port(),
      (below) => randomBelow(random, below),
    );
  }

  get tree(): MerkleTree {
    return this.#tree;
  }

  get view(): View {
    return this.raft.view;
  }

  get viewHistory(): readonly Seqno[] {
    return this.raft.viewStarts.list;
  }

  get committed(): TxId {
    return { view: this.raft.viewOf(this.#committedSeqno), seqno: this.#committedSeqno };
  }

  get lastSigned(): Seqno {
    return this.#signatures.at(-1) ?? 0;
  }

  /** Bytes of the entry appended last. */
  get lastEntry(): Uint8Array {
    return this.#lastEntry;
  }

  /** Flags of an entry; undefined where this node began behind it, and so has not seen it. */
  flagsAt(seqno: Seqno): number | undefined {
    if (seqno <= this.#start) return undefined;
    const flagged = this.#firstFlagged(seqno);
    return flagged?.seqno === seqno ? flagged.flags : 0;
  }

  /** Size of the entries since the last chunk ended. */
  get bytesInChunk(): number {
    return this.#bytesInChunk.at(-1)!;
  }

  /** Seqno of the snapshot that this node began with; 0 without one. */
  get start(): Seqno {
    return this.#start;
  }

  /** Begins behind a snapshot. Its private tables must have been opened with a secret that is known here. */
  startFrom({ store, tree, viewStarts, view }: LedgerStart): void {
    const seqno = store.version;
    this.store.load(store);
    this.#tree = tree;
    this.#signatureCheck = new SignatureCheck(this.#options.primitives, this.store, tree);
    this.#signatures.push(seqno); // snapshots are taken at signatures
    this.#start = this.#committedSeqno = seqno;
    const members = this.#rows.takeMembers(NOBODY);
    this.raft.startFrom({ seqno, view, viewStarts, ...(members !== undefined && { members }) });
    this.raft.becomeAwareOfView(view);
  }

  /** Writes one transaction to the ledger; it is committed once a signature covers it and enough nodes have that. */
  append(writeSet: WriteSet, claimsDigest: Uint8Array = NO_CLAIMS): TxId {
    return this.#append(writeSet, claimsDigest, 0, false);
  }

  /** Writes a signature transaction. */
  appendSignature(writeSet: WriteSet, endChunk: boolean): TxId {
    return this.#append(writeSet, NO_CLAIMS, endChunk ? FORCE_CHUNK_AFTER : 0, true);
  }

  /**
   * The first signature that covers a committed transaction; itself where it is a signature.
   *
   * @returns undefined where this node began after it, and so has not seen it
   */
  signatureCovering(seqno: Seqno): Seqno | undefined {
    assert(seqno <= this.#committedSeqno, "Only committed transactions are covered by a signature");
    if (seqno < this.#start) return undefined;
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
    return seqno < 1 || seqno > this.store.version ? undefined : this.raft.viewOf(seqno);
  }

  /** What is known of a transaction (http-api.md §5, `/tx`). */
  statusOf(id: TxId): TxStatus {
    const localView = this.viewOf(id.seqno);
    if (id.seqno <= this.#committedSeqno) return localView === id.view ? "Committed" : "Invalid";
    if (localView === id.view) return "Pending";
    return id.view < this.committed.view ? "Invalid" : "Unknown";
  }

  #append(writeSet: WriteSet, claimsDigest: Uint8Array, flags: number, committable: boolean): TxId {
    const { primitives, emit } = this.#options;
    assert(this.raft.canReplicate, "Only the primary writes");
    const txId = { view: this.view, seqno: this.store.version + 1 };
    const secret = this.secrets.at(txId.seqno);
    assert(secret !== undefined, "A node that writes has the ledger secret of what it writes");
    const commitEvidenceDigest = secret.commitEvidenceDigest(txId, this.#evidenceDigest);
    const entry = sealEntry(primitives, secret.key, { txId, flags, claimsDigest, commitEvidenceDigest, writeSet });
    const writeSetDigest = primitives.sha256(entry, this.#leaf);
    const effects = this.#apply(
      txId.seqno,
      entry,
      flags,
      committable,
      writeSet,
      leafOf(primitives, { writeSetDigest, commitEvidenceDigest, claimsDigest }, this.#leaf),
    );
    emit({ kind: "ledgerAppend", seqno: txId.seqno, entry, committable });
    this.raft.append(txId.seqno, entry.length, effects);
    return txId;
  }

  /** What an entry does here, whoever wrote it. */
  #apply(
    seqno: Seqno,
    entry: Uint8Array,
    flags: number,
    committable: boolean,
    writeSet: WriteSet,
    leaf: Uint8Array,
  ): EntryEffects {
    this.#tree.append(leaf);
    this.store.apply(seqno, writeSet);
    if (committable) this.#signatures.push(seqno);
    if (flags !== 0) this.#flagged.push({ seqno, flags });
    this.#bytesInChunk.push((flags & FORCE_CHUNK_AFTER) !== 0 ? 0 : this.bytesInChunk + entry.length);
    this.#lastEntry = entry;
    const members = this.#rows.takeMembers(this.raft.latestMembers ?? NOBODY);
    return members === undefined ? { committable } : { committable, members };
  }

  #port(): RaftPort<Uint8Array> {
    const { listener, emit } = this.#options;
    return {
      send: (to, message) => listener.send(to, message),
      endOfMessage: (from, to) => this.#endOfMessage(from, to),
      execute: (entry, id) => this.#execute(entry, id),
      rollback: (to) => this.#rollback(to.seqno),
      commit: (seqno) => this.#commit(seqno),
      peerAdded: (nodeId, address) => emit({ kind: "peerAddress", nodeId, address }),
      peerRemoved: (nodeId) => {
        emit({ kind: "peerAddress", nodeId, address: null });
        listener.peerRemoved(nodeId);
      },
      retirementsMayBeRecorded: () => listener.retirementsMayBeRecorded(),
    };
  }

  /** Only the last entry of a message may have flags, and none that this node has not seen go with those that it has. */
  #endOfMessage(from: Seqno, to: Seqno): Seqno {
    if (from <= this.#start) return Math.min(to, this.#start);
    return Math.min(to, this.#firstFlagged(from)?.seqno ?? to);
  }

  /** The first entry from `seqno` on that has flags. */
  #firstFlagged(seqno: Seqno): { readonly seqno: Seqno; readonly flags: number } | undefined {
    // Most often it is asked about the newest entries.
    let at = this.#flagged.length;
    while (at > 0 && this.#flagged[at - 1]!.seqno >= seqno) at--;
    return this.#flagged[at];
  }

  #execute(bytes: Uint8Array, id: TxId): EntryEffects | undefined {
    try {
      return this.#executeChecked(bytes, id);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const message = `Cannot take entry ${formatTxId(id)} from the primary: ${error.message}`;
      this.#options.emit({ kind: "log", level: "fail", tag: "consensus", message });
      return undefined;
    }
  }

  /** Everything that can be wrong with an entry is found before anything changes. @throws FormatError */
  #executeChecked(bytes: Uint8Array, id: TxId): EntryEffects {
    const { primitives, emit, listener } = this.#options;
    const entry = LedgerEntry.parse(bytes);
    if (entry.seqno !== id.seqno || entry.view !== id.view) {
      throw new FormatError(`it is entry ${formatTxId(entry.txId)}`);
    }
    assert(id.seqno === this.store.version + 1, "Entries are applied in order");
    const secret = this.secrets.at(id.seqno);
    if (secret === undefined) throw new FormatError("this node has no ledger secret for it");
    const privateTables = entry.privateTables(primitives, secret.key);
    if (privateTables === undefined) throw new FormatError("it is not sealed with the ledger secret, or was changed");
    const { claimsDigest, commitEvidenceDigest } = entry;
    if (
      claimsDigest === undefined || commitEvidenceDigest === undefined ||
      !equalBytes(commitEvidenceDigest, secret.commitEvidenceDigest(id, this.#evidenceDigest))
    ) {
      throw new FormatError("its commit evidence is not that of this transaction");
    }
    const publicTables = entry.publicTables();
    const committable = isSignature(publicTables);
    // The seal does not cover them. The channel does, but not where the primary itself began behind this entry; and the
    // next signature covers them when nobody can ask for the entry again.
    if ((entry.flags & ~flagsOf(publicTables, committable)) !== 0) {
      throw new FormatError("its flags are not those of its kind");
    }
    if (committable) this.#signatureCheck.require(entry);
    const writeSet = { publicTables, privateTables };
    const effects = this.#apply(
      id.seqno,
      bytes,
      entry.flags,
      committable,
      writeSet,
      entry.leaf(primitives, this.#leaf),
    );
    emit({ kind: "ledgerAppend", seqno: id.seqno, entry: bytes, committable });
    listener.executed(id, writeSet);
    return effects;
  }

  #rollback(to: Seqno): void {
    if (to >= this.store.version) return;
    this.store.rollback(to);
    this.#tree.retract(to + 1); // the leaf of seqno s is number s; number 0 stands for nothing
    this.secrets.rollback(to);
    while (this.lastSigned > to) this.#signatures.pop();
    while ((this.#flagged.at(-1)?.seqno ?? 0) > to) this.#flagged.pop();
    this.#bytesInChunk.length = to - this.#committedSeqno + 1;
    this.#options.emit({ kind: "ledgerTruncate", seqno: to });
    this.#options.listener.rolledBack(to);
  }

  #commit(seqno: Seqno): readonly NodeId[] {
    this.#bytesInChunk.splice(0, seqno - this.#committedSeqno);
    this.#committedSeqno = seqno;
    this.store.compact(seqno);
    this.#tree.flush(seqno);
    this.#options.emit({ kind: "ledgerCommit", seqno });
    this.#options.listener.committed(seqno);
    return this.#rows.takeRetired(this.raft.latestMembers ?? NOBODY);
  }
}

/** The flags that an entry may have: where a file ends or begins (ledger-and-receipts.md §3). */
function flagsOf(publicTables: WriteSet["publicTables"], committable: boolean): number {
  if (committable) return FORCE_CHUNK_AFTER;
  return publicTables.some(({ name }) => name === SERVICE_INFO.name) ? FORCE_CHUNK_BEFORE : 0;
}

/** The bias, below one in a million for what timers need, does not matter. */
function randomBelow(random: Random, below: number): number {
  const [a, b, c, d] = random(4) as unknown as [number, number, number, number];
  return (a * 0x1000000 + b * 0x10000 + c * 0x100 + d) % below;
}
