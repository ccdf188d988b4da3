/**
 * The command line: `deno task run COMMAND`.
 *
 * In: arguments. Out: an exit code: 0 done or verified, 1 checked and refused, 2 wrong usage or unreadable input,
 * 3 could not reach, 130 interrupted. Each command gives up the permissions it does not need before it does anything.
 */

import { Command, CommanderError } from "commander";
import { callCommand } from "./commands/call.ts";
import { consoleCommand } from "./commands/console.ts";
import { ExitCode, UsageError } from "./commands/exit.ts";
import { ledgerCommand } from "./commands/ledger.ts";
import { memberCommand } from "./commands/member.ts";
import { nodeCommand } from "./commands/node.ts";
import { Unreachable } from "./commands/node_client.ts";
import { quoteCommand } from "./commands/quote.ts";
import { receiptCommand } from "./commands/receipt.ts";
import { StartFailure } from "./start_failure.ts";
import { StorageError } from "./storage_error.ts";
import { FormatError } from "../shared/assert.ts";

const program = new Command("quorate")
  .description("A confidential consortium ledger: run a node, govern it, audit ledgers, verify receipts and evidence")
  .addCommand(nodeCommand())
  .addCommand(consoleCommand())
  .addCommand(callCommand())
  .addCommand(memberCommand())
  .addCommand(ledgerCommand())
  .addCommand(receiptCommand())
  .addCommand(quoteCommand());

throwInsteadOfExit(program);
// A client that holds on to its connection does not keep the process.
Deno.exit(await run(Deno.args));

/** Commands inside commands do not take this over from those that they are added to. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().showHelpAfterError("(add --help for the options)");
  for (const inner of command.commands) throwInsteadOfExit(inner);
}

async function run(args: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(["deno", "quorate", ...args]);
    return typeof Deno.exitCode === "number" ? Deno.exitCode : ExitCode.done;
  } catch (error) {
    // Help and version are asked for; every other complaint of the parser is wrong usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage;
    if (
      error instanceof UsageError || error instanceof FormatError || error instanceof StorageError ||
      error instanceof StartFailure
    ) {
      console.error(error.message);
      return ExitCode.usage;
    }
    if (error instanceof Unreachable) {
      console.error(error.message);
      return ExitCode.unreachable;
    }
    throw error;
  }
}
