/**
 * From the response to a REST request to the answer of the JSON-RPC call that it stands for.
 *
 * In: a response. Out: the members `result` or `error`, and the transaction beside them, as clients of 2019 knew it.
 * A JSON body is handed on as it is, so that no number loses digits on the way. Rules: `README.md`.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8, toBase64 } from "../../shared/bytes.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { HttpResponse } from "../messages.ts";
import { fromHttp } from "./byte_text.ts";
import { TRANSACTION_ID_HEADER } from "./frontend.ts";
import {
  APP_ERROR,
  INSUFFICIENT_RIGHTS,
  INTERNAL_ERROR,
  INVALID_CALLER_ID,
  INVALID_PARAMS,
  METHOD_NOT_FOUND,
  NOT_READY,
  TX_FAILED_TO_REPLICATE,
  TX_NOT_PRIMARY,
  TX_PRIMARY_UNKNOWN,
} from "./rpc_errors.ts";

const CODES_BY_STATUS: Readonly<Record<number, number>> = {
  202: NOT_READY,
  307: TX_NOT_PRIMARY,
  308: TX_NOT_PRIMARY,
  400: INVALID_PARAMS,
  401: INVALID_CALLER_ID,
  403: INSUFFICIENT_RIGHTS,
  405: METHOD_NOT_FOUND,
};

const CODES_BY_ODATA_CODE: ReadonlyMap<unknown, number> = new Map([
  ["PrimaryNotFound", TX_PRIMARY_UNKNOWN],
  ["TransactionReplicationFailed", TX_FAILED_TO_REPLICATE],
]);

/** JSON members of the answer, without braces. */
export function describeResponse(response: HttpResponse, committed: Seqno): string {
  const { status, headers } = response;
  const body = bodyAsJson(response);
  const transaction = transactionMembers(headerOf(response, TRANSACTION_ID_HEADER), committed);
  if (status >= 200 && status < 300 && status !== 202) return `"result":${body}${transaction}`;
  const error = odataError(body);
  const message = messageOf(error) ?? textOf(body) ?? `HTTP status ${status}`;
  const data = {
    status,
    headers: Object.fromEntries(headers.map(([name, value]) => [name, fromHttp(value)])),
    error: error ?? null,
  };
  return `"error":${JSON.stringify({ code: codeOf(status, error, message), message, data })}${transaction}`;
}

function transactionMembers(txId: string | undefined, committed: Seqno): string {
  if (txId === undefined) return "";
  const [view, seqno] = txId.split(".");
  return `,"tx_id":"${txId}","commit":${seqno},"term":${view},"global_commit":${committed}`;
}

/** JSON as it is, text as a string, nothing as null, everything else as bytes. */
function bodyAsJson(response: HttpResponse): string {
  const { body } = response;
  if (body.length === 0) return "null";
  const contentType = headerOf(response, "content-type") ?? "application/octet-stream";
  const asBytes = () => JSON.stringify({ $base64: toBase64(body), content_type: contentType });
  const isJson = /^application\/json\s*(;|$)/.test(contentType);
  if (!isJson && !contentType.startsWith("text/")) return asBytes();
  try {
    const text = fromUtf8(body);
    if (!isJson) return JSON.stringify(text);
    JSON.parse(text); // an app may call anything JSON
    return text;
  } catch (error) {
    if (!(error instanceof FormatError) && !(error instanceof SyntaxError)) throw error;
    return asBytes();
  }
}

/** The member `error` of the body, if it has one like CCF's. */
function odataError(body: string): Readonly<Record<string, unknown>> | undefined {
  const parsed: unknown = JSON.parse(body);
  if (typeof parsed !== "object" || parsed === null || !Object.hasOwn(parsed, "error")) return undefined;
  const { error } = parsed as { error: unknown };
  return typeof error === "object" && error !== null && !Array.isArray(error) ? { ...error } : undefined;
}

function messageOf(error: Readonly<Record<string, unknown>> | undefined): string | undefined {
  return typeof error?.message === "string" ? error.message : undefined;
}

function textOf(body: string): string | undefined {
  const parsed: unknown = JSON.parse(body);
  return typeof parsed === "string" && parsed !== "" ? parsed : undefined;
}

function codeOf(status: number, error: Readonly<Record<string, unknown>> | undefined, message: string): number {
  const byOdataCode = CODES_BY_ODATA_CODE.get(error?.code);
  if (byOdataCode !== undefined) return byOdataCode;
  const isUnknownPath = status === 404 && error?.code === "ResourceNotFound" && message.startsWith("Unknown path: ");
  if (isUnknownPath) return METHOD_NOT_FOUND;
  return CODES_BY_STATUS[status] ?? (status >= 500 ? INTERNAL_ERROR : APP_ERROR);
}

function headerOf({ headers }: HttpResponse, name: string): string | undefined {
  return headers.find((header) => header[0] === name)?.[1];
}
