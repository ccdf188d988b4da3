/**
 * What changes to the table of nodes mean to consensus: who votes, and whose retirement everybody knows of.
 *
 * In: hooks of the store. Out: the members after the entry that was just applied; nodes whose retirement was committed.
 * Rules: consensus.md §17, §18
 */

import { FormatError } from "../shared/assert.ts";
import type { NodeId } from "../shared/consensus/messages.ts";
import type { Members } from "../shared/consensus/port.ts";
import { type NodeInfo, NODES_INFO } from "../shared/governance/tables.ts";
import type { Store } from "../shared/kv/store.ts";
import type { TableWrites } from "../shared/kv/write_set.ts";

export class NodeRows {
  #applied: TableWrites | undefined;
  #retired: NodeId[] = [];

  constructor(store: Store) {
    store.onApply(NODES_INFO.name, (_seqno, changes) => this.#applied = changes);
    store.onCommit(NODES_INFO.name, (_seqno, changes) => {
      for (const [id, { status, retired_committed }] of rowsOf(changes)) {
        if (status === "Retired" && retired_committed === true) this.#retired.push(id);
      }
    });
  }

  /**
   * Members after the changes that were applied last: a node that is Trusted is one, and one that is Retired no longer.
   *
   * @returns undefined where the table did not change
   */
  takeMembers(before: Members): Members | undefined {
    const changes = this.#applied;
    if (changes === undefined) return undefined;
    this.#applied = undefined;
    const members = new Map(before);
    for (const [id, info] of rowsOf(changes)) {
      if (info.status === "Trusted") members.set(id, addressOf(info));
      else if (info.status === "Retired") members.delete(id);
    }
    // A service of nobody could never decide anything again: the last node stays.
    return members.size === 0 ? undefined : members;
  }

  /**
   * Nodes of which commits since the last call say that their retirement is committed.
   *
   * @param members who votes now: of them nobody has retired, whatever a constitution has written
   */
  takeRetired(members: Members): readonly NodeId[] {
    const retired = this.#retired.filter((id) => !members.has(id));
    this.#retired = [];
    return retired;
  }
}

/** "host:port" at which other nodes reach it. */
function addressOf({ node_to_node_interface: door, nodehost, nodeport }: NodeInfo): string {
  return door === undefined ? `${nodehost}:${nodeport}` : door.published_address ?? door.bind_address;
}

const NODE_ID = /^[0-9a-f]{64}$/;

/** Rows that were written. A constitution may write anything there; what is no row of a node changes nothing. */
function* rowsOf({ writes }: TableWrites): Generator<readonly [NodeId, NodeInfo]> {
  for (const [keyBytes, valueBytes] of writes) {
    try {
      const id = NODES_INFO.key.decode(keyBytes);
      if (NODE_ID.test(id)) yield [id, NODES_INFO.value.decode(valueBytes)];
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
}
