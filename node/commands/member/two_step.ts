/**
 * `prepare` and `finish`: signing with a key that is elsewhere, in a device or on a machine without a network.
 *
 * `prepare` writes a file with the bytes to sign; whoever has the key signs them; `finish` puts both together, verifies
 * the signature with the member's certificate, and only then sends. Both show what it is, read from the bytes.
 */

import { FormatError } from "../../../shared/assert.ts";
import { fromBase64, fromUtf8 } from "../../../shared/bytes.ts";
import {
  finishMemberRequest,
  isRequestSignedBy,
  type MemberRequest,
  type PreparedRequest,
  prepareMemberRequest,
  readMemberRequest,
  requestToBeSigned,
} from "../../../shared/governance/member_request.ts";
import {
  ALGORITHM_NAMES,
  describePrepared,
  parsePrepared,
  serialisePrepared,
} from "../../../shared/governance/prepared_file.ts";
import { signatureReadings } from "../../../shared/governance/signature_file.ts";
import { ExitCode, readFile, readTextFile, UsageError } from "../exit.ts";
import { createdAtOf, type MemberContext, type MemberSession, send, showBeforeSigning } from "./context.ts";
import type { GovernanceClient } from "./connection.ts";
import type { MemberIdentity } from "./credentials.ts";
import { requestLines } from "../../../shared/governance/request_words.ts";
import { type BallotOptions, readBallot, readProposal, showProposalToDecide } from "./requests.ts";
import { reportResult } from "./results.ts";
import { requireNewFile, writeSecretFile } from "./secret_file.ts";

export const PREPARED_KINDS = ["proposal", "ballot", "withdrawal", "state-digest", "ack", "share"] as const;
export type PreparedKind = typeof PREPARED_KINDS[number];

export interface PrepareOptions extends BallotOptions {
  readonly out: string;
  readonly toBeSigned?: string;
  readonly stateDigest?: string;
  readonly createdAtSeconds?: number | undefined;
}

/**
 * `member prepare KIND`.
 *
 * @param about the file of a proposal or of a share, or the ID of a proposal; as the kind needs
 * @param node to look up what is not given; undefined where the member has no connection
 */
export async function prepare(
  context: MemberContext,
  node: GovernanceClient | undefined,
  identity: MemberIdentity,
  kind: PreparedKind,
  about: string | undefined,
  options: PrepareOptions,
): Promise<number> {
  requireNewFile(options.out, "the prepared request");
  if (options.toBeSigned !== undefined) requireNewFile(options.toBeSigned, "the bytes to sign");
  const request = await readRequest(context, node, identity, kind, about, options);
  const prepared = prepareMemberRequest(request, identity, createdAtOf(options.createdAtSeconds, context));
  const { output } = context;
  for (const line of requestLines(prepared)) output.line(line);
  writeSecretFile(options.out, "the prepared request", serialisePrepared(prepared));
  if (options.toBeSigned !== undefined) {
    writeSecretFile(options.toBeSigned, "the bytes to sign", requestToBeSigned(prepared));
  }
  output.line(
    `Written to ${options.out}. Nothing was sent: sign its digest with ${ALGORITHM_NAMES[identity.curve]}, then`,
  );
  output.line(`  member finish ${options.out} --signature FILE`);
  output.document({ file: options.out, ...describePrepared(prepared) });
  return ExitCode.done;
}

async function readRequest(
  context: MemberContext,
  node: GovernanceClient | undefined,
  { memberId }: MemberIdentity,
  kind: PreparedKind,
  about: string | undefined,
  options: PrepareOptions,
): Promise<MemberRequest> {
  const needed = (what: string): string => {
    if (about !== undefined) return about;
    throw new UsageError(`Cannot prepare a ${kind}: name ${what}`);
  };
  const none = () => {
    if (about !== undefined) throw new UsageError(`Cannot prepare ${kind} for ${about}: it takes no argument`);
  };
  switch (kind) {
    case "proposal":
      return { kind, proposal: readProposal(needed("the file with it")) };
    case "ballot": {
      const ballot = readBallot(options);
      return { kind, proposalId: await showHere(context, node, needed("the proposal")), ballot };
    }
    case "withdrawal":
      return { kind, proposalId: await showHere(context, node, needed("the proposal")) };
    case "state-digest":
      none();
      return { kind: "state_digest" };
    case "ack":
      none();
      return { kind, stateDigest: await stateDigestFor(node, memberId, options.stateDigest) };
    case "share":
      return {
        kind: "recovery_share",
        share: readShare(needed("the file with it, as `member share --out` writes it")),
      };
  }
}

