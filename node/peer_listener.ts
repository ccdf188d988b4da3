/**
 * What comes from other nodes: on connections that they open, as anybody may, and on those that this one has opened.
 *
 * In: an address; which connections the enclave believes to be a node's. Out: messages, in the order of each connection,
 * with its number. Who really sent one, the enclave finds out.
 * A stranger may hold a connection for a while and some memory, both within limits, and the log says why one was cut off.
 * Connections that are proved to be a node's never make room for others.
 * What remains: strangers with many addresses can hold all places but those. Then new connections are refused until one
 * of the strangers has been there for PEER_PROOF_MS; whoever asks first gets its place.
 */

import { FormatError } from "../shared/assert.ts";
import {
  MAX_PEER_ACCEPTS_PER_SECOND,
  MAX_PEER_ADDRESSES,
  MAX_PEER_CONNECTIONS,
  MAX_PEER_UNFINISHED_BYTES,
} from "../shared/limits.ts";
import { FrameReader, type PeerFrame } from "./peer_frames.ts";
import type { PeerLog } from "./peer_log.ts";
import { StartFailure } from "./start_failure.ts";
import { formatAddress } from "./units.ts";

export interface PeerListenerOptions {
  readonly hostname: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  /** Where it returns a promise, nothing more is read from that connection before it is fulfilled. */
  readonly onFrame: (frame: PeerFrame, connection: number) => void | Promise<void>;
  readonly log: PeerLog;
  /** A connection that completes no message in so long is closed. */
  readonly frameMs: number;
  /** So long it may take to prove that it is a node's, before it makes room. */
  readonly proofMs: number;
  /** From one address, unproved. */
  readonly connectionsOfAddress: number;
  readonly acceptsAtOnce: number;
}

interface Incoming {
  /** Never used for another. */
  readonly number: number;
  readonly connection: Deno.TcpConn;
  readonly remoteHost: string;
  readonly openedMs: number;
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
  /** In the order in which they were opened, by their numbers. */
  readonly #incoming = new Map<number, Incoming>();
  /** By the ID of a node: the connection on which the enclave last believed that it came. */
  readonly #heard = new Map<string, { readonly incoming: Incoming; readonly isProved: boolean }>();
  readonly #accepts: AcceptRate;
  #lastNumber = 0;
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  readonly #sweep: ReturnType<typeof setInterval>;
  #unfinishedBytes = 0;
  #isStopped = false;

