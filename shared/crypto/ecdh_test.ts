import { strict as assert } from "node:assert";
import { createECDH } from "node:crypto";
import { fromHex, toHex } from "../bytes.ts";
import { ecdhSharedSecret } from "./ecdh.ts";
import { ecPrivateKey, ecPublicKey, generateEcPrivateKey } from "./ecdsa.ts";

// RFC 5903 §8.2, the 384-bit random group.
const RFC5903 = {
  i: "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
  r: "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
  gix: "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa",
  giy: "9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
  girx: "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
};

Deno.test("ecdhSharedSecret() gives the secret of RFC 5903's exchange on P-384, from both ends", () => {
  const i = ecPrivateKey("P-384", fromHex(RFC5903.i));
  const r = ecPrivateKey("P-384", fromHex(RFC5903.r));
  assert.equal(toHex(i.publicKey.point), "04" + RFC5903.gix + RFC5903.giy);
  assert.equal(toHex(ecdhSharedSecret(i, r.publicKey)), RFC5903.girx);
  assert.equal(toHex(ecdhSharedSecret(r, i.publicKey)), RFC5903.girx);
});

Deno.test("ecdhSharedSecret() agrees with the runtime's own implementation", () => {
  const names = { "P-256": "prime256v1", "P-384": "secp384r1" } as const;
  for (const curve of ["P-256", "P-384"] as const) {
    const own = generateEcPrivateKey(curve, (length) => crypto.getRandomValues(new Uint8Array(length)));
    const other = createECDH(names[curve]);
    const point = new Uint8Array(other.generateKeys());
    const secret = ecdhSharedSecret(own, ecPublicKey(curve, point));
    assert.equal(toHex(secret), other.computeSecret(own.publicKey.point).toString("hex"), curve);
  }
});

Deno.test("ecdhSharedSecret() is not for keys on two curves", () => {
  const random = (length: number) => new Uint8Array(length).fill(7);
  const own = generateEcPrivateKey("P-384", random);
  assert.throws(() => ecdhSharedSecret(own, generateEcPrivateKey("P-256", random).publicKey), /one curve/);
});
