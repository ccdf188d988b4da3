/**
 * All channels of a node to other nodes: what they carry is authenticated, and secret where it must be.
 *
 * In: headers and plaintexts for a node; frames that claim to come from one; the time. Out: frames; opened messages.
 * Knows nothing of what consensus and forwarding mean. Whoever reaches the node's port may send anything under any ID: that
 * makes no lasting channel, changes none, and fills neither memory nor log. It takes a bounded part of the processor's
 * time, for signatures: how strangers may delay new channels by that, and why not established ones, check_budget.ts says.
 * Format: nodes-and-attestation.md §1
 *
 * What the protocol itself allows, here as in CCF: a node that the service has endorsed can get another to sign its key
 * share and so pose as that other. All endorsed nodes hold the service's key and could do it more simply.
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { Reader } from "../../shared/bytes.ts";
import { type NodeId, parseRaftMessage, raftHeaderBytes } from "../../shared/consensus/messages.ts";
import type { EcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import type { Primitives, Random } from "../../shared/crypto/primitives.ts";
import { type Certificate, parseCertificatePem } from "../../shared/crypto/x509.ts";
import { entryFlags, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE } from "../../shared/ledger/entry.ts";
import { MAX_CHANNELS, MAX_CLAIMED_CHANNELS, MAX_ENTRIES_PER_APPEND } from "../../shared/limits.ts";
import type { LogLevel, NodeMessageType } from "../messages.ts";
import { BoundedLog } from "./bounded_log.ts";
import {
  type AttachedEntries,
  Channel,
  type ChannelNode,
  type ChannelStatus,
  type EntryRange,
  KEY_EXCHANGE_RETRY_MS,
  type Refusal,
  withFlags,
} from "./channel.ts";
import { CheckBudget } from "./check_budget.ts";
import { forwardedHeaderBytes } from "./forwarded_header.ts";
import { type KeyExchangeMessage, parseKeyExchange } from "./key_exchange.ts";
import { readProtection } from "./message_key.ts";
import { endorsedNodeKey, isSignedBy } from "./peer_certificate.ts";

export interface ChannelOptions {
  readonly selfId: NodeId;
  readonly primitives: Primitives;
  readonly random: Random;
  /** The node's key with the certificate that the service issued for it; undefined: no key exchange can be made yet. */
  readonly identity: () => { readonly key: EcPrivateKey; readonly certificatePem: string } | undefined;
  /** The certificate that must have issued those of peers. */
  readonly servicePem: () => string;
  readonly send: (to: NodeId, messageType: NodeMessageType, payload: Uint8Array, entries?: EntryRange) => void;
  /** Where messages of a node come from that are not forged; `isProved`: nor an old one that somebody sends again. */
  readonly heardOn: (connection: number, from: NodeId, isProved: boolean) => void;
  /** Bounded, whatever others send. */
  readonly log: (level: LogLevel, message: string) => void;
  /** Messages on one pair of keys, both directions together (`node_to_node_message_limit`). */
  readonly messageLimit: number;
  /** After which a channel that is not used is closed: four election timeouts. */
  readonly idleMs: number;
}

/** A message that is the peer's beyond doubt. All but the plaintext are views of the payload. */
export type Received =
  /** `entries`: what lies behind the header. The ledger protects them, all but their flags, which the channel does. */
  | { readonly kind: "consensus"; readonly from: NodeId; readonly header: Uint8Array; readonly entries: Uint8Array }
  | { readonly kind: "forwarded"; readonly from: NodeId; readonly header: Uint8Array; readonly plaintext: Uint8Array };

const NODE_ID = /^[0-9a-f]{64}$/;
/** The first byte of a consensus message that entries may follow (consensus.md §6). */
const APPEND_ENTRIES = 0;
const NOTHING = new Uint8Array();

export class Channels {
  readonly #options: ChannelOptions;
  readonly #log: BoundedLog;
  readonly #node: ChannelNode;
  /** To nodes that this one speaks to, or that have shown an endorsed certificate. */
  readonly #known = new Map<NodeId, Channel>();
  /** To IDs that somebody has claimed, the oldest first. */
  readonly #claimed = new Map<NodeId, Channel>();
  readonly #checks = new CheckBudget();
  #service: { readonly pem: string; readonly certificate: Certificate } | undefined;

