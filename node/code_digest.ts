/**
 * A digest that stands for the code of this node, since on the virtual platform no hardware measures it.
 *
 * In: the checkout. Out: SHA-256 over the sorted list of paths and file digests of `node/`, `enclave/`, `shared/`,
 * `deno.json` and `deno.lock`, one line a file: hex digest, two spaces, path, newline.
 */

import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const CODE = ["deno.json", "deno.lock", "enclave", "node", "shared"];

/** Hex SHA-256. */
export function codeDigest(root: string = fileURLToPath(new URL("../", import.meta.url))): string {
  const paths = CODE.flatMap((name) => listFiles(join(root, name))).map((path) => relative(root, path)).sort();
  const list = createHash("sha256");
  for (const path of paths) list.update(`${sha256Hex(Deno.readFileSync(join(root, path)))}  ${path}\n`);
  return list.digest("hex");
}

function listFiles(path: string): string[] {
  if (!Deno.statSync(path).isDirectory) return [path];
  return [...Deno.readDirSync(path)].flatMap(({ name }) => listFiles(join(path, name)));
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
