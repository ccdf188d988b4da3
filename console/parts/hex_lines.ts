/** Lines of a hex view. In: bytes, ranges with meanings, a line. Out: its pieces. Knows nothing of markup. */

export interface HexRange {
  readonly start: number;
  /** The first byte that is not in it. */
  readonly end: number;
  readonly what: string;
  readonly value?: string;
}

export interface HexPiece {
  readonly hex: string;
  readonly text: string;
  /** Every other range is tinted, the chosen one stands out. */
  readonly look: "" | "odd" | "chosen";
}

/** Which range a byte lies in. @param ranges neighbouring, in order */
export function rangeAt(ranges: readonly HexRange[], offset: number): number {
  let [low, high] = [0, ranges.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ranges[middle]!.start <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** @param lineBytes how many there are on a line */
export function hexLine(
  bytes: Uint8Array,
  line: number,
  lineBytes: number,
  ranges?: readonly HexRange[],
  chosen?: number,
): HexPiece[] {
  const pieces: { hex: string; text: string; look: HexPiece["look"] }[] = [];
  const end = Math.min((line + 1) * lineBytes, bytes.length);
  let last = -1;
  for (let at = line * lineBytes; at < end; at++) {
    const range = ranges === undefined ? 0 : rangeAt(ranges, at);
    const look = ranges === undefined ? "" : range === chosen ? "chosen" : range % 2 === 1 ? "odd" : "";
    if (range !== last) pieces.push({ hex: "", text: "", look });
    last = range;
    const piece = pieces.at(-1)!;
    piece.hex += `${bytes[at]!.toString(16).padStart(2, "0")}${at === end - 1 ? "" : " "}`;
    piece.text += bytes[at]! >= 0x20 && bytes[at]! < 0x7f ? String.fromCharCode(bytes[at]!) : ".";
  }
  return pieces;
}
