/**
 * The OpenAPI 3.0 document of one frontend, made from its endpoint tables (http-api.md §5, `/api`).
 *
 * In: endpoints, with what each says of its parameters and answers. Out: a document whose paths, names and schemas are
 * those of CCF's; its sentences are ours.
 */

import { type AuthenticationPolicy, type Endpoint, type FrontendName, templateNames } from "./endpoint.ts";
import { definitionsOf, JSON_VALUE, reference, type Schema } from "./schema.ts";

/** What the document says of an operation. */
export interface OperationDescription {
  readonly summary?: string;
  readonly description?: string;
  readonly query?: Readonly<Record<string, QueryParameter>>;
  /** What a success answers: JSON, nothing but a status, or bytes. Absent: JSON. */
  readonly answers?: Schema | { readonly nothing: 200 | 204 } | { readonly bytes: "application/octet-stream" };
}

export interface QueryParameter {
  readonly schema: Schema;
  readonly required: boolean;
}

export interface DocumentInfo {
  readonly title: string;
  readonly description: string;
  readonly version: string;
}

const RESPONSES = {
  default: {
    content: { "application/json": { schema: { $ref: "#/components/schemas/CCFError" } } },
    description: "Something went wrong",
  },
};

const ERROR_SCHEMA = {
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
};

const FORWARDING = {
  always: { description: "A backup sends this request on to the primary.", value: "always" },
  never: { description: "This request always runs on the node that receives it.", value: "never" },
  sometimes: {
    description: "A backup sends this request on to the primary once an earlier one of the session was sent on.",
    value: "sometimes",
  },
};

const SECURITY_SCHEMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  active_member_cose_sign1: {
    description: "COSE Sign1 message signed by an active member",
    scheme: "cose_sign1",
    type: "http",
  },
  any_cert: { description: "Any valid TLS client certificate", scheme: "mutual", type: "http" },
  jwt: { bearerFormat: "JWT", scheme: "bearer", type: "http" },
  member_cert: { description: "TLS client certificate of a member", scheme: "mutual", type: "http" },
  member_cose_sign1: { description: "COSE Sign1 message signed by a member", scheme: "cose_sign1", type: "http" },
  node_cert: { description: "TLS client certificate of a node", scheme: "mutual", type: "http" },
  user_cert: { description: "TLS client certificate of a user", scheme: "mutual", type: "http" },
  user_cose_sign1: { description: "COSE Sign1 message signed by a user", scheme: "cose_sign1", type: "http" },
};

type JsonObject = Record<string, unknown>;

/** Every endpoint that is not hidden, under its full path; of two with one route the first. */
export function openApiDocument(frontend: FrontendName, info: DocumentInfo, endpoints: Iterable<Endpoint>): unknown {
  const paths: Record<string, JsonObject> = Object.create(null);
  const schemas: Schema[] = [JSON_VALUE];
  const policies = new Set<string>();
  for (const endpoint of endpoints) {
    const { method, path, openapi, hidden } = endpoint;
    if (hidden === true) continue;
    const operations = paths[`/${frontend}${path}`] ??= Object.create(null) as JsonObject;
    const verb = method.toLowerCase();
    if (verb in operations) continue;
    if (openapi !== undefined) {
      operations[verb] = openapi;
      continue;
    }
    operations[verb] = generatedOperation(frontend, endpoint, schemas, policies);
    const parameters = templateNames(path);
    if (parameters.length > 0) {
      operations.parameters = parameters.map((name) => ({
        in: "path",
        name,
        required: true,
        schema: { type: "string" },
      }));
    }
  }
  const securitySchemes = Object.fromEntries([...policies].map((name) => [name, SECURITY_SCHEMES[name] ?? {}]));
  return {
    components: {
      responses: RESPONSES,
      schemas: { ...definitionsOf(schemas), CCFError: ERROR_SCHEMA },
      ...(policies.size > 0 && { securitySchemes }),
      "x-ccf-forwarding": FORWARDING,
    },
    info,
    openapi: "3.0.0",
    paths,
    servers: [],
  };
}

/** @param schemas @param policies are added to */
function generatedOperation(
  frontend: FrontendName,
  { method, path, policies: accepted, forwarding, described = {} }: Endpoint,
  schemas: Schema[],
  policies: Set<string>,
): JsonObject {
  const { summary, description, query = {}, answers = JSON_VALUE } = described;
  const parameters = Object.entries(query).map(([name, { schema, required }]) => {
    schemas.push(schema);
    return { in: "query", name, required, schema: reference(schema) };
  });
  const security = accepted.map((policy) => {
    const names = namesOf(policy).filter((name) => name !== "no_auth");
    for (const name of names) policies.add(name);
    return Object.fromEntries(names.map((name) => [name, []]));
  });
  const responses: JsonObject = { default: { $ref: "#/components/responses/default" } };
  if ("nothing" in answers) responses[answers.nothing] = { description: "Success, without a body" };
  else if ("bytes" in answers) {
    const content = { [answers.bytes]: { schema: { format: "binary", type: "string" } } };
    responses[200] = { content, description: "Success" };
  } else {
    schemas.push(answers);
    responses[200] = {
      content: { "application/json": { schema: reference(answers) } },
      description: "Success",
    };
  }
  return {
    ...(summary !== undefined && { summary }),
    ...(description !== undefined && { description }),
    operationId: operationId(method, `/${frontend}${path}`),
    ...(parameters.length > 0 && { parameters }),
    responses,
    ...(security.length > 0 && { security }),
    "x-ccf-forwarding": { $ref: `#/components/x-ccf-forwarding/${forwarding}` },
  };
}

function namesOf(policy: AuthenticationPolicy): readonly string[] {
  if (typeof policy === "string") return [policy];
  return "native" in policy ? [policy.native] : policy.all_of;
}

/** `GetAppLogPrivate`: verb and path, every piece with its first letter capitalised. */
function operationId(method: string, path: string): string {
  const pieces = path.match(/[A-Za-z0-9]+/g) ?? [];
  return [method.toLowerCase(), ...pieces].map((piece) => piece.charAt(0).toUpperCase() + piece.slice(1)).join("");
}
