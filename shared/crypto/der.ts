/**
 * DER, the one strict encoding of ASN.1 values: as much of it as keys, signatures and certificates need.
 *
 * In: bytes. Out: a reader that walks them element by element, and functions that write each kind of element.
 * What a DER writer would not have written is refused: long forms of short lengths, padded integers, bytes left over.
 * Knows nothing of keys or certificates.
 * Format: ITU-T X.690 §8 and §10; tags of one byte only
 *
 *     30 06        SEQUENCE, 6 bytes
 *        02 01 05  INTEGER 5
 *        04 01 ff  OCTET STRING ff
 */

import { numberToVarBytesBE } from "@noble/curves/utils.js";
import { assert, FormatError } from "../assert.ts";
import { concat, Writer } from "../bytes.ts";
import { MAX_DER_DEPTH, MAX_OID_BYTES } from "../limits.ts";

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag of `[n]`: of an explicit or otherwise constructed value, or of an implicit primitive one. */
export function contextTag(n: number, form: "constructed" | "primitive"): number {
  return (form === "constructed" ? 0xa0 : 0x80) | n;
}

/** Walks the elements of one constructed value. Every method throws FormatError where the bytes are not as asked. */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #subject: string;
  readonly #depth: number;
  #at = 0;

  /** @param subject what is being read, for messages: "a certificate" */
  constructor(bytes: Uint8Array, subject: string, depth = 0) {
    this.#bytes = bytes;
    this.#subject = subject;
    this.#depth = depth;
    if (depth > MAX_DER_DEPTH) throw this.error(`it is nested deeper than ${MAX_DER_DEPTH} levels`);
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The tag of the next element, or undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The next element whole, header and contents, as a view into the input. */
  der(tag: number, field: string): Uint8Array {
    const start = this.#at;
    this.contents(tag, field);
    return this.#bytes.subarray(start, this.#at);
  }

  /** The next element whole, of whatever tag. */
  any(field: string): Uint8Array {
    const tag = this.peek();
    if (tag === undefined) throw this.error(`${field} is missing`);
    return this.der(tag, field);
  }

  /** The contents of the next element, as a view into the input. */
  contents(tag: number, field: string): Uint8Array {
    const found = this.peek();
    if (found === undefined) throw this.error(`${field} is missing`);
    if (found !== tag) throw this.error(`${field} has tag ${hexByte(found)} and not ${hexByte(tag)}`);
    if ((tag & 0x1f) === 0x1f) throw this.error(`${field} has a tag of several bytes`);
    const [length, start] = this.#length(field);
    if (length > this.#bytes.length - start) throw this.error(`${field} is cut off`);
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** A reader of what is inside the next element. */
  inside(tag: number, field: string): DerReader {
    return new DerReader(this.contents(tag, field), this.#subject, this.#depth + 1);
  }

  sequence(field: string): DerReader {
    return this.inside(TAG.sequence, field);
  }

  /** A reader of what is inside the next element if it has this tag, else undefined. */
  optional(tag: number, field: string): DerReader | undefined {
    return this.peek() === tag ? this.inside(tag, field) : undefined;
  }

  /** The contents of an INTEGER as they stand: two's complement, big-endian, as short as possible. */
  integerContents(field: string): Uint8Array {
    const contents = this.contents(TAG.integer, field);
    const [first, second] = contents;
    if (first === undefined) throw this.error(`${field} is an INTEGER without bytes`);
    if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      throw this.error(`${field} is a padded INTEGER`);
    }
    return contents;
  }

  /** The magnitude of an INTEGER that is not negative, big-endian, without leading zeros; of zero no bytes. */
  unsigned(field: string): Uint8Array {
    const contents = this.integerContents(field);
    if (contents[0]! >= 0x80) throw this.error(`${field} is negative`);
    return contents[0] === 0 ? contents.subarray(1) : contents;
  }

  /** An INTEGER from 0 to 2^31 - 1. */
  smallInteger(field: string): number {
    const magnitude = this.unsigned(field);
    const value = magnitude.reduce((sum, byte) => sum * 256 + byte, 0);
    if (value > 0x7fffffff) throw this.error(`${field} is out of range`);
    return value;
  }

  boolean(field: string): boolean {
    const contents = this.contents(TAG.boolean, field);
    if (contents.length !== 1 || (contents[0] !== 0 && contents[0] !== 0xff)) {
      throw this.error(`${field} is not a BOOLEAN of 00 or ff`);
    }
    return contents[0] === 0xff;
  }

  null(field: string): void {
    if (this.contents(TAG.null, field).length !== 0) throw this.error(`${field} is a NULL with bytes`);
  }

  octetString(field: string): Uint8Array {
    return this.contents(TAG.octetString, field);
  }

  /** A BIT STRING: its bytes, and how many low bits of the last one do not count (they are zero). */
  bitString(field: string): { readonly bytes: Uint8Array; readonly unusedBits: number } {
    const contents = this.contents(TAG.bitString, field);
    const unusedBits = contents[0];
    const last = contents.length > 1 ? contents[contents.length - 1]! : 0;
    if (
      unusedBits === undefined || unusedBits > 7 || (contents.length === 1 && unusedBits !== 0) ||
      (last & ((1 << unusedBits) - 1)) !== 0
    ) {
      throw this.error(`${field} is not a well-formed BIT STRING`);
    }
    return { bytes: contents.subarray(1), unusedBits };
  }

  /** A BIT STRING of whole bytes. */
  bitStringBytes(field: string): Uint8Array {
    const { bytes, unusedBits } = this.bitString(field);
    if (unusedBits !== 0) throw this.error(`${field} is not of whole bytes`);
    return bytes;
  }

  /** An OBJECT IDENTIFIER in dotted form, "1.2.840.10045.2.1". */
  oid(field: string): string {
    const contents = this.contents(TAG.oid, field);
    if (contents.length === 0 || contents.length > MAX_OID_BYTES || contents[contents.length - 1]! >= 0x80) {
      throw this.error(`${field} is not a well-formed OBJECT IDENTIFIER`);
    }
    const arcs: bigint[] = [];
    let arc = 0n;
    let first = true;
    for (const byte of contents) {
      if (first && byte === 0x80) throw this.error(`${field} is an OBJECT IDENTIFIER with a padded number`);
      arc = (arc << 7n) | BigInt(byte & 0x7f);
      first = byte < 0x80;
      if (first) {
        arcs.push(arc);
        arc = 0n;
      }
    }
    // The first two numbers share one: 40 times the first (0, 1 or 2) plus the second (X.690 §8.19.4).
    const shared = arcs[0]!;
    const root = shared < 80n ? shared / 40n : 2n;
    return [root, shared - root * 40n, ...arcs.slice(1)].join(".");
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.done) throw this.error(`${this.#bytes.length - this.#at} bytes are left over`);
  }

  /** An error about the thing being read, for the caller to throw. */
  error(problem: string): FormatError {
    return new FormatError(`Cannot read ${this.#subject}: ${problem}`);
  }

  #length(field: string): [length: number, start: number] {
    const first = this.#bytes[this.#at + 1];
    if (first === undefined) throw this.error(`${field} is cut off`);
    if (first < 0x80) return [first, this.#at + 2];
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw this.error(`${field} has an indefinite or oversized length`);
    let length = 0;
    for (let i = 0; i < count; i++) {
      const byte = this.#bytes[this.#at + 2 + i];
      if (byte === undefined) throw this.error(`${field} is cut off`);
      length = length * 256 + byte;
    }
    if (length < 0x80 || length < 256 ** (count - 1)) throw this.error(`${field} has a length in too long a form`);
    return [length, this.#at + 2 + count];
  }
}

/**
 * A reader of what is inside the one SEQUENCE that these bytes are.
 *
 * @param subject what is being read, for messages: "a certificate"
 * @throws FormatError
 */
export function readDer(bytes: Uint8Array, subject: string): DerReader {
  const outer = new DerReader(bytes, subject);
  const inner = outer.sequence("the outermost SEQUENCE");
  outer.end();
  return inner;
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, "0");
}

/** One element: tag, length, and the parts one after another as contents. */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const contents = concat(...parts);
  const writer = new Writer(contents.length + 6).u8(tag);
  if (contents.length < 0x80) {
    writer.u8(contents.length);
  } else {
    const length = numberToVarBytesBE(contents.length);
    writer.u8(0x80 | length.length).bytes(length);
  }
  return writer.bytes(contents).finish();
}

