/**
 * How keys and values of tables become bytes: the serialisers of CCF's tables.
 *
 * In: values. Out: bytes, and back with FormatError. Knows nothing of which table uses which: `governance/tables.ts`.
 * Format: ledger-and-receipts.md §10.1
 */

import { FormatError } from "../assert.ts";
import {
  type ByteString,
  equalBytes,
  fromBase64,
  fromByteString,
  fromHex,
  fromUtf8,
  toBase64,
  toByteString,
  toHex,
  toUtf8,
} from "../bytes.ts";
import { parseJsonBytes, stableJsonBytes } from "../json.ts";
import { type Shape, text } from "../json_shape.ts";
import type { Codec, KeyCodec, Singleton, Table } from "./table.ts";

/** Key of the one value of a table of one value. */
export const SINGLETON_KEY: ByteString = "\0".repeat(8);

const ZERO8 = new Uint8Array(8);

/** Text as its own UTF-8: IDs, names, digests as hex. */
export const textKey: KeyCodec<string> = {
  encode: (key) => isAscii(key) ? key : toByteString(toUtf8(key)),
  decode: (key) => isAscii(key) ? key : fromUtf8(fromByteString(key)),
};

/** JSON, as C++ application tables have it by default. */
export function jsonKey<K>(shape: Shape<K>): KeyCodec<K> {
  const codec = json(shape);
  return {
    encode: (key) => toByteString(codec.encode(key)),
    decode: (key) => codec.decode(fromByteString(key)),
  };
}

/** Bytes as they are. */
export const raw: Codec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes };

/** Text as its UTF-8, without quotes. */
export const rawText: Codec<string> = { encode: toUtf8, decode: fromUtf8 };

/** JSON, written in the C++ way. Members that the shape does not name are kept. */
export function json<T>(shape: Shape<T>): Codec<T> {
  return {
    encode: stableJsonBytes,
    decode: (bytes) => shape(parseJsonBytes(bytes), ""),
  };
}

/** A JSON string. */
export const jsonText: Codec<string> = json(text);

/** Bytes in a JSON string of base64. */
export const jsonBase64: Codec<Uint8Array> = {
  encode: (bytes) => jsonText.encode(toBase64(bytes)),
  decode: (bytes) => fromBase64(jsonText.decode(bytes)),
};

/** Bytes in a JSON string of hex. */
export const jsonHex: Codec<Uint8Array> = {
  encode: (bytes) => jsonText.encode(toHex(bytes)),
  decode: (bytes) => fromHex(jsonText.decode(bytes)),
};

/** What a set holds under each of its members: nothing to know, so ask `has`. */
export const presence: Codec<undefined> = {
  encode: () => ZERO8,
  decode(bytes) {
    if (!equalBytes(bytes, ZERO8)) {
      throw new FormatError("Cannot read a member of a set: its value is not 8 zero bytes");
    }
    return undefined;
  },
};

/** A table from text to what `value` makes of it. */
export function mapOf<V>(name: string, value: Codec<V>): Table<string, V> {
  return { name, key: textKey, value };
}

/** A table of text alone. */
export function setOf(name: string): Table<string, undefined> {
  return mapOf(name, presence);
}

/** A table of one value. */
export function singleton<V>(name: string, value: Codec<V>): Singleton<V> {
  return { name, value };
}

function isAscii(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return false;
  return true;
}
