/**
 * Checks that JSON has the shape a type says, as far as it is safe to use.
 *
 * In: parsed JSON. Out: the same value, typed; FormatError, with a JSON pointer, where it has another shape. Members
 * that no shape names are left as they are: newer and older writers have more of them.
 */

import { FormatError } from "./assert.ts";
import { toBase64 } from "./bytes.ts";

/** Answers `value`, which stands at the JSON pointer `at`, or throws FormatError. */
export type Shape<T> = (value: unknown, at: string) => T;

/** The type that a shape checks for. */
export type Of<S> = S extends Shape<infer T> ? T : never;

type Members = Readonly<Record<string, Shape<unknown>>>;

/** What `object(required, optional)` checks for. */
type ObjectOf<R extends Members, O extends Members> =
  & { readonly [K in keyof R]: Of<R[K]> }
  & { readonly [K in keyof O]?: Of<O[K]> };

export const anything: Shape<unknown> = (value) => value;

export const text: Shape<string> = (value, at) => typeof value === "string" ? value : refuse(at, "text");

export const boolean: Shape<boolean> = (value, at) => typeof value === "boolean" ? value : refuse(at, "true or false");

export const number: Shape<number> = (value, at) => typeof value === "number" ? value : refuse(at, "a number");

/** Whole, from 0 up to 2^53 - 1. */
export const unsigned: Shape<number> = (value, at) =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? value as number : refuse(at, "a whole number from 0");

/** Bytes in base64. Quirk: C++ also reads, and once wrote, an array of numbers; it is answered as base64 too. */
export const base64: Shape<string> = (value, at) => {
  if (typeof value === "string") return value;
  const isByte = (item: unknown) => Number.isInteger(item) && (item as number) >= 0 && (item as number) <= 255;
  if (!Array.isArray(value) || !value.every(isByte)) return refuse(at, "base64");
  return toBase64(Uint8Array.from(value));
};

export function oneOf<const T extends string>(...names: readonly T[]): Shape<T> {
  return (value, at) => names.find((name) => name === value) ?? refuse(at, `one of ${names.join(", ")}`);
}

export function listOf<T>(item: Shape<T>): Shape<readonly T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) return refuse(at, "an array");
    for (let i = 0; i < value.length; i++) value[i] = item(value[i], `${at}/${i}`);
    return value;
  };
}

/** An object whose members all have one shape, under any names. */
export function recordOf<T>(member: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return (value, at) => {
    const record = asObject(value, at);
    for (const name of Object.keys(record)) record[name] = member(record[name], `${at}/${name}`);
    return record as Record<string, T>;
  };
}

/** An optional member that is null is taken away, since C++ reads null as absent. */
export function object<R extends Members, O extends Members = Record<never, never>>(
  required: R,
  optional?: O,
): Shape<ObjectOf<R, O>> {
  return (value, at) => {
    const record = asObject(value, at);
    for (const name in required) record[name] = required[name]!(record[name], `${at}/${name}`);
    for (const name in optional) {
      const member = record[name];
      if (member === null) delete record[name];
      else if (member !== undefined) record[name] = optional[name]!(member, `${at}/${name}`);
    }
    return record as ObjectOf<R, O>;
  };
}

/** What has the first shape or else the second. */
export function either<A, B>(first: Shape<A>, second: Shape<B>): Shape<A | B> {
  return (value, at) => {
    try {
      return first(value, at);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return second(value, at);
    }
  };
}

/** Where a member must be there, and may be null. */
export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return (value, at) => value === null ? null : shape(value, at);
}

function asObject(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(at, "an object");
  return value as Record<string, unknown>;
}

/** Values are not quoted: some tables hold what should not be in a log. */
function refuse(at: string, expected: string): never {
  throw new FormatError(`Cannot read JSON at "${at}": it must be ${expected}`);
}
