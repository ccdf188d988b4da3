import { strict as assert } from "node:assert";
import { createDecipheriv } from "node:crypto";
import fc from "fast-check";
import { Reader, toHex, toUtf8 } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { fuzzDecoder } from "../../tests/mutations.ts";
import { testOnBoth } from "../../tests/primitive_sets.ts";
import { type Protection, PROTECTION_BYTES, readProtection, ReceiveKey, SendKey } from "./message_key.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i);
const HEADER = toUtf8("header");

function split(message: Uint8Array): { protection: Protection; ciphertext: Uint8Array } {
  const reader = new Reader(message, HEADER.length);
  const protection = readProtection(reader);
  return { protection, ciphertext: reader.rest() };
}

testOnBoth(
  "SendKey.seal() writes header, tag, IV and ciphertext as another implementation opens them",
  (primitives) => {
    const key = new SendKey(KEY);
    for (let counter = 1; counter <= 300; counter++) {
      assert.equal(key.next, counter);
      const message = key.seal(primitives, HEADER, toUtf8("plaintext"));
      assert.equal(message.length, HEADER.length + PROTECTION_BYTES + 9);
      assert.deepEqual(message.subarray(0, 6), HEADER);
      const iv = message.subarray(22, 30);
      assert.equal(toHex(iv), "00" + toHex(Uint8Array.of(counter & 0xff, counter >>> 8)) + "00".repeat(5));
      const decipher = createDecipheriv("aes-256-gcm", KEY, iv);
      decipher.setAAD(HEADER);
      decipher.setAuthTag(message.subarray(6, 22));
      assert.equal(decipher.update(message.subarray(30)).toString() + decipher.final().toString(), "plaintext");
    }
  },
);

testOnBoth("a tag may cover more than the header that is sent, and then opens with nothing else", (primitives) => {
  const covered = Uint8Array.of(...HEADER, 1);
  const message = new SendKey(KEY).seal(primitives, HEADER, HEADER, covered);
  assert.deepEqual(message.subarray(0, HEADER.length), HEADER);
  const { protection, ciphertext } = split(message);
  const receive = new ReceiveKey(KEY);
  assert.equal(receive.open(primitives, HEADER, protection, ciphertext), undefined);
  assert.equal(receive.open(primitives, Uint8Array.of(...HEADER, 2), protection, ciphertext), undefined);
  assert.equal(receive.last, 0, "what was tried in vain counts for nothing");
  assert.deepEqual(receive.open(primitives, covered, protection, ciphertext), HEADER);
  assert.equal(receive.open(primitives, covered, protection, ciphertext), undefined, "nor does it open twice");
});

testOnBoth("ReceiveKey.open() takes every message once, lets some be lost, and none be late", (primitives) => {
  const [send, receive] = [new SendKey(KEY), new ReceiveKey(KEY)];
  const messages = [1, 2, 3, 4].map((i) => split(send.seal(primitives, HEADER, Uint8Array.of(i))));
  const open = (i: number) => receive.open(primitives, HEADER, messages[i]!.protection, messages[i]!.ciphertext);
  assert.deepEqual([open(0), open(0), open(2), open(1), open(3)].map((plaintext) => plaintext?.[0]), [
    1,
    undefined,
    3,
    undefined,
    4,
  ]);
  assert.equal(receive.last, 4);
});

testOnBoth("ReceiveKey.open() does not move its counter for a message that does not verify", (primitives) => {
  const [send, receive] = [new SendKey(KEY), new ReceiveKey(KEY)];
  const { protection, ciphertext } = split(send.seal(primitives, HEADER, HEADER));
  const far = { ...protection, iv: Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0), counter: 2 ** 32 };
  assert.equal(receive.open(primitives, HEADER, far, ciphertext), undefined);
  assert.equal(receive.last, 0);
  assert.deepEqual(receive.open(primitives, HEADER, protection, ciphertext), HEADER);
});

Deno.test("readProtection() reads the counter from seven bytes and refuses an IV that no node writes", () => {
  const read = (iv: number[]) => readProtection(new Reader(Uint8Array.of(...new Array<number>(16).fill(9), ...iv)));
  assert.equal(read([0, 1, 2, 3, 0, 0, 0, 0]).counter, 0x030201);
  assert.equal(read([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f]).counter, Number.MAX_SAFE_INTEGER);
  assert.throws(() => read([0, 0, 0, 0, 0, 0, 0, 0x20]), { name: "FormatError" });
  assert.throws(() => read([1, 1, 0, 0, 0, 0, 0, 0]), {
    name: "FormatError",
    message: "Cannot open a message: its IV begins with 1, which is always 0",
  });
  assert.throws(() => read([0, 1, 0, 0, 0, 0, 0]), { name: "FormatError" });
});

Deno.test("readProtection() answers any bytes with what was there, or FormatError", () => {
  const bytes = fc.tuple(fc.uint8Array({ minLength: 10, maxLength: 30 }), fc.boolean()).map(([bytes, zero]) => {
    if (zero && bytes.length > 23) bytes[16] = bytes[22] = bytes[23] = 0;
    return bytes;
  });
  fuzzDecoder(bytes, (all) => readProtection(new Reader(all)), ({ tag, iv, counter }, all) => {
    assert.deepEqual(tag, all.subarray(0, 16));
    assert.deepEqual(iv, all.subarray(16, 24));
    assert.equal(new ReceiveKey(KEY).open(noblePrimitives, tag, { tag, iv, counter }, iv), undefined);
  });
});
