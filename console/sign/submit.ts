/**
 * Sending what is signed, and following it until it is final and proved.
 *
 * In: an envelope, a way to a node, the outbox. Out: what came of it, as values: accepted, refused with what to do, or lost
 * on the way, which keeps the envelope; whether the transaction is committed; its receipt, verified here. What a node says
 * of a proposal is its word, and labelled so by whoever shows it.
 * Knows nothing of keys and screens. Endpoints: http-api.md §5 and §7
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8, fromUtf8Lenient } from "../../shared/bytes.ts";
import { noblePrimitives } from "../../shared/crypto/primitives.ts";
import { COSE_CONTENT_TYPE, GOVERNANCE_API_VERSION } from "../../shared/governance/member_request.ts";
import { safeText } from "../../shared/governance/proposal_words.ts";
import { parseJsonBytes } from "../../shared/json.ts";
import { object, type Shape, text } from "../../shared/json_shape.ts";
import { MAX_COMMIT_QUESTIONS } from "../../shared/limits.ts";
import { parseReceipt } from "../../shared/receipt/receipt.ts";
import { verifyReceipt } from "../../shared/receipt/verify_receipt.ts";
import { parseTxId } from "../../shared/tx_id.ts";
import type { Verdict } from "../../shared/verdict.ts";
import { type Problem, ProblemError } from "../problem.ts";
import type { AskOptions, NodeAnswer } from "../service/node_api.ts";
import { envelopeProblem, type SignedEnvelope } from "./envelope.ts";
import type { Outbox } from "./outbox.ts";
import { refusedRequest } from "./refusals.ts";

/** `NodeApi.ask`: one request, one answer; a ProblemError where there is none. */
export type Ask = (path: string, options?: AskOptions) => Promise<NodeAnswer>;

/** What sending works with. */
export interface Delivery {
  readonly ask: Ask;
  readonly outbox: Outbox;
  /** Of the page's clock. */
  readonly nowMs: () => number;
  /** For so long, between two questions. */
  readonly wait: (ms: number) => Promise<void>;
  /** The identity of the service's first life, where it is known. */
  readonly service?: string;
}

export type Outcome =
  & (
    /** The node took it. All of it is the node's word. */
    | {
      readonly kind: "accepted";
      /** undefined for what writes nothing, such as a dry run. */
      readonly txId: string | undefined;
      readonly proposalId?: string;
      readonly proposalState?: string;
      readonly stateDigest?: string;
      /** The body, as JSON; null where it is empty. */
      readonly answer: unknown;
    }
    /** `retry`: it stays in the outbox, and the same bytes may be taken later. */
    | { readonly kind: "refused"; readonly problem: Problem; readonly retry: boolean }
    /** Nobody knows whether it arrived. It stays in the outbox. */
    | { readonly kind: "lost"; readonly problem: Problem }
  )
  /** Why the envelope could not be kept: then it lives as long as the page. */
  & { readonly notKept?: Problem };

/** Sends an envelope, for the first time or again: always the same bytes, and only to where they belong. */
export async function sendEnvelope(delivery: Delivery, envelope: SignedEnvelope): Promise<Outcome> {
  const { outbox } = delivery;
  const damage = envelopeProblem(envelope);
  if (damage !== undefined) return { kind: "refused", problem: damage, retry: false };
  let notKept: Problem | undefined;
  try {
    await outbox.keep(envelope, delivery.service);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    notKept = error.problem;
  }
  const outcome = await post(delivery, envelope);
  if (notKept !== undefined) return { ...outcome, notKept };
  if (outcome.kind === "accepted" && outcome.txId !== undefined) {
    await outbox.note(envelope.id, { state: "accepted", txId: outcome.txId });
  } else if (outcome.kind === "lost" || (outcome.kind === "refused" && outcome.retry)) {
    await outbox.note(envelope.id, { state: "waiting", problem: outcome.problem });
  } else {
    await outbox.remove(envelope.id);
  }
  return outcome;
}

