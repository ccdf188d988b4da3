/**
 * Replays a ledger into a store and a tree, and checks everything that can be checked on the way.
 *
 * In: entries in order, and where files begin and end. Out: findings, and the state that the ledger leads to.
 * Knows nothing of directories, of receipts, nor of what the constitution would have decided.
 * Rules: ledger-and-receipts.md §1 to §7, §9; each group of checks stands in `replay/`.
 */

import { assert, FormatError } from "../assert.ts";
import { equalBytes } from "../bytes.ts";
import type { Primitives } from "../crypto/primitives.ts";
import { Store } from "../kv/store.ts";
import type { TableWrites } from "../kv/write_set.ts";
import { MAX_UNSIGNED_TRANSACTIONS } from "../limits.ts";
import { MerkleTree } from "../merkle/tree.ts";
import { formatTxId, type Seqno, type TxId } from "../tx_id.ts";
import type { ChunkEnd, ChunkName } from "./chunk.ts";
import { EntryType, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE, LedgerEntry } from "./entry.ts";
import { ChunkChecks } from "./replay/chunks.ts";
import type { Finding } from "./replay/findings.ts";
import { checkGovernance } from "./replay/governance.ts";
import { SecretChecks } from "./replay/secrets.ts";
import { ServiceChecks, type ServiceIdentity } from "./replay/services.ts";
import { checkSignature, checkSnapshotSignature } from "./replay/signatures.ts";
import { SnapshotChecks } from "./replay/snapshots.ts";
import { type ReplayedTransaction, type ReplayMode, ReplayState } from "./replay/state.ts";
import type { LedgerSecret, LedgerSecrets } from "./secrets.ts";
import { formatSnapshotName, type Snapshot, type SnapshotName } from "./snapshot.ts";
import { COSE_SIGNATURES, SIGNATURES, TREE } from "./table_names.ts";
import { ViewHistory } from "./view_history.ts";

export interface ReplayOptions {
  readonly primitives: Primitives;
  readonly mode: ReplayMode;
  /** Where they are given there must be one for every entry, and private tables are replayed too. */
  readonly secrets?: LedgerSecrets;
  /** Certificate (PEM) whose key must be that of the last service identity. */
  readonly serviceCertificatePem?: string;
  /** An empty store to fill, for a caller whose hooks are to see what is replayed. */
  readonly store?: Store;
}

/** A service starts here: consensus begins at view 0 and forces its first primary 2 on (ledger-and-receipts.md §1). */
const FIRST_VIEW = 2;
/** Views that a recovery goes on by. */
const RECOVERY_VIEWS = 2;
const NONE: TxId = { view: 0, seqno: 0 };

/**
 * One pass over a ledger. The first failure ends it: what comes after cannot be believed, and is not to be added.
 *
 *     const verifier = new LedgerVerifier({ primitives, mode: "strict" });
 *     for each file: verifier.startChunk(name); verifier.add(bytes) for each entry; verifier.endChunk(end);
 *     verifier.finish();
 *
 * Every method answers what it found, which mostly is nothing. Files are optional; entries alone can be replayed too.
 */
export class LedgerVerifier {
  readonly #state: ReplayState;
  readonly #chunks: ChunkChecks;
  readonly #services: ServiceChecks;
  readonly #secrets: SecretChecks;
  readonly #snapshots: SnapshotChecks;
  readonly #pinnedCertificatePem: string | undefined;
  #views = new ViewHistory();
  #last = NONE;
  #lastLeaf: Uint8Array | undefined;
  #lastSigned = NONE;
  #lastSignedRoot: Uint8Array | undefined;
  /** First leaf in the tree of the last signature: ours is flushed up to there at the next one. */
  #flushNext: Seqno = 0;
  #failed = false;

  constructor(options: ReplayOptions) {
    const { primitives, mode, secrets, store = new Store() } = options;
    assert(store.version === 0, "A ledger is replayed into an empty store");
    this.#state = new ReplayState(primitives, mode, secrets, store, new MerkleTree(primitives));
    this.#chunks = new ChunkChecks(this.#state);
    this.#services = new ServiceChecks(this.#state);
    this.#secrets = new SecretChecks(this.#state);
    this.#snapshots = new SnapshotChecks(this.#state);
    this.#pinnedCertificatePem = options.serviceCertificatePem;
  }

