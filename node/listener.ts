/**
 * What the listeners of a node have in common: the words for connections and requests, and the way to the enclave.
 *
 * In: requests that listeners have parsed. Out: batches of them to one sink, and a promise to each that its answer
 * reaches the right connection in the right order. Knows nothing of sockets, parsers or the endpoint table.
 * Error envelope: http-api.md §3.1; counters: http-api.md §6 (`GET /node/metrics`).
 */

import { assert } from "../shared/assert.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { MAX_REQUESTS_PER_MESSAGE } from "../shared/limits.ts";
import type { HttpRequest, HttpResponse, InterfaceMetrics, SessionId } from "../enclave/messages.ts";

/** A client connection. */
export interface Session {
  readonly id: SessionId;
  /** The RPC interface of the configuration that it came in on. */
  readonly interfaceName: string;
  /** DER of the client's certificate; null where the client showed none or the interface asks for none. */
  readonly callerCertificate: Uint8Array | null;
}

/** One request, and the way back. */
export interface Exchange {
  readonly session: Session;
  readonly request: HttpRequest;
  /** Once. After the connection has gone, the answer is dropped. */
  respond(response: HttpResponse): void;
}

/**
 * Where requests go. Calls come in this order for each session: opened, batches, closed. Nothing here may throw, and an
 * answer may be given at once or at any later time, in any order: listeners put them in the order of the requests.
 */
export interface RequestSink {
  sessionOpened(session: Session): void;
  /** Everything that one turn of the event loop brought, in order of arrival. */
  requests(batch: readonly Exchange[]): void;
  sessionClosed(session: Session): void;
}

/** What one interface accepts, in bytes and pieces (operations.md §2, `http_configuration`). */
export interface HttpLimits {
  readonly maxBodyBytes: number;
  /** Of one header name, and of one header value. */
  readonly maxHeaderBytes: number;
  readonly maxHeadersCount: number;
}

/** Which counter a refused request raises. */
export type RequestFault = keyof InterfaceMetrics["errors"];

/** Counters of one interface; `snapshot` gives them under CCF's names. */
export class InterfaceCounters {
  active = 0;
  peak = 0;
  readonly errors: Record<RequestFault, number> = {
    parsing: 0,
    request_payload_too_large: 0,
    request_header_too_large: 0,
  };

  constructor(readonly softCap: number, readonly hardCap: number) {}

  opened(): void {
    this.active++;
    if (this.active > this.peak) this.peak = this.active;
  }

  closed(): void {
    assert(this.active > 0, "A connection is closed after it is opened");
    this.active--;
  }

  snapshot(): InterfaceMetrics {
    const { active, peak, softCap, hardCap, errors } = this;
    return { active, peak, soft_cap: softCap, hard_cap: hardCap, errors: { ...errors } };
  }
}

let lastSessionId = 0;

/** A number that no other connection of this process has had. */
export function nextSessionId(): SessionId {
  return ++lastSessionId;
}

/**
 * Gathers requests until the turn of the event loop ends and hands them over as one batch.
 *
 * A message to the enclave's Worker costs much more than what one request adds to it, so all listeners of a node share
 * one batcher.
 */
export class RequestBatcher {
  readonly #sink: RequestSink;
  #exchanges: Exchange[] = [];
  #closed: Session[] = [];
  #scheduled = false;

  constructor(sink: RequestSink) {
    this.#sink = sink;
  }

  opened(session: Session): void {
    this.#sink.sessionOpened(session);
  }

  add(exchange: Exchange): void {
    this.#exchanges.push(exchange);
    this.#schedule();
  }

  /** The sink hears of it after the requests of the session that are still waiting here. */
  closed(session: Session): void {
    this.#closed.push(session);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Not a microtask: those run after each socket's data, and a batch would hold the requests of one connection only.
    setImmediate(this.#handOver);
  }

  readonly #handOver = (): void => {
    this.#scheduled = false;
    const exchanges = this.#exchanges;
    const closed = this.#closed;
    this.#exchanges = [];
    this.#closed = [];
    if (exchanges.length <= MAX_REQUESTS_PER_MESSAGE) {
      if (exchanges.length > 0) this.#sink.requests(exchanges);
    } else {
      for (let from = 0; from < exchanges.length; from += MAX_REQUESTS_PER_MESSAGE) {
        this.#sink.requests(exchanges.slice(from, from + MAX_REQUESTS_PER_MESSAGE));
      }
    }
    for (const session of closed) this.#sink.sessionClosed(session);
  };
}

/** The error envelope, for the few answers that a listener gives by itself. */
export function errorResponse(status: number, code: string, message: string): HttpResponse {
  return {
    status,
    headers: [["content-type", "application/json"]],
    body: toUtf8(JSON.stringify({ error: { code, message } })),
  };
}

/** The answer to a body above the limit. */
export function bodyTooLarge(limits: HttpLimits): HttpResponse {
  const message = `HTTP request body is too large (max size allowed: ${sizeText(limits.maxBodyBytes)})`;
  return errorResponse(413, "RequestBodyTooLarge", message);
}

/** The answer to a header above the limit. `part` says what: "Header value for 'x-a'", "Header key for 'x-a'". */
export function headerTooLarge(part: string, maxBytes: number): HttpResponse {
  return errorResponse(431, "RequestHeaderTooLarge", `${part} is too large (max size allowed: ${sizeText(maxBytes)})`);
}

/** The answer to more headers than the limit. */
export function tooManyHeaders(maxCount: number): HttpResponse {
  return errorResponse(431, "RequestHeaderTooLarge", `Too many headers (max number allowed: ${maxCount})`);
}

/** The answer to the first request of a connection above the soft cap (http-api.md §1.4). */
export function sessionCapExhausted(): HttpResponse {
  return errorResponse(503, "SessionCapExhausted", "Service is currently busy and unable to serve new connections");
}

const SIZE_UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

/** A size as a configuration would write it: the largest unit (powers of 1024) that divides it, `200KB`. */
export function sizeText(bytes: number): string {
  let unit = 0;
  while (bytes >= 1024 && bytes % 1024 === 0 && unit < SIZE_UNITS.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes}${SIZE_UNITS[unit]}`;
}
