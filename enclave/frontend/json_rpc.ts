/**
 * The JSON-RPC 2.0 door: `POST /rpc` over the same endpoints, handlers and authentication as REST.
 *
 * In: one call or a batch. Out: their answers, in order; each call is a request of its own, with its own transaction. Or
 * those of them that another node is to run, and how their answers complete the batch.
 * Rules: JSON-RPC 2.0 specification (jsonrpc.org, 2013-01-04), and our own in `README.md`. What a call asks for is in
 * `rpc_request.ts`, what it is answered in `rpc_response.ts`, names of methods in `rpc_methods.ts`.
 */

import { assert, AssertionFailed } from "../../shared/assert.ts";
import { fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { stableJson } from "../../shared/json.ts";
import { MAX_JSON_RPC_ANSWER_CHARACTERS, MAX_JSON_RPC_BATCH, MAX_QUOTED_NAME_CHARACTERS } from "../../shared/limits.ts";
import type { Forward } from "../forwarding/placement.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { routeRequest } from "./frontend.ts";
import { OdataError } from "./odata_error.ts";
import { empty } from "./replies.ts";
import { elementsOf, elsewhereAnswers } from "./rpc_batch.ts";
import { DISCOVER, discover, findMethod } from "./rpc_methods.ts";
import {
  CallError,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
} from "./rpc_errors.ts";
import { buildRequest, isObject, type Json, type JsonObject } from "./rpc_request.ts";
import { describeResponse } from "./rpc_response.ts";
import type { Session } from "./session.ts";

/** Calls that another node is to run. */
export interface ForwardedCalls extends Forward {
  /** Carries them, and no others. */
  readonly request: HttpRequest;
  /** Characters of answers to other calls, which wait for those. */
  readonly held: number;
  /** The answer to the client, once there is a response to `request`. */
  complete(response: HttpResponse): HttpResponse;
}

/** What became of one message. */
interface Outcome {
  /** JSON; undefined for a notification, which is run all the same, and for what another node runs. */
  readonly answer: string | undefined;
  /** Whether it was a call at all. */
  readonly isCall: boolean;
  readonly elsewhere?: Elsewhere;
}

/** A call that another node is to run. */
interface Elsewhere extends Forward {
  readonly id: string | number | null;
  readonly isNotification: boolean;
}

/**
 * Answers a call or a batch, unless another node is to run it or some of it.
 *
 * HTTP 200; 204 where nothing asked for an answer; 400 and 413 for what is not JSON-RPC.
 */
export function routeJsonRpc(node: Node, session: Session, request: HttpRequest): HttpResponse | ForwardedCalls {
  if (request.method !== "POST") return otherMethod(request.method);
  let text: string;
  let parsed: Json;
  try {
    text = fromUtf8(request.body);
    parsed = JSON.parse(text);
  } catch {
    return reply(400, failure(null, new CallError(PARSE_ERROR, "Cannot read the request body as JSON")));
  }
  const door = new Door(node, session, request);
  if (!Array.isArray(parsed)) {
    const outcome = door.call(parsed);
    if (outcome.elsewhere !== undefined) return forwardOne(node, request, outcome.elsewhere);
    const { answer, isCall } = outcome;
    return door.closing(answer === undefined ? empty(204) : reply(isCall ? 200 : 400, answer));
  }
  if (parsed.length === 0) {
    return reply(400, failure(null, new CallError(INVALID_REQUEST, "A JSON-RPC batch must not be empty")));
  }
  if (parsed.length > MAX_JSON_RPC_BATCH) {
    const message = `A JSON-RPC batch has at most ${MAX_JSON_RPC_BATCH} calls, and this one has ${parsed.length}`;
    return reply(413, failure(null, new CallError(INVALID_REQUEST, message)));
  }
  const outcomes = parsed.map((message) => door.call(message));
  return outcomes.some(({ elsewhere }) => elsewhere !== undefined)
    ? forwardBatch(node, request, outcomes, text)
    : door.closing(batchReply(outcomes.map(({ answer }) => answer)));
}

/** The same where no other node can run any of it: on a node that leads, or for a session that is forwarded already. */
export function processJsonRpc(node: Node, session: Session, request: HttpRequest): HttpResponse {
  const outcome = routeJsonRpc(node, session, request);
  assert(!("forwardTo" in outcome), "Calls that cannot be forwarded are answered");
  return outcome;
}

const TOO_LONG = `the answers of this request have more than ${MAX_JSON_RPC_ANSWER_CHARACTERS} characters; ` +
  "send fewer calls in one batch, or ask by REST";

/** One HTTP request that carries calls. */
class Door {
  #mustClose = false;
  #charactersLeft = MAX_JSON_RPC_ANSWER_CHARACTERS;

  constructor(readonly node: Node, readonly session: Session, readonly carrier: HttpRequest) {}

  call(message: Json): Outcome {
    const id = isObject(message) && isId(message.id) ? message.id : null;
    try {
      const { method, params, isNotification } = readCall(message);
      const answer = isNotification ? this.#answer(id, method, params) : this.#answerWithinLimit(id, method, params);
      if (typeof answer === "string") return { answer: isNotification ? undefined : answer, isCall: true };
      return { answer: undefined, isCall: true, elsewhere: { ...answer, id, isNotification } };
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return { answer: failure(id, error), isCall: false };
    }
  }

  /** Once the answers are too long, further calls are not run: their callers would not learn what became of them. */
  #answerWithinLimit(id: string | number | null, method: string, params: Json): string | Forward {
    if (this.#charactersLeft === 0) return failure(id, new CallError(INTERNAL_ERROR, `Not called: ${TOO_LONG}`));
    const answer = this.#answer(id, method, params);
    if (typeof answer !== "string") return answer;
    if (answer.length > this.#charactersLeft) {
      this.#charactersLeft = 0;
      return failure(id, new CallError(INTERNAL_ERROR, `Called, but cannot answer: ${TOO_LONG}`));
    }
    this.#charactersLeft -= answer.length;
    return answer;
  }

  #answer(id: string | number | null, method: string, params: Json): string | Forward {
    try {
      const members = this.#run(method, params);
      return typeof members === "string" ? envelope(id, members) : members;
    } catch (error) {
      if (error instanceof AssertionFailed) throw error; // our bug: the node stops
      if (error instanceof CallError) return failure(id, error);
      const message = error instanceof Error ? error.message : String(error);
      this.node.log("fail", "rpc", `Cannot answer a call: ${message}`);
      return failure(id, new CallError(INTERNAL_ERROR, message));
    }
  }

  /** A session that is lost to one call is lost to all. */
  closing(response: HttpResponse): HttpResponse {
    return this.#mustClose ? { ...response, close: true } : response;
  }

  /** Members of the answer beside `jsonrpc` and `id`, as JSON without braces. */
  #run(method: string, params: Json): string | Forward {
    if (!isObject(params)) throw new CallError(INVALID_PARAMS, 'The member "params" must be an object');
    const tx = this.node.store.begin();
    if (method === DISCOVER) return `"result":${stableJson(discover(this.node, tx))}`;
    const found = findMethod(this.node, tx, method);
    if (found === undefined) {
      throw new CallError(METHOD_NOT_FOUND, `Method not found: ${method.slice(0, MAX_QUOTED_NAME_CHARACTERS)}`);
    }
    const request = buildRequest(found, params, this.carrier);
    const outcome = routeRequest(this.node, this.session, request);
    if ("forwardTo" in outcome) return outcome;
    if (outcome.close === true) this.#mustClose = true;
    return describeResponse(outcome, this.node.committedTxId.seqno);
  }
}

