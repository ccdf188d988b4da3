/**
 * Requests to one node, and their failures told apart.
 *
 * In: a base URL, headers that go with each request (the relay's token). Out: answers, or a `ProblemError` with what
 * happened, why and what to do. What a node answers here is its word; whoever shows it says so, or checks it.
 */

import { FormatError } from "../../shared/assert.ts";
import { fromUtf8Lenient } from "../../shared/bytes.ts";
import { safeText } from "../../shared/governance/proposal_words.ts";
import { MAX_API_ANSWER_BYTES } from "../../shared/limits.ts";
import { type Problem, ProblemError } from "../problem.ts";
import { responseBody } from "../response_body.ts";

export interface NodeAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** The relay answered by itself: a node had no part in it, or nobody knows whether it had. */
  readonly byRelay?: true;
}

export interface AskOptions {
  readonly method?: "GET" | "HEAD" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** With each request to the relay. */
const RELAY_TOKEN = "x-quorate-relay-token";

/** A node answers within this, or it is said to be silent. */
const DEFAULT_TIMEOUT_MS = 15_000;

export class NodeApi {
  /** @param base what stands before the path, without a slash at its end; "" for the page's own origin */
  constructor(readonly base: string, readonly headers: Readonly<Record<string, string>>, readonly name: string) {}

  /** One request, one answer, whatever its status. @throws ProblemError where there is none */
  async ask(path: string, options: AskOptions = {}): Promise<NodeAnswer> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    try {
      const response = await fetch(this.base + path, {
        method: options.method ?? "GET",
        headers: { ...this.headers, ...options.headers },
        ...(options.body !== undefined && { body: options.body as BodyInit }),
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "follow",
      });
      const { status, headers } = response;
      // What the relay passes on it says so of, and lets no node say it.
      const byRelay = RELAY_TOKEN in this.headers && !headers.has("x-quorate-relay-peer");
      return {
        status,
        headers,
        body: await responseBody(response, MAX_API_ANSWER_BYTES, {
          what: `${this.name} answered ${path} with more than the page reads`,
          todo: "Ask for less at once, or use the command line",
        }),
        ...(byRelay && { byRelay }),
      };
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      if (timeout.aborted) {
        throw new ProblemError({
          code: "NodeSilent",
          what: `${this.name} did not answer ${path} in time`,
          why: `Nothing came for ${(options.timeoutMs ?? DEFAULT_TIMEOUT_MS) / 1000} seconds`,
          todo: "Try again, or connect to another node of the service",
        });
      }
      if (options.signal?.aborted) throw error;
      throw new ProblemError(unreachable(this, path, error));
    }
  }

  /** JSON of a GET that must succeed. @throws ProblemError also for a status that is not 2xx, or for what is not JSON */
  async get<T = unknown>(path: string, options: AskOptions = {}): Promise<T> {
    const answer = await this.ask(path, options);
    if (answer.status < 200 || answer.status > 299) throw new ProblemError(refusalOf(answer, this.name, path));
    return jsonOf(answer, this.name, path) as T;
  }

  /** The same, read by a shape. @throws ProblemError also for what has another form */
  async getAs<T>(path: string, parse: (answer: unknown) => T, options: AskOptions = {}): Promise<T> {
    return shaped(await this.get(path, options), this.name, path, parse);
  }
}

/** JSON that has the form it should have. @throws ProblemError */
export function shaped<T>(json: unknown, name: string, path: string, parse: (answer: unknown) => T): T {
  try {
    return parse(json);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ProblemError({
      code: "NodeNonsense",
      what: `${name} answered ${path} with something of another form`,
      why: error.message,
      todo: "It may be of a version that this page does not know, or not be a node: check the address",
      details: JSON.stringify(json).slice(0, 4000),
    });
  }
}

/** The body as JSON. @throws ProblemError */
export function jsonOf({ body, status }: NodeAnswer, name: string, path: string): unknown {
  try {
    return JSON.parse(fromUtf8Lenient(body));
  } catch {
    throw new ProblemError({
      code: "NodeNonsense",
      what: `${name} answered ${path} with something that is not JSON`,
      why: "It may not be a node of Quorate, or something between here and there answered instead of it",
      todo: "Check the address; it is that of an interface without client certificates, such as web_rpc_interface",
      details: `HTTP ${status}: ${fromUtf8Lenient(body.subarray(0, 500))}`,
    });
  }
}

/**
 * What a node, or the relay, said instead of doing what it was asked. Only the relay's words are put in the page's own place:
 * of a node it is the reason, which could say anything, and never what to do.
 */
export function refusalOf({ status, body, byRelay }: NodeAnswer, name: string, path: string): Problem {
  const text = fromUtf8Lenient(body.subarray(0, 4000));
  let told: { code?: unknown; message?: unknown; what?: unknown; why?: unknown; todo?: unknown } = {};
  try {
    const json = JSON.parse(text);
    told = { ...json, ...json?.error };
  } catch {
    // Not JSON: shown as it is, below.
  }
  const line = (value: unknown) => typeof value === "string" && value !== "" ? safeText(value) : undefined;
  const relays = byRelay ? told : {};
  const message = line(told.message);
  return {
    code: line(told.code) ?? `Http${status}`,
    what: line(relays.what) ?? `${name} refused ${path}`,
    why: line(relays.why) ?? (message === undefined ? `It answered with HTTP status ${status}` : `It says: ${message}`),
    todo: line(relays.todo) ?? WHAT_TO_DO_BY_STATUS[status] ??
      "Read the reason; if it names nothing to change, try another node",
    details: `HTTP ${status}: ${text}`,
  };
}

const WHAT_TO_DO_BY_STATUS: Readonly<Record<number, string>> = {
  401: "Sign with a key of an active member or user",
  403: "Ask a member for what is missing; the reason names it",
  404: "Check what was asked for; it may belong to another service or be gone",
  503: "Wait a few seconds: the network may be electing a primary",
};

/** All that a page learns of a connection that failed is that it failed (decisions: what a page cannot see). */
function unreachable({ name, base }: NodeApi, path: string, error: unknown): Problem {
  return {
    code: "NodeUnreachable",
    what: `${name} cannot be reached`,
    why: base === "" || base.startsWith("/")
      ? "The server that this page came from does not answer any more"
      : "A page is not told whether the name, the port or the certificate is the reason: a browser does not take a " +
        "certificate that the service itself made",
    todo: base === "" || base.startsWith("/")
      ? "Start it again, then reload"
      : "Use `deno task run console`, which says which it is; or an interface with a public certificate; or ledger files",
    details: `${path}: ${error instanceof Error ? error.message : String(error)}`,
  };
}
