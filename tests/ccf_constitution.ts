/**
 * CCF's default constitution, for tests: the text with which a recorded service began. Needs the team folder.
 */

import { CONSTITUTION } from "../shared/governance/tables.ts";
import { LedgerEntry } from "../shared/ledger/entry.ts";
import { ledgerDirectory, readEntries } from "./services.ts";

/** As the first transaction of the service has it. */
export function ccfConstitution(): string {
  for (const entry of readEntries(ledgerDirectory("recorded_rekey"))) {
    const table = LedgerEntry.parse(entry).publicTables().find(({ name }) => name === CONSTITUTION.name);
    if (table !== undefined) return CONSTITUTION.value.decode(table.writes[0]![1]);
  }
  throw new Error("The ledger has no constitution");
}
