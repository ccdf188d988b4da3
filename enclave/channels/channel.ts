/**
 * One channel: the keys that this node shares with one other, and the key exchanges that make and renew them.
 *
 * In: messages to protect, messages of the peer, the time. Out: protected messages, opened ones, key exchanges.
 * Knows nothing of other channels, of consensus, or of how messages travel: any may be lost, doubled, late or forged.
 * Rules: nodes-and-attestation.md §1.2, §1.3
 *
 * Initiator: INACTIVE → INITIATED → ESTABLISHED. Responder: → WAITING_FOR_FINAL → ESTABLISHED. Nothing changes before a
 * signature is checked, and keys in use stay in use until better ones are proved.
 *
 * Same bytes as CCF, but firmer where CCF's channels can stay broken for good:
 * - An init proves nothing about when it was made, so anybody can send an old one again. A responder that has a proved key
 *   goes on sending with it until the final comes, and an initiator opens with its old key until the new one is used.
 *   (CCF's responder changes at once; between the two, messages of a round trip are lost, nothing else.)
 * - An exchange that does not end is begun again after two seconds, also by a responder whose final got lost, also while
 *   older keys still work, and also by a node that only hears its peer's inits. So is one that ended in keys under which
 *   nothing can be opened.
 */

import { assert } from "../../shared/assert.ts";
import { concat, equalBytes } from "../../shared/bytes.ts";
import type { NodeId } from "../../shared/consensus/messages.ts";
import {
  ecdsaSign,
  type EcPrivateKey,
  type EcPublicKey,
  generateEcPrivateKey,
  serialiseDerSignature,
} from "../../shared/crypto/ecdsa.ts";
import { MAX_WAITING_FORWARDED } from "../../shared/limits.ts";
import type { Primitives, Random } from "../../shared/crypto/primitives.ts";
import type { Certificate } from "../../shared/crypto/x509.ts";
import type { Seqno } from "../../shared/tx_id.ts";
import type { LogLevel, NodeMessageType } from "../messages.ts";
import {
  type ChannelKeys,
  deriveChannelKeys,
  EXCHANGE_CURVE,
  type KeyExchangeMessage,
  SALT_BYTES,
  serialiseKeyExchange,
  serialiseShare,
} from "./key_exchange.ts";
import { type Protection, ReceiveKey, SendKey } from "./message_key.ts";
import { certificateOnWire, endorsedNodeKey, isSignedBy } from "./peer_certificate.ts";

/** After which an exchange that has not ended is begun again (nodes-and-attestation.md §1.2, "Retry"). */
export const KEY_EXCHANGE_RETRY_MS = 2000;

export type ChannelStatus = "INACTIVE" | "INITIATED" | "WAITING_FOR_FINAL" | "ESTABLISHED";

/** Ledger entries that the host puts behind a message. */
export interface EntryRange {
  readonly from: Seqno;
  readonly to: Seqno;
}

/** The same, with what the host is not to be believed. */
export interface AttachedEntries extends EntryRange {
  /** Flags of the last of them; 0 or absent: it has none, or the header says `flagsUnknown`. Those before it have none. */
  readonly lastFlags?: number;
}

/** What all channels of a node share. */
export interface ChannelNode {
  readonly selfId: NodeId;
  readonly primitives: Primitives;
  readonly random: Random;
  /** The node's key with the certificate that the service issued for it; undefined: no exchange is begun or answered. */
  readonly identity: () => { readonly key: EcPrivateKey; readonly certificatePem: string } | undefined;
  readonly service: () => Certificate;
  readonly send: (to: NodeId, messageType: NodeMessageType, payload: Uint8Array, entries?: EntryRange) => void;
  readonly log: (level: LogLevel, message: string, nowMs: number) => void;
  /** Messages on one pair of keys, both directions together; half of it begins a renewal. */
  readonly messageLimit: number;
}

/** Why a message is not taken; "debug": it may well be honest, and late. */
export interface Refusal {
  readonly level: LogLevel;
  readonly reason: string;
}

type Init = KeyExchangeMessage & { readonly kind: "init" };
type Response = KeyExchangeMessage & { readonly kind: "response" };
type Final = KeyExchangeMessage & { readonly kind: "final" };

