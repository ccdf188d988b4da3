import { strict as assert } from "node:assert";
import { definitionsOf, listOf, mapOf, oneOf, plain, STRING, struct } from "./schema.ts";

Deno.test("schemas are named as CCF names what has no name of its own", () => {
  const color = oneOf("Color", "red", "green");
  assert.equal(listOf(color).name, "Color_array");
  assert.equal(listOf(color, "set").name, "Color_set");
  assert.equal(mapOf("NodeId", color).name, "NodeId_to_Color");
  assert.deepEqual(listOf(color).definition, { items: { $ref: "#/components/schemas/Color" }, type: "array" });
});

Deno.test("struct() lists required members in order, and none where there are none", () => {
  assert.deepEqual(struct("S", { b: STRING, a: STRING }, { c: STRING }).definition, {
    properties: {
      b: { $ref: "#/components/schemas/string" },
      a: { $ref: "#/components/schemas/string" },
      c: { $ref: "#/components/schemas/string" },
    },
    required: ["b", "a"],
    type: "object",
  });
  assert.equal("required" in struct("S", {}, { c: STRING }).definition, false);
});

Deno.test("definitionsOf() finds everything that is referred to, once", () => {
  const inner = struct("Inner", { text: STRING });
  const outer = struct("Outer", { list: listOf(inner), map: mapOf("string", inner) });
  assert.deepEqual(Object.keys(definitionsOf([outer, plain("other", {}), inner])).sort(), [
    "Inner",
    "Inner_array",
    "Outer",
    "other",
    "string",
    "string_to_Inner",
  ]);
});
