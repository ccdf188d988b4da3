/**
 * Changes to tables that hold one value, under a key of eight zero bytes.
 *
 * Format: ledger-and-receipts.md §10.1
 */

import { FormatError } from "../assert.ts";
import { SINGLETON_KEY } from "../kv/codecs.ts";
import type { TableWrites } from "../kv/write_set.ts";

/** The value that a transaction wrote to such a table. @throws FormatError where it did anything else to it */
export function onlyValueOf({ name, writes, removes }: TableWrites): Uint8Array {
  const [write] = writes;
  if (write === undefined || writes.length > 1 || removes.length > 0 || write[0] !== SINGLETON_KEY) {
    throw new FormatError(`Cannot read the changes to table ${JSON.stringify(name)}: they must be one value`);
  }
  return write[1];
}
