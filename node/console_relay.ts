/**
 * The relay: the page on this machine, and its way to the nodes of one service.
 *
 * In: a node's URL, the certificate of its service, the built page. Out: a web server on 127.0.0.1.
 *
 *     GET /…                                 the page and its files
 *     GET /relay/peer                        whose key ends the connection to the node, and what the relay holds it to
 *     GET|HEAD|POST /relay/node/PATH         PATH of the node
 *     GET|HEAD|POST /relay/to/HOST:PORT/PATH PATH of another node, which must be of the pinned service
 *
 * A browser cannot be told to trust a certificate that an enclave made, nor show a page the one that it was given; the relay
 * does both (decisions: what a page cannot see). It is no judge: what it passes on is proved by the page.
 *
 * Each answer that was passed on says in `x-quorate-relay-peer` which node ended its connection. Redirections to other nodes
 * lead through the relay again. Who may ask at all: `console_relay_guard.ts`.
 */

import { FormatError } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_CLOSE_LINGER_MS, MAX_RELAY_REQUEST_BYTES, MAX_RELAY_REQUESTS } from "../shared/limits.ts";
import type { ConsoleFiles } from "./console_files.ts";
import { type Patience, type Peer, RelayClient, type RelayedRequest } from "./console_relay_client.ts";
import { type Refusal, refusal, refuseStranger, refuseWithoutToken } from "./console_relay_guard.ts";
import { PASSIVE_HEADERS, problemResponse, RelayFailure } from "./console_relay_problem.ts";
import { StartFailure } from "./start_failure.ts";
import type { Stoppable } from "./stop_signals.ts";
import { type Address, formatAddress, parseAddress } from "./units.ts";

export interface RelayOptions {
  readonly nodeUrl: URL;
  /** PEM: only nodes of this service are spoken to. undefined: the node alone, held to the service that it names itself. */
  readonly servicePem: string | undefined;
  readonly files: ConsoleFiles;
  /** 0: the operating system chooses. */
  readonly port: number;
  /** ASCII without characters that mean something in a URL. */
  readonly token: string;
  /** Where not as usual. */
  readonly patience?: Patience;
}

/** Which node ended the connection, hex. */
export const RELAY_PEER_HEADER = "x-quorate-relay-peer";

const REQUEST_HEADERS = [
  "accept",
  "authorization",
  "content-type",
  "if-none-match",
  "prefer",
  "range",
  "x-ms-ccf-transaction-id",
];
const ANSWER_HEADERS = [
  "accept-ranges",
  "content-range",
  "content-type",
  "etag",
  "retry-after",
  "www-authenticate",
  "x-ms-ccf-transaction-id",
];
/** Names that the relay itself gives a meaning to. */
const RELAY_HEADERS = "x-quorate-relay-";

/** Of which node, and what of it. */
interface Destination {
  readonly address: Address;
  readonly target: string;
}

const OWN_PATHS = "It has /relay/peer, /relay/node/PATH and /relay/to/HOST:PORT/PATH";

