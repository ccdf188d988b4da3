import { strict as assert } from "node:assert";
import fc from "fast-check";
import { AssertionFailed, FormatError } from "../../shared/assert.ts";
import { fromBase64, fromHex, toUtf8 } from "../../shared/bytes.ts";
import { hkdfSha256 } from "../../shared/crypto/hkdf.ts";
import { noblePrimitives, type Primitives } from "../../shared/crypto/primitives.ts";
import { MAX_SEALED_BYTES } from "../../shared/limits.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { openSecret, parseSealedSecret, sealSecret } from "./sealing.ts";

const KEY = new Uint8Array(32).fill(7);
const TCB = fromHex("04010000000018db");
const SECRET = toUtf8('{"raw_key":"…"}');
const random = (length: number) => new Uint8Array(length).fill(9);

const seal = (primitives: Primitives, secret = SECRET) => sealSecret(primitives, random, KEY, TCB, secret);

testOnBoth("a sealed secret has the form that nodes-and-attestation.md §6 gives", (primitives) => {
  const { aad_text, ciphertext } = JSON.parse(seal(primitives));
  assert.equal(aad_text, '{"tcb_version":"db18000000000104","version":1}');
  const box = fromBase64(ciphertext);
  assert.deepEqual(box.subarray(16, 28), random(12));
  const key = hkdfSha256(KEY, new Uint8Array(), toUtf8("CCF AMD Local Sealing Key"), 32);
  const opened = primitives.gcmOpen(key, random(12), toUtf8(aad_text), box.subarray(28), box.subarray(0, 16));
  assert.deepEqual(opened, SECRET);
});

testOnBoth("what is sealed is opened with the same key, and says for which TCB version that is", (primitives) => {
  const sealed = parseSealedSecret(seal(primitives));
  assert.deepEqual(sealed.tcbVersion, TCB);
  assert.deepEqual(openSecret(primitives, KEY, sealed), SECRET);
  assert.equal(openSecret(primitives, new Uint8Array(32).fill(8), sealed), undefined, "another machine's key");
  const longest = new Uint8Array(MAX_SEALED_BYTES).fill(1);
  assert.deepEqual(openSecret(primitives, KEY, parseSealedSecret(seal(primitives, longest))), longest);
  assert.throws(() => seal(primitives, new Uint8Array(MAX_SEALED_BYTES + 1)), AssertionFailed);
});

testOnBoth("a sealed secret of which a bit has changed is not opened", (primitives) => {
  const text = seal(primitives);
  const { aad_text, ciphertext } = JSON.parse(text);
  const box = fromBase64(ciphertext);
  fc.assert(fc.property(fc.nat(box.length * 8 - 1), (bit) => {
    const changed = box.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(openSecret(primitives, KEY, { ...parseSealedSecret(text), box: changed }), undefined);
  }));
  const older = JSON.stringify({ aad_text: aad_text.replace("db18", "db17"), ciphertext });
  assert.equal(openSecret(primitives, KEY, parseSealedSecret(older)), undefined, "the TCB version is sealed too");
});

Deno.test("what is no sealed secret is refused", () => {
  const sealed = sealSecret(noblePrimitives, random, KEY, TCB, SECRET);
  fuzzDecoder(mutatedText(sealed), parseSealedSecret);
  const file = (change: object) => JSON.stringify({ ...JSON.parse(sealed), ...change });
  const refused: readonly (readonly [string, RegExp])[] = [
    ["", /as JSON/],
    [file({ ciphertext: "AAAA" }), /too short/],
    [file({ aad_text: '{"tcb_version":"db18000000000104","version":2}' }), /version 2 is not 1/],
    [file({ aad_text: '{"tcb_version":"db18","version":1}' }), /TCB version/],
    ["x".repeat(2 * MAX_SEALED_BYTES + 1), /it is longer than/],
  ];
  for (const [text, expected] of refused) {
    assert.throws(
      () => parseSealedSecret(text),
      (error) => error instanceof FormatError && expected.test(error.message),
    );
  }
});
