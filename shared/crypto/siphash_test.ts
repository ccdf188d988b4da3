import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toUtf8 } from "../bytes.ts";
import { mapOrder, sipHash24 } from "./siphash.ts";

const counted = (length: number) => Uint8Array.from({ length }, (_, i) => i);
const whole = ({ low, high }: { low: number; high: number }) => BigInt(high) << 32n | BigInt(low);

Deno.test("sipHash24() gives the paper's example (appendix A)", () => {
  assert.equal(whole(sipHash24(counted(16), counted(15))), 0xa129ca6149be45e5n);
});

Deno.test("sipHash24() gives the reference implementation's first ten vectors", () => {
  const expected = [
    0x726fdb47dd0e0e31n,
    0x74f839c593dc67fdn,
    0x0d6c8009d9a94f5an,
    0x85676696d7fb7e2dn,
    0xcf2794e0277187b7n,
    0x18765564cd99a68dn,
    0xcbc9466e58fee3cen,
    0xab0200f58b01d137n,
    0x93f5f5799a932462n,
    0x9e0082df0ba9e4b0n,
  ];
  expected.forEach((hash, length) => assert.equal(whole(sipHash24(counted(16), counted(length))), hash));
});

Deno.test("mapOrder() gives the values by which CCF orders keys", () => {
  // ledger-and-receipts.md §9.2
  assert.equal(mapOrder(new Uint8Array()), 0xc5f4ecca);
  assert.equal(mapOrder(toUtf8("42")), 0x97e33cf9);
  assert.equal(mapOrder(new Uint8Array(8)), 0xa6b9ff73);
});

Deno.test("sipHash24() agrees with the paper's definition in big integers", () => {
  const message = fc.uint8Array({ maxLength: 70 });
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), message, (key, message) => {
    assert.equal(whole(sipHash24(key, message)), paperSipHash24(key, message));
  }));
});

function paperSipHash24(key: Uint8Array, message: Uint8Array): bigint {
  const mask = 2n ** 64n - 1n;
  const word = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
  const rotated = (v: bigint, bits: bigint) => (v << bits | v >> (64n - bits)) & mask;
  const [k0, k1] = [word(key.subarray(0, 8)), word(key.subarray(8))];
  let [v0, v1, v2, v3] = [
    k0 ^ 0x736f6d6570736575n,
    k1 ^ 0x646f72616e646f6dn,
    k0 ^ 0x6c7967656e657261n,
    k1 ^ 0x7465646279746573n,
  ];
  const round = () => {
    v0 = (v0 + v1) & mask, v1 = rotated(v1, 13n) ^ v0, v0 = rotated(v0, 32n);
    v2 = (v2 + v3) & mask, v3 = rotated(v3, 16n) ^ v2;
    v0 = (v0 + v3) & mask, v3 = rotated(v3, 21n) ^ v0;
    v2 = (v2 + v1) & mask, v1 = rotated(v1, 17n) ^ v2, v2 = rotated(v2, 32n);
  };
  const padded = new Uint8Array((message.length & ~7) + 8);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  for (let at = 0; at < padded.length; at += 8) {
    const m = word(padded.subarray(at, at + 8));
    v3 ^= m, round(), round(), v0 ^= m;
  }
  v2 ^= 0xffn, round(), round(), round(), round();
  return v0 ^ v1 ^ v2 ^ v3;
}
