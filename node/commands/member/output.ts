/**
 * Standard output and error, for a person or for a machine.
 *
 * A person reads lines; a machine reads one JSON document, and what is about to be signed goes beside it.
 */

import type { LedgerOutput } from "../ledger_output.ts";
import type { MemberOutput } from "./context.ts";

/** @param terminal where everything goes @param json for a machine */
export function memberOutput(terminal: LedgerOutput, json: boolean): MemberOutput {
  // Written at once: what is shown before it is sent must have arrived.
  const line = (text: string) => {
    terminal.line(text);
    terminal.finish();
  };
  const note = (text: string) => terminal.note(text);
  return json
    ? { line: () => {}, show: note, note, document: (value) => line(JSON.stringify(value, null, 2)) }
    : { line, show: line, note, document: () => {} };
}
