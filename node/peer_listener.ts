/**
 * What comes from other nodes: on connections that they open, as anybody may, and on those that this one has opened.
 *
 * In: an address. Out: messages, in the order of each connection. Who really sent one, the enclave finds out.
 * A stranger may hold a connection for a while and some memory, both within limits, and the log says why one was cut off.
 */

import { FormatError } from "../shared/assert.ts";
import { MAX_PEER_CONNECTIONS, MAX_PEER_UNFINISHED_BYTES } from "../shared/limits.ts";
import { FrameReader, type PeerFrame } from "./peer_frames.ts";
import type { PeerLog } from "./peer_log.ts";
import { StartFailure } from "./start_failure.ts";
import { formatAddress } from "./units.ts";

export interface PeerListenerOptions {
  readonly hostname: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  /** Where it returns a promise, nothing more is read from that connection before it is fulfilled. */
  readonly onFrame: (frame: PeerFrame) => void | Promise<void>;
  readonly log: PeerLog;
  /** A connection that completes no message in so long is closed. */
  readonly frameMs: number;
}

interface Incoming {
  readonly connection: Deno.TcpConn;
  /** Opened by this node, which may be silent for as long as the other likes. */
  readonly isOwn: boolean;
  /** What the last message said of its sender; "" before the first. */
  from: string;
  readonly reader: FrameReader;
  /** Of `#unfinishedBytes`. */
  heldBytes: number;
  lastFrameMs: number;
  /** A message of it is being taken. */
  isBusy: boolean;
  isClosed: boolean;
}

/** What is read from a connection at once. */
const READ_BYTES = 64 * 1024;
/** After an accept that failed, for want of file descriptors for example. */
const ACCEPT_PAUSE_MS = 100;

export class PeerListener {
  readonly #options: PeerListenerOptions;
  readonly #listener: Deno.TcpListener;
  readonly #incoming = new Set<Incoming>();
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #sweep: ReturnType<typeof setInterval>;
  #unfinishedBytes = 0;
  #isStopped = false;

  /** Listens. @throws StartFailure where the address cannot be had */
  constructor(options: PeerListenerOptions) {
    this.#options = options;
    const { hostname, port, frameMs } = options;
    try {
      this.#listener = Deno.listen({ hostname, port });
    } catch (error) {
      throw new StartFailure(
        `Cannot listen for other nodes on ${formatAddress({ host: hostname, port })}: ${(error as Error).message}`,
      );
    }
    this.#accepting = this.#accept();
    this.#sweep = setInterval(() => this.#cutOffSilent(), frameMs / 4);
  }

  /** The port in use. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** The connection on which a node, or whoever says to be it, has opened and sent a message last. */
  connectionFrom(nodeId: string): Deno.TcpConn | undefined {
    return [...this.#incoming].findLast(({ isOwn, from }) => !isOwn && from === nodeId)?.connection;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweep);
    this.#listener.close();
    for (const incoming of this.#incoming) this.#close(incoming);
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  async #accept(): Promise<void> {
    while (!this.#isStopped) {
      try {
        const connection = await this.#listener.accept();
        this.#makeRoom();
        const serving = this.serve(connection, false).finally(() => this.#serving.delete(serving));
        this.#serving.add(serving);
      } catch (error) {
        if (this.#isStopped) return;
        this.#options.log("fail", `Cannot accept a connection of a node: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS));
      }
    }
  }

  /** Takes what comes on a connection until it ends, and closes it. */
  async serve(connection: Deno.TcpConn, isOwn: boolean): Promise<void> {
    const incoming: Incoming = {
      connection,
      isOwn,
      from: "",
      reader: new FrameReader(),
      heldBytes: 0,
      lastFrameMs: performance.now(),
      isBusy: false,
      isClosed: false,
    };
    this.#incoming.add(incoming);
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        const count = await readOrNull(connection, buffer);
        if (count === null || incoming.isClosed) return;
        const frames: PeerFrame[] = [];
        try {
          this.#read(incoming, buffer.subarray(0, count), frames);
        } finally {
          // Also those before the bytes that are wrong: it must not matter what comes in one read.
          await this.#handOn(incoming, frames);
        }
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#cutOff(incoming, error.message);
    } finally {
      this.#close(incoming);
    }
  }

  #read(incoming: Incoming, bytes: Uint8Array, frames: PeerFrame[]): void {
    const { reader } = incoming;
    // Of a connection of our own the time counts from a message's beginning.
    if (incoming.isOwn && !reader.isWithinFrame) incoming.lastFrameMs = performance.now();
    reader.read(bytes, frames);
    this.#unfinishedBytes += reader.heldBytes - incoming.heldBytes;
    incoming.heldBytes = reader.heldBytes;
    if (this.#unfinishedBytes > MAX_PEER_UNFINISHED_BYTES) {
      throw new FormatError(`Cannot hold ${this.#unfinishedBytes} bytes of unfinished messages`);
    }
  }

  async #handOn(incoming: Incoming, frames: readonly PeerFrame[]): Promise<void> {
    if (frames.length === 0) return;
    incoming.isBusy = true;
    for (const frame of frames) {
      if (this.#isStopped) return;
      incoming.from = frame.from;
      const taken = this.#options.onFrame(frame);
      if (taken instanceof Promise) await taken;
    }
    incoming.isBusy = false;
    incoming.lastFrameMs = performance.now();
  }

  #cutOffSilent(): void {
    const since = performance.now() - this.#options.frameMs;
    for (const incoming of this.#incoming) {
      if (incoming.isBusy || incoming.lastFrameMs > since) continue;
      if (incoming.reader.isWithinFrame) {
        this.#cutOff(incoming, `its message is not finished after ${this.#options.frameMs} ms`);
      } else if (!incoming.isOwn) {
        this.#close(incoming);
      }
    }
  }

  /** For one more connection that somebody else has opened. */
  #makeRoom(): void {
    const others = [...this.#incoming].filter(({ isOwn }) => !isOwn);
    if (others.length < MAX_PEER_CONNECTIONS) return;
    const silent = others.reduce((most, other) => other.lastFrameMs < most.lastFrameMs ? other : most);
    this.#cutOff(silent, `there are ${MAX_PEER_CONNECTIONS} connections, and it has been silent longest`);
  }

  #cutOff(incoming: Incoming, reason: string): void {
    const { hostname, port } = incoming.connection.remoteAddr;
    this.#options.log("info", `A connection from ${hostname}:${port} is cut off: ${reason}`);
    this.#close(incoming);
  }

  #close(incoming: Incoming): void {
    if (incoming.isClosed) return;
    incoming.isClosed = true;
    this.#incoming.delete(incoming);
    this.#unfinishedBytes -= incoming.heldBytes;
    closeQuietly(incoming.connection);
  }
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** @returns null at the end of a connection, and where it is lost: seeing to that is up to the node that opened it */
async function readOrNull(connection: Deno.TcpConn, buffer: Uint8Array): Promise<number | null> {
  try {
    return await connection.read(buffer);
  } catch {
    return null;
  }
}
