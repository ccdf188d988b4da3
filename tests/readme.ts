/**
 * The README as tests read it: its text, and the shell commands in it.
 */

import { join } from "node:path";
import { fromFileUrl } from "./paths.ts";

export const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** Sections whose commands are run as they stand, in order, each in a checkout of its own. */
const TOURS = ["## A tour\n", "## A network\n"] as const;

export const readme: string = Deno.readTextFileSync(join(ROOT, "README.md"));

/** The text of each fenced block of shell commands, in order. */
export function shellBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
}

/** The README without its tours, and the tours: what one node does, and what several do. */
export function splitTours(): { readonly rest: string; readonly tours: readonly string[] } {
  let rest = readme;
  const tours = TOURS.map((title) => {
    const start = rest.indexOf(title);
    if (start < 0) throw new Error(`README.md has no section ${JSON.stringify(title.trim())}`);
    const end = rest.indexOf("\n## ", start);
    const tour = rest.slice(start, end);
    rest = rest.slice(0, start) + rest.slice(end);
    return tour;
  });
  return { rest, tours };
}

/** The text of each fenced block of JSON, in order. */
export function jsonBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
}
