import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../../shared/assert.ts";
import { toByteString, toUtf8 } from "../../shared/bytes.ts";
import { describeKey, describeValue, parseKey, safeJson, safeText, textOrHex } from "./ledger_values.ts";

const KEYS: readonly (readonly [key: Uint8Array, shown: string])[] = [
  [toUtf8("42"), '"42"'],
  [toUtf8("/logging.js"), '"/logging.js"'],
  [toUtf8("Zürich"), '"Zürich"'],
  [toUtf8('say "hi"'), '"say \\"hi\\""'],
  [new Uint8Array(8), "0x0000000000000000"],
  [Uint8Array.of(0xff, 0x00), "0xff00"],
  [toUtf8("\x1b[2J"), "0x1b5b324a"],
  [new Uint8Array(), "0x"],
];

Deno.test("describeKey() shows text in quotes and bytes in hex", () => {
  for (const [key, shown] of KEYS) assert.equal(describeKey(toByteString(key)), shown);
});

Deno.test("parseKey() reads what users write", () => {
  assert.equal(parseKey("42"), "42");
  assert.equal(parseKey("0x3432"), "42");
  assert.equal(parseKey("0x"), "");
  assert.equal(parseKey("ü"), "\u00c3\u00bc");
  assert.throws(() => parseKey("0x3"), new FormatError('Cannot read "3" as hex'));
});

const VALUES: readonly (readonly [value: string | Uint8Array, shown: string])[] = [
  ["", "(empty)"],
  ["hello", '"hello"'],
  ['"hello"', '"hello"'],
  ["true", "true"],
  // JSON.parse would round it.
  ["12345678901234567890", "12345678901234567890"],
  ['{ "b": [1, 2],\n "a": null }', '{"b":[1,2],"a":null}'],
  ["first\nsecond", '"first\\nsecond"'],
  [Uint8Array.of(1, 2, 0xff), "0x0102ff"],
  ["\0\0", "0x0000"],
  [new Uint8Array(65).fill(0xab), `0x${"ab".repeat(64)}… (65 bytes)`],
  ["x".repeat(2000), `"${"x".repeat(999)}… (2000 bytes)`],
  [JSON.stringify({ a: "y".repeat(121) }), `{"a":"${"y".repeat(120)}… (121 bytes)"}`],
  ["-----BEGIN nothing", '"-----BEGIN nothing"'],
  ["right \u202e to left", '"right \\u202e to left"'],
  ["\u009b2J", "0xc29b324a"],
  [
    "-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----\n",
    "<PUBLIC KEY sha256:ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc, 3 bytes>",
  ],
];

Deno.test("describeValue() shows JSON on one line, PEM by its digest, text in quotes and bytes in hex", () => {
  for (const [value, shown] of VALUES) {
    assert.equal(describeValue(typeof value === "string" ? toUtf8(value) : value), shown);
  }
});

Deno.test("safeJson() parses to the same value", () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      (value) => assert.deepEqual(JSON.parse(safeJson(value)), JSON.parse(JSON.stringify(value))),
    ),
    { numRuns: 100 },
  );
});

Deno.test("nothing that is shown can steer a terminal", () => {
  assert.equal(describeValue(toUtf8("\t1e400\n")), "1e400");
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  const steering = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
  const text = fc.string({ unit: "binary", maxLength: 40 });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 90 }), text.map(toUtf8)), text, (bytes, other) => {
      assert.doesNotMatch(describeValue(bytes), steering);
      assert.doesNotMatch(describeValue(toUtf8(JSON.stringify({ [other]: [other] }))), steering);
      assert.doesNotMatch(describeKey(toByteString(bytes)), steering);
      assert.doesNotMatch(safeText(other), steering);
    }),
    { numRuns: 300 },
  );
});

Deno.test("textOrHex() tells text from bytes", () => {
  assert.equal(textOrHex(toUtf8('{"hex":"00"}')), '{"hex":"00"}');
  assert.deepEqual(textOrHex(Uint8Array.of(0xff)), { hex: "ff" });
  assert.equal(textOrHex(new Uint8Array()), "");
});
