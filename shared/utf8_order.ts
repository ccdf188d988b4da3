/**
 * Order of text by its UTF-8 bytes, without encoding it.
 *
 * Table names and members of JSON objects are sorted so in the ledger (ledger-and-receipts.md §3.3, §10.1). `<` on
 * strings compares UTF-16 units, which differs in one place: a surrogate pair, a character from U+10000 on, must come
 * after U+E000 to U+FFFF.
 */

/** Negative where `a` comes first, positive where `b` does, 0 where they are the same. Both must be well-formed. */
export function compareUtf8(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Places surrogates behind every other unit, and leaves all else in order. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
