/**
 * Whether a constitution can govern: it is evaluated, as a node will, before anything is started or written.
 *
 * In: its files' texts. Out: nothing, or a sentence for whoever wrote it.
 */

import { loadScriptEngine } from "../enclave/js/runtime.ts";
import { UsageError } from "./commands/exit.ts";

/**
 * @param parts in the order in which they are joined
 * @param where names them
 * @throws UsageError where they do not compile together, or do not export what a constitution exports
 */
export async function requireConstitution(parts: readonly string[], where: string): Promise<void> {
  const engine = await loadScriptEngine(() => performance.now());
  const problem = engine.constitutionProblem(parts.join("\n"));
  if (problem !== undefined) throw new UsageError(`Cannot use the constitution in ${where}: ${problem}`);
}
