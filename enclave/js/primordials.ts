/**
 * Functions that are taken from QuickJS before any script runs, so that no script can replace them.
 *
 * The host works with values through them: what a script does to `JSON` or to a prototype changes nothing here.
 */

/** The file name of JavaScript that belongs to the host; its frames are taken out of traces. */
export const HOST_FILE = "quorate:host";

/** The bytes under a typed array, as a buffer of their own; undefined for all else. A DataView is none of these. */
const VIEWED_BYTES = `((TypedArray) => {
  const { apply } = Reflect;
  const getter = (name) => Object.getOwnPropertyDescriptor(TypedArray.prototype, name).get;
  const kind = getter(Symbol.toStringTag), buffer = getter("buffer");
  const offset = getter("byteOffset"), length = getter("byteLength");
  const { slice } = ArrayBuffer.prototype;
  return (value) => {
    if (apply(kind, value, []) === undefined) return undefined;
    const start = apply(offset, value, []);
    return apply(slice, apply(buffer, value, []), [start, start + apply(length, value, [])]);
  };
})(Object.getPrototypeOf(Uint8Array))`;

/** By the name under which `Machine.call` knows them: an expression each. */
export const PRIMORDIALS = {
  TypeError: "TypeError",
  RangeError: "RangeError",
  InternalError: "InternalError",
  parse: "JSON.parse",
  stringify: "JSON.stringify",
  newArrayBuffer: "(length) => new ArrayBuffer(length)",
  isFunction: "(value) => typeof value === 'function'",
  toNumber: "(value) => +value",
  keys: "Object.keys",
  ownKeys: "Reflect.ownKeys",
  viewedBytes: VIEWED_BYTES,
  setMember: "(object, name, value) => { object[name] = value; }",
} as const;
export type Primordial = keyof typeof PRIMORDIALS;
