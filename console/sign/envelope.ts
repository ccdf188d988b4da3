/**
 * What a member signs, from the request to the envelope that is sent: prepared, reviewed, signed, verified.
 *
 * In: a request to governance, a signer, the page's clock; what the form says. Out: the bytes to sign; then, only where the
 * bytes say what the form says and the signature verifies with the member's certificate, the body to send.
 * Knows nothing of where keys are (`Signer`), of nodes, or of what is shown.
 * Format: http-api.md §7 and §8.2; shared/governance/member_request.ts
 *
 *     const prepared = prepareEnvelope({ kind: "withdrawal", proposalId }, signer, Date.now());
 *     const { signed, mismatches } = reviewBytes(prepared.toBeSigned, said);       // shown; a mismatch blocks
 *     const envelope = await signEnvelope(prepared, said, signer, Date.now());
 */

import { FormatError } from "../../shared/assert.ts";
import { toHex } from "../../shared/bytes.ts";
import { parseCoseSign1 } from "../../shared/crypto/cose.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import { EC_CURVES, type EcPublicKey } from "../../shared/crypto/ecdsa.ts";
import { memberIdOf } from "../../shared/crypto/identifiers.ts";
import { type CurveName, noblePrimitives } from "../../shared/crypto/primitives.ts";
import { type Certificate, parseCertificatePem, publicKeyOf } from "../../shared/crypto/x509.ts";
import {
  finishMemberRequest,
  isRequestSignedBy,
  MAX_CREATED_AT_SECONDS,
  type MemberRequest,
  type MemberRequestKind,
  type PreparedRequest,
  prepareMemberRequest,
  readMemberRequest,
  requestToBeSigned,
} from "../../shared/governance/member_request.ts";
import { utcTime } from "../../shared/governance/request_words.ts";
import { MAX_MEMBER_INPUT_BYTES } from "../../shared/limits.ts";
import { type Problem, ProblemError } from "../problem.ts";
import { reviewBytes, type Said } from "./said_and_signed.ts";

/** Somebody who can sign as a member. */
export interface Signer {
  readonly kind: "browser_key" | "key_file" | "hand_over";
  /** Hex SHA-256 of the certificate. */
  readonly memberId: string;
  readonly certificatePem: string;
  /**
   * Signs with ECDSA and the hash of the key's curve.
   *
   * @returns r ‖ s
   * @throws ProblemError
   */
  sign(toBeSigned: Uint8Array): Promise<Uint8Array>;
}

/** Who a certificate is the certificate of. */
export interface SigningIdentity {
  readonly memberId: string;
  readonly curve: CurveName;
  readonly key: EcPublicKey;
  readonly certificate: Certificate;
}

export interface PreparedEnvelope {
  readonly prepared: PreparedRequest;
  /** The bytes that are signed, and the only ones that are shown. */
  readonly toBeSigned: Uint8Array;
}

/** Signed, and not sent. May be kept: there is no secret in it but in one of kind "recovery_share". */
export interface SignedEnvelope {
  /** Hex SHA-256 of the body. */
  readonly id: string;
  readonly kind: MemberRequestKind;
  readonly memberId: string;
  readonly proposalId?: string;
  readonly createdAtSeconds: number;
  readonly signedAtMs: number;
  /** Path and query. */
  readonly target: string;
  readonly body: Uint8Array;
}

/** @throws ProblemError where it is no certificate, or its key is not one that members sign with */
export function signingIdentity(certificatePem: string): SigningIdentity {
  try {
    const certificate = parseCertificatePem(certificatePem);
    const key = publicKeyOf(certificate);
    if (key.kind !== "EC") throw new FormatError("its key is RSA, and members sign with elliptic-curve keys");
    return { memberId: memberIdOf(certificate.der), curve: key.curve, key, certificate };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "CertificateUnusable",
      what: "The member's certificate cannot be used",
      why: error.message,
      todo: "Choose the member's own certificate, a PEM file such as member0_cert.pem",
    });
  }
}

/** What to know of a certificate's dates. No service looks at them in a signature (http-api.md §8.2); people may. */
export function certificateWarnings(certificatePem: string, nowMs: number): Problem[] {
  const { notBeforeMs, notAfterMs } = signingIdentity(certificatePem).certificate;
  const dated = (code: string, what: string, why: string): Problem[] => [{
    code,
    what,
    why: `${why}; this computer's clock shows ${utcTime(nowMs)}`,
    todo: "Services take signatures all the same. Have a new certificate set by a proposal, or set the clock right",
  }];
  if (nowMs < notBeforeMs) {
    return dated("CertificateNotYetValid", "The certificate is not valid yet", `It begins at ${utcTime(notBeforeMs)}`);
  }
  if (nowMs < notAfterMs + 1000) return [];
  return dated("CertificateExpired", "The certificate has expired", `It ended at ${utcTime(notAfterMs)}`);
}

/**
 * The first half.
 *
 * @param nowMs of the page's clock; the request says this second
 * @throws ProblemError where the request cannot be put into bytes: too long, no UTF-8, no proposal's ID, a clock beyond 2286
 */
