/**
 * What every member command works with: a node, a person or a machine that reads, a clock; and how a request is shown,
 * signed and sent.
 *
 * Nothing is sent that was not shown before; a person at a terminal is asked.
 */

import { assert, FormatError } from "../../../shared/assert.ts";
import { fromUtf8Lenient } from "../../../shared/bytes.ts";
import type { EcPrivateKey } from "../../../shared/crypto/ecdsa.ts";
import type { Primitives } from "../../../shared/crypto/primitives.ts";
import {
  finishMemberRequest,
  isRequestSignedBy,
  type MemberRequest,
  type PreparedRequest,
  prepareMemberRequest,
  readMemberRequest,
} from "../../../shared/governance/member_request.ts";
import { safeText } from "../../../shared/governance/proposal_words.ts";
import { parseJsonBytes } from "../../../shared/json.ts";
import { type GovernanceClient, type NodeAnswer, Refusal } from "./connection.ts";
import { type MemberIdentity, signRequest, validityWarning } from "./credentials.ts";
import { requestLines } from "../../../shared/governance/request_words.ts";

/** Where commands write: lines for a person, or one JSON document for a machine. */
export interface MemberOutput {
  /** A line of the result, for a person. */
  line(text: string): void;
  /** What is about to be signed: for a person beside a machine, too. */
  show(text: string): void;
  /** What a person should know beside the result. */
  note(text: string): void;
  /** The whole result, for a machine. */
  document(value: unknown): void;
}

export interface MemberContext {
  readonly primitives: Primitives;
  readonly output: MemberOutput;
  readonly nowMs: () => number;
  /** Until it makes sense to ask a node again. */
  readonly wait: () => Promise<void>;
  /** Whether a person agrees; true where there is nobody to ask. */
  readonly agree: (question: string) => boolean;
}

/** A member, and the node it speaks with. */
export interface MemberSession extends MemberContext {
  readonly node: GovernanceClient;
}

/** The person at the terminal said no. */
export class Declined extends Error {
  override name = "Declined";
}

/** The service took the request, and lost it in an election. */
export class Lost extends Error {
  override name = "Lost";
}

/** What came of a request. */
export interface Sent {
  readonly request: MemberRequest;
  readonly answer: NodeAnswer;
  /** "Committed", or what the node says of the transaction after some seconds; undefined where there is none. */
  readonly status: string | undefined;
}

/** Whole seconds, of the option or the clock. */
export function createdAtOf(option: number | undefined, { nowMs }: Pick<MemberContext, "nowMs">): number {
  return option ?? Math.floor(nowMs() / 1000);
}

/** Shows a request, signs it with a key at hand, and sends it. @throws Declined, Lost, Refusal, Unreachable */
export async function signAndSend(
  session: MemberSession,
  identity: MemberIdentity,
  key: EcPrivateKey,
  request: MemberRequest,
  createdAtSeconds: number,
): Promise<Sent> {
  const prepared = prepareMemberRequest(request, identity, createdAtSeconds);
  showBeforeSigning(session, identity, prepared);
  const signature = signRequest(key, prepared);
  assert(
    isRequestSignedBy(session.primitives, identity.key, prepared, signature),
    "A request that we sign verifies with the member's certificate",
  );
  return await send(session, prepared, signature);
}

/** @throws Declined */
export function showBeforeSigning(
  { output, agree, nowMs }: MemberContext,
  identity: MemberIdentity,
  prepared: PreparedRequest,
): void {
  for (const line of requestLines(prepared)) output.show(line);
  const warning = validityWarning(identity, nowMs());
  if (warning !== undefined) output.note(warning);
  if (!agree("Sign and send this?")) throw new Declined("Nothing was sent");
}

/** Sends what is signed, and waits until it is final. @throws Lost, Refusal, Unreachable */
export async function send(
  { node, wait }: MemberSession,
  prepared: PreparedRequest,
  signature: Uint8Array,
): Promise<Sent> {
  const read = readMemberRequest(prepared);
  let answer: NodeAnswer;
  try {
    answer = await node.send(finishMemberRequest(prepared, signature));
  } catch (error) {
    if (error instanceof Refusal) error.asked = read;
    throw error;
  }
  const { txId } = answer;
  const status = txId === undefined ? undefined : await node.outcomeOf(txId, wait);
  if (status === "Invalid") {
    throw new Lost(`The service lost transaction ${txId} when its primary changed, and nothing came of it: try again`);
  }
  return { request: read.request, answer, status };
}

/** Where a request got to, for a person. */
export function transactionWords({ answer: { txId }, status }: Sent): string {
  if (txId === undefined) return "";
  const where = `transaction ${safeText(txId)}`;
  return status === "Committed" ? `, committed as ${where}` : `, in ${where}, which is not committed yet`;
}

/** What a machine is told of a request. */
export function sentDocument(sent: Sent): Record<string, unknown> {
  return {
    kind: sent.request.kind,
    tx_id: sent.answer.txId ?? null,
    tx_status: sent.status ?? null,
    answer: answerBody(sent.answer),
  };
}

/** JSON, or text where it is none; null where it is empty. */
export function answerBody({ body }: NodeAnswer): unknown {
  if (body.length === 0) return null;
  try {
    return parseJsonBytes(body);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return fromUtf8Lenient(body);
  }
}
