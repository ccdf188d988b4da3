/**
 * What changed between two texts, line by line.
 *
 * In: two texts. Out: lines that were added, removed or kept; long runs of kept ones as a gap. Knows nothing of markup.
 */

import { diffLines } from "diff";

export interface DiffLine {
  readonly kind: "same" | "added" | "removed";
  readonly text: string;
  /** In the text before, from 1; absent where the line was added. */
  readonly before?: number;
  readonly after?: number;
}

export type DiffPart =
  | { readonly kind: "lines"; readonly lines: readonly DiffLine[] }
  /** Lines that are the same in both and further than `MAX_CONTEXT_LINES` from any change. */
  | { readonly kind: "gap"; readonly lines: readonly DiffLine[] };

/** Texts that differ in more lines than this are not compared: it takes time with the square of it. */
const MAX_EDITS = 4000;
const MAX_CHARACTERS = 2_000_000;
const MAX_CONTEXT_LINES = 3;

/** undefined: too long or too different to be compared line by line. */
export function lineDiff(before: string, after: string): DiffLine[] | undefined {
  if (before.length + after.length > MAX_CHARACTERS) return undefined;
  const changes = diffLines(before, after, { maxEditLength: MAX_EDITS });
  if (changes === undefined) return undefined;
  const lines: DiffLine[] = [];
  let [old, young] = [1, 1];
  for (const { value, added, removed } of changes) {
    for (const text of value.replace(/\n$/, "").split("\n")) {
      if (added) lines.push({ kind: "added", text, after: young++ });
      else if (removed) lines.push({ kind: "removed", text, before: old++ });
      else lines.push({ kind: "same", text, before: old++, after: young++ });
    }
  }
  return lines;
}

/** The same lines, with long runs of kept ones set apart. */
export function foldedDiff(lines: readonly DiffLine[]): DiffPart[] {
  const parts: { kind: "lines" | "gap"; lines: DiffLine[] }[] = [];
  const push = (kind: "lines" | "gap", run: readonly DiffLine[]) => {
    if (run.length === 0) return;
    if (parts.at(-1)?.kind === kind) parts.at(-1)!.lines.push(...run);
    else parts.push({ kind, lines: [...run] });
  };
  let at = 0;
  while (at < lines.length) {
    let end = at;
    while (end < lines.length && lines[end]!.kind === "same") end++;
    if (end > at) {
      const head = at === 0 ? at : at + MAX_CONTEXT_LINES;
      const tail = end === lines.length ? end : end - MAX_CONTEXT_LINES;
      if (tail - head > 1) {
        push("lines", lines.slice(at, head));
        push("gap", lines.slice(head, tail));
        push("lines", lines.slice(tail, end));
      } else {
        push("lines", lines.slice(at, end));
      }
    }
    at = end;
    while (end < lines.length && lines[end]!.kind !== "same") end++;
    push("lines", lines.slice(at, end));
    at = end;
  }
  return parts;
}

/** "3 lines added, 1 removed". */
export function diffWords(lines: readonly DiffLine[]): string {
  const count = (kind: DiffLine["kind"]) => lines.filter((line) => line.kind === kind).length;
  const [added, removed] = [count("added"), count("removed")];
  if (added + removed === 0) return "No line differs";
  return `${added} ${added === 1 ? "line" : "lines"} added, ${removed} removed`;
}
