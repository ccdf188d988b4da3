/**
 * The few shapes of answers that our own endpoints give (http-api.md §3.4).
 */

import { toUtf8 } from "../../shared/bytes.ts";
import { stableJson } from "../../shared/json.ts";
import type { HeaderList, HttpResponse } from "../messages.ts";
import type { EndpointContext } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";
import type { ParsedRequest } from "./request.ts";

export const NO_BODY = new Uint8Array(0);
const JSON_HEADERS: HeaderList = [["content-type", "application/json"]];
const TEXT_HEADERS: HeaderList = [["content-type", "text/plain"]];

/** A handler that answers a JSON value: null is 204, anything else 200 where the client accepts JSON. */
export function jsonHandler(answer: (context: EndpointContext) => unknown): (context: EndpointContext) => HttpResponse {
  return (context) => {
    const value = answer(context);
    if (value === null) return empty(204);
    requireJsonAccepted(context.request);
    return json(value);
  };
}

/** Keys in ascending order, compact, whatever the client accepts. */
export function json(value: unknown, status = 200): HttpResponse {
  return { status, headers: JSON_HEADERS, body: toUtf8(stableJson(value)) };
}

export function text(value: string, status = 200, contentType?: string): HttpResponse {
  return {
    status,
    headers: contentType === undefined ? TEXT_HEADERS : [["content-type", contentType]],
    body: toUtf8(value),
  };
}

export function empty(status: number, headers: HeaderList = []): HttpResponse {
  return { status, headers, body: NO_BODY };
}

/** @throws OdataError 406, or 400 for an `accept` that is no list of MIME types */
function requireJsonAccepted(request: ParsedRequest): void {
  const accept = request.header("accept");
  if (accept === undefined) return;
  for (const entry of accept.split(",")) {
    const type = entry.split(";")[0]!.trim();
    if (!/^[^/\s]+\/[^/\s]+$/.test(type)) {
      throw new OdataError(400, "InvalidHeaderValue", `Entry in Accept header is not a valid MIME type: ${entry}`);
    }
    if (type === "*/*" || type === "application/*" || type === "application/json") return;
  }
  throw new OdataError(
    406,
    "UnsupportedContentType",
    `No supported content type in accept header: ${accept}\nOnly application/json is currently supported`,
  );
}