export function prepareEnvelope(
  request: MemberRequest,
  signer: Pick<Signer, "certificatePem">,
  nowMs: number,
): PreparedEnvelope {
  const identity = signingIdentity(signer.certificatePem);
  const createdAtSeconds = Math.floor(nowMs / 1000);
  if (createdAtSeconds < 0 || createdAtSeconds > MAX_CREATED_AT_SECONDS) {
    throw unprepared("ClockUnusable", `This computer's clock shows ${createdAtSeconds} seconds`, "Set the clock right");
  }
  if ("proposalId" in request && !/^[0-9a-f]{64}$/.test(request.proposalId)) {
    throw unprepared(
      "InvalidProposalId",
      `${JSON.stringify(request.proposalId)} is no ID of a proposal`,
      "Open the proposal again",
    );
  }
  try {
    const prepared = prepareMemberRequest(request, identity, createdAtSeconds);
    if (prepared.payload.length > MAX_MEMBER_INPUT_BYTES) {
      throw unprepared(
        "RequestTooLarge",
        `It has ${prepared.payload.length} bytes, and at most ${MAX_MEMBER_INPUT_BYTES} can be sent`,
        "Make it smaller; nodes may allow less (max_body_size)",
      );
    }
    return { prepared, toBeSigned: requestToBeSigned(prepared) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw unprepared("RequestUnusable", error.message, "Go back to the form and look at the text again");
  }
}

function unprepared(code: string, why: string, todo: string): ProblemError {
  return new ProblemError({ code, what: "The request cannot be prepared", why, todo });
}

/**
 * The second half: asks the signer, once.
 *
 * @param said what the form shows, **taken from the form** and not from what was prepared: it is compared with the bytes
 * @throws ProblemError `SaidIsNotSigned` where they differ, `WrongMember`, `SignatureInvalid`, or what the signer throws;
 *   nothing was sent then
 */
export async function signEnvelope(
  { prepared, toBeSigned }: PreparedEnvelope,
  said: Said,
  signer: Signer,
  nowMs: number,
): Promise<SignedEnvelope> {
  const { mismatches } = reviewBytes(toBeSigned, said);
  if (mismatches.length > 0) {
    throw new ProblemError({
      code: "SaidIsNotSigned",
      what: "Nothing was signed: the form says something else than the bytes",
      why: mismatches.map(({ sentence }) => sentence).join("; "),
      todo:
        "Do not sign. Reload the page from a source that you trust; if it happens again, report it with the details",
      details: toHex(toBeSigned),
    });
  }
  const identity = signingIdentity(signer.certificatePem);
  const read = readMemberRequest(prepared);
  if (read.signer.memberId !== identity.memberId || signer.memberId !== identity.memberId) {
    throw new ProblemError({
      code: "WrongMember",
      what: "Nothing was signed: the request is another member's",
      why: `It is prepared for member ${read.signer.memberId}, and the key is that of ${identity.memberId}`,
      todo: "Choose the key of that member, or prepare the request anew",
    });
  }
  const signature = await signer.sign(toBeSigned);
  if (!isRequestSignedBy(noblePrimitives, identity.key, prepared, signature)) {
    throw new ProblemError({
      code: "SignatureInvalid",
      what: "Nothing was sent: the signature does not verify with the member's certificate",
      why: "It was made with another key, over other bytes, or over a digest that was hashed once more",
      todo: `Sign the ${EC_CURVES[identity.curve].hash} digest that is shown with the key of the certificate`,
    });
  }
  const { target, body } = finishMemberRequest(prepared, signature);
  const { request, createdAtSeconds } = read;
  return {
    id: toHex(hash("SHA-256", body)),
    kind: request.kind,
    memberId: identity.memberId,
    ...("proposalId" in request && { proposalId: request.proposalId }),
    createdAtSeconds,
    signedAtMs: nowMs,
    target,
    body,
  };
}

/**
 * What is wrong with an envelope that comes from storage, which other pages may reach: its bytes or its address are not
 * those that were signed. undefined: nothing.
 */
export function envelopeProblem({ id, body, target }: SignedEnvelope): Problem | undefined {
  try {
    if (toHex(hash("SHA-256", body)) !== id) throw new FormatError("its bytes have another digest than its name says");
    const { protectedBytes, payload } = parseCoseSign1(body);
    if (payload === undefined) throw new FormatError("its payload is missing");
    const read = readMemberRequest({ protectedBytes, payload });
    const rest = target.startsWith(read.target) ? target.slice(read.target.length) : undefined;
    const isOwn = rest === "" ||
      (read.request.kind === "proposal_dry_run" && /^&proposalId=[0-9a-f]{64}$/.test(rest ?? ""));
    if (!isOwn) throw new FormatError(`it would go to ${JSON.stringify(target)}, and belongs to ${read.target}`);
    return undefined;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return {
      code: "EnvelopeDamaged",
      what: "The kept request cannot be used",
      why: error.message,
      todo: "Discard it, and sign again",
    };
  }
}

/** A signed question about a new proposal, asked about one that is open: the payload must be that proposal's own bytes. */
export function dryRunOfOpen(envelope: SignedEnvelope, proposalId: string): SignedEnvelope {
  return { ...envelope, target: `${envelope.target}&proposalId=${proposalId}` };
}
