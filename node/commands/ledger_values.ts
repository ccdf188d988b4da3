/**
 * Keys and values of tables, for people and for machines.
 *
 * In: bytes that anybody may have written. Out: text that is safe on a terminal: what could steer it, or turn the reading
 * direction, is escaped.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../../shared/assert.ts";
import { type ByteString, fromByteString, fromHex, fromUtf8, toByteString, toHex, toUtf8 } from "../../shared/bytes.ts";
import { parsePem } from "../../shared/crypto/pem.ts";

/** Longer values are cut for people. */
const MAX_SHOWN_CHARACTERS = 1000;
/** Longer texts inside JSON are cut for people. */
const MAX_SHOWN_MEMBER_CHARACTERS = 120;
const MAX_SHOWN_BYTES = 64;

/** Control characters that text has no use for. */
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
/** All control characters, what turns the reading direction, and what cannot be seen. */
// deno-lint-ignore no-control-regex -- control characters are what is looked for
const STEERING = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** JSON that parses to the same value, safe on a terminal. */
export function safeJson(value: unknown): string {
  return safeText(JSON.stringify(value));
}

/** One line of text, safe on a terminal. */
export function safeText(text: string): string {
  return text.replace(STEERING, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Text as it is where it is UTF-8, else `{"hex": "…"}`. */
export function textOrHex(bytes: Uint8Array): string | { readonly hex: string } {
  return textOf(bytes) ?? { hex: toHex(bytes) };
}

/** A key for people: in quotes if it can be printed, else in hex. */
export function describeKey(key: ByteString): string {
  const bytes = fromByteString(key);
  const text = textOf(bytes);
  return text === undefined || text === "" || CONTROL.test(text) ? `0x${toHex(bytes)}` : safeJson(text);
}

/** A key as users name it: text, or bytes in hex behind `0x`. @throws FormatError */
export function parseKey(text: string): ByteString {
  return toByteString(text.startsWith("0x") ? fromHex(text.slice(2)) : toUtf8(text));
}

/** A value for people, on one line. */
export function describeValue(bytes: Uint8Array): string {
  if (bytes.length === 0) return "(empty)";
  const text = textOf(bytes);
  if (text === undefined || CONTROL.test(text)) return describeBytes(bytes);
  return describePem(text) ?? cut(describeJson(text) ?? safeJson(text), MAX_SHOWN_CHARACTERS, bytes.length);
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes);
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

function describeBytes(bytes: Uint8Array): string {
  const shown = toHex(bytes.subarray(0, MAX_SHOWN_BYTES));
  return bytes.length <= MAX_SHOWN_BYTES ? `0x${shown}` : `0x${shown}… (${bytes.length} bytes)`;
}

/** Numbers, words and the like are JSON too, and read the same as they stand. */
function describeJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // What JSON.parse would round stays as it was written, but for the space around it.
  return typeof value === "number" ? text.trim() : safeJson(shortened(value));
}

/** The same value with long texts cut, and PEM told by its digest. */
function shortened(value: unknown): unknown {
  if (typeof value === "string") {
    return describePem(value) ?? cut(value, MAX_SHOWN_MEMBER_CHARACTERS, toUtf8(value).length);
  }
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shortened(member)]));
}

function cut(text: string, length: number, bytes: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}… (${bytes} bytes)`;
}

/** "<CERTIFICATE sha256:33218b3a…, 620 bytes>", where a text is nothing but PEM. */
function describePem(text: string): string | undefined {
  if (!text.startsWith("-----BEGIN ")) return undefined;
  try {
    const blocks = parsePem(text);
    if (blocks.length === 0) return undefined;
    return blocks.map(({ label, der }) => `<${label} sha256:${toHex(sha256(der))}, ${der.length} bytes>`).join(" ");
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}