export function writeSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return writeDer(TAG.sequence, ...parts);
}

/** An INTEGER of this non-negative value; bytes are big-endian and may have leading zeros. */
export function writeUnsigned(value: number | bigint | Uint8Array): Uint8Array {
  return writeDer(TAG.integer, integerContents(value instanceof Uint8Array ? value : numberToVarBytesBE(value)));
}

/** The contents of an INTEGER of this big-endian magnitude: no leading zeros but the one that keeps it positive. */
export function integerContents(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length && magnitude[start] === 0) start++;
  const digits = magnitude.subarray(start);
  return digits.length === 0 || digits[0]! >= 0x80 ? concat(Uint8Array.of(0), digits) : digits;
}

export function writeBoolean(value: boolean): Uint8Array {
  return Uint8Array.of(TAG.boolean, 1, value ? 0xff : 0);
}

export function writeNull(): Uint8Array {
  return Uint8Array.of(TAG.null, 0);
}

export function writeOctetString(bytes: Uint8Array): Uint8Array {
  return writeDer(TAG.octetString, bytes);
}

/** A BIT STRING; the unused low bits of the last byte are zero. */
export function writeBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return writeDer(TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** An OBJECT IDENTIFIER from its dotted form, which must be one of ours or one that was read. */
export function writeOid(dotted: string): Uint8Array {
  assert(isOid(dotted), "An OBJECT IDENTIFIER written is in dotted form");
  const [root, second, ...rest] = dotted.split(".").map(BigInt);
  const bytes: number[] = [];
  for (let arc of [root! * 40n + second!, ...rest]) {
    const digits = [Number(arc & 0x7fn)];
    while ((arc >>= 7n) > 0n) digits.unshift(Number(arc & 0x7fn) | 0x80);
    bytes.push(...digits);
  }
  return writeDer(TAG.oid, Uint8Array.from(bytes));
}

/** Whether text is a dotted OBJECT IDENTIFIER: at least two numbers, the second below 40 after 0 and 1. */
export function isOid(text: string): boolean {
  return text.length <= MAX_OID_BYTES * 2 &&
    /^(?:[01]\.[1-3]?[0-9]|2\.(?:0|[1-9][0-9]*))(?:\.(?:0|[1-9][0-9]*))*$/.test(text);
}
