/**
 * The listener for callers with client certificates: `node:tls`, since Deno's own server cannot ask for one.
 *
 * In: an address, a certificate that may be renewed, limits. Out: sessions with the certificate that the client showed.
 * Knows nothing of HTTP but that `Http1Session` speaks it.
 * Behaviour: http-api.md §1.1, §1.4. What the runtime does not let us set is in README.md, "Where we differ from CCF".
 */

import * as net from "node:net";
import * as tls from "node:tls";
import { assert } from "../shared/assert.ts";
import { MAX_CLOSE_LINGER_MS } from "../shared/limits.ts";
import { isPossessionChecked } from "./client_certificate.ts";
import { joinResponses, serialiseResponse } from "./http1_response.ts";
import { type ByteStream, Http1Session } from "./http1_session.ts";
import {
  type HttpLimits,
  InterfaceCounters,
  nextSessionId,
  type RequestBatcher,
  sessionCapExhausted,
} from "./listener.ts";
import { StartFailure } from "./start_failure.ts";

/** What a TLS server shows. Both PEM; the certificate may be a chain, its own first. */
export interface TlsIdentity {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

export interface TlsListenerOptions {
  /** Of the RPC interface, as in the configuration. */
  readonly interfaceName: string;
  readonly hostname: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  /**
   * null: none yet, and connections are closed before the handshake until `setIdentity`. "unsecured": plain TCP, for an
   * interface whose authority is `Unsecured`.
   */
  readonly identity: TlsIdentity | null | "unsecured";
  readonly limits: HttpLimits;
  readonly maxOpenSessionsSoft: number;
  readonly maxOpenSessionsHard: number;
  /** A connection without a byte either way for so long is closed, shaken hands or not. null: never. */
  readonly idleTimeoutMs: number | null;
  /** Shared with the other listeners of the node. */
  readonly batcher: RequestBatcher;
  /** A connection failed at TLS or TCP. For the log. */
  readonly onConnectionError?: (message: string) => void;
}

export class TlsListener {
  readonly counters: InterfaceCounters;
  readonly #options: TlsListenerOptions;
  readonly #server: net.Server;
  readonly #connections = new Set<Connection>();
  readonly #sweep: ReturnType<typeof setInterval>;
  #credentials: tls.SecureContext | "unsecured" | null;
  #canStopReading = true;
  #stopped: Promise<void> | null = null;

  private constructor(options: TlsListenerOptions) {
    const { identity, maxOpenSessionsSoft, maxOpenSessionsHard, idleTimeoutMs } = options;
    this.#options = options;
    this.counters = new InterfaceCounters(maxOpenSessionsSoft, maxOpenSessionsHard);
    this.#credentials = typeof identity === "object" && identity !== null ? secureContext(identity) : identity;
    // A client that has asked may end its side and still be answered.
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#sweep = setInterval(
      () => this.#closeOverdue(performance.now()),
      Math.min(SWEEP_MS, (idleTimeoutMs ?? SWEEP_MS) / 4),
    );
  }

  /** Listens. Rejects where the address cannot be had. */
  static listen(options: TlsListenerOptions): Promise<TlsListener> {
    const listener = new TlsListener(options);
    const { hostname, port } = options;
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        clearInterval(listener.#sweep);
        reject(new StartFailure(`Cannot listen on ${hostname}:${port}: ${error.message}`));
      };
      listener.#server.once("error", failed);
      listener.#server.listen({ host: hostname, port }, () => {
        listener.#server.removeListener("error", failed);
        // For want of file descriptors, for example: it goes on listening.
        listener.#server.on("error", (error) => options.onConnectionError?.(`Cannot accept: ${error.message}`));
        resolve(listener);
      });
    });
  }

  /** The port in use. */
  get port(): number {
    const address = this.#server.address();
    assert(address !== null && typeof address === "object", "A listener that listens has an address");
    return address.port;
  }

  /** Whether every connection so far had a handle that reading can be stopped on, see `Connection.setReading`. */
  get canStopReading(): boolean {
    return this.#canStopReading;
  }

  /** New connections are shown this certificate; existing ones go on. */
  setIdentity(identity: TlsIdentity): void {
    assert(this.#credentials !== "unsecured", "An unsecured interface has no certificate");
    this.#credentials = secureContext(identity);
  }

  /** Accepts nothing more, answers what is waiting and closes every connection, at the latest after the linger time. */
  stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      const cut = setTimeout(() => {
        for (const connection of this.#connections) connection.destroy();
      }, MAX_CLOSE_LINGER_MS);
      this.#server.close(() => {
        clearTimeout(cut);
        clearInterval(this.#sweep);
        resolve();
      });
      for (const connection of this.#connections) connection.shutDown();
    });
    return this.#stopped;
  }

  #accept(socket: net.Socket): void {
    const { counters } = this;
    if (this.#credentials === null || this.#stopped !== null || counters.active >= counters.hardCap) {
      socket.destroy();
      return;
    }
    this.#canStopReading &&= handleOf(socket) !== null;
    const isOverSoftCap = counters.active >= counters.softCap;
    counters.opened();
    const connection = new Connection(socket, this.#credentials, isOverSoftCap, this.#options, counters, () => {
      counters.closed();
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
  }

  #closeOverdue(now: number): void {
    for (const connection of this.#connections) connection.closeIfOverdue(now);
  }
}

/** How often overdue connections are looked for, at least. */
const SWEEP_MS = 1000;

