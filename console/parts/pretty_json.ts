/**
 * JSON laid out in lines, as it was written.
 *
 * In: text that is JSON. Out: the same tokens with line breaks and indents. Keys stay in their order and stay twice where
 * they stand twice, numbers keep every digit, strings their escapes: parsing and printing again would change them.
 */

const TOKEN = /"(?:\\[\s\S]|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const MAX_INDENT = 40;

/** @param json must be JSON: other text comes back as its tokens */
export function prettyJson(json: string): string {
  const out: string[] = [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(Math.max(depth, 0), MAX_INDENT))}`;
  let last = "";
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === "}" || token === "]") {
      depth--;
      if (last !== "{" && last !== "[") out.push(line());
      out.push(token);
    } else {
      if (last === "{" || last === "[") out.push(line());
      if (token === "{" || token === "[") depth++;
      out.push(token === ":" ? ": " : token === "," ? `,${line()}` : token);
    }
    last = token;
  }
  return out.join("");
}
