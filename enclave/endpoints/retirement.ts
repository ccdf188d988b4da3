/**
 * The end of a node's part in the service: recorded once it is committed, and its row deleted by whoever operates it.
 *
 * In: rows of nodes, as they are and as they are committed. Out: the mark by which every later primary knows that a
 * retired node is not needed any more, what may be deleted, and that.
 * Rules: consensus.md §18, http-api.md §6; CCF src/node/rpc/node_frontend.h
 */

import { type NodeInfo, NODES_ENDORSED_CERTIFICATES, NODES_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { FormatError } from "../../shared/assert.ts";
import { NODE_CERT } from "../frontend/authentication.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler } from "../frontend/replies.ts";
import { BOOLEAN } from "../frontend/schema.ts";
import type { Node } from "../node.ts";
import { listed, listedKeys } from "./map_order.ts";
import * as schemas from "./node_schemas.ts";

export const retirementEndpoints: readonly Endpoint[] = [
  endpoint("DELETE", "/network/nodes/{node_id}", "read-write", jsonHandler(deleteNode), {
    described: { answers: BOOLEAN },
  }),
  endpoint("GET", "/network/removable_nodes", "read-only", jsonHandler(getRemovableNodes), {
    described: { answers: schemas.NODES },
  }),
  endpoint(
    "POST",
    "/network/nodes/set_retired_committed",
    "read-write",
    jsonHandler(({ node, tx }) => {
      markRetired(node, tx);
      return null;
    }),
    { hidden: true, policies: [NODE_CERT] },
  ),
];

/**
 * Records on the ledger which retirements are committed. For a primary, when consensus asks for it.
 *
 * CCF's nodes call their own endpoint to this end; the transaction is the same.
 *
 * @returns whether there were any
 */
export function recordRetirements(node: Node): boolean {
  const tx = node.store.begin();
  if (markRetired(node, tx) === 0) return false;
  node.commitTransaction(tx);
  return true;
}

/** @returns how many nodes were marked */
function markRetired(node: Node, tx: Transaction): number {
  const committed = node.store.beginCommitted();
  let count = 0;
  for (const id of listedKeys(tx, NODES_INFO)) {
    if (rowOf(committed, id)?.status !== "Retired") continue;
    const info = rowOf(tx, id);
    if (info === undefined || info.retired_committed === true) continue;
    tx.open(NODES_INFO).put(id, { ...info, retired_committed: true });
    count++;
  }
  if (count > 0) node.log("info", "consensus", `The retirement of ${count} nodes is committed and is recorded`);
  return count;
}

/** Undefined where there is none, and where a constitution has written what is no row of a node. */
function rowOf(tx: Transaction, id: string): NodeInfo | undefined {
  try {
    return tx.open(NODES_INFO).get(id);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

/**
 * Only where the record of its retirement is itself committed: no primary that may be elected from then on counts on it.
 * That is read as of the last commit; a row that it is true of changes no more.
 */
function isRemovable(info: NodeInfo | undefined): info is NodeInfo {
  return info?.status === "Retired" && info.retired_committed === true;
}

function deleteNode({ node, params, tx }: EndpointContext): unknown {
  const id = params.node_id!;
  const nodes = tx.open(NODES_INFO);
  if (!nodes.has(id)) throw new OdataError(404, "ResourceNotFound", "No such node");
  if (!isRemovable(node.store.beginCommitted().open(NODES_INFO).get(id))) {
    throw new OdataError(400, "NodeNotRetiredCommitted", "Node is not completely retired");
  }
  nodes.remove(id);
  tx.open(NODES_ENDORSED_CERTIFICATES).remove(id);
  return true;
}

/** Quirk: none of them is shown as the primary, even if it was, and has not found another yet. */
function getRemovableNodes({ node, tx }: EndpointContext): unknown {
  const committed = node.store.beginCommitted().open(NODES_INFO);
  const nodes: unknown[] = [];
  for (const [id] of listed(tx, NODES_INFO)) {
    const info = committed.get(id);
    if (!isRemovable(info)) continue;
    nodes.push({
      last_written: tx.open(NODES_INFO).versionOfPreviousWrite(id) ?? 0,
      node_data: info.node_data ?? null,
      node_id: id,
      primary: false,
      rpc_interfaces: info.rpc_interfaces ?? {},
      status: info.status,
    });
  }
  return { nodes };
}