  /** Listens. @throws StartFailure where the address cannot be had */
  constructor(options: PeerListenerOptions) {
    this.#options = options;
    this.#accepts = new AcceptRate(options.acceptsAtOnce);
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

  /**
   * The enclave has found a message of a node that came on a connection to be signed or authenticated. `isProved`: it was
   * not an old one that anybody may send again. One connection of a node counts: the last, but proved ones before others.
   */
  heardOn(connection: number, nodeId: string, isProved: boolean): void {
    const incoming = this.#incoming.get(connection);
    if (incoming === undefined || incoming.isOwn) return;
    if (!isProved && this.#heard.get(nodeId)?.isProved === true) return;
    this.#forget(incoming);
    this.#heard.set(nodeId, { incoming, isProved });
  }

  /**
   * The connection that a node has opened, on which it is answered while its address is not known.
   *
   * As long as nothing is proved, it may be that of somebody who sends an old message of the node's again, or who claims
   * its ID when nothing else has come: then an answer is lost to the node, which asks again two seconds later. It is
   * sealed, or says what everybody may know.
   */
  connectionFrom(nodeId: string): Deno.TcpConn | undefined {
    const claiming = () => [...this.#incoming.values()].findLast(({ isOwn, from }) => !isOwn && from === nodeId);
    return (this.#heard.get(nodeId)?.incoming ?? claiming())?.connection;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweep);
    this.#listener.close();
    for (const incoming of this.#incoming.values()) this.#close(incoming);
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  async #accept(): Promise<void> {
    while (!this.#isStopped) {
      try {
        const connection = await this.#listener.accept();
        const refusal = this.#refusal(connection.remoteAddr.hostname);
        if (refusal !== undefined) {
          this.#options.log("info", `A connection from ${connection.remoteAddr.hostname} is refused: ${refusal}`);
          closeQuietly(connection);
          continue;
        }
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
    this.#lastNumber += 1;
    const incoming: Incoming = {
      number: this.#lastNumber,
      connection,
      remoteHost: connection.remoteAddr.hostname,
      openedMs: performance.now(),
      isOwn,
      from: "",
      reader: new FrameReader(),
      heldBytes: 0,
      lastFrameMs: performance.now(),
      isBusy: false,
      isClosed: false,
    };
    this.#incoming.set(incoming.number, incoming);
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
      const taken = this.#options.onFrame(frame, incoming.number);
      if (taken instanceof Promise) await taken;
    }
    incoming.isBusy = false;
    incoming.lastFrameMs = performance.now();
  }

  #cutOffSilent(): void {
    const since = performance.now() - this.#options.frameMs;
    for (const incoming of this.#incoming.values()) {
      if (incoming.isBusy || incoming.lastFrameMs > since) continue;
      if (incoming.reader.isWithinFrame) {
        this.#cutOff(incoming, `its message is not finished after ${this.#options.frameMs} ms`);
      } else if (!incoming.isOwn) {
        this.#close(incoming);
      }
    }
  }

  /** Makes room for one more connection that somebody else has opened. @returns why it is not taken, if it is not */
  #refusal(remoteHost: string): string | undefined {
    if (!this.#accepts.take(remoteHost, performance.now())) return "there were too many from there a moment ago";
    const others = [...this.#incoming.values()].filter(({ isOwn }) => !isOwn);
    const heard = [...this.#heard.values()];
    const proved = new Set(heard.filter(({ isProved }) => isProved).map(({ incoming }) => incoming));
    const unproved = others.filter((incoming) => !proved.has(incoming));
    const ofAddress = unproved.filter((incoming) => incoming.remoteHost === remoteHost);
    const { connectionsOfAddress } = this.#options;
    if (ofAddress.length >= connectionsOfAddress) {
      return this.#makeRoom(ofAddress, `there are ${connectionsOfAddress} connections from there`);
    }
    if (others.length >= MAX_PEER_CONNECTIONS) {
      return this.#makeRoom(unproved, `there are ${MAX_PEER_CONNECTIONS} connections`);
    }
    return undefined;
  }

  /** Cuts off one of these that had time enough to prove itself: a stranger's, which may well send messages. */
  #makeRoom(unproved: readonly Incoming[], reason: string): string | undefined {
    const since = performance.now() - this.#options.proofMs;
    const late = unproved.filter(({ openedMs }) => openedMs <= since);
    const [first, ...rest] = late;
    if (first === undefined) return reason;
    const silent = rest.reduce((most, other) => other.lastFrameMs < most.lastFrameMs ? other : most, first);
    this.#cutOff(silent, `${reason}, and it has been silent longest of those not proved to be a node's`);
    return undefined;
  }

  /** A connection is one node's. */
  #forget(incoming: Incoming): void {
    for (const [nodeId, heard] of this.#heard) if (heard.incoming === incoming) this.#heard.delete(nodeId);
  }

  #cutOff(incoming: Incoming, reason: string): void {
    const { hostname, port } = incoming.connection.remoteAddr;
    this.#options.log("info", `A connection from ${hostname}:${port} is cut off: ${reason}`);
    this.#close(incoming);
  }

  #close(incoming: Incoming): void {
    if (incoming.isClosed) return;
    incoming.isClosed = true;
    this.#incoming.delete(incoming.number);
    this.#forget(incoming);
    this.#unfinishedBytes -= incoming.heldBytes;
    closeQuietly(incoming.connection);
  }
}

/** How fast each address may open connections. */
class AcceptRate {
  readonly #atOnce: number;
  /** What is left to each; the one that came last is the last. */
  readonly #left = new Map<string, { readonly left: number; readonly atMs: number }>();

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  take(host: string, nowMs: number): boolean {
    const before = this.#left.get(host) ?? { left: this.#atOnce, atMs: nowMs };
    const gained = (nowMs - before.atMs) * MAX_PEER_ACCEPTS_PER_SECOND / 1000;
    const left = Math.min(this.#atOnce, before.left + gained);
    if (!this.#left.delete(host) && this.#left.size >= MAX_PEER_ADDRESSES) {
      const [longestAgo] = this.#left.keys();
      this.#left.delete(longestAgo!);
    }
    const isTaken = left >= 1;
    this.#left.set(host, { left: isTaken ? left - 1 : left, atMs: nowMs });
    return isTaken;
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
