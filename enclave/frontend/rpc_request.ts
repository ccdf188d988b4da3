/**
 * From the parameters of a JSON-RPC call to the REST request that it stands for.
 *
 * In: an endpoint, `params`, the HTTP request that carries the call. Out: a request. Rules: `README.md`.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromBase64, toUtf8 } from "../../shared/bytes.ts";
import type { HeaderList, HttpRequest } from "../messages.ts";
import { toHttp } from "./byte_text.ts";
import { templateNames } from "./endpoint.ts";
import { NO_BODY } from "./replies.ts";
import { CallError, INVALID_PARAMS } from "./rpc_errors.ts";
import type { Method } from "./rpc_methods.ts";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [name: string]: Json };

export function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Parameters that are taken as what they are called. */
const RESERVED: ReadonlySet<string> = new Set(["path", "query", "headers", "body"]);
/** Verbs whose other parameters are members of a JSON body; those of the rest go into the query. */
const VERBS_WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
/** What says who calls, and where: a call that does not say it itself has it from its carrier. */
const CARRIED_HEADERS: readonly string[] = ["authorization", "host"];

/** @throws CallError */
export function buildRequest(
  { frontend, endpoint: { method, path } }: Method,
  params: JsonObject,
  carrier: HttpRequest,
): HttpRequest {
  const inPath = member(params, "path");
  const inQuery = member(params, "query");
  const inBody = new Map<string, Json>();
  const names = new Set(templateNames(path));
  const rest = VERBS_WITH_BODY.has(method) ? inBody : inQuery;
  for (const [name, value] of Object.entries(params)) {
    if (!RESERVED.has(name)) (names.has(name) ? inPath : rest).set(name, value);
  }
  const query = [...inQuery].map(([name, value]) => `${encoded(name)}=${encoded(scalar(name, value))}`).join("&");
  const { bytes, contentType } = bodyOf(params, inBody);
  return {
    method,
    target: toHttp(`/${frontend}${fill(path, inPath)}${query === "" ? "" : `?${query}`}`),
    headers: headersOf(member(params, "headers"), contentType, carrier.headers),
    body: bytes,
  };
}

/** A reserved parameter, which is an object. */
function member(params: JsonObject, name: string): Map<string, Json> {
  const value = Object.hasOwn(params, name) ? params[name]! : {};
  if (!isObject(value)) throw new CallError(INVALID_PARAMS, `The parameter "${name}" must be an object`);
  return new Map(Object.entries(value));
}

function fill(path: string, values: ReadonlyMap<string, Json>): string {
  return path.replaceAll(/\{([^}]*)\}/g, (_, name: string) => {
    const value = values.get(name);
    if (value === undefined) throw new CallError(INVALID_PARAMS, `Missing parameter "${name}" of the path ${path}`);
    return encoded(scalar(name, value));
  });
}

function headersOf(
  own: ReadonlyMap<string, Json>,
  contentType: string | undefined,
  carried: HeaderList,
): [name: string, value: string][] {
  const headers = new Map<string, string>();
  for (const [name, value] of own) {
    const lowerCase = name.toLowerCase();
    if (!headers.has(lowerCase)) headers.set(lowerCase, toHttp(scalar(name, value)));
  }
  for (const [name, value] of carried) {
    if (CARRIED_HEADERS.includes(name) && !headers.has(name)) headers.set(name, value);
  }
  if (contentType !== undefined && !headers.has("content-type")) headers.set("content-type", toHttp(contentType));
  return [...headers];
}

function bodyOf(
  params: JsonObject,
  members: ReadonlyMap<string, Json>,
): { readonly bytes: Uint8Array; readonly contentType: string | undefined } {
  if (!Object.hasOwn(params, "body")) {
    if (members.size === 0) return { bytes: NO_BODY, contentType: undefined };
    return jsonBody(Object.fromEntries(members));
  }
  if (members.size > 0) {
    throw new CallError(
      INVALID_PARAMS,
      `With "body" there can be no other parameters: ${[...members.keys()].join(", ")}`,
    );
  }
  const given = params.body!;
  if (!isObject(given) || !Object.hasOwn(given, "$base64")) return jsonBody(given);
  const { $base64, content_type: contentType = "application/octet-stream" } = given;
  if (typeof $base64 !== "string" || typeof contentType !== "string") {
    throw new CallError(INVALID_PARAMS, 'Bytes are {"$base64": "…", "content_type": "…"}, both of them text');
  }
  try {
    return { bytes: fromBase64($base64), contentType };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new CallError(INVALID_PARAMS, error.message);
  }
}

function jsonBody(value: Json): { readonly bytes: Uint8Array; readonly contentType: string } {
  try {
    return { bytes: toUtf8(JSON.stringify(value)), contentType: "application/json" };
  } catch {
    // The runtime reads some objects deeper than it writes them.
    throw new CallError(INVALID_PARAMS, "The parameters nest too deep");
  }
}

function scalar(name: string, value: Json): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new CallError(INVALID_PARAMS, `The parameter "${name}" must be a string, a number or a boolean`);
}

function encoded(text: string): string {
  if (!text.isWellFormed()) {
    throw new CallError(INVALID_PARAMS, "A parameter of the path or the query holds half a surrogate pair");
  }
  return encodeURIComponent(text);
}
