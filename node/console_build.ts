/**
 * Builds the page where it was not built yet, or its sources are newer: before a sandbox or the relay serves it.
 *
 * In: a checkout. Out: `console/dist`. A real node never builds: it serves what is there.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CONSOLE_FOLDER } from "./console_files.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** What the page is made of. */
const SOURCES = ["console", "shared", "enclave", "deno.lock"];

/**
 * Needs the permission to run `deno`.
 *
 * @returns undefined where the page is there now, else why not, as a sentence
 */
export async function buildConsole(note: (text: string) => void): Promise<string | undefined> {
  const built = modifiedMs(join(CONSOLE_FOLDER, "policy.json"));
  if (modifiedMs(join(ROOT, "console/build.ts")) === undefined) {
    return built === undefined ? "this installation has not the console's sources" : undefined;
  }
  if (built !== undefined && SOURCES.every((name) => newestMs(join(ROOT, name)) <= built)) return undefined;
  note("Building the console (deno task console)");
  try {
    const { success, stderr } = await new Deno.Command("deno", {
      args: ["task", "--quiet", "console"],
      cwd: ROOT,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (success) return undefined;
    const [line = ""] = new TextDecoder().decode(stderr).trim().split("\n").slice(-1);
    return `the console could not be built: ${line}; \`deno task console\` says more`;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `the console could not be built: ${reason}`;
  }
}

/** When the newest of a folder's sources was changed. */
function newestMs(path: string): number {
  const info = Deno.statSync(path);
  if (!info.isDirectory) return info.mtime?.getTime() ?? 0;
  let newest = 0;
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (name === "dist" || name.startsWith(".") || /_test\.tsx?$/.test(name) || name.endsWith(".md")) continue;
    if (isDirectory || /\.(tsx?|css|html|json|js)$/.test(name)) newest = Math.max(newest, newestMs(join(path, name)));
  }
  return newest;
}

function modifiedMs(path: string): number | undefined {
  try {
    return Deno.statSync(path).mtime?.getTime();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
