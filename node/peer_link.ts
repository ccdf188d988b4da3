/**
 * The way to one other node: a queue and a TCP connection that is made again when it is lost.
 *
 * In: messages, and the entries that are to travel with them. Out: frames, in order, with gaps where something was lost.
 * Each side speaks on the connection that it has opened. But a node that has just joined knows no addresses: they are in
 * the entries that it is sent, and until it has them it answers on the connection that the other node has opened, as
 * CCF's do (src/host/node_connections.h).
 *
 * What is lost, and why so: consensus repeats what it misses, and the receiver refuses what comes late (nodes-and-
 * attestation.md §1.3). So nothing is sent out of order; what does not fit into the queue is lost, as what waits already
 * is the part that follows on what was sent; and what waits for a node that cannot be reached is lost with the attempt,
 * since a forwarded request that arrives after its client has given up would be executed all the same.
 */

import { AssertionFailed } from "../shared/assert.ts";
import { concat } from "../shared/bytes.ts";
import {
  MAX_PEER_QUEUE_BYTES,
  MAX_PEER_QUEUE_MESSAGES,
  MAX_PEER_RETRY_MS,
  MAX_PEER_WRITE_BYTES,
  PEER_RETRY_MS,
} from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { NodeMessageType } from "../enclave/messages.ts";
import { MAX_PEER_PAYLOAD_BYTES, serialiseFrameHead } from "./peer_frames.ts";
import { closeQuietly } from "./peer_listener.ts";
import type { PeerLog } from "./peer_log.ts";
import { parseAddress } from "./units.ts";

/** Ledger entries back to back, or undefined where they are not here. */
export type ReadEntries = (from: Seqno, to: Seqno) => Promise<Uint8Array | undefined> | Uint8Array | undefined;

export interface PeerMessage {
  readonly from: string;
  readonly messageType: NodeMessageType;
  readonly payload: Uint8Array;
  readonly entries?: { readonly from: Seqno; readonly to: Seqno } | undefined;
}

export interface PeerLinkOptions {
  readonly nodeId: string;
  /** "host:port"; null where it is not known yet. */
  readonly address: string | null;
  /** The connection that the node has opened, for as long as its address is not known. */
  readonly openedByNode: () => Deno.TcpConn | undefined;
  /** Takes what comes back on a connection, until it ends. */
  readonly serve: (connection: Deno.TcpConn) => Promise<void>;
  readonly readEntries: ReadEntries;
  readonly log: PeerLog;
  readonly connectMs: number;
  readonly silenceMs: number;
}

