/**
 * JSON that somebody signed as it stands: its value, and the exact text of its members.
 *
 * In: text. Out: the parsed value, and for each member of the outermost object the text that was sent. Names that stand
 * twice are refused, since readers disagree about which one counts, and so is what nests deeper than any statement of
 * Intel's.
 * Knows nothing of what the members mean.
 * Format: RFC 8259; the rule on exact bytes: attestation/formats.md §0.5
 */

import { FormatError } from "../../assert.ts";
import { parseJsonText } from "../../json.ts";
import { MAX_QUOTED_NAME_CHARACTERS, MAX_STATEMENT_CHARACTERS, MAX_STATEMENT_DEPTH } from "../../limits.ts";

export interface StatementJson {
  readonly value: unknown;
  /** By name; empty where the outermost value is not an object. */
  readonly members: ReadonlyMap<string, string>;
}

/** @throws FormatError */
export function parseStatementJson(text: string): StatementJson {
  if (text.length > MAX_STATEMENT_CHARACTERS) {
    throw new FormatError(`Cannot read a signed statement: it is longer than ${MAX_STATEMENT_CHARACTERS} characters`);
  }
  return { value: parseJsonText(text), members: memberTexts(text) };
}

/** The beginning of a name that somebody wrote, for a message. */
export function quoted(name: string | undefined): string {
  return name === undefined ? "nothing" : JSON.stringify(name.slice(0, MAX_QUOTED_NAME_CHARACTERS));
}

/** What is known of an object or array that the walk is inside of. */
interface Level {
  /** Names so far; of an array undefined. */
  readonly names: Set<string> | undefined;
  /** Whether the next string of an object is a name. */
  expectsName: boolean;
}

/** A string, or one character that gives JSON its structure. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** Walks text that is JSON, as was seen before, so that only names, depth and places are left to look at. */
function memberTexts(text: string): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  const levels: Level[] = [];
  let outerName: string | undefined;
  let valueStart = 0;
  const endMember = (end: number) => {
    if (levels.length !== 1 || outerName === undefined) return;
    members.set(outerName, text.slice(valueStart, end).trim());
    outerName = undefined;
  };
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    const level = levels.at(-1);
    switch (token) {
      case "{":
      case "[":
        if (levels.length === MAX_STATEMENT_DEPTH) {
          throw new FormatError(`Cannot read a signed statement: it nests deeper than ${MAX_STATEMENT_DEPTH}`);
        }
        levels.push({ names: token === "{" ? new Set() : undefined, expectsName: token === "{" });
        break;
      case "}":
      case "]":
        endMember(index);
        levels.pop();
        break;
      case ",":
        endMember(index);
        if (level?.names !== undefined) level.expectsName = true;
        break;
      case ":":
        if (levels.length === 1) valueStart = index + 1;
        break;
      default: {
        if (level?.names === undefined || !level.expectsName) break;
        const name = parseJsonText(token) as string;
        if (level.names.has(name)) {
          throw new FormatError(`Cannot read a signed statement: the name ${quoted(name)} stands twice`);
        }
        level.names.add(name);
        level.expectsName = false;
        if (levels.length === 1) outerName = name;
      }
    }
  }
  return members;
}
