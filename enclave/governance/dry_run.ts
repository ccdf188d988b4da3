/**
 * What would become of a proposal: tried out, and nothing of it kept.
 *
 * In: a proposal, new or open; a transaction over the committed state that nobody will commit. Out: whether it is valid,
 * what the constitution makes of the votes so far and of every way in which the missing ones may fall, and what `apply`
 * would change. What scripts do wrong is part of the answer.
 * Knows nothing of requests. One budget of time holds for all scripts of a dry run together.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8, fromUtf8Lenient } from "../../shared/bytes.ts";
import { MEMBERS_INFO, type ProposalInfo, PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { MAX_DRY_RUN_MISSING_VOTES, MAX_DRY_RUN_MS } from "../../shared/limits.ts";
import type { GovernanceEffects } from "../app_engine.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { type Change, changesOf } from "./dry_run_changes.ts";
import { decide, type Decision, failed, requireValid, tally } from "./proposals.ts";
import { GovernanceScripts, type ScriptFailure, type ScriptHost, type Vote } from "./scripts.ts";

export interface DryRunRequest {
  /** Of an open proposal; of a new one, any ID that no proposal has. */
  readonly proposalId: string;
  /** undefined: that of the open proposal. */
  readonly proposal: Uint8Array | undefined;
  readonly proposerId: string;
}

export interface DryRun {
  readonly validation: { readonly valid: boolean; readonly description?: string };
  /** By the votes so far. Absent where the proposal is invalid. */
  readonly outcome?: Decision;
  readonly votes: readonly Vote[];
  readonly voteFailures: Readonly<Record<string, ScriptFailure>>;
  /** Active members who have not voted. */
  readonly missing: readonly string[];
  /** Every way in which the votes of the first few of those may fall; whoever does not vote yes votes no. */
  readonly combinations: readonly { readonly yes: readonly string[]; readonly outcome: Decision }[];
  /** Combinations that were not tried: too many votes are missing, or the time was up. */
  readonly combinationsLeftOut: number;
  /** The smallest sets of missing votes that, being yes, are enough. */
  readonly passesIf: readonly (readonly string[])[];
  /** What `apply` would do, whether or not there are votes for it. Absent where the proposal is invalid. */
  readonly apply?: { readonly state: "Applied" } | { readonly state: "Failed"; readonly failure: ScriptFailure };
  readonly changes: readonly Change[];
  readonly changesLeftOut: number;
  readonly warnings: readonly string[];
  readonly elapsedMs: number;
}

/**
 * @param trial over the committed state; it is written to, and must be thrown away
 * @param effects of that transaction, never to be begun
 * @throws OdataError 404 or 400 where the proposal that is named is not there, or not open
 */
export function dryRun(
  host: ScriptHost,
  trial: Transaction,
  effects: GovernanceEffects,
  request: DryRunRequest,
  warningsOf: (trial: Transaction) => string[],
): DryRun {
  const beginMs = host.engine.nowMs();
  const remainingMs = () => MAX_DRY_RUN_MS - (host.engine.nowMs() - beginMs);
  const scripts = new GovernanceScripts(host, trial, remainingMs);
  const { proposalId: id } = request;
  const info = infoOf(trial, request);
  const payload = request.proposal ?? trial.open(PROPOSALS).get(id)!;
  const proposal = fromUtf8Lenient(payload);
  const nothing = { votes: [], voteFailures: {}, missing: [], combinations: [], combinationsLeftOut: 0, passesIf: [] };
  const rest = { ...nothing, changes: [], changesLeftOut: 0, warnings: [] };

  const problem = refusalOf(() => requireValid(scripts, proposal));
  if (problem !== undefined) {
    const validation = { valid: false, description: problem };
    return { validation, ...rest, elapsedMs: host.engine.nowMs() - beginMs };
  }
  const votes = votesOf(scripts, trial, proposal, id, info, remainingMs);
  const applied = applyOf(scripts, trial, proposal, id, info, effects);
  const isApplied = applied.state === "Applied";
  return {
    validation: { valid: true },
    ...rest,
    ...votes,
    apply: applied,
    ...(isApplied && changesOf(trial, id)),
    warnings: isApplied ? warningsOf(trial) : [],
    elapsedMs: host.engine.nowMs() - beginMs,
  };
}

