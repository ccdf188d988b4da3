/**
 * Moments of a ledger that have a name: openings, recoveries, changes of the constitution, nodes that joined or left.
 *
 * In: the folded ledger. Out: events in order of seqno. Only the history of public tables is asked.
 * Tables: shared/governance/tables.ts
 */

import { fromByteString, fromUtf8Lenient } from "../../../shared/bytes.ts";
import { CONSTITUTION, NODES_INFO, SERVICE_INFO } from "../../../shared/governance/tables.ts";
import { SINGLETON_KEY } from "../../../shared/kv/codecs.ts";
import type { KeyVersion, LedgerApi } from "../../ledger/protocol.ts";

export interface LedgerEvent {
  readonly seqno: number;
  /** "The service became Open". */
  readonly text: string;
}

/** Nodes whose history is looked at. */
const MAX_NODES = 200;
const MAX_EVENTS = 500;

export async function ledgerEvents(ledger: Pick<LedgerApi, "history" | "table">): Promise<LedgerEvent[]> {
  const only = fromByteString(SINGLETON_KEY);
  const [service, constitution, nodes] = await Promise.all([
    ledger.history(SERVICE_INFO.name, only),
    ledger.history(CONSTITUTION.name, only),
    ledger.table(NODES_INFO.name, { count: MAX_NODES }),
  ]);
  const joins = await Promise.all(nodes.rows.map(async ({ key }) => {
    const id = fromUtf8Lenient(key);
    return changes(await ledger.history(NODES_INFO.name, key), "status").map(({ seqno, value }) => ({
      seqno,
      text: `Node ${id.slice(0, 8)}… became ${value ?? "removed"}`,
    }));
  }));
  const events = [
    ...changes(service, "status").map(({ seqno, value }) => ({
      seqno,
      text: `The service became ${value ?? "removed"}`,
    })),
    ...[...constitution].reverse().map(({ seqno }, i) => ({
      seqno,
      text: i === 0 ? "The first constitution" : `The constitution changed: text number ${i + 1}`,
    })),
    ...joins.flat(),
  ];
  return events.sort((a, b) => a.seqno - b.seqno).slice(-MAX_EVENTS);
}

/** Versions, oldest first, at which a member of the JSON became another. */
function changes(history: readonly KeyVersion[], name: string): { readonly seqno: number; readonly value?: string }[] {
  const found: { seqno: number; value?: string }[] = [];
  let last: string | undefined = "";
  for (const { seqno, value } of [...history].reverse()) {
    const text = value === undefined ? undefined : memberOf(value, name);
    if (text !== last) found.push({ seqno, ...(text !== undefined && { value: text }) });
    last = text;
  }
  return found;
}

function memberOf(json: Uint8Array, name: string): string {
  try {
    const value = (JSON.parse(fromUtf8Lenient(json)) as Record<string, unknown> | null)?.[name];
    return typeof value === "string" ? value.slice(0, 60) : "something unknown";
  } catch {
    return "something unknown";
  }
}
