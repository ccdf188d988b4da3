import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fromHttp, toHttp } from "./byte_text.ts";

Deno.test("toHttp() writes UTF-8 with one character a byte, and fromHttp() reads it", () => {
  assert.equal(toHttp("é"), "\u00c3\u00a9");
  assert.equal(fromHttp("\u00c3\u00a9"), "é");
  assert.equal(toHttp("a\0~"), "a\0~");
  assert.equal(fromHttp("\u00ff"), "\ufffd");
  assert.equal(toHttp("\ud800"), "\u00ef\u00bf\u00bd", "half a surrogate pair means nothing");
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => assert.equal(fromHttp(toHttp(text)), text)));
});
