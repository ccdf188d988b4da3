/**
 * Requests on their way between nodes: those of this node's clients that the primary runs, and those of other nodes'
 * clients that this node runs.
 *
 * In: a request and where to send it; what other nodes send; time. Out: through the port, messages and answers. Knows
 * nothing of keys: the channel encrypts, and says truly who sent what it delivers.
 * Rules: nodes-and-attestation.md §2, "Forward".
 */

import { FormatError } from "../../shared/assert.ts";
import { equalBytes } from "../../shared/bytes.ts";
import type { NodeId } from "../../shared/consensus/messages.ts";
import {
  FORWARDED_GRACE_MS,
  MAX_FORWARDED_BYTES,
  MAX_FORWARDED_REQUESTS,
  MAX_FORWARDED_SESSIONS,
  MAX_HELD_ANSWER_CHARACTERS,
} from "../../shared/limits.ts";
import type { View } from "../../shared/tx_id.ts";
import { BoundedLog } from "../channels/bounded_log.ts";
import { type ForwardedHeader, parseForwardedHeader, serialiseForwardedHeader } from "../channels/forwarded_header.ts";
import { OdataError } from "../frontend/odata_error.ts";
import { text } from "../frontend/replies.ts";
import { Session } from "../frontend/session.ts";
import type { HttpRequest, HttpResponse, LogLevel, SessionId } from "../messages.ts";
import {
  parseAnswerContent,
  parseCommandContent,
  serialiseAnswerContent,
  serialiseCommandContent,
} from "./forwarded_message.ts";
import { parseRequest, parseResponse, serialiseRequest, serialiseResponse } from "./http_message.ts";

export interface ForwarderPort {
  /** Sends over the channel to a node; false: the channel takes no more. */
  send(to: NodeId, header: Uint8Array, content: Uint8Array): boolean;
  /** Answers a client of this node. */
  respond(session: SessionId, id: number, response: HttpResponse): void;
  /** Runs what another node's client asks, and does not forward it again. */
  run(session: Session, request: HttpRequest): HttpResponse;
  log(level: LogLevel, message: string): void;
}

/** A request of one of this node's clients. */
export interface ForwardedRequest {
  readonly to: NodeId;
  /** The client's connection, and the host's number for the request. */
  readonly session: SessionId;
  readonly id: number;
  /** In which the session began. */
  readonly view: View;
  /** DER; null where the client showed none. */
  readonly certificate: Uint8Array | null;
  readonly request: HttpRequest;
  readonly timeoutMs: number;
  /** Characters of answers that `complete` holds until then. */
  readonly held: number;
  /** What the client is answered, once there is a response. */
  complete(response: HttpResponse): HttpResponse;
}

type CommandHeader = Extract<ForwardedHeader, { kind: "command" }>;
type AnswerHeader = Extract<ForwardedHeader, { kind: "answer" }>;

interface Pending extends Omit<ForwardedRequest, "view" | "certificate" | "request"> {
  readonly method: string;
  deadlineMs: number;
  /** Another node has become primary since. */
  isSuperseded: boolean;
}

export class Forwarder {
  readonly #port: ForwarderPort;
  /** By command ID, in the order sent. */
  readonly #pending = new Map<number, Pending>();
  #nextCommand = 0;
  /** Characters that those hold together. */
  #held = 0;
  /** No request is overdue before. */
  #nextDeadlineMs = Infinity;
  /** Of other nodes' clients, least recently used first: so that a certificate is taken apart once. */
  readonly #sessions = new Map<string, Session>();
  readonly #log: BoundedLog;

  constructor(port: ForwarderPort) {
    this.#port = port;
    this.#log = new BoundedLog((level, message) => port.log(level, message));
  }

