/**
 * The RPC interfaces of a node: one listener each, the certificates they show, their addresses and counters.
 *
 * In: the configured interfaces, certificates as the enclave gives them out. Out: requests to one batcher, URLs, metrics.
 * Knows nothing of what a request means. An interface whose certificate has not come yet has its port and answers nobody:
 * connections fail before the handshake, as they do with CCF while a node waits to be trusted (operations.md §5).
 */

import type { HttpResponse, InterfaceMetrics, RpcInterface, SessionMetrics } from "../enclave/messages.ts";
import { resolveRpcInterface } from "./config.ts";
import type { RequestBatcher } from "./listener.ts";
import type { RpcInterfaceConfig } from "./node_config.ts";
import { StartFailure } from "./start_failure.ts";
import { checkTls } from "./tls_check.ts";
import { type TlsIdentity, TlsListener } from "./tls_server.ts";
import { formatAddress } from "./units.ts";
import { WebListener } from "./web_server.ts";

export interface DoorsOptions {
  /** "name" → interface, in the order written. */
  readonly interfaces: ReadonlyMap<string, RpcInterfaceConfig>;
  readonly batcher: RequestBatcher;
  /** Of connections with client certificates; null: never. */
  readonly idleTimeoutMs: number | null;
  /** HTML for `GET /` where callers show no certificate. */
  readonly page: () => string;
  /** Documents of the host there; null: not one. Path undecoded. */
  readonly document: (path: string, headers: Headers) => HttpResponse | null;
  /** A connection failed at TLS or TCP. For the log. */
  readonly onConnectionError: (message: string) => void;
}

/** An interface with its listener. */
interface Door {
  readonly config: RpcInterfaceConfig;
  readonly listener: TlsListener | WebListener;
  /** Keeps the port of a listener that begins with its first certificate. */
  reserved: ReservedPort | undefined;
}

export class Doors {
  readonly #doors: Door[] = [];
  #peakSessions = 0;

  /** Takes every port. @throws StartFailure where one cannot be had; none is kept then */
  static async open(options: DoorsOptions): Promise<Doors> {
    const doors = new Doors();
    try {
      for (const config of options.interfaces.values()) doors.#doors.push(await openDoor(config, options));
      return doors;
    } catch (error) {
      await doors.stop();
      throw error;
    }
  }

  /** "name" → URL of every interface. */
  get urls(): ReadonlyMap<string, string> {
    return new Map(this.#doors.map(({ config, listener }) => [
      config.name,
      `https://${formatAddress({ host: config.publishedAddress.host, port: listener.port })}`,
    ]));
  }

  /** "name" → port in use. */
  get ports(): ReadonlyMap<string, number> {
    return new Map(this.#doors.map(({ config, listener }) => [config.name, listener.port]));
  }

  /** As the ledger keeps them, with the ports really bound. */
  describe(): Record<string, RpcInterface> {
    return Object.fromEntries(
      this.#doors.map(({ config, listener }) => [config.name, resolveRpcInterface(config, listener.port)]),
    );
  }

  /**
   * Interfaces of this authority show the certificate from now on; connections that are open go on.
   *
   * @throws StartFailure where this runtime cannot serve client certificates, or a port has been lost
   */
  async setIdentity(authority: "Service" | "Node", identity: TlsIdentity): Promise<void> {
    const doors = this.#doors.filter(({ config }) => config.authority === authority);
    if (doors.some(({ config }) => config.clientCertificates)) await requireWorkingTls(identity);
    for (const door of doors) {
      await door.reserved?.release();
      door.reserved = undefined;
      await door.listener.setIdentity(identity);
    }
  }

  /** What `GET /node/metrics` says of sessions. */
  metrics(): SessionMetrics {
    const interfaces: Record<string, InterfaceMetrics> = {};
    let active = 0;
    for (const { config, listener } of this.#doors) {
      interfaces[config.name] = listener.counters.snapshot();
      active += listener.counters.active;
    }
    this.#peakSessions = Math.max(this.#peakSessions, active);
    return { active, peak: this.#peakSessions, interfaces };
  }

  /** Accepts nothing more, and answers what is waiting. */
  async stop(): Promise<void> {
    await Promise.all(this.#doors.map(({ reserved }) => reserved?.release()));
    await Promise.all(this.#doors.map(({ listener }) => listener.stop()));
  }
}

async function openDoor(config: RpcInterfaceConfig, options: DoorsOptions): Promise<Door> {
  const { host: hostname, port } = config.bindAddress;
  const common = {
    interfaceName: config.name,
    hostname,
    limits: config.http,
    maxOpenSessionsSoft: config.maxOpenSessionsSoft,
    maxOpenSessionsHard: config.maxOpenSessionsHard,
    batcher: options.batcher,
  };
  if (config.clientCertificates || config.authority === "Unsecured") {
    const listener = await TlsListener.listen({
      ...common,
      port,
      identity: config.authority === "Unsecured" ? "unsecured" : null,
      idleTimeoutMs: options.idleTimeoutMs,
      onConnectionError: options.onConnectionError,
    });
    return { config, listener, reserved: undefined };
  }
  const reserved = new ReservedPort(hostname, port);
  const { page, document } = options;
  const listener = await WebListener.listen({ ...common, port: reserved.port, identity: null, page, document });
  return { config, listener, reserved };
}

/** A runtime that lost or invented client certificates would let in anybody, or nobody. */
async function requireWorkingTls(identity: TlsIdentity): Promise<void> {
  const check = await checkTls(identity);
  if (!check.ok) throw new StartFailure(`Cannot serve client certificates on this runtime: ${check.reason}`);
}

/** A port that is ours and serves nobody: a joining node may wait for its certificate for as long as members take. */
class ReservedPort {
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #end: Promise<void>;
  #released = false;

  /** @throws StartFailure */
  constructor(hostname: string, port: number) {
    try {
      this.#listener = Deno.listen({ hostname, port });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StartFailure(`Cannot listen on ${formatAddress({ host: hostname, port })}: ${why}`);
    }
    this.port = this.#listener.addr.port;
    this.#end = this.#turnAway();
  }

  /** Resolves when another listener can have the port: it is in use until the last accept has ended. */
  async release(): Promise<void> {
    if (!this.#released) this.#listener.close();
    this.#released = true;
    await this.#end;
  }

  async #turnAway(): Promise<void> {
    for (;;) {
      try {
        (await this.#listener.accept()).close();
      } catch {
        if (this.#released) return;
        // For want of file descriptors, for example; this must not keep the processor busy.
        await new Promise((done) => setTimeout(done, REFUSED_ACCEPT_PAUSE_MS));
      }
    }
  }
}

const REFUSED_ACCEPT_PAUSE_MS = 20;
