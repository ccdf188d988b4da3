/**
 * Builds the page where it was not built yet, or its sources are newer: before a sandbox or the relay serves it.
 *
 * In: a checkout. Out: `console/dist`. A real node never builds: it serves what is there. Several at once wait for the first
 * of them. Where nothing can be written, as in a read-only installation, the page that is there is served.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { reasonOf } from "./commands/exit.ts";
import { CONSOLE_FOLDER } from "./console_files.ts";
import { isNotFound } from "./storage_error.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** What the page is made of. */
const SOURCES = ["console", "shared", "enclave", "deno.json", "deno.lock", "THIRD_PARTY_NOTICES"];
/** Git and the tools of the checkout look past it, as past a build that has not ended. */
const LOCK_FOLDER = join(ROOT, "console/.dist-lock");

/** Whether there is nothing to build. Reads dates of files alone. */
export function isConsoleBuilt(root = ROOT, folder = CONSOLE_FOLDER): boolean {
  // The build writes it last.
  const builtMs = statOrUndefined(join(folder, "policy.json"))?.mtime?.getTime();
  return builtMs !== undefined && SOURCES.every((name) => newestMs(join(root, name)) <= builtMs);
}

/**
 * Needs the permission to run `deno`.
 *
 * @param note told what is done, or is not as it should be, one sentence each
 * @returns undefined where there is a page now, else why not, as a sentence
 */
export async function buildConsole(note: (sentence: string) => void): Promise<string | undefined> {
  if (statOrUndefined(join(ROOT, "console/build.ts")) === undefined) {
    return statOrUndefined(CONSOLE_FOLDER) === undefined
      ? "this installation has not the console's sources"
      : undefined;
  }
  if (isConsoleBuilt()) return undefined;
  const why = await buildLocked(note);
  if (why === undefined) return undefined;
  if (statOrUndefined(CONSOLE_FOLDER) === undefined) return why;
  note(`The console is served as it was built before: ${why}`);
  return undefined;
}

async function buildLocked(note: (sentence: string) => void): Promise<string | undefined> {
  try {
    Deno.mkdirSync(LOCK_FOLDER, { recursive: true });
    using file = Deno.openSync(join(LOCK_FOLDER, "lock"), { write: true, create: true });
    // It ends with the file, also where the process dies.
    await file.lock(true);
    if (isConsoleBuilt()) return undefined;
    note("Building the console (deno task console)");
    const { success, stderr } = await new Deno.Command("deno", {
      args: ["task", "--quiet", "console"],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (success) return undefined;
    const line = new TextDecoder().decode(stderr).split("\n").find((text) => /error/i.test(text)) ?? "it says no more";
    return `the console could not be built: ${line.trim()}; \`deno task console\` tells all`;
  } catch (error) {
    return `the console could not be built: ${reasonOf(error)}`;
  }
}

/** When a file was changed, or the newest source in a folder; 0 for what has gone meanwhile. */
function newestMs(path: string): number {
  const info = statOrUndefined(path);
  if (info?.isDirectory !== true) return info?.mtime?.getTime() ?? 0;
  let newest = 0;
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    const isSource = isDirectory
      ? name !== "dist" && !name.startsWith(".")
      : /\.(tsx?|css|html|json|js)$/.test(name) && !/_test\.tsx?$/.test(name);
    if (isSource) newest = Math.max(newest, newestMs(join(path, name)));
  }
  return newest;
}

function statOrUndefined(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