export class PeerLink {
  readonly address: string | null;
  readonly #options: PeerLinkOptions;
  #queue: PeerMessage[] = [];
  #queuedBytes = 0;
  #connection: Deno.TcpConn | null = null;
  #connectedMs = 0;
  /** Attempts in a row that gave no connection that lasted. */
  #failures = 0;
  #retryAtMs = -Infinity;
  /** When the first message after the last sign of life left. */
  #unansweredSinceMs: number | null = null;
  #isFull = false;
  #isUnreachable = false;
  readonly #closing = new AbortController();
  /** Ends once nothing is left to send. */
  #sending: Promise<void> | null = null;
  readonly #watching = new Set<Promise<void>>();

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.address = options.address;
  }

  /** Queues a message. All that is queued in one turn of the event loop leaves in one write. */
  send(message: PeerMessage): void {
    if (this.#closing.signal.aborted) return;
    const { nodeId, log, silenceMs } = this.#options;
    const since = this.#unansweredSinceMs;
    if (this.#connection !== null && since !== null && performance.now() - since >= silenceMs) {
      log("info", `Node ${nodeId} has not answered for ${silenceMs} ms: it is connected to anew`);
      this.#disconnect(this.#connection);
    }
    const isFull = this.#queue.length >= MAX_PEER_QUEUE_MESSAGES ||
      this.#queuedBytes + message.payload.length > MAX_PEER_QUEUE_BYTES;
    if (isFull) {
      if (!this.#isFull) log("fail", `Messages to node ${nodeId} are dropped: it takes them too slowly`);
      this.#isFull = true;
      return;
    }
    this.#queue.push(message);
    this.#queuedBytes += message.payload.length;
    this.#sending ??= Promise.resolve().then(() => this.#sendAll());
  }

  /** The node has said something, on a connection of its own. */
  heard(): void {
    this.#unansweredSinceMs = null;
  }

  /** Drops what waits, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#dropQueue();
    if (this.#connection !== null) this.#disconnect(this.#connection);
    await this.#sending;
    await Promise.all(this.#watching);
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const connection = this.address === null
        ? this.#options.openedByNode() ?? null
        : this.#connection ?? await this.#connect(this.address);
      if (connection === null) {
        this.#dropQueue();
        break;
      }
      await this.#write(connection, await this.#takePieces());
    }
    this.#sending = null;
  }

  /** The next messages as bytes: as many as are written at once. */
  async #takePieces(): Promise<Uint8Array[]> {
    const { nodeId, log } = this.#options;
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    let taken = 0;
    while (taken < this.#queue.length && bytes < MAX_PEER_WRITE_BYTES) {
      const message = this.#queue[taken]!;
      taken += 1;
      const parts = [message.payload];
      if (message.entries !== undefined) {
        const entries = await this.#readEntries(message.entries);
        if (this.#closing.signal.aborted) return [];
        if (entries === undefined) continue;
        parts.push(entries);
      }
      const payloadBytes = parts.reduce((sum, { length }) => sum + length, 0);
      if (payloadBytes > MAX_PEER_PAYLOAD_BYTES) {
        log("fail", `A message of ${payloadBytes} bytes is not sent to node ${nodeId}: it would not be taken`);
        continue;
      }
      pieces.push(serialiseFrameHead(message.from, message.messageType, payloadBytes), ...parts);
      bytes += payloadBytes;
    }
    for (const { payload } of this.#queue.splice(0, taken)) this.#queuedBytes -= payload.length;
    this.#isFull = false;
    return joined(pieces);
  }

  /** @returns undefined where there is nothing to send, which the log then says */
  async #readEntries({ from, to }: { from: Seqno; to: Seqno }): Promise<Uint8Array | undefined> {
    const { nodeId, log, readEntries } = this.#options;
    let reason = "they are not here";
    try {
      // Mostly they are in memory, and nothing need be waited for.
      const reading = readEntries(from, to);
      const entries = reading instanceof Promise ? await reading : reading;
      if (entries !== undefined) return entries;
    } catch (error) {
      if (error instanceof AssertionFailed) throw error;
      reason = (error as Error).message;
    }
    log("info", `Entries ${from} to ${to} are not sent to node ${nodeId}: ${reason}`);
    return undefined;
  }

  /** Waits for its time, then tries once. @returns null where the node cannot be reached */
  async #connect(address: string): Promise<Deno.TcpConn | null> {
    const { nodeId, log, connectMs } = this.#options;
    const closing = this.#closing.signal;
    await pause(this.#retryAtMs - performance.now(), closing);
    if (closing.aborted) return null;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(new Error("it does not answer")), connectMs);
    try {
      const { host, port } = parseAddress(address);
      const signal = AbortSignal.any([closing, timeout.signal]);
      const connection = await Deno.connect({ hostname: host, port, signal });
      if (closing.aborted) {
        connection.close();
        return null;
      }
      connection.setNoDelay(true);
      this.#connection = connection;
      this.#connectedMs = performance.now();
      this.#unansweredSinceMs = null;
      this.#isUnreachable = false;
      log("debug", `Connected to node ${nodeId} at ${address}`);
      const watching = this.#watch(connection).finally(() => this.#watching.delete(watching));
      this.#watching.add(watching);
      return connection;
    } catch (error) {
      if (closing.aborted) return null;
      this.#scheduleRetry();
      if (!this.#isUnreachable) {
        log("info", `Cannot reach node ${nodeId} at ${address}: ${(error as Error).message}`);
      }
      this.#isUnreachable = true;
      return null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Where the connection is lost, what was to be written is lost with it. */
  async #write(connection: Deno.TcpConn, pieces: readonly Uint8Array[]): Promise<void> {
    try {
      // Before it is written: the answer may be here before the write has ended.
      if (pieces.length > 0) this.#unansweredSinceMs ??= performance.now();
      for (const piece of pieces) {
        for (let at = 0; at < piece.length;) at += await connection.write(piece.subarray(at));
      }
    } catch {
      this.#disconnect(connection);
    }
  }

  /** Sees the end of a connection. */
  async #watch(connection: Deno.TcpConn): Promise<void> {
    await this.#options.serve(connection);
    this.#disconnect(connection);
  }

  #disconnect(connection: Deno.TcpConn): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#unansweredSinceMs = null;
    closeQuietly(connection);
    // A node that accepts and closes at once is as good as none.
    if (performance.now() - this.#connectedMs >= MAX_PEER_RETRY_MS) this.#failures = 0;
    else this.#scheduleRetry();
  }

  /** The first attempt is made at once, others after a pause. */
  #scheduleRetry(): void {
    this.#retryAtMs = performance.now() + Math.min(PEER_RETRY_MS * 2 ** this.#failures, MAX_PEER_RETRY_MS);
    this.#failures += 1;
  }

  #dropQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#isFull = false;
  }
}

/** Pieces longer than this are written by themselves rather than copied. */
const JOINED_PIECE_BYTES = 128 * 1024;

function joined(pieces: readonly Uint8Array[]): Uint8Array[] {
  const writes: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  const flush = (): void => {
    if (small.length > 0) writes.push(concat(...small));
    small = [];
  };
  for (const piece of pieces) {
    if (piece.length < JOINED_PIECE_BYTES) {
      small.push(piece);
    } else {
      flush();
      writes.push(piece);
    }
  }
  flush();
  return writes;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
