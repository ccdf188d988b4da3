/**
 * A proposal in words, for whoever is about to sign it or to vote on it.
 *
 * In: the text of a proposal, which anybody may have written. Out: its actions, each with its arguments in short.
 * Nothing is left out: what is too long to show is cut and told by its digest, certificates by whose they are. Every text
 * that comes out is safe on a terminal and in a page: what could steer it, or turn the reading direction, is escaped.
 * Knows nothing of which actions a constitution has.
 * Format: governance.md §4
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { FormatError } from "../assert.ts";
import { toHex, toUtf8 } from "../bytes.ts";
import { memberIdOf } from "../crypto/identifiers.ts";
import { parsePem, serialisePem } from "../crypto/pem.ts";
import { parseCertificate } from "../crypto/x509.ts";
import { nameToText } from "../crypto/x509_name.ts";
import { parseJsonText } from "../json.ts";
import { MAX_JSON_DEPTH, MAX_SHOWN_ARGUMENT_CHARACTERS } from "../limits.ts";

/** One action of a proposal. */
export interface ActionWords {
  /** As the constitution is asked for it. */
  readonly name: string;
  /** Each argument by name; one without a name where they are no object. */
  readonly args: readonly (readonly [name: string, value: string])[];
}

export interface ProposalWords {
  /** undefined where the proposal is no list of actions: a constitution may take others. */
  readonly actions: readonly ActionWords[] | undefined;
  /** The whole proposal in short. */
  readonly text: string;
}

/** @throws FormatError where the text is not JSON */
export function proposalWords(proposal: string): ProposalWords {
  const json = parseJsonText(proposal);
  return { actions: actionsOf(json), text: valueWords(json) };
}

function actionsOf(json: unknown): ActionWords[] | undefined {
  if (typeof json !== "object" || json === null || !("actions" in json) || !Array.isArray(json.actions)) {
    return undefined;
  }
  const actions: ActionWords[] = [];
  for (const action of json.actions as unknown[]) {
    if (typeof action !== "object" || action === null || !("name" in action) || typeof action.name !== "string") {
      return undefined;
    }
    // What stands beside name and arguments is not passed on to anything, but a member should see that it is there.
    const { name, args, ...rest } = action as { name: string; args?: unknown };
    actions.push({ name: safeText(name), args: [...argumentsOf(args), ...argumentsOf(rest)] });
  }
  return actions;
}

function argumentsOf(args: unknown): [string, string][] {
  if (args === undefined || args === null) return [];
  if (typeof args !== "object" || Array.isArray(args)) return [["", valueWords(args)]];
  return Object.entries(args).map(([name, value]) => [safeText(name), valueWords(value)]);
}

/** A JSON value on one line, in short. */
export function valueWords(value: unknown): string {
  if (typeof value === "string") return certificateWords(value) ?? cut(JSON.stringify(value), value);
  const whole = JSON.stringify(value);
  const short = JSON.stringify(shortened(value, 0));
  return short.length <= MAX_SHOWN_ARGUMENT_CHARACTERS ? safeText(short) : cut(short, whole);
}

/** The same value with every text in it cut, or told by its digest. */
function shortened(value: unknown, depth: number): unknown {
  if (depth > MAX_JSON_DEPTH) throw new FormatError(`Cannot show JSON that nests deeper than ${MAX_JSON_DEPTH}`);
  if (typeof value === "string") {
    if (value.length <= MAX_SHOWN_ARGUMENT_CHARACTERS) return value;
    return certificateWords(value) ?? cut(value, value);
  }
  if (Array.isArray(value)) return value.map((item) => shortened(item, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shortened(member, depth + 1)]));
}

/** @param whole what the digest is of */
function cut(shown: string, whole: string): string {
  if (shown.length <= MAX_SHOWN_ARGUMENT_CHARACTERS) return safeText(shown);
  const bytes = toUtf8(whole);
  const start = safeText(shown.slice(0, MAX_SHOWN_ARGUMENT_CHARACTERS));
  return `${start}… (${bytes.length} bytes, SHA-256 ${toHex(sha256(bytes))})`;
}

/** Where a text is nothing but certificates: whose they are, and the ID that a member or user has by each. */
function certificateWords(text: string): string | undefined {
  if (!text.startsWith("-----BEGIN CERTIFICATE-----")) return undefined;
  try {
    const blocks = parsePem(text);
    // Lines outside of blocks would go unseen.
    const nothingElse = blocks.map(({ label, der }) => serialisePem(label, der)).join("");
    if (text.replaceAll("\r\n", "\n").trimEnd() !== nothingElse.trimEnd()) return undefined;
    const words = blocks.map(({ der }) =>
      `certificate of ${nameToText(parseCertificate(der).subject)}, ID ${memberIdOf(der)}`
    );
    return safeText(words.join("; "));
  } catch (error) {
    if (error instanceof FormatError) return undefined;
    throw error;
  }
}

/** Control and format characters, separators of lines, and what cannot be seen. */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** One line of text, safe on a terminal and in a page. */
export function safeText(text: string): string {
  return text.replace(STEERING, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** Several lines of text, safe on a terminal and in a page, such as the source of a ballot. */
export function safeLines(text: string): string[] {
  return text.split("\n").map((line) => line.split("\t").map(safeText).join("\t"));
}
