/**
 * Which nodes a service had, and which of them led it in each view, as its ledger tells.
 *
 * In: entries in order. Out: views with their primaries; nodes with what became of them. Nothing is verified.
 * Formats: ledger-and-receipts.md §6 (who signed), §10.5 (rows of nodes)
 */

import { FormatError } from "../shared/assert.ts";
import { fromByteString, fromUtf8Lenient } from "../shared/bytes.ts";
import { NODES_INFO } from "../shared/governance/tables.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { isSignature, parseSignatureTables } from "../shared/ledger/signature.ts";
import { MAX_LISTED_FINDINGS } from "../shared/limits.ts";
import type { TxId, View } from "../shared/tx_id.ts";

export interface ViewHistory {
  readonly view: View;
  readonly first: TxId;
  last: TxId;
  /** Undefined where nobody signed in it. */
  primary: string | undefined;
}

export interface NodeHistory {
  readonly id: string;
  /** "Pending", "Trusted", "Retired", "removed", each where it began. */
  readonly changes: { readonly txId: TxId; readonly status: string }[];
}

export class NodeHistories {
  readonly views: ViewHistory[] = [];
  /** Views and changes that are not listed, since there are too many. */
  unlisted = 0;
  /** By ID, in the order in which the ledger names them. */
  readonly #nodes = new Map<string, NodeHistory>();
  #changes = 0;

  get nodes(): readonly NodeHistory[] {
    return [...this.#nodes.values()];
  }

  /** The next entry. @throws FormatError where it cannot be read */
  add(bytes: Uint8Array): void {
    const entry = LedgerEntry.parse(bytes);
    const { txId } = entry;
    let current = this.views.at(-1);
    if (current?.view !== txId.view) {
      current = { view: txId.view, first: txId, last: txId, primary: undefined };
      if (this.views.length < MAX_LISTED_FINDINGS) this.views.push(current);
      else this.unlisted++;
    }
    current.last = txId;
    const tables = entry.publicTables(() => {});
    if (isSignature(tables)) current.primary ??= parseSignatureTables(tables).nodeSignature.nodeId;
    for (const table of tables) if (table.name === NODES_INFO.name) this.#note(txId, table);
  }

  #note(txId: TxId, { writes, removes }: TableWrites): void {
    const text = (key: Parameters<typeof fromByteString>[0]) => fromUtf8Lenient(fromByteString(key));
    for (const [key, value] of writes) this.#change(txId, text(key), statusOf(value));
    for (const key of removes) this.#change(txId, text(key), "removed");
  }

  #change(txId: TxId, id: string, status: string): void {
    const node = this.#nodes.get(id) ?? { id, changes: [] };
    if (node.changes.at(-1)?.status === status) return;
    if (this.#changes === MAX_LISTED_FINDINGS) {
      this.unlisted++;
      return;
    }
    this.#changes++;
    node.changes.push({ txId, status });
    this.#nodes.set(id, node);
  }
}

/** A constitution may write anything there. */
function statusOf(value: Uint8Array): string {
  try {
    return NODES_INFO.value.decode(value).status;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return "unreadable";
  }
}
