import { strict as assert } from "node:assert";
import fc from "fast-check";
import { mutated } from "../../tests/mutations.ts";
import { FormatError } from "../assert.ts";
import { equalBytes, toBase64, toBase64Url, toHex, toUtf8 } from "../bytes.ts";
import { EC_CURVES, ecdsaSign, generateEcPrivateKey, serialiseDerSignature } from "../crypto/ecdsa.ts";
import type { CurveName } from "../crypto/primitives.ts";
import { MAX_SIGNATURE_FILE_BYTES } from "../limits.ts";
import { signatureReadings } from "./signature_file.ts";

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
const CURVES = Object.keys(EC_CURVES) as CurveName[];
const MESSAGE = toUtf8("what a device signs");

Deno.test("signatureReadings() finds a signature raw and in DER, as bytes, hex, base64, base64url and in JSON", () => {
  for (const curve of CURVES) {
    const raw = ecdsaSign(generateEcPrivateKey(curve, random), MESSAGE);
    for (const form of [raw, serialiseDerSignature(raw)]) {
      const base64 = toBase64(form);
      const texts = [
        toHex(form),
        `${toHex(form).toUpperCase()}\n`,
        base64,
        base64.replace(/(.{64})/g, "$1\r\n"),
        toBase64Url(form),
        JSON.stringify({ kid: "https://vault/keys/1", value: toBase64Url(form) }),
        JSON.stringify({ KeyId: "1", Signature: base64, SigningAlgorithm: "ECDSA" }, null, 2),
        JSON.stringify({ signature: base64 }),
      ];
      for (const file of [form, ...texts.map(toUtf8)]) {
        const readings = signatureReadings(curve, file);
        assert(readings.some((reading) => equalBytes(reading, raw)), `${curve}, ${toHex(file)}`);
        assert(readings.length <= 8);
      }
    }
  }
});

Deno.test("signatureReadings() finds none in what is no signature on the curve, and reads no large files", () => {
  const raw = ecdsaSign(generateEcPrivateKey("P-256", random), MESSAGE);
  assert.deepEqual(signatureReadings("P-384", raw), []);
  assert.deepEqual(signatureReadings("P-384", toUtf8("no signature")), []);
  assert.deepEqual(signatureReadings("P-384", new Uint8Array()), []);
  for (const json of ["{", "{}", '{"value":1}', '{"value":""}', '{"value":"?"}']) {
    assert.deepEqual(signatureReadings("P-384", toUtf8(json)), []);
  }
  for (const json of ["{", "{}", '{"value":1}', '{"other":"AAAA"}']) {
    assert.deepEqual(signatureReadings("P-384", toUtf8(json)), [], json);
  }
  const size = MAX_SIGNATURE_FILE_BYTES + 1;
  assert.throws(() => signatureReadings("P-384", new Uint8Array(size)), FormatError);
});

Deno.test("signatureReadings() answers signatures of the curve's width for any bytes", () => {
  const raw = ecdsaSign(generateEcPrivateKey("P-384", random), MESSAGE);
  const der = serialiseDerSignature(raw);
  const samples = [raw, der, toUtf8(toHex(der)), toUtf8(toBase64(der)), toUtf8(toBase64Url(raw))];
  let found = 0;
  fc.assert(fc.property(fc.oneof(mutated(...samples), fc.uint8Array({ maxLength: 200 })), (file) => {
    for (const reading of signatureReadings("P-384", file)) {
      assert.equal(reading.length, 96);
      found++;
    }
  }));
  assert(found > 0);
});
