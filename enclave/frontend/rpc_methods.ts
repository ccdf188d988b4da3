/**
 * Names of JSON-RPC methods: which endpoint a name means, and the OpenRPC document that lists them.
 *
 * `<frontend>/<VERB> <path template>` is always valid. A short name is `<frontend>/` and the lower-case verb, then every
 * piece of the path (split at every character other than letters and digits) with its first letter capitalised, `{x}`
 * becoming `By` + X. An `operationId` that an app wrote in its own `openapi` is an alias. A name that two endpoints of a
 * frontend would get belongs to neither.
 */

import type { Transaction } from "../../shared/kv/transaction.ts";
import type { Node } from "../node.ts";
import type { Endpoint, EndpointTable, FrontendName } from "./endpoint.ts";

export interface Method {
  readonly frontend: FrontendName;
  readonly endpoint: Endpoint;
}

const FRONTENDS: readonly FrontendName[] = ["app", "gov", "node"];

/** What clients of 2019 called the frontends (json-rpc-2019.md). */
const ALIASES: Readonly<Record<string, FrontendName>> = {
  app: "app",
  gov: "gov",
  node: "node",
  users: "app",
  members: "gov",
  nodes: "node",
};

/** The endpoint that a method name means, if any. */
export function findMethod(node: Node, tx: Transaction, name: string): Method | undefined {
  const slash = name.indexOf("/");
  if (slash === -1) return undefined;
  const prefix = name.slice(0, slash);
  const frontend = Object.hasOwn(ALIASES, prefix) ? ALIASES[prefix] : undefined;
  if (frontend === undefined) return undefined;
  const endpoint = namesOf(node.frontends[frontend].tables(tx)).get(name.slice(slash + 1));
  return endpoint === undefined ? undefined : { frontend, endpoint };
}

/** The OpenRPC document of exactly the names that work now. */
export function discover(node: Node, tx: Transaction): unknown {
  const methods: unknown[] = [];
  for (const frontend of FRONTENDS) {
    if (!node.frontends[frontend].isOpen(node)) continue;
    for (const [name, { method, path, openapi }] of namesOf(node.frontends[frontend].tables(tx))) {
      const summary = typeof openapi?.summary === "string" ? { summary: openapi.summary } : {};
      methods.push({
        name: `${frontend}/${name}`,
        ...summary,
        description: `${method} /${frontend}${path}`,
        paramStructure: "by-name",
        params: [...path.matchAll(/\{([^}]*)\}/g)].map(([, parameter]) => ({
          name: parameter,
          required: true,
          schema: { type: "string" },
        })),
        result: { name: "result", schema: {} },
      });
    }
  }
  return { openrpc: "1.3.2", info: { title: "Quorate", version: "1.0.0" }, methods };
}

const cache = new WeakMap<EndpointTable, { tables: readonly EndpointTable[]; names: Map<string, Endpoint> }>();

/** Every name of one frontend; tables are immutable, so the result is kept with the first of them. */
function namesOf(tables: readonly EndpointTable[]): Map<string, Endpoint> {
  const first = tables[0];
  if (first === undefined) return new Map();
  const known = cache.get(first);
  if (known !== undefined && known.tables.length === tables.length && known.tables.every((t, i) => t === tables[i])) {
    return known.names;
  }
  const names = buildNames(tables);
  cache.set(first, { tables, names });
  return names;
}

function buildNames(tables: readonly EndpointTable[]): Map<string, Endpoint> {
  const routes = new Map<string, Endpoint>();
  for (const { endpoints } of tables) {
    for (const endpoint of endpoints) {
      const route = `${endpoint.method} ${endpoint.path}`;
      if (!routes.has(route)) routes.set(route, endpoint); // an app's route hides a built-in one
    }
  }
  const short = new Map<string, Endpoint | null>();
  for (const endpoint of routes.values()) {
    for (const name of new Set([shortName(endpoint), operationId(endpoint)])) {
      if (name !== undefined) short.set(name, short.has(name) ? null : endpoint);
    }
  }
  const names = new Map(routes);
  for (const [name, endpoint] of short) if (endpoint !== null && !names.has(name)) names.set(name, endpoint);
  return names;
}

function shortName({ method, path }: Endpoint): string {
  let name = method.toLowerCase();
  for (const [, parameter, piece] of path.matchAll(/\{([^}]*)\}|([A-Za-z0-9]+)/g)) {
    if (parameter === undefined) name += capitalised(piece!);
    else name += `By${(parameter.match(/[A-Za-z0-9]+/g) ?? []).map(capitalised).join("")}`;
  }
  return name;
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function operationId({ openapi }: Endpoint): string | undefined {
  return typeof openapi?.operationId === "string" ? openapi.operationId : undefined;
}
