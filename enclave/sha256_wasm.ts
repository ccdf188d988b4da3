/**
 * SHA-256 and HMAC-SHA256 of short messages, by WebAssembly that is put together here.
 *
 * In: a message of at most `MAX_SHORT_MESSAGE_BYTES`. Out: its digest.
 * Knows nothing of what is hashed. Not for the browser's page, whose policy need not allow WebAssembly.
 * Format: FIPS 180-4 §5 and §6.2, RFC 2104; WebAssembly Core Specification 2.0 §5
 *
 * Each transaction hashes five or six messages of 64 to 400 bytes, and libraries spend as long on their own calls and
 * small arrays as on the rounds. Here a message is copied in, one call runs the rounds, the digest is copied out.
 * Measured with Deno 2.9 (microseconds, medians of interleaved runs):
 *
 *     message        64 B   96 B  240 B  400 B   HMAC of 8 B
 *     this           0.71   0.74   0.98   1.32   1.0
 *     hash-wasm      0.89   0.95   1.20   1.61   2.1
 *     @noble/hashes  1.53   1.72   2.11   2.90   2.7
 *     node:crypto    1.44   1.59   1.46   1.76   5.1
 *
 * Of this, 0.2 is the array of the result, and 0.13 is each block of 64 bytes.
 */

import { assert } from "../shared/assert.ts";
import {
  add,
  and,
  binary,
  type Code,
  constant,
  get,
  I32,
  less,
  load,
  moduleBytes,
  or,
  repeat,
  set,
  store,
  xor,
} from "./wasm_code.ts";

/** Above this, `node:crypto` hashes faster: it uses the processor's own instructions. */
export const MAX_SHORT_MESSAGE_BYTES = 768;

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;

/** Where things stand in the module's memory. Chaining values are kept as FIPS 180-4 prints them, big-endian. */
const INITIAL_AT = 0;
const KEYED_AT = 32;
const DIGEST_AT = 64;
const BEFORE_AT = 96;
const CONSTANTS_AT = 128;
const MESSAGE_AT = 384;

export interface ShortSha256 {
  /** @param into where the digest is written; without it, in a new array */
  sha256(message: Uint8Array, into?: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array): (message: Uint8Array, into?: Uint8Array) => Uint8Array;
}

/** A fresh instance; calls of different instances do not touch each other's memory. */
export function createShortSha256(): ShortSha256 {
  const { memory, compress } = instantiate();
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  squareRootFractions().forEach((word, i) => view.setUint32(INITIAL_AT + 4 * i, word));
  cubeRootFractions().forEach((word, i) => view.setUint32(CONSTANTS_AT + 4 * i, word, true));

  /** Pads the message that stands in memory (FIPS 180-4 §5.1.1) and compresses it, from one chaining value to another. */
  function finish(fromAt: number, length: number, lengthBefore: number, toAt: number): void {
    const end = MESSAGE_AT + length;
    const blocks = (length + 1 + 8 + BLOCK_BYTES - 1) >>> 6;
    const paddedEnd = MESSAGE_AT + blocks * BLOCK_BYTES;
    bytes[end] = 0x80;
    bytes.fill(0, end + 1, paddedEnd - 4);
    view.setUint32(paddedEnd - 4, (lengthBefore + length) * 8);
    compress(fromAt, paddedEnd, toAt);
  }

  const last = bytes.subarray(DIGEST_AT, DIGEST_AT + DIGEST_BYTES);
  function digest(into: Uint8Array | undefined): Uint8Array {
    if (into === undefined) return last.slice();
    into.set(last);
    return into;
  }

  function put(message: Uint8Array): void {
    assert(message.length <= MAX_SHORT_MESSAGE_BYTES, "A message hashed here is short");
    bytes.set(message, MESSAGE_AT);
  }

  function sha256(message: Uint8Array, into?: Uint8Array): Uint8Array {
    put(message);
    finish(INITIAL_AT, message.length, 0, DIGEST_AT);
    return digest(into);
  }

  /** The chaining value behind one block that the key and a constant make. */
  function keyedState(key: Uint8Array, pad: number): Uint8Array {
    const block = new Uint8Array(BLOCK_BYTES).fill(pad);
    key.forEach((byte, i) => block[i]! ^= byte);
    put(block);
    compress(INITIAL_AT, MESSAGE_AT + BLOCK_BYTES, DIGEST_AT);
    return digest(undefined);
  }

  return {
    sha256,
    hmacSha256(key) {
      const shortKey = key.length > BLOCK_BYTES ? sha256(key) : key;
      const inner = keyedState(shortKey, 0x36);
      const outer = keyedState(shortKey, 0x5c);
      return (message, into) => {
        put(message);
        bytes.set(inner, KEYED_AT);
        finish(KEYED_AT, message.length, BLOCK_BYTES, MESSAGE_AT);
        bytes.set(outer, KEYED_AT);
        finish(KEYED_AT, DIGEST_BYTES, BLOCK_BYTES, DIGEST_AT);
        return digest(into);
      };
    },
  };
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  /** Runs the rounds over the blocks from MESSAGE_AT to `endAt`, at least one. */
  compress(fromAt: number, endAt: number, toAt: number): void;
}

let compiled: WebAssembly.Module | undefined;

