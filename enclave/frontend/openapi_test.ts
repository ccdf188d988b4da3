import { strict as assert } from "node:assert";
import { bodyText, serviceTest } from "../../tests/inline_app.ts";
import type { InlineService } from "../../tests/inline_service.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonObject = { [name: string]: Json };

function document({ node }: InlineService, target: string): JsonObject {
  const response = node.request({ method: "GET", target });
  assert.equal(response.status, 200);
  return JSON.parse(bodyText(response));
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** OpenAPI 3.0.3, as much of it as our documents use: what is wrong, each with a JSON pointer. */
function problemsOf(root: JsonObject): string[] {
  const problems: string[] = [];
  const operationIds = new Set<string>();

  const known = (value: Json | undefined, at: string, names: readonly string[]): value is JsonObject => {
    if (!isObject(value)) problems.push(`${at}: not an object`);
    else for (const name of Object.keys(value)) if (!names.includes(name)) problems.push(`${at}/${name}: unknown`);
    return isObject(value);
  };
  const text = (value: Json | undefined, at: string) => {
    if (typeof value !== "string" || value === "") problems.push(`${at}: no text`);
  };
  /** Whether it is a reference; the target must be there. */
  const isReference = (value: JsonObject, at: string): boolean => {
    if (!("$ref" in value)) return false;
    let target: Json | undefined = root;
    for (const name of String(value.$ref).replace(/^#\//, "").split("/")) {
      target = isObject(target) ? target[name] : undefined;
    }
    if (target === undefined) problems.push(`${at}: ${value.$ref} leads nowhere`);
    return true;
  };
  const schema = (value: Json | undefined, at: string): void => {
    const names = ["$ref", "additionalProperties", "description", "enum", "format", "items", "maximum", "minimum"];
    if (!known(value, at, [...names, "pattern", "properties", "required", "type"]) || isReference(value, at)) return;
    const { type, properties, required, items, additionalProperties } = value;
    if (type !== undefined && !["array", "boolean", "integer", "object", "string"].includes(String(type))) {
      problems.push(`${at}: type ${type}`);
    }
    if (type === "array") schema(items, `${at}/items`);
    if (additionalProperties !== undefined) schema(additionalProperties, `${at}/additionalProperties`);
    if (isObject(properties)) {
      for (const [name, property] of Object.entries(properties)) schema(property, `${at}/properties/${name}`);
    }
    for (const name of Array.isArray(required) ? required : []) {
      if (!isObject(properties) || !(String(name) in properties)) problems.push(`${at}: requires unknown ${name}`);
    }
  };
  const content = (value: Json | undefined, at: string) => {
    for (const [type, media] of Object.entries(isObject(value) ? value : {})) {
      if (!/^[a-z]+\/[a-z+*.-]+$/.test(type)) problems.push(`${at}: type ${type}`);
      if (known(media, `${at}/${type}`, ["schema"])) schema(media.schema, `${at}/${type}/schema`);
    }
  };
  const response = (value: Json | undefined, at: string) => {
    if (!known(value, at, ["$ref", "content", "description"]) || isReference(value, at)) return;
    text(value.description, `${at}/description`);
    content(value.content, `${at}/content`);
  };
  const parameters = (value: Json | undefined, at: string): Set<string> => {
    const found = new Set<string>();
    for (const [i, parameter] of (Array.isArray(value) ? value : []).entries()) {
      if (!known(parameter, `${at}/${i}`, ["in", "name", "required", "schema"])) continue;
      const key = `${parameter.in} ${parameter.name}`;
      if (found.has(key)) problems.push(`${at}/${i}: ${key} twice`);
      found.add(key);
      if (parameter.in !== "path" && parameter.in !== "query") problems.push(`${at}/${i}: in ${parameter.in}`);
      if (parameter.in === "path" && parameter.required !== true) problems.push(`${at}/${i}: optional in the path`);
      schema(parameter.schema, `${at}/${i}/schema`);
    }
    return found;
  };
  const operation = (value: Json | undefined, at: string) => {
    const names = ["description", "operationId", "parameters", "requestBody", "responses", "security", "summary"];
    if (!known(value, at, [...names, "x-ccf-forwarding"])) return;
    if (value.operationId !== undefined) {
      if (operationIds.has(String(value.operationId))) problems.push(`${at}: operationId twice`);
      operationIds.add(String(value.operationId));
    }
    parameters(value.parameters, `${at}/parameters`);
    if (!isObject(value.responses) || Object.keys(value.responses).length === 0) problems.push(`${at}: no responses`);
    else {
      for (const [status, described] of Object.entries(value.responses)) {
        if (!/^([1-5]\d\d|default)$/.test(status)) problems.push(`${at}/responses/${status}: no status`);
        response(described, `${at}/responses/${status}`);
      }
    }
    for (const requirement of Array.isArray(value.security) ? value.security : []) {
      for (const name of Object.keys(requirement as JsonObject)) {
        isReference({ $ref: `#/components/securitySchemes/${name}` }, `${at}/security`);
      }
    }
    if (isObject(value["x-ccf-forwarding"])) isReference(value["x-ccf-forwarding"], `${at}/x-ccf-forwarding`);
  };

  if (!known(root, "", ["components", "info", "openapi", "paths", "servers"])) return problems;
  if (!/^3\.0\.\d$/.test(String(root.openapi))) problems.push("/openapi: not 3.0");
  if (known(root.info, "/info", ["description", "title", "version"])) {
    for (const name of ["title", "version", "description"]) text(root.info[name], `/info/${name}`);
  }
  const components = root.components as JsonObject;
  if (known(components, "/components", ["responses", "schemas", "securitySchemes", "x-ccf-forwarding"])) {
    for (const [name, value] of Object.entries(components.schemas as JsonObject)) {
      if (!/^[A-Za-z0-9._-]+$/.test(name)) problems.push(`/components/schemas/${name}: name`);
      schema(value, `/components/schemas/${name}`);
    }
    for (const [name, value] of Object.entries(components.responses as JsonObject)) {
      response(value, `/components/responses/${name}`);
    }
    for (const [name, value] of Object.entries((components.securitySchemes ?? {}) as JsonObject)) {
      const at = `/components/securitySchemes/${name}`;
      if (!known(value, at, ["bearerFormat", "description", "scheme", "type"])) continue;
      if (value.type !== "http") problems.push(`${at}: type`);
      text(value.scheme, `${at}/scheme`);
    }
  }
  const verbs = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];
  for (const [path, item] of Object.entries(root.paths as JsonObject)) {
    if (!path.startsWith("/")) problems.push(`/paths: ${path}`);
    if (!known(item, path, [...verbs, "parameters"])) continue;
    const inPath = parameters(item.parameters, path);
    for (const [, name] of path.matchAll(/\{([^}]*)\}/g)) {
      if (!inPath.delete(`path ${name}`)) problems.push(`${path}: ${name} is not described`);
    }
    for (const left of inPath) problems.push(`${path}: ${left} is not there`);
    for (const verb of verbs) if (item[verb] !== undefined) operation(item[verb], `${path} ${verb}`);
  }
  return problems;
}

