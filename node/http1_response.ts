/**
 * HTTP/1.1 answers as CCF writes them.
 *
 * In: an answer. Out: its bytes. Knows nothing of connections.
 * Form: http-api.md §1.2; reason phrases: llhttp's names of statuses; order of headers: CCF src/http/http_builder.h, which
 * keeps them in a map by name, `content-length` among them.
 */

import { Buffer } from "node:buffer";
import { STATUSES } from "undici/lib/llhttp/constants.js";
import type { HttpResponse } from "../enclave/messages.ts";
import { errorResponse } from "./listener.ts";

const REASON_PHRASES: readonly string[] = Object.entries(STATUSES).reduce<string[]>((phrases, [phrase, status]) => {
  phrases[status] = phrase;
  return phrases;
}, []);

/** Upper case with underscores, as CCF has them: `NOT_FOUND`. */
export function reasonPhrase(status: number): string {
  return REASON_PHRASES[status] ?? "UNKNOWN";
}

/** An answer ready to be written: its head as a byte string, its body as it is. */
export interface SerialisedResponse {
  readonly head: string;
  readonly headIsAscii: boolean;
  readonly body: Uint8Array;
}

const NO_BODY = new Uint8Array(0);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const ASCII_VALUE = /^[\t\x20-\x7e]*$/;
// RFC 9110 §5.5 allows these too. Anything above is no byte string.
const BYTE_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Serialises an answer. An answer that cannot be sent as it is becomes a 500, so that an app cannot end its header and
 * write a second answer behind it.
 *
 * @param method of the request: an answer to HEAD has no body, and its length is 0 unless a header names one
 */
export function serialiseResponse(response: HttpResponse, method: string): SerialisedResponse {
  const { status, headers } = response;
  if (status < 200 || status > 999) return unsendable(`status ${status} is no final status`, method);
  const body = method === "HEAD" ? NO_BODY : response.body;
  let contentLength = String(body.length);
  let before = "";
  let after = "";
  let headIsAscii = true;
  let previous = "";
  for (const [name, value] of headers) {
    if (previous > name) {
      const sorted = [...headers].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      return serialiseResponse({ ...response, headers: sorted }, method);
    }
    previous = name;
    if (!TOKEN.test(name)) return unsendable(`header name ${JSON.stringify(name)} is no lower-case token`, method);
    if (!ASCII_VALUE.test(value)) {
      if (!BYTE_VALUE.test(value)) return unsendable(`the value of header ${name} has control characters`, method);
      headIsAscii = false;
    }
    if (name < "content-length") before += `${name}: ${value}\r\n`;
    else if (name !== "content-length") after += `${name}: ${value}\r\n`;
    else if (method === "HEAD") contentLength = value;
  }
  const statusLine = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
  const head = `${statusLine}${before}content-length: ${contentLength}\r\n${after}\r\n`;
  return { head, headIsAscii, body };
}

function unsendable(why: string, method: string): SerialisedResponse {
  return serialiseResponse(errorResponse(500, "InternalError", `Cannot send the response: ${why}`), method);
}

/** Puts answers into one buffer, so that they leave in one write. */
export function joinResponses(responses: readonly SerialisedResponse[]): Uint8Array {
  let length = 0;
  for (const { head, body } of responses) length += head.length + body.length;
  const bytes = Buffer.allocUnsafe(length);
  let end = 0;
  for (const { head, headIsAscii, body } of responses) {
    // The same bytes either way, but Deno writes UTF-8 six times as fast.
    bytes.write(head, end, headIsAscii ? "utf8" : "latin1");
    end += head.length;
    bytes.set(body, end);
    end += body.length;
  }
  return bytes;
}
