import { strict as assert } from "node:assert";
import { noblePrimitives, type Random } from "../../shared/crypto/primitives.ts";
import { nodeIdOf } from "../../shared/crypto/identifiers.ts";
import type { Validity } from "../../shared/crypto/x509_build.ts";
import {
  MEMBERS_CERTS,
  MEMBERS_INFO,
  type NodeInfo,
  NODES_INFO,
  USERS_CERTS,
  USERS_INFO,
} from "../../shared/governance/tables.ts";
import { Store } from "../../shared/kv/store.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { strangerCertificate } from "../../tests/inline_app.ts";
import { authenticate, NODE_CERT } from "./authentication.ts";
import type { AuthenticationPolicy } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";
import { ParsedRequest } from "./request.ts";
import { type CallerCertificate, Session } from "./session.ts";

const VALIDITY: Validity = { notBeforeMs: 1_000_000_000_000, notAfterMs: 2_000_000_000_000 };
const NOW_MS = 1_500_000_000_000;
const REQUEST = new ParsedRequest({ method: "GET", target: "/", headers: [], body: new Uint8Array() });

const random: Random = (length) => crypto.getRandomValues(new Uint8Array(length));

function certificate(validity = VALIDITY): CallerCertificate {
  return new Session("", strangerCertificate(random, validity)).caller(noblePrimitives)!;
}

/** A transaction over a store that was filled so. */
function filled(fill: (tx: Transaction) => void): Transaction {
  const store = new Store();
  const tx = store.begin();
  fill(tx);
  store.apply(1, tx.writeSet());
  return store.begin();
}

const nobody = filled(() => {});

function ask(
  policies: readonly AuthenticationPolicy[],
  who: CallerCertificate | null,
  tx = nobody,
  nowMs = NOW_MS,
): unknown {
  try {
    return authenticate(policies, { certificate: who, request: REQUEST, primitives: noblePrimitives, nowMs }, tx);
  } catch (error) {
    if (!(error instanceof OdataError)) throw error;
    return error.status === 401
      ? error.details.map((detail) => "auth_policy" in detail && `${detail.auth_policy}: ${detail.message}`)
      : `${error.status} ${error.message}`;
  }
}

Deno.test("authenticate() takes a user whose certificate is registered and valid, with the user's data", () => {
  const user = certificate();
  const tx = filled((tx) => {
    tx.open(USERS_CERTS).put(user.id, user.pem);
    tx.open(USERS_INFO).put(user.id, { user_data: { role: "writer" } });
  });
  const caller = { policy: "user_cert", id: user.id, data: { role: "writer" }, cert: user.pem };
  assert.deepEqual(ask(["user_cert"], user, tx), caller);
  const withoutData = filled((tx) => tx.open(USERS_CERTS).put(user.id, user.pem));
  assert.deepEqual(ask(["user_cert"], user, withoutData), { ...caller, data: null });

  assert.deepEqual(ask(["user_cert"], null, tx), ["user_cert: No caller user certificate"]);
  assert.deepEqual(ask(["user_cert"], certificate(), tx), ["user_cert: Could not find matching user certificate"]);
});

Deno.test("authenticate() counts a certificate's first and last second as valid", () => {
  const { notBeforeMs, notAfterMs } = VALIDITY;
  const before = "any_cert: Current time 999999999 is before certificate's Not Before validity period 1000000000";
  const after = "any_cert: Current time 2000000001 is after certificate's Not After validity period 2000000000";
  const stranger = certificate();
  const caller = { policy: "any_cert", cert: stranger.pem };
  assert.deepEqual(ask(["any_cert"], stranger, nobody, notBeforeMs - 1), [before]);
  assert.deepEqual(ask(["any_cert"], stranger, nobody, notBeforeMs), caller);
  assert.deepEqual(ask(["any_cert"], stranger, nobody, notAfterMs + 999), caller);
  assert.deepEqual(ask(["any_cert"], stranger, nobody, notAfterMs + 1000), [after]);
  assert.deepEqual(ask(["user_cert"], stranger, nobody, notAfterMs + 1000), [after.replace("any", "user")]);
});

