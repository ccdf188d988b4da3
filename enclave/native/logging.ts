/**
 * The logging app as native endpoints: the same routes, tables and answers as the JavaScript bundle of
 * `getting_started/app`, linked into the enclave. Chosen by configuration (`"native_app": "logging"`).
 */

import { type ByteString, fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { textKey } from "../../shared/kv/codecs.ts";
import type { RawTable } from "../../shared/kv/table.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import type { HttpResponse } from "../messages.ts";
import { json } from "../frontend/replies.ts";

export const loggingEndpoints: readonly Endpoint[] = [
  ...log("/log/private", "records", ["user_cert"]),
  endpoint(
    "POST",
    "/log/private/anonymous",
    "read-write",
    (context) => write(context, context.tx.openRaw("records"), "Anonymous: "),
    { policies: ["no_auth"] },
  ),
  ...log("/log/public", "public:records", ["user_cert", "no_auth"]),
];

/** The routes of one log. `readers`: policies of its read route; everything else asks for a user's certificate. */
function log(path: string, tableName: string, readers: readonly string[]): Endpoint[] {
  const users = { policies: ["user_cert"] };
  const table = ({ tx }: EndpointContext) => tx.openRaw(tableName);
  return [
    endpoint("GET", path, "read-only", (context) => read(context, table(context)), { policies: readers }),
    endpoint("POST", path, "read-write", (context) => write(context, table(context)), users),
    endpoint("DELETE", path, "read-write", (context) => remove(context, table(context)), users),
    endpoint("GET", `${path}/count`, "read-only", (context) => json(table(context).size), users),
    endpoint("DELETE", `${path}/all`, "read-write", (context) => {
      table(context).clear();
      return json(true);
    }, users),
  ];
}

function read(context: EndpointContext, records: RawTable): HttpResponse {
  const id = queryId(context);
  const message = records.get(keyOf(id));
  if (message === undefined) throw new OdataError(404, "ResourceNotFound", `There is no record ${id}`);
  return json({ msg: fromUtf8(message) });
}

function write({ request }: EndpointContext, records: RawTable, prefix = ""): HttpResponse {
  const record = parseJson(request.body);
  const { id, msg } = (typeof record === "object" && record !== null ? record : {}) as { id?: unknown; msg?: unknown };
  const key = recordId(id);
  if (key === undefined || typeof msg !== "string") {
    throw new OdataError(400, "InvalidInput", 'The body must be a JSON object such as {"id": 42, "msg": "hello"}');
  }
  records.put(keyOf(key), toUtf8(prefix + msg));
  return json(true);
}

function remove(context: EndpointContext, records: RawTable): HttpResponse {
  const id = queryId(context);
  const key = keyOf(id);
  if (!records.has(key)) throw new OdataError(404, "ResourceNotFound", `There is no record ${id}`);
  records.remove(key);
  return json(true);
}

function queryId({ request }: EndpointContext): string {
  const id = request.parameter("id");
  if (id === undefined || id === "") {
    throw new OdataError(400, "InvalidInput", "The query must name a record, e.g. ?id=42");
  }
  return id;
}

/** 42 and "42" are the same record; a query could never ask for an ID with `&` in it. */
function recordId(id: unknown): string | undefined {
  if (Number.isSafeInteger(id)) return String(id);
  return typeof id === "string" && id !== "" && !id.includes("&") ? id : undefined;
}

function keyOf(id: string): ByteString {
  return textKey.encode(id);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(body));
  } catch {
    return undefined;
  }
}
