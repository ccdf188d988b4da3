/**
 * Routes: which page stands at which address, and the address that is shown now.
 *
 * Addresses live in the URL's fragment, `#/ledger?from=12&kind=user`: the same links work from disk and from any server,
 * and what a member looks at is never sent to one. Every view keeps its whole state there.
 */

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";

export interface Route {
  /** First part: the page. */
  readonly page: PageName;
  /** Second part, decoded, where the page is about one thing: `#/transaction/2.15` → "2.15". */
  readonly id: string | undefined;
  readonly query: URLSearchParams;
}

export interface PageProps {
  readonly route: Route;
}

interface PageEntry {
  readonly title: string;
  /** In the left rail, under which heading; absent: reached by links. */
  readonly rail?: "Look" | "Govern" | "Prove" | "This console";
  /** After `g`. */
  readonly letter?: string;
  readonly load: () => Promise<{ readonly default: ComponentType<PageProps> }>;
}

export const PAGES = {
  connect: {
    title: "Connect",
    rail: "This console",
    letter: "c",
    load: () => import("./pages/connect/connect_page.tsx"),
  },
  overview: { title: "Overview", rail: "Look", letter: "o", load: () => import("./pages/overview/overview_page.tsx") },
  ledger: { title: "Ledger", rail: "Look", letter: "l", load: () => import("./pages/ledger/ledger_page.tsx") },
  transaction: { title: "Transaction", load: () => import("./pages/ledger/transaction_page.tsx") },
  tables: { title: "Time machine", rail: "Look", letter: "t", load: () => import("./pages/tables/tables_page.tsx") },
  apps: { title: "Apps", rail: "Look", letter: "a", load: () => import("./pages/apps/apps_page.tsx") },
  proposals: {
    title: "Proposals",
    rail: "Govern",
    letter: "p",
    load: () => import("./pages/proposals/proposals_page.tsx"),
  },
  proposal: { title: "Proposal", load: () => import("./pages/proposals/proposal_page.tsx") },
  compose: { title: "Compose a proposal", load: () => import("./pages/compose/compose_page.tsx") },
  members: {
    title: "Members and users",
    rail: "Govern",
    letter: "m",
    load: () => import("./pages/members/members_page.tsx"),
  },
  constitution: {
    title: "Constitution",
    rail: "Govern",
    letter: "u",
    load: () => import("./pages/constitution/constitution_page.tsx"),
  },
  recovery: {
    title: "Recovery",
    rail: "Govern",
    letter: "y",
    load: () => import("./pages/recovery/recovery_page.tsx"),
  },
  nodes: { title: "Nodes", rail: "Prove", letter: "n", load: () => import("./pages/nodes/nodes_page.tsx") },
  attestation: { title: "Attestation", load: () => import("./pages/nodes/attestation_page.tsx") },
  receipts: { title: "Receipts", rail: "Prove", letter: "r", load: () => import("./pages/receipts/receipts_page.tsx") },
  audit: { title: "Audit", rail: "Prove", letter: "d", load: () => import("./pages/audit/audit_page.tsx") },
  keys: { title: "Keys", rail: "This console", letter: "k", load: () => import("./pages/keys/keys_page.tsx") },
  settings: {
    title: "Settings and about",
    rail: "This console",
    letter: "s",
    load: () => import("./pages/settings/settings_page.tsx"),
  },
} as const satisfies Record<string, PageEntry>;

export type PageName = keyof typeof PAGES;

/** The same table without the exact types of its rows. */
export const PAGE_LIST = Object.entries(PAGES) as readonly (readonly [PageName, PageEntry])[];

/** The route that a fragment names; undefined where it names none. */
export function parseRoute(fragment: string): Route | undefined {
  const [path = "", query = ""] = fragment.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [page = "", ...rest] = path.split("/");
  if (!Object.hasOwn(PAGES, page)) return undefined;
  let id: string | undefined;
  try {
    id = rest.length === 0 ? undefined : decodeURIComponent(rest.join("/"));
  } catch {
    return undefined;
  }
  return { page: page as PageName, id: id === "" ? undefined : id, query: new URLSearchParams(query) };
}

export type Query = Readonly<Record<string, string | number | undefined>>;

/** The fragment of a route, for `href`. What is undefined or empty is left out. */
export function linkTo(page: PageName, id?: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const tail = parameters.size === 0 ? "" : `?${parameters}`;
  return `#/${page}${id === undefined ? "" : `/${encodeURIComponent(id)}`}${tail}`;
}

/** The fragment as it stands now, and its route. */
export const fragment = signal(globalThis.location?.hash ?? "");

export function navigate(page: PageName, id?: string, query?: Query): void {
  location.hash = linkTo(page, id, query);
}

/** Changes the query of the page that is shown, without a step in the browser's history: for filters and positions. */
export function replaceQuery(change: Query): void {
  const route = parseRoute(fragment.peek());
  if (route === undefined) return;
  const query = { ...Object.fromEntries(route.query), ...change };
  history.replaceState(null, "", linkTo(route.page, route.id, query));
  fragment.value = location.hash;
}