Deno.test("authenticate() takes members with certificates of any date, of any status", () => {
  const member = certificate({ notBeforeMs: 0, notAfterMs: 1000 });
  const tx = filled((tx) => {
    tx.open(MEMBERS_CERTS).put(member.id, member.pem);
    tx.open(MEMBERS_INFO).put(member.id, { status: "Accepted", member_data: 7 });
  });
  assert.deepEqual(ask(["member_cert"], member, tx), {
    policy: "member_cert",
    id: member.id,
    data: 7,
    cert: member.pem,
  });
  assert.deepEqual(ask(["member_cert"], null, tx), ["member_cert: No caller member certificate"]);
  assert.deepEqual(ask(["member_cert"], certificate(), tx), [
    "member_cert: Could not find matching member certificate",
  ]);
});

Deno.test("authenticate() knows nodes by their key", () => {
  const node = certificate();
  const id = nodeIdOf(node.certificate.spki);
  const info: NodeInfo = {
    status: "Trusted",
    encryption_pub_key: "",
    quote_info: { format: "Insecure_Virtual", quote: "", endorsements: "" },
  };
  const tx = filled((tx) => tx.open(NODES_INFO).put(id, info));
  assert.deepEqual(ask([NODE_CERT], node, tx), { policy: "node_cert", id });
  assert.deepEqual(ask([NODE_CERT], null, tx), ["node_cert: No caller node certificate"]);
  assert.deepEqual(ask([NODE_CERT], certificate(), tx), ["node_cert: Could not find matching node certificate"]);
  assert.equal(ask(["node_cert"], node, tx), "500 Exception: Unknown auth policy: node_cert", "apps cannot name it");
});

Deno.test("authenticate() asks no policy where there is none, and no_auth takes everybody", () => {
  assert.equal(ask([], null), null);
  assert.equal(ask([], certificate()), null);
  assert.deepEqual(ask(["no_auth"], null), { policy: "no_auth" });
  assert.deepEqual(ask(["user_cert", "no_auth"], null), { policy: "no_auth" });
});

Deno.test("authenticate() tries policies in order, and gives the reason of each", () => {
  const stranger = certificate();
  assert.deepEqual(ask(["user_cert", "any_cert"], stranger), { policy: "any_cert", cert: stranger.pem });
  assert.deepEqual(ask(["user_cert", "member_cert"], stranger), [
    "user_cert: Could not find matching user certificate",
    "member_cert: Could not find matching member certificate",
  ]);
});

Deno.test("authenticate() wants every policy of all_of, in alphabetical order", () => {
  const user = certificate();
  const tx = filled((tx) => tx.open(USERS_CERTS).put(user.id, user.pem));
  assert.deepEqual(ask([{ all_of: ["user_cert", "any_cert"] }], user, tx), {
    policy: ["any_cert", "user_cert"],
    any_cert: { policy: "any_cert", cert: user.pem },
    user_cert: { policy: "user_cert", id: user.id, data: null, cert: user.pem },
  });
  assert.deepEqual(ask([{ all_of: ["user_cert", "member_cert"] }, "any_cert"], user, tx), {
    policy: "any_cert",
    cert: user.pem,
  });
  assert.deepEqual(ask([{ all_of: ["user_cert", "member_cert"] }], user, tx), [
    "member_cert+user_cert: member_cert:Could not find matching member certificate",
  ]);
});

Deno.test("authenticate() refuses to run policies that nobody knows, or that are put together wrongly", () => {
  const unknown = "500 Exception: Unknown auth policy: nothing";
  assert.equal(ask(["nothing"], null), unknown);
  assert.equal(ask(["user_cert", "nothing"], null), unknown);
  assert.equal(ask([{ all_of: ["nothing"] }], null), unknown);
  assert.deepEqual(ask(["no_auth", "nothing"], null), { policy: "no_auth" }, "the first success ends it");
  assert.equal(ask(["constructor"], null), "500 Exception: Unknown auth policy: constructor");
  assert.equal(ask(["jwt"], null), "500 Exception: Auth policy is not available in this version: jwt");
  assert.equal(ask([{ all_of: [] }], null), "500 Exception: all_of lists no auth policy");
  assert.equal(
    ask([{ all_of: ["no_auth", "no_auth"] }], null),
    "500 Exception: all_of lists auth policy no_auth twice",
  );
});

Deno.test("Session.caller() is null where there is no certificate, or one that cannot be read", () => {
  assert.equal(new Session("", null).caller(noblePrimitives), null);
  assert.equal(new Session("", new Uint8Array([0x30, 0])).caller(noblePrimitives), null);
  const session = new Session("", strangerCertificate(random, VALIDITY));
  assert.equal(session.caller(noblePrimitives), session.caller(noblePrimitives), "it is read once");
});
