import { strict as assert } from "node:assert";
import fc from "fast-check";
import { fuzzDecoder, mutatedText } from "../../../tests/mutations.ts";
import { FormatError } from "../../assert.ts";
import { MAX_STATEMENT_CHARACTERS, MAX_STATEMENT_DEPTH } from "../../limits.ts";
import { parseStatementJson } from "./statement_json.ts";

Deno.test("parseStatementJson() gives members exactly as they stand in the text", () => {
  const { value, members } = parseStatementJson(
    ` { "tcbInfo" :{"b": 1.0,"a":[ {"x":"},{\\"" } ]} , "signature":"ab" ,"n": 1e2,"\\u0061":null}\n`,
  );
  assert.deepEqual(value, { tcbInfo: { b: 1, a: [{ x: '},{"' }] }, signature: "ab", n: 100, a: null });
  assert.deepEqual([...members], [
    ["tcbInfo", '{"b": 1.0,"a":[ {"x":"},{\\"" } ]}'],
    ["signature", '"ab"'],
    ["n", "1e2"],
    ["a", "null"],
  ]);
});

Deno.test("parseStatementJson() gives no members of what is not an object", () => {
  for (const text of ["[]", '[{"a":1},{"a":2}]', '"a"', "1", "null"]) {
    assert.deepEqual([...parseStatementJson(text).members], [], text);
  }
});

Deno.test("parseStatementJson() gives members that read back as the parsed value's members", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), fc.nat({ max: 3 }), (object, spaces) => {
      const { value, members } = parseStatementJson(JSON.stringify(object, undefined, spaces));
      const parsed = value as Record<string, unknown>;
      assert.deepEqual([...members.keys()].sort(), Object.keys(parsed).sort());
      for (const [name, text] of members) assert.deepEqual(JSON.parse(text), parsed[name]);
    }),
    { numRuns: 300 },
  );
});

Deno.test("parseStatementJson() refuses names that stand twice, however they are written and however deep", () => {
  for (
    const text of ['{"a":1,"a":1}', '{"a":1,"b":2,"\\u0061":1}', '{"x":[{"y":{"a":1,"a":2}}]}', '{"":1,"":2}']
  ) assert.throws(() => parseStatementJson(text), /stands twice/, text);
  const long = "a".repeat(1000);
  assert.throws(() => parseStatementJson(`{"${long}":1,"${long}":2}`), ({ message }) => message.length < 300);
  parseStatementJson('{"a":{"a":{"a":"a"}},"b":[{"a":1},{"a":2}],"c":["a","a"]}');
});

Deno.test("parseStatementJson() refuses what is not JSON, too long or too deep", () => {
  for (const text of ["", "{", '{"a":1,}', "{'a':1}", '{"a":1}{', '\ufeff{"a":1}', "{a:1}", '"\n"']) {
    assert.throws(() => parseStatementJson(text), FormatError, JSON.stringify(text));
  }
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  parseStatementJson(nested(MAX_STATEMENT_DEPTH));
  assert.throws(() => parseStatementJson(nested(MAX_STATEMENT_DEPTH + 1)), /nests deeper/);
  assert.throws(() => parseStatementJson(nested(MAX_STATEMENT_CHARACTERS / 2)), /nests deeper/);
  assert.throws(() => parseStatementJson(`"${"a".repeat(MAX_STATEMENT_CHARACTERS)}"`), /longer than/);
  parseStatementJson(`"${"\\n".repeat(MAX_STATEMENT_CHARACTERS / 2 - 2)}"`);
});

Deno.test("parseStatementJson() answers or refuses whatever it is given", () => {
  const samples = [
    '{"tcbInfo":{"id":"SGX","tcbLevels":[{"tcb":{"isvsvn":1}}]},"signature":"00"}',
    '{"a":"\\\\","b":[]}',
  ];
  fuzzDecoder(mutatedText(...samples), parseStatementJson, ({ value, members }) => {
    for (const [name, text] of members) assert.deepEqual(JSON.parse(text), (value as Record<string, unknown>)[name]);
  });
});
