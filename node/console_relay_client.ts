/**
 * The relay's way to nodes: requests over TLS that is held to one service.
 *
 * In: a node's address, the certificate of its service or none; requests. Out: answers as they come in, with the certificate
 * whose key ended the very connection; or a `RelayFailure`. Follows no redirection, judges nothing.
 *
 * The runtime verifies that a server has the key of its certificate only where it verifies the certificate too. So where no
 * service certificate is given, the node is first asked for its own on a connection of which nothing is believed, and is
 * held to that one from then on: who that is, the page must find out. Names in certificates are not compared: a node is
 * reached under addresses that its certificate does not know.
 */

import * as https from "node:https";
import type { ClientRequest, IncomingMessage } from "node:http";
import * as tls from "node:tls";
import { FormatError } from "../shared/assert.ts";
import { concat, fromUtf8 } from "../shared/bytes.ts";
import { nodeIdOf } from "../shared/crypto/identifiers.ts";
import { noblePrimitives } from "../shared/crypto/primitives.ts";
import { isSignedBy, isValidAt, parseCertificate, parseCertificateBundle, publicKeyOf } from "../shared/crypto/x509.ts";
import { parseJsonText } from "../shared/json.ts";
import { object, text } from "../shared/json_shape.ts";
import {
  MAX_OUTBOUND_ANSWER_BYTES,
  MAX_RELAY_ANSWER_BYTES,
  MAX_RELAY_ANSWER_MS,
  MAX_RELAY_CONNECT_MS,
  MAX_RELAY_CONNECTIONS,
  MAX_RELAY_CONNECTIONS_EACH,
} from "../shared/limits.ts";
import { explainDates, explainError, explainSilence, type Phase, RelayFailure } from "./console_relay_problem.ts";
import { type Address, formatAddress } from "./units.ts";

export interface RelayedRequest {
  readonly method: "GET" | "HEAD" | "POST";
  /** Path and query as sent. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
}

/** Who ended the connection. */
export interface Peer {
  /** DER. */
  readonly certificate: Uint8Array;
  /** Hex SHA-256 of its public key, which is what nodes are called by (http-api.md §6). */
  readonly nodeId: string;
  readonly tls: { readonly protocol: string | null; readonly cipher: string };
}

export interface RelayedAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** null where an answer has none. It must be read or cancelled. */
  readonly body: ReadableStream<Uint8Array> | null;
  readonly peer: Peer;
}

/** How long to wait, in milliseconds. */
export interface Patience {
  /** For a look-up with a connection, and for a handshake. */
  readonly connectMs: number;
  /** For the beginning of an answer, and for each piece of it. */
  readonly answerMs: number;
}

const PATIENCE: Patience = { connectMs: MAX_RELAY_CONNECT_MS, answerMs: MAX_RELAY_ANSWER_MS };

const NETWORK = object({ service_certificate: text });

export class RelayClient implements Disposable {
  readonly #own: Address;
  readonly #pinnedPem: string | undefined;
  readonly #patience: Patience;
  readonly #agent: https.Agent;
  /** What the node named when it was first asked. */
  #namedPem: Promise<string> | undefined;

