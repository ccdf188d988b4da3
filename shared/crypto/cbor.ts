/**
 * The CBOR that COSE needs, and no more: each value has one encoding, and only that one is read.
 *
 * In: bytes. Out: values that encode to the same bytes, and back.
 * Knows nothing of COSE.
 * Format: RFC 8949
 *
 * Read and written: integers below 2^53 in their shortest form, byte and text strings, arrays, maps and tags of definite
 * length, false, true, null. Refused: all else (floats, indefinite lengths, bignums as integers, `undefined`), equal
 * keys in a map, text that is not UTF-8, bytes behind the value. **Maps keep their order**, since the order of CCF's
 * headers is not the canonical one and signatures cover it.
 *
 * This is ours because a library would have to be held back from more than it would do: cborg, the one we would take,
 * needs an option against each of these, a decoder for each tag, a guard against deep nesting in front, and a comparison
 * with the re-encoded value behind. The tests use it as a second opinion.
 */

import { assert, FormatError } from "../assert.ts";
import { fromUtf8, Reader, toUtf8, Writer } from "../bytes.ts";
import { MAX_CBOR_BYTES, MAX_CBOR_DEPTH } from "../limits.ts";

export type CborValue = number | string | boolean | null | Uint8Array | readonly CborValue[] | CborMap | CborTag;

/** Entries in the order of the bytes. */
export type CborMap = ReadonlyMap<number | string, CborValue>;

/** A value behind a tag, such as 18 for COSE_Sign1. */
export class CborTag {
  constructor(readonly tag: number, readonly value: CborValue) {}
}

/** The upper three bits of a first byte. */
const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;

const SIMPLE = { false: 20, true: 21, null: 22 } as const;

/**
 * Reads the one value that the bytes are. Byte strings in it are views into the input.
 *
 * @throws FormatError where the bytes are anything but the encoding of one value of the subset
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  if (bytes.length > MAX_CBOR_BYTES) {
    throw new FormatError(`Cannot read CBOR of ${bytes.length} bytes: at most ${MAX_CBOR_BYTES}`);
  }
  const reader = new Reader(bytes);
  const value = readValue(reader, 0);
  if (!reader.done) throw refused(reader.position, `${reader.remaining} bytes follow the value`);
  return value;
}

export function encodeCbor(value: CborValue): Uint8Array {
  const writer = new Writer();
  writeValue(writer, value, 0);
  return writer.finish();
}

/** The value as an integer. @param what is named in the message, e.g. "the time of signing" @throws FormatError */
export function asInteger(value: CborValue | undefined, what: string): number {
  return typeof value === "number" ? value : mistyped(value, what, "an integer");
}

export function asText(value: CborValue | undefined, what: string): string {
  return typeof value === "string" ? value : mistyped(value, what, "text");
}

export function asBytes(value: CborValue | undefined, what: string): Uint8Array {
  return value instanceof Uint8Array ? value : mistyped(value, what, "a byte string");
}

export function asMap(value: CborValue | undefined, what: string): CborMap {
  return value instanceof Map ? value : mistyped(value, what, "a map");
}

export function asArray(value: CborValue | undefined, what: string): readonly CborValue[] {
  return Array.isArray(value) ? value : mistyped(value, what, "an array");
}

function mistyped(value: CborValue | undefined, what: string, expected: string): never {
  throw new FormatError(`Cannot read ${what}: it ${value === undefined ? "is missing" : `is not ${expected}`}`);
}

function readValue(reader: Reader, depth: number): CborValue {
  const at = reader.position;
  const first = reader.u8();
  const major = first >>> 5;
  if (major >= MAJOR.array && major <= MAJOR.tag && depth === MAX_CBOR_DEPTH) {
    throw refused(at, `it is nested more than ${MAX_CBOR_DEPTH} deep`);
  }
  if (major === MAJOR.simple) return readSimple(first & 31, at);
  const argument = readArgument(reader, first & 31, at);
  switch (major) {
    case MAJOR.unsigned:
      return argument;
    case MAJOR.negative:
      if (argument === Number.MAX_SAFE_INTEGER) throw refused(at, "an integer is below -2^53 + 1");
      return -1 - argument;
    case MAJOR.bytes:
      return reader.bytes(argument);
    case MAJOR.text:
      return fromUtf8(reader.bytes(argument));
    case MAJOR.array:
      return readArray(reader, argument, at, depth + 1);
    case MAJOR.map:
      return readMap(reader, argument, at, depth + 1);
    default:
      return new CborTag(argument, readValue(reader, depth + 1));
  }
}

