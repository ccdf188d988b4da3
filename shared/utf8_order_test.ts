import { strict as assert } from "node:assert";
import fc from "fast-check";
import { compareBytes, toUtf8 } from "./bytes.ts";
import { compareUtf8 } from "./utf8_order.ts";

const texts = fc.string({
  unit: fc.constantFrom("a", "b", "\u00e9", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"),
});

Deno.test("compareUtf8() orders text as its UTF-8 bytes are ordered", () => {
  fc.assert(fc.property(texts, texts, (a, b) => {
    assert.equal(Math.sign(compareUtf8(a, b)), Math.sign(compareBytes(toUtf8(a), toUtf8(b))));
  }));
});

Deno.test("compareUtf8() puts a surrogate pair behind U+FFFF, where < does not", () => {
  assert.ok("\u{10000}" < "\uffff");
  assert.ok(compareUtf8("\u{10000}", "\uffff") > 0);
  assert.ok(compareUtf8("a", "ab") < 0);
  assert.equal(compareUtf8("ab", "ab"), 0);
});
