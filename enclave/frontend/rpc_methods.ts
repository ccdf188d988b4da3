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
import { type Endpoint, type EndpointTable, type FrontendName, templateNames } from "./endpoint.ts";

export interface Method {
  readonly frontend: FrontendName;
  readonly endpoint: Endpoint;
}

/** Frontends, each with what clients of 2019 called it (json-rpc-2019.md). */
const FRONTENDS = [["app", "users"], ["gov", "members"], ["node", "nodes"]] as const;

const BY_PREFIX: ReadonlyMap<string, FrontendName> = new Map(
  FRONTENDS.flatMap(([name, oldName]) => [[name, name], [oldName, name]] as const),
);

/** Answers the document of all methods. */
export const DISCOVER = "rpc.discover";

/** The endpoint that a method name means, if any. */
export function findMethod(node: Node, tx: Transaction, name: string): Method | undefined {
  const slash = name.indexOf("/");
  const frontend = slash === -1 ? undefined : BY_PREFIX.get(name.slice(0, slash));
  if (frontend === undefined) return undefined;
  const endpoint = namesOf(node.frontends[frontend].tables(tx)).get(name.slice(slash + 1));
  return endpoint === undefined ? undefined : { frontend, endpoint };
}

/** The OpenRPC document of exactly the names that work now. */
export function discover(node: Node, tx: Transaction): unknown {
  const methods: unknown[] = [{
    name: DISCOVER,
    description: "This document",
    params: [],
    result: { name: "result", schema: { type: "object" } },
  }];
  for (const [frontend, oldName] of FRONTENDS) {
    if (!node.frontends[frontend].isOpen(node)) continue;
    for (const [name, endpoint] of namesOf(node.frontends[frontend].tables(tx))) {
      const method = describeMethod(frontend, endpoint);
      methods.push({ name: `${frontend}/${name}`, ...method }, {
        name: `${oldName}/${name}`,
        deprecated: true,
        ...method,
      });
    }
  }
  return { openrpc: "1.3.2", info: { title: "Quorate", version: "1.0.0" }, methods };
}

function describeMethod(frontend: FrontendName, { method, path, openapi, described }: Endpoint): object {
  const summary = openapi?.summary ?? described?.summary;
  const parameters = Object.entries(described?.query ?? {}).map(([name, { schema, required }]) => ({
    name,
    required,
    schema: schema.definition,
  }));
  const inPath = [...new Set(templateNames(path))].map((name) => ({
    name,
    required: true,
    schema: { type: "string" },
  }));
  return {
    ...(typeof summary === "string" && { summary: summary.toWellFormed() }),
    description: `${method} /${frontend}${path}`,
    paramStructure: "by-name",
    params: [...inPath, ...parameters],
    result: { name: "result", schema: {} },
  };
}

const cache = new WeakMap<EndpointTable, { tables: readonly EndpointTable[]; names: ReadonlyMap<string, Endpoint> }>();

/** Every name of one frontend; tables never change, so the result is kept with the first of them. */
function namesOf(tables: readonly EndpointTable[]): ReadonlyMap<string, Endpoint> {
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

function buildNames(tables: readonly EndpointTable[]): ReadonlyMap<string, Endpoint> {
  const routes = new Map<string, Endpoint>();
  for (const { endpoints } of tables) {
    for (const endpoint of endpoints) {
      const route = `${endpoint.method} ${endpoint.path}`;
      // An app's route hides a built-in one.
      if (isCallable(endpoint) && !routes.has(route)) routes.set(route, endpoint);
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

/** Files do not fit into JSON, and some paths that an app may have reach no request (js-apps.md §1). */
function isCallable({ path, sendsFile }: Endpoint): boolean {
  return sendsFile !== true && path.startsWith("/") && !path.includes("?");
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

/** Only what an app's author wrote; names that are generated into OpenAPI documents do not count. */
function operationId({ openapi }: Endpoint): string | undefined {
  const id = openapi?.operationId;
  return typeof id === "string" && id.isWellFormed() ? id : undefined;
}
