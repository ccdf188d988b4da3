/**
 * The commands that sign with a key at hand: propose, vote, withdraw, ack, share.
 *
 * In: what the member gave, a session with a node. Out: requests that were shown before they were sent; an exit code.
 */

import { FormatError } from "../../../shared/assert.ts";
import { concat, fromBase64, fromUtf8, toBase64, toHex } from "../../../shared/bytes.ts";
import type { EcPrivateKey } from "../../../shared/crypto/ecdsa.ts";
import { SHARE_BYTES } from "../../../shared/crypto/shamir.ts";
import type { RsaPrivateKey } from "../../../shared/crypto/rsa.ts";
import { PLAIN_BALLOTS } from "../../../shared/governance/member_request.ts";
import { parseJsonText } from "../../../shared/json.ts";
import { MAX_MEMBER_INPUT_BYTES } from "../../../shared/limits.ts";
import { ExitCode, readFile, UsageError } from "../exit.ts";
import { stateDigestIn } from "./connection.ts";
import { createdAtOf, type MemberSession, type Sent, signAndSend } from "./context.ts";
import type { MemberIdentity } from "./credentials.ts";
import { membersStillToVote, proposalHead, type ProposalView, resolveProposalId, viewProposal } from "./proposals.ts";
import { shareWords } from "../../../shared/governance/request_words.ts";
import { reportResult } from "./results.ts";
import { writeSecretFile } from "./secret_file.ts";

/** A member whose key is at hand. */
export interface Signatory {
  readonly identity: MemberIdentity;
  readonly key: EcPrivateKey;
  /** Instead of the clock's time. */
  readonly createdAtSeconds?: number | undefined;
}

/** How a member votes: one of the three. */
export interface BallotOptions {
  readonly yes?: boolean;
  readonly no?: boolean;
  readonly ballot?: string;
}

/** `member propose`. @param file path, or "-" for standard input */
export async function propose(session: MemberSession, by: Signatory, file: string): Promise<number> {
  const proposal = readProposal(file);
  return reportResult(session.output, await sign(session, by, { kind: "proposal", proposal }));
}

/** `member vote`. Shows what is voted on first, as the node has it. */
export async function vote(
  session: MemberSession,
  by: Signatory,
  prefix: string,
  options: BallotOptions,
): Promise<number> {
  const ballot = readBallot(options);
  const view = await showProposalToDecide(session, prefix);
  const { proposalId } = view.proposal;
  if (view.proposal.proposalState === "Open" && !canVote(view, by.identity.memberId)) {
    session.output.note("Note: by what the node says you have voted already, or are no active member");
  }
  return reportResult(session.output, await sign(session, by, { kind: "ballot", proposalId, ballot }));
}

/** Shows a proposal before something is signed about it. */
export async function showProposalToDecide(session: MemberSession, prefix: string): Promise<ProposalView> {
  const view = await viewProposal(session.node, await resolveProposalId(session.node, prefix));
  const digest = toHex(session.primitives.sha256(view.payload));
  for (const line of proposalHead(view, digest)) session.output.show(line);
  return view;
}

function canVote(view: ProposalView, memberId: string): boolean {
  return membersStillToVote(view).some((member) => member.memberId === memberId);
}

/** `member withdraw`. */
export async function withdraw(session: MemberSession, by: Signatory, prefix: string): Promise<number> {
  const { proposal: { proposalId } } = await showProposalToDecide(session, prefix);
  return reportResult(session.output, await sign(session, by, { kind: "withdrawal", proposalId }));
}

/** `member ack`: asks for the newest state digest and acknowledges it. */
export async function acknowledge(session: MemberSession, by: Signatory): Promise<number> {
  const asked = await sign(session, by, { kind: "state_digest" });
  const stateDigest = stateDigestIn(asked.answer);
  return reportResult(session.output, await sign(session, by, { kind: "ack", stateDigest }));
}

/** A share that the member's key has decrypted. */
export interface OpenedShare {
  readonly share: Uint8Array;
  readonly memberId: string;
}

/**
 * `member share` without --submit: shows that the share opens, and which it is.
 *
 * @param out where to write it, base64; undefined to write it nowhere
 */
