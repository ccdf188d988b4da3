/**
 * Nodes of one service with nothing but their channels, and a network between them that loses, doubles, delays and changes.
 *
 * In: a seed, and how bad the network is. Out: what arrived.
 */

import fc from "fast-check";
import { toHex } from "../shared/bytes.ts";
import type { NodeId } from "../shared/consensus/messages.ts";
import { parseCertificateRequest, signCertificateRequest } from "../shared/crypto/csr.ts";
import { type EcPrivateKey, generateEcPrivateKey } from "../shared/crypto/ecdsa.ts";
import { nodeIdOf } from "../shared/crypto/identifiers.ts";
import type { CurveName, Random } from "../shared/crypto/primitives.ts";
import { nameFromConfiguration } from "../shared/crypto/x509_name.ts";
import { validityOfDays } from "../shared/crypto/x509_build.ts";
import { createServiceIdentity, endorseNode, type ServiceIdentity } from "../enclave/identity.ts";
import type { NodeMessageType } from "../enclave/messages.ts";
import { loadNativePrimitives } from "../enclave/native_primitives.ts";
import type { EntryRange } from "../enclave/channels/channel.ts";
import { type ChannelOptions, Channels, type Received } from "../enclave/channels/channels.ts";

export const systemRandom: Random = (length) => crypto.getRandomValues(new Uint8Array(length));

export const IDLE_MS = 20_000;
const VALIDITY = validityOfDays(Date.UTC(2020, 0, 1), 10); // long over: channels ignore dates
const primitives = loadNativePrimitives();

export function newService(curve: CurveName = "P-384"): ServiceIdentity {
  return createServiceIdentity(curve, "CN=CCF Service", VALIDITY, systemRandom);
}

export interface NodeKeys {
  readonly id: NodeId;
  readonly key: EcPrivateKey;
  readonly certificatePem: string;
}

export function newNode(service: ServiceIdentity, curve: CurveName = "P-384"): NodeKeys {
  const key = generateEcPrivateKey(curve, systemRandom);
  const request = signCertificateRequest(key, nameFromConfiguration("CN=CCF Node"), []);
  const certificatePem = endorseNode(parseCertificateRequest(request), service, VALIDITY, systemRandom);
  return { id: nodeIdOf(key.publicKey.spki), key, certificatePem };
}

/** In the order of their IDs: the later has priority over the earlier. */
export function newNodes(service: ServiceIdentity, count: number): NodeKeys[] {
  return Array.from({ length: count }, () => newNode(service)).sort((a, b) => a.id < b.id ? -1 : 1);
}

export interface Frame {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly messageType: NodeMessageType;
  readonly payload: Uint8Array;
  readonly entries: EntryRange | undefined;
  /** That of the two nodes if there is none. */
  readonly connection?: number;
}

/** Channels of several nodes. Nothing is delivered but by `deliver`. */
export class Network {
  readonly frames: Frame[] = [];
  readonly logs: { readonly id: NodeId; readonly level: string; readonly message: string }[] = [];
  readonly received: { readonly at: NodeId; readonly message: Received }[] = [];
  readonly heardOn: { readonly at: NodeId; readonly from: NodeId; connection: number; isProved: boolean }[] = [];
  readonly #channels = new Map<NodeId, Channels>();
  readonly #connections: string[] = [];
  nowMs = 1_000_000;

  add(node: NodeKeys, service: ServiceIdentity, change: Partial<ChannelOptions> = {}): Channels {
    const channels = new Channels({
      selfId: node.id,
      primitives,
      random: systemRandom,
      identity: () => node,
      servicePem: () => service.certificatePem,
      send: (to, messageType, payload, entries) =>
        this.frames.push({ from: node.id, to, messageType, payload, entries }),
      heardOn: (connection, from, isProved) => this.heardOn.push({ at: node.id, from, connection, isProved }),
      log: (level, message) => this.logs.push({ id: node.id, level, message }),
      messageLimit: 1_000_000,
      idleMs: IDLE_MS,
      ...change,
    });
    this.#channels.set(node.id, channels);
    return channels;
  }

  /** The number of the one connection from a node to another. */
  connection(from: NodeId, to: NodeId): number {
    const way = `${from} ${to}`;
    if (!this.#connections.includes(way)) this.#connections.push(way);
    return this.#connections.indexOf(way);
  }

  /** Hands over one frame; what the host would put behind it too. */
  deliver(
    { from, to, messageType, payload, entries, connection = this.connection(from, to) }: Frame,
  ): Received | undefined {
    const behind = entries === undefined ? [] : new Array<number>(entries.to - entries.from + 1).fill(0xee);
    const message = this.#channels.get(to)?.receive(
      connection,
      from,
      messageType,
      Uint8Array.of(...payload, ...behind),
      this.nowMs,
    );
    if (message !== undefined) this.received.push({ at: to, message });
    return message;
  }

  /** Delivers all frames, and those that they lead to, in order. */
  settle(): void {
    for (let frame = this.frames.shift(); frame !== undefined; frame = this.frames.shift()) this.deliver(frame);
  }

  tick(elapsedMs: number): void {
    this.nowMs += elapsedMs;
    for (const channels of this.#channels.values()) channels.tick(this.nowMs);
  }

  receivedBy(id: NodeId): string[] {
    return this.received.filter(({ at }) => at === id).map(({ message }) => toHex(message.header).slice(-2));
  }
}

/** What a bad network does with the next frame. */
export type Fate = "deliver" | "lose" | "double" | "delay" | "change";

export const fates: fc.Arbitrary<Fate> = fc.constantFrom("deliver", "deliver", "lose", "double", "delay", "change");

/** The header of a message of consensus, a vote response, that ends in one byte. */
export function consensusHeader(last: number): Uint8Array {
  const header = new Uint8Array(17);
  header[0] = 4;
  header[16] = last;
  return header;
}

/** The header of an AppendEntries that ends in one byte. */
export function appendHeader(last: number): Uint8Array {
  const header = new Uint8Array(57);
  header[56] = last;
  return header;
}

/** The header of a forwarded command whose view ends in one byte. */
export function commandHeader(last: number): Uint8Array {
  const header = new Uint8Array(25);
  header[0] = 4;
  header[24] = last;
  return header;
}