async function post({ ask, nowMs }: Delivery, envelope: SignedEnvelope): Promise<Outcome> {
  let answer: NodeAnswer;
  try {
    const { target, body } = envelope;
    answer = await ask(target, { method: "POST", headers: { "content-type": COSE_CONTENT_TYPE }, body });
  } catch (error) {
    return lost(whyUnanswered(error));
  }
  if (answer.status < 200 || answer.status > 299) {
    const { problem, retry, fromNode } = refusedRequest(answer, envelope, nowMs());
    // What stands between here and a node may answer so after it has passed the request on.
    return answer.status >= 500 && !fromNode ? lost(problem) : { kind: "refused", problem, retry };
  }
  if (envelope.kind === "withdrawal" && answer.status === 204) {
    const problem: Problem = {
      code: "ProposalNotFound",
      what: "Nothing was withdrawn",
      why: `The service has no proposal ${envelope.proposalId}`,
      todo: "Look at the list of proposals; of closed ones a service keeps the last one only",
    };
    return { kind: "refused", problem, retry: false };
  }
  try {
    return { kind: "accepted", txId: txIdOf(answer), ...factsOf(answer, envelope) };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return lost({
      code: "NodeNonsense",
      what: "The node answered with something that is no answer to the request",
      why: error.message,
      todo: "Look whether the ledger has it before you send it again; the same bytes count once",
      details: `HTTP ${answer.status}: ${safeText(fromUtf8Lenient(answer.body.subarray(0, 500)))}`,
    });
  }
}

function lost(problem: Problem): Outcome {
  return { kind: "lost", problem };
}

/** @throws what is no failure of the way to the node */
function whyUnanswered(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (!(error instanceof DOMException)) throw error;
  return {
    code: "Interrupted",
    what: "The request was interrupted",
    why: "The page stopped waiting before the node answered; it may have arrived",
    todo: "Send it again: the same bytes count once",
  };
}

function txIdOf({ headers }: NodeAnswer): string | undefined {
  const txId = headers.get("x-ms-ccf-transaction-id") ?? undefined;
  if (txId !== undefined) parseTxId(txId);
  return txId;
}

const PROPOSAL = object({ proposalId: text, proposalState: text });
const DIGEST = object({ stateDigest: text });

function factsOf(
  { body }: NodeAnswer,
  { kind, proposalId }: SignedEnvelope,
): { answer: unknown; proposalId?: string; proposalState?: string; stateDigest?: string } {
  const answer = body.length === 0 ? null : parseJsonBytes(body);
  const shaped = <T>(shape: Shape<T>) => shape(answer, "");
  switch (kind) {
    case "proposal":
    case "ballot":
    case "withdrawal": {
      const told = shaped(PROPOSAL);
      if (!/^[0-9a-f]{64}$/.test(told.proposalId) || told.proposalId !== (proposalId ?? told.proposalId)) {
        throw new FormatError(`It is about proposal ${safeText(told.proposalId)}`);
      }
      return { answer, proposalId: told.proposalId, proposalState: safeText(told.proposalState) };
    }
    case "state_digest":
      return { answer, stateDigest: shaped(DIGEST).stateDigest };
    case "ack":
    case "recovery_share":
    case "proposal_dry_run":
      return { answer };
  }
}

export type CommitOutcome =
  /** The node says so; the ledger's next signature proves it. */
  | { readonly kind: "committed" }
  /** It is gone: the envelope waits in the outbox again. */
  | { readonly kind: "invalid"; readonly problem: Problem }
  /** Not final after all questions. */
  | { readonly kind: "pending"; readonly problem: Problem };

const MS_BETWEEN_QUESTIONS = 500;
const STATUS = object({ status: text });