  /** @param servicePem what the certificates of nodes must be issued by */
  constructor(own: Address, servicePem: string | undefined, patience: Patience = PATIENCE) {
    this.#own = own;
    this.#pinnedPem = servicePem;
    this.#patience = patience;
    this.#agent = new https.Agent({
      keepAlive: true,
      maxSockets: MAX_RELAY_CONNECTIONS_EACH,
      maxTotalSockets: MAX_RELAY_CONNECTIONS,
    });
  }

  get isPinned(): boolean {
    return this.#pinnedPem !== undefined;
  }

  /**
   * Asks a node; another than the own one must be of the same service.
   *
   * @param onEnd told once, when nothing of the answer is to come any more
   * @throws RelayFailure, and `onEnd` is not told then
   */
  async ask(address: Address, request: RelayedRequest, onEnd: () => void = () => {}): Promise<RelayedAnswer> {
    const servicePem = this.#pinnedPem ?? await this.namedService();
    try {
      return await this.#askHeld(address, request, servicePem, onEnd);
    } catch (error) {
      const isForeign = error instanceof RelayFailure && error.problem.code === "CertificateNotOfService";
      // The runtime has one word for every certificate that it does not take.
      if (!isForeign || !await this.#isOutdated(address, servicePem)) throw error;
      throw new RelayFailure(explainDates(formatAddress(address)));
    }
  }

  async #askHeld(address: Address, request: RelayedRequest, servicePem: string, onEnd: () => void) {
    const held = { ca: servicePem, rejectUnauthorized: true };
    // What may change something is not sent twice: a connection that was kept may end under it.
    if (request.method === "POST") return await this.#exchange(address, request, { ...held, agent: false }, onEnd);
    try {
      return await this.#exchange(address, request, { ...held, agent: this.#agent }, onEnd);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return await this.#exchange(address, request, { ...held, agent: false }, onEnd);
    }
  }

  /** PEM of the service that the node says it is of: its word, over a connection with anybody. @throws RelayFailure */
  namedService(): Promise<string> {
    const named = this.#namedPem ??= this.#askForService();
    // The next request asks again.
    named.catch(() => this.#namedPem = undefined);
    return named;
  }

  /** The same of who answers at the node's address now, and is not what the relay is held to; undefined: nobody says. */
  async nameOfStranger(): Promise<string | undefined> {
    try {
      return await this.#askForService();
    } catch (error) {
      if (error instanceof RelayFailure) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  /** Whether the service has issued the certificate that is shown there, for another time. For a message: nothing is sent. */
  async #isOutdated({ host, port }: Address, servicePem: string): Promise<boolean> {
    const shown = await new Promise<Uint8Array | undefined>((resolve) => {
      const socket = tls.connect({ host, port, ca: [], rejectUnauthorized: false }, () => {
        resolve(Uint8Array.from(socket.getPeerCertificate().raw));
        socket.destroy();
      });
      socket.on("error", () => resolve(undefined));
      socket.setTimeout(this.#patience.connectMs, () => {
        resolve(undefined);
        socket.destroy();
      });
    });
    if (shown === undefined) return false;
    try {
      const certificate = parseCertificate(shown);
      return parseCertificateBundle(servicePem).some((issuer) =>
        isSignedBy(noblePrimitives, certificate, publicKeyOf(issuer)) &&
        !(isValidAt(certificate, Date.now()) && isValidAt(issuer, Date.now()))
      );
    } catch (error) {
      if (error instanceof FormatError) return false;
      throw error;
    }
  }

  async #askForService(): Promise<string> {
    const request = { method: "GET", target: "/node/network", headers: [] } as const;
    // No authority at all; where it is left out the runtime reads the system's.
    const unheld = { ca: [], rejectUnauthorized: false, agent: false as const };
    const answer = await this.#exchange(this.#own, request, unheld, () => {}, MAX_OUTBOUND_ANSWER_BYTES);
    try {
      const pieces = await Array.fromAsync(answer.body ?? []);
      if (answer.status !== 200) throw new FormatError(`it answers /node/network with HTTP status ${answer.status}`);
      const pem = NETWORK(parseJsonText(fromUtf8(concat(...pieces))), "").service_certificate;
      if (parseCertificateBundle(pem).length === 0) throw new FormatError("the service certificate it names is none");
      return pem;
    } catch (error) {
      throw new RelayFailure({
        code: "NotANode",
        stage: "http",
        what: `${formatAddress(this.#own)} does not answer as a node does`,
        why: error instanceof Error ? error.message : String(error),
        todo: "Check the address: it is that of a node's RPC interface",
      });
    }
  }

  #exchange(
    address: Address,
    request: RelayedRequest,
    how: Pick<https.RequestOptions, "ca" | "rejectUnauthorized" | "agent">,
    onEnd: () => void,
    maxBytes = MAX_RELAY_ANSWER_BYTES,
  ): Promise<RelayedAnswer> {
    const name = formatAddress(address);
    return new Promise((resolve, reject) => {
      const { method, target, headers, body } = request;
      const asked = https.request({
        ...how,
        host: address.host,
        port: address.port,
        method,
        path: target,
        headers: { host: name, ...Object.fromEntries(headers), ...(body && { "content-length": `${body.length}` }) },
        checkServerIdentity: () => undefined,
      });
      const waiting = new Waiting(asked, this.#patience, (problem) => fail(new RelayFailure(problem(name))));
      const fail = (error: Error) => {
        waiting.end();
        reject(error);
        asked.destroy();
      };
      asked.on("error", (error: Error & { code?: string }) => {
        if (waiting.isOnKeptConnection && error.code === "ECONNRESET") fail(new StaleConnection());
        else fail(new RelayFailure(explainError(error, waiting.phase, name, this.isPinned)));
      });
      asked.on("response", (incoming) => {
        const { statusCode: status = 0 } = incoming;
        const hasBody = method !== "HEAD" && status !== 204 && status !== 304;
        const headers = headersOf(incoming);
        let peer: Peer;
        try {
          if (hasBody && Number(headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(name, maxBytes);
          peer = peerOf(incoming.socket as tls.TLSSocket, name);
        } catch (error) {
          return fail(error as Error);
        }
        waiting.end();
        if (!hasBody) {
          incoming.resume();
          onEnd();
        }
        const body = hasBody ? streamOf(incoming, maxBytes, this.#patience.answerMs, onEnd) : null;
        resolve({ status, headers, body, peer });
      });
      asked.end(body);
    });
  }
}

/** A connection that was kept had ended. */
class StaleConnection extends Error {}

/** Knows how far a request has come, and ends it where that takes too long. */
class Waiting {
  phase: Phase = "looking up";
  isOnKeptConnection = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    request: ClientRequest,
    readonly patience: Patience,
    readonly onSilence: (problem: (address: string) => ReturnType<typeof explainSilence>) => void,
  ) {
    // Until a connection is free for it.
    this.#enter("looking up", patience.answerMs);
    request.once("socket", (socket) => {
      // `reusedSocket` is not set where the request has waited for another to end.
      this.isOnKeptConnection = !socket.connecting;
      if (this.isOnKeptConnection) return this.#enter("asking", patience.answerMs);
      this.#enter("looking up", patience.connectMs);
      socket.once("lookup", () => this.phase = "connecting");
      socket.once("connect", () => this.#enter("handshake", patience.connectMs));
      (socket as tls.TLSSocket).once("secureConnect", () => this.#enter("asking", patience.answerMs));
    });
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #enter(phase: Phase, waitMs: number): void {
    this.phase = phase;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.onSilence((address) => explainSilence(this.phase, address, waitMs)), waitMs);
  }
}

/** @throws RelayFailure */
function peerOf(socket: tls.TLSSocket, address: string): Peer {
  const certificate = Uint8Array.from(socket.getPeerCertificate().raw);
  try {
    return {
      certificate,
      nodeId: nodeIdOf(parseCertificate(certificate).spki),
      tls: { protocol: socket.getProtocol(), cipher: socket.getCipher().name },
    };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new RelayFailure({
      code: "TlsFailed",
      stage: "tls",
      what: `The relay cannot read the certificate of ${address}`,
      why: error.message,
      todo: "Check the address: it is that of a node's RPC interface",
    });
  }
}

function headersOf(incoming: IncomingMessage): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return headers;
}

/** The body as it is wanted. It fails where a piece keeps the reader waiting, or where it is too long. */
function streamOf(
  incoming: IncomingMessage,
  maxBytes: number,
  idleMs: number,
  onEnd: () => void,
): ReadableStream<Uint8Array> {
  const pieces = (incoming as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  let bytes = 0;
  let hasEnded = false;
  const end = () => {
    if (hasEnded) return;
    hasEnded = true;
    incoming.destroy();
    onEnd();
  };
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const timer = setTimeout(
        () => incoming.destroy(new Error(`it does not go on for ${idleMs / 1000} s`)),
        idleMs,
      );
      try {
        const { done, value } = await pieces.next();
        bytes += value?.length ?? 0;
        if (bytes > maxBytes) throw new FormatError(`it has more than ${maxBytes} bytes`);
        if (done !== true) return controller.enqueue(new Uint8Array(value));
        end();
        controller.close();
      } catch (error) {
        end();
        controller.error(new Error(`The answer of a node broke off: ${(error as Error).message}`));
      } finally {
        clearTimeout(timer);
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
}

function tooLarge(address: string, maxBytes: number): RelayFailure {
  return new RelayFailure({
    code: "AnswerTooLarge",
    stage: "http",
    what: `${address} answers with more than the relay passes on`,
    why: `The answer has more than ${maxBytes} bytes`,
    todo: "Ask for less at once",
  });
}
