/** What changed between two texts or values: lines with the words "added" and "removed", colour being the least of it. */

import { useMemo, useState } from "preact/hooks";
import { equalBytes } from "../../shared/bytes.ts";
import { ForeignText } from "./foreign_text.tsx";
import { sizeText } from "./invisible.ts";
import { type DiffLine, type DiffPart, diffWords, foldedDiff, lineDiff } from "./line_diff.ts";
import { comparableText } from "./value_forms.ts";
import { ValueView } from "./value_view.tsx";
import "./values.css";

/** More lines than these are shown when somebody asks. */
const MAX_LINES = 2000;

export function DiffView({ before, after, label = "Differences" }: {
  readonly before: string;
  readonly after: string;
  readonly label?: string;
}) {
  const lines = useMemo(() => lineDiff(before, after), [before, after]);
  const [isWhole, setIsWhole] = useState(false);
  if (lines === undefined) {
    return (
      <div class="stack-tight">
        <p>The two are too long, or too different, to be compared line by line.</p>
        <Whole title="Removed" text={before} />
        <Whole title="Added" text={after} />
      </div>
    );
  }
  const parts = foldedDiff(lines);
  let left = isWhole ? Infinity : MAX_LINES;
  return (
    <div class="stack-tight">
      <p class="small soft">{diffWords(lines)}</p>
      <div class="diff" tabIndex={0} role="group" aria-label={label}>
        <table>
          <caption class="sr-only">{label}: line before, line after, change, text</caption>
          <tbody>
            {parts.map((part, i) => {
              if (left <= 0) return null;
              const shown = part.kind === "gap" ? part : { ...part, lines: part.lines.slice(0, left) };
              if (part.kind === "lines") left -= shown.lines.length;
              return <Part key={i} part={shown} />;
            })}
          </tbody>
        </table>
      </div>
      {left <= 0 && (
        <button type="button" class="button" onClick={() => setIsWhole(true)}>Show all {lines.length} lines</button>
      )}
    </div>
  );
}

/** Two values of one key, by the forms that they have. */
export function ValueDiff({ before, after, table, what }: {
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
  readonly table: string;
  readonly what: string;
}) {
  if (before !== undefined && after !== undefined && equalBytes(before, after)) {
    return (
      <div class="stack-tight">
        <p class="small">
          <strong>Written again</strong>: the value is the same
        </p>
        <ValueView bytes={after} table={table} what={what} />
      </div>
    );
  }
  if (before !== undefined && after !== undefined) {
    const texts = [comparableText(before, table), comparableText(after, table)] as const;
    return (
      <div class="stack-tight">
        <p class="small">
          <strong>Changed</strong>: {sizeText(before.length)} before, {sizeText(after.length)} after
        </p>
        {texts[0] === texts[1]
          ? <p class="soft">The bytes differ, the decoded values do not: see them in hex.</p>
          : <DiffView before={texts[0]} after={texts[1]} label={`Changes of ${what}`} />}
      </div>
    );
  }
  const value = after ?? before;
  return (
    <div class="stack-tight">
      <p class="small">
        <strong>{after === undefined ? "Removed" : "Added"}</strong>
      </p>
      {value !== undefined && <ValueView bytes={value} table={table} what={what} />}
    </div>
  );
}

function Whole({ title, text }: { readonly title: string; readonly text: string }) {
  return (
    <details>
      <summary>{title}: {sizeText(text.length)}</summary>
      <ForeignText text={text} block what={title.toLowerCase()} />
    </details>
  );
}

function Part({ part }: { readonly part: DiffPart }) {
  const [isOpen, setIsOpen] = useState(false);
  if (part.kind === "gap" && !isOpen) {
    return (
      <tr class="diff-gap">
        <td colSpan={4}>
          <button type="button" class="button button-bare" onClick={() => setIsOpen(true)}>
            Show {part.lines.length} lines that are the same
          </button>
        </td>
      </tr>
    );
  }
  return <>{part.lines.map((line, i) => <Line key={i} line={line} />)}</>;
}

const WORDS = { same: "", added: "added", removed: "removed" } as const;

function Line({ line: { kind, text, before, after } }: { readonly line: DiffLine }) {
  return (
    <tr class={kind === "same" ? undefined : `diff-${kind}`}>
      <td class="diff-side vlist-wide">{before ?? ""}</td>
      <td class="diff-side">{after ?? ""}</td>
      <td class="diff-side">{WORDS[kind]}</td>
      <td>
        <ForeignText text={text} maxCharacters={1000} what="the line" />
      </td>
    </tr>
  );
}
