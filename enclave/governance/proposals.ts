/**
 * The life of a proposal: made, voted on, resolved, withdrawn.
 *
 * In: a transaction, the scripts that look at it, one member's signed request. Out: the tables as the request leaves
 * them, and the proposal as it stands now; or a refusal, after which the transaction must be discarded.
 * Knows nothing of HTTP routes. An auditor runs the same lines over the tables of a ledger.
 * Rules: governance.md §3
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { proposalIdOf, requestDigestOf } from "../../shared/ledger/proposal_id.ts";
import { COSE_HISTORY, type ProposalInfo, PROPOSALS, PROPOSALS_INFO } from "../../shared/governance/tables.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { GovernanceEffects } from "../app_engine.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { noteRecentProposal } from "./recent_proposals.ts";
import type { GovernanceScripts, ScriptFailure, Vote } from "./scripts.ts";

/** What a member has signed and sent. */
export interface SignedRequest {
  /** Member ID. */
  readonly id: string;
  readonly header: { readonly createdAtSeconds: number; readonly proposalId: string | undefined };
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly envelope: Uint8Array;
}

/** Where a request is decided. */
export interface Chamber {
  readonly tx: Transaction;
  readonly scripts: GovernanceScripts;
  readonly primitives: Pick<Primitives, "sha256">;
  /** What `apply` may bring about; asked for once a proposal is accepted. */
  effects(): GovernanceEffects;
}

export interface Proposal {
  readonly id: string;
  readonly info: ProposalInfo;
}

/**
 * A new proposal. It is resolved at once: a constitution may accept it without a vote.
 *
 * @param root of the ledger at the state that the transaction reads
 * @throws OdataError 400 where it is invalid or not new, 500 where the constitution fails
 */
export function createProposal(chamber: Chamber, request: SignedRequest, root: Uint8Array): Proposal {
  const { tx, scripts, primitives } = chamber;
  const requestDigest = requestDigestOf(primitives, request.signature);
  const id = proposalIdOf(primitives, root, requestDigest);
  requireValid(scripts, fromUtf8Lenient(request.payload));
  const info: ProposalInfo = { proposer_id: request.id, state: "Open", ballots: {} };
  tx.open(PROPOSALS).put(id, request.payload);
  tx.open(PROPOSALS_INFO).put(id, info);
  tx.open(COSE_HISTORY).put(request.id, request.envelope);
  noteRecentProposal(tx, request.header.createdAtSeconds, requestDigest, id);
  return { id, info: resolve(chamber, id, info) };
}

/** @throws OdataError 400 where the constitution finds it invalid, 500 where it fails at that */
export function requireValid(scripts: GovernanceScripts, proposal: string): void {
  const answer = scripts.validate(proposal);
  if (answer.kind === "failure") {
    const { reason, trace } = answer.failure;
    throw new OdataError(500, "InternalError", `Failed to execute validation: ${reason} ${trace ?? "<no trace>"}`);
  }
  if (answer.value === null) {
    throw new OdataError(500, "InternalError", "Validation failed to return an object");
  }
  const { valid, description } = answer.value;
  if (!valid) {
    const message = `Proposal failed to validate: ${description ?? "the constitution gives no reason"}`;
    throw new OdataError(400, "ProposalFailedToValidate", message);
  }
}

/**
 * One member's ballot on an open proposal, which is then resolved. The same ballot again changes nothing.
 *
 * @throws OdataError 404 or 400 where there is nothing to vote on or the ballot is none, 500 where a script fails
 */
export function submitBallot(chamber: Chamber, request: SignedRequest, proposalId: string): Proposal {
  const { tx } = chamber;
  const info = requireProposal(tx, proposalId);
  if (info.state !== "Open") {
    const state = info.state.toLowerCase();
    const message = `Proposal ${proposalId} is currently in state ${state} - only open proposals can receive votes`;
    throw new OdataError(400, "ProposalNotOpen", message);
  }
  const ballot = ballotOf(request.payload);
  const voter = request.id;
  if (Object.hasOwn(info.ballots, voter)) {
    if (info.ballots[voter] === ballot) return { id: proposalId, info };
    const message = `Different ballot already submitted by m[${voter}] for ${proposalId}.`;
    throw new OdataError(400, "VoteAlreadyExists", message);
  }
  const voted: ProposalInfo = { ...info, ballots: { ...info.ballots, [voter]: ballot } };
  tx.open(PROPOSALS_INFO).put(proposalId, voted);
  tx.open(COSE_HISTORY).put(voter, request.envelope);
  return { id: proposalId, info: resolve(chamber, proposalId, voted) };
}

function ballotOf(payload: Uint8Array): string {
  const body = requireJson(payload);
  const ballot = typeof body === "object" && body !== null && "ballot" in body ? body.ballot : undefined;
  if (typeof ballot === "string") return ballot;
  throw new OdataError(
    400,
    "InvalidInput",
    'Signed request body is not a JSON object containing required string field "ballot"',
  );
}

/**
 * Takes back a proposal of one's own. Doing so twice is no error.
 *
 * @returns undefined where there is no such proposal
 * @throws OdataError 403 where it is another member's, 400 where it is decided already
 */
