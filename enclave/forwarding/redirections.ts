/**
 * Where an interface sends clients whose request another node is to run: its `redirections` (http-api.md §4.3), and the
 * addresses of nodes as the ledger has them.
 *
 * In: the interface's configuration, the table of nodes, who leads. Out: an address. Knows nothing of endpoints.
 */

import { type NodeInfo, NODES_INFO } from "../../shared/governance/tables.ts";
import { object, type Of, text } from "../../shared/json_shape.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { OdataError } from "../frontend/odata_error.ts";
import type { Node } from "../node.ts";

/** "host:port" */
type Address = string;

const resolver = object({}, { kind: text, target: object({}, { role: text, interface: text, address: text }) });
const redirections = object({}, { to_primary: resolver, to_backup: resolver });

/**
 * The address to which a client is sent, by one of the two members of `redirections`.
 *
 * Quirk: the role is "primary" unless the configuration names another, for `to_backup` as well (http-api.md §4.3).
 *
 * @param interfaceName on which the request came: where the configuration names no other, the client is sent to that of
 * the same name on the other node
 * @returns undefined where there is no such node, or it has no such interface
 * @throws FormatError for a configuration that is none
 */
export function resolveRedirection(
  node: Node,
  tx: Transaction,
  configuration: unknown,
  strategy: "to_primary" | "to_backup",
  interfaceName: string,
): Address | undefined {
  // A copy: null members are taken out of what is checked.
  const { kind = "NodeByRole", target = {} }: Of<typeof resolver> =
    redirections(structuredClone(configuration), "/redirections")[strategy] ?? {};
  if (kind === "StaticAddress") return target.address;
  if (kind !== "NodeByRole") return undefined;
  const info = trustedNode(node, tx, target.role ?? "primary");
  return info === undefined ? undefined : addressOf(info, target.interface ?? interfaceName);
}

/**
 * The address of another node's interface of this name, for a node that redirects a client itself (http-api.md §4.4).
 *
 * @throws OdataError 500 where the ledger does not know the node, or it has no such interface
 */
export function redirectAddress(tx: Transaction, nodeId: string, interfaceName: string): Address {
  const info = tx.open(NODES_INFO).get(nodeId);
  if (info === undefined) {
    throw new OdataError(500, "InternalError", `Cannot find node info to produce redirect response for node ${nodeId}`);
  }
  const address = addressOf(info, interfaceName);
  if (address === undefined) {
    throw new OdataError(
      500,
      "InternalError",
      `Cannot redirect request. Received on RPC interface ${interfaceName}, which is not present on target node ${nodeId}`,
    );
  }
  return address;
}

function addressOf(info: NodeInfo, interfaceName: string): Address | undefined {
  const interfaces = info.rpc_interfaces ?? {};
  if (!Object.hasOwn(interfaces, interfaceName)) return undefined;
  const { published_address, bind_address } = interfaces[interfaceName]!;
  return published_address ?? bind_address;
}

/** The primary, or any of the others: clients are spread over them. */
function trustedNode(node: Node, tx: Transaction, role: string): NodeInfo | undefined {
  if (role === "primary") {
    const info = node.primaryId === undefined ? undefined : tx.open(NODES_INFO).get(node.primaryId);
    return info?.status === "Trusted" ? info : undefined;
  }
  if (role !== "backup") return undefined;
  const others: NodeInfo[] = [];
  for (const [id, info] of tx.open(NODES_INFO).entries()) {
    if (info.status === "Trusted" && id !== node.primaryId) others.push(info);
  }
  return others.length === 0 ? undefined : others[node.random(1)[0]! % others.length];
}
