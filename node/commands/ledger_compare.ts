/**
 * `ledger compare`: how far two copies of a ledger are the same, and what it means where they part.
 *
 * In: two directories. Out: text or one JSON document; exit code 0 where one goes on from the other, 1 where they part, 2
 * where the rest of one cannot be read.
 */

import { FormatError } from "../../shared/assert.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import { compareLedgers, type LedgerComparison, type LedgerTail, orphanedTail } from "../ledger_comparison.ts";
import { listLedger } from "../ledger_listing.ts";
import { ExitCode, UsageError } from "./exit.ts";
import type { LedgerOutput } from "./ledger_output.ts";
import { safeText } from "./ledger_values.ts";

/** `ledger compare`, all but its permissions. @throws UsageError where there is nothing to compare */
export function runCompare(one: string, other: string, json: boolean, output: LedgerOutput): number {
  const paths = [one, other] as const;
  output.note("Nothing is verified here: ledger verify does that");
  try {
    const comparison = compare(one, other);
    if (comparison.first === undefined) {
      throw new UsageError(`Cannot compare ${one} and ${other}: there is no seqno that both have a transaction for`);
    }
    if (json) output.line(JSON.stringify(describeForMachines(comparison), null, 2));
    else printForPeople(comparison, paths, output);
    if (parts(comparison)) return ExitCode.refused;
    return comparison.damages.every((damage) => damage === undefined) ? ExitCode.done : ExitCode.usage;
  } finally {
    output.finish();
  }
}

function compare(one: string, other: string): LedgerComparison {
  try {
    return compareLedgers(listLedger(one), listLedger(other));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot compare ${one} and ${other}: ${error.message}; see what ledger verify says of each`);
  }
}

const parts = ({ tails }: LedgerComparison) => tails.every((tail) => tail !== undefined);

function describeForMachines(comparison: LedgerComparison) {
  const { first, lastShared, tails } = comparison;
  const orphan = orphanedTail(comparison);
  return {
    verdict: parts(comparison) ? "they part" : "the same",
    first: first ?? null,
    last_shared: lastShared === undefined ? null : formatTxId(lastShared),
    tails: tails.map((tail, i) =>
      tail === undefined ? null : {
        first: formatTxId(tail.first),
        last: formatTxId(tail.last),
        last_signed: tail.lastSigned === undefined ? null : formatTxId(tail.lastSigned),
        marked_committed: tail.committedFile !== undefined,
        never_committed: orphan === i,
      }
    ),
    damages: comparison.damages.map((damage) => damage ?? null),
  };
}

function printForPeople(comparison: LedgerComparison, paths: readonly [string, string], output: LedgerOutput): void {
  const { bold, green, red, yellow } = output.colors;
  const line = (text: string) => output.line(safeText(text));
  const { first, lastShared, tails } = comparison;
  const shared = lastShared === undefined ? "nothing" : `from ${first} up to transaction ${formatTxId(lastShared)}`;
  const [a, b] = tails;
  if (a === undefined || b === undefined) {
    output.line(`${bold(green("The same"))}: ${shared}`);
    tails.forEach((tail, i) => tail !== undefined && line(`  ${paths[i]} goes on to ${describeEnd(tail)}`));
    return warnOfDamage(comparison, paths, output);
  }
  const where = lastShared === undefined ? `at the first seqno that both have, ${first}` : `the same ${shared}`;
  output.line(`${bold(red("They part"))}: ${where}`);
  for (const [i, tail] of [a, b].entries()) {
    line(`  ${paths[i]} has ${formatTxId(tail.first)} to ${describeEnd(tail)}`);
  }
  line(`  ${whatItMeans(comparison, [a, b], paths)}`);
  const orphan = orphanedTail(comparison);
  const marked = orphan === "neither" ? undefined : tails[orphan]!.committedFile;
  if (marked !== undefined) {
    output.line(`  ${yellow("Warning")}: ${safeText(`${marked.path} is named as committed, and must not be`)}`);
  }
  warnOfDamage(comparison, paths, output);
}

function warnOfDamage(
  { damages }: LedgerComparison,
  paths: readonly [string, string],
  output: LedgerOutput,
): void {
  damages.forEach((damage, i) => {
    if (damage === undefined) return;
    output.line(
      `  ${output.colors.yellow("Warning")}: ${safeText(`the rest of ${paths[i]} cannot be read: ${damage}`)}`,
    );
  });
}

function describeEnd({ last, lastSigned }: LedgerTail): string {
  const signed = lastSigned === undefined
    ? "nothing of it signed"
    : lastSigned.seqno === last.seqno
    ? "signed"
    : `signed up to ${formatTxId(lastSigned)}`;
  return `${formatTxId(last)}, ${signed}`;
}

function whatItMeans(
  comparison: LedgerComparison,
  tails: readonly [LedgerTail, LedgerTail],
  paths: readonly [string, string],
): string {
  const [a, b] = tails;
  if (comparison.lastShared === undefined) {
    return comparison.first === 1
      ? "They are ledgers of different services"
      : "Nothing in them says that they are of one service: compare ledgers that begin earlier";
  }
  if (a.first.view === b.first.view) {
    return `Both call it ${formatTxId(a.first)}, which no service does: one of them was changed`;
  }
  const orphan = orphanedTail(comparison);
  if (orphan !== "neither") {
    const [lost, won] = [tails[orphan], tails[1 - orphan]!];
    return `The tail of ${paths[orphan]} was never committed: the primary of view ${won.first.view} went on without ` +
      `what the primary of view ${lost.first.view} wrote from ${formatTxId(lost.first)} on`;
  }
  const [earlier, later] = a.first.view < b.first.view ? paths : [paths[1], paths[0]];
  return `${later} goes on as a service that was recovered without what ${earlier} has there, committed or not`;
}
