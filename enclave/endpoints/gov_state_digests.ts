/**
 * `/gov/members/state-digests`: what a member signs to become active (http-api.md §7, governance.md §2).
 *
 * A member asks for the newest signed root of the ledger, and acknowledges it: it has seen the service that it is part of.
 */

import { FormatError } from "../../shared/assert.ts";
import { toBase64 } from "../../shared/bytes.ts";
import {
  type MemberAck,
  MEMBERS_ACKS,
  MEMBERS_INFO,
  SERVICE_INFO,
  SIGNATURES,
} from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { requireJson } from "../governance/proposals.ts";
import type { MemberCoseCaller } from "../frontend/caller.ts";
import type { EndpointContext } from "../frontend/endpoint.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { jsonHandler } from "../frontend/replies.ts";
import { holdsShares, reissueShares } from "../share_manager.ts";
import { notFound, type VersionedEndpoint, versionedRead, versionedWrite } from "./api_version.ts";
import { signer } from "./gov_proposals.ts";

const PATH = "/members/state-digests/{memberId}";

export const govStateDigestEndpoints: readonly VersionedEndpoint[] = [
  versionedRead(PATH, jsonHandler(getStateDigest)),
  versionedWrite(`${PATH}:update`, "member_cose_sign1", "state_digest", jsonHandler(update)),
  versionedWrite(`${PATH}:ack`, "member_cose_sign1", "ack", jsonHandler(acknowledge)),
];

/** The shape of the ID is not checked here, unlike elsewhere (http-api.md §7). */
function getStateDigest({ tx, params }: EndpointContext): unknown {
  const memberId = params.memberId!;
  const ack = tx.open(MEMBERS_ACKS).get(memberId);
  if (ack === undefined) throw notFound(`No ACK record exists for member m[${memberId}].`);
  return { memberId, stateDigest: ack.state_digest };
}

/** The signature over the request is what counts; its payload is not looked at. */
function update(context: EndpointContext): unknown {
  const { tx } = context;
  const { id } = requireOwnPath(context);
  const root = tx.open(SIGNATURES).get()?.root;
  if (root === undefined) {
    throw new OdataError(500, "InternalError", "The service has no signatures to acknowledge yet; try again later");
  }
  tx.open(MEMBERS_ACKS).put(id, { ...tx.open(MEMBERS_ACKS).get(id), state_digest: root });
  return { memberId: id, stateDigest: root };
}

function acknowledge(context: EndpointContext): null {
  const { tx, node } = context;
  const { id, payload, envelope } = requireOwnPath(context);
  const ack = tx.open(MEMBERS_ACKS).get(id);
  if (ack === undefined) {
    throw new OdataError(403, "AuthorizationFailed", `No ACK record exists for caller m[${id}].`);
  }
  requireDigest(ack, payload);
  tx.open(MEMBERS_ACKS).put(id, { ...ack, cose_sign1_req: toBase64(envelope) });
  if (becomesActive(tx, id) && holdsShares(tx, id) && tx.open(SERVICE_INFO).get()?.status === "Open") {
    reissueOrRefuse(tx, node);
  }
  return null;
}

/** A new holder has a share at once, in the same transaction. */
function reissueOrRefuse(tx: Transaction, node: EndpointContext["node"]): void {
  try {
    reissueShares(tx, node);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new OdataError(500, "InternalError", `Error issuing new recovery shares: ${error.message}`);
  }
}

function requireDigest({ state_digest }: MemberAck, payload: Uint8Array): void {
  const body = requireJson(payload);
  const digest = typeof body === "object" && body !== null && "stateDigest" in body ? body.stateDigest : undefined;
  if (typeof digest !== "string") {
    throw new OdataError(400, "InvalidInput", 'The signed payload has no text "stateDigest"');
  }
  if (digest !== state_digest) {
    const message = `Submitted state digest is not valid.\nExpected\n ${state_digest}\nReceived\n ${digest}`;
    throw new OdataError(400, "StateDigestMismatch", message);
  }
}

/** Whether the member was not active before. */
function becomesActive(tx: Transaction, id: string): boolean {
  const info = tx.open(MEMBERS_INFO).get(id);
  if (info === undefined) throw new OdataError(403, "AuthorizationFailed", `Member m[${id}] is not known.`);
  tx.open(MEMBERS_INFO).put(id, { ...info, status: "Active" });
  return info.status !== "Active";
}

/** @throws OdataError 400 where the path is another member's */
function requireOwnPath(context: EndpointContext): MemberCoseCaller {
  const caller = signer(context);
  const memberId = context.params.memberId!;
  if (memberId !== caller.id) {
    throw new OdataError(
      400,
      "InvalidAuthenticationInfo",
      `Member ID from path parameter (m[${memberId}]) does not match member ID from body signature (m[${caller.id}]).`,
    );
  }
  return caller;
}
