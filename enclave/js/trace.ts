/**
 * Stack traces in the words of CCF's engine.
 *
 * In: the `stack` text of an error, and the sources of the program. Out: the text that CCF would have sent.
 * Both engines are QuickJS and `wasm_build.ts` has removed the columns already. Two differences are left: some of what
 * is native in CCF is a script of the host here, and CCF's older QuickJS prints no line for a function that stands,
 * header and body, on one line (js-apps.md §5).
 *
 *     at nested (/endpoints/rpc.js:27)
 *     at toJSON (/dir/echo.js)
 *     at map (native)
 */

import { MAX_JS_TRACED_LINE_CHARACTERS } from "../../shared/limits.ts";
import { HOST_FILE } from "./primordials.ts";

const HOST_FRAMES = new RegExp(`^ {4}at .* \\(${HOST_FILE}:\\d+\\)\\n`, "gm");

/** @param sourceOf source text of a module by the name in its frames, undefined for other frames */
export function ccfTrace(stack: string, sourceOf: (fileName: string) => string | undefined): string {
  const seen = new Map<string, string>(); // a recursion has the same frame again and again
  return stack.replace(HOST_FRAMES, "").replace(/^ {4}at (.*) \((.*):(\d+)\)$/gm, (frame, name, file, lineNumber) => {
    let written = seen.get(frame);
    if (written === undefined) {
      const line = sourceOf(file)?.split("\n", Number(lineNumber)).at(Number(lineNumber) - 1);
      written = line !== undefined && holdsFunction(line, name) ? `    at ${name} (${file})` : frame;
      seen.set(frame, written);
    }
    return written;
  });
}

/**
 * Whether a line holds all of a function with this name: its header, and a body in braces or after an arrow that ends
 * before the line does. A frame does not say where its function begins, so this is a reading of the text, not a parser:
 * it can be wrong where two functions of one name share a line, or brackets stand in strings.
 */
function holdsFunction(line: string, name: string): boolean {
  if (line.length > MAX_JS_TRACED_LINE_CHARACTERS) return true; // packed code: all functions are on one line
  // Whatever leads up to parameters: `name(`, `name = (`, `name: function (`, `function (`; or to an arrow's only one.
  const start = name === "<anonymous>" ? /(?:\bfunction\s*\*?\s*)?(?=\()|(?<![\w$])(?=[\w$]+\s*=>)/g : new RegExp(
    `(?<![\\w$])${
      name.replace(/[^\w]/g, "\\$&")
    }\\s*(?:[:=]\\s*)?(?:async\\s+)?(?:function\\b\\s*\\*?\\s*[\\w$]*\\s*)?` +
      "(?=\\(|[\\w$]+\\s*=>)",
    "g",
  );
  for (const match of line.matchAll(start)) {
    const at = match.index + match[0].length;
    const end = line[at] === "(" ? closingOf(line, at) : at + /^[\w$]+/.exec(line.slice(at))![0].length;
    if (end < 0) continue;
    const [, arrow, body] = /^\s*(=>)?\s*(.*)$/.exec(line.slice(end))!;
    if (body!.startsWith("{")) {
      if ((arrow !== undefined || match[0] !== "") && closingOf(body!, 0) >= 0) return true;
    } else if (arrow !== undefined && endsOutsideBrackets(body!)) return true;
  }
  return false;
}

/** The place behind the bracket that closes the one at a place; -1 where the text ends before. */
function closingOf(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if ("([{".includes(text[i]!)) depth++;
    else if (")]}".includes(text[i]!) && --depth === 0) return i + 1;
  }
  return -1;
}

/** Whether an expression that begins a text is over before the text is: no bracket that it opened stays open. */
function endsOutsideBrackets(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if ("([{".includes(character)) depth++;
    else if (")]}".includes(character) && --depth < 0) return true;
    else if (depth === 0 && /[;,]/.test(character)) return true;
  }
  return depth === 0 && text.trim() !== "";
}
