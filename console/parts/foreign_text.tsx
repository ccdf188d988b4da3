/**
 * Text that others wrote: shown as what it is, whatever it tries.
 *
 * Characters that cannot be seen or that turn the reading direction are marked, long texts are cut with their size and a
 * button for the rest, bytes that are no UTF-8 are said to be none.
 */

import { useMemo, useState } from "preact/hooks";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { headOf, sizeText, visiblePieces, visibleText } from "./invisible.ts";
import "./values.css";

const MAX_CHARACTERS = 2000;
/** What a text is may be named by others, too. */
const MAX_WHAT = 80;
const MAX_FLAT_CHARACTERS = 400;
const MAX_FLAT_LINES = 12;

export function ForeignText(
  { text, bytes, block = false, row = false, maxCharacters = MAX_CHARACTERS, what = "text" }: {
    readonly text?: string;
    /** Instead of `text`: bytes that should be UTF-8. */
    readonly bytes?: Uint8Array;
    /** With lines as they are, in a block of its own. */
    readonly block?: boolean;
    /** In a row of a list: cut without a button, the whole text is elsewhere. */
    readonly row?: boolean;
    readonly maxCharacters?: number;
    /** What the text is, for the button: "the constitution". */
    readonly what?: string;
  },
) {
  const whole = useMemo(() => text ?? fromUtf8Lenient(bytes ?? new Uint8Array()), [text, bytes]);
  // Of which text: in a long list the next row takes this one's place.
  const [wholeOf, setWholeOf] = useState<string | undefined>();
  const isWhole = wholeOf === whole;
  const isBroken = useMemo(() => bytes !== undefined && !isUtf8(bytes), [bytes]);
  const shown = isWhole ? whole : headOf(whole, maxCharacters);
  const pieces = useMemo(() => visiblePieces(shown, block), [shown, block]);
  const content = pieces.map(({ text: piece, mark }, i) =>
    mark === undefined
      ? piece
      : <span key={i} class="foreign-mark" role="img" title={mark} aria-label={`${mark}, ${piece}`}>{piece}</span>
  );
  const isCut = shown.length < whole.length;
  const rest = isCut && !row && (
    <button
      type="button"
      class="button no-print"
      onClick={() => setWholeOf(whole)}
    >
      Show all<span class="sr-only">of {visibleText(headOf(what, MAX_WHAT))}</span> ({whole.length.toLocaleString()}
      {" "}
      characters, {sizeText(bytes?.length ?? sizeOf(whole))})
    </button>
  );
  const broken = isBroken && (
    <span class="verdict verdict-cannot small">This is not valid UTF-8: bytes that are none are shown as U+FFFD</span>
  );
  if (block) {
    return (
      <div class="stack-tight">
        {broken}
        <pre
          class="foreign"
          dir="ltr"
          {...(isTall(shown) && { tabIndex: 0, role: "group", "aria-label": visibleText(headOf(what, MAX_WHAT)) })}
        >
          {content}
        </pre>
        {rest && <div>{rest}</div>}
      </div>
    );
  }
  return (
    <span class="foreign">
      {content}
      {isCut && "…"}
      {rest && <>{" "}{rest}</>}
      {broken}
    </span>
  );
}

/** May be higher than its block, which scrolls then: by keyboard too. */
function isTall(text: string): boolean {
  return text.length > MAX_FLAT_CHARACTERS || (text.match(/\n/g)?.length ?? 0) > MAX_FLAT_LINES;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

const sizeOf = (text: string) => new TextEncoder().encode(text).length;
