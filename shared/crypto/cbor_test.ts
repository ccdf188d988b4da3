import { strict as assert } from "node:assert";
import * as cborg from "cborg";
import fc from "fast-check";
import { AssertionFailed, FormatError } from "../assert.ts";
import { fromHex, toHex } from "../bytes.ts";
import { MAX_CBOR_BYTES } from "../limits.ts";
import { asArray, asBytes, asInteger, asMap, asText, CborTag, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";

const map = (...entries: [number | string, CborValue][]): CborValue => new Map(entries);

// RFC 8949, appendix A: those of its examples that are in the subset.
const GOOD: readonly [hex: string, value: CborValue][] = [
  ["00", 0],
  ["01", 1],
  ["0a", 10],
  ["17", 23],
  ["1818", 24],
  ["1819", 25],
  ["1864", 100],
  ["1903e8", 1000],
  ["1a000f4240", 1000000],
  ["1b000000e8d4a51000", 1000000000000],
  ["20", -1],
  ["29", -10],
  ["3863", -100],
  ["3903e7", -1000],
  ["f4", false],
  ["f5", true],
  ["f6", null],
  ["c11a514b67b0", new CborTag(1, 1363896240)],
  ["c074323031332d30332d32315432303a30343a30305a", new CborTag(0, "2013-03-21T20:04:00Z")],
  ["d74401020304", new CborTag(23, fromHex("01020304"))],
  ["d818456449455446", new CborTag(24, fromHex("6449455446"))],
  ["40", new Uint8Array()],
  ["4401020304", fromHex("01020304")],
  ["60", ""],
  ["6161", "a"],
  ["6449455446", "IETF"],
  ["62225c", '"\\'],
  ["62c3bc", "ü"],
  ["63e6b0b4", "水"],
  ["64f0908591", "\ud800\udd51"],
  ["80", []],
  ["83010203", [1, 2, 3]],
  ["8301820203820405", [1, [2, 3], [4, 5]]],
  [
    "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    Array.from({ length: 25 }, (_, i) => i + 1),
  ],
  ["a0", map()],
  ["a201020304", map([1, 2], [3, 4])],
  ["a26161016162820203", map(["a", 1], ["b", [2, 3]])],
  ["826161a161626163", ["a", map(["b", "c"])]],
  // Not there: the edges of the integers, of widths, and an order that is not the canonical one.
  ["18ff", 255],
  ["190100", 256],
  ["19ffff", 65535],
  ["1a00010000", 65536],
  ["1affffffff", 4294967295],
  ["1b0000000100000000", 4294967296],
  ["1b001fffffffffffff", Number.MAX_SAFE_INTEGER],
  ["3b001ffffffffffffe", -Number.MAX_SAFE_INTEGER],
  ["a3616202200101a0", map(["b", 2], [-1, 1], [1, map()])],
];

Deno.test("decodeCbor() reads the examples of RFC 8949, and encodeCbor() writes them", () => {
  for (const [hex, value] of GOOD) {
    assert.deepEqual(decodeCbor(fromHex(hex)), value, hex);
    assert.equal(toHex(encodeCbor(value)), hex);
  }
});

const FLOAT = "floats and simple values other than false, true and null are not supported";
const BAD: readonly [hex: string, message: string][] = [
  ["", "Cannot read 1 bytes at byte 0: only 0 are left"],
  ["0000", "Cannot read CBOR at byte 1: 1 bytes follow the value"],
  ["1817", "Cannot read CBOR at byte 0: 23 is not written in its shortest form"],
  ["8118ff1900ff", "Cannot read CBOR at byte 3: 3 bytes follow the value"],
  ["811900ff", "Cannot read CBOR at byte 1: 255 is not written in its shortest form"],
  ["1a0000ffff", "Cannot read CBOR at byte 0: 65535 is not written in its shortest form"],
  ["1b00000000ffffffff", "Cannot read CBOR at byte 0: 4294967295 is not written in its shortest form"],
  ["3800", "Cannot read CBOR at byte 0: 0 is not written in its shortest form"],
  ["580100", "Cannot read CBOR at byte 0: 1 is not written in its shortest form"],
  ["d81200", "Cannot read CBOR at byte 0: 18 is not written in its shortest form"],
  ["b80100", "Cannot read CBOR at byte 0: 1 is not written in its shortest form"],
  ["1bffffffffffffffff", "Cannot read a 64-bit integer at byte 1: over 2^53"],
  ["3b001fffffffffffff", "Cannot read CBOR at byte 0: an integer is below -2^53 + 1"],
  ["1c", "Cannot read CBOR at byte 0: 28 is no length"],
  ["5f42010243030405ff", "Cannot read CBOR at byte 0: an indefinite length is not supported"],
  ["9f018202039f0405ffff", "Cannot read CBOR at byte 0: an indefinite length is not supported"],
  ["bf61610161629f0203ffff", "Cannot read CBOR at byte 0: an indefinite length is not supported"],
  ["f90000", `Cannot read CBOR at byte 0: ${FLOAT}`],
  ["81fb3ff199999999999a", `Cannot read CBOR at byte 1: ${FLOAT}`],
  ["f7", `Cannot read CBOR at byte 0: ${FLOAT}`],
  ["f818", `Cannot read CBOR at byte 0: ${FLOAT}`],
  ["ff", `Cannot read CBOR at byte 0: ${FLOAT}`],
  ["a201000100", "Cannot read CBOR at byte 3: the key 1 is there twice"],
  ["a2616100616101", 'Cannot read CBOR at byte 4: the key "a" is there twice'],
  ["a1400000", "Cannot read CBOR at byte 1: a key is neither integer nor text"],
  ["a1f400", "Cannot read CBOR at byte 1: a key is neither integer nor text"],
  ["a1810000", "Cannot read CBOR at byte 1: a key is neither integer nor text"],
  ["61ff", "Cannot read 1 bytes as text: they are not UTF-8"],
  ["63eda080", "Cannot read 3 bytes as text: they are not UTF-8"],
  ["4401", "Cannot read 4 bytes at byte 1: only 1 are left"],
  ["5affffffff00", "Cannot read 4294967295 bytes at byte 5: only 1 are left"],
  ["9affffffff00", "Cannot read CBOR at byte 0: an array of 4294967295 runs out of bytes"],
  ["baffffffff0000", "Cannot read CBOR at byte 0: a map of 4294967295 runs out of bytes"],
  ["8200", "Cannot read CBOR at byte 0: an array of 2 runs out of bytes"],
  ["c1", "Cannot read 1 bytes at byte 1: only 0 are left"],
  ["81".repeat(17) + "00", "Cannot read CBOR at byte 16: it is nested more than 16 deep"],
  ["c6".repeat(17) + "00", "Cannot read CBOR at byte 16: it is nested more than 16 deep"],
  ["a100".repeat(17) + "00", "Cannot read CBOR at byte 32: it is nested more than 16 deep"],
];

Deno.test("decodeCbor() refuses what encodeCbor() would not write", () => {
  for (const [hex, message] of BAD) assert.throws(() => decodeCbor(fromHex(hex)), new FormatError(message), hex);
  assert.throws(
    () => decodeCbor(new Uint8Array(MAX_CBOR_BYTES + 1)),
    new FormatError("Cannot read CBOR of 16777217 bytes: at most 16777216"),
  );
});

Deno.test("decodeCbor() reads to the depth that is allowed", () => {
  const hex = "81".repeat(16) + "00";
  assert.equal(toHex(encodeCbor(decodeCbor(fromHex(hex)))), hex);
});

Deno.test("encodeCbor() stops at what could not be read again", () => {
  const wrong: CborValue[] = [0.5, NaN, 2 ** 53, -(2 ** 53), "\ud800", new CborTag(-1, 0), nested(17)];
  for (const value of wrong) assert.throws(() => encodeCbor(value), AssertionFailed);
});

const { value } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.maxSafeInteger(),
    fc.string({ unit: "grapheme" }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.oneof(fc.maxSafeInteger(), fc.string()), tie("value")), { maxLength: 4 })
      .map((entries) => new Map(entries)),
    fc.tuple(fc.maxSafeNat(), tie("value")).map(([tag, inner]) => new CborTag(tag, inner)),
  ),
}));

