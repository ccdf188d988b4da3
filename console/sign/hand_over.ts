/**
 * Signing with a key that is elsewhere, in a device or on a machine without a network: files out, a signature back.
 *
 * In: a prepared request; later the file with a signature, in whatever form a device left it. Out: the same file that
 * `member prepare` writes and `member finish` reads; the bare bytes for tools that hash by themselves; the digest as key
 * services take it. A signature counts only where it verifies with the member's certificate, before anything is sent.
 * Knows nothing of screens. Formats: shared/governance/{prepared_file,signature_file}.ts
 *
 *     {"alg": "ES384", "value": "mZ3o…"}      what Azure Key Vault's sign operation takes, and `ccf_cose_sign1_prepare` of 6.0
 *                                             writes; later ones write COSE's number instead of the name
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes, toBase64Url } from "../../shared/bytes.ts";
import { EC_CURVES } from "../../shared/crypto/ecdsa.ts";
import { hash } from "../../shared/crypto/hashes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { isRequestSignedBy, readMemberRequest, requestToBeSigned } from "../../shared/governance/member_request.ts";
import { ALGORITHM_NAMES, parsePrepared, serialisePrepared } from "../../shared/governance/prepared_file.ts";
import { signatureReadings } from "../../shared/governance/signature_file.ts";
import { type Problem, ProblemError } from "../problem.ts";
import { type PreparedEnvelope, type Signer, signingIdentity } from "./envelope.ts";
import type { Said } from "./said_and_signed.ts";

export interface HandOverFile {
  readonly name: string;
  /** For whom it is. */
  readonly what: string;
  readonly content: string | Uint8Array;
}

/** The files to choose from: all three lead to the same signature. */
export function handOverFiles({ prepared, toBeSigned }: PreparedEnvelope): HandOverFile[] {
  const { request, signer: { curve }, createdAtSeconds } = readMemberRequest(prepared);
  const about = "proposalId" in request ? request.proposalId.slice(0, 8) : String(createdAtSeconds);
  const name = `${request.kind}-${about}`;
  const digest = hash(EC_CURVES[curve].hash, toBeSigned);
  return [
    {
      name: `${name}.json`,
      what: "The prepared request, for member finish and for reading: words, digest and bytes",
      content: serialisePrepared(prepared),
    },
    {
      name: `${name}.tbs`,
      what: "The bare bytes to sign, for tools that hash by themselves, such as openssl dgst -sign",
      content: toBeSigned,
    },
    {
      name: `${name}.digest.json`,
      what: "The digest, for key services that sign one, such as Azure Key Vault",
      content: JSON.stringify({ alg: ALGORITHM_NAMES[curve], value: toBase64Url(digest) }),
    },
  ];
}

/**
 * A request that was prepared before, here or by `member prepare`. There is no form any more, so what is said of it is
 * what its own header and payload say: show it before it is used.
 *
 * @throws ProblemError
 */
export function readPreparedFile(text: string): { readonly envelope: PreparedEnvelope; readonly said: Said } {
  try {
    const prepared = parsePrepared(text);
    const { request, signer, createdAtSeconds } = readMemberRequest(prepared);
    const envelope = { prepared, toBeSigned: requestToBeSigned(prepared) };
    return { envelope, said: { request, ...signer, createdAtSeconds } };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "PreparedFileUnusable",
      what: "The file is no prepared request",
      why: error.message,
      todo: "Choose the JSON file that was saved here or written by `member prepare`, unchanged",
    });
  }
}

export type ReadSignature =
  /** r ‖ s */
  | { readonly kind: "verified"; readonly signature: Uint8Array }
  | { readonly kind: "refused"; readonly problem: Problem };

/** Reads what a device left, or what was pasted, and verifies it with the member's certificate. @throws ProblemError for a bad certificate */
export function readSignature(
  file: Uint8Array,
  { prepared }: PreparedEnvelope,
  certificatePem: string,
): ReadSignature {
  const { key, curve, memberId } = signingIdentity(certificatePem);
  const refused = (code: string, why: string, todo: string): ReadSignature => ({
    kind: "refused",
    problem: { code, what: "The signature was not taken", why, todo },
  });
  const { signer } = readMemberRequest(prepared);
  if (signer.memberId !== memberId) {
    const why = `The request is for member ${signer.memberId}, and the certificate is that of ${memberId}`;
    return refused("WrongMember", why, "Choose that member's certificate");
  }
  let readings: Uint8Array[];
  try {
    readings = signatureReadings(curve, file);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return refused("SignatureUnreadable", error.message, "Choose the file that the device wrote");
  }
  if (readings.length === 0) {
    const why = `It is no ${ALGORITHM_NAMES[curve]} signature: neither r and s nor DER, in bytes, hex, base64 or JSON`;
    return refused("SignatureUnreadable", why, "Choose the file that the device wrote, or paste its text");
  }
  const signature = readings.find((each) => isRequestSignedBy(noblePrimitives, key, prepared, each));
  if (signature !== undefined) return { kind: "verified", signature };
  return refused(
    "SignatureInvalid",
    "It does not verify with the member's certificate: another key signed, or something else was signed, or the digest was hashed once more",
    `Sign the ${EC_CURVES[curve].hash} digest that is shown, and no digest of it, with the key of this certificate`,
  );
}

/** A signer whose signature a person brings: `sign` waits until one verifies, or until it is given up. */
export class HandOverSigner implements Signer {
  readonly kind = "hand_over";
  readonly memberId: string;
  #settle: { resolve: (signature: Uint8Array) => void; reject: (error: ProblemError) => void } | undefined;

  /** @throws ProblemError where the certificate is none */
  constructor(readonly envelope: PreparedEnvelope, readonly certificatePem: string) {
    this.memberId = signingIdentity(certificatePem).memberId;
  }

  sign(toBeSigned: Uint8Array): Promise<Uint8Array> {
    if (!equalBytes(toBeSigned, this.envelope.toBeSigned)) {
      return Promise.reject(
        new ProblemError({
          code: "OtherBytes",
          what: "Nothing was signed",
          why: "The files that were handed over are of another request",
          todo: "Save the files anew",
        }),
      );
    }
    return new Promise((resolve, reject) => this.#settle = { resolve, reject });
  }

  /** A file or a pasted text, as bytes. @returns what is wrong with it; the wait goes on then */
  offer(file: Uint8Array): Problem | undefined {
    const read = readSignature(file, this.envelope, this.certificatePem);
    if (read.kind === "refused") return read.problem;
    this.#settle?.resolve(read.signature);
    return undefined;
  }

  giveUp(): void {
    this.#settle?.reject(
      new ProblemError({
        code: "HandOverGivenUp",
        what: "Nothing was signed",
        why: "No signature was brought",
        todo: "The saved file can still be signed: open it here again, or use `member finish`",
      }),
    );
  }
}
