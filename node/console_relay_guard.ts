/**
 * Who may ask the relay: the page that it served, and nobody else on this machine or behind its browser.
 *
 * In: a request's head. Out: why it is refused, or nothing. Each check keeps somebody else away:
 *   Host            names of others that are made to lead to 127.0.0.1 (DNS rebinding): a page of theirs would be of the
 *                   same origin as the relay, and its requests carry that name
 *   Origin, Sec-Fetch-Site   pages of other sites, also of other ports of this machine
 *   token           programs and people of this machine, who can reach the port and forge every header. It stands in the
 *                   fragment of the printed URL, which browsers send to no server
 */

import { timingSafeEqual } from "node:crypto";
import { toUtf8 } from "../shared/bytes.ts";
import type { RelayProblem, RelayProblemCode } from "./console_relay_problem.ts";

export const RELAY_TOKEN_HEADER = "x-quorate-relay-token";

const METHODS: readonly string[] = ["GET", "HEAD", "POST"];

export interface Refusal {
  readonly status: number;
  readonly problem: RelayProblem;
}

export function refusal(status: number, code: RelayProblemCode, why: string, todo: string): Refusal {
  return { status, problem: { code, stage: "relay", what: "The relay refuses the request", why, todo } };
}

const OPEN_PRINTED_URL = "Open the URL that `deno task run console` printed; each start has another one";

/** For every request. */
export function refuseStranger({ method, headers }: Request, port: number): Refusal | undefined {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  const host = headers.get("host") ?? "";
  // Against DNS rebinding: whatever name led here, only these two are ours.
  if (!hosts.includes(host)) {
    return refusal(403, "HostNotAllowed", "It names another host than the relay", OPEN_PRINTED_URL);
  }
  const origin = headers.get("origin");
  if (origin !== null && origin !== `http://${host}`) {
    return refusal(403, "OriginNotAllowed", "It comes from a page that the relay did not serve", OPEN_PRINTED_URL);
  }
  const site = headers.get("sec-fetch-site");
  // A link in a message may lead to the page: it shows it, and no more.
  const isNavigation = headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document";
  if (site !== null && site !== "same-origin" && site !== "none" && !isNavigation) {
    return refusal(403, "OriginNotAllowed", "It comes from a page that the relay did not serve", OPEN_PRINTED_URL);
  }
  if (!METHODS.includes(method)) {
    return refusal(405, "MethodNotAllowed", `It passes on ${METHODS.join(", ")} alone`, "Use one of these methods");
  }
  return undefined;
}

/** For what the page alone may have. @param token as in the printed URL */
export function refuseWithoutToken({ headers }: Request, token: string): Refusal | undefined {
  const given = toUtf8(headers.get(RELAY_TOKEN_HEADER) ?? "");
  const wanted = toUtf8(token);
  // How long a token is, is no secret.
  if (given.length === wanted.length && timingSafeEqual(given, wanted)) return undefined;
  return refusal(403, "TokenMissing", "It has not the token of this start of the relay", OPEN_PRINTED_URL);
}