Deno.test("decodeCbor() reads back whatever encodeCbor() writes, in the same order", () => {
  fc.assert(fc.property(value, (value) => {
    const bytes = encodeCbor(value);
    assert.deepEqual(decodeCbor(bytes), value);
    assert.deepEqual(encodeCbor(decodeCbor(bytes)), bytes);
  }));
});

Deno.test("decodeCbor() reads changed bytes as another value or refuses them, and nothing else", () => {
  let [read, refused] = [0, 0];
  fc.assert(
    fc.property(
      value,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      fc.nat(3),
      (value, changes, cut) => {
        const bytes = encodeCbor(value).slice();
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const changed = bytes.subarray(0, bytes.length + (cut === 0 ? -1 : 0));
        const decoded = decodeOrRefuse(changed);
        if (decoded === undefined) return void refused++;
        read++;
        assert.deepEqual(encodeCbor(decoded), changed);
      },
    ),
    { numRuns: 1000 },
  );
  assert(read > 50 && refused > 50, `${read} read, ${refused} refused`);
});

Deno.test("decodeCbor() reads random bytes as a value that encodes to them, or refuses them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      const decoded = decodeOrRefuse(bytes);
      if (decoded !== undefined) assert.deepEqual(encodeCbor(decoded), bytes);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("decodeCbor() reads what cborg reads of what encodeCbor() writes", () => {
  fc.assert(fc.property(value, (value) => {
    const options = {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      useMaps: true,
      rejectDuplicateMapKeys: true,
      // Answers any tag, since it needs a decoder for each.
      tags: new Proxy({}, {
        get: (_, tag) => (decode: () => CborValue) => new CborTag(Number(tag), decode()),
      }),
    };
    assert.deepEqual(cborg.decode(encodeCbor(value), options), value);
  }));
});

Deno.test("asInteger() and its like give the value, or say what is wrong with it", () => {
  assert.equal(asInteger(3, "x"), 3);
  assert.equal(asText("a", "x"), "a");
  assert.deepEqual(asBytes(fromHex("01"), "x"), fromHex("01"));
  assert.deepEqual(asArray([1], "x"), [1]);
  assert.deepEqual(asMap(new Map([[1, 2]]), "x"), new Map([[1, 2]]));
  const wrong: [() => unknown, string][] = [
    [() => asInteger("3", "the time"), "Cannot read the time: it is not an integer"],
    [() => asText(new Uint8Array(), "the name"), "Cannot read the name: it is not text"],
    [() => asBytes("", "the root"), "Cannot read the root: it is not a byte string"],
    [() => asArray(new Map(), "the proof"), "Cannot read the proof: it is not an array"],
    [() => asMap([], "the claims"), "Cannot read the claims: it is not a map"],
    [() => asMap(undefined, "the claims"), "Cannot read the claims: it is missing"],
  ];
  for (const [read, message] of wrong) assert.throws(read, new FormatError(message));
});

function decodeOrRefuse(bytes: Uint8Array): CborValue | undefined {
  try {
    return decodeCbor(bytes);
  } catch (error) {
    assert(error instanceof FormatError, String(error));
    return undefined;
  }
}

function nested(depth: number): CborValue {
  return depth === 0 ? 0 : [nested(depth - 1)];
}
