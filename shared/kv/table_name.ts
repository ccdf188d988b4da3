/**
 * What the name of a table says: who may read it, and whose it is.
 *
 * In: a name. Out: its security domain and access category; FormatError where a name cannot be used.
 * Format: ledger-and-receipts.md §3.4
 */

import { FormatError } from "../assert.ts";
import { MAX_TABLE_NAME_CHARACTERS } from "../limits.ts";

/** Public tables stand in the ledger in clear, private ones encrypted. */
export type SecurityDomain = "public" | "private";

export type AccessCategory = "application" | "governance" | "internal";

const PUBLIC_PREFIX = "public:";

export function domainOf(name: string): SecurityDomain {
  return name.startsWith(PUBLIC_PREFIX) ? "public" : "private";
}

/** Whose table it is; undefined for a reserved name, that is, any other that begins with `ccf.`. */
export function categoryOf(name: string): AccessCategory | undefined {
  const at = name.startsWith(PUBLIC_PREFIX) ? PUBLIC_PREFIX.length : 0;
  if (!name.startsWith("ccf.", at)) return "application";
  if (name.startsWith("ccf.gov.", at)) return "governance";
  if (name.startsWith("ccf.internal.", at)) return "internal";
  return undefined;
}

/** @throws FormatError for what is too long for a name, or is not text that UTF-8 can hold */
export function checkNameText(name: string): void {
  if (name.length > MAX_TABLE_NAME_CHARACTERS) {
    throw new FormatError(`Cannot use a table name of ${name.length} characters: at most ${MAX_TABLE_NAME_CHARACTERS}`);
  }
  if (!name.isWellFormed()) throw new FormatError("Cannot use a table name that holds half a surrogate pair");
}

/** @throws FormatError for a name that no transaction may open */
export function checkTableName(name: string): void {
  checkNameText(name);
  if (categoryOf(name) === undefined) {
    throw new FormatError(`Cannot use the table name ${JSON.stringify(name)}: other names with "ccf." are reserved`);
  }
}
