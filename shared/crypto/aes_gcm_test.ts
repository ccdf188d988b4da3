import { strict as assert } from "node:assert";
import fc from "fast-check";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { AssertionFailed, FormatError } from "../assert.ts";
import { fromHex, Reader, toHex, Writer } from "../bytes.ts";
import { MAX_SEQNO, MAX_VIEW } from "../limits.ts";
import { entryIv, type GcmHeader, openBox, readGcmHeader, sealBox, writeGcmHeader } from "./aes_gcm.ts";
import { noblePrimitives } from "./primitives.ts";

// ledger-and-receipts.md §4.7: the box of a rekey.
const NEW_SECRET = fromHex("374563a98323d981ad3e2d1d852cef135043b3c0de822262043bf70f1bada0ca");
const OLD_SECRET = fromHex("5961c32bb57b6a0d6671c7a40d19511c27c0405e86c9145a050bc013d62eef52");
const IV = fromHex("49586a2769073a43af1b3746");
const BOX = fromHex(
  "0b37513f4df6a03cbb412092597389e849586a2769073a43af1b3746a84af2b788fa2c00676f100c86d7922c15be8a08fbb94777013788fd1a193516",
);

testOnBoth("openBox() opens a box of a real service, and sealBox() makes the same", (primitives) => {
  assert.deepEqual(openBox(primitives, NEW_SECRET, BOX), OLD_SECRET);
  assert.deepEqual(sealBox(primitives, NEW_SECRET, IV, OLD_SECRET), BOX);
});

testOnBoth("openBox() opens no box under another key or with a changed bit", (primitives) => {
  assert.equal(openBox(primitives, OLD_SECRET, BOX), undefined);
  for (let at = 0; at < BOX.length; at++) {
    const changed = BOX.slice();
    changed[at]! ^= 0x10;
    assert.equal(openBox(primitives, NEW_SECRET, changed), undefined, `byte ${at}`);
  }
});

testOnBoth("openBox() opens the box of nothing, and refuses less than that", (primitives) => {
  const empty = sealBox(primitives, NEW_SECRET, IV, new Uint8Array());
  assert.equal(empty.length, 28);
  assert.deepEqual(openBox(primitives, NEW_SECRET, empty), new Uint8Array());
  assert.throws(
    () => openBox(primitives, NEW_SECRET, empty.subarray(1)),
    new FormatError("Cannot open a sealed box of 27 bytes: tag and IV alone are 28"),
  );
});

Deno.test("sealBox() and openBox() stop at keys and IVs of other lengths", () => {
  assert.throws(() => sealBox(noblePrimitives, NEW_SECRET.subarray(1), IV, OLD_SECRET), AssertionFailed);
  assert.throws(() => sealBox(noblePrimitives, NEW_SECRET, IV.subarray(1), OLD_SECRET), AssertionFailed);
  assert.throws(() => openBox(noblePrimitives, NEW_SECRET.subarray(1), BOX), AssertionFailed);
});

// ledger-and-receipts.md §3.6 and §9.2.
const HEADERS: readonly [hex: string, header: Omit<GcmHeader, "tag">][] = [
  ["917c08b6ebfa01165104343842b5c121" + "180000000000000002000000", { seqno: 24, view: 2, isSnapshot: false }],
  ["f8667f24dc3e7f57918eef057b4841b9" + "ed0100000000000000000080", { seqno: 493, view: 0, isSnapshot: true }],
  ["00".repeat(16) + "ffffffffffff1f00ffffff7f", { seqno: MAX_SEQNO, view: MAX_VIEW, isSnapshot: false }],
];

Deno.test("readGcmHeader() reads real headers, and writeGcmHeader() writes them again", () => {
  for (const [hex, expected] of HEADERS) {
    const header = readGcmHeader(new Reader(fromHex(hex)));
    assert.deepEqual(header, { ...expected, tag: fromHex(hex.slice(0, 32)) });
    const writer = new Writer();
    writeGcmHeader(writer, header);
    assert.equal(toHex(writer.finish()), hex);
    assert.equal(toHex(entryIv(header)), hex.slice(32));
  }
});

Deno.test("readGcmHeader() refuses a header that is cut off, or a seqno over 2^53", () => {
  assert.throws(
    () => readGcmHeader(new Reader(new Uint8Array(27))),
    new FormatError("Cannot read 4 bytes at byte 24: only 3 are left"),
  );
  assert.throws(
    () => readGcmHeader(new Reader(new Uint8Array(28).fill(0xff))),
    new FormatError("Cannot read a 64-bit integer at byte 16: over 2^53"),
  );
});

Deno.test("writeGcmHeader() writes back whatever readGcmHeader() reads", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 28, maxLength: 28 }), fc.integer({ min: 0, max: 63 }), (bytes, top) => {
      // The top of the seqno: half of these are below 2^53.
      bytes.set([top, 0], 22);
      let header: GcmHeader;
      try {
        header = readGcmHeader(new Reader(bytes));
      } catch (error) {
        assert(error instanceof FormatError);
        return;
      }
      const writer = new Writer();
      writeGcmHeader(writer, header);
      assert.deepEqual(writer.finish(), bytes);
    }),
  );
});

Deno.test("entryIv() stops at views and seqnos that do not fit", () => {
  assert.throws(() => entryIv({ seqno: 1, view: MAX_VIEW + 1, isSnapshot: false }), AssertionFailed);
  assert.throws(() => entryIv({ seqno: MAX_SEQNO + 1, view: 2, isSnapshot: false }), AssertionFailed);
});