export function withdrawProposal({ tx }: Chamber, request: SignedRequest, proposalId: string): Proposal | undefined {
  const info = tx.open(PROPOSALS_INFO).get(proposalId);
  if (info === undefined) return undefined;
  if (info.proposer_id !== request.id) {
    throw new OdataError(
      403,
      "AuthorizationFailed",
      `Proposal ${proposalId} can only be withdrawn by proposer m[${info.proposer_id}], not caller m[${request.id}].`,
    );
  }
  if (info.state === "Withdrawn") return { id: proposalId, info };
  if (info.state !== "Open") {
    const state = info.state.toLowerCase();
    const message = `Proposal ${proposalId} is currently in state ${state} and cannot be withdrawn.`;
    throw new OdataError(400, "ProposalNotOpen", message);
  }
  const withdrawn: ProposalInfo = { ...info, state: "Withdrawn" };
  tx.open(PROPOSALS_INFO).put(proposalId, withdrawn);
  removeClosedProposals(tx, proposalId);
  tx.open(COSE_HISTORY).put(request.id, request.envelope);
  return { id: proposalId, info: withdrawn };
}

/** @throws OdataError 404 */
export function requireProposal(tx: Transaction, id: string): ProposalInfo {
  const info = tx.open(PROPOSALS_INFO).get(id);
  if (info === undefined) throw new OdataError(404, "ProposalNotFound", `Could not find proposal ${id}.`);
  return info;
}

/** JSON that a member has signed. @throws OdataError 400 */
export function requireJson(payload: Uint8Array): unknown {
  try {
    return parseJsonBytes(payload);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(400, "InvalidInput", `The signed payload is not JSON: ${error.message}`);
  }
}

/** Every ballot of a proposal, evaluated now. */
export interface Tally {
  readonly votes: readonly Vote[];
  readonly failures: Readonly<Record<string, ScriptFailure>>;
}

/**
 * What the ballots say at this moment. One that throws is no vote, neither for nor against.
 *
 * @throws OdataError 500 where a ballot is no module that exports `vote`
 */
export function tally(scripts: GovernanceScripts, proposal: string, id: string, info: ProposalInfo): Tally {
  const votes: Vote[] = [];
  const failures: Record<string, ScriptFailure> = {};
  for (const [voter, ballot] of Object.entries(info.ballots).sort(([a], [b]) => a < b ? -1 : 1)) {
    const answer = scripts.ballot(ballot, id, voter, proposal, info.proposer_id);
    if (answer.kind === "failure") failures[voter] = answer.failure;
    else votes.push({ member_id: voter, vote: answer.value });
  }
  return { votes, failures };
}

export type Decision =
  | { readonly state: "Open" | "Accepted" | "Rejected" }
  | { readonly state: "Failed"; readonly failure: ScriptFailure };

/** What the constitution makes of these votes. */
export function decide(
  scripts: GovernanceScripts,
  proposal: string,
  id: string,
  proposerId: string,
  votes: readonly Vote[],
): Decision {
  const answer = scripts.resolve(proposal, proposerId, votes, id);
  if (answer.kind === "failure") return failed("resolve", answer.failure);
  const state = answer.value;
  if (state === "Open" || state === "Accepted" || state === "Rejected") return { state };
  return { state: "Failed", failure: { reason: `resolve() returned invalid status value: "${state}"` } };
}

/** Names the function that failed. */
export function failed(name: "resolve" | "apply", { reason, ...rest }: ScriptFailure): Decision & { state: "Failed" } {
  return { state: "Failed", failure: { reason: `Failed to ${name}(): ${reason}`, ...rest } };
}

/**
 * Asks what becomes of a proposal, and does it.
 *
 * @throws OdataError 500 where resolving or applying it fails: then nothing of the request may remain
 */
function resolve({ tx, scripts, effects }: Chamber, id: string, info: ProposalInfo): ProposalInfo {
  const payload = tx.open(PROPOSALS).get(id);
  if (payload === undefined) throw new OdataError(500, "InternalError", `Proposal ${id} has no actions`);
  const proposal = fromUtf8Lenient(payload);
  const { votes, failures } = tally(scripts, proposal, id, info);
  const decision = decide(scripts, proposal, id, info.proposer_id, votes);
  if (decision.state === "Failed") throw failure(decision.failure);
  if (decision.state === "Open") return info;

  const resolved: ProposalInfo = {
    ...info,
    state: decision.state,
    final_votes: Object.fromEntries(votes.map(({ member_id, vote }) => [member_id, vote])),
    vote_failures: failures,
  };
  // Before `apply`, which may look at it.
  tx.open(PROPOSALS_INFO).put(id, resolved);
  removeClosedProposals(tx, id);
  if (decision.state === "Accepted") {
    const applied = effects();
    const answer = scripts.apply(proposal, id, applied);
    if (answer.kind === "failure") throw failure(failed("apply", answer.failure).failure);
    if (applied.failure !== undefined) throw failure(failed("apply", { reason: applied.failure }).failure);
  }
  return resolved;
}

function failure({ reason, trace }: ScriptFailure): OdataError {
  return new OdataError(500, "InternalError", `${reason}\nTrace: ${trace ?? "N/A"}`);
}

/** Of closed proposals only the last stays in the tables; the ledger has them all. */
function removeClosedProposals(tx: Transaction, justClosed: string): void {
  for (const [id, { state }] of [...tx.open(PROPOSALS_INFO).entries()]) {
    if (id === justClosed || state === "Open") continue;
    tx.open(PROPOSALS_INFO).remove(id);
    tx.open(PROPOSALS).remove(id);
  }
}
