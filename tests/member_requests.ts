/**
 * One request of each kind that members sign, for tests of signing.
 */

import { toUtf8 } from "../shared/bytes.ts";
import { type MemberRequest, PLAIN_BALLOTS } from "../shared/governance/member_request.ts";

export const PROPOSAL = "cd".repeat(32);

const text = JSON.stringify({ actions: [{ name: "set_user", args: { cert: "x", user_data: { group: "bank" } } }] });

export const MEMBER_REQUESTS: readonly MemberRequest[] = [
  { kind: "proposal", proposal: toUtf8(text) },
  { kind: "proposal_dry_run", proposal: toUtf8(text) },
  { kind: "ballot", proposalId: PROPOSAL, ballot: PLAIN_BALLOTS.yes },
  { kind: "ballot", proposalId: PROPOSAL, ballot: "export function vote(p, id) {\n  return id === 'x';\n}\n" },
  { kind: "withdrawal", proposalId: PROPOSAL },
  { kind: "state_digest" },
  { kind: "ack", stateDigest: "12".repeat(32) },
  { kind: "recovery_share", share: new Uint8Array(44).fill(7) },
];
