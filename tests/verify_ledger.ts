/**
 * Runs `ledger verify` on real ledgers, and on copies of them that a test may damage.
 */

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runVerify, type VerifyOptions } from "../node/commands/ledger.ts";
import { RecordedOutput } from "./recorded_output.ts";
import type { LedgerDirectory } from "./services.ts";

/** The document that `--json` prints, as far as it is promised. */
export interface Report {
  readonly verdict: string;
  readonly first_failing_seqno: number | null;
  readonly reason: string | null;
  readonly pin_breach: string | null;
  readonly file: string | null;
  readonly last_signed: string | null;
  readonly last: string | null;
  readonly unsigned_tail: number;
  readonly snapshots: number;
  readonly private_tables: boolean;
  readonly warnings: string[];
  readonly deviations: { readonly seqno: number; readonly rule: string; readonly reason: string }[];
}

export function verify(
  directories: readonly string[],
  options: VerifyOptions = {},
): Report & { readonly code: number } {
  const output = new RecordedOutput();
  const [directory, ...others] = directories;
  const code = runVerify(directory!, others, { ...options, json: true }, output);
  const report: Report = JSON.parse(output.text);
  assert.equal(code, report.verdict === "verified" ? 0 : 1);
  return { ...report, code };
}

export function memberKeys({ common }: LedgerDirectory): string[] {
  return [...Deno.readDirSync(common)].map(({ name }) => name).filter((name) => /^member\d+_enc_privk\.pem$/.test(name))
    .map((name) => join(common, name));
}

/** Runs a test on a copy of a ledger directory, which it may damage. */
export async function withCopy(directory: LedgerDirectory, test: (copy: string) => void): Promise<void> {
  const copy = await Deno.makeTempDir({ prefix: "quorate_ledger_" });
  try {
    for (const { name } of Deno.readDirSync(directory.ledger)) {
      Deno.copyFileSync(join(directory.ledger, name), join(copy, name));
    }
    test(copy);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

/** Changes a file, and answers what puts it back. */
export function change(path: string, damage: (bytes: Uint8Array) => Uint8Array): () => void {
  const original = Deno.readFileSync(path);
  Deno.writeFileSync(path, damage(original.slice()));
  return () => Deno.writeFileSync(path, original);
}
