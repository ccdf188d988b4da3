import { strict as assert } from "node:assert";
import { fromHex, toHex } from "../bytes.ts";
import { hkdfSha256 } from "./hkdf.ts";

const range = (from: number, to: number) => toHex(Uint8Array.from({ length: to - from + 1 }, (_, i) => from + i));

// RFC 5869 appendix A.1 to A.3.
const VECTORS = [
  {
    secret: "0b".repeat(22),
    salt: range(0x00, 0x0c),
    info: range(0xf0, 0xf9),
    output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  },
  {
    secret: range(0x00, 0x4f),
    salt: range(0x60, 0xaf),
    info: range(0xb0, 0xff),
    output:
      "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2" +
      "f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
  },
  {
    secret: "0b".repeat(22),
    salt: "",
    info: "",
    output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  },
];

Deno.test("hkdfSha256() gives the output of RFC 5869's examples", () => {
  for (const { secret, salt, info, output } of VECTORS) {
    const derived = hkdfSha256(fromHex(secret), fromHex(salt), fromHex(info), output.length / 2);
    assert.equal(toHex(derived), output);
  }
});

Deno.test("hkdfSha256() gives no more than the counter of one byte allows", () => {
  const empty = new Uint8Array();
  assert.equal(hkdfSha256(empty, empty, empty, 8160).length, 8160);
  assert.throws(() => hkdfSha256(empty, empty, empty, 8161), /8160/);
});
