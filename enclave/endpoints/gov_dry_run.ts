/**
 * `POST /gov/service/proposals:dry-run`: what would become of a proposal. An addition of ours; CCF has none.
 *
 * In: a proposal, in the body or signed in COSE under a type of its own, by a member; or the ID of an open one in
 * `?proposalId=`, with its own text in the body or none. Out: see `governance/dry_run.ts`. Nothing is written, so every
 * node can answer.
 */

import { equalBytes, toHex } from "../../shared/bytes.ts";
import { MEMBERS_INFO, PROPOSALS } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { formatTxId } from "../../shared/tx_id.ts";
import { type DryRun, dryRun, requireText } from "../governance/dry_run.ts";
import { warningsOf } from "../governance/dry_run_changes.ts";
import { sourceWithoutSecrets } from "../governance/effect_source.ts";
import { Effects } from "../governance/effects.ts";
import { type Endpoint, endpoint, type EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler } from "../frontend/replies.ts";
import { STRING } from "../frontend/schema.ts";
import { API_VERSIONS, requireApiVersion, requireId, type VersionedEndpoint } from "./api_version.ts";

/** The signed form first: a body in COSE is that of whoever signed it, whoever opened the connection. */
const POLICIES: Endpoint["policies"] = [
  { native: "member_cose_sign1", messageType: "proposal_dry_run" },
  "member_cert",
];

export const govDryRunEndpoint: VersionedEndpoint = {
  ...endpoint("POST", "/service/proposals:dry-run", "read-only", jsonHandler(tryProposal), {
    hidden: true,
    policies: POLICIES,
    described: {
      summary: "What would become of a proposal",
      query: {
        "api-version": { schema: STRING, required: true },
        "proposalId": { schema: STRING, required: false },
      },
    },
  }),
  since: API_VERSIONS[0],
};

function tryProposal(context: EndpointContext): unknown {
  requireApiVersion(context);
  const { node, request } = context;
  const { id: memberId, payload } = requester(context);
  node.dryRuns.require(memberId, node.nowMs);
  const open = request.parameter("proposalId");
  const proposalId = open === undefined ? toHex(node.primitives.sha256(payload)) : requireId(open, "proposal");
  const proposal = open === undefined ? requireText(payload) : undefined;
  const before = node.store.beginCommitted();
  // Whoever signs the question sees the proposal's own text in it, so that must be the one that is tried.
  const stored = before.open(PROPOSALS).get(proposalId);
  if (open !== undefined && payload.length > 0 && stored !== undefined && !equalBytes(payload, stored)) {
    throw new OdataError(400, "InvalidInput", `The body is another proposal than ${proposalId}; it may also be empty`);
  }
  const trial = node.store.beginTrial();
  const result = dryRun(
    node.scriptHost,
    trial,
    new Effects(sourceWithoutSecrets(node), trial),
    { proposalId, proposal, proposerId: memberId },
    () => warningsOf(before, trial),
  );
  node.dryRuns.spend(memberId, result.elapsedMs);
  const asOf = formatTxId(node.committedTxId);
  return { asOf, ...(open !== undefined && { proposalId }), ...result, inWords: inWords(before, result) };
}

/** The member, and what it sent. */
function requester({ caller, request }: EndpointContext): { readonly id: string; readonly payload: Uint8Array } {
  const member = caller as { readonly id: string; readonly payload?: Uint8Array };
  return { id: member.id, payload: member.payload ?? request.body };
}

/** The result in sentences, with the names that members have given each other. */
function inWords(tx: Transaction, { validation, outcome, combinations, passesIf, missing, apply }: DryRun): string[] {
  if (!validation.valid) return [`It is not valid: ${validation.description}`];
  const name = (id: string) => nameOf(tx, id);
  const words: string[] = [];
  if (outcome?.state === "Failed") words.push(`It cannot be decided: ${outcome.failure.reason}`);
  else if (outcome !== undefined) words.push(`With the votes so far it is ${outcome.state}`);
  if (outcome?.state === "Open") {
    for (const set of passesIf.slice(0, 8)) {
      if (set.length > 0) {
        words.push(`It passes if ${set.map(name).join(" and ")} ${set.length === 1 ? "votes" : "vote"} yes`);
      }
    }
    if (combinations.length === 0) words.push("There was no time left to try how the missing votes may fall");
    else if (passesIf.length === 0 && missing.length > 0) {
      words.push("No combination of the missing votes that was tried lets it pass");
    }
  }
  if (apply?.state === "Failed") words.push(`It could not be carried out now: ${apply.failure.reason}`);
  return words;
}

function nameOf(tx: Transaction, id: string): string {
  const data = tx.open(MEMBERS_INFO).get(id)?.member_data;
  const name = typeof data === "object" && data !== null && "name" in data ? data.name : undefined;
  return typeof name === "string" ? name : `member ${id.slice(0, 12)}`;
}
