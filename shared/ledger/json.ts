/**
 * JSON as the ledger's own tables hold it: objects read member by member, strings, and the way back.
 *
 * Written by C++, without spaces and with the members in ascending order of name; the callers list them so.
 * Format: ledger-and-receipts.md §10.1
 */

import { FormatError } from "../assert.ts";
import { fromBase64, fromHex, fromUtf8, toUtf8 } from "../bytes.ts";
import { MAX_SEQNO } from "../limits.ts";
import { parseTxId, type Seqno, type TxId } from "../tx_id.ts";

/** @throws FormatError */
export function parseJson(bytes: Uint8Array, subject: string): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    throw new FormatError(`Cannot read ${subject}: it is not JSON`);
  }
}

/** A value that is one JSON string. @throws FormatError */
export function parseJsonString(bytes: Uint8Array, subject: string): string {
  const value = parseJson(bytes, subject);
  if (typeof value !== "string") throw new FormatError(`Cannot read ${subject}: it is not a JSON string`);
  return value;
}

/** Members that are undefined are left out. */
export function serialiseJson(value: unknown): Uint8Array {
  return toUtf8(JSON.stringify(value));
}

/** An object whose members are asked for by name and type. Every method throws FormatError. Unknown members do not matter. */
export class JsonObject {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #subject: string;

  /** @param subject what is being read, for messages: "recovery shares" */
  constructor(value: unknown, subject: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FormatError(`Cannot read ${subject}: it is not a JSON object`);
    }
    this.#members = value as Readonly<Record<string, unknown>>;
    this.#subject = subject;
  }

  static parse(bytes: Uint8Array, subject: string): JsonObject {
    return new JsonObject(parseJson(bytes, subject), subject);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#members, name);
  }

  names(): string[] {
    return Object.keys(this.#members);
  }

  string(name: string): string {
    const value = this.#members[name];
    if (typeof value !== "string") throw this.#error(name, "a string");
    return value;
  }

  /** A non-negative integer: a seqno, a view, a count. */
  integer(name: string): Seqno {
    const value = this.#members[name];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > MAX_SEQNO) {
      throw this.#error(name, "a non-negative integer");
    }
    return value;
  }

  base64(name: string): Uint8Array {
    const text = this.string(name);
    return this.#decoded(name, "base64", () => fromBase64(text));
  }

  /** A digest or the like: exactly `length` bytes. */
  hex(name: string, length: number): Uint8Array {
    const bytes = this.#decoded(name, "hex", () => fromHex(this.string(name)));
    if (bytes.length !== length) throw this.#error(name, `${length} bytes in hex`);
    return bytes;
  }

  txId(name: string): TxId {
    const text = this.string(name);
    return this.#decoded(name, "a transaction ID", () => parseTxId(text));
  }

  object(name: string): JsonObject {
    return new JsonObject(this.#members[name], `${name} of ${this.#subject}`);
  }

  /** Reads `name` with one of the methods above if it is there and not null. */
  optional<T>(name: string, read: (name: string) => T): T | undefined {
    return this.#members[name] === undefined || this.#members[name] === null ? undefined : read.call(this, name);
  }

  #decoded<T>(name: string, form: string, decode: () => T): T {
    try {
      return decode();
    } catch {
      throw this.#error(name, form);
    }
  }

  #error(name: string, expected: string): FormatError {
    return new FormatError(`Cannot read ${this.#subject}: ${JSON.stringify(name)} is not ${expected}`);
  }
}
