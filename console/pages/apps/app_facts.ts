/**
 * The app that members approved, as the ledger has it.
 *
 * In: the worker. Out: endpoints by path and method, modules with their source, when and by whose proposal it changed.
 */

import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import {
  type EndpointProperties,
  ENDPOINTS,
  JS_RUNTIME_OPTIONS,
  type JsRuntimeOptions,
  MODULES,
} from "../../../shared/governance/tables.ts";
import { MAX_APP_VERSIONS } from "../../../shared/limits.ts";
import type { Seqno } from "../../../shared/tx_id.ts";
import { foldedTable, foldedValue, type OddRow } from "../../folded.ts";
import { type DecidedBy, deciderOf } from "../../governance/decider.ts";
import type { LedgerApi } from "../../ledger/protocol.ts";

export interface AppEndpoint {
  readonly method: string;
  /** Template, e.g. `/log/{id}`. */
  readonly path: string;
  readonly properties: EndpointProperties;
  readonly writtenAt: Seqno;
}

export interface AppFacts {
  readonly endpoints: readonly AppEndpoint[];
  readonly modules: readonly { readonly name: string; readonly source: string; readonly writtenAt: Seqno }[];
  readonly options: JsRuntimeOptions | undefined;
  readonly odd: readonly OddRow[];
}

export async function appFacts(ledger: LedgerApi): Promise<AppFacts> {
  const [endpoints, modules, options] = await Promise.all([
    foldedTable(ledger, ENDPOINTS),
    foldedTable(ledger, MODULES),
    foldedValue(ledger, JS_RUNTIME_OPTIONS),
  ]);
  return {
    endpoints: endpoints.rows.map(({ key, value, writtenAt }) => ({ ...splitKey(key), properties: value, writtenAt })),
    modules: modules.rows.map(({ key, value, writtenAt }) => ({ name: key, source: value, writtenAt })),
    options: options?.value,
    odd: [...endpoints.odd, ...modules.odd],
  };
}

/** "GET /log/{id}", as the table has its keys. */
export function splitKey(key: string): { readonly method: string; readonly path: string } {
  const space = key.indexOf(" ");
  return space === -1 ? { method: "", path: key } : { method: key.slice(0, space), path: key.slice(space + 1) };
}

export interface AppChange {
  readonly seqno: Seqno;
  readonly timeMs?: number;
  /** Names of modules and endpoints that it wrote or removed. */
  readonly touched: readonly string[];
  readonly decidedBy: DecidedBy | undefined;
}

/** Transactions that changed endpoints or modules, newest first. */
export async function appChanges(ledger: LedgerApi): Promise<readonly AppChange[]> {
  const pages = await Promise.all([ENDPOINTS.name, MODULES.name].map(async (table) => {
    const { total } = await ledger.entries({ table }, 0, 0);
    return await ledger.entries({ table }, Math.max(0, total - MAX_APP_VERSIONS), MAX_APP_VERSIONS);
  }));
  const rows = new Map(pages.flatMap(({ rows }) => rows.map((row) => [row.seqno, row])));
  const newest = [...rows.values()].sort((a, b) => b.seqno - a.seqno).slice(0, MAX_APP_VERSIONS);
  return await Promise.all(newest.map(async ({ seqno, timeMs }) => {
    const answer = await ledger.transaction(seqno);
    const writes = answer.found ? answer.transaction.writes : [];
    return {
      seqno,
      ...(timeMs !== undefined && { timeMs }),
      touched: writes.filter(({ table }) => table === ENDPOINTS.name || table === MODULES.name)
        .map(({ key, after }) => `${after === undefined ? "removed " : ""}${fromUtf8Lenient(key)}`),
      decidedBy: await deciderOf(ledger, seqno),
    };
  }));
}

/** Who may call, in words. */
export function policiesText({ authn_policies: policies = [] }: EndpointProperties): string {
  if (policies.length === 0) return "anybody";
  return policies.map((policy) =>
    typeof policy === "string" ? POLICY_WORDS[policy] ?? policy : `all of: ${policy.all_of.map(wordOf).join(" and ")}`
  ).join(", or ");
}

const wordOf = (policy: string) => POLICY_WORDS[policy] ?? policy;

const POLICY_WORDS: Readonly<Record<string, string>> = {
  user_cert: "a user, by certificate",
  member_cert: "a member, by certificate",
  any_cert: "anybody with a certificate",
  user_cose_sign1: "a user, by signed request",
  member_cose_sign1: "a member, by signed request",
  jwt: "whoever has a token (JWT)",
  no_auth: "anybody",
};

/** Whether a page can call it: it has no client certificate to show. */
export function callableFromPage({ authn_policies: policies = [] }: EndpointProperties): boolean {
  return policies.length === 0 || policies.some((policy) => policy === "no_auth" || policy === "jwt");
}

/** The path with what was typed for its template's parameters. */
export function fillPath(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ""));
}

/** One argument for a shell, whatever an app's path says: people copy the command. */
export const shellQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export const parametersOf = (template: string): string[] =>
  [...template.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]!);