function readArray(reader: Reader, length: number, at: number, depth: number): CborValue[] {
  if (length > reader.remaining) throw refused(at, `an array of ${length} runs out of bytes`);
  const values: CborValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(reader, depth));
  return values;
}

function readMap(reader: Reader, size: number, at: number, depth: number): CborMap {
  if (2 * size > reader.remaining) throw refused(at, `a map of ${size} runs out of bytes`);
  const map = new Map<number | string, CborValue>();
  for (let i = 0; i < size; i++) {
    const keyAt = reader.position;
    const key = readValue(reader, depth);
    if (typeof key !== "number" && typeof key !== "string") throw refused(keyAt, "a key is neither integer nor text");
    if (map.has(key)) throw refused(keyAt, `the key ${JSON.stringify(key)} is there twice`);
    map.set(key, readValue(reader, depth));
  }
  return map;
}

function readSimple(value: number, at: number): boolean | null {
  switch (value) {
    case SIMPLE.false:
      return false;
    case SIMPLE.true:
      return true;
    case SIMPLE.null:
      return null;
    default:
      throw refused(at, "floats and simple values other than false, true and null are not supported");
  }
}

/** The number in a first byte, or in the 1, 2, 4 or 8 bytes behind it if it is large. */
function readArgument(reader: Reader, info: number, at: number): number {
  if (info < 24) return info;
  if (info > 27) throw refused(at, info === 31 ? "an indefinite length is not supported" : `${info} is no length`);
  const width = 1 << (info - 24);
  let value = 0;
  if (width === 8) value = reader.u64Be();
  else for (let i = 0; i < width; i++) value = value * 256 + reader.u8();
  const least = width === 1 ? 24 : 256 ** (width / 2);
  if (value < least) throw refused(at, `${value} is not written in its shortest form`);
  return value;
}

function writeValue(writer: Writer, value: CborValue, depth: number): void {
  if (typeof value === "number") {
    assert(Number.isSafeInteger(value), "CBOR is written of safe integers");
    if (value >= 0) writeHead(writer, MAJOR.unsigned, value);
    else writeHead(writer, MAJOR.negative, -1 - value);
  } else if (typeof value === "string") {
    assert(value.isWellFormed(), "Text in CBOR is well-formed");
    const bytes = toUtf8(value);
    writeHead(writer, MAJOR.text, bytes.length);
    writer.bytes(bytes);
  } else if (typeof value === "boolean") {
    writeHead(writer, MAJOR.simple, value ? SIMPLE.true : SIMPLE.false);
  } else if (value === null) {
    writeHead(writer, MAJOR.simple, SIMPLE.null);
  } else if (value instanceof Uint8Array) {
    writeHead(writer, MAJOR.bytes, value.length);
    writer.bytes(value);
  } else {
    assert(depth < MAX_CBOR_DEPTH, "What is encoded is not nested too deep to be read");
    writeNested(writer, value, depth + 1);
  }
}

function writeNested(writer: Writer, value: CborTag | CborMap | readonly CborValue[], depth: number): void {
  if (value instanceof CborTag) {
    assert(Number.isSafeInteger(value.tag) && value.tag >= 0, "A tag is a safe, non-negative integer");
    writeHead(writer, MAJOR.tag, value.tag);
    writeValue(writer, value.value, depth);
  } else if (isMap(value)) {
    writeHead(writer, MAJOR.map, value.size);
    for (const [key, item] of value) {
      writeValue(writer, key, depth);
      writeValue(writer, item, depth);
    }
  } else {
    writeHead(writer, MAJOR.array, value.length);
    for (const item of value) writeValue(writer, item, depth);
  }
}

function writeHead(writer: Writer, major: number, argument: number): void {
  const upper = major << 5;
  if (argument < 24) writer.u8(upper | argument);
  else if (argument < 0x100) writer.u8(upper | 24).u8(argument);
  else if (argument < 0x1_0000) writer.u8(upper | 25).u8(argument >>> 8).u8(argument & 0xff);
  else if (argument < 0x1_0000_0000) {
    writer.u8(upper | 26).u8(argument >>> 24).u8((argument >>> 16) & 0xff).u8((argument >>> 8) & 0xff).u8(
      argument & 0xff,
    );
  } else writer.u8(upper | 27).u64Be(argument);
}

function isMap(value: CborMap | readonly CborValue[]): value is CborMap {
  return value instanceof Map;
}

function refused(at: number, why: string): FormatError {
  return new FormatError(`Cannot read CBOR at byte ${at}: ${why}`);
}
