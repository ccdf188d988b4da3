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

import { HOST_FILE } from "./machine.ts";

const HOST_FRAMES = new RegExp(`^ {4}at .* \\(${HOST_FILE}:\\d+\\)\\n`, "gm");

/** @param sourceOf source text of a module by the name in its frames, undefined for other frames */
export function ccfTrace(stack: string, sourceOf: (fileName: string) => string | undefined): string {
  return stack.replace(HOST_FRAMES, "").replace(
    /^ {4}at (.*) \((.*):(\d+)\)$/gm,
    (frame, name: string, file: string, lineNumber: string) => {
      const line = sourceOf(file)?.split("\n", Number(lineNumber)).at(Number(lineNumber) - 1);
      return line !== undefined && holdsFunction(line, name) ? `    at ${name} (${file})` : frame;
    },
  );
}

/**
 * Whether a line holds all of a function with this name: its header, and a body in braces or after an arrow that ends
 * before the line does. A frame does not say where its function begins, so this is a reading of the text, not a parser:
 * it can be wrong where two functions of one name share a line, or braces stand in strings.
 */
function holdsFunction(line: string, name: string): boolean {
  const escaped = name.replace(/[^\w]/g, "\\$&");
  const anonymous = name === "<anonymous>";
  const header = anonymous ? /\bfunction\s*\*?\s*\(|(?:\([^()]*\)|[\w$]+)\s*=>/g : new RegExp(
    `(?<![\\w$])${escaped}\\s*(?:[:=]\\s*(?:async\\s+)?(?:function\\b\\s*\\*?\\s*\\w*\\s*)?)?(?:\\([^()]*\\)|[\\w$]+)\\s*(?:=>|(?=\\{))`,
    "g",
  );
  for (const match of line.matchAll(header)) {
    const rest = line.slice(match.index + match[0].length);
    const isArrow = match[0].endsWith("=>");
    const brace = rest.indexOf("{");
    if (brace < 0 || (isArrow && rest.slice(0, brace).trim() !== "")) {
      if (isArrow && endsOutsideBrackets(rest)) return true;
    } else if (closesIn(rest.slice(brace))) return true;
  }
  return false;
}

/** Whether the first brace of a text is closed in it. */
function closesIn(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return true;
  }
  return false;
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
