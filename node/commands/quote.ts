/**
 * `quote verify`: what a node's hardware says about it, and who allowed that; `quote vectors` is in its own file.
 *
 * In: arguments. Out: exit code 0 verified, 1 refused, 2 wrong usage or unreadable input, 3 unreachable.
 */

import { Command, Option } from "commander";
import { type RungName, RUNGS } from "../../shared/trust/report.ts";
import { loadScriptEngine } from "../../enclave/js/runtime.ts";
import { loadNativePrimitives } from "../../enclave/native_primitives.ts";
import { isNodeUrl } from "../quote_source.ts";
import { verifyQuote } from "../quote_verify.ts";
import { keepPermissions, UsageError } from "./exit.ts";
import { TerminalOutput } from "./ledger_output.ts";
import { quoteVectorsCommand } from "./quote_vectors.ts";

export function quoteCommand(): Command {
  return new Command("quote")
    .description("Evidence of nodes: what their hardware says, and who allowed the code that they run")
    .exitOverride()
    .addCommand(verifyCommand())
    .addCommand(quoteVectorsCommand());
}

interface VerifyOptions {
  readonly serviceCert?: string;
  readonly ledger?: string;
  readonly collateral?: string;
  readonly upTo: RungName;
  readonly at?: string;
  readonly measurement?: readonly string[];
  readonly hostData?: readonly string[];
  readonly allowVirtual?: boolean;
  readonly lenient?: boolean;
  readonly save?: string;
  readonly pin?: string;
  readonly json?: boolean;
}

function verifyCommand(): Command {
  return new Command("verify")
    .description("Verify a node's evidence, its key, its service, its code, and how the whole network came to be")
    .argument(
      "<FILE|URL>",
      "a running node, as in https://127.0.0.1:8000; a bundle that --save wrote; or a bare report or quote",
    )
    .exitOverride()
    .option("--service-cert <FILE>", "certificate (PEM) of the service, from somebody you trust")
    .option("--ledger <DIR|URL>", "read the ledger there: a directory of its files, or another node")
    .option("--collateral <DIR>", "what vouches for a bare report or quote; of a node's, AMD's revocation list")
    .addOption(new Option("--up-to <RUNG>", "the last rung that must hold").choices(RUNGS).default("network"))
    .option(
      "--at <TIME>",
      "verify as of then, as in 2026-11-24T15:00:00Z or now (default: now, or when the bundle was saved)",
    )
    .option("--measurement <HEX...>", "which measurements you accept, whatever members allow")
    .option("--host-data <HEX...>", "which host data you accept, whatever members allow")
    .option("--allow-virtual", "exit with 0 also where the platform is virtual, which proves nothing about hardware")
    .option("--lenient", "accept a ledger that older versions of CCF wrote")
    .option("--save <FILE>", "keep all that was looked at in one file, to be verified again without the node")
    .option(
      "--pin <FILE>",
      "remember service identity, last signature and its root there; refuse a ledger that does not continue it",
    )
    .option("--json", "print one JSON document instead of text")
    .addHelpText(
      "after",
      `
The rungs, each standing on the one before:
  hardware   the evidence is what genuine hardware signed; --measurement and --host-data compare it with what you expect
  key        it names the key that ended this connection
  service    the service of --service-cert issued the node's certificate, and the ledger has this evidence for the node
  code       who allowed the code: a proposal, with who signed which ballot, or the members who started the service
  network    every node that was ever trusted was let in with evidence that was acceptable then, and every change of that
             was decided by members; each of their requests is decided again. So whoever holds a key of the service may
             be trusted as this node is

Steps are verified (ok), failed (BAD), not checked (-) or cannot be checked (?); one that was asked for and cannot be
checked is refused. The ledger is read entry by entry and proves itself, so it may come from anybody.

What a ledger cannot prove is that it is all there is. --pin makes the first run write FILE; later runs, and those of
ledger verify, refuse a ledger that ends before the pinned signature (an older state) or has another root there (another
branch), and write FILE again where all that was asked for holds. Over a recovery the pin moves with --service-cert only.

Exit code: 0 verified, 1 refused (or virtual, without --allow-virtual), 2 wrong usage or unreadable input, 3 unreachable.

Examples:
  deno task run quote verify https://127.0.0.1:8000 --service-cert workspace/sandbox_common/service_cert.pem \\
    --allow-virtual --save workspace/evidence.json --pin workspace/service.pin
  deno task run quote verify workspace/evidence.json --service-cert workspace/sandbox_common/service_cert.pem \\
    --allow-virtual`,
    )
    .action(async (target: string, options: VerifyOptions) => {
      const isOnline = isNodeUrl(target) || (options.ledger !== undefined && isNodeUrl(options.ledger));
      keepPermissions([
        "read",
        "env",
        ...(isOnline ? ["net" as const] : []),
        ...(options.save === undefined && options.pin === undefined ? [] : ["write" as const]),
      ]);
      const request = {
        primitives: loadNativePrimitives(),
        engine: options.upTo === "network" ? await loadScriptEngine(() => performance.now()) : undefined,
        target,
        serviceCert: options.serviceCert,
        ledger: options.ledger,
        collateral: options.collateral,
        upTo: options.upTo,
        at: options.at === undefined ? undefined : parseTime(options.at),
        nowMs: Date.now(),
        mode: options.lenient === true ? "lenient" as const : "strict" as const,
        allowVirtual: options.allowVirtual === true,
        expected: {
          measurements: options.measurement && hexList(options.measurement, "--measurement"),
          hostData: options.hostData && hexList(options.hostData, "--host-data"),
        },
        savePath: options.save,
        pinPath: options.pin,
        json: options.json === true,
      };
      Deno.exitCode = await verifyQuote(request, new TerminalOutput(request.json));
    });
}

/** @throws UsageError */
function parseTime(text: string): number {
  if (text === "now") return Date.now();
  const ms = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z)?$/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) {
    throw new UsageError(
      `Cannot use ${JSON.stringify(text)} as a time: write it as 2026-11-24T15:00:00Z, in UTC, or say now`,
    );
  }
  return ms;
}

/** @throws UsageError */
function hexList(values: readonly string[], option: string): string[] {
  for (const value of values) {
    if (!/^([0-9a-fA-F]{2})+$/.test(value)) throw new UsageError(`Cannot use ${value} as ${option}: it is not hex`);
  }
  return values.map((value) => value.toLowerCase());
}