function instantiate(): Exports {
  compiled ??= new WebAssembly.Module(
    moduleBytes(
      [{ name: "compress", parameters: 3, locals: [{ count: LOCALS, type: I32 }], body: compressBody() }],
      1,
    ),
  );
  return new WebAssembly.Instance(compiled).exports as unknown as Exports;
}

const shiftRight = (value: Code, bits: number): Code => binary(0x76)(value, constant(bits));
const rotateRight = (value: Code, bits: number): Code => binary(0x78)(value, constant(bits));

/** The bytes of a word the other way round: memory is little-endian, SHA-256 is not. */
const swapped = (word: Code): Code =>
  or(
    and(rotateRight(word, 24), constant(0x00ff00ff)),
    and(rotateRight(word, 8), constant(0xff00ff00)),
  );

/** Locals: the three parameters, then what the rounds work on. */
const FROM = 0;
const END = 1;
const TO = 2;
const BLOCK = 3;
const CONSTANTS = 4;
const A_XOR_B = 5;
const B_XOR_C = 6;
const STATE = 7;
const SCHEDULE = 15;
const LOCALS = 28; // all but the parameters

/** FIPS 180-4 §6.2.2 over the blocks from MESSAGE_AT to END, from one chaining value to another. */
function compressBody(): Code {
  return [
    ...eight((i) => set(STATE + i, swapped(load(get(FROM), 4 * i)))),
    ...set(BLOCK, constant(MESSAGE_AT)),
    ...repeat(
      [
        // Kept in memory and not in locals, of which there are too many for the registers already.
        ...eight((i) => store(constant(BEFORE_AT), 4 * i, get(STATE + i))),
        ...set(B_XOR_C, xor(get(STATE + 1), get(STATE + 2))),
        ...set(CONSTANTS, constant(CONSTANTS_AT)),
        ...sixteenRounds((t) => set(SCHEDULE + t, swapped(load(get(BLOCK), 4 * t)))),
        // All 64 rounds in a row would not fit the processor's cache of decoded instructions.
        ...repeat(
          [
            ...set(CONSTANTS, add(get(CONSTANTS), constant(64))),
            ...sixteenRounds((t) => set(SCHEDULE + t, nextOfSchedule(t))),
          ],
          less(get(CONSTANTS), constant(CONSTANTS_AT + 3 * 64)),
        ),
        ...eight((i) => set(STATE + i, add(get(STATE + i), load(constant(BEFORE_AT), 4 * i)))),
        ...set(BLOCK, add(get(BLOCK), constant(BLOCK_BYTES))),
      ],
      less(get(BLOCK), get(END)),
    ),
    ...eight((i) => store(get(TO), 4 * i, swapped(get(STATE + i)))),
  ];
}

/** Rounds t to t + 15, for any t that is a multiple of 16. */
function sixteenRounds(setWord: (t: number) => Code): Code {
  return Array.from({ length: 16 }, (_, t) => [...setWord(t), ...round(t)]).flat();
}

/** W_t of the word 16 places before, in its place. */
function nextOfSchedule(t: number): Code {
  const back = (places: number) => get(SCHEDULE + ((t - places) & 15));
  const sigma0 = xor(rotateRight(back(15), 7), rotateRight(back(15), 18), shiftRight(back(15), 3));
  const sigma1 = xor(rotateRight(back(2), 17), rotateRight(back(2), 19), shiftRight(back(2), 10));
  return add(add(back(16), sigma0), add(back(7), sigma1));
}

/** Instead of moving a to b, b to c and so on after each round, the names move over the locals. */
function round(t: number): Code {
  const named = (letter: number) => STATE + ((letter - t) & 7);
  const [a, b, d, e, f, g, h] = [named(0), named(1), named(3), named(4), named(5), named(6), named(7)];
  const sum1 = xor(rotateRight(get(e), 6), rotateRight(get(e), 11), rotateRight(get(e), 25));
  const choice = xor(get(g), and(get(e), xor(get(f), get(g))));
  const sum0 = xor(rotateRight(get(a), 2), rotateRight(get(a), 13), rotateRight(get(a), 22));
  // Maj(a, b, c) differs from b where both a and c do; and this round's a ⊕ b is the next one's b ⊕ c.
  const majority = xor(get(b), and(get(A_XOR_B), get(B_XOR_C)));
  return [
    ...set(h, add(get(h), load(get(CONSTANTS), 4 * t), get(SCHEDULE + t), sum1, choice)),
    ...set(d, add(get(d), get(h))),
    ...set(A_XOR_B, xor(get(a), get(b))),
    ...set(h, add(get(h), sum0, majority)),
    ...set(B_XOR_C, get(A_XOR_B)),
  ];
}

function eight(code: (i: number) => Code): Code {
  return [0, 1, 2, 3, 4, 5, 6, 7].flatMap(code);
}

/** The constants of FIPS 180-4 §4.2.2 and §5.3.3: 32 bits behind the point of roots of the first primes. */
function cubeRootFractions(): number[] {
  return firstPrimes(64).map((prime) => fraction(Math.cbrt(prime)));
}

function squareRootFractions(): number[] {
  return firstPrimes(8).map((prime) => fraction(Math.sqrt(prime)));
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}

function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32);
}
