/**
 * JSON-RPC batches of which another node runs some calls: taking them apart and putting the answers together.
 *
 * In and out: JSON as text, which is not parsed and written anew, so that no number loses digits on the way.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8 } from "../../shared/bytes.ts";
import type { HttpResponse } from "../messages.ts";

/** The source texts of the elements of an array; the text is known to be the JSON of one. */
export function elementsOf(text: string): string[] {
  const elements: string[] = [];
  let from = text.indexOf("[") + 1;
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at);
    else if (character === "[" || character === "{") depth++;
    else if (depth > 0 && (character === "]" || character === "}")) depth--;
    else if (depth === 0 && (character === "," || character === "]")) {
      const element = text.slice(from, at).trim();
      if (element !== "") elements.push(element); // only an empty array has one
      from = at + 1;
    }
  }
  return elements;
}

/** Where the string that begins at `at` ends. */
function endOfString(text: string, at: number): number {
  for (at++; at < text.length && text[at] !== '"'; at++) if (text[at] === "\\") at++;
  return at;
}

/**
 * The answers in another node's response to so many calls, in order; none of them to notifications.
 *
 * @returns undefined where the response is anything else
 */
export function elsewhereAnswers({ status, body }: HttpResponse, count: number): readonly string[] | undefined {
  if (status === 204) return count === 0 ? [] : undefined;
  if (status !== 200) return undefined;
  let text: string;
  try {
    text = fromUtf8(body);
    if (!Array.isArray(JSON.parse(text))) return undefined;
  } catch (error) {
    if (!(error instanceof FormatError) && !(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  const answers = elementsOf(text);
  return answers.length === count ? answers : undefined;
}