function infoOf(trial: Transaction, { proposalId, proposal, proposerId }: DryRunRequest): ProposalInfo {
  if (proposal !== undefined) return { proposer_id: proposerId, state: "Open", ballots: {} };
  const info = trial.open(PROPOSALS_INFO).get(proposalId);
  if (info === undefined || !trial.open(PROPOSALS).has(proposalId)) {
    throw new OdataError(404, "ProposalNotFound", `Could not find proposal ${proposalId}.`);
  }
  if (info.state === "Open") return info;
  const message = `Proposal ${proposalId} is currently in state ${info.state.toLowerCase()}: there is nothing to try`;
  throw new OdataError(400, "ProposalNotOpen", message);
}

type Votes = Pick<
  DryRun,
  "outcome" | "votes" | "voteFailures" | "missing" | "combinations" | "combinationsLeftOut" | "passesIf"
>;

function votesOf(
  scripts: GovernanceScripts,
  trial: Transaction,
  proposal: string,
  id: string,
  info: ProposalInfo,
  remainingMs: () => number,
): Votes {
  const now = { votes: [] as readonly Vote[], failures: {} as Readonly<Record<string, ScriptFailure>> };
  const unusable = refusalOf(() => Object.assign(now, tally(scripts, proposal, id, info)));
  const decided = (votes: readonly Vote[]): Decision => {
    let decision: Decision | undefined;
    const refusal = unusable ?? refusalOf(() => {
      decision = decide(scripts, proposal, id, info.proposer_id, votes);
    });
    return decision ?? { state: "Failed", failure: { reason: refusal ?? "resolve() gives no answer" } };
  };
  const missing: string[] = [];
  for (const [member, { status }] of trial.open(MEMBERS_INFO).entries()) {
    if (status === "Active" && !Object.hasOwn(info.ballots, member)) missing.push(member);
  }
  const varied = missing.slice(0, MAX_DRY_RUN_MISSING_VOTES);
  const combinations: { yes: string[]; outcome: Decision }[] = [];
  for (let mask = 0; mask < 2 ** varied.length && remainingMs() > 0; mask++) {
    const yes = varied.filter((_, i) => (mask >> i & 1) === 1);
    const cast = varied.map((member_id) => ({ member_id, vote: yes.includes(member_id) }));
    combinations.push({ yes, outcome: decided([...now.votes, ...cast]) });
  }
  return {
    outcome: decided(now.votes),
    votes: now.votes,
    voteFailures: now.failures,
    missing,
    combinations,
    combinationsLeftOut: 2 ** missing.length - combinations.length,
    passesIf: smallest(combinations.filter(({ outcome }) => outcome.state === "Accepted").map(({ yes }) => yes)),
  };
}

/** Those sets that hold no other of them. */
function smallest(sets: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const ascending = sets.toSorted((a, b) => a.length - b.length);
  const kept: (readonly string[])[] = [];
  for (const set of ascending) {
    if (!kept.some((smaller) => smaller.every((member) => set.includes(member)))) kept.push(set);
  }
  return kept;
}

/** As an accepted proposal is applied: its own row says so already. */
function applyOf(
  scripts: GovernanceScripts,
  trial: Transaction,
  proposal: string,
  id: string,
  info: ProposalInfo,
  effects: GovernanceEffects,
): NonNullable<DryRun["apply"]> {
  trial.open(PROPOSALS_INFO).put(id, { ...info, state: "Accepted", final_votes: {}, vote_failures: {} });
  let failure: ScriptFailure | undefined;
  const refusal = refusalOf(() => {
    const answer = scripts.apply(proposal, id, effects);
    if (answer.kind === "failure") failure = failed("apply", answer.failure).failure;
    else if (effects.failure !== undefined) failure = failed("apply", { reason: effects.failure }).failure;
  });
  if (refusal !== undefined) failure = { reason: refusal };
  return failure === undefined ? { state: "Applied" } : { state: "Failed", failure };
}

/** What a step would have answered a request with, if it had refused it. */
function refusalOf(step: () => void): string | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    if (error instanceof OdataError) return error.message;
    throw error;
  }
}

/** The payload of a request, which must be text. @throws OdataError 400 */
export function requireText(payload: Uint8Array): Uint8Array {
  try {
    fromUtf8(payload);
    return payload;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(400, "InvalidInput", `The proposal is not text: ${error.message}`);
  }
}
