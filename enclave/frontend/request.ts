/**
 * A request as endpoints see it: the target taken apart, headers by name.
 *
 * In: an `HttpRequest` from the host, whose target has one character for each byte that was sent. Knows nothing of
 * frontends, sessions or transactions.
 * Rules: http-api.md §2.1.
 */

import { fromUtf8Lenient } from "../../shared/bytes.ts";
import type { HttpRequest } from "../messages.ts";
import { fromHttp, toHttp } from "./byte_text.ts";

export class ParsedRequest {
  readonly method: string;
  /** Not percent-decoded. */
  readonly path: string;
  /** Percent-decoded as a whole, without `?`; a fragment is cut from it. */
  readonly query: string;
  readonly body: Uint8Array;
  readonly #request: HttpRequest;
  #parameters: Map<string, string> | undefined;

  constructor(request: HttpRequest) {
    this.#request = request;
    this.method = request.method;
    this.body = request.body;
    const target = request.target;
    const mark = target.indexOf("?");
    if (mark === -1) {
      // Quirk: without a query, a fragment stays in the path (CCF 7.0.0-dev, http_parser.h).
      this.path = fromHttp(target);
      this.query = "";
    } else {
      this.path = fromHttp(target.slice(0, mark));
      const rest = target.slice(mark + 1);
      const fragment = rest.indexOf("#");
      this.query = decodeQuery(fragment === -1 ? rest : rest.slice(0, fragment));
    }
  }

  /** The first header of that (lower-case) name. */
  header(name: string): string | undefined {
    for (const header of this.#request.headers) if (header[0] === name) return fromHttp(header[1]);
    return undefined;
  }

  /** Headers by name; of a name sent twice the first value. */
  headers(): Record<string, string> {
    const byName: Record<string, string> = Object.create(null);
    for (const [name, value] of this.#request.headers) if (!(name in byName)) byName[name] = fromHttp(value);
    return byName;
  }

  /** A query parameter; the first of that name. One without `=` has the value "". */
  parameter(name: string): string | undefined {
    if (this.query === "") return undefined;
    if (this.#parameters === undefined) {
      this.#parameters = new Map();
      for (const pair of this.query.split("&")) {
        const equals = pair.indexOf("=");
        const key = equals === -1 ? pair : pair.slice(0, equals);
        if (!this.#parameters.has(key)) this.#parameters.set(key, equals === -1 ? "" : pair.slice(equals + 1));
      }
    }
    return this.#parameters.get(name);
  }

  /** Path, and `?` with the decoded query where there is one. */
  get url(): string {
    return this.query === "" ? this.path : `${this.path}?${this.query}`;
  }
}

const NEEDS_DECODING = /[%+\x80-\uffff]/;

/** `%xx` and `+` decoded before the query is split (a quirk of CCF: `%26` separates parameters). */
function decodeQuery(query: string): string {
  if (!NEEDS_DECODING.test(query)) return query;
  const bytes: number[] = [];
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i);
    const hex = code === 0x25 ? query.slice(i + 1, i + 3) : "";
    if (code === 0x2b) bytes.push(0x20);
    else if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16));
      i += 2;
    } else bytes.push(code & 0xff);
  }
  return fromUtf8Lenient(new Uint8Array(bytes));
}

/** One path segment with `%xx` decoded. */
export function decodePathSegment(segment: string): string {
  return decodeQuery(toHttp(segment).replaceAll("+", "%2B"));
}
