/**
 * How a batch crosses between two threads: a few long columns and one buffer instead of thousands of small objects.
 *
 * In: inputs or outputs. Out: a message that is cheap to clone, and back. What a letter means is `messages.ts`.
 * A structured clone writes every property name of every object and allocates every small buffer anew; as columns the
 * same batch costs a third. Only the three letters of the hot path are taken apart, the others travel as they are.
 */

import { assert } from "../shared/assert.ts";
import type { EnclaveInput, EnclaveOutput, HeaderList } from "./messages.ts";

/** Requests, taken apart; `others` fills the places that `isRequest` leaves. */
export interface PackedInputs {
  readonly nowMs: number;
  readonly isRequest: readonly boolean[];
  readonly others: readonly EnclaveInput[];
  /** Session and ID of each request. */
  readonly numbers: readonly number[];
  /** Method and target of each, then its header names and values. */
  readonly strings: readonly string[];
  readonly headerCounts: readonly number[];
  readonly lengths: readonly number[];
  /** All bodies, back to back. */
  readonly bytes: Uint8Array;
}

/** Responses and ledger entries, taken apart. */
export interface PackedOutputs {
  readonly kinds: readonly Kind[];
  readonly others: readonly EnclaveOutput[];
  /** Of a response: session, ID, status, and 1 to close. Of an entry: seqno, and 1 if committable. */
  readonly numbers: readonly number[];
  /** Header names and values of each response. */
  readonly strings: readonly string[];
  readonly headerCounts: readonly number[];
  readonly lengths: readonly number[];
  /** All bodies and entries, back to back. */
  readonly bytes: Uint8Array;
}

const OTHER = 0;
const RESPONSE = 1;
const APPEND = 2;
type Kind = typeof OTHER | typeof RESPONSE | typeof APPEND;

export function packInputs(inputs: readonly EnclaveInput[], nowMs: number): PackedInputs {
  const isRequest: boolean[] = [];
  const others: EnclaveInput[] = [];
  const numbers: number[] = [];
  const strings: string[] = [];
  const headerCounts: number[] = [];
  const bodies: Uint8Array[] = [];
  for (const input of inputs) {
    isRequest.push(input.kind === "request");
    if (input.kind !== "request") {
      others.push(input);
      continue;
    }
    const { method, target, headers, body } = input.request;
    numbers.push(input.session, input.id);
    strings.push(method, target);
    pushHeaders(headers, strings, headerCounts);
    bodies.push(body);
  }
  return { nowMs, isRequest, others, numbers, strings, headerCounts, ...join(bodies) };
}

export function unpackInputs(packed: PackedInputs): EnclaveInput[] {
  const { isRequest, others, numbers } = packed;
  const strings = new Columns(packed);
  let request = 0;
  let other = 0;
  return isRequest.map((isOne): EnclaveInput => {
    if (!isOne) return others[other++]!;
    const session = numbers[2 * request]!;
    const id = numbers[2 * request++ + 1]!;
    const method = strings.next();
    const target = strings.next();
    return {
      kind: "request",
      session,
      id,
      request: { method, target, headers: strings.headers(), body: strings.bytes() },
    };
  });
}

export function packOutputs(outputs: readonly EnclaveOutput[]): PackedOutputs {
  const kinds: Kind[] = [];
  const others: EnclaveOutput[] = [];
  const numbers: number[] = [];
  const strings: string[] = [];
  const headerCounts: number[] = [];
  const parts: Uint8Array[] = [];
  for (const output of outputs) {
    // An answer that the host has is rare, and travels as it is.
    if (output.kind === "response" && output.response.fromHost === undefined) {
      const { status, headers, body, close } = output.response;
      kinds.push(RESPONSE);
      numbers.push(output.session, output.id, status, close === true ? 1 : 0);
      pushHeaders(headers, strings, headerCounts);
      parts.push(body);
    } else if (output.kind === "ledgerAppend") {
      kinds.push(APPEND);
      numbers.push(output.seqno, output.committable ? 1 : 0);
      parts.push(output.entry);
    } else {
      kinds.push(OTHER);
      others.push(output);
    }
  }
  return { kinds, others, numbers, strings, headerCounts, ...join(parts) };
}

export function unpackOutputs(packed: PackedOutputs): EnclaveOutput[] {
  const { kinds, others, numbers } = packed;
  const columns = new Columns(packed);
  let number = 0;
  let other = 0;
  return kinds.map((kind): EnclaveOutput => {
    switch (kind) {
      case OTHER:
        return others[other++]!;
      case RESPONSE: {
        const [session, id, status, close] = [
          numbers[number++]!,
          numbers[number++]!,
          numbers[number++]!,
          numbers[number++]!,
        ];
        const response = { status, headers: columns.headers(), body: columns.bytes() };
        return { kind: "response", session, id, response: close === 1 ? { ...response, close: true } : response };
      }
      case APPEND: {
        const seqno = numbers[number++]!;
        const committable = numbers[number++] === 1;
        return { kind: "ledgerAppend", seqno, entry: columns.bytes(), committable };
      }
    }
  });
}

/** Shorter ones are copied sooner than their buffers are handed over one by one. */
const MIN_TRANSFER_BYTES = 64 * 1024;

/** What need not be copied when a packed message is posted; its sender has it no more. */
export function transferOf({ bytes, others }: PackedInputs | PackedOutputs): ArrayBuffer[] {
  const buffers = [bytes.buffer as ArrayBuffer];
  for (const other of others) {
    const large = givenAway(other);
    if (large === undefined || large.length < MIN_TRANSFER_BYTES) continue;
    if (large.length === large.buffer.byteLength) buffers.push(large.buffer as ArrayBuffer);
  }
  return buffers;
}

/** What nobody keeps who has sent it: a snapshot to start from may be a gigabyte, which two copies more make three. */
function givenAway(other: EnclaveInput | EnclaveOutput): Uint8Array | undefined {
  switch (other.kind) {
    case "join":
      return other.snapshot?.file;
    case "nodeInbound":
      return other.payload;
    default:
      return undefined;
  }
}

function pushHeaders(headers: HeaderList, strings: string[], counts: number[]): void {
  counts.push(headers.length);
  for (const [name, value] of headers) strings.push(name, value);
}

function join(parts: readonly Uint8Array[]): { lengths: number[]; bytes: Uint8Array } {
  let total = 0;
  for (const part of parts) total += part.length;
  const bytes = new Uint8Array(total);
  const lengths: number[] = [];
  let at = 0;
  for (const part of parts) {
    lengths.push(part.length);
    bytes.set(part, at);
    at += part.length;
  }
  return { lengths, bytes };
}

/** Reads columns from front to back. */
class Columns {
  readonly #packed: Pick<PackedInputs, "strings" | "headerCounts" | "lengths" | "bytes">;
  #string = 0;
  #header = 0;
  #length = 0;
  #at = 0;

  constructor(packed: Pick<PackedInputs, "strings" | "headerCounts" | "lengths" | "bytes">) {
    this.#packed = packed;
  }

  next(): string {
    const text = this.#packed.strings[this.#string++];
    assert(text !== undefined, "A packed batch has as many strings as it needs");
    return text;
  }

  headers(): HeaderList {
    const count = this.#packed.headerCounts[this.#header++]!;
    const headers: (readonly [string, string])[] = new Array(count);
    for (let i = 0; i < count; i++) headers[i] = [this.next(), this.next()];
    return headers;
  }

  bytes(): Uint8Array {
    const from = this.#at;
    this.#at += this.#packed.lengths[this.#length++]!;
    return this.#packed.bytes.subarray(from, this.#at);
  }
}
