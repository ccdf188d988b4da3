/**
 * What `quote verify` found, for people or machines.
 *
 * In: a report. Out: lines, or one JSON document. Judges nothing.
 */

import { actionNames, type Decision } from "../shared/trust/decisions.ts";
import { type Rung, RUNG_QUESTIONS, type TrustReport, type TrustStep } from "../shared/trust/report.ts";
import { formatTxId } from "../shared/tx_id.ts";
import type { LedgerOutput } from "./commands/ledger_output.ts";
import { safeText } from "./commands/ledger_values.ts";

/** How it is told, and what of. */
export interface Telling {
  readonly json: boolean;
  /** Whether a virtual platform is success. */
  readonly allowVirtual: boolean;
  /** Milliseconds since 1970, as of which everything was checked. */
  readonly at: number;
  /** Where the evidence came from, if that is known. */
  readonly source: string | undefined;
}

export function tell(report: TrustReport, telling: Telling, output: LedgerOutput): void {
  if (telling.json) output.line(JSON.stringify(forMachines(report, telling), null, 2));
  else printForPeople(report, telling, output);
}

function forMachines(report: TrustReport, { at, source }: Telling) {
  return {
    verdict: report.verdict,
    reason: report.reason ?? null,
    at: new Date(at).toISOString(),
    source: source ?? null,
    node_id: report.nodeId ?? null,
    service_identity: report.serviceIdentity ?? null,
    rungs: report.rungs.map(({ name, verdict, steps }) => ({
      rung: name,
      asks: RUNG_QUESTIONS[name],
      verdict,
      steps: steps.map(({ decision, ...step }) =>
        decision === undefined ? step : { ...step, decision: decisionForMachines(decision) }
      ),
    })),
    not_proved: report.notProved,
  };
}

function decisionForMachines(decision: Decision) {
  const { proposalId, proposerId, proposedAt, acceptedAt, ballots } = decision;
  return {
    proposal_id: proposalId,
    actions: actionNames(decision) ?? null,
    proposer_id: proposerId,
    proposed_in: proposedAt === undefined ? null : formatTxId(proposedAt),
    accepted_in: formatTxId(acceptedAt),
    ballots: ballots.map(({ memberId, txId, vote }) => ({
      member_id: memberId,
      signed_in: txId === undefined ? null : formatTxId(txId),
      vote: vote ?? null,
    })),
  };
}

function printForPeople(report: TrustReport, { allowVirtual, at }: Telling, output: LedgerOutput): void {
  const { bold, dim, green, red, yellow } = output.colors;
  const marks: Readonly<Record<TrustStep["result"], string>> = {
    verified: green("ok "),
    failed: red("BAD"),
    "not checked": dim(" - "),
    "cannot be checked": yellow(" ? "),
  };
  const verdicts: Readonly<Record<Rung["verdict"], string>> = {
    verified: green("yes"),
    virtual: yellow("yes, on virtual hardware"),
    refused: red("no"),
    "not checked": dim("not checked"),
  };
  for (const [i, { name, verdict, steps }] of report.rungs.entries()) {
    const answer = name === "hardware" && verdict === "virtual"
      ? yellow("no: the platform is virtual")
      : verdicts[verdict];
    output.line(`${bold(`${i + 1} ${name}`)}: ${RUNG_QUESTIONS[name]} ${answer}`);
    for (const { names, result, detail } of grouped(steps)) {
      output.line(`  ${marks[result]} ${safeText(shortened(`${names.join(", ")}: ${detail}`))}`);
    }
  }
  output.line(bold("What this does not prove"));
  for (const sentence of report.notProved) output.line(`  ${safeText(sentence)}`);
  const who = report.nodeId === undefined ? "the evidence" : `node ${report.nodeId}`;
  const when = `as of ${new Date(at).toISOString().slice(0, 19)}Z`;
  switch (report.verdict) {
    case "verified":
      output.line(`${bold(green("Verified"))}: ${who}, ${when}`);
      break;
    case "virtual": {
      const hint = allowVirtual ? "" : "; --allow-virtual takes that for success";
      output.line(
        `${bold(yellow("Virtual"))}: all else holds of ${who}, ${when}, and no hardware vouches for it${hint}`,
      );
      break;
    }
    case "refused":
      output.line(`${bold(red("Refused"))}: ${safeText(shortened(report.reason ?? ""))}`);
  }
}

/** IDs, digests and signatures by their beginning, as people tell them apart; JSON has them whole. */
function shortened(text: string): string {
  return text.replace(/\b[0-9a-f]{64,}\b/g, (hex) => `${hex.slice(0, SHOWN_HEX_DIGITS)}…`);
}

const SHOWN_HEX_DIGITS = 12;

/** Steps, those together that were not taken for the same reason. */
function grouped(steps: readonly TrustStep[]) {
  const groups: { names: string[]; result: TrustStep["result"]; detail: string }[] = [];
  for (const { name, result, detail } of steps) {
    const last = groups.at(-1);
    if (result === "not checked" && last?.result === result && last.detail === detail) last.names.push(name);
    else groups.push({ names: [name], result, detail });
  }
  return groups;
}
