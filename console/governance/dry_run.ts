/**
 * What a node answered to a dry run: what would become of a proposal.
 *
 * In: the answer of `POST /gov/service/proposals:dry-run` (README, "Members decide"; enclave/governance/dry_run.ts). Out:
 * the same with types, a table of how votes may fall, whether it still holds. All of it is the node's word.
 */

import {
  anything,
  boolean,
  listOf,
  number,
  object,
  type Of,
  recordOf,
  text,
  unsigned,
} from "../../shared/json_shape.ts";
import { MAX_SIMULATION_ROWS } from "../../shared/limits.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import type { Seqno } from "../../shared/tx_id.ts";

const failure = object({ reason: text }, { trace: text });
const decision = object({ state: text }, { failure });

const answer = object({
  asOf: text,
  validation: object({ valid: boolean }, { description: text }),
  votes: listOf(object({ member_id: text, vote: boolean })),
  voteFailures: recordOf(failure),
  missing: listOf(text),
  combinations: listOf(object({ yes: listOf(text), outcome: decision })),
  combinationsLeftOut: unsigned,
  passesIf: listOf(listOf(text)),
  changes: listOf(object({ table: text, key: text }, { before: anything, after: anything })),
  changesLeftOut: unsigned,
  warnings: listOf(text),
  elapsedMs: number,
  inWords: listOf(text),
}, {
  proposalId: text,
  outcome: decision,
  apply: object({ state: text }, { failure }),
});

export type DryRunAnswer = Of<typeof answer>;

/** @throws FormatError where it is no such answer */
export function parseDryRun(json: unknown): DryRunAnswer {
  const read = answer(json, "");
  parseTxId(read.asOf);
  return read;
}

/** One line of the simulation: if exactly these of the missing members vote yes, this is what becomes of it. */
export interface SimulationRow {
  readonly yes: readonly string[];
  /** Those that were varied and vote no. */
  readonly no: readonly string[];
  readonly state: string;
  readonly why?: string;
}

/** Fewest yes first. */
export function simulationRows({ combinations, missing }: DryRunAnswer): readonly SimulationRow[] {
  const varied = missing.filter((id) => combinations.some(({ yes }) => yes.includes(id)));
  return combinations.map(({ yes, outcome }): SimulationRow => ({
    yes,
    no: varied.filter((id) => !yes.includes(id)),
    state: outcome.state,
    ...(outcome.failure !== undefined && { why: outcome.failure.reason }),
  })).toSorted((a, b) => a.yes.length - b.yes.length).slice(0, MAX_SIMULATION_ROWS);
}

/** Why a dry run says nothing about the present any more; undefined where it still holds. */
export function staleBecause(
  asOf: string,
  constitutionSince: Seqno | undefined,
  proposalChangedAt: Seqno | undefined,
): string | undefined {
  const { seqno } = parseTxId(asOf);
  if (constitutionSince !== undefined && constitutionSince > seqno) {
    return `The constitution changed at seqno ${constitutionSince}, after this was tried at ${asOf}`;
  }
  if (proposalChangedAt !== undefined && proposalChangedAt > seqno) {
    return `The proposal changed at seqno ${proposalChangedAt}, after this was tried at ${asOf}`;
  }
  return undefined;
}
