/**
 * WebAssembly put together by hand: instructions as bytes, and the module around them.
 *
 * In: what functions do. Out: the bytes of a module with one memory. Knows nothing of what is computed.
 * Format: WebAssembly Core Specification 2.0 §5
 */

/** Instructions, as the bytes of a function's body. An expression leaves one value on the stack. */
export type Code = readonly number[];

export const I32 = 0x7f;
/** 128 bits that instructions treat as lanes of some width. */
export const V128 = 0x7b;
type ValueType = typeof I32 | typeof V128;

export const get = (local: number): Code => [0x20, ...unsignedLeb(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsignedLeb(local)];
export const constant = (value: number): Code => [0x41, ...signedLeb(value | 0)];
export const load = (address: Code, offset: number): Code => [...address, 0x28, 2, ...unsignedLeb(offset)];
export const store = (address: Code, offset: number, value: Code): Code => [
  ...address,
  ...value,
  0x36,
  2,
  ...unsignedLeb(offset),
];

/** Joins any number of operands by an instruction that takes two. */
export const binary = (...opcode: number[]) => (first: Code, ...rest: Code[]): Code =>
  rest.reduce((left, right) => [...left, ...right, ...opcode], first);
export const less = binary(0x49);
export const add = binary(0x6a);
export const and = binary(0x71);
export const or = binary(0x72);
export const xor = binary(0x73);

/** Runs the body, and again while the condition holds behind it. */
export const repeat = (body: Code, condition: Code): Code => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b];

export interface WasmFunction {
  readonly name: string;
  /** How many i32 it takes; it returns nothing. */
  readonly parameters: number;
  /** Behind the parameters. */
  readonly locals: readonly { readonly count: number; readonly type: ValueType }[];
  readonly body: Code;
}

/** A module of some functions and a memory of so many pages of 64 KiB, no more; all are exported. */
export function moduleBytes(functions: readonly WasmFunction[], pages: number): Uint8Array<ArrayBuffer> {
  const sized = (body: Code): Code => [...unsignedLeb(body.length), ...body];
  const list = (items: readonly Code[]): Code => [...unsignedLeb(items.length), ...items.flat()];
  const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
  const name = (text: string): Code => sized([...text].map((letter) => letter.charCodeAt(0)));
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, functions.map(({ parameters }) => [0x60, parameters, ...new Array(parameters).fill(I32), 0])),
    ...section(3, functions.map((_, i) => [i])),
    ...section(5, [[1, pages, pages]]),
    ...section(7, [[...name("memory"), 2, 0], ...functions.map((each, i) => [...name(each.name), 0, i])]),
    ...section(
      10,
      functions.map(({ locals, body }) =>
        sized([...list(locals.map(({ count, type }) => [...unsignedLeb(count), type])), ...body, 0x0b])
      ),
    ),
  ]);
}

export function unsignedLeb(value: number): Code {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...unsignedLeb(value >>> 7)];
}

export function signedLeb(value: number): Code {
  const fits = value >= -0x40 && value < 0x40;
  return fits ? [value & 0x7f] : [value & 0x7f | 0x80, ...signedLeb(value >> 7)];
}
