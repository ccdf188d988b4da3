/**
 * Checks snapshots against the ledger: the state they hold, and the evidence for them.
 *
 * The receipt behind a snapshot is for `receipt/`.
 * Rules: ledger-and-receipts.md §9
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromHex, toHex } from "../../bytes.ts";
import { parseJsonBytes } from "../../json.ts";
import { object, text, unsigned } from "../../json_shape.ts";
import type { TableSnapshot } from "../../kv/store.ts";
import { domainOf } from "../../kv/table_name.ts";
import { MAX_PENDING_SNAPSHOTS } from "../../limits.ts";
import type { Seqno } from "../../tx_id.ts";
import { onlyValueOf } from "../single_value.ts";
import type { Snapshot, SnapshotName } from "../snapshot.ts";
import { SNAPSHOT_EVIDENCE } from "../table_names.ts";
import type { ReplayedTransaction, ReplayState } from "./state.ts";

interface PendingSnapshot {
  readonly name: SnapshotName;
  readonly digest: Uint8Array;
}

const EVIDENCE_SHAPE = object({ hash: text, version: unsigned });

export class SnapshotChecks {
  readonly #state: ReplayState;
  /** Snapshots whose evidence has not come yet. */
  readonly #pending: PendingSnapshot[] = [];

  constructor(state: ReplayState) {
    this.#state = state;
  }

  /** Waits for the evidence of a snapshot. @throws FormatError where there is more to wait for than any node leaves */
  expectEvidence(name: SnapshotName, snapshot: Snapshot): void {
    if (this.#pending.length >= MAX_PENDING_SNAPSHOTS) {
      throw new FormatError(`More than ${MAX_PENDING_SNAPSHOTS} snapshots wait for their evidence`);
    }
    this.#pending.push({ name, digest: snapshot.digest(this.#state.primitives) });
  }

  /** Snapshots whose evidence never came. */
  get withoutEvidence(): readonly SnapshotName[] {
    return this.#pending.map(({ name }) => name);
  }

  /** Whether the evidence of a snapshot should be this transaction. */
  isDue(seqno: Seqno): boolean {
    return this.#pending.some(({ name }) => name.evidenceSeqno === seqno);
  }

  /** @throws FormatError */
  checkEvidence(tx: ReplayedTransaction, lastSigned: Seqno): void {
    const { entry: { seqno, claimsDigest } } = tx;
    const changes = tx.tables.get(SNAPSHOT_EVIDENCE);
    const due = this.#pending.filter(({ name }) => name.evidenceSeqno === seqno);
    if (changes === undefined) {
      if (due.length > 0) throw new FormatError(`This transaction is no evidence of a snapshot, as a file name says`);
      return;
    }
    const { hash, version } = EVIDENCE_SHAPE(parseJsonBytes(onlyValueOf(changes)), "");
    const digest = fromHex(hash);
    if (version > lastSigned) {
      throw new FormatError(`The evidence is of a snapshot at ${version}, which is not signed yet`);
    }
    if (claimsDigest === undefined || !equalBytes(claimsDigest, digest)) {
      this.#state.tolerate("entry of an older type", "The evidence of a snapshot does not claim its digest");
    }
    for (const pending of due) {
      if (pending.name.seqno !== version || !equalBytes(pending.digest, digest)) {
        throw new FormatError(
          `The evidence is of digest ${hash} at ${version}, and the snapshot at ${pending.name.seqno} has digest ${
            toHex(pending.digest)
          }`,
        );
      }
      this.#pending.splice(this.#pending.indexOf(pending), 1);
    }
  }

  /**
   * Compares a snapshot with the state after the transaction that was accepted last.
   *
   * @throws FormatError
   */
  compare(snapshot: Snapshot, leaf: Uint8Array, viewStarts: readonly Seqno[]): void {
    const where = `The snapshot at ${snapshot.seqno}`;
    if (!equalBytes(snapshot.leaf, leaf)) throw new FormatError(`${where} names another leaf for its transaction`);
    if (JSON.stringify(snapshot.viewStarts) !== JSON.stringify(viewStarts)) {
      throw new FormatError(
        `${where} has view history ${snapshot.viewStarts.join(", ")}, not ${viewStarts.join(", ")}`,
      );
    }
    const { primitives, secrets, store } = this.#state;
    const tolerate = (rule: string) => this.#state.tolerate("form of a value", `In the snapshot, ${rule}`);
    const ours = store.snapshot().tables;
    const inDomain = (domain: string) => ours.filter((table) => domainOf(table.name) === domain);
    compareTables(where, snapshot.publicTables(tolerate), inDomain("public"));
    const secret = secrets?.at(snapshot.seqno);
    if (secret === undefined) return;
    const privateTables = snapshot.privateTables(primitives, secret.key, tolerate);
    if (privateTables === undefined) throw new FormatError(`${where} is not sealed with the ledger secret`);
    compareTables(where, privateTables, inDomain("private"));
  }
}

/** @param ours in ascending order of name and key */
function compareTables(where: string, theirs: readonly TableSnapshot[], ours: readonly TableSnapshot[]): void {
  const byName = new Map(theirs.map((table) => [table.name, table]));
  for (const table of ours) {
    const name = JSON.stringify(table.name);
    const other = byName.get(table.name);
    if (other === undefined) throw new FormatError(`${where} lacks table ${name}`);
    if (other.version !== table.version) {
      throw new FormatError(`${where} has table ${name} at version ${other.version}, not ${table.version}`);
    }
    const entries = new Map(Array.from(other.entries, (entry) => [entry.key, entry]));
    let count = 0;
    for (const { key, value, version } of table.entries) {
      const found = entries.get(key);
      if (found === undefined || found.version !== version || !equalBytes(found.value, value)) {
        throw new FormatError(`${where} differs in table ${name} under key ${JSON.stringify(key)}`);
      }
      count++;
    }
    if (entries.size !== count || [...other.entries].length !== count) {
      throw new FormatError(`${where} has keys in table ${name} that the ledger has not`);
    }
    byName.delete(table.name);
  }
  const [extra] = byName.keys();
  if (extra !== undefined || theirs.length !== ours.length) {
    throw new FormatError(`${where} has table ${JSON.stringify(extra ?? "")} that the ledger has not`);
  }
}
