/**
 * The README as tests read it: its text, and the shell commands in it.
 */

import { join } from "node:path";
import { fromFileUrl } from "./paths.ts";

export const ROOT = fromFileUrl(new URL("../", import.meta.url));

const TOUR = "## A tour\n";

export const readme: string = Deno.readTextFileSync(join(ROOT, "README.md"));

/** The text of each fenced block of shell commands, in order. */
export function shellBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
}

/** The README without its tour, and the tour. */
export function splitTour(): { readonly rest: string; readonly tour: string } {
  const start = readme.indexOf(TOUR);
  if (start < 0) throw new Error(`README.md has no section ${JSON.stringify(TOUR.trim())}`);
  const end = readme.indexOf("\n## ", start);
  return { rest: readme.slice(0, start) + readme.slice(end), tour: readme.slice(start, end) };
}