  /** Whether a failure was found; then nothing more is to be added. */
  get failed(): boolean {
    return this.#failed;
  }

  /** The last transaction that was accepted. */
  get last(): TxId {
    return this.#last;
  }

  get lastSigned(): TxId {
    return this.#lastSigned;
  }

  /** All tables after the last transaction; private ones only where secrets are known. Committed up to `lastSigned`. */
  get store(): Store {
    return this.#state.store;
  }

  /** Over all transactions; flushed some signatures back. */
  get tree(): MerkleTree {
    return this.#state.tree;
  }

  get viewHistory(): ViewHistory {
    return this.#views;
  }

  /** The service's lives so far, in order: the first, and one for each recovery. */
  get identities(): readonly ServiceIdentity[] {
    return this.#services.identities;
  }

  /**
   * Begins behind a snapshot instead of at transaction 1. What it holds is believed as far as the signature in it goes,
   * until its evidence has come.
   */
  startFrom(name: SnapshotName, snapshot: Snapshot): readonly Finding[] {
    assert(this.#last === NONE, "A snapshot comes before the first transaction");
    return this.#guard(snapshot.seqno, () => this.#startFrom(name, snapshot));
  }

  /** A ledger file begins. */
  startChunk(name: ChunkName): readonly Finding[] {
    const next = this.#last.seqno + 1;
    return this.#guard(next, () => this.#chunks.start(name, next));
  }

  /** The next transaction. */
  add(bytes: Uint8Array): readonly Finding[] {
    return this.#guard(this.#last.seqno + 1, () => this.#add(LedgerEntry.parse(bytes)));
  }

  /** A ledger file has been read to its end. */
  endChunk(end: ChunkEnd): readonly Finding[] {
    return this.#guard(this.#last.seqno, () => this.#chunks.end(end));
  }

  /** Compares a snapshot with the state after the last transaction, which must be the one it was taken at. */
  checkSnapshot(name: SnapshotName, snapshot: Snapshot): readonly Finding[] {
    assert(name.seqno === this.#last.seqno, "A snapshot is compared right behind its transaction");
    return this.#guard(name.seqno, () => {
      if (snapshot.seqno !== name.seqno || this.#lastSigned !== this.#last || this.#lastLeaf === undefined) {
        throw new FormatError(`File ${formatSnapshotName(name)} holds no snapshot at a signature of that seqno`);
      }
      this.#snapshots.compare(snapshot, this.#lastLeaf, this.#views.starts);
      this.#snapshots.expectEvidence(name, snapshot);
    });
  }

  /** The ledger ends. */
  finish(): readonly Finding[] {
    return this.#guard(this.#last.seqno, () => this.#finish());
  }

