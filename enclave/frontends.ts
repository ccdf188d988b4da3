/**
 * The three frontends of a node: which endpoints each has, and when it opens (http-api.md §2.3).
 */

import type { Store } from "../shared/kv/store.ts";
import { commonEndpoints } from "./endpoints/common.ts";
import { govEndpoints } from "./endpoints/gov.ts";
import { nodeEndpoints } from "./endpoints/node.ts";
import { EndpointTable } from "./frontend/endpoint.ts";
import type { Frontends } from "./frontend/frontend.ts";
import { JsApp } from "./js_app.ts";
import type { CommonConfig } from "./messages.ts";
import { loggingEndpoints } from "./native/logging.ts";
import type { EnclavePowers } from "./powers.ts";

const NATIVE_APPS = { logging: loggingEndpoints } as const;

export function createFrontends(config: CommonConfig, powers: EnclavePowers, store: Store): Frontends {
  const common = new EndpointTable(commonEndpoints);
  const gov = [new EndpointTable(govEndpoints)];
  const node = [new EndpointTable(nodeEndpoints)];
  const app = config.nativeApp === undefined
    ? jsTables(new JsApp(powers, store), common)
    : constant([new EndpointTable([...NATIVE_APPS[config.nativeApp], ...commonEndpoints])]);
  return {
    app: { name: "app", isOpen: ({ appIsOpen }) => appIsOpen, tables: app },
    gov: { name: "gov", isOpen: ({ govIsOpen }) => govIsOpen, tables: constant(gov) },
    node: { name: "node", isOpen: () => true, tables: constant(node) },
  };
}

function constant<T>(value: T): () => T {
  return () => value;
}

/** The app's own endpoints hide built-in ones of the same route (js-apps.md §1). */
function jsTables(app: JsApp, common: EndpointTable): Frontends["app"]["tables"] {
  return (tx) => [app.endpoints(tx), common];
}
