/**
 * The JSON-RPC 2.0 door: `POST /rpc` over the same endpoints, handlers and authentication as REST.
 *
 * In: one call or a batch. Out: their answers, in order; each call is a request of its own, with its own transaction.
 * Rules: JSON-RPC 2.0 specification (jsonrpc.org, 2013-01-04), and our own in `README.md`. What a call asks for is in
 * `rpc_request.ts`, what it is answered in `rpc_response.ts`, names of methods in `rpc_methods.ts`.
 */

import { AssertionFailed } from "../../shared/assert.ts";
import { fromUtf8, toUtf8 } from "../../shared/bytes.ts";
import { stableJson } from "../../shared/json.ts";
import { MAX_JSON_RPC_ANSWER_CHARACTERS, MAX_JSON_RPC_BATCH, MAX_QUOTED_NAME_CHARACTERS } from "../../shared/limits.ts";
import type { HeaderList, HttpRequest, HttpResponse } from "../messages.ts";
import type { Node } from "../node.ts";
import { processRequest } from "./frontend.ts";
import { empty } from "./replies.ts";
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

/** What became of one message. */
interface Outcome {
  /** JSON; undefined for a notification, which is run all the same. */
  readonly answer: string | undefined;
  /** Whether it was a call at all. */
  readonly isCall: boolean;
}

/** Answers a call or a batch. HTTP 200; 204 where nothing asked for an answer; 400 and 413 for what is not JSON-RPC. */
export function processJsonRpc(node: Node, session: Session, request: HttpRequest): HttpResponse {
  if (request.method !== "POST") return otherMethod(request.method);
  let parsed: Json;
  try {
    parsed = JSON.parse(fromUtf8(request.body));
  } catch {
    return reply(400, failure(null, new CallError(PARSE_ERROR, "Cannot read the request body as JSON")));
  }
  const door = new Door(node, session, request);
  if (!Array.isArray(parsed)) {
    const { answer, isCall } = door.call(parsed);
    return door.closing(answer === undefined ? empty(204) : reply(isCall ? 200 : 400, answer));
  }
  if (parsed.length === 0) {
    return reply(400, failure(null, new CallError(INVALID_REQUEST, "A JSON-RPC batch must not be empty")));
  }
  if (parsed.length > MAX_JSON_RPC_BATCH) {
    const message = `A JSON-RPC batch has at most ${MAX_JSON_RPC_BATCH} calls, and this one has ${parsed.length}`;
    return reply(413, failure(null, new CallError(INVALID_REQUEST, message)));
  }
  const answers = parsed.map((message) => door.call(message).answer).filter((answer) => answer !== undefined);
  return door.closing(answers.length === 0 ? empty(204) : reply(200, `[${answers.join(",")}]`));
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
      if (isNotification) {
        this.#answer(id, method, params);
        return { answer: undefined, isCall: true };
      }
      return { answer: this.#answerWithinLimit(id, method, params), isCall: true };
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      return { answer: failure(id, error), isCall: false };
    }
  }

  /** Once the answers are too long, further calls are not run: their callers would not learn what became of them. */
  #answerWithinLimit(id: string | number | null, method: string, params: Json): string {
    if (this.#charactersLeft === 0) return failure(id, new CallError(INTERNAL_ERROR, `Not called: ${TOO_LONG}`));
    const answer = this.#answer(id, method, params);
    if (answer.length > this.#charactersLeft) {
      this.#charactersLeft = 0;
      return failure(id, new CallError(INTERNAL_ERROR, `Called, but cannot answer: ${TOO_LONG}`));
    }
    this.#charactersLeft -= answer.length;
    return answer;
  }

  #answer(id: string | number | null, method: string, params: Json): string {
    try {
      return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},${this.#run(method, params)}}`;
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
  #run(method: string, params: Json): string {
    if (!isObject(params)) throw new CallError(INVALID_PARAMS, 'The member "params" must be an object');
    const tx = this.node.store.begin();
    if (method === DISCOVER) return `"result":${stableJson(discover(this.node, tx))}`;
    const found = findMethod(this.node, tx, method);
    if (found === undefined) {
      throw new CallError(METHOD_NOT_FOUND, `Method not found: ${method.slice(0, MAX_QUOTED_NAME_CHARACTERS)}`);
    }
    const request = buildRequest(found, params, this.carrier);
    const response = processRequest(this.node, this.session, request);
    if (response.close === true) this.#mustClose = true;
    return describeResponse(response, this.node.committedTxId.seqno);
  }
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
