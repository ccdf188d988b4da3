/**
 * Constitutions as a node joins them, loaded as modules here, for tests.
 */

import { toBase64, toUtf8 } from "../shared/bytes.ts";
import { constitutionFiles, STANDARD_CONSTITUTION_FOLDER } from "../node/constitution_folder.ts";

/** What every constitution exports (governance.md §4). */
export interface Constitution {
  validate(proposal: string): { valid: boolean; description: string };
  resolve(proposal: string, proposerId: string, votes: { member_id: string; vote: boolean }[], id: string): string;
  apply(proposal: string, proposalId: string): void;
}

/** The files of a folder with a newline between, in the order in which a sandbox's configuration names them. */
export function constitutionTextOf(folder: string): string {
  return constitutionFiles(folder).map((file) => Deno.readTextFileSync(file)).join("\n");
}

export const constitutionText = constitutionTextOf(STANDARD_CONSTITUTION_FOLDER);

/** The module. Its functions look for a global `ccf` (`FakeCcf.run`). */
export const constitution: Constitution = await import(
  `data:text/javascript;base64,${toBase64(toUtf8(constitutionText))}`
);
