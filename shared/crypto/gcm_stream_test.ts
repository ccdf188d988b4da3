import { strict as assert } from "node:assert";
import fc from "fast-check";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { AssertionFailed } from "../assert.ts";
import { concat, fromHex, toHex } from "../bytes.ts";
import { GcmStream, sealPart } from "./gcm_stream.ts";
import { noblePrimitives } from "./primitives.ts";

// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13, 14 and 16.
const KEY = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const VECTORS = [
  ["00".repeat(32), "00".repeat(12), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
  [
    "00".repeat(32),
    "00".repeat(12),
    "",
    "00".repeat(16),
    "cea7403d4d606b6e074ec5d3baf39d18",
    "d0d1c8a799996bf0265b98b5d48ab919",
  ],
  [
    KEY,
    "cafebabefacedbaddecaf888",
    "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    "76fc6ece0f4e1768cddf8853bb2d551b",
  ],
] as const;

/** Parts of a length, the last one shorter. */
function split(bytes: Uint8Array, length: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += length) parts.push(bytes.subarray(at, at + length));
  return parts;
}

testOnBoth(
  "GcmStream gives the ciphertexts and tags of the specification's test cases, in parts of any length",
  (primitives) => {
    for (const [key, iv, data, plaintext, ciphertext, tag] of VECTORS) {
      for (const length of [16, 32, 1024]) {
        const stream = new GcmStream(primitives, fromHex(key), fromHex(iv));
        for (const part of split(fromHex(data), length)) stream.authenticate(part);
        const sealed = split(fromHex(plaintext), length).map((part) => stream.seal(part));
        assert.equal(toHex(concat(...sealed)), ciphertext);
        assert.equal(toHex(stream.tag()), tag);
      }
    }
  },
);

testOnBoth("GcmStream and sealPart() agree with gcmSeal() of the whole", (primitives) => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const long = fc.uint8Array({ maxLength: 500 });
  fc.assert(
    fc.property(
      bytes(32),
      bytes(12),
      long,
      long,
      fc.integer({ min: 1, max: 12 }),
      (key, iv, data, plaintext, blocks) => {
        const expected = noblePrimitives.gcmSeal(key, iv, data, plaintext);
        const stream = new GcmStream(primitives, key, iv);
        for (const part of split(data, 16 * blocks)) stream.authenticate(part);
        const parts = split(plaintext, 16 * blocks);
        assert.deepEqual(concat(...parts.map((part) => stream.seal(part))), new Uint8Array(expected.ciphertext));
        assert.deepEqual(stream.tag(), new Uint8Array(expected.tag));
        const again = parts.map((part, i) => sealPart(primitives, key, iv, i * 16 * blocks, part));
        assert.deepEqual(concat(...again), new Uint8Array(expected.ciphertext));
      },
    ),
    { numRuns: 200 },
  );
});

testOnBoth("sha256Stream() gives the digest of the whole", (primitives) => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (parts) => {
    const stream = primitives.sha256Stream();
    for (const part of parts) stream.update(part);
    assert.deepEqual(stream.digest(), noblePrimitives.sha256(concat(...parts)));
  }));
});

Deno.test("GcmStream stops at parts that are no whole blocks, and at what comes too late", () => {
  const stream = () => new GcmStream(noblePrimitives, new Uint8Array(32), new Uint8Array(12));
  const [a, b, c] = [stream(), stream(), stream()];
  a.authenticate(new Uint8Array(5));
  assert.throws(() => a.authenticate(new Uint8Array(1)), AssertionFailed);
  b.seal(new Uint8Array(17));
  assert.throws(() => b.seal(new Uint8Array(1)), AssertionFailed);
  c.seal(new Uint8Array(16));
  assert.throws(() => c.authenticate(new Uint8Array(1)), AssertionFailed);
  assert.throws(() => new GcmStream(noblePrimitives, new Uint8Array(16), new Uint8Array(12)), AssertionFailed);
});
