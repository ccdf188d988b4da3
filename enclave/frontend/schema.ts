/**
 * Named JSON schemas, as OpenAPI documents refer to them.
 *
 * In: fields. Out: definitions, each once, with all that they refer to. The names are CCF's, since code is generated from
 * them: `X_array`, `K_to_X` and `A__B` are how CCF names what has no name of its own (include/ccf/ds/openapi.h).
 */

export interface Schema {
  readonly name: string;
  readonly definition: Readonly<Record<string, unknown>>;
  /** Those that the definition refers to. */
  readonly uses: readonly Schema[];
}

type Fields = Readonly<Record<string, Schema>>;

/** A schema that refers to no other. */
export function plain(name: string, definition: Readonly<Record<string, unknown>>): Schema {
  return { name, definition, uses: [] };
}

export function oneOf(name: string, ...words: readonly string[]): Schema {
  return plain(name, { enum: words, type: "string" });
}

/** An object; required members in the order in which the document lists them. */
export function struct(name: string, required: Fields, optional: Fields = {}): Schema {
  const fields = { ...required, ...optional };
  const names = Object.keys(required);
  return {
    name,
    definition: {
      properties: Object.fromEntries(Object.entries(fields).map(([field, schema]) => [field, reference(schema)])),
      ...(names.length > 0 && { required: names }),
      type: "object",
    },
    uses: Object.values(fields),
  };
}

export function listOf(item: Schema, suffix: "array" | "set" = "array"): Schema {
  return { name: `${item.name}_${suffix}`, definition: { items: reference(item), type: "array" }, uses: [item] };
}

/** An object whose members, named by `key`, are all alike. */
export function mapOf(key: string, value: Schema): Schema {
  return {
    name: `${key}_to_${value.name}`,
    definition: { additionalProperties: reference(value), type: "object" },
    uses: [value],
  };
}

export function reference({ name }: Schema): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

/** Definitions of these and of all that they refer to, by name. */
export function definitionsOf(schemas: readonly Schema[]): Record<string, unknown> {
  const definitions: Record<string, unknown> = {};
  const waiting = [...schemas];
  for (let schema = waiting.pop(); schema !== undefined; schema = waiting.pop()) {
    if (schema.name in definitions) continue;
    definitions[schema.name] = schema.definition;
    waiting.push(...schema.uses);
  }
  return definitions;
}

export const JSON_VALUE = plain("json", {});
export const BOOLEAN = plain("boolean", { type: "boolean" });
export const STRING = plain("string", { type: "string" });
export const UINT32 = plain("uint32", { maximum: 0xffff_ffff, minimum: 0, type: "integer" });
export const UINT64 = plain("uint64", { maximum: 0xffff_ffff_ffff_ffffn, minimum: 0, type: "integer" });
export const BASE64 = plain("base64string", { format: "base64", type: "string" });
export const PEM = plain("Pem", { type: "string" });
export const TRANSACTION_ID = plain("TransactionId", { pattern: "^[0-9]+\\.[0-9]+$", type: "string" });
