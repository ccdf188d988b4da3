/**
 * Checks governance requests: each is signed by the member it is filed under, and proposals are what was signed.
 *
 * What members decided is not replayed here: that takes the constitution.
 * Rules: ledger-and-receipts.md §10.2
 */

import { FormatError } from "../../assert.ts";
import { equalBytes, fromBase64, fromUtf8 } from "../../bytes.ts";
import { type CoseSign1, parseCoseSign1, verifyCoseSign1 } from "../../crypto/cose.ts";
import { parseSignedRequestHeader } from "../../crypto/cose_headers.ts";
import { proposalIdOf, requestDigestOf } from "../proposal_id.ts";
import { parseJsonBytes } from "../../json.ts";
import { text } from "../../json_shape.ts";
import { MAX_PROPOSAL_ROOT_DISTANCE } from "../../limits.ts";
import { COSE_HISTORY, MEMBERS_CERTS, PROPOSALS } from "../table_names.ts";
import type { ReplayedTransaction, ReplayState } from "./state.ts";

/** @throws FormatError */
export function checkGovernance(state: ReplayState, tx: ReplayedTransaction): void {
  for (const [member, value] of tx.tables.get(COSE_HISTORY)?.writes ?? []) {
    const message = parseCoseSign1(fromBase64(text(parseJsonBytes(value), "")));
    if (parseSignedRequestHeader(message).keyId !== member) {
      throw new FormatError(`The request of member ${JSON.stringify(member)} names another key`);
    }
    const certificate = state.valueBefore(MEMBERS_CERTS, member) ??
      tx.tables.get(MEMBERS_CERTS)?.writes.find(([id]) => id === member)?.[1];
    if (certificate === undefined) {
      throw new FormatError(`The request of member ${JSON.stringify(member)} is of nobody who is known`);
    }
    const { key } = state.certificates.get(fromUtf8(certificate));
    if (key.kind !== "EC" || !verifyCoseSign1(state.primitives, key, message)) {
      throw new FormatError(`Member ${JSON.stringify(member)} did not sign the request`);
    }
    if (message.protectedHeader.get("ccf.gov.msg.type") === "proposal" && tx.tables.has(PROPOSALS)) {
      checkProposal(state, tx, message);
    }
  }
}

/**
 * A proposal's ID is made of its signature and of the root when it was submitted: mostly that of the transaction before,
 * unless others came in between.
 */
function checkProposal(state: ReplayState, tx: ReplayedTransaction, message: CoseSign1): void {
  const { primitives, tree } = state;
  const written = new Map(tx.tables.get(PROPOSALS)!.writes);
  const requestDigest = requestDigestOf(primitives, message.signature);
  const oldest = Math.max(tree.firstIndex, tree.size - MAX_PROPOSAL_ROOT_DISTANCE);
  for (let size = tree.size; size > oldest; size--) {
    const id = proposalIdOf(primitives, tree.root(size), requestDigest);
    const proposal = written.get(id);
    if (proposal === undefined) continue;
    if (message.payload === undefined || !equalBytes(proposal, message.payload)) {
      throw new FormatError(`Proposal ${id} is not what its proposer signed`);
    }
    return;
  }
  throw new FormatError("The proposal is filed under an ID that does not follow from its signature");
}