type Exchange =
  | { readonly status: "INACTIVE" | "ESTABLISHED" }
  | {
    readonly status: "INITIATED";
    readonly ephemeral: EcPrivateKey;
    readonly share: Uint8Array;
    readonly salt: Uint8Array;
  }
  | {
    readonly status: "WAITING_FOR_FINAL";
    readonly peerShare: Uint8Array;
    readonly salt: Uint8Array;
    readonly share: Uint8Array;
    readonly response: Uint8Array;
    readonly peerKey: EcPublicKey;
    readonly send: SendKey;
    readonly receive: ReceiveKey;
  };

const NOTHING = new Uint8Array();

export class Channel {
  readonly peerId: NodeId;
  readonly #node: ChannelNode;
  #exchange: Exchange = { status: "INACTIVE" };
  /** When this node began the exchange, or, having begun none, answered. */
  #exchangeMs = 0;
  #usedMs: number;

  #send: SendKey | undefined;
  /** The peer has shown that it has the key for what is sent. */
  #sendProved = false;
  #receive: ReceiveKey | undefined;
  /** The one before, until the peer uses the new one. */
  #oldReceive: ReceiveKey | undefined;

  #waitingConsensus: { readonly header: Uint8Array; readonly entries: AttachedEntries | undefined } | undefined;
  #waitingForwarded: { readonly header: Uint8Array; readonly plaintext: Uint8Array }[] = [];

  constructor(node: ChannelNode, peerId: NodeId, nowMs: number) {
    this.#node = node;
    this.peerId = peerId;
    this.#usedMs = nowMs;
  }

  get status(): ChannelStatus {
    return this.#exchange.status;
  }

  /** When this node last sent, or heard something that was the peer's beyond doubt; at first, when the channel was made. */
  get usedMs(): number {
    return this.#usedMs;
  }

  /** Sends a header authenticated. Without a key it waits, and replaces what waits already. */
  sendConsensus(header: Uint8Array, entries: AttachedEntries | undefined, nowMs: number): void {
    this.#usedMs = nowMs;
    this.#advance(nowMs);
    if (this.#send === undefined) {
      this.#waitingConsensus = { header: header.slice(), entries };
      return;
    }
    this.#sendSealed(1, header, NOTHING, nowMs, entries);
  }

