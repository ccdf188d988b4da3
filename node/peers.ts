/**
 * The other nodes: messages to them and from them, over TCP.
 *
 * In: what the enclave has for another node, and where that one is reached. Out: what others send, with the ID that they
 * claim. Order is kept from node to node, delivery is not promised (nodes-and-attestation.md §1). Knows nothing of keys:
 * what matters is sealed already.
 */

import { assert } from "../shared/assert.ts";
import {
  MAX_PEER_ACCEPTS_AT_ONCE,
  MAX_PEER_CONNECT_MS,
  MAX_PEER_CONNECTIONS_OF_ADDRESS,
  MAX_PEER_FRAME_MS,
  MAX_PEER_SILENCE_MS,
  PEER_PROOF_MS,
} from "../shared/limits.ts";
import type { Seqno } from "../shared/tx_id.ts";
import type { NodeMessageType } from "../enclave/messages.ts";
import { PeerLink, type ReadEntries } from "./peer_link.ts";
import { PeerListener } from "./peer_listener.ts";
import { boundedLog, type PeerLog } from "./peer_log.ts";

export interface PeersOptions {
  readonly hostname: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  /**
   * A message has come; `from` is what the sender says. `payload` has a buffer of its own. Where it returns a promise,
   * nothing more is read from that connection, which has this number for ever, before it is fulfilled.
   */
  readonly onMessage: (
    from: string,
    messageType: NodeMessageType,
    payload: Uint8Array,
    connection: number,
  ) => void | Promise<void>;
  /** Called when a message with entries is about to leave. What it throws is logged, and the message is not sent. */
  readonly readEntries: ReadEntries;
  readonly log: PeerLog;
  /** For tests; the values are those of limits.ts otherwise. */
  readonly frameMs?: number;
  readonly connectMs?: number;
  readonly silenceMs?: number;
  readonly proofMs?: number;
  readonly connectionsOfAddress?: number;
  readonly acceptsAtOnce?: number;
}

export class Peers {
  /** Of this node: known once the enclave has made its key. */
  ownId = "";
  readonly #options: PeersOptions;
  readonly #log: PeerLog;
  readonly #listener: PeerListener;
  readonly #links = new Map<string, PeerLink>();
  readonly #closing = new Set<Promise<void>>();

  private constructor(options: PeersOptions) {
    const {
      hostname,
      port,
      onMessage,
      frameMs = MAX_PEER_FRAME_MS,
      proofMs = PEER_PROOF_MS,
      connectionsOfAddress = MAX_PEER_CONNECTIONS_OF_ADDRESS,
      acceptsAtOnce = MAX_PEER_ACCEPTS_AT_ONCE,
    } = options;
    this.#options = options;
    this.#log = boundedLog(options.log);
    this.#listener = new PeerListener({
      hostname,
      port,
      frameMs,
      proofMs,
      connectionsOfAddress,
      acceptsAtOnce,
      log: this.#log,
      onFrame: ({ from, messageType, payload }, connection) => {
        this.#links.get(from)?.heard();
        return onMessage(from, messageType, payload, connection);
      },
    });
  }

  /** Listens for other nodes. Rejects with a StartFailure where the address cannot be had. */
  static listen(options: PeersOptions): Promise<Peers> {
    return new Promise((resolve) => resolve(new Peers(options)));
  }

  /** The port in use. */
  get port(): number {
    return this.#listener.port;
  }

  /** The enclave has believed a message of a node on that connection: see PeerListener. */
  heardOn(connection: number, nodeId: string, isProved: boolean): void {
    this.#listener.heardOn(connection, nodeId, isProved);
  }

  /** Where a node is reached, "host:port"; null: it is forgotten, with all that waits for it. */
  setAddress(nodeId: string, address: string | null): void {
    const link = this.#links.get(nodeId);
    if (link !== undefined) {
      if (link.address === address) return;
      this.#links.delete(nodeId);
      const closing = link.close().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
    if (address !== null) this.#addLink(nodeId, address);
  }

  /**
   * Sends a message, as far as it can: see PeerLink for what is lost.
   *
   * @param entries are read when the message leaves and appended to it; if they cannot be read, nothing is sent
   */
  send(
    to: string,
    messageType: NodeMessageType,
    payload: Uint8Array,
    entries?: { readonly from: Seqno; readonly to: Seqno },
  ): void {
    assert(this.ownId !== "", "A node knows its ID before it sends");
    let link = this.#links.get(to);
    if (link === undefined || link.address === null) link = this.#answeringLink(to, link);
    if (link === undefined) this.#log("info", `A message to node ${to} is not sent: its address is not known`);
    else link.send({ from: this.ownId, messageType, payload, entries });
  }

  /** To a node whose address is not known, and which has connected to this one. */
  #answeringLink(nodeId: string, link: PeerLink | undefined): PeerLink | undefined {
    if (this.#listener.connectionFrom(nodeId) !== undefined) return link ?? this.#addLink(nodeId, null);
    this.setAddress(nodeId, null);
    return undefined;
  }

  #addLink(nodeId: string, address: string | null): PeerLink {
    const { readEntries, connectMs = MAX_PEER_CONNECT_MS, silenceMs = MAX_PEER_SILENCE_MS } = this.#options;
    const link = new PeerLink({
      nodeId,
      address,
      openedByNode: () => this.#listener.connectionFrom(nodeId),
      serve: (connection) => this.#listener.serve(connection, true),
      readEntries,
      log: this.#log,
      connectMs,
      silenceMs,
    });
    this.#links.set(nodeId, link);
    return link;
  }

  /** Closes every connection; nothing is sent or handed on afterwards. */
  async stop(): Promise<void> {
    for (const nodeId of [...this.#links.keys()]) this.setAddress(nodeId, null);
    await Promise.all([this.#listener.stop(), ...this.#closing]);
  }
}
