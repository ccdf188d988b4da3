/**
 * The relay: the page on this machine, and its way to one node over TLS that is pinned to the service.
 *
 * In: a node's URL, the certificate of its service, the built page. Out: a web server on 127.0.0.1.
 *
 *     GET /                        the page
 *     GET /relay/peer              which certificate the node shows, and whether the service's key signed it
 *     GET|HEAD|POST /relay/node/…  the same path of the node
 *
 * A browser cannot be told to trust a certificate that an enclave made, nor show a page the one that it was given; the relay
 * does both. It is no judge: what it passes on is proved by the page.
 *
 * Who may ask: only the page that it served. Requests of other sites fail at `Origin` and `Sec-Fetch-Site`; of names that
 * are made to lead here (DNS rebinding) at `Host`; of other programs and people of this machine at a token, which stands in
 * the fragment of the printed URL and so reaches no server and no log.
 */

import https from "node:https";
import type { IncomingMessage } from "node:http";
import { timingSafeEqual } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { toUtf8 } from "../shared/bytes.ts";
import { serialiseCertificatePem } from "../shared/crypto/x509.ts";
import { MAX_RELAY_BODY_BYTES, MAX_RELAY_REQUESTS, MAX_RELAY_WAIT_MS } from "../shared/limits.ts";
import type { ConsoleFiles } from "./console_files.ts";

export interface RelayOptions {
  readonly nodeUrl: URL;
  /** PEM: only a node of this service is spoken to. undefined: whoever answers, which the page then judges. */
  readonly servicePem: string | undefined;
  readonly files: ConsoleFiles;
  /** 0: the operating system chooses. */
  readonly port: number;
  /** Hex. */
  readonly token: string;
}

/** Why a request did not reach the node: told apart, as a page never could. */
export interface RelayProblem {
  readonly code: string;
  readonly stage: "dns" | "tcp" | "tls" | "http" | "relay";
  readonly what: string;
  readonly why: string;
  readonly todo: string;
}

interface Relayed {
  readonly status: number;
  readonly headers: [string, string][];
  readonly body: Uint8Array;
  readonly certificate: Uint8Array;
  readonly tls: { readonly protocol: string | null; readonly cipher: string };
}

const TOKEN_HEADER = "x-quorate-relay-token";
const REQUEST_HEADERS = ["accept", "content-type", "authorization", "range", "prefer", "x-ms-ccf-transaction-id"];
const ANSWER_HEADERS = [
  "content-type",
  "location",
  "retry-after",
  "content-range",
  "x-ms-ccf-transaction-id",
  "www-authenticate",
];
const METHODS = ["GET", "HEAD", "POST"];