export class ConsoleRelay implements Stoppable {
  readonly #options: RelayOptions;
  readonly #own: Address;
  readonly #client: RelayClient;
  readonly #stopped = Promise.withResolvers<undefined>();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  #underWay = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { hostname, port } = options.nodeUrl;
    this.#own = { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 443 : Number(port) };
    this.#client = new RelayClient(this.#own, options.servicePem, options.patience);
  }

  /** Listens on 127.0.0.1 alone. @throws StartFailure where the port cannot be had */
  start(): void {
    const { port } = this.#options;
    try {
      this.#server = Deno.serve(
        { hostname: "127.0.0.1", port, onListen: () => {}, onError: failed },
        (request) => this.#answer(request),
      );
    } catch (error) {
      const { message } = error as Error;
      throw new StartFailure(`Cannot listen on 127.0.0.1:${port}: ${message}; choose another port with --port`);
    }
  }

  get port(): number {
    return this.#server!.addr.port;
  }

  /** With the token in its fragment. */
  get url(): string {
    return `http://127.0.0.1:${this.port}/#/connect?relay=${this.#options.token}`;
  }

  /** Accepts nothing more, and lets go of what does not end by itself. */
  async stop(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, MAX_CLOSE_LINGER_MS);
    await Promise.race([this.#server?.shutdown(), late.promise]);
    clearTimeout(timer);
    this.#client[Symbol.dispose]();
    this.#stopped.resolve(undefined);
  }

  get stopped(): Promise<undefined> {
    return this.#stopped.promise;
  }

  giveStopNotice(): void {
    // Nobody waits for one.
  }

  async #answer(request: Request): Promise<Response> {
    const stranger = refuseStranger(request, this.port);
    if (stranger !== undefined) return refused(stranger);
    const target = targetOf(request.url);
    if (!target.startsWith("/relay/")) return this.#answerPage(request, target);
    const untrusted = refuseWithoutToken(request, this.#options.token);
    if (untrusted !== undefined) return refused(untrusted);
    if (this.#underWay >= MAX_RELAY_REQUESTS) {
      const why = `${MAX_RELAY_REQUESTS} requests are under way already`;
      return refused(refusal(503, "RelayBusy", why, "Wait until some have been answered"));
    }
    this.#underWay++;
    let onEnd = () => void this.#underWay--;
    try {
      if (target === "/relay/peer") return await this.#answerPeer();
      const destination = this.#destinationOf(target);
      if ("problem" in destination) return refused(destination);
      const body = request.method === "POST" ? await readBody(request) : undefined;
      if (body === null) {
        const why = `Its body has more than ${MAX_RELAY_REQUEST_BYTES} bytes`;
        return refused(refusal(413, "RequestBodyTooLarge", why, "Nodes take no such body either: send less"));
      }
      const relayed = await this.#relay(request, destination, body, onEnd);
      // From here on its last byte ends it.
      onEnd = () => {};
      return relayed;
    } catch (error) {
      if (error instanceof RelayFailure) return problemResponse(502, error.problem);
      throw error;
    } finally {
      onEnd();
    }
  }

  #answerPage(request: Request, target: string): Response {
    const path = target.split("?", 1)[0]!.substring(1);
    const answer = request.method === "POST" ? null : this.#options.files.answer(path, request.headers);
    if (answer === null) {
      const why = `The page has no file /${path}`;
      return refused(refusal(404, "NotFound", why, "Open the page at /; if it is open, reload it"));
    }
    const { status, headers, body } = answer;
    const hasBody = request.method !== "HEAD" && status !== 304;
    const lines = headers.map(([name, value]): [string, string] => [name, value]);
    return new Response(hasBody ? new Uint8Array(body) : null, { status, headers: lines });
  }

  /** A connection is used for it, or made: nothing is said of one that was not. */
  async #answerPeer(): Promise<Response> {
    const { nodeUrl, servicePem } = this.#options;
    try {
      const answer = await this.#client.ask(this.#own, { method: "GET", target: "/node/commit", headers: [] });
      await answer.body?.cancel();
      return Response.json({
        node_url: nodeUrl.origin,
        pinned: servicePem !== undefined,
        ...described(answer.peer),
        service_certificate: servicePem ?? null,
        named_service_certificate: servicePem === undefined ? await this.#client.namedService() : null,
      }, { headers: { "cache-control": "no-store", ...PASSIVE_HEADERS } });
    } catch (error) {
      if (!(error instanceof RelayFailure)) throw error;
      const isForeign = error.problem.code === "CertificateNotOfService";
      // What answers there says of itself: a recovered service is told from a stranger by it, once the page has checked it.
      const named = isForeign ? await this.#client.nameOfStranger() : undefined;
      return problemResponse(502, error.problem, named === undefined ? {} : { named_service_certificate: named });
    }
  }

  #destinationOf(target: string): Destination | Refusal {
    const own = /^\/relay\/node(\/.*)$/s.exec(target);
    if (own !== null) return { address: this.#own, target: own[1]! };
    const [, written, path] = /^\/relay\/to\/([^/]*)(\/.*)$/s.exec(target) ?? [];
    if (written === undefined || path === undefined) {
      return refusal(404, "NotFound", `There is no ${target.split("?", 1)[0]}`, OWN_PATHS);
    }
    let address: Address;
    try {
      // Browsers write brackets of IPv6 as they are, and some programs escape them.
      address = parseAddress(written.replace(/%5B/i, "[").replace(/%5D/i, "]"));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return refusal(400, "AddressInvalid", error.message, "Name a node by its published address");
    }
    if (!this.#client.isPinned && !isSame(address, this.#own)) {
      const why = "Without a service certificate to pin it speaks to one node alone, and this is another";
      return refusal(403, "RelayNotPinned", why, "Start it with --service-cert, or with the URL of that node");
    }
    return { address, target: path };
  }

  async #relay(
    request: Request,
    { address, target }: Destination,
    body: Uint8Array | undefined,
    onEnd: () => void,
  ): Promise<Response> {
    const { status, headers, body: answered, peer } = await this.#client.ask(address, {
      method: request.method as RelayedRequest["method"],
      target,
      headers: REQUEST_HEADERS.flatMap((name): [string, string][] => {
        const value = request.headers.get(name);
        return value === null ? [] : [[name, value]];
      }),
      ...(body !== undefined && { body }),
    }, onEnd);
    const passed = [...headers].filter(([name]) =>
      ANSWER_HEADERS.includes(name) || (name.startsWith("x-quorate-") && !name.startsWith(RELAY_HEADERS))
    );
    const location = headers.get("location");
    if (location !== undefined) passed.push(["location", this.#throughRelay(location, address)]);
    return new Response(answered, {
      status,
      headers: [
        ...passed,
        [RELAY_PEER_HEADER, peer.nodeId],
        ["cache-control", "no-store"],
        ...Object.entries(PASSIVE_HEADERS),
      ],
    });
  }

  /** Where a redirection of the node at `from` leads, as the page can go there. */
  #throughRelay(location: string, from: Address): string {
    const url = URL.parse(location, `https://${formatAddress(from)}`);
    // Not a place of a node: for a person to read.
    if (url === null || url.protocol !== "https:") return location;
    const to: Address = { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 443 : Number(url.port) };
    const way = isSame(to, this.#own) ? "/relay/node" : `/relay/to/${formatAddress(to)}`;
    return `${way}${url.pathname}${url.search}`;
  }
}

function described({ certificate, nodeId, tls }: Peer) {
  return { certificate: serialiseCertificatePem(certificate), node_id: nodeId, tls };
}

function refused({ status, problem }: Refusal): Response {
  return problemResponse(status, problem);
}

/** A request or an answer broke off, or the mistake is ours. */
function failed(error: unknown): Response {
  const why = error instanceof Error ? error.message : String(error);
  console.error(`Cannot answer the page: ${why}`);
  const todo = "Try again; if it happens again, report it with this text";
  return problemResponse(500, { code: "RelayFault", stage: "relay", what: "The relay failed", why, todo });
}

function isSame(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

/** Path and query as sent: what a node is asked is not rewritten on the way. */
function targetOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start < 0 ? "/" : url.substring(start);
}

/** null where it is too long. */
async function readBody(request: Request): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of request.body ?? []) {
    bytes += piece.length;
    if (bytes > MAX_RELAY_REQUEST_BYTES) return null;
    pieces.push(piece);
  }
  return concat(...pieces);
}