/** The ID of a proposal, which is shown where there is a node to ask. */
async function showHere(context: MemberContext, node: GovernanceClient | undefined, prefix: string): Promise<string> {
  if (node !== undefined) {
    return (await showProposalToDecide({ ...context, node }, prefix)).proposal.proposalId;
  }
  const id = prefix.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(id)) {
    throw new UsageError(`Cannot look up the proposal ${prefix} without --node: give all 64 digits of its ID`);
  }
  context.output.note("Note: without --node nobody shows what this proposal is");
  return id;
}

/** Members are given one to acknowledge when they are added, so that a new one needs a single signature. */
async function stateDigestFor(
  node: GovernanceClient | undefined,
  memberId: string,
  given: string | undefined,
): Promise<string> {
  if (given !== undefined) return given;
  if (node === undefined) {
    throw new UsageError("Cannot prepare an ack: give --state-digest HEX, or --node to ask for yours");
  }
  return await node.stateDigest(memberId);
}

function readShare(path: string): Uint8Array {
  try {
    return fromBase64(readTextFile(path, "the recovery share").trim());
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // Not the error's own words: they would quote the share.
    throw new UsageError(`Cannot use the recovery share ${path}: it is not base64`);
  }
}

/** A request that is signed and verified, not sent yet. */
export interface FinishedRequest {
  readonly prepared: PreparedRequest;
  readonly signature: Uint8Array;
}

/**
 * The first part of `member finish`: reads both files, verifies, shows.
 *
 * @returns undefined, and the reason told, where the signature is none of this request by this member
 * @throws UsageError where a file cannot be read, or the request is another member's
 */
export function assemble(
  context: MemberContext,
  identity: MemberIdentity,
  file: string,
  signatureFile: string,
): FinishedRequest | undefined {
  const prepared = readPrepared(file);
  const { signer } = readMemberRequest(prepared);
  if (signer.memberId !== identity.memberId || signer.curve !== identity.curve) {
    throw new UsageError(
      `Cannot finish ${file} with the certificate ${identity.file}: the request is for member ${signer.memberId}, and the certificate is that of ${identity.memberId}`,
    );
  }
  const readings = readingsOf(identity, signatureFile);
  const signature = readings.find((each) => isRequestSignedBy(context.primitives, identity.key, prepared, each));
  if (signature !== undefined) return { prepared, signature };
  const why = readings.length === 0
    ? `${signatureFile} holds no ${
      ALGORITHM_NAMES[identity.curve]
    } signature, neither r and s nor DER, in bytes, hex or base64`
    : `the signature ${signatureFile} is not one of ${file} by the key of ${identity.file}; was the digest hashed once more, or something else signed?`;
  context.output.note(`Nothing was sent: ${why}`);
  context.output.document({ verified: false, reason: why });
  return undefined;
}

/** The second part: sends it. */
export async function finish(
  session: MemberSession,
  identity: MemberIdentity,
  { prepared, signature }: FinishedRequest,
): Promise<number> {
  showBeforeSigning(session, identity, prepared);
  return reportResult(session.output, await send(session, prepared, signature));
}

/** The second part without a node: writes the body that is to be sent. */
export function keep({ output }: MemberContext, { prepared, signature }: FinishedRequest, out: string): number {
  const { body, method, target, contentType } = finishMemberRequest(prepared, signature);
  for (const line of requestLines(prepared)) output.line(line);
  writeSecretFile(out, "the signed request", body);
  output.line(
    `The signature verifies. Written to ${out}, and not sent: ${method} ${target}, content type ${contentType}`,
  );
  output.document({ verified: true, file: out, method, target, content_type: contentType });
  return ExitCode.done;
}

function readPrepared(file: string): PreparedRequest {
  try {
    return parsePrepared(fromUtf8(readFile(file, "the prepared request")));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot finish ${file}: ${error.message}`);
  }
}

function readingsOf(identity: MemberIdentity, file: string): Uint8Array[] {
  try {
    return signatureReadings(identity.curve, readFile(file, "the signature"));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot use the signature ${file}: ${error.message}`);
  }
}
