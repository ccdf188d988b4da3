/**
 * The listener for callers without client certificates: Deno's own HTTP server (HTTP/2 where the client offers it) and
 * Hono.
 *
 * In: an address, a certificate, limits, a page and documents of the host. Out: the same requests to the same sink as
 * `TlsListener`. Each request is a session of its own, since Deno does not say which connection it came on.
 * CORS: for everybody, never with credentials. Malformed framing is answered by the runtime (README.md); limits are ours.
 */

import { Hono } from "hono";
import { METHODS } from "undici/lib/llhttp/constants.js";
import { assert } from "../shared/assert.ts";
import { toUtf8 } from "../shared/bytes.ts";
import { MAX_CLOSE_LINGER_MS, MAX_WEB_HEADERS_COUNT } from "../shared/limits.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../enclave/messages.ts";
import { LEDGER_NEXT_HEADER, LEDGER_RANGE_HEADER } from "./host_bodies.ts";
import {
  bodyTooLarge,
  errorResponse,
  type Exchange,
  headerTooLarge,
  type HttpLimits,
  InterfaceCounters,
  nextSessionId,
  type RequestBatcher,
  type RequestFault,
  type Session,
  sessionCapExhausted,
  tooManyHeaders,
} from "./listener.ts";
import { StartFailure } from "./start_failure.ts";
import type { TlsIdentity } from "./tls_server.ts";

export interface WebAppOptions {
  /** Of the RPC interface, as in the configuration. */
  readonly interfaceName: string;
  readonly limits: HttpLimits;
  readonly batcher: RequestBatcher;
  readonly counters: InterfaceCounters;
  /** HTML for `GET /`. Absent: as every other path. */
  readonly page?: () => string | Promise<string>;
  /** Asked for every other GET and HEAD, with the path undecoded; null: not a document, so the sink answers. */
  readonly document?: (path: string, headers: Headers) => HttpResponse | null | Promise<HttpResponse | null>;
  /** A page or document failed. For the log. */
  readonly onError?: (message: string) => void;
}

export interface WebListenerOptions extends Omit<WebAppOptions, "counters"> {
  readonly hostname: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  /** null: none yet, and nothing listens until `setIdentity`; `port` must then be given. */
  readonly identity: TlsIdentity | null;
  /** Requests under way at once; more are answered with 503. Connections cannot be counted here. */
  readonly maxOpenSessionsSoft: number;
  readonly maxOpenSessionsHard: number;
}

const ALLOWED_METHODS = "GET, HEAD, POST";
const ALLOWED_HEADERS = "content-type, authorization, accept, range, prefer, x-ms-ccf-transaction-id";
const EXPOSED_HEADERS = "x-ms-ccf-transaction-id, retry-after, location, content-range, " +
  `${LEDGER_RANGE_HEADER}, ${LEDGER_NEXT_HEADER}`;

/** What answers a request, without a socket. */
export function createWebApp(options: WebAppOptions): Hono {
  const { page, document } = options;
  const app = new Hono();
  app.use(async (c, next) => {
    const isPreflight = c.req.method === "OPTIONS" && c.req.header("origin") !== undefined &&
      c.req.header("access-control-request-method") !== undefined;
    if (isPreflight) {
      c.res = new Response(null, {
        status: 204,
        headers: { "access-control-allow-methods": ALLOWED_METHODS, "access-control-allow-headers": ALLOWED_HEADERS },
      });
    } else {
      await next();
      c.res.headers.set("access-control-expose-headers", EXPOSED_HEADERS);
    }
    c.res.headers.set("access-control-allow-origin", "*");
  });
  // Hono runs these for HEAD as well and drops the body.
  if (page !== undefined) app.get("/", async (c) => c.html(await page()));
  if (document !== undefined) {
    app.get("*", async (c, next) => {
      const found = await document(pathOf(c.req.raw.url), c.req.raw.headers);
      return found === null ? await next() : webResponse(found, c.req.raw.method);
    });
  }
  app.all("*", (c) => answer(c.req.raw, options));
  // Only a page or a document can fail so.
  app.onError((error, c) => {
    options.onError?.(`Cannot answer ${c.req.method} ${targetOf(c.req.url)}: ${error.message}`);
    return webResponse(errorResponse(500, "InternalError", "Cannot read the document"), c.req.method);
  });
  return app;
}

