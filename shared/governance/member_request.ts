/**
 * What members sign: every kind of request to governance, in two halves.
 *
 * In: what a member wants, who the member is, a time; later a signature made anywhere. Out: the bytes to sign, the body to
 * send and where to send it; and, from such bytes alone, what they ask for.
 * Knows nothing of keys, clocks or connections, so browsers and owners of hardware keys use it as the command line does.
 * Format: http-api.md §7 and §8.2, governance.md §2, §3 and §5
 *
 *     const prepared = prepareMemberRequest({ kind: "withdrawal", proposalId }, signer, createdAtSeconds);
 *     const signature = await sign(requestToBeSigned(prepared));          // ECDSA with the curve's own hash, r ‖ s
 *     const { target, body } = finishMemberRequest(prepared, signature);
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { assert, FormatError } from "../assert.ts";
import { equalBytes, fromBase64, fromUtf8, toBase64, toHex, toUtf8 } from "../bytes.ts";
import { COSE_ALGORITHMS, serialiseCoseSign1, toBeSigned, verifyCoseSign1, withSignature } from "../crypto/cose.ts";
import {
  type GovernanceRequestHeader,
  parseGovernanceRequest,
  serialiseGovernanceRequestHeader,
} from "../crypto/cose_headers.ts";
import type { EcdsaVerifier, EcPublicKey } from "../crypto/ecdsa.ts";
import type { CurveName } from "../crypto/primitives.ts";
import { parseJsonBytes } from "../json.ts";
import { object, type Shape, text } from "../json_shape.ts";

/** The version of the API under which requests are sent. */
export const GOVERNANCE_API_VERSION = "2024-07-01";

/** Content type of a signed request (http-api.md §8.2). */
export const COSE_CONTENT_TYPE = "application/cose";

/** The service takes no proposal with a later time: it keeps ten digits of it (governance.md §3.1). */
export const MAX_CREATED_AT_SECONDS = 9_999_999_999;

/** What a member wants. */
export type MemberRequest =
  /** Payload: the proposal, byte for byte as the member has it. */
  | { readonly kind: "proposal"; readonly proposal: Uint8Array }
  /** The same, to hear what would become of it. An addition of ours. */
  | { readonly kind: "proposal_dry_run"; readonly proposal: Uint8Array }
  /** The ballot is the text of a module that exports `vote`. */
  | { readonly kind: "ballot"; readonly proposalId: string; readonly ballot: string }
  | { readonly kind: "withdrawal"; readonly proposalId: string }
  /** To be told the root of the newest signature. */
  | { readonly kind: "state_digest" }
  /** To acknowledge that root, in hex. */
  | { readonly kind: "ack"; readonly stateDigest: string }
  /** The decrypted share. */
  | { readonly kind: "recovery_share"; readonly share: Uint8Array };

export type MemberRequestKind = MemberRequest["kind"];

/** Who signs. */
export interface RequestSigner {
  /** Hex SHA-256 of the member's certificate. */
  readonly memberId: string;
  /** Of the member's key. */
  readonly curve: CurveName;
}

