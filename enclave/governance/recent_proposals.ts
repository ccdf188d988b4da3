/**
 * Which requests for proposals have been seen: the newest few, so that none counts twice and none comes late.
 *
 * In: the table of recent proposals, the time that a proposer signed. Out: a refusal, or the table with one more row.
 * There is no check against any clock: times are compared with each other.
 * Rules: governance.md §3.2
 */

import { toHex } from "../../shared/bytes.ts";
import { COSE_RECENT_PROPOSALS, SERVICE_CONFIG } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { DEFAULT_RECENT_PROPOSALS_WINDOW } from "../../shared/limits.ts";
import { OdataError } from "../frontend/odata_error.ts";

/** Ten decimal digits, so that keys of the table sort by time. */
const MAX_CREATED_AT_SECONDS = 9_999_999_999;

/**
 * Notes a proposal.
 *
 * @throws OdataError 400 where it was seen before, is older than the middle one of those that are remembered, or its
 * time has more than ten digits
 */
export function noteRecentProposal(
  tx: Transaction,
  createdAtSeconds: number,
  requestDigest: Uint8Array,
  proposalId: string,
): void {
  if (createdAtSeconds > MAX_CREATED_AT_SECONDS) {
    throw new OdataError(
      400,
      "InvalidCreatedAt",
      `Header parameter created_at value is too large: it is ${createdAtSeconds} and must be at most ${MAX_CREATED_AT_SECONDS} seconds since 1970`,
    );
  }
  const recent = tx.open(COSE_RECENT_PROPOSALS);
  const key = `${String(createdAtSeconds).padStart(10, "0")}:${toHex(requestDigest)}`;
  const known = recent.get(key);
  if (known !== undefined) {
    throw new OdataError(400, "ProposalReplay", `Proposal submission replay, already exists as proposal ${known}`);
  }
  const keys = [...recent.entries()].map(([each]) => each); // in ascending order
  const middle = keys[Math.floor(keys.length / 2)];
  if (middle !== undefined && key.slice(0, 10) < middle.slice(0, 10)) {
    throw new OdataError(
      400,
      "ProposalCreatedTooLongAgo",
      `Proposal created too long ago, created_at must be greater than ${middle.slice(0, 10)}`,
    );
  }
  recent.put(key, proposalId);
  const window = tx.open(SERVICE_CONFIG).get()?.recent_cose_proposals_window_size ?? DEFAULT_RECENT_PROPOSALS_WINDOW;
  for (const old of keys.slice(0, Math.max(0, keys.length - (window - 1)))) recent.remove(old);
}
