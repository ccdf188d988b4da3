/**
 * Nodes as the ledger proves them, and what a node says about them beside it.
 *
 * In: the worker's tables and history; answers of `/node/network/nodes` and `/node/consensus`. Out: a row for each node, how
 * it came and went, and where the node's word differs from the ledger.
 * Formats: ledger-and-receipts.md §10.5, http-api.md (node endpoints)
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromUtf8Lenient, toUtf8 } from "../../../shared/bytes.ts";
import { parseCertificatePem } from "../../../shared/crypto/x509.ts";
import { type NodeInfo, NODES_ENDORSED_CERTIFICATES, NODES_INFO } from "../../../shared/governance/tables.ts";
import { anything, boolean, listOf, object, orNull, recordOf, text, unsigned } from "../../../shared/json_shape.ts";
import type { Cause } from "../../../shared/trust/decisions.ts";
import { formatTxId, type Seqno } from "../../../shared/tx_id.ts";
import { type CertificateLife, type LifeState, lifeState } from "../../certificate_life.ts";
import { type FoldedLedger, foldedTable, nameIn } from "../../folded.ts";
import type { KeyVersion, LedgerApi, TrustHistory } from "../../ledger/protocol.ts";

export interface CertificateDates extends CertificateLife {
  readonly state: LifeState;
}

export interface NodeFacts {
  readonly id: string;
  /** As members or the operator called it. */
  readonly name: string | undefined;
  readonly status: NodeInfo["status"];
  /** Its retirement is committed: it may be switched off. */
  readonly isRetiredCommitted: boolean;
  readonly format: string;
  readonly nodeAddress: string | undefined;
  readonly interfaces: readonly { readonly name: string; readonly address: string }[];
  readonly writtenAt: Seqno;
  /** Of the certificate that the service issued; a sentence where it cannot be read; undefined where there is none. */
  readonly certificate: CertificateDates | string | undefined;
}

export function datesOf({ notBeforeMs, notAfterMs }: CertificateLife, nowMs: number): CertificateDates {
  return { notBeforeMs, notAfterMs, state: lifeState({ notBeforeMs, notAfterMs }, nowMs) };
}

export interface FoldedNodes {
  readonly nodes: readonly NodeFacts[];
  /** Rows that are none: sentences. */
  readonly odd: readonly string[];
}

/** Every node of the tables, trusted ones first. */
export async function foldedNodes(ledger: FoldedLedger, nowMs: number): Promise<FoldedNodes> {
  const [info, certificates] = await Promise.all([
    foldedTable(ledger, NODES_INFO),
    foldedTable(ledger, NODES_ENDORSED_CERTIFICATES),
  ]);
  const pems = new Map(certificates.rows.map(({ key, value }) => [key, value]));
  const rank: Readonly<Record<NodeInfo["status"], number>> = { Trusted: 0, Pending: 1, Retired: 2 };
  const nodes = info.rows.map(({ key, value, writtenAt }): NodeFacts => ({
    id: key,
    name: nameIn(value.node_data),
    status: value.status,
    isRetiredCommitted: value.retired_committed === true,
    format: value.quote_info.format,
    nodeAddress: addressOf(value.node_to_node_interface),
    interfaces: Object.entries(value.rpc_interfaces ?? {}).map(([name, each]) => ({ name, address: addressOf(each)! })),
    writtenAt,
    certificate: certificateOf(pems.get(key), nowMs),
  }));
  return {
    nodes: nodes.toSorted((a, b) => rank[a.status] - rank[b.status] || a.writtenAt - b.writtenAt),
    odd: [...info.odd, ...certificates.odd].map(({ key, why }) => `${fromUtf8Lenient(key).slice(0, 80)}: ${why}`),
  };
}

function addressOf(of: { readonly bind_address: string; readonly published_address?: string } | undefined) {
  return of?.published_address ?? of?.bind_address;
}

