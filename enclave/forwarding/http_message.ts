/**
 * Whole HTTP/1.1 messages as nodes forward them to each other: the request of a client, the response to it.
 *
 * In: a request or a response, or the bytes of one. Out: the other. Strict: one message and nothing else, its length said
 * by `content-length` alone. Knows nothing of connections, clients or nodes.
 * Format: RFC 9112; which messages travel: nodes-and-attestation.md §2.
 *
 *   POST /app/log/private HTTP/1.1
 *   content-type: application/json
 *   content-length: 20
 *
 *   {"id":42,"msg":"hi"}
 */

import { FormatError } from "../../shared/assert.ts";
import { type ByteString, concat, fromByteString, toByteString } from "../../shared/bytes.ts";
import { MAX_REQUEST_HEAD_BYTES } from "../../shared/limits.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../messages.ts";

// One character a byte: RFC 9110 §5.5, §5.6.2; of a target what is neither space nor control.
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.1$/;
const STATUS_LINE = /^HTTP\/1\.1 ([2-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^(?:0|[1-9][0-9]{0,14})$/;

/**
 * A request in bytes. What was sent in chunks gets a length instead, as its body is whole by now.
 *
 * @throws FormatError where a part of it cannot stand in such a message
 */
export function serialiseRequest({ method, target, headers, body }: HttpRequest): Uint8Array {
  const line = `${method} ${target} HTTP/1.1`;
  if (!REQUEST_LINE.test(line)) {
    throw new FormatError(`Cannot write an HTTP request: ${JSON.stringify(line)} is no request line`);
  }
  let text = `${line}\r\n`;
  let hasLength = false;
  for (const [name, value] of headers) {
    if (name === "transfer-encoding" || (name === "content-length" && hasLength)) continue;
    hasLength ||= name === "content-length";
    text += headerLine(name, name === "content-length" ? String(body.length) : value);
  }
  if (!hasLength && body.length > 0) text += headerLine("content-length", String(body.length));
  return concat(fromByteString(`${text}\r\n`), body);
}

/** @throws FormatError */
export function parseRequest(bytes: Uint8Array): HttpRequest {
  const { firstLine, headers, body } = parseMessage(bytes, "request");
  const line = REQUEST_LINE.exec(firstLine);
  if (line === null) throw new FormatError("Cannot read an HTTP request: its first line is no request line");
  requireLength(lengthOf(headers, "request") ?? 0, body, "request");
  return { method: line[1]!, target: line[2]!, headers, body };
}

/**
 * A response in bytes, without a reason phrase, since nobody reads it. Headers are sorted by name, with the length among
 * them, as CCF does it; of `HttpResponse` nothing else is part of it.
 *
 * @param method of the request: an answer to HEAD has no body, and its length is 0 unless a header names one
 * @throws FormatError where a header cannot stand in such a message: apps may set any
 */
export function serialiseResponse({ status, headers, body }: HttpResponse, method: string): Uint8Array {
  if (!STATUS_LINE.test(`HTTP/1.1 ${status} `)) {
    throw new FormatError(`Cannot write an HTTP response: ${status} is no final status`);
  }
  const isHead = method === "HEAD";
  const named = isHead ? headers.find(([name]) => name === "content-length")?.[1] : undefined;
  const length = named ?? String(isHead ? 0 : body.length);
  if (!LENGTH.test(length)) {
    throw new FormatError(`Cannot write an HTTP response: content-length ${JSON.stringify(length)} is no length`);
  }
  let before = `HTTP/1.1 ${status} \r\n`;
  let after = "";
  for (const [name, value] of headers) {
    if (name < "content-length") before += headerLine(name, value);
    else if (name !== "content-length") after += headerLine(name, value);
  }
  const head = fromByteString(`${before}${headerLine("content-length", length)}${after}\r\n`);
  return isHead ? head : concat(head, body);
}

/**
 * @param method of the request
 * @throws FormatError
 */
export function parseResponse(bytes: Uint8Array, method: string): HttpResponse {
  const { firstLine, headers, body } = parseMessage(bytes, "response");
  const line = STATUS_LINE.exec(firstLine);
  if (line === null) throw new FormatError("Cannot read an HTTP response: its first line is no status line");
  const length = lengthOf(headers, "response");
  if (length === undefined) throw new FormatError("Cannot read an HTTP response: it does not name its length");
  const isHead = method === "HEAD";
  requireLength(isHead ? 0 : length, body, "response");
  return {
    status: Number(line[1]),
    // The listener writes the length, but that of an answer to HEAD, which it cannot know.
    headers: isHead && length > 0 ? headers : headers.filter(([name]) => name !== "content-length"),
    // A buffer of its own: it leaves for the host, and what was decrypted with it must not.
    body: body.slice(),
  };
}

type Kind = "request" | "response";

interface Message {
  readonly firstLine: ByteString;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

function parseMessage(bytes: Uint8Array, kind: Kind): Message {
  const end = endOfHead(bytes);
  if (end === undefined) throw new FormatError(`Cannot read an HTTP ${kind}: its head does not end`);
  const [firstLine, ...lines] = toByteString(bytes.subarray(0, end)).split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(": ");
    const name = line.slice(0, Math.max(colon, 0));
    const value = line.slice(colon + 2);
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value)) {
      throw new FormatError(`Cannot read an HTTP ${kind}: a line of its head is no header`);
    }
    return [name, value];
  });
  return { firstLine: firstLine!, headers, body: bytes.subarray(end + 4) };
}

/** Where the empty line begins that ends the head. */
function endOfHead(bytes: Uint8Array): number | undefined {
  const last = Math.min(bytes.length, MAX_REQUEST_HEAD_BYTES) - 4;
  for (let at = bytes.indexOf(0x0d); at !== -1 && at <= last; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
  return undefined;
}

/** What `content-length` says; undefined where nothing does. */
function lengthOf(headers: HeaderList, kind: Kind): number | undefined {
  let length: number | undefined;
  for (const [name, value] of headers) {
    if (name === "transfer-encoding") throw new FormatError(`Cannot read an HTTP ${kind}: it is sent in chunks`);
    if (name !== "content-length") continue;
    if (length !== undefined) throw new FormatError(`Cannot read an HTTP ${kind}: it names its length twice`);
    if (!LENGTH.test(value)) throw new FormatError(`Cannot read an HTTP ${kind}: its content-length is no length`);
    length = Number(value);
  }
  return length;
}

function requireLength(length: number, body: Uint8Array, kind: Kind): void {
  if (body.length === length) return;
  throw new FormatError(`Cannot read an HTTP ${kind}: its body has ${body.length} bytes and should have ${length}`);
}

function headerLine(name: string, value: ByteString): ByteString {
  if (!HEADER_NAME.test(name)) {
    throw new FormatError(`Cannot write an HTTP message: ${JSON.stringify(name)} is no lower-case header name`);
  }
  if (!HEADER_VALUE.test(value)) {
    throw new FormatError(`Cannot write an HTTP message: the value of header ${name} has control characters`);
  }
  return `${name}: ${value}\r\n`;
}