  constructor(options: ChannelOptions) {
    assert(NODE_ID.test(options.selfId), "A node's ID is 64 hexadecimal digits");
    this.#options = options;
    this.#log = new BoundedLog(options.log);
    this.#node = {
      ...options,
      service: () => this.#serviceCertificate(),
      log: (level, message, nowMs) => this.#log.add(level, message, nowMs),
    };
  }

  /**
   * Sends the header of a consensus message, authenticated; the host puts the entries behind it. Before there is a key the
   * latest one waits.
   */
  sendConsensus(to: NodeId, header: Uint8Array, nowMs: number, entries?: AttachedEntries): void {
    this.#channelTo(to, nowMs).sendConsensus(header, entries, nowMs);
  }

  /**
   * Sends a header authenticated and a plaintext encrypted.
   *
   * @returns false where the channel does not take it: there is no key yet, and as many wait for one as may
   */
  sendForwarded(to: NodeId, header: Uint8Array, plaintext: Uint8Array, nowMs: number): boolean {
    return this.#channelTo(to, nowMs).sendForwarded(header, plaintext, nowMs);
  }

  /**
   * Takes what another node's host sent.
   *
   * @param connection the host's number for that on which it came
   * @param from the ID that the frame claims
   * @returns undefined where nothing is left to do: a key exchange, or a message that was refused, which the log tells
   */
  receive(
    connection: number,
    from: string,
    messageType: NodeMessageType,
    payload: Uint8Array,
    nowMs: number,
  ): Received | undefined {
    if (!NODE_ID.test(from) || from === this.#options.selfId) {
      this.#log.add("fail", "Refused a message between nodes: its sender is no node ID, or this node's own", nowMs);
      return undefined;
    }
    try {
      switch (messageType) {
        case 0: {
          const refusal = this.#receiveKeyExchange(connection, from, parseKeyExchange(payload), nowMs);
          this.#refuse(from, messageType, refusal, nowMs);
          return undefined;
        }
        case 1:
          return this.#proved(connection, this.#receiveConsensus(from, payload, nowMs));
        case 2:
          return this.#proved(connection, this.#receiveForwarded(from, payload, nowMs));
        default:
          throw new FormatError(`there are no messages of type ${messageType}`);
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#refuse(from, messageType, { level: "fail", reason: error.message }, nowMs);
      return undefined;
    }
  }

  /** Closes channels that are not used. */
  tick(nowMs: number): void {
    for (const channels of [this.#known, this.#claimed]) {
      for (const [id, channel] of channels) if (nowMs - channel.usedMs >= this.#options.idleMs) channels.delete(id);
    }
    this.#log.tick(nowMs);
  }

  /** Forgets the keys shared with a node, and what waits for it. */
  close(id: NodeId): void {
    this.#known.delete(id);
    this.#claimed.delete(id);
    this.#checks.forget(id);
  }

  /** How far a channel is; undefined where there is none. */
  status(id: NodeId): ChannelStatus | undefined {
    return this.#find(id)?.status;
  }

  /** How many channels there are. */
  get size(): number {
    return this.#known.size + this.#claimed.size;
  }

  #receiveConsensus(from: NodeId, payload: Uint8Array, nowMs: number): Received | undefined {
    const header = payload.subarray(0, raftHeaderBytes(payload));
    const reader = new Reader(payload, header.length);
    const protection = readProtection(reader);
    const entries = reader.rest();
    if (entries.length > 0 && header[0] !== APPEND_ENTRIES) {
      throw new FormatError(`Cannot read a consensus message: ${entries.length} bytes too many`);
    }
    const forms = header[0] === APPEND_ENTRIES ? formsOf(header, entries) : [header];
    const opened = this.#claimedChannel(from, nowMs)?.open(forms, protection, NOTHING, nowMs) ?? TOO_MANY;
    if (!(opened instanceof Uint8Array)) return this.#refuse(from, 1, opened, nowMs);
    return { kind: "consensus", from, header, entries };
  }

  #receiveForwarded(from: NodeId, payload: Uint8Array, nowMs: number): Received | undefined {
    const header = payload.subarray(0, forwardedHeaderBytes(payload));
    const reader = new Reader(payload, header.length);
    const protection = readProtection(reader);
    const opened = this.#claimedChannel(from, nowMs)?.open([header], protection, reader.rest(), nowMs) ?? TOO_MANY;
    if (!(opened instanceof Uint8Array)) return this.#refuse(from, 2, opened, nowMs);
    return { kind: "forwarded", from, header, plaintext: opened };
  }

  #receiveKeyExchange(
    connection: number,
    from: NodeId,
    message: KeyExchangeMessage,
    nowMs: number,
  ): Refusal | undefined {
    const channel = this.#find(from);
    switch (message.kind) {
      case "init": {
        if (channel?.settles(message, nowMs) === true) return undefined;
        if (!this.#checks.mayCheck(connection, from, nowMs)) return TOO_MANY_CHECKS;
        const { primitives } = this.#options;
        const peerKey = endorsedNodeKey(primitives, message.certificate, from, this.#serviceCertificate());
        if (!isSignedBy(primitives, peerKey, message.signature, message.share)) {
          return { level: "fail", reason: "the init is not signed by its certificate's key" };
        }
        if (!this.#mayKnow(from)) return TOO_MANY;
        this.#options.heardOn(connection, from, false);
        return this.#channelTo(from, nowMs).answer(message, peerKey, nowMs);
      }
      case "response": {
        if (channel?.status !== "INITIATED") return NOT_AWAITED;
        if (!this.#mayKnow(from)) return TOO_MANY;
        if (!this.#checks.mayCheck(connection, from, nowMs)) return TOO_MANY_CHECKS;
        const refusal = channel.receiveResponse(message, nowMs);
        if (refusal !== undefined) return refusal;
        this.#channelTo(from, nowMs);
        this.#prove(connection, from);
        return undefined;
      }
      case "final": {
        if (channel?.status !== "WAITING_FOR_FINAL") return NOT_AWAITED;
        if (!this.#checks.mayCheck(connection, from, nowMs)) return TOO_MANY_CHECKS;
        const refusal = channel.receiveFinal(message, nowMs);
        if (refusal === undefined) this.#prove(connection, from);
        return refusal;
      }
    }
  }

  /** What was opened, as a response and a final, only the peer can have sent, and it does not count a second time. */
  #proved(connection: number, received: Received | undefined): Received | undefined {
    if (received !== undefined) this.#prove(connection, received.from);
    return received;
  }

  #prove(connection: number, from: NodeId): void {
    if (this.#checks.prove(connection, from)) this.#options.heardOn(connection, from, true);
  }

  #mayKnow(id: NodeId): boolean {
    return this.#known.has(id) || this.#known.size < MAX_CHANNELS;
  }

  #find(id: NodeId): Channel | undefined {
    return this.#known.get(id) ?? this.#claimed.get(id);
  }

  /** The channel to a node that is known from here on. */
  #channelTo(id: NodeId, nowMs: number): Channel {
    assert(NODE_ID.test(id) && id !== this.#options.selfId, "A channel leads to another node");
    const channel = this.#find(id) ?? new Channel(this.#node, id, nowMs);
    this.#claimed.delete(id);
    this.#known.set(id, channel);
    return channel;
  }

  /**
   * The channel to an ID that a frame claims. A node that has forgotten its keys is told so by an init, so a new ID gets a
   * channel; where there are too many, the oldest claim makes room, but not before it had time for an answer.
   */
  #claimedChannel(id: NodeId, nowMs: number): Channel | undefined {
    const found = this.#find(id);
    if (found !== undefined) return found;
    if (this.#claimed.size >= MAX_CLAIMED_CHANNELS) {
      const [oldest] = this.#claimed.values();
      if (nowMs - oldest!.usedMs < KEY_EXCHANGE_RETRY_MS) return undefined;
      this.#claimed.delete(oldest!.peerId);
    }
    const channel = new Channel(this.#node, id, nowMs);
    this.#claimed.set(id, channel);
    return channel;
  }

  #serviceCertificate(): Certificate {
    const pem = this.#options.servicePem();
    if (this.#service?.pem !== pem) this.#service = { pem, certificate: parseCertificatePem(pem) };
    return this.#service.certificate;
  }

  #refuse(from: NodeId, messageType: number, refusal: Refusal | undefined, nowMs: number): undefined {
    if (refusal === undefined) return;
    const what = ["a key exchange", "a consensus message", "a forwarded message"][messageType] ?? "a message";
    this.#log.add(refusal.level, `Refused ${what} that names node ${from} as its sender: ${refusal.reason}`, nowMs);
  }
}

/**
 * What the tag of an "append entries" may cover, by the flags of the entries that came: only the last may have any.
 *
 * A flag says where a ledger file ends. A backup that took one changed would notice at the next signature, with another
 * Merkle tree than everybody else and no way back, so it must not take it.
 *
 * @throws FormatError where another than the last has flags, and where the header is one that no correct node sends
 */
function formsOf(header: Uint8Array, entries: Uint8Array): readonly Uint8Array[] {
  const message = parseRaftMessage(header);
  assert(message.kind === "append entries", "Only they have entries");
  const count = message.last - message.previous;
  if (count > MAX_ENTRIES_PER_APPEND) {
    throw new FormatError(`Cannot take ${count} entries at once: at most ${MAX_ENTRIES_PER_APPEND}`);
  }
  if (count === 0 || message.flagsUnknown) return [header];
  const flags = entryFlags(entries, count);
  if (flags?.slice(0, count - 1).some((each) => each !== 0)) {
    throw new FormatError("Cannot take entries: one that is not the last of its message has flags");
  }
  if (flags?.length === count) return [withFlags(header, flags.at(-1)!)];
  // The last did not come, or the bytes are no entries; what the header says is true nevertheless.
  return [0, FORCE_CHUNK_AFTER, FORCE_CHUNK_BEFORE].map((lastFlags) => withFlags(header, lastFlags));
}

const TOO_MANY: Refusal = { level: "fail", reason: "there are as many channels as there may be" };
const TOO_MANY_CHECKS: Refusal = { level: "fail", reason: "too many signatures came to be checked" };
const NOT_AWAITED: Refusal = { level: "debug", reason: "no exchange with that node waits for it" };