  /** Takes back what no signature covers, as a recovering node does. */
  rollbackToLastSigned(): void {
    assert(!this.#failed && this.#lastSigned.seqno > 0, "A ledger is rolled back to a signature that was accepted");
    if (this.#last === this.#lastSigned) return;
    this.#state.store.rollback(this.#lastSigned.seqno);
    this.#state.tree.retract(this.#lastSigned.seqno + 1);
    this.#services.rollback(this.#lastSigned.seqno);
    this.#secrets.load();
    this.#last = this.#lastSigned;
  }

  #guard(seqno: Seqno, check: () => void): readonly Finding[] {
    assert(!this.#failed, "Nothing is replayed after a failure");
    this.#state.seqno = seqno;
    try {
      check();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#failed = true;
      this.#state.fail(error.message);
    }
    return this.#state.takeFindings();
  }

  #startFrom(name: SnapshotName, snapshot: Snapshot): void {
    const { primitives, secrets, store } = this.#state;
    if (name.seqno !== snapshot.seqno) {
      throw new FormatError(`File ${formatSnapshotName(name)} holds a snapshot at ${snapshot.seqno}`);
    }
    const tables = snapshot.publicTables();
    if (secrets !== undefined) {
      const secret = this.#secretAt(snapshot.seqno)!;
      const privateTables = snapshot.privateTables(primitives, secret.key);
      if (privateTables === undefined) throw new FormatError("The snapshot is not sealed with the ledger secret");
      tables.push(...privateTables);
    }
    store.load({ version: snapshot.seqno, tables });
    const serialisedTree = this.#state.valueBefore(TREE);
    if (serialisedTree === undefined) throw new FormatError("The snapshot holds no tree");
    this.#state.tree = MerkleTree.parse(primitives, serialisedTree);
    this.#services.load(snapshot.seqno);
    this.#secrets.load();
    const txId = { view: snapshot.viewStarts.length, seqno: snapshot.seqno };
    checkSnapshotSignature(this.#state, txId, this.#services.current!.certificate);
    this.#lastSignedRoot = this.#state.tree.root();
    this.#state.tree.append(snapshot.leaf);
    this.#lastLeaf = snapshot.leaf;
    this.#views = new ViewHistory(snapshot.viewStarts, snapshot.seqno);
    this.#last = this.#lastSigned = txId;
    this.#snapshots.expectEvidence(name, snapshot);
  }

  #add(entry: LedgerEntry): void {
    const { store, tree, primitives } = this.#state;
    this.#checkHeader(entry);
    const publicTables = entry.publicTables(this.#state.tolerateWriteSet);
    if (publicTables.length === 0 && !entry.hasPrivateTables) throw new FormatError("The transaction changes nothing");
    const secret = this.#secretAt(entry.seqno);
    const privateTables = secret === undefined ? [] : this.#open(entry, secret);

    // Most transactions change application tables only, and there is little to be said about them.
    const isPlain = !publicTables.some(isServiceTable) && !this.#snapshots.isDue(entry.seqno);
    const tx = isPlain
      ? undefined
      : { entry, tables: new Map(publicTables.map((table) => [table.name, table])), secret };
    const isSignature = tx !== undefined && tx.tables.has(SIGNATURES);
    const startsService = tx !== undefined && this.#services.startsService(tx);
    this.#checkView(entry, isSignature, startsService);
    this.#checkFlags(entry, isSignature, startsService);
    if (isSignature) this.#checkSignature(tx!);
    else if (tx !== undefined) this.#checkTables(tx);
    this.#chunks.add(entry.flags, isSignature);

    this.#lastLeaf = entry.leaf(primitives);
    tree.append(this.#lastLeaf);
    store.apply(entry.seqno, { publicTables, privateTables });
    this.#last = entry.txId;
    if (isSignature) this.#acceptSignature();
    else if (entry.seqno - this.#lastSigned.seqno > MAX_UNSIGNED_TRANSACTIONS) {
      throw new FormatError(`More than ${MAX_UNSIGNED_TRANSACTIONS} transactions in a row are not signed`);
    }
  }

  #checkHeader(entry: LedgerEntry): void {
    const { seqno, view } = this.#last;
    if (entry.seqno !== seqno + 1) {
      throw new FormatError(`The entry is transaction ${formatTxId(entry.txId)}, and the one before is ${seqno}`);
    }
    if (entry.view < view) {
      throw new FormatError(
        `The entry is transaction ${formatTxId(entry.txId)}, and the one before is of view ${view}`,
      );
    }
    if (entry.type !== EntryType.evidenceAndClaims) {
      this.#state.tolerate("entry of an older type", `The entry is of type ${entry.type}, not 4`);
    }
    if (entry.maxConflictVersion !== 0) {
      this.#state.tolerate("conflict version", `The entry has conflict version ${entry.maxConflictVersion}, not 0`);
    }
  }

  /** The secret of a transaction; undefined where secrets are not known at all. */
  #secretAt(seqno: Seqno): LedgerSecret | undefined {
    const { secrets } = this.#state;
    const secret = secrets?.at(seqno);
    if (secrets !== undefined && secret === undefined) {
      throw new FormatError("No ledger secret covers this transaction");
    }
    return secret;
  }

  /** Private tables, and the commit evidence, which only who knows the secret can check. */
  #open(entry: LedgerEntry, secret: LedgerSecret): readonly TableWrites[] {
    const { primitives, tolerateWriteSet } = this.#state;
    const tables = entry.privateTables(primitives, secret.key, tolerateWriteSet);
    if (tables === undefined) throw new FormatError("The entry was changed, or is not sealed with the ledger secret");
    const { commitEvidenceDigest } = entry;
    if (
      commitEvidenceDigest !== undefined &&
      !equalBytes(commitEvidenceDigest, secret.commitEvidenceDigest(entry.txId))
    ) {
      throw new FormatError("The commit evidence is not that of this transaction");
    }
    return tables;
  }

