/**
 * Requests that carry their own proof: a COSE_Sign1 message in the body, signed by a member or a user (http-api.md §8.2).
 *
 * In: a request, the certificates in the tables. Out: who signed and what, or a sentence saying why it is not believed.
 * Whoever opened the connection is irrelevant here, and so is the date: certificates may be out of date, and nothing
 * here remembers what was sent before (`governance/recent_proposals.ts` does, for proposals).
 */

import { FormatError } from "../../shared/assert.ts";
import { COSE_ALGORITHMS, type CoseSign1, verifyCoseSign1 } from "../../shared/crypto/cose.ts";
import {
  type GovernanceRequestHeader,
  parseGovernanceRequest,
  parseUserRequest,
} from "../../shared/crypto/cose_headers.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import { parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import { MEMBERS_CERTS, MEMBERS_INFO, USERS_CERTS, USERS_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { MemberCoseCaller, PolicyCaller } from "./caller.ts";
import { OdataError } from "./odata_error.ts";
import type { ParsedRequest } from "./request.ts";

/** For members: which of them, and what the message must say it is. */
export interface MemberCosePolicy {
  readonly native: MemberCoseCaller["policy"];
  /** The `ccf.gov.msg.type` that an endpoint takes. */
  readonly messageType: string;
}

export function memberCose(
  { native: policy, messageType }: MemberCosePolicy,
  request: ParsedRequest,
  primitives: Primitives,
  tx: Transaction,
): MemberCoseCaller | string {
  const wrongType = contentTypeProblem(request);
  if (wrongType !== undefined) return wrongType;
  const { message, header } = parsed(() => parseGovernanceRequest(request.body));
  const problem = algorithmProblem(header) ?? messageTypeProblem(header, messageType);
  if (problem !== undefined) return problem;
  const cert = tx.open(MEMBERS_CERTS).get(header.keyId);
  if (cert === undefined) return "Signer is not a known member";
  const payload = signedPayload(message, cert, primitives);
  if (payload === undefined) return "Failed to validate COSE Sign1";
  const isActive = tx.open(MEMBERS_INFO).get(header.keyId)?.status === "Active";
  if (policy === "active_member_cose_sign1" && !isActive) return "Signer is not an ACTIVE member";
  const { signature } = message;
  return { policy, id: header.keyId, header, payload, signature, envelope: request.body };
}

/** The headers `ccf.msg.type` and `ccf.msg.created_at` are for the app to look at. */
export function userCose(request: ParsedRequest, primitives: Primitives, tx: Transaction): PolicyCaller | string {
  const wrongType = contentTypeProblem(request);
  if (wrongType !== undefined) return wrongType;
  const { message, header } = parsed(() => parseUserRequest(request.body));
  const { keyId: id } = header;
  const problem = algorithmProblem(header);
  if (problem !== undefined) return problem;
  const cert = tx.open(USERS_CERTS).get(id);
  if (cert === undefined) return "Signer is not a known user";
  const content = signedPayload(message, cert, primitives);
  if (content === undefined) return "Failed to validate COSE Sign1";
  return {
    cose: { content },
    policy: "user_cose_sign1",
    id,
    data: tx.open(USERS_INFO).get(id)?.user_data ?? null,
    cert,
  };
}

/** Quirk: a parameter behind the type is refused too. */
function contentTypeProblem(request: ParsedRequest): string | undefined {
  const contentType = request.header("content-type");
  if (contentType === undefined) return "Missing content-type header";
  return contentType === "application/cose" ? undefined : "Content type is not set to application/cose";
}

/** Quirk: what cannot be read ends the request with 500, whatever other policies would have said. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError) throw new OdataError(500, "InternalError", error.message);
    throw error;
  }
}

function algorithmProblem({ algorithm }: { readonly algorithm: number }): string | undefined {
  return Object.values(COSE_ALGORITHMS).includes(algorithm) ? undefined : `Unsupported algorithm: ${algorithm}`;
}

function messageTypeProblem({ type }: GovernanceRequestHeader, expected: string): string | undefined {
  const rule = `expected ccf.gov.msg.type to be ${expected}`;
  if (type === undefined) return `Missing ccf.gov.msg.type, ${rule}`;
  return type === expected ? undefined : `Found ccf.gov.msg.type set to ${type}, ${rule}`;
}

/** What was signed; undefined where the certificate's key did not sign it, or it is not in the message. */
function signedPayload(message: CoseSign1, certificatePem: string, primitives: Primitives): Uint8Array | undefined {
  const key = publicKeyOf(parseCertificatePem(certificatePem));
  if (message.payload === undefined || key.kind !== "EC") return undefined;
  return verifyCoseSign1(primitives, key, message) ? message.payload : undefined;
}
