import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toUtf8 } from "../../shared/bytes.ts";
import { elementsOf, elsewhereAnswers } from "./rpc_batch.ts";

Deno.test("elementsOf() gives the text of each element as it stands", () => {
  assert.deepEqual(elementsOf("[]"), []);
  assert.deepEqual(elementsOf(" [ ] "), []);
  assert.deepEqual(elementsOf("\n[ 1.000 , 12345678901234567890 ]\n"), ["1.000", "12345678901234567890"]);
  const tricky = ['{"a":[1,{"b":"]"}]}', '"x\\"],\\\\"', "[[],[]]", "{}"];
  assert.deepEqual(elementsOf(`[${tricky.join(", ")}]`), tricky);
});

Deno.test("elementsOf() finds the elements of any array", () => {
  fc.assert(fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 2), (values, indent) => {
    const elements = elementsOf(JSON.stringify(values, null, indent));
    assert.deepEqual(elements.map((element) => JSON.parse(element)), JSON.parse(JSON.stringify(values)));
  }));
});

Deno.test("elsewhereAnswers() takes as many answers as there were calls, and nothing else", () => {
  const answers = (status: number, body: string, count: number) =>
    elsewhereAnswers({ status, headers: [], body: toUtf8(body) }, count);
  assert.deepEqual(answers(200, "[1, 2]", 2), ["1", "2"]);
  assert.deepEqual(answers(204, "", 0), []);
  for (
    const [status, body, count] of [
      [200, "[1]", 2],
      [200, "[1,2,3]", 2],
      [200, "[1,2", 2],
      [200, "{}", 0],
      [200, "\xff", 1],
      [204, "", 1],
      [504, "[1]", 1],
    ] as const
  ) assert.equal(answers(status, body, count), undefined, body);
  assert.equal(elsewhereAnswers({ status: 200, headers: [], body: new Uint8Array([0xff]) }, 1), undefined);
});
