/**
 * `sandbox.json`, by which commands find the node and the credentials of a sandbox.
 *
 * In: the workspace. Out: URLs, and paths of files.
 */

import { join, resolve } from "node:path";
import { FormatError } from "../../shared/assert.ts";
import { parseJsonText } from "../../shared/json.ts";
import { listOf, object, text } from "../../shared/json_shape.ts";
import { readTextFile, UsageError } from "./exit.ts";

/** What is read of the sandbox's description. */
const SANDBOX = object({
  nodes: listOf(object({ url: text, web_url: text })),
  service_cert: text,
  common_dir: text,
});

/** The description, with one of its nodes, by its number, and the URLs of all. @throws UsageError */
export function readSandbox(workspace: string, index = 0) {
  const file = join(resolve(workspace), "sandbox.json");
  const content = readTextFile(file, "the description of the sandbox");
  try {
    const { nodes, ...rest } = SANDBOX(parseJsonText(content), "");
    if (nodes.length === 0) throw new FormatError("it names no node");
    const node = nodes[index];
    if (node === undefined) {
      throw new UsageError(`Cannot use node ${index}: the sandbox has nodes 0 to ${nodes.length - 1}`);
    }
    return { nodes: [node] as const, urls: nodes.map(({ url }) => url), ...rest };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(
      `Cannot read the description of the sandbox ${file}: ${error.message}; the sandbox writes it again when it starts`,
    );
  }
}

/** What to try where the node that is asked by default cannot be reached. @param others as the option takes them */
export function adviceToAsk(others: readonly (string | number)[]): string {
  return others.length === 0 ? "" : ` The sandbox has others: ${others.map((node) => `--node ${node}`).join(", ")}`;
}

/** The files of one member or user of a sandbox. @param name such as `member0` */
export function credentialsOf(name: string, commonFolder: string): { readonly cert: string; readonly key: string } {
  return { cert: join(commonFolder, `${name}_cert.pem`), key: join(commonFolder, `${name}_privk.pem`) };
}