for (const target of ["/node/api", "/gov/api", "/app/api"]) {
  serviceTest(`${target} answers a valid OpenAPI document`, "native", (service) => {
    const root = document(service, target);
    assert.deepEqual(problemsOf(root), []);
    assert(Object.keys(root.paths as JsonObject).every((path) => path.startsWith(target.replace("api", ""))));
  });
}

for (const version of ["2023-06-01-preview", "2024-07-01"]) {
  serviceTest(`/gov/api answers a valid OpenAPI document of ${version}`, "native", (service) => {
    const root = document(service, `/gov/api?api-version=${version}`);
    assert.deepEqual(problemsOf(root), []);
    assert.equal((root.info as JsonObject).version, version);
    const paths = Object.keys(root.paths as JsonObject);
    assert(paths.includes("/gov/members/proposals/{proposalId}/ballots/{memberId}"));
    assert.equal(paths.includes("/gov/service/javascript-app"), version === "2024-07-01");
  });
}

serviceTest("an app's own operations are taken as they are, and hidden ones left out", {
  "GET /a": { openapi: { summary: "mine", responses: { 200: { description: "x" } } } },
  "POST /a": {},
  "GET /b": { hidden: true },
  "GET /commit": { openapi: { summary: "hides the built-in one" } },
}, (service) => {
  const paths = document(service, "/app/api").paths as JsonObject;
  assert.deepEqual(paths["/app/a"], {
    get: { responses: { 200: { description: "x" } }, summary: "mine" },
    post: {},
  });
  assert.equal("/app/b" in paths, false);
  assert.deepEqual(paths["/app/commit"], { get: { summary: "hides the built-in one" } });
  assert.deepEqual(Object.keys(paths["/app/tx"] as JsonObject), ["get"]);
});

serviceTest("a generated operation says who may call it", "native", (service) => {
  const root = document(service, "/app/api");
  const { get, post } = (root.paths as Record<string, Record<string, JsonObject>>)["/app/log/public"]!;
  assert.deepEqual(post!.security, [{ user_cert: [] }]);
  assert.deepEqual(get!.security, [{ user_cert: [] }, {}], "an empty requirement is nobody in particular");
  assert.equal(post!.operationId, "PostAppLogPublic");
  assert.deepEqual(post!["x-ccf-forwarding"], { $ref: "#/components/x-ccf-forwarding/always" });
});

Deno.test("the check of documents finds what is wrong", () => {
  const bad: JsonObject = {
    openapi: "2.0",
    info: { title: "" },
    components: { responses: {}, schemas: { a: { type: "object", required: ["x"] }, "b c": { $ref: "#/nowhere" } } },
    paths: {
      "/{a}": { get: {}, fetch: {} },
      "/b": { get: { responses: { 700: {} }, security: [{ nobody: [] }] } },
    },
    servers: [],
  };
  assert.deepEqual(problemsOf(bad), [
    "/openapi: not 3.0",
    "/info/title: no text",
    "/info/version: no text",
    "/info/description: no text",
    "/components/schemas/a: requires unknown x",
    "/components/schemas/b c: name",
    "/components/schemas/b c: #/nowhere leads nowhere",
    "/{a}/fetch: unknown",
    "/{a}: a is not described",
    "/{a} get: no responses",
    "/b get/responses/700: no status",
    "/b get/responses/700/description: no text",
    "/b get/security: #/components/securitySchemes/nobody leads nowhere",
  ]);
});
