/**
 * Files that only their owner may read.
 */

import { toUtf8 } from "../../../shared/bytes.ts";
import { reasonOf, requireDirectoryOf, UsageError } from "../exit.ts";

/**
 * Writes a new file with mode 0600. One that is there already is left alone: its mode would stay.
 *
 * @param what is named in the message, e.g. "the recovery share"
 * @throws UsageError
 */
export function writeSecretFile(path: string, what: string, content: string | Uint8Array): void {
  requireNewFile(path, what);
  const bytes = typeof content === "string" ? toUtf8(content) : content;
  try {
    Deno.writeFileSync(path, bytes, { mode: 0o600, createNew: true });
  } catch (error) {
    throw new UsageError(`Cannot write ${what} to ${path}: ${reasonOf(error)}`);
  }
}

/** Before anything is asked or signed: that the file can be made. @throws UsageError */
export function requireNewFile(path: string, what: string): void {
  requireDirectoryOf(path, `write ${what} to`);
  let there = true;
  try {
    Deno.lstatSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    there = false;
  }
  if (there) throw new UsageError(`Cannot write ${what} to ${path}: there is a file already; name a new one`);
}
