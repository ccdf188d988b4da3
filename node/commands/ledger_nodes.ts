/**
 * `ledger nodes`: which nodes a service had and which of them led it, from the files of its ledger. Nothing is verified.
 *
 * In: a listing. Out: text or one JSON document; exit code 0, or 2 where a file is damaged.
 */

import { FormatError } from "../../shared/assert.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import type { LedgerListing } from "../ledger_listing.ts";
import { walkLedger } from "../ledger_scan.ts";
import { NodeHistories } from "../node_history.ts";
import { ExitCode } from "./exit.ts";
import type { LedgerOutput } from "./ledger_output.ts";
import { safeText } from "./ledger_values.ts";

/** `ledger nodes`, all but its permissions. @throws UsageError where a file cannot be read */
export function showNodes({ files }: LedgerListing, json: boolean, output: LedgerOutput): number {
  output.note("Nothing is verified here: ledger verify does that");
  const histories = new NodeHistories();
  let damaged = false;
  const note = (text: string) => {
    damaged = true;
    output.note(safeText(text));
  };
  for (const step of walkLedger(files, files[0]!.name.first)) {
    if (step.kind === "misplaced" || step.kind === "damaged") note(`${step.file.path}: ${step.reason}`);
    if (step.kind !== "entry") continue;
    try {
      histories.add(step.entry.bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      note(`${step.file.path}: ${error.message}`);
    }
  }
  if (json) output.line(JSON.stringify(describeForMachines(histories), null, 2));
  else printForPeople(histories, output);
  output.finish();
  return damaged ? ExitCode.usage : ExitCode.done;
}

function describeForMachines({ views, nodes, unlisted }: NodeHistories) {
  return {
    unlisted,
    views: views.map(({ view, first, last, primary }) => ({
      view,
      first: formatTxId(first),
      last: formatTxId(last),
      primary: primary ?? null,
    })),
    nodes: nodes.map(({ id, changes }) => ({
      node_id: id,
      changes: changes.map(({ txId, status }) => ({ tx_id: formatTxId(txId), status })),
    })),
  };
}

function printForPeople({ views, nodes, unlisted }: NodeHistories, output: LedgerOutput): void {
  const { bold } = output.colors;
  output.line(bold("Views"));
  for (const { first, last, primary } of views) {
    const led = primary === undefined ? "nobody has signed" : `led by ${primary}`;
    output.line(safeText(`  ${formatTxId(first)} to ${formatTxId(last)}  ${led}`));
  }
  output.line(bold("Nodes"));
  for (const { id, changes } of nodes) {
    output.line(safeText(`  ${id}  ${changes.map(({ txId, status }) => `${status} ${formatTxId(txId)}`).join(", ")}`));
  }
  if (unlisted > 0) output.line(`and ${unlisted} more`);
}
