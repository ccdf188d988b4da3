/**
 * What the palette offers for a text: each kind of search says what it matched.
 *
 * In: what was typed; what the folded ledger holds. Out: destinations, best first.
 */

import { fromUtf8Lenient } from "../../shared/bytes.ts";
import type { LedgerApi } from "../ledger/protocol.ts";
import { PAGE_LIST, type PageName, type Query } from "../routes.ts";

export interface Destination {
  readonly kind: string;
  readonly label: string;
  readonly page: PageName;
  readonly id?: string;
  readonly query?: Query;
}

/** Something in the ledger that can be gone to, with the words by which it is found. */
export interface Findable extends Destination {
  readonly words: string;
}

const MAX_PER_KIND = 1000;

/** Everything that has a name: tables, members, nodes, proposals. */
export async function findablesOf(ledger: Pick<LedgerApi, "tables" | "table">): Promise<Findable[]> {
  const keysOf = async (table: string) =>
    (await ledger.table(table, { count: MAX_PER_KIND })).rows.map((row) => ({
      key: fromUtf8Lenient(row.key),
      value: fromUtf8Lenient(row.value),
    }));
  const [tables, members, nodes, proposals] = await Promise.all([
    ledger.tables(),
    keysOf("public:ccf.gov.members.info"),
    keysOf("public:ccf.gov.nodes.info"),
    keysOf("public:ccf.gov.proposals_info"),
  ]);
  const found = (kind: string, page: PageName, { key, value }: { key: string; value: string }): Findable => {
    const name = nameIn(value);
    const label = name === undefined ? key : `${name} (${key.slice(0, 8)}…)`;
    return { kind, label, page, id: key, words: `${key} ${name ?? ""}`.toLowerCase() };
  };
  return [
    ...proposals.map((row) => found("proposal", "proposal", row)),
    ...members.map((row) => ({ ...found("member", "members", row), query: { member: row.key } })),
    ...nodes.map((row) => found("node", "attestation", row)),
    ...tables.map(({ name }): Findable => ({
      kind: "table",
      label: name,
      page: "tables",
      query: { table: name },
      words: name.toLowerCase(),
    })),
  ];
}

/** `member_data.name`, which is what people call a member. */
function nameIn(value: string): string | undefined {
  try {
    const name = (JSON.parse(value) as { member_data?: { name?: unknown } }).member_data?.name;
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}

export function destinationsFor(typed: string, findables: readonly Findable[]): Destination[] {
  const text = typed.trim().toLowerCase();
  const found: Destination[] = [];
  const txId = /^(\d{1,16})\.(\d{1,16})$/.exec(text);
  if (txId !== null) found.push({ kind: "transaction, by TxID", label: text, page: "transaction", id: text });
  if (/^\d{1,16}$/.test(text)) {
    found.push({ kind: "transaction, by seqno", label: `Seqno ${text}`, page: "transaction", id: text });
    found.push({
      kind: "list of transactions from there",
      label: `Ledger at ${text}`,
      page: "ledger",
      query: { at: text },
    });
  }
  for (const [page, { title, rail }] of PAGE_LIST) {
    if (rail !== undefined && title.toLowerCase().includes(text)) found.push({ kind: "page", label: title, page });
  }
  if (text !== "") found.push(...findables.filter(({ words }) => words.includes(text)));
  return found;
}
