/**
 * Why the relay could not do what it was asked: told apart by the stage that it came to, as no page could.
 *
 * In: an error of the runtime and the stage, or what the relay itself refuses. Out: a problem, with what happened, why, what
 * to do, a code. Codes are stable: pages and tests look at them.
 */

/** The way to a node, in order; `relay` is a refusal of our own. */
export type RelayStage = "relay" | "dns" | "tcp" | "tls" | "http";

export type RelayProblemCode =
  // The relay refuses.
  | "HostNotAllowed"
  | "OriginNotAllowed"
  | "TokenMissing"
  | "MethodNotAllowed"
  | "NotFound"
  | "AddressInvalid"
  | "RelayNotPinned"
  | "RelayBusy"
  | "RequestBodyTooLarge"
  | "RelayFault"
  // The node cannot be reached, or is none.
  | "NameNotFound"
  | "ConnectionRefused"
  | "ConnectionTimeout"
  | "HostUnreachable"
  | "TlsFailed"
  | "TlsTimeout"
  | "CertificateNotOfService"
  | "CertificateNotValidNow"
  | "NoHttp"
  | "AnswerTimeout"
  | "NotANode"
  | "AnswerTooLarge"
  | "ConnectionLost";

export interface RelayProblem {
  readonly code: RelayProblemCode;
  readonly stage: RelayStage;
  /** What happened, as a sentence without a full stop. */
  readonly what: string;
  readonly why: string;
  readonly todo: string;
}

/** There is no answer of a node. */
export class RelayFailure extends Error {
  override readonly name = "RelayFailure";

  constructor(readonly problem: RelayProblem) {
    super(`${problem.what}: ${problem.why}`);
  }
}

/** How far a request has come. */
export type Phase = "looking up" | "connecting" | "handshake" | "asking";

const STAGES: Readonly<Record<Phase, RelayStage>> = {
  "looking up": "dns",
  connecting: "tcp",
  handshake: "tls",
  asking: "http",
};

const RIGHT_PORT = "Check the port: it is that of an RPC interface, such as web_rpc_interface in sandbox.json";

/**
 * @param address host and port, for people
 * @param isPinned whether the service certificate was given, rather than named by the node
 */
export function explainError(
  error: Error & { readonly code?: string },
  phase: Phase,
  address: string,
  isPinned: boolean,
): RelayProblem {
  const code = error.code ?? "";
  const at = { stage: STAGES[phase], what: `The relay cannot reach ${address}` };
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) {
    return {
      ...at,
      code: "NameNotFound",
      stage: "dns",
      why: "No host has that name",
      todo: "Check how it is written, and whether this machine can look up names",
    };
  }
  if (code === "ECONNREFUSED") {
    return {
      ...at,
      code: "ConnectionRefused",
      stage: "tcp",
      why: "The host is there, and nothing listens on that port",
      todo: "Start the node, or check the port: a sandbox prints its own, and writes them to sandbox.json",
    };
  }
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH") {
    return {
      ...at,
      code: "HostUnreachable",
      stage: "tcp",
      why: "There is no way from this machine to that host",
      todo: "Check the address, and this machine's network",
    };
  }
  if (phase === "handshake") return explainHandshake(error, address, isPinned);
  if (code.startsWith("HPE_")) {
    return {
      ...at,
      code: "NoHttp",
      why: `What answers there speaks TLS, but not HTTP/1.1: ${error.message}`,
      todo: RIGHT_PORT,
    };
  }
  return {
    ...at,
    code: "ConnectionLost",
    why: `The connection ended before the answer: ${error.message}`,
    todo: "Try again; if it stays so, look into the node's log, or ask another node",
  };
}

function explainHandshake(
  error: Error & { readonly code?: string },
  address: string,
  isPinned: boolean,
): RelayProblem {
  const at = { stage: "tls", what: `The relay cannot reach ${address}` } as const;
  const code = error.code ?? "";
  if (/CERT|VERIFY|ISSUER|SIGNATURE/.test(code)) {
    return {
      code: "CertificateNotOfService",
      stage: "tls",
      what: `${address} is not a node of the service that the relay is held to`,
      why: isPinned
        ? "Its certificate was not issued by the key of the service certificate that the relay was started with"
        : "Its certificate was not issued by the key of the service that the node itself named when it was first asked",
      todo: "Check --node and --service-cert. If both are right, something else answers in the node's place, or the " +
        "service was recovered and has a new identity: do not go on before you know which",
    };
  }
  return {
    ...at,
    code: "TlsFailed",
    why: `What answers there does not speak TLS as a node does: ${error.message}`,
    todo: RIGHT_PORT,
  };
}

/** The service has issued the certificate, and it is of another time than now. */
export function explainDates(address: string): RelayProblem {
  return {
    code: "CertificateNotValidNow",
    stage: "tls",
    what: `The relay cannot reach ${address}`,
    why: "The service issued the node's certificate, and one of the two certificates has expired or is not valid yet",
    todo:
      "Check this machine's clock; if it is right, members decide on a new one: set_node_certificate_validity, or " +
      "set_service_certificate_validity",
  };
}

/** Nothing came for as long as the relay waits. */
export function explainSilence(phase: Phase, address: string, waitedMs: number): RelayProblem {
  const at = { stage: STAGES[phase], what: `The relay cannot reach ${address}` };
  const seconds = `${waitedMs / 1000} s`;
  switch (phase) {
    case "looking up":
    case "connecting":
      return {
        ...at,
        code: "ConnectionTimeout",
        why: `There is no connection within ${seconds}`,
        todo: "Check the address, and whether a firewall stands between this machine and the node",
      };
    case "handshake":
      return {
        ...at,
        code: "TlsTimeout",
        why: `Somebody took the connection, and did not speak TLS within ${seconds}`,
        todo: `${RIGHT_PORT}; if it is right, the node hangs: look into its log`,
      };
    case "asking":
      return {
        ...at,
        code: "AnswerTimeout",
        why: `The node took the request, and did not answer within ${seconds}`,
        todo: "Try again, or ask another node of the service",
      };
  }
}

/** The problem as an answer's body, and in it the same in the form of a node's own errors. */
export function problemResponse(status: number, problem: RelayProblem, more: Record<string, unknown> = {}): Response {
  const { code, what, why } = problem;
  const body = { error: { code, message: `${what}: ${why}` }, ...problem, ...more };
  return Response.json(body, { status, headers: { "cache-control": "no-store", ...PASSIVE_HEADERS } });
}

/** Nothing that the relay passes on is a page: whatever it is, it does nothing in this origin. */
export const PASSIVE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; sandbox",
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
};
