/**
 * Small file helpers that several tests share.
 */

import { fileURLToPath } from "node:url";
export { join } from "node:path";

export function fromFileUrl(url: URL): string {
  return fileURLToPath(url);
}

/** File information, or undefined where there is nothing to read. */
export function statSyncOrUndefined(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
