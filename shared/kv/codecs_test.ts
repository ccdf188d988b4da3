import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../../tests/mutations.ts";
import { fromUtf8, toByteString, toUtf8 } from "../bytes.ts";
import { unsigned } from "../json_shape.ts";
import { jsonBase64, jsonHex, jsonKey, jsonText, presence, raw, rawText, SINGLETON_KEY, textKey } from "./codecs.ts";
import type { Codec } from "./table.ts";

Deno.test("the key of a table of one value is eight zero bytes", () => {
  assert.equal(SINGLETON_KEY, toByteString(new Uint8Array(8)));
});

Deno.test("textKey is the UTF-8 of the text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (key) => {
    assert.equal(textKey.encode(key), toByteString(toUtf8(key)));
    assert.equal(textKey.decode(textKey.encode(key)), key);
  }));
  assert.throws(() => textKey.decode("\xff"), { name: "FormatError" });
});

Deno.test("jsonKey is JSON, as C++ applications have it", () => {
  const key = jsonKey(unsigned);
  assert.equal(key.encode(42), "42");
  assert.equal(key.decode("42"), 42);
  assert.throws(() => key.decode("x"), { name: "FormatError" });
});

Deno.test("values are written as ledger-and-receipts.md §10.1 says", () => {
  const bytes = Uint8Array.of(0xfb, 0xff);
  const table: readonly (readonly [Uint8Array, string])[] = [
    [rawText.encode("plain"), "plain"],
    [jsonText.encode("a/b\n"), '"a/b\\n"'],
    [jsonBase64.encode(bytes), '"+/8="'],
    [jsonHex.encode(bytes), '"fbff"'],
    [presence.encode(undefined), "\0".repeat(8)],
  ];
  for (const [written, expected] of table) assert.equal(fromUtf8(written), expected);
  assert.equal(raw.encode(bytes), bytes);
});

Deno.test("values are read back, and what is not one throws FormatError", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  assert.deepEqual(jsonBase64.decode(jsonBase64.encode(bytes)), bytes);
  assert.deepEqual(jsonHex.decode(jsonHex.encode(bytes)), bytes);
  assert.equal(presence.decode(new Uint8Array(8)), undefined);
  const refused: readonly (readonly [Codec<unknown>, string])[] = [
    [jsonText, "plain"],
    [jsonText, "1"],
    [jsonBase64, '"?"'],
    [jsonHex, '"f"'],
    [presence, "\0"],
  ];
  for (const [codec, text] of refused) assert.throws(() => codec.decode(toUtf8(text)), { name: "FormatError" });
  for (const codec of [jsonBase64, jsonHex, rawText]) {
    fuzzDecoder(
      mutated(toUtf8('"fbff"'), toUtf8('"+/8="'), toUtf8("é")),
      (input) => codec.decode(input),
      () => {},
      200,
    );
  }
});
