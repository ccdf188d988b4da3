/**
 * AES-256-GCM of short messages, by WebAssembly that is put together here.
 *
 * In: key, IV, additional data and a text of together at most `MAX_SHORT_GCM_BYTES`. Out: the text sealed, or opened.
 * Knows nothing of what is sealed. Not for the browser's page, whose policy need not allow WebAssembly.
 * Format: FIPS 197; NIST SP 800-38D. AES is computed on bits and not by tables, so that its time depends on nothing
 * secret: plane k of the state has bit k of each byte of eight blocks, byte i of it being byte i of all eight, one bit a
 * block (Käsper and Schwabe, CHES 2009, "Faster and Timing-Attack Resistant AES-GCM"); its S-box is the 115 gates of
 * Boyar and Peralta (SEA 2010, "A New Combinational Logic Minimization Technique with Applications to Cryptology").
 *
 * Each transaction is sealed once, and opened once on every other node. For each message `node:crypto` makes an object with
 * the state of a stream, and five arrays; an array is four allocations, and they cost more than the cipher. Measured with
 * Deno 2.9 (microseconds of processor time to seal so much additional data and text):
 *
 *     bytes         193 + 0   193 + 86   400 + 400
 *     this              2.5        3.1         6.7
 *     node:crypto       5.4        6.1         6.9
 *
 * and in a node under load, where those allocations are collected and contended for, 5 less than with `node:crypto`.
 */

import { assert } from "../shared/assert.ts";
import { equalBytes } from "../shared/bytes.ts";
import { GCM_KEY_BYTES, GCM_TAG_BYTES } from "../shared/crypto/aes_gcm.ts";
import type { Sealed } from "../shared/crypto/primitives.ts";
import {
  add,
  binary,
  type Code,
  constant,
  get,
  I32,
  less,
  moduleBytes,
  repeat,
  set,
  unsignedLeb,
  V128,
} from "./wasm_code.ts";

/** Additional data and text together. Above this `node:crypto` is faster: it uses the processor's own instructions. */
export const MAX_SHORT_GCM_BYTES = 1024;

const BLOCK_BYTES = 16;
/** Blocks that are encrypted at once, one for each bit of a byte. */
const PASS_BYTES = 8 * BLOCK_BYTES;
const ROUNDS = 14;
const ROUND_KEYS_BYTES = (ROUNDS + 1) * PASS_BYTES;
/** H · x^i for the 128 powers. */
const TABLE_BYTES = 128 * BLOCK_BYTES;
const SLOT_BYTES = ROUND_KEYS_BYTES + TABLE_BYTES;
/** Keys that are kept ready: the ledger's, and those between this node and others. */
export const MAX_GCM_KEYS = 64;

/** Where things stand in the module's memory. */
const COUNTER_AT = 0;
const HASH_AT = COUNTER_AT + BLOCK_BYTES;
const LENGTHS_AT = HASH_AT + BLOCK_BYTES;
/** Additional data, padded with zeros to whole blocks. */
const ADDITIONAL_AT = 128;
const PADDED_BYTES = MAX_SHORT_GCM_BYTES + PASS_BYTES;
/** A block of zeros, then the text, padded alike: what the counters make of the zeros masks the tag. */
const TEXT_AT = ADDITIONAL_AT + PADDED_BYTES;
const SLOTS_AT = TEXT_AT + PADDED_BYTES + PASS_BYTES;
const PAGES = Math.ceil((SLOTS_AT + MAX_GCM_KEYS * SLOT_BYTES) / 65536);