  #checkSignature(tx: ReplayedTransaction): void {
    const service = this.#services.current;
    assert(service !== undefined, "The first transaction has created a service");
    const { root, firstLeaf } = checkSignature(this.#state, tx, service.certificate);
    this.#lastSignedRoot = root;
    // The tree is kept from the tree of the signature before on: another primary may know less to be committed.
    this.#state.tree.flush(Math.max(this.#state.tree.firstIndex, this.#flushNext));
    this.#flushNext = firstLeaf;
  }

  #checkTables(tx: ReplayedTransaction): void {
    for (const name of [COSE_SIGNATURES, TREE]) {
      if (tx.tables.has(name)) throw new FormatError(`The transaction changes table ${name}, and is no signature`);
    }
    this.#services.check(tx, this.#lastSignedRoot);
    this.#secrets.check(tx, this.#services.current);
    checkGovernance(this.#state, tx);
    this.#snapshots.checkEvidence(tx, this.#lastSigned.seqno);
  }

  /** A view begins behind a signature, with a signature; or, two views on, with a recovered service. */
  #checkView(entry: LedgerEntry, isSignature: boolean, startsService: boolean): void {
    const { view, seqno } = this.#last;
    if (seqno === 0) {
      if (!startsService) throw new FormatError("The first transaction creates no service");
      if (entry.view !== FIRST_VIEW) {
        this.#state.tolerate("first transaction", `The service begins in view ${entry.view}, not ${FIRST_VIEW}`);
      }
      return;
    }
    if (startsService && entry.view !== view + RECOVERY_VIEWS) {
      throw new FormatError(
        `Another service begins in view ${entry.view}, and a recovery goes on in ${view + RECOVERY_VIEWS}`,
      );
    }
    if (entry.view === view) return;
    if (this.#lastSigned.seqno !== seqno) {
      throw new FormatError(
        `View ${entry.view} begins behind transaction ${formatTxId(this.#last)}, which is no signature`,
      );
    }
    if (!isSignature && !startsService) throw new FormatError(`View ${entry.view} begins with no signature`);
  }

  #checkFlags(entry: LedgerEntry, isSignature: boolean, startsService: boolean): void {
    if ((entry.flags & FORCE_CHUNK_AFTER) !== 0 && !isSignature) {
      throw new FormatError("The transaction ends its file, and is no signature");
    }
    const isRecovery = startsService && this.#last.seqno > 0;
    if (((entry.flags & FORCE_CHUNK_BEFORE) !== 0) !== isRecovery) {
      const reason = isRecovery ? "The recovered service does not begin a file" : "The transaction begins a file";
      this.#state.tolerate("chunk flag out of place", `${reason}, as its flags say`);
    }
  }

  #acceptSignature(): void {
    this.#lastSigned = this.#last;
    this.#views.addSignature(this.#last);
    this.#state.store.compact(this.#last.seqno);
  }

  #finish(): void {
    if (this.#lastSigned.seqno === 0) throw new FormatError("The ledger has no signature");
    this.#checkPin();
    if (this.#last !== this.#lastSigned) {
      this.#state.warn(`No signature covers the transactions after ${formatTxId(this.#lastSigned)}`);
    }
    this.#chunks.finish();
    for (const name of this.#snapshots.withoutEvidence) {
      this.#state.warn(`The ledger does not go on to the evidence of ${formatSnapshotName(name)}`);
    }
  }

  #checkPin(): void {
    if (this.#pinnedCertificatePem === undefined) return;
    const pinned = this.#state.certificates.get(this.#pinnedCertificatePem).nodeId;
    const { from, certificate } = this.#services.current!;
    if (certificate.nodeId !== pinned) {
      this.#state.seqno = from;
      throw new FormatError(`The service has key ${certificate.nodeId}, and the given certificate is for ${pinned}`);
    }
  }
}

function isServiceTable(table: TableWrites): boolean {
  return table.name.startsWith("public:ccf.");
}