  /** @returns false where there is no key, and as many messages wait for one as may */
  sendForwarded(header: Uint8Array, plaintext: Uint8Array, nowMs: number): boolean {
    this.#usedMs = nowMs;
    this.#advance(nowMs);
    if (this.#send === undefined) {
      if (this.#waitingForwarded.length >= MAX_WAITING_FORWARDED) return false;
      this.#waitingForwarded.push({ header: header.slice(), plaintext: plaintext.slice() });
      return true;
    }
    this.#sendSealed(2, header, plaintext, nowMs);
    return true;
  }

  /**
   * Opens a message of the peer.
   *
   * @param forms what the tag may cover: the header, or what `withFlags` makes of it
   * @param ciphertext empty where the header alone was protected
   * @returns the plaintext, or why the message is not taken; then nothing has changed, but that keys may be asked for
   */
  open(
    forms: readonly Uint8Array[],
    protection: Protection,
    ciphertext: Uint8Array,
    nowMs: number,
  ): Uint8Array | Refusal {
    this.#advance(nowMs);
    const keys = [this.#receive, this.#oldReceive].filter((key) => key !== undefined);
    if (keys.length === 0) return { level: "debug", reason: "there is no key for it yet" };
    for (const key of keys) {
      let plaintext: Uint8Array | undefined;
      for (const form of forms) plaintext ??= key.open(this.#node.primitives, form, protection, ciphertext);
      if (plaintext === undefined) continue;
      if (key === this.#receive) this.#oldReceive = undefined;
      this.#usedMs = nowMs;
      this.#checkLimit(nowMs);
      return plaintext;
    }
    // No signature covers the salt: an init of which somebody has changed it ends in keys that nobody shares.
    if (this.#receive?.last === 0) this.#retry(nowMs);
    // While keys are being changed, messages under keys that are gone, or not there yet, are nobody's fault.
    if (this.#exchange.status !== "ESTABLISHED") return { level: "debug", reason: "its key is not in use" };
    if (keys.every((key) => key.isPast(protection))) {
      return { level: "debug", reason: `message ${protection.counter} of its key came late or a second time` };
    }
    return { level: "fail", reason: "it was not protected with the key of this channel, or was changed" };
  }

  /**
   * Whether an init needs no look at its signature: one that was answered is answered the same way again, and while an own
   * one is under way the peer's counts only if the peer has priority.
   */
  settles(init: Init, nowMs: number): boolean {
    const exchange = this.#exchange;
    if (exchange.status === "INITIATED" && !this.#peerHasPriority) {
      // The own init may have been lost, and this node may have nothing else to send.
      this.#advance(nowMs);
      return true;
    }
    if (exchange.status !== "WAITING_FOR_FINAL") return false;
    if (!equalBytes(exchange.peerShare, init.share) || !equalBytes(exchange.salt, init.salt)) return false;
    this.#node.send(this.peerId, 0, exchange.response.slice());
    return true;
  }

  /** Of two nodes that begin at once, the one with the greater ID is answered (a comment in CCF has it the other way). */
  get #peerHasPriority(): boolean {
    return this.#node.selfId < this.peerId;
  }

  /**
   * Answers an init.
   *
   * @param peerKey the key of the init's certificate, which was checked, as was the signature
   */
  answer(init: Init, peerKey: EcPublicKey, nowMs: number): Refusal | undefined {
    assert(this.status !== "INITIATED" || this.#peerHasPriority, "An init without priority was settled before");
    const identity = this.#node.identity();
    if (identity === undefined) return NOT_ENDORSED;
    const ephemeral = this.#newEphemeral();
    const share = serialiseShare(ephemeral.publicKey);
    const keys = this.#derive(ephemeral, init.share, init.salt);
    const response = serialiseKeyExchange({
      kind: "response",
      share,
      signature: sign(identity.key, share, init.share),
      certificate: certificateOnWire(identity.certificatePem),
    });
    // Who sends inits over and over does not put off this node's own.
    if (this.status !== "WAITING_FOR_FINAL") this.#exchangeMs = nowMs;
    const send = new SendKey(keys.send);
    this.#exchange = {
      status: "WAITING_FOR_FINAL",
      peerShare: init.share.slice(),
      salt: init.salt.slice(),
      share,
      response,
      peerKey,
      send,
      receive: new ReceiveKey(keys.receive),
    };
    this.#node.send(this.peerId, 0, response.slice());
    if (!this.#sendProved) {
      this.#send = send;
      this.#flush(nowMs);
    }
    return undefined;
  }

  /** Takes the answer to the own init, and ends the exchange. @throws FormatError where the peer is not believed */
  receiveResponse(response: Response, nowMs: number): Refusal | undefined {
    const exchange = this.#exchange;
    assert(exchange.status === "INITIATED", "A response is taken where an init waits for it");
    const identity = this.#node.identity();
    if (identity === undefined) return NOT_ENDORSED;
    const { primitives, service } = this.#node;
    const peerKey = endorsedNodeKey(primitives, response.certificate, this.peerId, service());
    if (!isSignedBy(primitives, peerKey, response.signature, response.share, exchange.share)) {
      return { level: "debug", reason: "the response is not signed, or answers an earlier init" };
    }
    const keys = this.#derive(exchange.ephemeral, response.share, exchange.salt);
    const final = serialiseKeyExchange({ kind: "final", signature: sign(identity.key, response.share) });
    this.#node.send(this.peerId, 0, final);
    this.#establish(new SendKey(keys.send), new ReceiveKey(keys.receive), nowMs);
    return undefined;
  }

  /** Takes the proof that the init which was answered is not an old one. @throws FormatError where it is no signature */
  receiveFinal(final: Final, nowMs: number): Refusal | undefined {
    const exchange = this.#exchange;
    assert(exchange.status === "WAITING_FOR_FINAL", "A final is taken where an exchange waits for it");
    if (!isSignedBy(this.#node.primitives, exchange.peerKey, final.signature, exchange.share)) {
      return { level: "debug", reason: "the final is not signed, or belongs to an earlier exchange" };
    }
    this.#establish(exchange.send, exchange.receive, nowMs);
    return undefined;
  }

  #establish(send: SendKey, receive: ReceiveKey, nowMs: number): void {
    this.#exchange = { status: "ESTABLISHED" };
    this.#usedMs = nowMs;
    this.#send = send;
    this.#sendProved = true;
    this.#oldReceive = this.#receive;
    this.#receive = receive;
    this.#node.log("info", `Channel with node ${this.peerId} is established`, nowMs);
    this.#flush(nowMs);
  }

  /** Begins an exchange where none has ended and none is fresh. */
  #advance(nowMs: number): void {
    const { status } = this.#exchange;
    if (status === "INACTIVE") this.#initiate(nowMs);
    else if (status !== "ESTABLISHED") this.#retry(nowMs);
  }

  #retry(nowMs: number): void {
    if (nowMs - this.#exchangeMs >= KEY_EXCHANGE_RETRY_MS) this.#initiate(nowMs);
  }

  #initiate(nowMs: number): void {
    const identity = this.#node.identity();
    if (identity === undefined) return;
    const ephemeral = this.#newEphemeral();
    const share = serialiseShare(ephemeral.publicKey);
    const salt = this.#node.random(SALT_BYTES);
    this.#exchange = { status: "INITIATED", ephemeral, share, salt };
    this.#exchangeMs = nowMs;
    const signature = sign(identity.key, share);
    const certificate = certificateOnWire(identity.certificatePem);
    this.#node.send(this.peerId, 0, serialiseKeyExchange({ kind: "init", share, signature, certificate, salt }));
  }

  /** At half of the limit keys are renewed; at the limit they are dropped, renewed or not. */
  #checkLimit(nowMs: number): void {
    const { messageLimit } = this.#node;
    const messages = (this.#send?.next ?? 0) + (this.#receive?.last ?? 0);
    if (messages < Math.floor(messageLimit / 2)) return;
    if (messages >= messageLimit) {
      this.#send = this.#receive = this.#oldReceive = undefined;
      this.#sendProved = false;
      if (this.#exchange.status === "ESTABLISHED") this.#exchange = { status: "INACTIVE" };
    }
    const { status } = this.#exchange;
    if (status === "ESTABLISHED" || status === "INACTIVE") this.#initiate(nowMs);
  }

  #flush(nowMs: number): void {
    const consensus = this.#waitingConsensus;
    const forwarded = this.#waitingForwarded;
    this.#waitingConsensus = undefined;
    this.#waitingForwarded = [];
    if (consensus !== undefined) this.sendConsensus(consensus.header, consensus.entries, nowMs);
    for (const { header, plaintext } of forwarded) this.sendForwarded(header, plaintext, nowMs);
  }

  #sendSealed(
    messageType: NodeMessageType,
    header: Uint8Array,
    plaintext: Uint8Array,
    nowMs: number,
    entries?: AttachedEntries,
  ): void {
    assert(this.#send !== undefined, "What is sealed has a key");
    const authenticated = withFlags(header, entries?.lastFlags ?? 0);
    const message = this.#send.seal(this.#node.primitives, header, plaintext, authenticated);
    if (entries === undefined) this.#node.send(this.peerId, messageType, message);
    else this.#node.send(this.peerId, messageType, message, { from: entries.from, to: entries.to });
    this.#checkLimit(nowMs);
  }

  #newEphemeral(): EcPrivateKey {
    return generateEcPrivateKey(EXCHANGE_CURVE, this.#node.random);
  }

  #derive(ephemeral: EcPrivateKey, peerShare: Uint8Array, salt: Uint8Array): ChannelKeys {
    return deriveChannelKeys(ephemeral, peerShare, salt, this.#node.selfId, this.peerId);
  }
}

/**
 * What the tag of an "append entries" covers: its header and, where the last entry has flags, that one byte behind it.
 *
 * CCF's tag covers the header alone, so a message without flags is byte for byte one of CCF.
 */
export function withFlags(header: Uint8Array, lastFlags: number): Uint8Array {
  return lastFlags === 0 ? header : concat(header, Uint8Array.of(lastFlags));
}

const NOT_ENDORSED: Refusal = { level: "debug", reason: "the service has not endorsed this node's certificate yet" };

/** DER, as OpenSSL signs, with the hash of the key's curve. */
function sign(key: EcPrivateKey, ...parts: Uint8Array[]): Uint8Array {
  return serialiseDerSignature(ecdsaSign(key, concat(...parts)));
}