  /** Requests that wait for another node's answer. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request on. The answer comes through the port, at the latest once the time is over.
   *
   * @returns undefined, or the answer where it was not sent
   */
  forward(forwarded: ForwardedRequest, nowMs: number): HttpResponse | undefined {
    const { to, session, id, view, certificate, request, timeoutMs, held, complete } = forwarded;
    if (this.#pending.size >= MAX_FORWARDED_REQUESTS || this.#held + held > MAX_HELD_ANSWER_CHARACTERS) {
      return failure(503, "InternalError", "Too many requests wait for the primary's answer; try again later");
    }
    let content: Uint8Array;
    try {
      content = serialiseCommandContent({ session, certificate, request: serialiseRequest(request) });
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      return failure(400, "InvalidInput", error.message);
    }
    if (content.length > MAX_FORWARDED_BYTES) {
      const why = `A request of more than ${MAX_FORWARDED_BYTES} bytes is not forwarded; send it to the primary`;
      return failure(413, "RequestBodyTooLarge", why);
    }
    const command = this.#nextCommand++;
    const deadlineMs = nowMs + timeoutMs;
    const { method } = request;
    const isSuperseded = false;
    this.#pending.set(command, { to, session, id, timeoutMs, held, complete, method, deadlineMs, isSuperseded });
    this.#held += held;
    if (!this.#port.send(to, serialiseForwardedHeader({ kind: "command", commandId: command, view }), content)) {
      this.#forget(command, held);
      return failure(503, "InternalError", "Unable to establish channel to forward to primary.");
    }
    this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, deadlineMs);
    return undefined;
  }

  /** Takes what another node has sent; `header` and `content` are as it sent them, whatever is in them. */
  receive(from: NodeId, header: Uint8Array, content: Uint8Array, nowMs: number): void {
    try {
      const parsed = parseForwardedHeader(header);
      if (parsed.kind === "command") this.#run(from, parsed, content, nowMs);
      else this.#answer(from, parsed, content, nowMs);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#log.add("fail", `Cannot use a forwarded message of node ${from}: ${error.message}`, nowMs);
    }
  }

  /**
   * Another node leads, perhaps this one: who was asked before is dead, or answers in a moment, if only that it leads no
   * more. CCF waits until the time is over, and clients with it.
   */
  leaderChanged(leader: NodeId, nowMs: number): void {
    for (const pending of this.#pending.values()) {
      if (pending.to === leader || pending.isSuperseded) continue;
      pending.isSuperseded = true;
      pending.deadlineMs = Math.min(pending.deadlineMs, nowMs + FORWARDED_GRACE_MS);
      this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, pending.deadlineMs);
    }
  }

  /** Answers 504 to those who have waited for too long. */
  tick(nowMs: number): void {
    this.#log.tick(nowMs);
    if (nowMs < this.#nextDeadlineMs) return;
    this.#nextDeadlineMs = Infinity;
    for (const [command, { to, session, id, timeoutMs, held, complete, deadlineMs, isSuperseded }] of this.#pending) {
      if (nowMs < deadlineMs) {
        this.#nextDeadlineMs = Math.min(this.#nextDeadlineMs, deadlineMs);
        continue;
      }
      this.#forget(command, held);
      const why = isSuperseded
        ? "before another node became primary; whether it was executed is not known"
        : `after ${timeoutMs}ms`;
      const message = `Request was forwarded to node ${to}, but no response was received ${why}`;
      this.#port.respond(session, id, complete(text(message, 504)));
    }
  }

  #forget(command: number, held: number): void {
    this.#pending.delete(command);
    this.#held -= held;
  }

  /** Runs a request of another node's client and answers that node. */
  #run(from: NodeId, { commandId, view }: CommandHeader, content: Uint8Array, nowMs: number): void {
    const { session: number, certificate, request: bytes } = parseCommandContent(content);
    const request = parseRequest(bytes);
    const session = this.#sessionOf(`${from} ${number}`, certificate);
    session.view = view;
    const response = sendable(this.#port.run(session, request), request.method);
    const header = serialiseForwardedHeader({ kind: "answer", commandId, terminate: response.terminate });
    if (this.#port.send(from, header, serialiseAnswerContent({ session: number, response: response.bytes }))) return;
    this.#log.add("fail", `Cannot answer command ${commandId} of node ${from}: the channel to it takes no more`, nowMs);
  }

  #sessionOf(key: string, certificate: Uint8Array | null): Session {
    const known = this.#sessions.get(key);
    this.#sessions.delete(key);
    // What it shows decides who asks, not which number another node gives it.
    const session = known !== undefined && isSame(known.certificate, certificate)
      ? known
      : new Session(undefined, certificate?.slice() ?? null);
    this.#sessions.set(key, session);
    if (this.#sessions.size > MAX_FORWARDED_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!);
    return session;
  }

  /** Hands an answer to the client that waits for it; one that nobody waits for any more is ignored. */
  #answer(from: NodeId, { commandId, terminate }: AnswerHeader, content: Uint8Array, nowMs: number): void {
    const pending = this.#pending.get(commandId);
    if (pending === undefined) {
      return this.#log.add("debug", `Node ${from} has answered command ${commandId} too late`, nowMs);
    }
    const { session, response } = parseAnswerContent(content);
    if (from !== pending.to || session !== pending.session) {
      throw new FormatError(`it answers command ${commandId}, which was not sent to it for session ${session}`);
    }
    const parsed = parseResponse(response, pending.method);
    this.#forget(commandId, pending.held);
    this.#port.respond(session, pending.id, pending.complete(terminate ? { ...parsed, close: true } : parsed));
  }
}

function isSame(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : equalBytes(a, b);
}

/** A response in bytes. One that cannot be sent as it is becomes a 500, as it would on a connection to the client. */
function sendable(response: HttpResponse, method: string): { readonly bytes: Uint8Array; readonly terminate: boolean } {
  const terminate = response.close === true;
  try {
    if (response.fromHost !== undefined) throw new FormatError("Files are read on the node that is asked for them");
    const bytes = serialiseResponse(response, method);
    if (bytes.length > MAX_FORWARDED_BYTES) {
      throw new FormatError(`A response of more than ${MAX_FORWARDED_BYTES} bytes is not forwarded; ask the primary`);
    }
    return { bytes, terminate };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { bytes: serialiseResponse(failure(500, "InternalError", error.message), method), terminate };
  }
}

function failure(
  status: number,
  code: "InternalError" | "InvalidInput" | "RequestBodyTooLarge",
  message: string,
): HttpResponse {
  return new OdataError(status, code, message).toResponse();
}
