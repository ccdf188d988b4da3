/**
 * What the checks of a replay share: the state before the transaction that is looked at, and a way to object.
 *
 * A check throws FormatError where the ledger is not sound; its message becomes the reason. What only older versions
 * wrote goes to `tolerate`, which throws too where nothing is to be tolerated.
 */

import type { ByteString } from "../../bytes.ts";
import { FormatError } from "../../assert.ts";
import type { Primitives } from "../../crypto/primitives.ts";
import { SINGLETON_KEY } from "../../kv/codecs.ts";
import type { Store } from "../../kv/store.ts";
import type { TableWrites, WriteSetDeviation } from "../../kv/write_set.ts";
import type { MerkleTree } from "../../merkle/tree.ts";
import type { Seqno } from "../../tx_id.ts";
import type { LedgerEntry } from "../entry.ts";
import type { LedgerSecret, LedgerSecrets } from "../secrets.ts";
import { onlyValueOf } from "../single_value.ts";
import { CertificateCache } from "./certificates.ts";
import type { DeviationRule, Finding } from "./findings.ts";

/** Strict: what 7.0.0-dev7 writes, and nothing else. Lenient: also what versions from 1.x on left. */
export type ReplayMode = "strict" | "lenient";

/** One transaction on its way through the checks. */
export interface ReplayedTransaction {
  readonly entry: LedgerEntry;
  /** Changes to public tables, by name, in the order of the entry. */
  readonly tables: ReadonlyMap<string, TableWrites>;
  /** The secret that sealed it, where secrets are known. */
  readonly secret: LedgerSecret | undefined;
}

export class ReplayState {
  readonly primitives: Primitives;
  readonly mode: ReplayMode;
  /** Undefined where only the public part can be checked. */
  readonly secrets: LedgerSecrets | undefined;
  readonly certificates: CertificateCache;
  /** For parsing the tables of an entry; undefined where nothing is tolerated. */
  readonly tolerateWriteSet: ((deviation: WriteSetDeviation) => void) | undefined;
  /** As of the transaction before. */
  readonly store: Store;
  /** Over the transactions before. */
  tree: MerkleTree;
  /** What was found since findings were last taken. */
  #findings: Finding[] = [];
  /** The transaction that is being looked at. */
  seqno: Seqno = 0;

  constructor(
    primitives: Primitives,
    mode: ReplayMode,
    secrets: LedgerSecrets | undefined,
    store: Store,
    tree: MerkleTree,
  ) {
    this.primitives = primitives;
    this.mode = mode;
    this.secrets = secrets;
    this.store = store;
    this.tree = tree;
    this.certificates = new CertificateCache(primitives);
    this.tolerateWriteSet = mode === "strict" ? undefined : ({ table, rule }) => {
      this.tolerate("form of the write set", `In the changes to table ${JSON.stringify(table)}, ${rule}`);
    };
  }

  /** The value of a key before this transaction; of a table with one value if no key is given. */
  valueBefore(table: string, key: ByteString = SINGLETON_KEY): Uint8Array | undefined {
    return this.store.table(table)?.valueAt(this.store.version, key);
  }

  /** Seqno of the last write of a table with one value, before this transaction. */
  lastWriteBefore(table: string): Seqno | undefined {
    return this.store.table(table)?.lastWriteAt(this.store.version, SINGLETON_KEY);
  }

  /** The value of a table with one value after this transaction. @throws FormatError */
  valueAfter(tx: ReplayedTransaction, table: string): Uint8Array | undefined {
    const changes = tx.tables.get(table);
    return changes === undefined ? this.valueBefore(table) : onlyValueOf(changes);
  }

  /** Notes something that only older versions wrote. @throws FormatError in strict mode */
  tolerate(rule: DeviationRule, reason: string): void {
    if (this.mode === "strict") throw new FormatError(reason);
    this.#findings.push({ kind: "deviation", seqno: this.seqno, rule, reason });
  }

  warn(reason: string): void {
    this.#findings.push({ kind: "warning", seqno: this.seqno, reason });
  }

  fail(reason: string): void {
    this.#findings.push({ kind: "failure", seqno: this.seqno, reason });
  }

  takeFindings(): readonly Finding[] {
    if (this.#findings.length === 0) return NOTHING;
    const findings = this.#findings;
    this.#findings = [];
    return findings;
  }
}

const NOTHING: readonly Finding[] = [];
