/**
 * `quote vectors`: evaluates a file of test vectors of evidence, so that anybody can put our verifiers to the test.
 *
 * In: the file, and those that it names, which lie below its folder. Out: a line for everything that is not as the file
 * says, and how many entries are; exit code 0 where all are, 1 where one is not, 2 where there is nothing to evaluate.
 */

import { Command } from "commander";
import { dirname, join } from "node:path";
import { FormatError } from "../../shared/assert.ts";
import { evaluateVectors, type VectorResults } from "../../shared/attestation/vectors.ts";
import type { FileReader } from "../../shared/attestation/vector_case.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { MAX_VECTOR_FILE_BYTES, MAX_VECTORS_JSON_BYTES } from "../../shared/limits.ts";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { ExitCode, keepPermissions, readFile, reasonOf, UsageError } from "./exit.ts";
import { type LedgerOutput, TerminalOutput } from "./ledger_output.ts";
import { safeText } from "./ledger_values.ts";

/** What evaluating vectors takes: files, and whether to use colours. */
export const VECTORS_PERMISSIONS: readonly Deno.PermissionName[] = ["read", "env"];

export function quoteVectorsCommand(): Command {
  return new Command("vectors")
    .description("Evaluate test vectors of evidence: AMD SEV-SNP, Intel SGX and TDX, Azure's endorsements")
    .argument("<FILE>", "a vectors.json of format 1; the files that it names lie below its folder")
    .exitOverride()
    .option("--json", "print one JSON document instead of text")
    .addHelpText(
      "after",
      `
Each vector is evidence, a moment to verify it at, what the relying party wants, and what comes of it: accepted or
rejected, for which reason, and the values that the evidence gives. Each negative is a vector with something changed,
which must be rejected. The clock is not looked at, and nothing is fetched.

Whatever is not as the file says is one line, and so is whatever it says that is not known here: nothing is passed over.
The last line is "N passed, N failed".

Exit code: 0 all as the file says, 1 something is not, 2 wrong usage or unreadable input.

Example:
  deno task run quote vectors vectors/vectors.json`,
    )
    .action((file: string, { json = false }: { readonly json?: boolean }) => {
      keepPermissions(VECTORS_PERMISSIONS);
      Deno.exitCode = runVectors(file, json, loadNativePrimitives(), new TerminalOutput(json));
    });
}

/** `quote vectors`, all but its permissions. @throws UsageError */
export function runVectors(path: string, json: boolean, primitives: Primitives, output: LedgerOutput): number {
  try {
    const results = evaluate(path, primitives, (done, of) => output.progress(done, of));
    if (json) output.line(JSON.stringify(results, null, 2));
    else printForPeople(results, output);
    return results.failed === 0 ? ExitCode.done : ExitCode.refused;
  } finally {
    output.finish();
  }
}

function evaluate(path: string, primitives: Primitives, onProgress: (done: number, of: number) => void): VectorResults {
  const refuse = (problem: string): never => {
    throw new UsageError(`Cannot evaluate ${path}: ${problem}`);
  };
  const bytes = readFile(path, "the vectors");
  if (bytes.length > MAX_VECTORS_JSON_BYTES) {
    return refuse(`it has ${bytes.length} bytes, at most ${MAX_VECTORS_JSON_BYTES}`);
  }
  try {
    const results = evaluateVectors(parseJsonBytes(bytes), filesBelow(dirname(path)), primitives, onProgress);
    return results.passed + results.failed > 0 ? results : refuse("there is no vector in it");
  } catch (error) {
    if (error instanceof FormatError) return refuse(safeText(error.message));
    throw error;
  }
}

/** Reads files by paths that are known not to lead out of the folder. What is no file throws FormatError. */
function filesBelow(folder: string): FileReader {
  return (path) => {
    try {
      const { isFile, size } = Deno.statSync(join(folder, path));
      if (!isFile) throw new FormatError(`Cannot read ${path}: it is no file`);
      if (size > MAX_VECTOR_FILE_BYTES) {
        throw new FormatError(`Cannot read ${path}: it has ${size} bytes, at most ${MAX_VECTOR_FILE_BYTES}`);
      }
      return Deno.readFileSync(join(folder, path));
    } catch (error) {
      if (error instanceof FormatError) throw error;
      throw new FormatError(`Cannot read ${path}: ${reasonOf(error)}`);
    }
  };
}

function printForPeople({ passed, failed, deviations }: VectorResults, output: LedgerOutput): void {
  const { red, green } = output.colors;
  for (const { id, problem } of deviations) {
    if (!output.line(`${red("BAD")} ${id}: ${safeText(problem)}`)) return;
  }
  output.line(`${green(`${passed} passed`)}, ${failed === 0 ? `${failed} failed` : red(`${failed} failed`)}`);
}
