/**
 * Reading, writing and comparing bytes.
 *
 * Integers are little-endian unless the name ends in `Be`, as everywhere in the ledger (ledger-and-receipts.md,
 * "Conventions"). 64-bit integers are `number` in memory and must stay below 2^53.
 */

import { base64 as scureBase64, base64urlnopad, hex as scureHex } from "@scure/base";
import { assert, FormatError } from "./assert.ts";

/** Reads a byte string from front to back. Every method throws FormatError when the bytes run out. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = position;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  get done(): boolean {
    return this.#position === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u48(): number {
    const at = this.#advance(6);
    return this.#view.getUint32(at, true) + this.#view.getUint16(at + 4, true) * 0x1_0000_0000;
  }

  u64(): number {
    const at = this.#advance(8);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000;
    if (value > Number.MAX_SAFE_INTEGER) throw new FormatError(`Cannot read a 64-bit integer at byte ${at}: over 2^53`);
    return value;
  }

  u64Be(): number {
    const at = this.#advance(8);
    const value = this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
    if (value > Number.MAX_SAFE_INTEGER) throw new FormatError(`Cannot read a 64-bit integer at byte ${at}: over 2^53`);
    return value;
  }

  /** The next `length` bytes, as a view into the input. */
  bytes(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A byte string behind its u64 length, as a view into the input. */
  lengthPrefixed(): Uint8Array {
    return this.bytes(this.u64());
  }

  /** Everything that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  #advance(length: number): number {
    const at = this.#position;
    if (length > this.#bytes.length - at) {
      throw new FormatError(`Cannot read ${length} bytes at byte ${at}: only ${this.#bytes.length - at} are left`);
    }
    this.#position = at + length;
    return at;
  }
}

/** Writes a byte string from front to back, growing as needed. */
export class Writer {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  /** @param place how many bytes there is room for at first; or where to write, for as long as it fits there */
  constructor(place: number | Uint8Array = 256) {
    this.#bytes = typeof place === "number" ? new Uint8Array(place) : place;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u48(value: number): this {
    assert(value <= 0xffff_ffff_ffff, "A 48-bit integer fits 48 bits");
    const at = this.#grow(6);
    this.#view.setUint32(at, value % 0x1_0000_0000, true);
    this.#view.setUint16(at + 4, Math.floor(value / 0x1_0000_0000), true);
    return this;
  }

  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "A 64-bit integer written is a safe, non-negative integer");
    const at = this.#grow(8);
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, value < 0x1_0000_0000 ? 0 : Math.floor(value / 0x1_0000_0000), true);
    return this;
  }

  u64Be(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "A 64-bit integer written is a safe, non-negative integer");
    const at = this.#grow(8);
    this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 4, value >>> 0);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** A byte string behind its u64 length. */
  lengthPrefixed(value: Uint8Array): this {
    return this.u64(value.length).bytes(value);
  }

  /** Zero bytes. */
  zeros(length: number): this {
    const at = this.#grow(length);
    this.#bytes.fill(0, at, at + length);
    return this;
  }

  /** What was written, as a view that later writes may move away from. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Where the next `length` bytes go. Call it before reading `#bytes` or `#view`, which it may replace. */
  #grow(length: number): number {
    const at = this.#length;
    const needed = at + length;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    this.#length = needed;
    return at;
  }
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Whether two byte strings are the same. Not constant-time: never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Order of unsigned bytes; a prefix comes first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function toHex(bytes: Uint8Array): string {
  return scureHex.encode(bytes);
}

/** Hex digits, either case. @throws FormatError */
export function fromHex(text: string): Uint8Array {
  return decoded("hex", text, () => scureHex.decode(text.toLowerCase()));
}

export function toBase64(bytes: Uint8Array): string {
  return scureBase64.encode(bytes);
}

/** Standard alphabet, padded. @throws FormatError */
export function fromBase64(text: string): Uint8Array {
  return decoded("base64", text, () => scureBase64.decode(text));
}

export function toBase64Url(bytes: Uint8Array): string {
  return base64urlnopad.encode(bytes);
}

/** URL alphabet, unpadded (RFC 7515). @throws FormatError */
export function fromBase64Url(text: string): Uint8Array {
  return decoded("base64url", text, () => base64urlnopad.decode(text));
}

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function toUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** @throws FormatError where the bytes are not UTF-8 */
export function fromUtf8(bytes: Uint8Array): string {
  // Names of tables pass here with every entry, and a call of the decoder takes several times as long.
  if (bytes.length <= 64 && isAscii(bytes)) return toByteString(bytes);
  try {
    return strictDecoder.decode(bytes);
  } catch {
    throw new FormatError(`Cannot read ${bytes.length} bytes as text: they are not UTF-8`);
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return false;
  return true;
}

/** For messages to people: what is not UTF-8 becomes U+FFFD. */
export function fromUtf8Lenient(bytes: Uint8Array): string {
  return lenientDecoder.decode(bytes);
}

function decoded(form: string, text: string, decode: () => Uint8Array): Uint8Array {
  try {
    return decode();
  } catch {
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    throw new FormatError(`Cannot read ${JSON.stringify(shown)} as ${form}`);
  }
}

/**
 * Bytes as a string of one character a byte (U+0000 to U+00FF).
 *
 * Table keys are kept so: such strings compare in the order of unsigned bytes, hash fast, and key a `Map`.
 */
export type ByteString = string;

export function toByteString(bytes: Uint8Array): ByteString {
  if (bytes.length <= 64) {
    let text = "";
    for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += 4096) {
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + 4096)));
  }
  return pieces.join("");
}

export function fromByteString(text: ByteString): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