/** Lets a request through the limits to the sink. */
async function answer(request: Request, options: WebAppOptions): Promise<Response> {
  const { limits, counters, batcher, interfaceName } = options;
  if (counters.active >= counters.softCap) return webResponse(sessionCapExhausted(), request.method);
  const session: Session = { id: nextSessionId(), interfaceName, callerCertificate: null };
  counters.opened();
  try {
    const read = await readRequest(request, limits);
    if (read.fault !== undefined) {
      counters.errors[read.fault]++;
      return webResponse(read.response, request.method);
    }
    batcher.opened(session);
    const response = await new Promise<HttpResponse>((resolve) => {
      batcher.add(new WebExchange(session, read.request, resolve));
    });
    batcher.closed(session);
    return webResponse(response, request.method);
  } finally {
    counters.closed();
  }
}

class WebExchange implements Exchange {
  #resolve: ((response: HttpResponse) => void) | null;

  constructor(readonly session: Session, readonly request: HttpRequest, resolve: (response: HttpResponse) => void) {
    this.#resolve = resolve;
  }

  respond(response: HttpResponse): void {
    assert(this.#resolve !== null, "A request is answered once");
    this.#resolve(response);
    this.#resolve = null;
  }
}

type ReadRequest =
  | { readonly fault?: undefined; readonly request: HttpRequest }
  | { readonly fault: RequestFault; readonly response: HttpResponse };

async function readRequest(request: Request, limits: HttpLimits): Promise<ReadRequest> {
  const { method } = request;
  // The runtime passes on any word, and takes what follows a CONNECT for the next request whatever its length says.
  if (!METHOD_NAMES.has(method) || method === "CONNECT") return unparseable("Invalid method encountered");
  const headers = [...request.headers];
  const maxHeadersCount = Math.min(limits.maxHeadersCount, MAX_WEB_HEADERS_COUNT);
  if (headers.length > maxHeadersCount) return tooLargeHeader(tooManyHeaders(maxHeadersCount));
  const { maxHeaderBytes } = limits;
  let lengthText: string | null = null;
  for (const [name, value] of headers) {
    if (name.length > maxHeaderBytes) {
      return tooLargeHeader(
        headerTooLarge(`Header key for '${name.substring(0, maxHeaderBytes + 1)}'`, maxHeaderBytes),
      );
    }
    if (value.length > maxHeaderBytes) {
      return tooLargeHeader(headerTooLarge(`Header value for '${name}'`, maxHeaderBytes));
    }
    // A slash in it would move the boundary between authority and path in the URL that the runtime puts together.
    if (name === "host" && !HOST.test(value)) return unparseable("Invalid host");
    if (name === "content-length") lengthText = value;
  }
  // The runtime makes one length of two that are equal: `5, 5`.
  if (lengthText !== null && !DIGITS.test(lengthText)) return unparseable("Invalid character in Content-Length");
  let body: Uint8Array | null;
  try {
    body = await readBody(request, lengthText === null ? null : Number(lengthText), limits.maxBodyBytes);
  } catch (error) {
    return unparseable((error as Error).message);
  }
  if (body === null) return { fault: "request_payload_too_large", response: bodyTooLarge(limits) };
  return { request: { method, target: targetOf(request.url), headers, body } };
}

const METHOD_NAMES: ReadonlySet<string> = new Set(Object.keys(METHODS));
const HOST = /^[\w.:\-[\]%]*$/;
const DIGITS = /^\d+$/;

function tooLargeHeader(response: HttpResponse): ReadRequest {
  return { fault: "request_header_too_large", response };
}

/** As the other listener has it, without the bytes, which the runtime does not show. */
function unparseable(why: string): ReadRequest {
  const message = `Unable to parse data as a HTTP request. Error message is: ${why}`;
  return {
    fault: "parsing",
    response: { status: 400, headers: [["content-type", "text/plain"]], body: toUtf8(message) },
  };
}

/** The whole body, or null where it is longer than allowed. */
async function readBody(request: Request, length: number | null, maxBytes: number): Promise<Uint8Array | null> {
  // A length is believed before the body comes; the runtime holds the client to it.
  if (length !== null && length > maxBytes) return null;
  if (request.body === null) return new Uint8Array();
  if (length !== null) return new Uint8Array(await request.arrayBuffer());
  let body = new Uint8Array();
  let bodyBytes = 0;
  for await (const chunk of request.body) {
    const total = bodyBytes + chunk.length;
    if (total > maxBytes) return null;
    if (total > body.length) {
      const larger = new Uint8Array(Math.min(maxBytes, 2 * total));
      larger.set(body.subarray(0, bodyBytes));
      body = larger;
    }
    body.set(chunk, bodyBytes);
    bodyBytes = total;
  }
  return body.slice(0, bodyBytes);
}

/** Path and query as sent. The runtime gives `scheme://authority` and then the target, which it does not change. */
function targetOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "" : url.substring(start);
}

