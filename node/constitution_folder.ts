/**
 * Constitutions on disk: which files of a folder make one, and in which order a node joins them.
 *
 * In: a folder. Out: paths, as a configuration names them in `constitution_files`. Knows nothing of what they say.
 *
 * A folder with an `actions.js` is a constitution of its own. One without is a variant of ours: it holds the files in
 * which it differs, and a sandbox takes the others from `getting_started/constitution`, which has what CCF's default
 * constitution has, and from `getting_started/constitution_virtual`, which adds what the virtual platform needs.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTextFile, reasonOf, UsageError } from "./commands/exit.ts";

const ours = (name: string) => fileURLToPath(new URL(`../getting_started/${name}`, import.meta.url));

export const STANDARD_CONSTITUTION_FOLDER = ours("constitution");
/** What a sandbox begins with. */
export const DEFAULT_CONSTITUTION_FOLDER = ours("constitution_virtual");

/** These come first, in this order; the others follow by name. */
const FIRST_FILES = ["actions.js", "validate.js", "resolve.js", "apply.js"];

/**
 * Paths of a constitution's files, in order. Each can be read.
 *
 * @throws UsageError where there is no such folder, or one of the first four files is missing or one cannot be read
 */
export function constitutionFiles(folder: string): string[] {
  const own = scriptsIn(folder);
  const isVariant = own.length > 0 && !own.includes("actions.js");
  const layers = isVariant ? [STANDARD_CONSTITUTION_FOLDER, DEFAULT_CONSTITUTION_FOLDER, folder] : [folder];
  // Of a name that several layers have, the last counts.
  const paths = new Map(layers.flatMap((layer) => scriptsIn(layer).map((name) => [name, join(layer, name)] as const)));
  for (const name of FIRST_FILES) {
    if (!paths.has(name)) throw new UsageError(`Cannot use the constitution in ${folder}: it has no ${name}`);
  }
  const others = [...paths.keys()].filter((name) => !FIRST_FILES.includes(name)).sort();
  const files = [...FIRST_FILES, ...others].map((name) => paths.get(name)!);
  for (const file of files) readTextFile(file, "the constitution's file");
  return files;
}

function scriptsIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".js"));
  } catch (error) {
    throw new UsageError(`Cannot read the constitution folder ${folder}: ${reasonOf(error)}`);
  }
}
