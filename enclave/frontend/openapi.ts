/**
 * The OpenAPI 3.0 document of one frontend, made from its endpoint tables (http-api.md §5, `/api`).
 */

import type { Endpoint, EndpointContext, FrontendName } from "./endpoint.ts";

const TITLES: Readonly<Record<FrontendName, { title: string; description: string; version: string }>> = {
  node: {
    title: "CCF Public Node API",
    description: "This API provides public, uncredentialed access to service and node state.",
    version: "4.14.0",
  },
  // Placeholders, as CCF answers for a JavaScript app and for the generated governance document.
  app: { title: "Empty title", description: "Empty description", version: "0.0.1" },
  gov: { title: "Empty title", description: "Empty description", version: "0.0.1" },
};

const COMPONENTS = {
  responses: {
    default: {
      content: { "application/json": { schema: { $ref: "#/components/schemas/CCFError" } } },
      description: "An error occurred",
    },
  },
  schemas: {
    CCFError: {
      properties: {
        error: {
          properties: {
            code: { description: "Error code, stable across versions", type: "string" },
            message: { description: "What went wrong, for people", type: "string" },
          },
          type: "object",
        },
      },
      type: "object",
    },
    json: {},
  },
  "x-ccf-forwarding": {
    always: { description: "A backup sends this request on to the primary.", value: "always" },
    never: { description: "This request always runs on the node that receives it.", value: "never" },
    sometimes: {
      description: "A backup sends this request on to the primary once an earlier one of the session was sent on.",
      value: "sometimes",
    },
  },
};

const SECURITY_SCHEMES: Readonly<Record<string, unknown>> = {
  jwt: { bearerFormat: "JWT", scheme: "bearer", type: "http" },
  user_cose_sign1: { description: "A COSE Sign1 message signed by a user", scheme: "cose_sign1", type: "http" },
  user_cert: { description: "TLS client certificate of a user", scheme: "mutual", type: "http" },
  member_cert: { description: "TLS client certificate of a member", scheme: "mutual", type: "http" },
  any_cert: { description: "Any valid TLS client certificate", scheme: "mutual", type: "http" },
};

/** Every endpoint that is not hidden, under its full path. */
export function openApiDocument({ node, frontend, tx }: EndpointContext): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  const schemes: Record<string, unknown> = {};
  for (const table of node.frontends[frontend].tables(tx)) {
    for (const endpoint of table.endpoints) {
      const { method, path, openapi } = endpoint;
      if (openapi === null) continue;
      const operations = paths[`/${frontend}${path}`] ??= {};
      operations[method.toLowerCase()] ??= openapi ?? generatedOperation(frontend, endpoint, schemes);
    }
  }
  const components = Object.keys(schemes).length === 0 ? COMPONENTS : { ...COMPONENTS, securitySchemes: schemes };
  return { components, info: TITLES[frontend], openapi: "3.0.0", paths, servers: [] };
}

function generatedOperation(
  frontend: FrontendName,
  { method, path, policies, forwarding }: Endpoint,
  schemes: Record<string, unknown>,
): unknown {
  const parameters = [...path.matchAll(/\{([^}]*)\}/g)].map(([, name]) => ({
    in: "path",
    name,
    required: true,
    schema: { type: "string" },
  }));
  const security: Record<string, never[]>[] = [];
  for (const policy of policies) {
    const names = typeof policy === "string" ? [policy] : policy.all_of;
    const requirement: Record<string, never[]> = {};
    for (const name of names) {
      if (name === "no_auth") continue;
      schemes[name] = SECURITY_SCHEMES[name] ?? {};
      requirement[name] = [];
    }
    security.push(requirement);
  }
  return {
    operationId: operationId(method, `/${frontend}${path}`),
    ...(parameters.length === 0 ? {} : { parameters }),
    responses: {
      200: {
        content: { "application/json": { schema: { $ref: "#/components/schemas/json" } } },
        description: "Default response description",
      },
      default: { $ref: "#/components/responses/default" },
    },
    ...(security.length === 0 ? {} : { security }),
    "x-ccf-forwarding": { $ref: `#/components/x-ccf-forwarding/${forwarding}` },
  };
}

/** `GetAppLogPrivate`: verb and path, every piece with its first letter capitalised. */
function operationId(method: string, path: string): string {
  const pieces = path.match(/[A-Za-z0-9]+/g) ?? [];
  return [method.toLowerCase(), ...pieces].map((piece) => piece.charAt(0).toUpperCase() + piece.slice(1)).join("");
}