function forwardOne(node: Node, carrier: HttpRequest, { forwardTo, id, isNotification }: Elsewhere): ForwardedCalls {
  return {
    forwardTo,
    request: carrier,
    held: 0,
    complete: (response) => {
      if (isAnswered(response)) return response;
      return closingLike(response, isNotification ? empty(204) : reply(200, notAnswered(node, id, response)));
    },
  };
}

/** The calls that another node is to run travel together, in their order; the rest of the batch has run here. */
function forwardBatch(
  node: Node,
  carrier: HttpRequest,
  outcomes: readonly Outcome[],
  text: string,
): ForwardedCalls {
  const calls = outcomes.flatMap(({ elsewhere }) => elsewhere ?? []);
  const { forwardTo } = calls[0]!;
  if (calls.length === outcomes.length) {
    const complete = (response: HttpResponse) =>
      isAnswered(response) ? response : completeBatch(node, outcomes, calls, response);
    return { forwardTo, request: carrier, held: 0, complete };
  }
  // As they were sent, so that no number loses digits.
  const messages = elementsOf(text).filter((_, i) => outcomes[i]!.elsewhere !== undefined);
  return {
    forwardTo,
    request: { ...carrier, body: toUtf8(`[${messages.join(",")}]`) },
    held: outcomes.reduce((sum, { answer }) => sum + (answer?.length ?? 0), 0),
    complete: (response) => completeBatch(node, outcomes, calls, response),
  };
}