/** A request that only lacks its signature. */
export interface PreparedRequest {
  /** The protected header: what is signed of who, when and what for. */
  readonly protectedBytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** What goes to the node. */
export interface SignedMemberRequest {
  readonly method: "POST";
  /** Path and query. */
  readonly target: string;
  readonly contentType: typeof COSE_CONTENT_TYPE;
  readonly body: Uint8Array;
}

/** What a request says, read from its bytes. */
export interface ReadRequest {
  readonly request: MemberRequest;
  readonly signer: RequestSigner;
  readonly createdAtSeconds: number;
  /** Path and query: of the URL only these are fixed, by what is signed. */
  readonly target: string;
  /** Hex SHA-256 of the payload. */
  readonly payloadDigest: string;
}

/** Ballots that look at nothing. */
export const PLAIN_BALLOTS = {
  yes: "export function vote(proposal, proposerId) { return true; }",
  no: "export function vote(proposal, proposerId) { return false; }",
} as const;

const ID = /^[0-9a-f]{64}$/;
const NO_BYTES = new Uint8Array();

/**
 * The first half.
 *
 * @param createdAtSeconds since 1970. Proposals that are older than half of the recent ones are refused; apart from that
 *   no service compares it with a clock
 * @throws FormatError where a proposal is not UTF-8
 */
export function prepareMemberRequest(
  request: MemberRequest,
  signer: RequestSigner,
  createdAtSeconds: number,
): PreparedRequest {
  assert(
    Number.isSafeInteger(createdAtSeconds) && createdAtSeconds >= 0 && createdAtSeconds <= MAX_CREATED_AT_SECONDS,
    "The time of a request is whole seconds in ten digits",
  );
  assert(ID.test(signer.memberId), "A member's ID is 64 hex digits in lower case");
  const proposalId = "proposalId" in request ? request.proposalId : undefined;
  assert(proposalId === undefined || ID.test(proposalId), "A proposal's ID is 64 hex digits in lower case");
  const header: GovernanceRequestHeader = {
    algorithm: COSE_ALGORITHMS[signer.curve],
    keyId: signer.memberId,
    type: request.kind,
    createdAtSeconds,
    proposalId,
  };
  return { protectedBytes: serialiseGovernanceRequestHeader(header), payload: payloadOf(request) };
}

/** What the member's key signs, hashed with the hash of its curve: SHA-256, SHA-384 or SHA-512. */
export function requestToBeSigned({ protectedBytes, payload }: PreparedRequest): Uint8Array {
  return toBeSigned(protectedBytes, payload);
}

/**
 * The second half.
 *
 * @param signature r ‖ s of what `requestToBeSigned` gave; not verified here
 * @throws FormatError where the first half is none of this file's
 */
export function finishMemberRequest(prepared: PreparedRequest, signature: Uint8Array): SignedMemberRequest {
  const body = serialiseCoseSign1(withSignature(prepared.protectedBytes, prepared.payload, signature));
  return { method: "POST", target: readMemberRequest(prepared).target, contentType: COSE_CONTENT_TYPE, body };
}

/** Whether this key signed this request: to be asked before anything is sent. @param signature r ‖ s @throws FormatError */
export function isRequestSignedBy(
  primitives: EcdsaVerifier,
  key: EcPublicKey,
  { protectedBytes, payload }: PreparedRequest,
  signature: Uint8Array,
): boolean {
  return verifyCoseSign1(primitives, key, withSignature(protectedBytes, payload, signature));
}

/**
 * What someone is about to sign, from the bytes alone: whatever is shown comes from here and not from what was meant.
 * Members of a JSON payload that the service passes over are passed over here, white space too.
 *
 * @throws FormatError where the header is not exactly as this file writes it, or the payload does not go with it
 */
export function readMemberRequest({ protectedBytes, payload }: PreparedRequest): ReadRequest {
  const { header } = parseGovernanceRequest(serialiseCoseSign1(withSignature(protectedBytes, payload, NO_BYTES)));
  const request = readRequest(header, payload);
  const signer = { memberId: header.keyId, curve: curveOf(header.algorithm) };
  const { createdAtSeconds } = header;
  if (!ID.test(signer.memberId)) throw refused("its key ID is not that of a member");
  if (createdAtSeconds > MAX_CREATED_AT_SECONDS) throw refused("its time has more than ten digits");
  // Parameters that nothing here shows, or another order of them, are not ours.
  if (!equalBytes(serialiseGovernanceRequestHeader(header), protectedBytes)) {
    throw refused("its header has other parameters, or another order of them, than a member's has");
  }
  return {
    request,
    signer,
    createdAtSeconds,
    target: targetOf(request, signer.memberId),
    payloadDigest: toHex(sha256(payload)),
  };
}

/** Path and query of the endpoint that takes the request. */
export function targetOf(request: MemberRequest, memberId: string): string {
  return `/gov${pathOf(request, memberId)}?api-version=${GOVERNANCE_API_VERSION}`;
}

function pathOf(request: MemberRequest, memberId: string): string {
  switch (request.kind) {
    case "proposal":
      return "/members/proposals:create";
    case "proposal_dry_run":
      return "/service/proposals:dry-run";
    case "ballot":
      return `/members/proposals/${request.proposalId}/ballots/${memberId}:submit`;
    case "withdrawal":
      return `/members/proposals/${request.proposalId}:withdraw`;
    case "state_digest":
      return `/members/state-digests/${memberId}:update`;
    case "ack":
      return `/members/state-digests/${memberId}:ack`;
    case "recovery_share":
      return `/recovery/members/${memberId}:recover`;
  }
}

// ---- Payloads, written and read ----

const BALLOT = object({ ballot: text });
const ACK = object({ stateDigest: text });
const SHARE = object({ share: text });

function payloadOf(request: MemberRequest): Uint8Array {
  switch (request.kind) {
    case "proposal":
    case "proposal_dry_run":
      fromUtf8(request.proposal); // the constitution is given it as text
      return request.proposal;
    case "ballot":
      return toUtf8(JSON.stringify({ ballot: request.ballot }));
    case "ack":
      return toUtf8(JSON.stringify({ stateDigest: request.stateDigest }));
    case "recovery_share":
      return toUtf8(JSON.stringify({ share: toBase64(request.share) }));
    case "withdrawal":
    case "state_digest":
      return NO_BYTES;
  }
}

function readRequest({ type, proposalId }: GovernanceRequestHeader, payload: Uint8Array): MemberRequest {
  if (type === undefined) throw refused("its header does not say what kind it is");
  const needsProposal = type === "ballot" || type === "withdrawal";
  if (needsProposal !== (proposalId !== undefined)) {
    throw refused(`a request of kind ${JSON.stringify(type)} ${needsProposal ? "names" : "does not name"} a proposal`);
  }
  if (proposalId !== undefined && !ID.test(proposalId)) throw refused("the proposal it names has no such ID");
  switch (type) {
    case "proposal":
    case "proposal_dry_run":
      fromUtf8(payload);
      return { kind: type, proposal: payload };
    case "ballot":
      return { kind: type, proposalId: proposalId!, ballot: readPayload(BALLOT, payload).ballot };
    case "ack":
      return { kind: type, stateDigest: readPayload(ACK, payload).stateDigest };
    case "recovery_share":
      return { kind: type, share: fromBase64(readPayload(SHARE, payload).share) };
    case "withdrawal":
      if (payload.length > 0) throw refused("a withdrawal has no payload");
      return { kind: type, proposalId: proposalId! };
    case "state_digest":
      if (payload.length > 0) throw refused("a request for a state digest has no payload");
      return { kind: type };
    default:
      throw refused(`the kind ${JSON.stringify(type)} is not known`);
  }
}

function readPayload<T>(shape: Shape<T>, payload: Uint8Array): T {
  return shape(parseJsonBytes(payload), "");
}

function curveOf(algorithm: number): CurveName {
  for (const [curve, known] of Object.entries(COSE_ALGORITHMS)) if (known === algorithm) return curve as CurveName;
  throw refused(`its algorithm ${algorithm} is not supported`);
}

function refused(why: string): FormatError {
  return new FormatError(`Cannot read a member's request: ${why}`);
}