function secureContext(identity: TlsIdentity): tls.SecureContext {
  // No suites or groups: Deno takes such options and does nothing with them.
  return tls.createSecureContext({
    cert: identity.certificateChainPem,
    key: identity.privateKeyPem,
    minVersion: "TLSv1.2",
  });
}

/** One accepted connection, from before its handshake to its end. */
class Connection implements ByteStream {
  readonly #tcp: net.Socket;
  /** The same as `#tcp` on an unsecured interface. */
  readonly #socket: net.Socket;
  readonly #isOverSoftCap: boolean;
  readonly #options: TlsListenerOptions;
  readonly #counters: InterfaceCounters;
  /** null before the handshake, and above the soft cap. */
  #session: Http1Session | null = null;
  #lastActiveMs = performance.now();
  /** When our side ended; what remains is the client's. */
  #endedMs: number | null = null;

  constructor(
    tcp: net.Socket,
    credentials: tls.SecureContext | "unsecured",
    isOverSoftCap: boolean,
    options: TlsListenerOptions,
    counters: InterfaceCounters,
    onClosed: () => void,
  ) {
    this.#tcp = tcp;
    this.#isOverSoftCap = isOverSoftCap;
    this.#options = options;
    this.#counters = counters;
    tcp.on("error", (error) => options.onConnectionError?.(`Connection failed: ${error.message}`));
    if (credentials === "unsecured") {
      this.#socket = tcp;
    } else {
      const socket = new tls.TLSSocket(tcp, {
        isServer: true,
        secureContext: credentials,
        // Asked for, never required, never checked against a chain: endpoints decide who a caller is.
        requestCert: true,
        rejectUnauthorized: false,
        // No ALPN: given one, Deno refuses clients that offer other protocols only, and CCF serves them.
      });
      socket.on("error", (error) => {
        options.onConnectionError?.(`TLS connection failed: ${error.message}`);
        this.destroy();
      });
      socket.on("secure", () => this.#established(this.#callerCertificate(socket)));
      this.#socket = socket;
    }
    this.#socket.on("data", (bytes) => this.#received(bytes));
    this.#socket.on("drain", () => this.#session?.drained());
    this.#socket.on("end", () => {
      if (this.#session === null) this.destroy();
      else this.#session.inputEnded();
    });
    let isClosed = false;
    const closed = (): void => {
      if (isClosed) return;
      isClosed = true;
      this.destroy();
      this.#session?.closed();
      onClosed();
    };
    // Whichever of the two comes: a connection that fails early may have one only.
    tcp.once("close", closed);
    this.#socket.once("close", closed);
    if (credentials === "unsecured") this.#established(null);
  }

  write(bytes: Uint8Array): boolean {
    this.#lastActiveMs = performance.now();
    return this.#socket.write(bytes);
  }

  end(): void {
    this.#endedMs = performance.now();
    this.#socket.end();
  }

  setReading(reading: boolean): void {
    if (this.#socket === this.#tcp) {
      if (reading) this.#tcp.resume();
      else this.#tcp.pause();
      return;
    }
    // Deno 2.9 goes on reading a paused TLS socket, and a client that sends without end fills the memory (README.md). So
    // the TCP handle below is told, which is what pausing would do if it worked.
    const handle = handleOf(this.#tcp);
    if (reading) handle?.readStart();
    else handle?.readStop();
  }

  shutDown(): void {
    if (this.#session === null) this.destroy();
    else this.#session.inputEnded();
  }

  closeIfOverdue(nowMs: number): void {
    const { idleTimeoutMs } = this.#options;
    if (this.#endedMs !== null ? nowMs - this.#endedMs >= MAX_CLOSE_LINGER_MS : false) this.destroy();
    else if (idleTimeoutMs !== null && nowMs - this.#lastActiveMs >= idleTimeoutMs) this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#tcp.destroy();
  }

  #established(callerCertificate: Uint8Array | null): void {
    this.#lastActiveMs = performance.now();
    if (this.#isOverSoftCap) return;
    const { interfaceName, limits, batcher } = this.#options;
    const session = { id: nextSessionId(), interfaceName, callerCertificate };
    this.#session = new Http1Session(session, this, limits, batcher, this.#counters);
  }

  /** DER of the certificate that the client showed and has the key of, or null. */
  #callerCertificate(socket: tls.TLSSocket): Uint8Array | null {
    const { raw } = socket.getPeerCertificate(false);
    if (raw === undefined) return null;
    if (isPossessionChecked(raw)) return new Uint8Array(raw);
    this.#options.onConnectionError?.(
      "A client's certificate is ignored: the runtime does not check that the client has its key. Use one of X.509 version 3",
    );
    return null;
  }

  #received(bytes: Uint8Array): void {
    this.#lastActiveMs = performance.now();
    if (this.#session !== null) {
      this.#session.receive(bytes);
    } else if (this.#endedMs === null) {
      this.write(joinResponses([serialiseResponse(sessionCapExhausted(), "")]));
      this.end();
    }
  }
}

/** The part of Node's TCP handle that stops and starts reading. */
interface TcpHandle {
  readStart(): number;
  readStop(): number;
}

/** Not in Node's documentation, but what its own streams are made of. null where it is gone or is not what we know. */
function handleOf(socket: net.Socket): TcpHandle | null {
  const { _handle: handle } = socket as unknown as { readonly _handle?: Partial<TcpHandle> | null };
  return typeof handle?.readStart === "function" && typeof handle.readStop === "function" ? handle as TcpHandle : null;
}