export interface ShortAesGcm {
  /** As `Primitives.gcmSeal`. */
  seal(
    key: Uint8Array,
    iv: Uint8Array,
    additionalData: Uint8Array,
    plaintext: Uint8Array,
    into?: Sealed,
  ): Sealed;
  /** As `Primitives.gcmOpen`. */
  open(
    key: Uint8Array,
    iv: Uint8Array,
    additionalData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Uint8Array | undefined;
}

interface Slot {
  readonly key: Uint8Array;
  readonly roundKeysAt: number;
  readonly tableAt: number;
}

/** A fresh instance; calls of different instances do not touch each other's memory. It remembers its last keys. */
export function createShortAesGcm(): ShortAesGcm {
  const { memory, encrypt, hash } = instantiate();
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  const slots: Slot[] = [];
  let nextSlot = 0;

  function slotOf(key: Uint8Array): Slot {
    for (let i = 0; i < slots.length; i++) if (equalBytes(slots[i]!.key, key)) return slots[i]!;
    const roundKeysAt = SLOTS_AT + nextSlot * SLOT_BYTES;
    const slot = { key: key.slice(), roundKeysAt, tableAt: roundKeysAt + ROUND_KEYS_BYTES };
    writeRoundKeys(bytes, roundKeysAt, key);
    bytes.fill(0, COUNTER_AT, COUNTER_AT + BLOCK_BYTES);
    bytes.fill(0, TEXT_AT, TEXT_AT + BLOCK_BYTES);
    encrypt(roundKeysAt, TEXT_AT, TEXT_AT + PASS_BYTES);
    writeTable(bytes, slot.tableAt, bytes.slice(TEXT_AT, TEXT_AT + BLOCK_BYTES));
    slots[nextSlot] = slot;
    nextSlot = (nextSlot + 1) % MAX_GCM_KEYS;
    return slot;
  }

  /** Puts bytes into memory with zeros up to a whole block. @returns where that block ends */
  function put(part: Uint8Array, at: number): number {
    bytes.set(part, at);
    return pad(at + part.length, at);
  }

  function pad(end: number, start: number): number {
    const paddedEnd = start + ((end - start + BLOCK_BYTES - 1) & -BLOCK_BYTES);
    for (let i = end; i < paddedEnd; i++) bytes[i] = 0;
    return paddedEnd;
  }

  function putLengths(additionalBytes: number, textBytes: number): void {
    view.setUint32(LENGTHS_AT + 4, 8 * additionalBytes);
    view.setUint32(LENGTHS_AT + 12, 8 * textBytes);
  }

  /** The first counter block (SP 800-38D §7.1 step 2). */
  function putFirstCounter(iv: Uint8Array, { tableAt }: Slot): void {
    if (iv.length === 12) {
      bytes.set(iv, COUNTER_AT);
      view.setUint32(COUNTER_AT + 12, 1, false);
      return;
    }
    bytes.fill(0, HASH_AT, HASH_AT + BLOCK_BYTES);
    hash(tableAt, ADDITIONAL_AT, put(iv, ADDITIONAL_AT));
    putLengths(0, iv.length);
    hash(tableAt, LENGTHS_AT, LENGTHS_AT + BLOCK_BYTES);
    bytes.copyWithin(COUNTER_AT, HASH_AT, HASH_AT + BLOCK_BYTES);
  }

  /** Hashes additional data and the ciphertext that stands in memory up to `textEnd` (§6.4, §7.1 step 5). */
  function hashAll(slot: Slot, additionalData: Uint8Array, textBytes: number, textEnd: number): void {
    bytes.fill(0, HASH_AT, HASH_AT + BLOCK_BYTES);
    if (additionalData.length > 0) hash(slot.tableAt, ADDITIONAL_AT, put(additionalData, ADDITIONAL_AT));
    if (textBytes > 0) hash(slot.tableAt, TEXT_AT + BLOCK_BYTES, textEnd);
    putLengths(additionalData.length, textBytes);
    hash(slot.tableAt, LENGTHS_AT, LENGTHS_AT + BLOCK_BYTES);
  }

  /** @returns where the text ends, in memory and padded */
  function putText(text: Uint8Array): number {
    bytes.fill(0, TEXT_AT, TEXT_AT + BLOCK_BYTES);
    return put(text, TEXT_AT + BLOCK_BYTES);
  }

  return {
    seal(key, iv, additionalData, plaintext, into) {
      const slot = slotOf(key);
      putFirstCounter(iv, slot);
      const textEnd = putText(plaintext);
      encrypt(slot.roundKeysAt, TEXT_AT, textEnd);
      const end = TEXT_AT + BLOCK_BYTES + plaintext.length;
      hashAll(slot, additionalData, plaintext.length, pad(end, TEXT_AT));
      for (let i = 0; i < GCM_TAG_BYTES; i++) bytes[TEXT_AT + i]! ^= bytes[HASH_AT + i]!;
      const ciphertext = bytes.subarray(TEXT_AT + BLOCK_BYTES, end);
      const tag = bytes.subarray(TEXT_AT, TEXT_AT + GCM_TAG_BYTES);
      if (into === undefined) return { ciphertext: ciphertext.slice(), tag: tag.slice() };
      into.ciphertext.set(ciphertext);
      into.tag.set(tag);
      return into;
    },

    open(key, iv, additionalData, ciphertext, tag) {
      const slot = slotOf(key);
      putFirstCounter(iv, slot);
      const textEnd = putText(ciphertext);
      hashAll(slot, additionalData, ciphertext.length, textEnd);
      encrypt(slot.roundKeysAt, TEXT_AT, textEnd);
      let difference = 0;
      for (let i = 0; i < GCM_TAG_BYTES; i++) difference |= bytes[TEXT_AT + i]! ^ bytes[HASH_AT + i]! ^ tag[i]!;
      if (difference !== 0) return undefined;
      return bytes.slice(TEXT_AT + BLOCK_BYTES, TEXT_AT + BLOCK_BYTES + ciphertext.length);
    },
  };
}

/** The key schedule (FIPS 197 §5.2), each round key as planes of eight blocks that are alike. */
function writeRoundKeys(memory: Uint8Array, at: number, key: Uint8Array): void {
  assert(key.length === GCM_KEY_BYTES, "AES-256 takes a 32-byte key");
  const words = new Uint8Array((ROUNDS + 1) * BLOCK_BYTES);
  words.set(key);
  let constantOfRound = 1;
  for (let i = GCM_KEY_BYTES; i < words.length; i += 4) {
    let word = [...words.subarray(i - 4, i)];
    if (i % GCM_KEY_BYTES === 0) {
      word = [word[1]!, word[2]!, word[3]!, word[0]!].map(substituted);
      word[0]! ^= constantOfRound;
      constantOfRound = timesX(constantOfRound);
    } else if (i % GCM_KEY_BYTES === GCM_KEY_BYTES / 2) word = word.map(substituted);
    for (let b = 0; b < 4; b++) words[i + b] = words[i + b - GCM_KEY_BYTES]! ^ word[b]!;
  }
  for (let i = 0; i < words.length; i++) {
    const round = Math.floor(i / BLOCK_BYTES);
    // The S-box of the rounds leaves its constant away, which goes unchanged through all that is between it and the key.
    const byte = words[i]! ^ (round === 0 ? 0 : SUBSTITUTION_CONSTANT);
    for (let plane = 0; plane < 8; plane++) {
      memory[at + round * PASS_BYTES + plane * BLOCK_BYTES + i % BLOCK_BYTES] = -(byte >> plane & 1);
    }
  }
}

const SUBSTITUTION_CONSTANT = 0x63;

/** The S-box of one byte by its definition (FIPS 197 §5.1.1), in a time that does not depend on it. */
function substituted(byte: number): number {
  let inverse = 1; // x^254, which is x^2 · x^4 · … · x^128, and 0 for 0
  for (let i = 1, power = byte; i < 8; i++) {
    power = product(power, power);
    inverse = product(inverse, power);
  }
  let result = SUBSTITUTION_CONSTANT;
  for (let turn = 0; turn < 5; turn++) result ^= (inverse << turn | inverse >> 8 - turn) & 0xff;
  return result;
}

function product(a: number, b: number): number {
  let sum = 0;
  for (let bit = 7; bit >= 0; bit--) sum = timesX(sum) ^ a & -(b >> bit & 1);
  return sum;
}

function timesX(byte: number): number {
  return byte << 1 & 0xff ^ 0x1b & -(byte >> 7);
}

/** H · x^i: a shift to the right, since the first bit belongs to the lowest power (SP 800-38D §6.3). */
function writeTable(memory: Uint8Array, at: number, hashKey: Uint8Array): void {
  const value = hashKey.slice();
  for (let i = 0; i < 128; i++) {
    memory.set(value, at + i * BLOCK_BYTES);
    const last = value[BLOCK_BYTES - 1]! & 1;
    for (let b = BLOCK_BYTES - 1; b > 0; b--) value[b] = value[b]! >> 1 | value[b - 1]! << 7;
    value[0] = value[0]! >> 1 ^ 0xe1 & -last;
  }
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  /** Adds the key stream to the bytes from `at` on, in passes of eight blocks until `end` is reached. */
  encrypt(roundKeysAt: number, at: number, end: number): void;
  /** Takes blocks into the hash at HASH_AT. */
  hash(tableAt: number, at: number, end: number): void;
}

let compiled: WebAssembly.Module | undefined;

function instantiate(): Exports {
  compiled ??= new WebAssembly.Module(moduleBytes(
    [
      { name: "encrypt", parameters: 3, locals: ENCRYPT_LOCALS, body: encryptBody() },
      { name: "hash", parameters: 3, locals: HASH_LOCALS, body: hashBody() },
    ],
    PAGES,
  ));
  return new WebAssembly.Instance(compiled).exports as unknown as Exports;
}

const loadV = (address: Code, offset: number): Code => [...address, 0xfd, 0x00, 4, ...unsignedLeb(offset)];
const storeV = (address: Code, offset: number, value: Code): Code => [
  ...address,
  ...value,
  0xfd,
  0x0b,
  4,
  ...unsignedLeb(offset),
];
const andV = binary(0xfd, 0x4e);
const xorV = binary(0xfd, 0x51);
const equalBytesV = binary(0xfd, 0x23);
/** Sixteen times the same byte. */
const bytesV = (byte: number): Code => [0xfd, 0x0c, ...new Array(16).fill(byte)];
/** Byte i becomes byte `from(i)`. */
const shuffle = (value: Code, from: (i: number) => number): Code => [
  ...value,
  ...value,
  0xfd,
  0x0d,
  ...Array.from({ length: 16 }, (_, i) => from(i)),
];
/** Shifts of both halves; what crosses from one byte to the next is masked away. */
const shiftLeft = (value: Code, bits: number): Code => [...value, ...constant(bits), 0xfd, 0xcb, 1];
const shiftRight = (value: Code, bits: number): Code => [...value, ...constant(bits), 0xfd, 0xcd, 1];

const KEYS = 0;
const AT = 1;
const END = 2;
const KEY = 3;
const KEYS_END = 4;
const PLANES = 5;
const OTHERS = 13;
const COUNTER = 21;
const TEMPORARY = 22;
const GATES = 23;
/** Gates of the S-box but for the eight that are its output. */
const INNER_GATES = 107;
const ENCRYPT_LOCALS = [{ count: 2, type: I32 }, { count: GATES - PLANES + INNER_GATES, type: V128 }] as const;

/** Byte i of the state is row i mod 4 of column i div 4 (FIPS 197 §3.4). */
const row = (i: number) => i & 3;
const column = (i: number) => i >> 2;
const rowsShifted = (i: number) => 4 * (column(i) + row(i) & 3) + row(i);
const nextRow = (i: number) => 4 * column(i) + (row(i) + 1 & 3);
const rowAfterNext = (i: number) => 4 * column(i) + (row(i) + 2 & 3);

function encryptBody(): Code {
  return [
    ...set(KEYS_END, add(get(KEYS), constant(ROUNDS * PASS_BYTES))),
    // The last four bytes are a big-endian number that counts up.
    ...set(COUNTER, shuffle(loadV(constant(COUNTER_AT), 0), reversedInLastWord)),
    ...repeat(
      [
        ...eight((i) => set(PLANES + i, shuffle(plusInLastWord(get(COUNTER), i), reversedInLastWord))),
        ...set(COUNTER, plusInLastWord(get(COUNTER), 8)),
        ...transpose(),
        ...addRoundKey(get(KEYS)),
        ...set(KEY, add(get(KEYS), constant(PASS_BYTES))),
        ...repeat(
          [
            ...substitute(),
            ...mixColumns(),
            ...addRoundKey(get(KEY)),
            ...set(KEY, add(get(KEY), constant(PASS_BYTES))),
          ],
          less(get(KEY), get(KEYS_END)),
        ),
        ...substitute(),
        ...eight((i) => set(PLANES + i, shuffle(get(OTHERS + i), rowsShifted))),
        ...addRoundKey(get(KEYS_END)),
        ...transpose(),
        ...eight((i) => storeV(get(AT), 16 * i, xorV(loadV(get(AT), 16 * i), get(PLANES + i)))),
        ...set(AT, add(get(AT), constant(PASS_BYTES))),
      ],
      less(get(AT), get(END)),
    ),
  ];
}

function reversedInLastWord(i: number): number {
  return i < 12 ? i : 12 + 15 - i;
}

function plusInLastWord(value: Code, count: number): Code {
  const addWords = binary(0xfd, 0xae, 1);
  return addWords(value, [0xfd, 0x0c, ...new Array(12).fill(0), count, 0, 0, 0]);
}

/** Blocks to planes and back: bit k of byte i of block j changes places with bit j of byte i of block k. */
function transpose(): Code {
  return ([[1, 0x55], [2, 0x33], [4, 0x0f]] as const).flatMap(([distance, mask]) =>
    eight((i) => {
      if ((i & distance) !== 0) return [];
      const low = PLANES + i;
      const high = PLANES + i + distance;
      return [
        ...set(TEMPORARY, andV(xorV(shiftRight(get(low), distance), get(high)), bytesV(mask))),
        ...set(high, xorV(get(high), get(TEMPORARY))),
        ...set(low, xorV(get(low), shiftLeft(get(TEMPORARY), distance))),
      ];
    })
  );
}

function addRoundKey(key: Code): Code {
  return eight((i) => set(PLANES + i, xorV(get(PLANES + i), loadV(key, 16 * i))));
}

/** From OTHERS to PLANES: rows shifted, then columns mixed (FIPS 197 §5.1.2, §5.1.3). */
function mixColumns(): Code {
  const next = GATES;
  const sum = GATES + 8;
  return [
    ...eight((k) => set(next + k, shuffle(get(OTHERS + k), (i) => rowsShifted(nextRow(i))))),
    // Of a byte and that of the next row: 2a + 3b + c + d is 2(a + b) + b + (c + d).
    ...eight((k) => set(sum + k, xorV(shuffle(get(OTHERS + k), rowsShifted), get(next + k)))),
    ...eight((k) => {
      const doubled = [...(k === 0 ? [] : [get(sum + k - 1)]), ...(POLYNOMIAL >> k & 1 ? [get(sum + 7)] : [])];
      return set(PLANES + k, xorV(get(next + k), shuffle(get(sum + k), rowAfterNext), ...doubled));
    }),
  ];
}

/** x^8 of the field of AES is this. */
const POLYNOMIAL = 0x1b;

/**
 * The S-box without its constant: "+" is XOR, "*" is AND. x0 is the highest bit of the input, s0 of the output. All
 * 256 values are compared with `substituted` in a test of the whole.
 */
const SUBSTITUTION = `
  y14=x3+x5 y13=x0+x6 y9=x0+x3 y8=x0+x5 t0=x1+x2 y1=t0+x7 y4=y1+x3 y12=y13+y14 y2=y1+x0 y5=y1+x6 y3=y5+y8 t1=x4+y12
  y15=t1+x5 y20=t1+x1 y6=y15+x7 y10=y15+t0 y11=y20+y9 y7=x7+y11 y17=y10+y11 y19=y10+y8 y16=t0+y11 y21=y13+y16 y18=x0+y16
  t2=y12*y15 t3=y3*y6 t4=t3+t2 t5=y4*x7 t6=t5+t2 t7=y13*y16 t8=y5*y1 t9=t8+t7 t10=y2*y7 t11=t10+t7 t12=y9*y11
  t13=y14*y17 t14=t13+t12 t15=y8*y10 t16=t15+t12 t17=t4+t14 t18=t6+t16 t19=t9+t14 t20=t11+t16 t21=t17+y20 t22=t18+y19
  t23=t19+y21 t24=t20+y18 t25=t21+t22 t26=t21*t23 t27=t24+t26 t28=t25*t27 t29=t28+t22 t30=t23+t24 t31=t22+t26
  t32=t31*t30 t33=t32+t24 t34=t23+t33 t35=t27+t33 t36=t24*t35 t37=t36+t34 t38=t27+t36 t39=t29*t38 t40=t25+t39
  t41=t40+t37 t42=t29+t33 t43=t29+t40 t44=t33+t37 t45=t42+t41
  z0=t44*y15 z1=t37*y6 z2=t33*x7 z3=t43*y16 z4=t40*y1 z5=t29*y7 z6=t42*y11 z7=t45*y17 z8=t41*y10 z9=t44*y12 z10=t37*y3
  z11=t33*y4 z12=t43*y13 z13=t40*y5 z14=t29*y2 z15=t42*y9 z16=t45*y14 z17=t41*y8
  t46=z15+z16 t47=z10+z11 t48=z5+z13 t49=z9+z10 t50=z2+z12 t51=z2+z5 t52=z7+z8 t53=z0+z3 t54=z6+z7 t55=z16+z17
  t56=z12+t48 t57=t50+t53 t58=z4+t46 t59=z3+t54 t60=t46+t57 t61=z14+t57 t62=t52+t58 t63=t49+t58 t64=z4+t59 t65=t61+t62
  t66=z1+t63 s0=t59+t63 s6=t56+t62 s7=t48+t60 t67=t64+t65 s3=t53+t66 s4=t51+t66 s5=t47+t65 s1=t64+s3 s2=t55+t67`;

/** From PLANES to OTHERS, gate by gate. */
function substitute(): Code {
  const locals = new Map<string, number>();
  for (let i = 0; i < 8; i++) {
    locals.set(`x${i}`, PLANES + 7 - i);
    locals.set(`s${i}`, OTHERS + 7 - i);
  }
  return SUBSTITUTION.trim().split(/\s+/).flatMap((gate) => {
    const [, result, left, operation, right] = /^(\w+)=(\w+)([+*])(\w+)$/.exec(gate)!;
    const operands = [get(locals.get(left!)!), get(locals.get(right!)!)] as const;
    if (!locals.has(result!)) locals.set(result!, GATES + locals.size - 16);
    return set(locals.get(result!)!, operation === "+" ? xorV(...operands) : andV(...operands));
  });
}

const TABLE = 0;
const SUM = 3;
const BLOCK = 4;
const BYTE = 5;
const HASH_LOCALS = [{ count: 3, type: V128 }] as const;

/** For each block: the sum of those H · x^i whose bit is set in the block and the hash before (SP 800-38D §6.4). */
function hashBody(): Code {
  return [
    ...set(SUM, loadV(constant(HASH_AT), 0)),
    ...repeat(
      [
        ...set(BLOCK, xorV(get(SUM), loadV(get(AT), 0))),
        ...set(SUM, bytesV(0)),
        ...Array.from({ length: 16 }, (_, byte) => [
          ...set(BYTE, shuffle(get(BLOCK), () => byte)),
          ...eight((bit) => {
            const mask = bytesV(0x80 >> bit);
            const isSet = equalBytesV(andV(get(BYTE), mask), mask);
            return set(SUM, xorV(get(SUM), andV(isSet, loadV(get(TABLE), 16 * (8 * byte + bit)))));
          }),
        ]).flat(),
        ...set(AT, add(get(AT), constant(BLOCK_BYTES))),
      ],
      less(get(AT), get(END)),
    ),
    ...storeV(constant(HASH_AT), 0, get(SUM)),
  ];
}

function eight(code: (i: number) => Code): Code {
  return [0, 1, 2, 3, 4, 5, 6, 7].flatMap(code);
}
