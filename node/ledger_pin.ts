/**
 * The file with what is remembered of a ledger from one verification to the next; what is in it: `shared/ledger/pin.ts`.
 *
 * In: a path. Out: the pin that is there; the file with the next one.
 */

import { FormatError } from "../shared/assert.ts";
import { type LedgerPin, parsePin, serialisePin } from "../shared/ledger/pin.ts";
import { reasonOf, UsageError } from "./commands/exit.ts";

/**
 * The pin of an earlier run, or undefined where there was none.
 *
 * @throws UsageError where the file cannot be read, or is no pin
 */
export function readPin(path: string): LedgerPin | undefined {
  let content: string;
  try {
    content = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new UsageError(`Cannot read the pin ${path}: ${reasonOf(error)}`);
  }
  try {
    return parsePin(content);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(
      `Cannot read the pin ${path}: ${error.message}; put back the file that an earlier run wrote, or name another`,
    );
  }
}

/** Writes a pin so that a crash leaves either the old one or the new one. @throws UsageError */
export function writePin(path: string, pin: LedgerPin): void {
  try {
    Deno.writeTextFileSync(`${path}.new`, serialisePin(pin));
    Deno.renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UsageError(`Cannot write the pin ${path}: ${reasonOf(error)}`);
  }
}