/** Puts another node's answers in their places among those given here. */
function completeBatch(
  node: Node,
  outcomes: readonly Outcome[],
  calls: readonly Elsewhere[],
  response: HttpResponse,
): HttpResponse {
  const asked = calls.filter(({ isNotification }) => !isNotification);
  const answers = elsewhereAnswers(response, asked.length) ?? asked.map(({ id }) => notAnswered(node, id, response));
  let next = 0;
  const all = outcomes.map(({ answer, elsewhere }) => {
    if (elsewhere === undefined) return answer;
    return elsewhere.isNotification ? undefined : answers[next++];
  });
  return closingLike(response, batchReply(all));
}

/** Whether a node that was sent calls has answered them; anything else is about the HTTP request that carried them. */
function isAnswered({ status }: HttpResponse): boolean {
  return status === 200 || status === 204;
}

const NOT_ANSWERED = new OdataError(500, "InternalError", "The primary did not answer the calls that it was sent");

/** The answer to a call that the node which was to run it did not answer. */
function notAnswered(node: Node, id: string | number | null, response: HttpResponse): string {
  const failed = response.status >= 300 ? response : NOT_ANSWERED.toResponse();
  return envelope(id, describeResponse(failed, node.committedTxId.seqno));
}

function closingLike({ close }: HttpResponse, response: HttpResponse): HttpResponse {
  return close === true ? { ...response, close } : response;
}

function envelope(id: string | number | null, members: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},${members}}`;
}

function batchReply(answers: readonly (string | undefined)[]): HttpResponse {
  const given = answers.filter((answer) => answer !== undefined);
  return given.length === 0 ? empty(204) : reply(200, `[${given.join(",")}]`);
}

/** @throws CallError where it is no call: such a message is always answered */
function readCall(message: Json): { readonly method: string; readonly params: Json; readonly isNotification: boolean } {
  if (!isObject(message)) throw new CallError(INVALID_REQUEST, "A JSON-RPC call must be an object");
  const { jsonrpc, method, params = {} } = message;
  if (jsonrpc !== "2.0") throw new CallError(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0"');
  if (typeof method !== "string") throw new CallError(INVALID_REQUEST, 'The member "method" must be a string');
  const isNotification = !Object.hasOwn(message, "id");
  if (!isNotification && message.id !== null && !isId(message.id)) {
    throw new CallError(INVALID_REQUEST, 'The member "id" must be a string, a number or null');
  }
  return { method, params, isNotification };
}

function isId(value: Json | undefined): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

function otherMethod(method: string): HttpResponse {
  const allow: HeaderList = [["allow", "OPTIONS, POST"]];
  if (method === "OPTIONS") return empty(204, allow);
  return reply(405, failure(null, new CallError(INVALID_REQUEST, "JSON-RPC calls are sent by POST")), allow);
}

function failure(id: string | number | null, { code, message }: CallError): string {
  const answer: JsonObject = { jsonrpc: "2.0", id, error: { code, message } };
  return JSON.stringify(answer);
}

function reply(status: number, json: string, headers: HeaderList = []): HttpResponse {
  return { status, headers: [...headers, ["content-type", "application/json"]], body: toUtf8(json) };
}
