/**
 * What a proposal's actions would change, against the tables as they are folded: without asking any node.
 *
 * In: the actions of a proposal, the worker. Out: texts before and after, for actions whose effect stands in their
 * arguments. What others bring about, the dry run tells.
 * Format: governance.md §4.1
 */

import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { parsePemBlock } from "../../shared/crypto/pem.ts";
import { FormatError } from "../../shared/assert.ts";
import * as tables from "../../shared/governance/tables.ts";
import type { Table } from "../../shared/kv/table.ts";
import { fromByteString } from "../../shared/bytes.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import { foldedTable, foldedValue } from "../folded.ts";
import type { LedgerApi } from "../ledger/protocol.ts";

export interface Difference {
  /** "Constitution", "Data about member ab12…". */
  readonly what: string;
  readonly language: "javascript" | "json" | "text";
  /** undefined: there is nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

type Tables = Pick<LedgerApi, "table" | "value">;
type Args = Readonly<Record<string, unknown>>;

const json = (value: unknown) => value === undefined || value === null ? undefined : JSON.stringify(value, null, 2);

/** @param at as of which seqno; left out: the last signed one */
export async function differencesOf(
  ledger: Tables,
  actions: readonly { readonly name: string; readonly args?: unknown }[],
  at?: Seqno,
): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  for (const { name, args } of actions) {
    const change = CHANGES[name];
    if (change === undefined) continue;
    found.push(...await change(ledger, (typeof args === "object" && args !== null ? args : {}) as Args, at));
  }
  return found.filter(({ before, after }) => before !== after);
}

type Change = (ledger: Tables, args: Args, at: Seqno | undefined) => Promise<readonly Difference[]>;

const CHANGES: Readonly<Record<string, Change>> = {
  set_constitution: async (ledger, { constitution }, at) => {
    const now = await foldedValue(ledger, tables.CONSTITUTION, at);
    return [{ what: "Constitution", language: "javascript", before: now?.value, after: textOr(constitution) }];
  },
  set_member: async (ledger, { cert, member_data, recovery_role }, at) => {
    const id = idOf(cert);
    if (id === undefined) return [];
    const now = await rowOf(ledger, tables.MEMBERS_INFO, id, at);
    return [jsonDifference(`Member ${short(id)}`, now, { member_data, recovery_role, status: "Accepted" })];
  },
  remove_member: async (ledger, { member_id }, at) => {
    const now = await rowOf(ledger, tables.MEMBERS_INFO, String(member_id), at);
    return [jsonDifference(`Member ${short(member_id)}`, now, undefined)];
  },
  set_member_data: async (ledger, { member_id, member_data }, at) => {
    const now = await rowOf(ledger, tables.MEMBERS_INFO, String(member_id), at);
    return [jsonDifference(`Data about member ${short(member_id)}`, now?.member_data, member_data)];
  },
  set_user: async (ledger, { cert, user_data }, at) => {
    const id = idOf(cert);
    if (id === undefined) return [];
    const now = await rowOf(ledger, tables.USERS_INFO, id, at);
    return [jsonDifference(`Data about user ${short(id)}`, now?.user_data, user_data)];
  },
  set_user_data: async (ledger, { user_id, user_data }, at) => {
    const now = await rowOf(ledger, tables.USERS_INFO, String(user_id), at);
    return [jsonDifference(`Data about user ${short(user_id)}`, now?.user_data, user_data)];
  },
  set_node_data: async (ledger, { node_id, node_data }, at) => {
    const now = await rowOf(ledger, tables.NODES_INFO, String(node_id), at);
    return [jsonDifference(`Data about node ${short(node_id)}`, now?.node_data, node_data)];
  },
  set_recovery_threshold: configuration,
  set_service_configuration: configuration,
  set_js_runtime_options: async (ledger, args, at) => {
    const now = await foldedValue(ledger, tables.JS_RUNTIME_OPTIONS, at);
    return [jsonDifference("Limits of the app", now?.value, args)];
  },
  set_js_app: async (ledger, { bundle }, at) => {
    const { modules, metadata } = (bundle ?? {}) as { modules?: unknown; metadata?: { endpoints?: unknown } };
    const next = new Map<string, string>();
    for (const module of Array.isArray(modules) ? modules as { name?: unknown; module?: unknown }[] : []) {
      next.set(`/${String(module?.name)}`, String(module?.module));
    }
    const [now, endpoints] = await Promise.all([
      foldedTable(ledger, tables.MODULES, at),
      foldedTable(ledger, tables.ENDPOINTS, at),
    ]);
    const before = new Map(now.rows.map(({ key, value }) => [key, value]));
    const names = [...new Set([...before.keys(), ...next.keys()])].sort();
    return [
      jsonDifference("Endpoints", endpointRows(endpoints.rows), flatEndpoints(metadata?.endpoints)),
      ...names.map((name): Difference => ({
        what: `Module ${name}`,
        language: "javascript",
        before: before.get(name),
        after: next.get(name),
      })),
    ];
  },
  set_ca_cert_bundle: async (ledger, { name, cert_bundle }, at) => {
    const before = await rowOf(ledger, tables.CA_CERT_BUNDLES, String(name), at);
    return [{ what: `Authorities ${String(name)}`, language: "text", before, after: textOr(cert_bundle) }];
  },
  set_jwt_issuer: async (ledger, { jwks: _keys, ...issuer }, at) => {
    const now = await rowOf(ledger, tables.JWT_ISSUERS, String(issuer.issuer), at);
    return [jsonDifference(`Issuer ${String(issuer.issuer)}`, now, issuer)];
  },
};

async function configuration(ledger: Tables, args: Args, at: Seqno | undefined): Promise<readonly Difference[]> {
  const now = await foldedValue(ledger, tables.SERVICE_CONFIG, at);
  return [jsonDifference("Settings of the service", now?.value, { ...now?.value, ...args })];
}

async function rowOf<V>(
  ledger: Tables,
  table: Table<string, V>,
  key: string,
  at: Seqno | undefined,
): Promise<V | undefined> {
  const row = await ledger.value(table.name, fromByteString(table.key.encode(key)), at);
  return row && table.value.decode(row.value);
}

function jsonDifference(what: string, before: unknown, after: unknown): Difference {
  return { what, language: "json", before: json(sorted(before)), after: json(sorted(after)) };
}

const textOr = (value: unknown) => typeof value === "string" ? value : json(value);
const short = (id: unknown) => `${String(id).slice(0, 8)}…`;

function idOf(cert: unknown): string | undefined {
  try {
    return memberIdOf(parsePemBlock(String(cert), "CERTIFICATE"));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function endpointRows(rows: readonly { readonly key: string; readonly value: unknown }[]): unknown {
  return Object.fromEntries(rows.map(({ key, value }) => [key, value]));
}

/** As `set_js_app` writes them: verb, space, path; modules with a slash in front. */
function flatEndpoints(endpoints: unknown): unknown {
  const flat: [string, unknown][] = [];
  for (const [path, verbs] of Object.entries((endpoints ?? {}) as Record<string, Record<string, unknown>>)) {
    for (const [verb, properties] of Object.entries(verbs ?? {})) {
      const { js_module, ...rest } = (properties ?? {}) as Record<string, unknown>;
      flat.push([`${verb.toUpperCase()} ${path}`, { ...rest, js_module: `/${String(js_module)}` }]);
    }
  }
  return Object.fromEntries(flat);
}

/** With names of members in order, so that only what differs is shown to differ. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]));
}
