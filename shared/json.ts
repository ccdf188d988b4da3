/**
 * JSON as CCF's C++ writes it, and reading JSON from outside.
 *
 * In: plain values. Out: text that is the same, byte for byte, as nlohmann::json's `dump()`: no white space, members of
 * objects in ascending byte order, nothing escaped that need not be. And back, with FormatError for what is not JSON.
 * Knows nothing of tables. Format: ledger-and-receipts.md §10.1
 */

import { assert, FormatError } from "./assert.ts";
import { fromUtf8, toUtf8 } from "./bytes.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";
import { compareUtf8 } from "./utf8_order.ts";

/**
 * Writes a value in the C++ way. Members that are `undefined` are left out, as with `JSON.stringify`.
 *
 * Quirk: C++ remembers whether a number was written `1` or `1.0`, JavaScript does not; whole numbers are written `1`.
 *
 * @throws FormatError where text holds half a surrogate pair or values nest too deep: both come from outside
 */
export function stableJson(value: unknown): string {
  return write(value, 0);
}

/** `stableJson` as UTF-8. */
export function stableJsonBytes(value: unknown): Uint8Array {
  return toUtf8(write(value, 0));
}

/** @throws FormatError */
export function parseJsonText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FormatError(`Cannot read ${text.length} characters as JSON`);
  }
}

/** @throws FormatError where the bytes are not UTF-8 or not JSON */
export function parseJsonBytes(bytes: Uint8Array): unknown {
  return parseJsonText(fromUtf8(bytes));
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case "string":
      return writeText(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return value.toString();
    case "object":
      if (value === null) return "null";
      if (depth === MAX_JSON_DEPTH) throw new FormatError(`Cannot write JSON that nests deeper than ${MAX_JSON_DEPTH}`);
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1);
    default:
      assert(false, "Values written as JSON are plain data");
  }
}

function writeArray(values: readonly unknown[], depth: number): string {
  let text = "[";
  for (let i = 0; i < values.length; i++) {
    if (i > 0) text += ",";
    text += write(values[i], depth);
  }
  return `${text}]`;
}

function writeObject(value: object, depth: number): string {
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => compareUtf8(a, b));
  let text = "{";
  for (const [name, member] of members) {
    if (text.length > 1) text += ",";
    text += `${writeText(name)}:${write(member, depth)}`;
  }
  return `${text}}`;
}

/** `JSON.stringify` escapes what C++ escapes, the same way, but for halves of surrogate pairs, which C++ refuses. */
function writeText(text: string): string {
  if (!text.isWellFormed()) throw new FormatError("Cannot write text as JSON: it holds half a surrogate pair");
  return JSON.stringify(text);
}

/**
 * Whole numbers in the range of C++ integers as they are; everything else with the shortest digits that read back the
 * same, in decimal notation for exponents from -4 to 14 and as `1.5e-07` beyond (nlohmann/detail/conversions/to_chars.hpp).
 */
function writeNumber(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  if (!Number.isFinite(value)) return "null";
  if (Number.isInteger(value) && value > -(2 ** 63) && value < 2 ** 64) return BigInt(value).toString();
  const [, sign, first, others = "", exponentText] = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(value.toExponential())!;
  const exponent = Number(exponentText);
  const digits = first + others;
  if (exponent < 0 && exponent >= -4) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  if (exponent >= 0 && exponent < 15 && digits.length > exponent + 1) {
    return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
  }
  const mantissa = others === "" ? first : `${first}.${others}`;
  return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
