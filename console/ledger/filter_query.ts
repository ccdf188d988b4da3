/**
 * The one grammar by which entries of the ledger are filtered, typed or clicked together.
 *
 *     kind:governance,signature table:public:ccf.gov.members.info key:"…" seqno:10..20 view:2
 *     private:yes claims:no after:2026-11-01 before:2026-11-02T12:00Z
 *
 * In: text. Out: the filter that the ledger worker takes, its words one by one for chips, and what of the text is none.
 * Words are joined by "and". A value with spaces stands in quotes; in quotes `\"` is a quote and `\\` a backslash.
 */

import { fromHex, toHex, toUtf8 } from "../../shared/bytes.ts";
import { FormatError } from "../../shared/assert.ts";
import { ENTRY_KINDS, type EntryFilter, type EntryKind } from "./protocol.ts";

export interface FilterWord {
  readonly name: string;
  readonly value: string;
  /** As it stands in the text: without it the others go on to hold. */
  readonly text: string;
}

export interface ParsedFilter {
  readonly filter: EntryFilter;
  readonly words: readonly FilterWord[];
  /** What is no word of the grammar: sentences. Nothing is filtered by it. */
  readonly problems: readonly string[];
}

/** The grammar for people: name, example, what it means. */
export const FILTER_HELP = [
  [
    "kind",
    "kind:governance,signature",
    "Of one of these kinds: user, governance, signature, reconfiguration, snapshot, internal",
  ],
  ["table", "table:public:ccf.gov.members.info", "Writes to this public table"],
  ["key", 'key:"GET /log" or key:0x6b6579', "Writes this key of the table, given as text or as hex; goes with table:"],
  ["seqno", "seqno:10..20, seqno:10.., seqno:15", "In this range, both ends included"],
  ["view", "view:2", "Written in this view"],
  ["private", "private:yes", "With an encrypted part, or without one (no)"],
  ["claims", "claims:yes", "With claims of the app, or without (no)"],
  [
    "after",
    "after:2026-11-01, after:2026-11-01T08:00Z",
    "Covered by a signature of this time or later; local time unless it ends in Z",
  ],
  ["before", "before:2026-11-02", "Covered by a signature of this time or earlier; a date means its end"],
] as const;

const MAX_TEXT = 10_000;
const WORD = /\s*(?:([A-Za-z]+):("(?:\\.|[^"\\])*"|\S*)|(\S+))/gy;

type Mutable = { -readonly [K in keyof EntryFilter]: EntryFilter[K] };

export function parseFilter(text: string): ParsedFilter {
  const filter: Mutable = {};
  const words: FilterWord[] = [];
  const problems: string[] = [];
  let key: string | undefined;
  const trimmed = text.slice(0, MAX_TEXT).trim();
  for (const [whole, rawName, quoted, stray] of trimmed.matchAll(WORD)) {
    if (stray !== undefined) {
      problems.push(`"${stray}" is no filter: each is a name, a colon and a value, such as kind:governance`);
      continue;
    }
    const name = rawName!.toLowerCase();
    const value = unquoted(quoted!);
    const problem = name === "key" ? (key = value, undefined) : take(filter, name, value);
    if (problem === undefined) words.push({ name, value, text: whole.trim() });
    else problems.push(problem);
  }
  if (key !== undefined) {
    if (filter.table === undefined) problems.push("key: goes with table:, which says whose key it is");
    else filter.keyHex = keyHex(key);
  }
  return { filter, words, problems };
}

/** The text without one of its words. */
export function withoutWord({ words }: ParsedFilter, word: FilterWord): string {
  return words.filter((other) => other !== word).map(({ text }) => text).join(" ");
}

/** The text with a word, in place of others of its name. @param value undefined: without it */
export function withWord({ words }: ParsedFilter, name: string, value: string | undefined): string {
  const kept = words.filter((word) => word.name !== name).map(({ text }) => text);
  return [...kept, ...value === undefined ? [] : [wordText(name, value)]].join(" ");
}

