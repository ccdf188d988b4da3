/**
 * The JSON-RPC 2.0 door: `POST /rpc` over the same endpoints, handlers and authentication as REST.
 *
 * In: one call or a batch. Out: their answers, in order; each call is a request of its own, with its own transaction.
 * Rules: our own, in `README.md` of this room; method names are in `rpc_methods.ts`.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromUtf8, fromUtf8Lenient, toBase64, toUtf8 } from "../../shared/bytes.ts";
import { MAX_JSON_RPC_BATCH } from "../../shared/limits.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import type { Endpoint } from "./endpoint.ts";
import { processRequest } from "./frontend.ts";
import { NO_BODY } from "./replies.ts";
import { discover, findMethod } from "./rpc_methods.ts";
import type { Session } from "./session.ts";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonObject = { [name: string]: Json };
type CallId = string | number | null;

/** What JSON-RPC itself calls wrong. */
const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;

/** A call that never became a request. */
class CallError extends Error {
  constructor(readonly code: number, message: string) {
    super(message);
  }
}

/** Answers a call or a batch. HTTP 200; 204 where nothing asked for an answer; 400 and 413 for what is not JSON-RPC. */
export function processJsonRpc(node: Node, session: Session, request: HttpRequest): HttpResponse {
  if (request.method !== "POST") {
    return reply(405, failure(null, INVALID_REQUEST, "JSON-RPC calls are sent by POST"), [["allow", "POST"]]);
  }
  let parsed: Json;
  try {
    parsed = JSON.parse(fromUtf8(request.body));
  } catch {
    return reply(400, failure(null, PARSE_ERROR, "Cannot read the request body as JSON"));
  }
  if (!Array.isArray(parsed)) {
    if (!isObject(parsed)) return reply(400, failure(null, INVALID_REQUEST, "A JSON-RPC call must be an object"));
    const answer = call(node, session, request, parsed);
    return answer === undefined ? { status: 204, headers: [], body: NO_BODY } : reply(200, answer);
  }
  if (parsed.length === 0) return reply(400, failure(null, INVALID_REQUEST, "A JSON-RPC batch must not be empty"));
  if (parsed.length > MAX_JSON_RPC_BATCH) {
    const message = `A JSON-RPC batch has at most ${MAX_JSON_RPC_BATCH} calls, and this one has ${parsed.length}`;
    return reply(413, failure(null, INVALID_REQUEST, message));
  }
  const answers: JsonObject[] = [];
  for (const each of parsed) {
    const answer = isObject(each)
      ? call(node, session, request, each)
      : failure(null, INVALID_REQUEST, "A JSON-RPC call must be an object");
    if (answer !== undefined) answers.push(answer);
  }
  return answers.length === 0 ? { status: 204, headers: [], body: NO_BODY } : reply(200, answers);
}

/** Runs one call; undefined for a notification, which is run all the same. */
function call(node: Node, session: Session, outer: HttpRequest, message: JsonObject): JsonObject | undefined {
  const isNotification = message.jsonrpc === "2.0" && !("id" in message);
  const id: CallId = typeof message.id === "string" || typeof message.id === "number" ? message.id : null;
  let answer: JsonObject;
  try {
    answer = { jsonrpc: "2.0", id, ...run(node, session, outer, message) };
  } catch (error) {
    if (!(error instanceof CallError)) throw error;
    answer = failure(id, error.code, error.message);
  }
  return isNotification ? undefined : answer;
}

function run(node: Node, session: Session, outer: HttpRequest, message: JsonObject): JsonObject {
  const { method, params = {} } = message;
  if (message.jsonrpc !== "2.0") throw new CallError(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0"');
  if (typeof method !== "string") throw new CallError(INVALID_REQUEST, 'The member "method" must be a string');
  if ("id" in message && message.id !== null && typeof message.id !== "string" && typeof message.id !== "number") {
    throw new CallError(INVALID_REQUEST, 'The member "id" must be a string, a number or null');
  }
  if (!isObject(params)) throw new CallError(INVALID_PARAMS, 'The member "params" must be an object');
  const tx = node.store.begin();
  if (method === "rpc.discover") return { result: discover(node, tx) as Json };
  const found = findMethod(node, tx, method);
  if (found === undefined) throw new CallError(METHOD_NOT_FOUND, `Method not found: ${method.slice(0, 200)}`);
  const response = processRequest(node, session, buildRequest(found.frontend, found.endpoint, params, outer));
  return describeResponse(node, response);
}

/** The REST request that a call stands for. */
function buildRequest(
  frontend: string,
  { method, path }: Endpoint,
  params: JsonObject,
  outer: HttpRequest,
): HttpRequest {
  const pathValues = objectMember(params, "path");
  const query = { ...objectMember(params, "query") };
  const headers = objectMember(params, "headers");
  const bodyMembers: JsonObject = {};
  const inBody = method === "POST" || method === "PUT" || method === "PATCH";
  for (const [name, value] of Object.entries(params)) {
    if (name === "path" || name === "query" || name === "headers" || name === "body") continue;
    if (path.includes(`{${name}}`)) pathValues[name] = value;
    else if (inBody) bodyMembers[name] = value;
    else query[name] = value;
  }
  const filled = path.replaceAll(/\{([^}]*)\}/g, (_, name: string) => {
    const value = pathValues[name];
    if (value === undefined) throw new CallError(INVALID_PARAMS, `Missing parameter "${name}" of the path ${path}`);
    return encodeURIComponent(scalar(name, value));
  });
  const pairs = Object.entries(query).map(([name, value]) =>
    `${encodeURIComponent(name)}=${encodeURIComponent(scalar(name, value))}`
  );
  const body = encodeBody(params, bodyMembers, inBody);
  const list: [string, string][] = Object.entries(headers).map((
    [name, value],
  ) => [name.toLowerCase(), scalar(name, value)]);
  // What identifies the caller and the connection comes from the request that carries the call.
  for (const [name, value] of outer.headers) {
    if ((name === "authorization" || name === "host") && !list.some((header) => header[0] === name)) {
      list.push([name, value]);
    }
  }
  if (body.contentType !== undefined && !list.some(([name]) => name === "content-type")) {
    list.push(["content-type", body.contentType]);
  }
  const target = `/${frontend}${filled}${pairs.length === 0 ? "" : `?${pairs.join("&")}`}`;
  return { method, target, headers: list, body: body.bytes };
}