function pathOf(url: string): string {
  const target = targetOf(url);
  const end = target.indexOf("?");
  return end < 0 ? target : target.substring(0, end);
}

/** An answer in the runtime's words. One that it cannot send becomes a 500. */
function webResponse(response: HttpResponse, method: string): Response {
  const { status, headers, body } = response;
  try {
    const hasBody = method !== "HEAD" && status !== 204 && status !== 205 && status !== 304;
    return new Response(hasBody ? new Uint8Array(body) : null, { status, headers: sendableHeaders(headers, method) });
  } catch {
    const message = "Cannot send the response: its status or a header is none that HTTP allows";
    return webResponse(errorResponse(500, "InternalError", message), method);
  }
}

/** The runtime writes `content-length`, but not that of an answer to HEAD. */
function sendableHeaders(headers: HeaderList, method: string): [string, string][] {
  const sendable: [string, string][] = [];
  for (const [name, value] of headers) if (method === "HEAD" || name !== "content-length") sendable.push([name, value]);
  return sendable;
}

export class WebListener {
  readonly counters: InterfaceCounters;
  readonly #options: WebListenerOptions;
  readonly #app: Hono;
  #port: number;
  #server: Deno.HttpServer<Deno.NetAddr> | null = null;
  /** Servers with older certificates, until their last answers are out. */
  readonly #retiring = new Set<Promise<void>>();

  private constructor(options: WebListenerOptions) {
    this.#options = options;
    this.#port = options.port;
    this.counters = new InterfaceCounters(options.maxOpenSessionsSoft, options.maxOpenSessionsHard);
    this.#app = createWebApp({ ...options, counters: this.counters });
  }

  /** Listens, where there is a certificate. Rejects where the address cannot be had. */
  static async listen(options: WebListenerOptions): Promise<WebListener> {
    const listener = new WebListener(options);
    if (options.identity !== null) await listener.setIdentity(options.identity);
    return listener;
  }

  /** The port in use. */
  get port(): number {
    return this.#port;
  }

  /**
   * New connections are shown this certificate. Deno cannot exchange it in a running server, so another takes its place:
   * connections that come in between are refused, for some milliseconds. Rejects where the address cannot be had.
   */
  async setIdentity(identity: TlsIdentity): Promise<void> {
    this.#retire();
    for (let attemptsLeft = MAX_LISTEN_ATTEMPTS;; attemptsLeft--) {
      try {
        this.#server = this.#serve(identity);
        this.#port = this.#server.addr.port;
        return;
      } catch (error) {
        // The server before lets go of the port soon, though not at once.
        if (attemptsLeft === 1 || this.#retiring.size === 0) {
          const { message } = error as Error;
          throw new StartFailure(`Cannot listen on ${this.#options.hostname}:${this.#port}: ${message}`);
        }
        await new Promise((resolve) => setTimeout(resolve, LISTEN_RETRY_MS));
      }
    }
  }

  /** Accepts nothing more and answers what is waiting, at the latest after the linger time. */
  async stop(): Promise<void> {
    this.#retire();
    await Promise.all(this.#retiring);
  }

  #serve(identity: TlsIdentity): Deno.HttpServer<Deno.NetAddr> {
    return Deno.serve({
      hostname: this.#options.hostname,
      port: this.#port,
      cert: identity.certificateChainPem,
      key: identity.privateKeyPem,
      onListen: () => {},
    }, (request) => this.#app.fetch(request));
  }

  #retire(): void {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const retired = retire(server).finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }
}

/**
 * Lets a server finish what it has begun, within the linger time. A client that holds a request or an answer for longer is
 * left to itself, since a server that is shutting down cannot be told to drop it: its connection ends with the process.
 */
async function retire(server: Deno.HttpServer): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, MAX_CLOSE_LINGER_MS);
  await Promise.race([server.shutdown(), late.promise]);
  clearTimeout(timer);
}

// Long enough for the operating system to free a port whose listener is closed.
const MAX_LISTEN_ATTEMPTS = 200;
const LISTEN_RETRY_MS = 5;
