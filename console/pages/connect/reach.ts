/**
 * Whether a node can be reached from a page, and where on the way it ends.
 *
 * In: what a person typed; the problem that a request ended with. Out: the URL of a node or why it is none; how far the
 * request came: name, connection, TLS, HTTP. A browser tells a page none of these: only the relay does.
 */

import type { Problem } from "../../problem.ts";
import type { VerdictKind } from "../../parts/verdict.tsx";

export type CheckedUrl = { readonly url: string } | { readonly problem: Problem };

/** The origin of a node. Without a scheme https is meant. */
export function checkUrl(text: string, isPageSecure: boolean): CheckedUrl {
  const trimmed = text.trim();
  const refuse = (code: string, why: string, todo: string): CheckedUrl => ({
    problem: { code, what: `"${trimmed.slice(0, 200)}" cannot be connected to`, why, todo },
  });
  const example = "Give the address of a node's interface without client certificates, such as https://127.0.0.1:9000";
  if (trimmed === "") return refuse("UrlMissing", "It is empty", example);
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `https://${trimmed}`);
  } catch {
    return refuse("UrlUnreadable", "It is not a URL", example);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return refuse("UrlUnreadable", `Nodes are asked over https, and not over ${url.protocol}`, example);
  }
  if (url.username !== "" || url.password !== "") {
    return refuse("UrlHasPassword", "It has a name or password in it, which a node does not ask for", example);
  }
  if (isPageSecure && url.protocol === "http:") {
    return refuse(
      "UrlNotSecure",
      "This page came over https, and browsers let such a page ask https alone",
      "Use the node's https address",
    );
  }
  return { url: url.origin };
}

export const STAGES = ["Name found", "Connection made", "TLS agreed", "HTTP answered"] as const;

/** At which of the stages the relay's codes say that it ended. */
const STAGE_OF_CODE: Readonly<Record<string, number>> = {
  NameNotFound: 0,
  ConnectionRefused: 1,
  ConnectionTimeout: 1,
  ConnectionLost: 1,
  TlsFailed: 2,
  CertificateNotOfService: 2,
  NoHttp: 3,
};

/** As the relay's answers name them, in the same order; `relay` is a refusal of its own, before the first. */
const RELAY_STAGES = ["dns", "tcp", "tls", "http"];

/** At which of the stages it ended, -1 for before the first, as far as the relay says. */
function stageOf({ code, details }: Problem): number | undefined {
  const told = /^HTTP \d+: \{.*"stage":"(relay|dns|tcp|tls|http)"/s.exec(details ?? "")?.[1];
  if (told !== undefined) return RELAY_STAGES.indexOf(told);
  return Object.hasOwn(STAGE_OF_CODE, code) ? STAGE_OF_CODE[code] : undefined;
}

/** @param problem undefined: it was reached */
export function stagesOf(
  problem: Problem | undefined,
): readonly { readonly name: string; readonly kind: VerdictKind }[] {
  if (problem === undefined) return STAGES.map((name) => ({ name, kind: "verified" }));
  const at = stageOf(problem);
  if (at === undefined) {
    // A status of HTTP is an answer; of all else a page knows nothing.
    const isAnswer = problem.details?.startsWith("HTTP ") === true;
    return STAGES.map((name) => ({ name, kind: isAnswer ? "verified" : "cannot" }));
  }
  return STAGES.map((name, i) => ({ name, kind: i < at ? "verified" : i === at ? "failed" : "unchecked" }));
}

/** Whether the node was not reached at all, rather than refusing what it was asked. */
export function isUnreachable(problem: Problem): boolean {
  return ["NodeUnreachable", "NodeSilent", "NodeNonsense"].includes(problem.code) || stageOf(problem) !== undefined;
}

/** The command that starts the relay for a node. */
export function relayCommand(url: string): string {
  return `deno task run console --node ${url === "" ? "https://HOST:PORT" : url} --service-cert service_cert.pem`;
}