function certificateOf(pem: string | undefined, nowMs: number): NodeFacts["certificate"] {
  if (pem === undefined) return undefined;
  try {
    return datesOf(parseCertificatePem(pem), nowMs);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
}

/** A change in the life of a node. */
export interface NodeEvent {
  readonly seqno: Seqno;
  readonly txId: string;
  readonly nodeId: string;
  /** "asked to join", "became Trusted", "was retired", … */
  readonly what: string;
  readonly by: Cause | undefined;
  readonly timeMs: number | undefined;
}

/** How each node came and went, newest first. @param nodeIds whose rows are looked through */
export async function nodeEvents(
  ledger: Pick<LedgerApi, "history">,
  nodeIds: readonly string[],
  trust: TrustHistory | undefined,
): Promise<readonly NodeEvent[]> {
  const histories = await Promise.all(nodeIds.map((id) => ledger.history(NODES_INFO.name, toUtf8(id))));
  return nodeIds.flatMap((id, i) => eventsOf(id, histories[i]!, trust)).toSorted((a, b) => b.seqno - a.seqno);
}

function eventsOf(nodeId: string, versions: readonly KeyVersion[], trust: TrustHistory | undefined): NodeEvent[] {
  const events: NodeEvent[] = [];
  let before: NodeInfo | undefined;
  // Newest first, as they come.
  for (const { seqno, txId, value, timeMs } of versions.toReversed()) {
    let row: NodeInfo | undefined;
    try {
      row = value && NODES_INFO.value.decode(value);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      continue;
    }
    const what = changeOf(before, row);
    before = row;
    if (what !== undefined) events.push({ seqno, txId, nodeId, what, by: causeAt(trust, nodeId, txId), timeMs });
  }
  return events;
}

function changeOf(before: NodeInfo | undefined, row: NodeInfo | undefined): string | undefined {
  if (row === undefined) return "was removed from the table";
  if (before === undefined) {
    return row.status === "Trusted" ? "came, and was trusted at once" : `asked to join (${row.status})`;
  }
  if (before.status !== row.status) return row.status === "Retired" ? "was retired" : `became ${row.status}`;
  if (before.retired_committed !== true && row.retired_committed === true) return "may be switched off";
  return undefined;
}

function causeAt(trust: TrustHistory | undefined, nodeId: string, txId: string): Cause | undefined {
  for (const admission of trust?.admissions ?? []) {
    if (admission.nodeId !== nodeId) continue;
    if (admission.trusted !== undefined && formatTxId(admission.trusted.at) === txId) return admission.trusted.by;
    if (formatTxId(admission.registeredAt) === txId) return admission.registeredBy;
  }
  return undefined;
}

/** What a node says of one node. */
export interface SaidNode {
  readonly node_id: string;
  readonly status: string;
  readonly primary: boolean;
}

const saidNodes = object({ nodes: listOf(object({ node_id: text, status: text, primary: boolean })) });

/** Answer of `GET /node/network/nodes`. @throws FormatError */
export function parseSaidNodes(answer: unknown): readonly SaidNode[] {
  return saidNodes(answer, "").nodes;
}

export interface SaidConsensus {
  readonly primaryId: string | undefined;
  readonly view: number;
  /** Of the node that answered. */
  readonly role: string | undefined;
  /** Of each other node, as the primary has it: how far it has acknowledged, and when it was last heard of. */
  readonly acks: ReadonlyMap<string, { readonly seqno: Seqno; readonly lastReceivedMs: number }>;
  /** Members of the newest configuration. */
  readonly members: readonly string[];
}

const saidConsensus = object({
  details: object({ current_view: unsigned, acks: recordOf(object({ seqno: unsigned, last_received_ms: unsigned })) }, {
    primary_id: orNull(text),
    leadership_state: text,
    configs: listOf(object({ nodes: recordOf(anything) })),
  }),
});

/** Answer of `GET /node/consensus`. @throws FormatError */
export function parseSaidConsensus(answer: unknown): SaidConsensus {
  const { details } = saidConsensus(answer, "");
  return {
    primaryId: details.primary_id ?? undefined,
    view: details.current_view,
    role: details.leadership_state,
    acks: new Map(
      Object.entries(details.acks).map(([id, { seqno, last_received_ms }]) => [
        id,
        { seqno, lastReceivedMs: last_received_ms },
      ]),
    ),
    members: Object.keys(details.configs?.at(-1)?.nodes ?? {}),
  };
}

/** A peer that the primary has not heard of for longer is shown as not reached. */
const SILENT_MS = 5000;

/** What the primary says about reaching a peer; a backup knows nothing of it, and says 0 of all. */
export function isSilent({ role, acks }: SaidConsensus, nodeId: string): boolean {
  return role === "Leader" && (acks.get(nodeId)?.lastReceivedMs ?? 0) > SILENT_MS;
}

/** Where the node's word differs from the ledger: sentences. */
export function discrepancies(nodes: readonly NodeFacts[], said: readonly SaidNode[]): readonly string[] {
  const found: string[] = [];
  const called = (id: string) => nodes.find((node) => node.id === id)?.name ?? `${id.slice(0, 12)}…`;
  for (const { id, status } of nodes) {
    const word = said.find(({ node_id }) => node_id === id);
    if (word === undefined) found.push(`The node leaves out ${called(id)}, which is ${status} in the ledger`);
    else if (word.status !== status) {
      found.push(`The node says that ${called(id)} is ${word.status}, and it is ${status} in the ledger`);
    }
  }
  for (const { node_id, status } of said) {
    if (!nodes.some(({ id }) => id === node_id)) {
      found.push(`The node names ${node_id.slice(0, 12)}… as ${status}, and the ledger has no such node`);
    }
  }
  return found;
}

/** What a platform is called. */
export function platformWords(format: string): string {
  return PLATFORMS[format] ?? format;
}

const PLATFORMS: Readonly<Record<string, string>> = {
  Insecure_Virtual: "Virtual: no hardware protection",
  AMD_SEV_SNP_v1: "AMD SEV-SNP",
  OE_SGX_v1: "Intel SGX (Open Enclave)",
  Intel_TDX_v1: "Intel TDX",
  Intel_SGX_DCAP_v1: "Intel SGX",
};
