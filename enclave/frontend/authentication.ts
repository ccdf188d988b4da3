/**
 * Who is asking: policies tried in order, the first that succeeds names the caller (http-api.md §8).
 *
 * In: the endpoint's policies, the session's certificate, the request, the transaction's tables. Out: a caller, or why
 * there is none. Here are `no_auth` and the policies over certificates; JWT comes with the issue that needs it.
 */

import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import { MEMBERS_CERTS, MEMBERS_INFO, NODES_INFO, USERS_CERTS, USERS_INFO } from "../../shared/governance/tables.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import type { Primitives } from "../../shared/crypto/primitives.ts";
import type { HeaderList } from "../messages.ts";
import type { Caller, PolicyCaller } from "./caller.ts";
import { memberCose, userCose } from "./cose_authentication.ts";
import type { AuthenticationPolicy } from "./endpoint.ts";
import { type ErrorDetail, OdataError } from "./odata_error.ts";
import type { ParsedRequest } from "./request.ts";
import type { CallerCertificate } from "./session.ts";

/** What policies look at. */
export interface Credentials {
  /** Of the connection. */
  readonly certificate: CallerCertificate | null;
  readonly request: ParsedRequest;
  readonly primitives: Primitives;
  readonly nowMs: number;
}

/** A caller, or a sentence saying why not. */
type Verdict = Caller | string;

type Policy = (credentials: Credentials, tx: Transaction) => Verdict;

/** What apps can name, and this version has. */
const POLICIES: ReadonlyMap<string, Policy> = new Map<string, Policy>([
  ["no_auth", () => ({ policy: "no_auth" })],
  ["any_cert", anyCert],
  ["user_cert", userCert],
  ["member_cert", memberCert],
  ["user_cose_sign1", ({ request, primitives }, tx) => userCose(request, primitives, tx)],
]);

/** Policies that CCF knows and this version does not have yet. */
const NOT_YET = new Set(["jwt"]);

const COSE_CHALLENGE: HeaderList = [["www-authenticate", 'COSE-SIGN1 realm="Signed request access"']];
const BEARER_CHALLENGE: HeaderList = [
  ["www-authenticate", 'Bearer realm="JWT bearer token access", error="invalid_token"'],
];

/** For nodes of this service. */
export const NODE_CERT: AuthenticationPolicy = { native: "node_cert" };

/**
 * The caller by the first policy that succeeds; null where there are no policies.
 *
 * @throws OdataError 401 with one detail a policy, 500 for a policy that nobody knows
 */
export function authenticate(
  policies: readonly AuthenticationPolicy[],
  credentials: Credentials,
  tx: Transaction,
): Caller | null {
  if (policies.length === 0) return null;
  const details: ErrorDetail[] = [];
  let headers: HeaderList = [];
  for (const policy of policies) {
    const verdict = apply(policy, credentials, tx);
    if (typeof verdict !== "string") return verdict;
    details.push({ auth_policy: schemeName(policy), code: "InvalidAuthenticationInfo", message: verdict });
    headers = challengeOf(policy, verdict);
  }
  throw new OdataError(401, "InvalidAuthenticationInfo", "Invalid authentication credentials.", details, headers);
}

/** How a client may prove who it is. The last policy says so; of several in one, the one that failed. */
function challengeOf(policy: AuthenticationPolicy, verdict: string): HeaderList {
  const isGroup = typeof policy === "object" && "all_of" in policy;
  const name = isGroup ? verdict.slice(0, verdict.indexOf(":")) : schemeName(policy);
  if (name.endsWith("cose_sign1")) return COSE_CHALLENGE;
  return name === "jwt" ? BEARER_CHALLENGE : [];
}

function apply(policy: AuthenticationPolicy, credentials: Credentials, tx: Transaction): Verdict {
  if (typeof policy === "string") return namedPolicy(policy)(credentials, tx);
  if ("all_of" in policy) return allOf(policy.all_of, credentials, tx);
  return "messageType" in policy
    ? memberCose(policy, credentials.request, credentials.primitives, tx)
    : nodeCert(credentials, tx);
}

function anyCert({ certificate, nowMs }: Credentials): Verdict {
  if (certificate === null) return "No caller certificate";
  return validityProblem(certificate, nowMs) ?? { policy: "any_cert", cert: certificate.pem };
}

function userCert({ certificate, nowMs }: Credentials, tx: Transaction): Verdict {
  if (certificate === null) return "No caller user certificate";
  const problem = validityProblem(certificate, nowMs);
  if (problem !== undefined) return problem;
  const { id, pem } = certificate;
  if (!tx.open(USERS_CERTS).has(id)) return "Could not find matching user certificate";
  return { policy: "user_cert", id, data: tx.open(USERS_INFO).get(id)?.user_data ?? null, cert: pem };
}

/** Quirk: a member's certificate may be out of date (http-api.md §8). */
function memberCert({ certificate }: Credentials, tx: Transaction): Verdict {
  if (certificate === null) return "No caller member certificate";
  const { id, pem } = certificate;
  if (!tx.open(MEMBERS_CERTS).has(id)) return "Could not find matching member certificate";
  return { policy: "member_cert", id, data: tx.open(MEMBERS_INFO).get(id)?.member_data ?? null, cert: pem };
}

/** A node is known by its key, whoever endorsed the certificate. */
function nodeCert({ certificate }: Credentials, tx: Transaction): Verdict {
  if (certificate === null) return "No caller node certificate";
  const id = nodeIdOf(certificate.certificate.spki);
  if (!tx.open(NODES_INFO).has(id)) return "Could not find matching node certificate";
  return { policy: "node_cert", id };
}

/** Every policy of the list, in alphabetical order of names. */
function allOf(names: readonly string[], credentials: Credentials, tx: Transaction): Verdict {
  const sorted = [...names].sort();
  // An empty list would let everybody in.
  if (sorted.length === 0) throw new OdataError(500, "InternalError", "Exception: all_of lists no auth policy");
  const callers: Record<string, PolicyCaller> = {};
  for (const name of sorted) {
    if (Object.hasOwn(callers, name)) {
      throw new OdataError(500, "InternalError", `Exception: all_of lists auth policy ${name} twice`);
    }
    const verdict = namedPolicy(name)(credentials, tx);
    if (typeof verdict === "string") return `${name}:${verdict}`;
    callers[name] = verdict as PolicyCaller; // none of those with names is made of others
  }
  return { policy: sorted, ...callers };
}

function schemeName(policy: AuthenticationPolicy): string {
  if (typeof policy === "string") return policy;
  return "native" in policy ? policy.native : [...policy.all_of].sort().join("+");
}

function namedPolicy(name: string): Policy {
  const policy = POLICIES.get(name);
  if (policy !== undefined) return policy;
  const why = NOT_YET.has(name)
    ? `Auth policy is not available in this version: ${name}`
    : `Unknown auth policy: ${name}`;
  throw new OdataError(500, "InternalError", `Exception: ${why}`);
}

/** Seconds since 1970 on both sides, as CCF prints them. */
function validityProblem({ certificate }: CallerCertificate, nowMs: number): string | undefined {
  const now = Math.floor(nowMs / 1000);
  const notBefore = Math.floor(certificate.notBeforeMs / 1000);
  const notAfter = Math.floor(certificate.notAfterMs / 1000);
  if (now < notBefore) {
    return `Current time ${now} is before certificate's Not Before validity period ${notBefore}`;
  }
  if (now > notAfter) return `Current time ${now} is after certificate's Not After validity period ${notAfter}`;
  return undefined;
}
