/**
 * One object of a configuration that has already passed its schema, read by key with defaults.
 *
 * In: parsed JSON and its JSON pointer. Out: typed values; what is wrong with a value beyond its form is collected as
 * sentences. Knows nothing of which keys there are.
 */

import { assert, FormatError } from "../shared/assert.ts";
import { type Address, parseAddress, parseSizeBytes, parseTimeMs } from "./units.ts";

export type JsonObject = { readonly [key: string]: unknown };

export class ConfigSection {
  readonly #values: JsonObject;
  readonly #pointer: string;
  readonly #problems: string[];

  constructor(values: JsonObject, pointer: string, problems: string[]) {
    this.#values = values;
    this.#pointer = pointer;
    this.#problems = problems;
  }

  keys(): string[] {
    return Object.keys(this.#values);
  }

  has(key: string): boolean {
    return this.#value(key) !== undefined;
  }

  isNull(key: string): boolean {
    return this.#value(key) === null;
  }

  text(key: string, byDefault: string): string {
    const value = this.#value(key) ?? byDefault;
    assert(typeof value === "string", "The schema has checked that this is a string");
    return value;
  }

  /** One of the words that the schema allows. */
  word<Word extends string>(key: string, byDefault: Word): Word {
    return this.text(key, byDefault) as Word;
  }

  /** Undefined for what is absent, null or empty: CCF takes all three for "none" (src/host/run.cpp). */
  optionalText(key: string): string | undefined {
    const text = this.text(key, "");
    return text === "" ? undefined : text;
  }

  texts(key: string): readonly string[] {
    return this.#list(key).map((value) => {
      assert(typeof value === "string", "The schema has checked that this is a list of strings");
      return value;
    });
  }

  number(key: string, byDefault: number): number {
    const value = this.#value(key) ?? byDefault;
    assert(typeof value === "number", "The schema has checked that this is a number");
    return value;
  }

  flag(key: string, byDefault: boolean): boolean {
    const value = this.#value(key) ?? byDefault;
    assert(typeof value === "boolean", "The schema has checked that this is true or false");
    return value;
  }

  timeMs(key: string, byDefaultMs: number): number {
    return this.#parsed(key, parseTimeMs, byDefaultMs);
  }

  sizeBytes(key: string, byDefaultBytes: number): number {
    return this.#parsed(key, parseSizeBytes, byDefaultBytes);
  }

  address(key: string, byDefault: Address = { host: "", port: 0 }): Address {
    return this.#parsed(key, parseAddress, byDefault);
  }

  /** The object under a key, or an empty one. */
  section(key: string): ConfigSection {
    return new ConfigSection(asObject(this.#value(key) ?? {}), this.pointer(key), this.#problems);
  }

  /** A list of objects. */
  sections(key: string): ConfigSection[] {
    return this.#list(key).map((value, i) =>
      new ConfigSection(asObject(value), `${this.pointer(key)}/${i}`, this.#problems)
    );
  }

  /** A copy with these keys only, where present. */
  pick(keys: readonly string[]): JsonObject {
    return Object.fromEntries(keys.filter((key) => this.has(key)).map((key) => [key, this.#value(key)]));
  }

  pointer(key: string): string {
    return `${this.#pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  }

  /** Notes that a value cannot be used: "must be …". */
  problem(key: string, mustBe: string, value: unknown = this.#value(key)): void {
    this.#problems.push(`${this.#pointer}/${key} is ${shownValue(value)} and ${mustBe}`);
  }

  #value(key: string): unknown {
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }

  #list(key: string): readonly unknown[] {
    const value = this.#value(key) ?? [];
    assert(Array.isArray(value), "The schema has checked that this is a list");
    return value;
  }

  #parsed<Value>(key: string, parse: (text: string) => Value, byDefault: Value): Value {
    if (!this.has(key)) return byDefault;
    try {
      return parse(this.text(key, ""));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#problems.push(`${this.pointer(key)}: ${error.message}`);
      return byDefault;
    }
  }
}

/** A value in a message: as JSON, shortened. */
export function shownValue(value: unknown): string {
  const text = value === undefined ? "absent" : JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function asObject(value: unknown): JsonObject {
  assert(
    typeof value === "object" && value !== null && !Array.isArray(value),
    "The schema has checked that this is an object",
  );
  return value as JsonObject;
}