export async function inspectShare(
  session: MemberSession,
  identity: MemberIdentity,
  key: RsaPrivateKey,
  out: string | undefined,
): Promise<number> {
  const share = await openShare(session, identity, key);
  if (share === undefined) return ExitCode.refused;
  if (out !== undefined) writeSecretFile(out, "the recovery share", `${toBase64(share)}\n`);
  const { output } = session;
  output.line(`Your recovery share opens with this key: ${shareWords(share)}`);
  if (out !== undefined) output.line(`  written to ${out}: who has enough of them can recover the service's secrets`);
  output.document({ member_id: identity.memberId, opens: true, share: shareWords(share), file: out ?? null });
  return ExitCode.done;
}

/** `member share --submit`: for a service that recovers after a disaster. */
export async function submitShare(session: MemberSession, by: Signatory, key: RsaPrivateKey): Promise<number> {
  const share = await openShare(session, by.identity, key);
  if (share === undefined) return ExitCode.refused;
  return reportResult(session.output, await sign(session, by, { kind: "recovery_share", share }));
}

/** undefined, and the reason told, where the key does not open the share. */
async function openShare(
  session: MemberSession,
  { memberId }: MemberIdentity,
  key: RsaPrivateKey,
): Promise<Uint8Array | undefined> {
  const { node, primitives, output } = session;
  const encrypted = await node.encryptedShare(memberId);
  const share = primitives.rsaOaepDecrypt(key.pkcs8, fromBase64(encrypted));
  if (share !== undefined && share.length === SHARE_BYTES) return share;
  const why = share === undefined
    ? "The encryption key does not open your recovery share: is it the one whose public key the members voted for?"
    : `Your recovery share has ${share.length} bytes and not ${SHARE_BYTES}: it was made before 5.0, and nothing combines it any more`;
  output.note(why);
  output.document({ member_id: memberId, opens: false, reason: why });
  return undefined;
}

function sign(
  session: MemberSession,
  { identity, key, createdAtSeconds }: Signatory,
  request: Parameters<typeof signAndSend>[3],
): Promise<Sent> {
  return signAndSend(session, identity, key, request, createdAtOf(createdAtSeconds, session));
}

/** @throws UsageError where it is no JSON in UTF-8: no constitution reads anything else */
export function readProposal(file: string): Uint8Array {
  const bytes = file === "-" ? readStandardInput() : readInput(file, "the proposal");
  try {
    parseJsonText(fromUtf8(bytes));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot propose ${file === "-" ? "what standard input holds" : file}: ${error.message}`);
  }
  return bytes;
}

/** The text of a ballot. @throws UsageError where it is not said how to vote, or in two ways */
export function readBallot({ yes, no, ballot }: BallotOptions): string {
  if ([yes, no, ballot].filter((option) => option !== undefined).length !== 1) {
    throw new UsageError("Cannot vote: give one of --yes, --no and --ballot FILE");
  }
  if (ballot === undefined) return yes === true ? PLAIN_BALLOTS.yes : PLAIN_BALLOTS.no;
  try {
    return fromUtf8(readInput(ballot, "the ballot"));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new UsageError(`Cannot vote with ${ballot}: ${error.message}`);
  }
}

/** A file of the member's, not longer than anything that makes sense. @throws UsageError */
function readInput(file: string, what: string): Uint8Array {
  const bytes = readFile(file, what);
  if (bytes.length <= MAX_MEMBER_INPUT_BYTES) return bytes;
  throw new UsageError(`Cannot use ${what} ${file}: it has ${bytes.length} bytes, at most ${MAX_MEMBER_INPUT_BYTES}`);
}

function readStandardInput(): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const buffer = new Uint8Array(64 * 1024);
  for (let count = Deno.stdin.readSync(buffer); count !== null; count = Deno.stdin.readSync(buffer)) {
    pieces.push(buffer.slice(0, count));
    length += count;
    if (length > MAX_MEMBER_INPUT_BYTES) {
      throw new UsageError(`Cannot read more than ${MAX_MEMBER_INPUT_BYTES} bytes from standard input`);
    }
  }
  return concat(...pieces);
}