function encodeBody(
  params: JsonObject,
  members: JsonObject,
  inBody: boolean,
): { bytes: Uint8Array; contentType: string | undefined } {
  const given = params.body;
  if (given === undefined) {
    if (!inBody || Object.keys(members).length === 0) return { bytes: NO_BODY, contentType: undefined };
    return { bytes: toUtf8(JSON.stringify(members)), contentType: "application/json" };
  }
  if (Object.keys(members).length > 0) {
    throw new CallError(INVALID_PARAMS, `Parameters beside "body": ${Object.keys(members).join(", ")}`);
  }
  if (isObject(given) && typeof given.$base64 === "string") {
    const contentType = typeof given.content_type === "string" ? given.content_type : "application/octet-stream";
    try {
      return { bytes: fromBase64(given.$base64), contentType };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new CallError(INVALID_PARAMS, error.message);
    }
  }
  return { bytes: toUtf8(JSON.stringify(given)), contentType: "application/json" };
}

/** `result` or `error`, and the transaction beside it as clients of 2019 knew it. */
function describeResponse(node: Node, response: HttpResponse): JsonObject {
  const { status } = response;
  const txId = response.headers.find(([name]) => name === "x-ms-ccf-transaction-id")?.[1];
  const transaction: JsonObject = {};
  if (txId !== undefined) {
    const [view, seqno] = txId.split(".");
    Object.assign(transaction, {
      tx_id: txId,
      commit: Number(seqno),
      term: Number(view),
      global_commit: node.committedTxId.seqno,
    });
  }
  const body = decodeBody(response);
  if (status >= 200 && status < 300 && status !== 202) return { result: body, ...transaction };
  const error = isObject(body) && isObject(body.error ?? null) ? body.error as JsonObject : undefined;
  const message = typeof error?.message === "string" ? error.message : `HTTP status ${status}`;
  return {
    error: {
      code: rpcErrorCode(status, error?.code, message),
      message,
      data: { status, headers: Object.fromEntries(response.headers), error: error ?? null },
    },
    ...transaction,
  };
}

function rpcErrorCode(status: number, code: Json | undefined, message: string): number {
  if (code === "PrimaryNotFound") return -32005;
  if (code === "TransactionReplicationFailed") return -32002;
  switch (status) {
    case 202:
      return -32020;
    case 307:
    case 308:
      return -32001;
    case 400:
      return INVALID_PARAMS;
    case 401:
      return -32008;
    case 403:
      return -32004;
    case 405:
      return METHOD_NOT_FOUND;
    case 404:
      return message.startsWith("Unknown path: ") ? METHOD_NOT_FOUND : -32050;
    default:
      return status >= 500 ? -32603 : -32050;
  }
}

function decodeBody({ headers, body }: HttpResponse): Json {
  if (body.length === 0) return null;
  const contentType = headers.find(([name]) => name === "content-type")?.[1] ?? "application/octet-stream";
  if (contentType.startsWith("application/json")) {
    try {
      return JSON.parse(fromUtf8(body));
    } catch {
      return { $base64: toBase64(body), content_type: contentType };
    }
  }
  if (contentType.startsWith("text/")) return fromUtf8Lenient(body);
  return { $base64: toBase64(body), content_type: contentType };
}

function failure(id: CallId, code: number, message: string): JsonObject {
  return { jsonrpc: "2.0", id, error: { code, message } };
}

function reply(status: number, value: Json, headers: HeaderList = []): HttpResponse {
  return { status, headers: [...headers, ["content-type", "application/json"]], body: toUtf8(JSON.stringify(value)) };
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectMember(params: JsonObject, name: string): JsonObject {
  const value = params[name];
  if (value === undefined) return {};
  if (!isObject(value)) throw new CallError(INVALID_PARAMS, `The parameter "${name}" must be an object`);
  return { ...value };
}

function scalar(name: string, value: Json): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  throw new CallError(INVALID_PARAMS, `The parameter "${name}" must be a string, a number or a boolean`);
}
