/**
 * Frames between the hosts of two nodes: what one message looks like on the TCP connection.
 *
 * In: a message; or the bytes of a connection in pieces of any size. Out: its bytes; or whole messages, in order. Knows
 * nothing of sockets, nor of what a message says.
 *
 * Format: nodes-and-attestation.md §1.1. A message of 2 bytes from node "30…66", of which 64 characters are sent:
 *
 *     52000000                             bytes that follow: 82
 *     0100000000000000                     type: consensus
 *     4000000000000000 33303636…           length of the sender's ID, and the ID
 *     abcd                                 the message; entries follow it without a sign of where they begin
 */

import { assert, FormatError } from "../shared/assert.ts";
import { fromUtf8, Reader, toUtf8, Writer } from "../shared/bytes.ts";
import { MAX_PEER_FRAME_BYTES, PEER_FRAME_ROOM_BYTES } from "../shared/limits.ts";
import type { NodeMessageType } from "../enclave/messages.ts";

export interface PeerFrame {
  /** As the sender says; nothing here proves it. */
  readonly from: string;
  readonly messageType: NodeMessageType;
  /** In a buffer of its own. */
  readonly payload: Uint8Array;
}

/** Hex SHA-256 of a public key. */
const ID_BYTES = 64;
const idForm = /^[0-9a-f]{64}$/;
/** Type, length of the ID, ID. */
const FIELDS_BYTES = 8 + 8 + ID_BYTES;
const HEAD_BYTES = 4 + FIELDS_BYTES;

/** Longest payload, entries counted in, that a receiver takes. */
export const MAX_PEER_PAYLOAD_BYTES = MAX_PEER_FRAME_BYTES - FIELDS_BYTES;

/** What comes before a payload of so many bytes, entries counted in. */
export function serialiseFrameHead(from: string, messageType: NodeMessageType, payloadBytes: number): Uint8Array {
  assert(idForm.test(from), "A node's ID is the hex SHA-256 of its key");
  assert(payloadBytes <= MAX_PEER_PAYLOAD_BYTES, "What is sent is short enough to be received");
  const writer = new Writer(HEAD_BYTES);
  return writer.u32(FIELDS_BYTES + payloadBytes).u64(messageType).u64(ID_BYTES).bytes(toUtf8(from)).finish();
}

/** Cuts the bytes of one connection into frames. After a FormatError it is finished, and so is the connection. */
export class FrameReader {
  readonly #head = new Uint8Array(HEAD_BYTES);
  #headFilled = 0;
  /** Of the frame whose head is complete. */
  #from = "";
  #messageType: NodeMessageType = 0;
  #payloadBytes = 0;
  #payload: Uint8Array | null = null;
  #payloadFilled = 0;

  /** Memory that the unfinished frame takes. */
  get heldBytes(): number {
    return this.#payload?.length ?? 0;
  }

  /** Whether a frame has begun that has not ended. */
  get isWithinFrame(): boolean {
    return this.#headFilled > 0;
  }

  /**
   * Takes the next bytes, which may be overwritten afterwards: they are copied, once. Frames that they complete are
   * appended to `frames`.
   *
   * @throws FormatError as soon as a head is not one: before anything of its payload is kept
   */
  read(bytes: Uint8Array, frames: PeerFrame[]): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#payload === null) {
        at += this.#fillHead(bytes.subarray(at));
        if (this.#headFilled < HEAD_BYTES) break;
        this.#parseHead();
      }
      at += this.#fillPayload(bytes.subarray(at));
      if (this.#payloadFilled === this.#payloadBytes) frames.push(this.#takeFrame());
    }
  }

  #fillHead(bytes: Uint8Array): number {
    const part = bytes.subarray(0, HEAD_BYTES - this.#headFilled);
    this.#head.set(part, this.#headFilled);
    this.#headFilled += part.length;
    // A wrong length is known from its four bytes, without waiting for the rest.
    if (this.#headFilled >= 4) requireFrameBytes(new Reader(this.#head).u32());
    return part.length;
  }

  #parseHead(): void {
    const reader = new Reader(this.#head);
    this.#payloadBytes = reader.u32() - FIELDS_BYTES;
    const messageType = reader.u64();
    if (messageType !== 0 && messageType !== 1 && messageType !== 2) {
      throw new FormatError(`Cannot read a node's message: its type is ${messageType}`);
    }
    const idBytes = reader.u64();
    if (idBytes !== ID_BYTES) {
      throw new FormatError(`Cannot read a node's message: its sender's ID has ${idBytes} bytes`);
    }
    this.#from = fromUtf8(reader.bytes(ID_BYTES));
    if (!idForm.test(this.#from)) {
      throw new FormatError(`Cannot read a node's message: ${JSON.stringify(this.#from)} is no ID of a node`);
    }
    this.#messageType = messageType;
    // Of what is only announced, no more memory is taken than this.
    this.#payload = new Uint8Array(Math.min(this.#payloadBytes, PEER_FRAME_ROOM_BYTES));
    this.#payloadFilled = 0;
  }

  #fillPayload(bytes: Uint8Array): number {
    const part = bytes.subarray(0, this.#payloadBytes - this.#payloadFilled);
    const filled = this.#payloadFilled + part.length;
    if (filled > this.#payload!.length) {
      const room = new Uint8Array(Math.min(this.#payloadBytes, Math.max(filled, 2 * this.#payload!.length)));
      room.set(this.#payload!.subarray(0, this.#payloadFilled));
      this.#payload = room;
    }
    this.#payload!.set(part, this.#payloadFilled);
    this.#payloadFilled = filled;
    return part.length;
  }

  #takeFrame(): PeerFrame {
    const frame = { from: this.#from, messageType: this.#messageType, payload: this.#payload! };
    this.#payload = null;
    this.#headFilled = 0;
    return frame;
  }
}

function requireFrameBytes(frameBytes: number): void {
  if (frameBytes >= FIELDS_BYTES && frameBytes <= MAX_PEER_FRAME_BYTES) return;
  throw new FormatError(
    `Cannot read a node's message: it is announced with ${frameBytes} bytes, and has ${FIELDS_BYTES} to ${MAX_PEER_FRAME_BYTES}`,
  );
}
