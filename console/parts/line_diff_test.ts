import { strict as assert } from "node:assert";
import fc from "fast-check";
import { diffWords, foldedDiff, lineDiff } from "./line_diff.ts";

Deno.test("a changed line is one removed and one added, with its number in each text", () => {
  assert.deepEqual(lineDiff("a\nb\nc", "a\nB\nc"), [
    { kind: "same", text: "a", before: 1, after: 1 },
    { kind: "removed", text: "b", before: 2 },
    { kind: "added", text: "B", after: 2 },
    { kind: "same", text: "c", before: 3, after: 3 },
  ]);
});

Deno.test("kept and removed lines are the text before, kept and added ones the text after", () => {
  const text = fc.array(fc.constantFrom("a", "b", "{", "}", "  x"), { minLength: 1, maxLength: 40 }).map((lines) =>
    lines.join("\n")
  );
  fc.assert(fc.property(text, text, (before, after) => {
    const lines = lineDiff(before, after)!;
    const of = (kind: string) => lines.filter((line) => line.kind !== kind).map((line) => line.text).join("\n");
    assert.equal(of("added"), before);
    assert.equal(of("removed"), after);
    assert.deepEqual(foldedDiff(lines).flatMap((part) => part.lines), lines);
  }));
});

Deno.test("lines far from any change are folded away, those near it are not", () => {
  const before = Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n");
  const parts = foldedDiff(lineDiff(before, before.replace("line 50", "other"))!);
  assert.deepEqual(parts.map(({ kind, lines }) => [kind, lines.length]), [["gap", 47], ["lines", 8], ["gap", 46]]);
  assert.equal(diffWords(parts.flatMap(({ lines }) => lines)), "1 line added, 1 removed");
});

Deno.test("texts that have nothing in common, and very long ones, are not compared for ever", () => {
  const lines = (word: string) => Array.from({ length: 20_000 }, (_, i) => `${word} ${i}`).join("\n");
  assert.equal(lineDiff(lines("a"), lines("b")), undefined);
  assert.equal(lineDiff("x".repeat(2_000_001), ""), undefined);
});
