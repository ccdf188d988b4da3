import { strict as assert } from "node:assert";
import { toUtf8 } from "../../shared/bytes.ts";
import { hexLine, rangeAt } from "./hex_lines.ts";

const ranges = [
  { start: 0, end: 3, what: "header" },
  { start: 3, end: 3, what: "nothing" },
  { start: 3, end: 18, what: "body" },
  { start: 18, end: 20, what: "end" },
];

Deno.test("every byte lies in the last range that begins at it or before it", () => {
  assert.deepEqual([0, 2, 3, 17, 18, 19].map((at) => rangeAt(ranges, at)), [0, 0, 2, 2, 3, 3]);
});

Deno.test("a line is cut where ranges end, and shows what cannot be printed as dots", () => {
  const bytes = new Uint8Array(20);
  bytes.set(toUtf8("ab"), 1);
  assert.deepEqual(hexLine(bytes, 0, 16, ranges, 2).map(({ text, look }) => [text, look]), [[".ab", ""], [
    ".............",
    "chosen",
  ]]);
  assert.deepEqual(hexLine(bytes, 1, 16, ranges), [
    { hex: "00 00 ", text: "..", look: "" },
    { hex: "00 00", text: "..", look: "odd" },
  ]);
});
