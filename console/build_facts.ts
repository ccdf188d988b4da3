/**
 * What the build says of itself, as JSON in the page: the commit, the policy, where the workers are.
 *
 * The page cannot know its own hash; the build writes `console.html.sha256` beside it (decisions: what a page cannot see).
 */

import type { PackageNotice } from "./build_notices.ts";

export interface BuildFacts {
  /** app: in pieces, served. single: one file. */
  readonly kind: "app" | "single";
  /** null where the sources were not a checkout of git. */
  readonly source: { readonly commit: string | null; readonly changed: boolean | null };
  /** Name → URL relative to the page. Empty in the single file, which carries them. */
  readonly workers: Readonly<Record<string, string>>;
  readonly policy: string;
}

const textOf = (id: string) => document.getElementById(id)?.textContent ?? undefined;

export function buildFacts(): BuildFacts {
  const text = textOf("build");
  if (text === undefined) throw new Error("The page was not made by `deno task console`: it has no build facts");
  return JSON.parse(text) as BuildFacts;
}

/** Of the packages in the page, with their texts. */
export function licences(): readonly PackageNotice[] {
  return JSON.parse(textOf("licences") ?? "[]") as PackageNotice[];
}

/** Starts one of the page's workers. */
export function startWorker(name: "ledger"): Worker {
  const path = buildFacts().workers[name];
  if (path !== undefined) return new Worker(new URL(path, document.baseURI), { type: "module", name });
  const text = textOf(`worker-${name}`);
  if (text === undefined) throw new Error(`The page has no worker named ${name}`);
  const url = URL.createObjectURL(new Blob([JSON.parse(text) as string], { type: "text/javascript" }));
  // Classic: a page from disk has an origin of its own at each look, and browsers start no module of another origin.
  const worker = new Worker(url, { name });
  // Its script is fetched by now or never; a moment later nobody needs the name.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return worker;
}
