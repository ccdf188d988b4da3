/** Addresses inside the time machine. */

import { toHex } from "../../../shared/bytes.ts";
import { linkTo } from "../../routes.ts";

/** A key of a table: its value as of a seqno, and its history. */
export function keyLink(table: string, key: Uint8Array, at: number | undefined): string {
  // An empty parameter would be left out; keys may be empty, and have their own word then.
  return linkTo("tables", undefined, { table, key: key.length === 0 ? "empty" : toHex(key), at });
}
