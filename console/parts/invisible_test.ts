import { strict as assert } from "node:assert";
import fc from "fast-check";
import { headOf, sizeText, visiblePieces, visibleText } from "./invisible.ts";

Deno.test("a character that turns the reading direction is named, not obeyed", () => {
  assert.deepEqual(visiblePieces("pay \u202etxt.exe", false), [
    { text: "pay " },
    { text: "U+202E", mark: "right-to-left override" },
    { text: "txt.exe" },
  ]);
});

Deno.test("line feeds and tabs are laid out in blocks, and marked in lines", () => {
  assert.deepEqual(visiblePieces("a\n\tb", true), [{ text: "a\n\tb" }]);
  assert.equal(visibleText("a\nb"), "a‹U+000A›b");
});

Deno.test("zero width, tag characters, lone surrogates and look-alikes of a space are seen", () => {
  for (const character of ["\u200b", "\u{e0041}", "\ud800", "\u00a0", "\u3164", "\u00ad", "\u0000", "\ufeff"]) {
    const pieces = visiblePieces(`a${character}b`, true);
    assert.equal(pieces.length, 3, JSON.stringify(character));
    assert.ok(pieces[1]!.mark);
  }
  assert.deepEqual(visiblePieces("Zürich 東京 שלום", false), [{ text: "Zürich 東京 שלום" }]);
});

Deno.test("no text makes more than a page of marks, and none of its characters is lost", () => {
  const pieces = visiblePieces("\u202e".repeat(50_000), false);
  assert.ok(pieces.length <= 2001);
  assert.equal(pieces.map(({ text }) => text).join("").match(/U\+202E/g)!.length, 50_000);
});

Deno.test("visiblePieces() keeps all that can be seen, and leaves nothing that cannot", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    const pieces = visiblePieces(text, false);
    const shown = pieces.map((piece) => piece.text).join("");
    assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    const plain = pieces.filter((piece) => piece.mark === undefined).map((piece) => piece.text).join("");
    assert.ok(plain.length <= text.length);
    let at = 0;
    for (const character of plain) at = text.indexOf(character, at) + character.length;
  }));
});

Deno.test("headOf() never cuts a character in two", () => {
  assert.equal(headOf("a😀b", 2), "a");
  assert.equal(headOf("a😀b", 3), "a😀");
  assert.equal(headOf("ab", 5), "ab");
});

Deno.test("sizes have units", () => {
  assert.deepEqual([1, 999, 1234, 12_345, 3_400_000].map(sizeText), [
    "1 byte",
    "999 bytes",
    "1.2 kB",
    "12 kB",
    "3.4 MB",
  ]);
});