export function wordText(name: string, value: string): string {
  const quoted = /[\s"\\]/.test(value) || value === "" ? `"${value.replaceAll(/["\\]/g, "\\$&")}"` : value;
  return `${name}:${quoted}`;
}

/** Text that finds all writes of a key. */
export function keyFilterText(table: string, key: Uint8Array): string {
  return `${wordText("table", table)} key:0x${toHex(key)}`;
}

/** The word for a kind in the text: one without a space. */
export function kindWord(kind: EntryKind): string {
  return kind === "snapshot evidence" ? "snapshot" : kind;
}

function unquoted(value: string): string {
  return value.startsWith('"') && value.endsWith('"') && value.length > 1
    ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1")
    : value;
}

/** Sets what a word says; a sentence where it says nothing. */
function take(filter: Mutable, name: string, value: string): string | undefined {
  switch (name) {
    case "kind": {
      const kinds = value.toLowerCase().split(",").map((word) =>
        ENTRY_KINDS.find((kind) => kind === word || kindWord(kind) === word)
      );
      if (kinds.includes(undefined)) return `"${value}" is no kind: there are ${ENTRY_KINDS.map(kindWord).join(", ")}`;
      filter.kinds = [...filter.kinds ?? [], ...kinds as EntryKind[]];
      return;
    }
    case "table":
      if (value === "") return "table: needs the name of a table, such as public:ccf.gov.members.info";
      filter.table = value;
      return;
    case "seqno": {
      const match = /^(?:(\d{1,15})|(\d{0,15})\.\.(\d{0,15}))$/.exec(value);
      if (match === null || value === "..") {
        return `"${value}" is no range of seqnos: write seqno:10..20, seqno:10.. or seqno:15`;
      }
      const [from, to] = match[1] !== undefined ? [match[1], match[1]] : [match[2]!, match[3]!];
      if (from !== "") filter.fromSeqno = Number(from);
      if (to !== "") filter.toSeqno = Number(to);
      return;
    }
    case "view":
      if (!/^\d{1,15}$/.test(value)) return `"${value}" is no view: it is a number, such as view:2`;
      filter.view = Number(value);
      return;
    case "private":
    case "claims": {
      const word = value.toLowerCase();
      if (word !== "yes" && word !== "no") return `${name}: is yes or no, and not "${value}"`;
      filter[name === "private" ? "hasPrivate" : "hasClaims"] = word === "yes";
      return;
    }
    case "after":
    case "before": {
      const ms = parseMoment(value, name === "before");
      if (ms === undefined) return `"${value}" is no time: write 2026-11-01 or 2026-11-01T08:00Z`;
      filter[name === "after" ? "fromMs" : "toMs"] = ms;
      return;
    }
    default:
      return `"${name}:" is not known: there are ${FILTER_HELP.map(([word]) => `${word}:`).join(", ")}`;
  }
}

/**
 * A date or a moment, in local time unless it ends in Z.
 *
 * @param end a date means its last millisecond, not its first
 */
export function parseMoment(text: string, end: boolean): number | undefined {
  const match = /^\d{4}-\d\d-\d\d(?:[T ](\d\d:\d\d(?::\d\d)?)?(Z)?)?$/.exec(text.trim());
  if (match === null) return undefined;
  const isDate = match[1] === undefined;
  const written = text.trim().replace(" ", "T").replace(/T?Z?$/, "");
  const ms = Date.parse(`${isDate ? `${written.slice(0, 10)}T00:00` : written}${match[2] ?? ""}`);
  if (Number.isNaN(ms)) return undefined;
  return isDate && end ? ms + 86_400_000 - 1 : ms;
}

/** Text, or bytes in hex behind 0x. */
function keyHex(key: string): string {
  if (key.startsWith("0x")) {
    try {
      return toHex(fromHex(key.slice(2)));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return toHex(toUtf8(key));
}
