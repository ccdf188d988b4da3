/**
 * Texts of constitutions, for tests.
 */

import { fileURLToPath } from "node:url";
import { constitutionFiles } from "../../node/constitution_folder.ts";

/** The files of a folder with a newline between, as a node joins them. */
export function textIn(folder: string): string {
  return constitutionFiles(folder).map((file) => Deno.readTextFileSync(file)).join("\n");
}

/** @param folder in `getting_started`, e.g. `constitution_veto` */
export function ourText(folder: string): string {
  return textIn(fileURLToPath(new URL(`../${folder}`, import.meta.url)));
}