/** Asks until the transaction of an accepted envelope is final, at most `MAX_COMMIT_QUESTIONS` times. */
export async function followCommit(delivery: Delivery, envelopeId: string, txId: string): Promise<CommitOutcome> {
  const { ask, outbox, wait } = delivery;
  let last = "";
  for (let asked = 1; asked <= MAX_COMMIT_QUESTIONS; asked++) {
    if (asked > 1) await wait(MS_BETWEEN_QUESTIONS);
    last = await statusOf(ask, txId);
    if (last === "Committed") {
      await outbox.remove(envelopeId);
      return { kind: "committed" };
    }
    if (last === "Invalid") {
      const problem: Problem = {
        code: "TransactionInvalid",
        what: "The service has lost the request",
        why: `Its primary changed before transaction ${txId} was on enough nodes, and nothing came of it`,
        todo: "Send it again: the same bytes can be taken, and nothing is signed anew",
      };
      await outbox.note(envelopeId, { state: "waiting", problem });
      return { kind: "invalid", problem };
    }
  }
  return {
    kind: "pending",
    problem: {
      code: "NotCommittedYet",
      what: `Transaction ${txId} is not final yet`,
      why: `The node says: ${safeText(last)}`,
      todo: "Wait, and look again: it is kept until it is final. If it stays so, ask whether enough nodes are running",
    },
  };
}

async function statusOf(ask: Ask, txId: string): Promise<string> {
  try {
    const { status, body } = await ask(`/gov/service/transactions/${txId}?api-version=${GOVERNANCE_API_VERSION}`);
    return status === 200 ? STATUS(parseJsonBytes(body), "").status : `HTTP status ${status}`;
  } catch (error) {
    if (error instanceof FormatError) return "nothing that can be read";
    return whyUnanswered(error).what;
  }
}

export type ReceiptOutcome =
  /** `text`: the receipt as it came, to be saved. Refused: the verdict names the step. */
  | { readonly kind: "verified" | "refused"; readonly text: string; readonly verdict: Verdict }
  | { readonly kind: "unavailable"; readonly problem: Problem };

/** What a receipt of a member's request does not prove: to be said beside it. */
export const RECEIPT_LIMITS =
  "The receipt proves that the service has transaction TxID, not what stands in it: the ledger page shows your signed request there";

/**
 * Fetches the receipt of a committed transaction and verifies it.
 *
 * @param serviceCertificatePem as the ledger was folded to it, not as the node says
 */
export async function fetchReceipt(
  { ask, wait }: Pick<Delivery, "ask" | "wait">,
  txId: string,
  serviceCertificatePem: string,
): Promise<ReceiptOutcome> {
  let why = "";
  for (let asked = 1; asked <= MAX_COMMIT_QUESTIONS; asked++) {
    if (asked > 1) await wait(MS_BETWEEN_QUESTIONS);
    try {
      const { status, body } = await ask(`/node/receipt?transaction_id=${txId}`);
      if (status === 200) return judged(fromUtf8(body), txId, serviceCertificatePem);
      // 202: fetched from the ledger meanwhile. 404: the signature that covers it is not there yet.
      why = `The node answered with HTTP status ${status}`;
      if (status !== 202 && status !== 404 && status < 500) break;
    } catch (error) {
      if (error instanceof FormatError) {
        why = error.message;
        break;
      }
      why = whyUnanswered(error).why;
    }
  }
  return {
    kind: "unavailable",
    problem: {
      code: "ReceiptUnavailable",
      what: `There is no receipt of transaction ${txId} yet`,
      why,
      todo: "Ask for it again later, on Receipts: a ledger gives receipts for all of its past",
    },
  };
}

/** @throws FormatError where it is no receipt */
function judged(text: string, txId: string, serviceCertificatePem: string): ReceiptOutcome {
  const verdict = verifyReceipt(noblePrimitives, parseReceipt(text), serviceCertificatePem, { txId: parseTxId(txId) });
  return { kind: verdict.verdict, text, verdict };
}
