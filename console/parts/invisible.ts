/**
 * Characters that cannot be seen, or that turn what stands around them: found in text of others, and named.
 *
 * In: any text. Out: pieces that are safe to show beside each other. Knows nothing of markup.
 */

/** Controls, formats (bidi among them), surrogates without a partner, unassigned and private ones; spaces that look like one. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?!\u0020)\p{Zs}/gu;

/** Of those that attacks use most; the others are named by their number alone. */
const NAMES: Readonly<Record<number, string>> = {
  0x00: "null",
  0x08: "backspace",
  0x09: "tab",
  0x0a: "line feed",
  0x0d: "carriage return",
  0x1b: "escape",
  0x7f: "delete",
  0xa0: "no-break space",
  0xad: "soft hyphen",
  0x61c: "Arabic letter mark",
  0x200b: "zero width space",
  0x200c: "zero width non-joiner",
  0x200d: "zero width joiner",
  0x200e: "left-to-right mark",
  0x200f: "right-to-left mark",
  0x202a: "left-to-right embedding",
  0x202b: "right-to-left embedding",
  0x202c: "pop directional formatting",
  0x202d: "left-to-right override",
  0x202e: "right-to-left override",
  0x2028: "line separator",
  0x2029: "paragraph separator",
  0x2060: "word joiner",
  0x2066: "left-to-right isolate",
  0x2067: "right-to-left isolate",
  0x2068: "first strong isolate",
  0x2069: "pop directional isolate",
  0xfeff: "byte order mark",
  0xfffd: "replacement character",
};

/** More marks than these stand as plain text: a page of a million elements stands still. */
const MAX_MARKS = 2000;

export interface TextPiece {
  readonly text: string;
  /** What the character is called, where the piece stands for one that cannot be seen. */
  readonly mark?: string;
}

/** @param lines line feeds and tabs are laid out, and no marks */
export function visiblePieces(text: string, lines: boolean): TextPiece[] {
  const pieces: TextPiece[] = [];
  let plain = "";
  let at = 0;
  let marks = 0;
  for (const match of text.matchAll(INVISIBLE)) {
    const [character] = match;
    if (lines && (character === "\n" || character === "\t")) continue;
    plain += text.slice(at, match.index);
    at = match.index + character.length;
    if (marks++ >= MAX_MARKS) {
      plain += `‹${codeOf(character)}›`;
      continue;
    }
    if (plain !== "") pieces.push({ text: plain });
    plain = "";
    pieces.push({ text: codeOf(character), mark: NAMES[character.codePointAt(0)!] ?? "invisible character" });
  }
  plain += text.slice(at);
  if (plain !== "") pieces.push({ text: plain });
  return pieces;
}

/** The same in one string, for labels and titles. */
export function visibleText(text: string): string {
  return text.replace(INVISIBLE, (character) => `‹${codeOf(character)}›`);
}

/** The first characters of a text, never half a surrogate pair. */
export function headOf(text: string, characters: number): string {
  if (text.length <= characters) return text;
  const last = text.charCodeAt(characters - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? characters - 1 : characters);
}

/** "1.2 MB". Sizes in bytes, thousands of them, as files are shown. */
export function sizeText(bytes: number): string {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const [unit, size] = bytes < 1e6 ? ["kB", 1e3] as const : bytes < 1e9 ? ["MB", 1e6] as const : ["GB", 1e9] as const;
  return `${(bytes / size).toFixed(bytes / size < 10 ? 1 : 0)} ${unit}`;
}

const codeOf = (character: string) => `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
