/**
 * The constitution of `constitution/` as a node joins it, loaded as a module here, for tests.
 */

import { toBase64, toUtf8 } from "../shared/bytes.ts";

/** What every constitution exports (governance.md §4). */
export interface Constitution {
  validate(proposal: string): { valid: boolean; description: string };
  resolve(proposal: string, proposerId: string, votes: { member_id: string; vote: boolean }[], id: string): string;
  apply(proposal: string, proposalId: string): void;
}

/** The four files with a newline between, in the order in which a configuration names them. */
export const constitutionText = ["actions", "validate", "resolve", "apply"]
  .map((name) => Deno.readTextFileSync(new URL(`./constitution/${name}.js`, import.meta.url))).join("\n");

/** The module. Its functions look for a global `ccf` (`FakeCcf.run`). */
export const constitution: Constitution = await import(
  `data:text/javascript;base64,${toBase64(toUtf8(constitutionText))}`
);
