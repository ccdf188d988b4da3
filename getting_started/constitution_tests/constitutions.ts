/**
 * Texts of constitutions, for tests: ours, and the one that recorded services of CCF began with.
 */

import { fileURLToPath } from "node:url";
import { constitutionFiles } from "../../node/constitution_folder.ts";
import { CONSTITUTION } from "../../shared/governance/tables.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";

/** The files of a folder with a newline between, as a node joins them. */
export function textIn(folder: string): string {
  return constitutionFiles(folder).map((file) => Deno.readTextFileSync(file)).join("\n");
}

/** @param folder in `getting_started`, e.g. `constitution_veto` */
export function ourText(folder: string): string {
  return textIn(fileURLToPath(new URL(`../${folder}`, import.meta.url)));
}

/** CCF's default constitution, as the first transaction of a service has it. Needs the team folder. */
export function ccfText(): string {
  for (const entry of readEntries(ledgerDirectory("recorded_rekey"))) {
    const table = LedgerEntry.parse(entry).publicTables().find(({ name }) => name === CONSTITUTION.name);
    if (table !== undefined) return CONSTITUTION.value.decode(table.writes[0]![1]);
  }
  throw new Error("The ledger has no constitution");
}