export class ConsoleRelay {
  readonly #options: RelayOptions;
  readonly #agent: https.Agent;
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  #underWay = 0;
  /** Of the node, from the last connection to it. */
  #peer: { readonly certificate: Uint8Array; readonly tls: Relayed["tls"] } | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#agent = new https.Agent({ keepAlive: true, maxSockets: 4 });
  }

  /** Listens on 127.0.0.1 alone. @throws where the port is taken */
  start(): void {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: this.#options.port, onListen: () => {} },
      (request) => this.answer(request),
    );
  }

  get port(): number {
    return this.#server!.addr.port;
  }

  /** With the token in its fragment. */
  get url(): string {
    return `http://127.0.0.1:${this.port}/#/connect?relay=${this.#options.token}`;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#server?.shutdown();
  }

  async answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (!this.#isHostOurs(request)) {
      return refusal(403, "HostNotAllowed", "the request names another host than this one");
    }
    if (!METHODS.includes(request.method)) {
      return refusal(405, "MethodNotAllowed", `${request.method} is not passed on`);
    }
    if (!url.pathname.startsWith("/relay/")) {
      return this.#options.files.answer(url.pathname.slice(1), request) ??
        refusal(404, "NotFound", "there is no such file");
    }
    const why = this.#whyForbidden(request);
    if (why !== undefined) return refusal(403, ...why);
    if (this.#underWay >= MAX_RELAY_REQUESTS) {
      return refusal(503, "RelayBusy", `${MAX_RELAY_REQUESTS} requests are under way already`);
    }
    this.#underWay++;
    try {
      if (url.pathname === "/relay/peer") return await this.#answerPeer();
      if (url.pathname.startsWith("/relay/node/")) {
        return await this.#pass(request, url.pathname.slice("/relay/node".length) + url.search);
      }
      return refusal(404, "NotFound", "the relay has /relay/peer and /relay/node/…");
    } finally {
      this.#underWay--;
    }
  }

  #isHostOurs(request: Request): boolean {
    const host = request.headers.get("host") ?? "";
    return host === `127.0.0.1:${this.port}` || host === `localhost:${this.port}`;
  }

  #whyForbidden(request: Request): [code: string, why: string] | undefined {
    const origin = request.headers.get("origin");
    const own = [`http://127.0.0.1:${this.port}`, `http://localhost:${this.port}`];
    if (origin !== null && !own.includes(origin)) return ["OriginNotAllowed", "the request comes from another site"];
    const site = request.headers.get("sec-fetch-site");
    if (site !== null && site !== "same-origin" && site !== "none") {
      return ["OriginNotAllowed", "the request comes from another site"];
    }
    const given = toUtf8(request.headers.get(TOKEN_HEADER) ?? "");
    const wanted = toUtf8(this.#options.token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      return ["TokenMissing", "the request has not the token of the URL that the relay printed; open that URL"];
    }
    return undefined;
  }

  async #answerPeer(): Promise<Response> {
    const { nodeUrl, servicePem } = this.#options;
    const relayed = await this.#ask("GET", "/node/commit", [], undefined);
    if ("stage" in relayed) return problemResponse(relayed);
    return Response.json({
      node_url: nodeUrl.origin,
      pinned: servicePem !== undefined,
      certificate: serialiseCertificatePem(this.#peer!.certificate),
      service_certificate: servicePem ?? null,
      tls: this.#peer!.tls,
    });
  }

  async #pass(request: Request, target: string): Promise<Response> {
    const body = await bodyOf(request);
    if (body === null) return refusal(413, "RequestBodyTooLarge", `the body is above ${MAX_RELAY_BODY_BYTES} bytes`);
    const headers = REQUEST_HEADERS.flatMap((name): [string, string][] => {
      const value = request.headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    const relayed = await this.#ask(request.method, target, headers, request.method === "POST" ? body : undefined);
    if ("stage" in relayed) return problemResponse(relayed);
    const passed = relayed.headers.filter(([name]) => ANSWER_HEADERS.includes(name) || name.startsWith("x-quorate-"));
    const hasBody = request.method !== "HEAD" && relayed.status !== 204 && relayed.status !== 304;
    return new Response(hasBody ? relayed.body as BodyInit : null, {
      status: relayed.status,
      headers: [...passed, ["cache-control", "no-store"]],
    });
  }

  /** One request to the node; a second try where a connection that was kept had ended meanwhile. */
  async #ask(
    method: string,
    target: string,
    headers: readonly (readonly [string, string])[],
    body: Uint8Array | undefined,
  ): Promise<Relayed | RelayProblem> {
    try {
      const relayed = await this.#exchange(method, target, headers, body);
      this.#peer = relayed;
      return relayed;
    } catch (error) {
      if (method !== "POST" && (error as { code?: string }).code === "ECONNRESET") {
        try {
          return this.#peer = await this.#exchange(method, target, headers, body);
        } catch (second) {
          return this.#explain(second as Error & { code?: string });
        }
      }
      return this.#explain(error as Error & { code?: string });
    }
  }

  #exchange(
    method: string,
    target: string,
    headers: readonly (readonly [string, string])[],
    body: Uint8Array | undefined,
  ): Promise<Relayed> {
    const { nodeUrl, servicePem } = this.#options;
    return new Promise((resolve, reject) => {
      const request = https.request({
        host: nodeUrl.hostname.replace(/^\[|\]$/g, ""),
        port: nodeUrl.port === "" ? 443 : Number(nodeUrl.port),
        method,
        // Undecoded, as the page wrote it.
        path: target,
        headers: {
          ...Object.fromEntries(headers),
          ...(body !== undefined && { "content-length": String(body.length) }),
        },
        agent: this.#agent,
        ca: servicePem ?? [],
        rejectUnauthorized: servicePem !== undefined,
        // A node is reached under addresses that its certificate does not know; what counts is who signed its key.
        checkServerIdentity: () => undefined,
      });
      const fail = (error: Error) => {
        clearTimeout(timer);
        request.destroy();
        reject(error);
      };
      const timer = setTimeout(
        () => fail(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })),
        MAX_RELAY_WAIT_MS,
      );
      request.on("error", fail);
      request.on("response", (incoming: IncomingMessage) => {
        const socket = incoming.socket as TLSSocket;
        const { raw } = socket.getPeerCertificate();
        const tls = { protocol: socket.getProtocol(), cipher: socket.getCipher().name };
        readAll(incoming).then((content) => {
          clearTimeout(timer);
          const lines = Object.entries(incoming.headers).flatMap(([name, value]): [string, string][] =>
            value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]]
          );
          resolve({
            status: incoming.statusCode!,
            headers: lines,
            body: content,
            certificate: Uint8Array.from(raw),
            tls,
          });
        }, fail);
      });
      request.end(body);
    });
  }

  #explain(error: Error & { code?: string }): RelayProblem {
    const { origin, hostname, port } = this.#options.nodeUrl;
    const code = error.code ?? "";
    const what = `The relay cannot reach ${origin}`;
    if (code === "ENOTFOUND" || code.startsWith("EAI_") || /failed to lookup|dns error/i.test(error.message)) {
      return {
        code: "NameNotFound",
        stage: "dns",
        what,
        why: `No host has the name ${hostname}`,
        todo: `Check the name, e.g. with \`getent hosts ${hostname}\``,
      };
    }
    if (code === "ECONNREFUSED") {
      return {
        code: "ConnectionRefused",
        stage: "tcp",
        what,
        why: `Nothing listens on port ${port || 443} of ${hostname}`,
        todo: "Start the node, or check the port: a sandbox prints its own, and writes them to sandbox.json",
      };
    }
    if (code === "ETIMEDOUT" || code === "EHOSTUNREACH" || code === "ENETUNREACH") {
      return {
        code: "ConnectionTimeout",
        stage: "tcp",
        what,
        why: `No answer came within ${MAX_RELAY_WAIT_MS / 1000} seconds`,
        todo: "Check that the node runs and that nothing stands between, or ask another node",
      };
    }
    if (/CERT|VERIFY|ISSUER|SIGNATURE|UnknownIssuer|certificate/i.test(`${code} ${error.message}`)) {
      return {
        code: "CertificateNotOfService",
        stage: "tls",
        what: `${origin} is not a node of the service whose certificate was given`,
        why: "Its certificate was not issued by that service's key",
        todo:
          "Check --node and --service-cert. If both are right, another machine answers in the node's place: stop here",
      };
    }
    if (code.startsWith("HPE_") || /parse error|invalid (http|header)/i.test(error.message)) {
      return {
        code: "NoHttp",
        stage: "http",
        what,
        why: "What answers there does not speak HTTP",
        todo: "Check the port: it is that of an RPC interface, such as web_rpc_interface, and not node-to-node",
      };
    }
    if (
      code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "EPROTO" ||
      /tls|ssl|InvalidMessage|handshake/i.test(error.message)
    ) {
      return {
        code: "TlsFailed",
        stage: "tls",
        what,
        why: "What answers there does not speak TLS, or not with this program",
        todo: "Check the port: it is that of an RPC interface",
      };
    }
    return {
      code: "ConnectionLost",
      stage: "tcp",
      what,
      why: `The connection failed: ${error.message}`,
      todo: "Try again, or ask another node",
    };
  }
}

function problemResponse(problem: RelayProblem): Response {
  return Response.json({ ...problem, error: { code: problem.code, message: problem.why } }, { status: 502 });
}

function refusal(status: number, code: string, why: string): Response {
  return Response.json({
    error: { code, message: `The relay refuses: ${why}` },
    stage: "relay",
    what: "The relay refuses the request",
    why,
    todo: "Open the URL that `deno task run console` printed",
  }, { status });
}

/** null where it is too long. */
async function bodyOf(request: Request): Promise<Uint8Array | null> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_RELAY_BODY_BYTES) return null;
  const body = new Uint8Array(await request.arrayBuffer());
  return body.length > MAX_RELAY_BODY_BYTES ? null : body;
}

async function readAll(incoming: IncomingMessage): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of incoming as AsyncIterable<Uint8Array>) {
    size += part.length;
    if (size > MAX_RELAY_BODY_BYTES) throw new Error(`the answer is above ${MAX_RELAY_BODY_BYTES} bytes`);
    parts.push(part);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
