import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutated } from "../tests/mutations.ts";
import { AssertionFailed, FormatError } from "./assert.ts";
import { compareBytes, toUtf8 } from "./bytes.ts";
import { parseJsonBytes, parseJsonText, stableJson, stableJsonBytes } from "./json.ts";
import { MAX_JSON_DEPTH } from "./limits.ts";

/** Numbers as nlohmann::json prints them: whole ones as integers, others as its `to_chars` lays digits out. */
const NUMBERS: readonly (readonly [number, string])[] = [
  [0, "0"],
  [-0, "0"],
  [1048576, "1048576"],
  [-7, "-7"],
  [Number.MAX_SAFE_INTEGER, "9007199254740991"],
  [2 ** 53, "9007199254740992"],
  [2 ** 63, "9223372036854775808"],
  [2 ** 64, "1.8446744073709552e+19"],
  [-(2 ** 63), "-9.223372036854776e+18"],
  [1e300, "1e+300"],
  [0.5, "0.5"],
  [-1.25, "-1.25"],
  [123456.789, "123456.789"],
  [12345678901234.5, "12345678901234.5"],
  [123456789012345.5, "123456789012345.5"],
  [1234567890123456.5, "1.2345678901234565e+15"],
  [0.0001, "0.0001"],
  [0.00012, "0.00012"],
  [0.00001, "1e-05"],
  [1.5e-7, "1.5e-07"],
  [5e-324, "5e-324"],
  [NaN, "null"],
  [Infinity, "null"],
];

Deno.test("stableJson() writes numbers as C++ does", () => {
  for (const [value, expected] of NUMBERS) assert.equal(stableJson(value), expected);
});

Deno.test("stableJson() writes values as C++ does", () => {
  const table: readonly (readonly [unknown, string])[] = [
    [null, "null"],
    [true, "true"],
    [10n ** 19n, "10000000000000000000"],
    ['a/b " \\ é 💛 \u2028 \x7f', '"a/b \\" \\\\ é 💛 \u2028 \x7f"'],
    ["\b\f\n\r\t\0\x1f", '"\\b\\f\\n\\r\\t\\u0000\\u001f"'],
    [[], "[]"],
    [{}, "{}"],
    [[1, [2, { a: [] }]], '[1,[2,{"a":[]}]]'],
    [{ b: 1, a: 2, B: 3, "": 4 }, '{"":4,"B":3,"a":2,"b":1}'],
    // As bytes "10" comes before "9", and "é" behind "z"; a JavaScript object has them in another order.
    [{ 9: 1, 10: 2, z: 3, é: 4 }, '{"10":2,"9":1,"z":3,"é":4}'],
    [{ "\uffff": 1, "\u{10000}": 2 }, '{"\uffff":1,"\u{10000}":2}'],
    [{ absent: undefined, present: null }, '{"present":null}'],
    [JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
  ];
  for (const [value, expected] of table) assert.equal(stableJson(value), expected);
});

Deno.test("stableJson() reads back the same, with members in ascending order of bytes", () => {
  fc.assert(fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
    const text = stableJson(value);
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    assert.equal(stableJson(JSON.parse(text)), text);
    JSON.parse(text, (_, member) => {
      if (member === null || typeof member !== "object" || Array.isArray(member)) return member;
      const names = Object.keys(member).filter((name) => !/^\d+$/.test(name)).map(toUtf8);
      names.slice(1).forEach((name, i) => assert.ok(compareBytes(names[i]!, name) < 0));
      return member;
    });
  }));
});

Deno.test("stableJson() refuses what JSON of C++ cannot hold", () => {
  const half = { name: "FormatError", message: "Cannot write text as JSON: it holds half a surrogate pair" };
  assert.throws(() => stableJson("\ud800"), half);
  assert.throws(() => stableJson({ "\udc00": 1 }), half);
  assert.throws(() => stableJson([() => 1]), AssertionFailed);
  assert.throws(() => stableJson(undefined), AssertionFailed);
});

Deno.test("stableJson() nests up to MAX_JSON_DEPTH and no deeper", () => {
  const nested = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth));
  assert.equal(stableJson(nested(MAX_JSON_DEPTH)).length, 2 * MAX_JSON_DEPTH);
  assert.throws(() => stableJson(nested(MAX_JSON_DEPTH + 1)), {
    name: "FormatError",
    message: "Cannot write JSON that nests deeper than 512",
  });
});

Deno.test("parseJsonText() and parseJsonBytes() throw FormatError for what is not JSON", () => {
  assert.deepEqual(parseJsonBytes(stableJsonBytes({ a: "é" })), { a: "é" });
  assert.throws(() => parseJsonText('{"a":'), { name: "FormatError", message: "Cannot read 5 characters as JSON" });
  assert.throws(() => parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22)), FormatError);
  fuzzDecoder(mutated(stableJsonBytes({ a: [1, "é", { b: null }], c: -1.5e300 })), parseJsonBytes);
});
