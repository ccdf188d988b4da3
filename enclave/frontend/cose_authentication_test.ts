import { strict as assert } from "node:assert";
import fc from "fast-check";
import { toHex, toUtf8 } from "../../shared/bytes.ts";
import { encodeCbor } from "../../shared/crypto/cbor.ts";
import { COSE_ALGORITHMS, serialiseCoseSign1, toBeSigned, withSignature } from "../../shared/crypto/cose.ts";
import { serialiseGovernanceRequestHeader } from "../../shared/crypto/cose_headers.ts";
import { ecdsaSign, type EcPrivateKey, generateEcPrivateKey } from "../../shared/crypto/ecdsa.ts";
import { type CurveName, noblePrimitives, type Random } from "../../shared/crypto/primitives.ts";
import { serialiseCertificatePem } from "../../shared/crypto/x509.ts";
import { memberCertificate, randomSerial, signCertificate } from "../../shared/crypto/x509_build.ts";
import { nameFromConfiguration } from "../../shared/crypto/x509_name.ts";
import { MEMBERS_CERTS, MEMBERS_INFO, USERS_CERTS, USERS_INFO } from "../../shared/governance/tables.ts";
import { Store } from "../../shared/kv/store.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { authenticate } from "./authentication.ts";
import type { AuthenticationPolicy } from "./endpoint.ts";
import { OdataError } from "./odata_error.ts";
import { ParsedRequest } from "./request.ts";

const random: Random = (length) => crypto.getRandomValues(new Uint8Array(length));

interface Person {
  readonly id: string;
  readonly pem: string;
  readonly key: EcPrivateKey;
}

function person(curve: CurveName): Person {
  const key = generateEcPrivateKey(curve, random);
  // Out of date: for COSE that does not matter.
  const validity = { notBeforeMs: 1_000_000_000_000, notAfterMs: 1_100_000_000_000 };
  const subject = nameFromConfiguration("CN=somebody");
  const fields = memberCertificate({ key: key.publicKey, subject, validity, serial: randomSerial(random) });
  const der = signCertificate(fields, key);
  return { id: toHex(noblePrimitives.sha256(der)), pem: serialiseCertificatePem(der), key };
}

function tables(fill: (tx: Transaction) => void): Transaction {
  const store = new Store();
  const tx = store.begin();
  fill(tx);
  store.apply(1, tx.writeSet());
  return store.begin();
}

function message({ id, key }: Person, payload: string, header: Partial<Header> = {}): Uint8Array {
  const { type = "proposal", algorithm = COSE_ALGORITHMS[key.curve], createdAtSeconds = 5, keyId = id } = header;
  const bytes = serialiseGovernanceRequestHeader({ algorithm, keyId, type, createdAtSeconds, proposalId: undefined });
  const signature = ecdsaSign(key, toBeSigned(bytes, toUtf8(payload)));
  return serialiseCoseSign1(withSignature(bytes, toUtf8(payload), signature));
}

interface Header {
  readonly type: string | undefined;
  readonly algorithm: number;
  readonly createdAtSeconds: number;
  readonly keyId: string;
}

function ask(
  policies: readonly AuthenticationPolicy[],
  tx: Transaction,
  body: Uint8Array,
  contentType: string | null = "application/cose",
): unknown {
  const headers = contentType === null ? [] : [["content-type", contentType] as const];
  const request = new ParsedRequest({ method: "POST", target: "/", headers, body });
  try {
    return authenticate(policies, { certificate: null, request, primitives: noblePrimitives, nowMs: 0 }, tx);
  } catch (error) {
    if (!(error instanceof OdataError)) throw error;
    if (error.status !== 401) return `${error.status} ${error.message}`;
    return error.details.map((each) => "auth_policy" in each ? `${each.auth_policy}: ${each.message}` : "");
  }
}

const ACTIVE: AuthenticationPolicy = { native: "active_member_cose_sign1", messageType: "proposal" };
const ANY: AuthenticationPolicy = { native: "member_cose_sign1", messageType: "proposal" };

Deno.test("a member signs on any of three curves, with the algorithm of its own", () => {
  for (const curve of ["P-256", "P-384", "P-521"] as const) {
    const member = person(curve);
    const tx = tables((tx) => {
      tx.open(MEMBERS_CERTS).put(member.id, member.pem);
      tx.open(MEMBERS_INFO).put(member.id, { status: "Active" });
    });
    const caller = ask([ACTIVE], tx, message(member, "hello")) as { id: string; payload: Uint8Array; policy: string };
    assert.deepEqual([caller.policy, caller.id], ["active_member_cose_sign1", member.id]);
    assert.deepEqual(caller.payload, toUtf8("hello"));
    for (const other of Object.values(COSE_ALGORITHMS)) {
      if (other === COSE_ALGORITHMS[curve]) continue;
      assert.deepEqual(ask([ACTIVE], tx, message(member, "hello", { algorithm: other })), [
        "active_member_cose_sign1: Failed to validate COSE Sign1",
      ]);
    }
    assert.deepEqual(ask([ACTIVE], tx, message(member, "x", { algorithm: -8 })), [
      "active_member_cose_sign1: Unsupported algorithm: -8",
    ]);
  }
});

Deno.test("who is no member, not active, or signs for something else is told so", () => {
  const member = person("P-256");
  const tx = tables((tx) => {
    tx.open(MEMBERS_CERTS).put(member.id, member.pem);
    tx.open(MEMBERS_INFO).put(member.id, { status: "Accepted" });
  });
  assert.deepEqual(ask([ACTIVE], tx, message(member, "x")), [
    "active_member_cose_sign1: Signer is not an ACTIVE member",
  ]);
  assert.equal((ask([ANY], tx, message(member, "x")) as { id: string }).id, member.id);
  assert.deepEqual(ask([ANY], tx, message(member, "x", { type: "ballot" })), [
    "member_cose_sign1: Found ccf.gov.msg.type set to ballot, expected ccf.gov.msg.type to be proposal",
  ]);
  const stranger = person("P-256");
  assert.deepEqual(ask([ANY], tx, message(stranger, "x")), ["member_cose_sign1: Signer is not a known member"]);
  assert.deepEqual(ask([ANY], tx, message(stranger, "x", { keyId: member.id })), [
    "member_cose_sign1: Failed to validate COSE Sign1",
  ]);
  assert.deepEqual(ask([ANY], tx, message(member, "x"), null), ["member_cose_sign1: Missing content-type header"]);
  assert.deepEqual(ask([ANY], tx, message(member, "x"), "application/cose; a=b"), [
    "member_cose_sign1: Content type is not set to application/cose",
  ]);
});

Deno.test("a message without its payload proves nothing", () => {
  const member = person("P-384");
  const tx = tables((tx) => tx.open(MEMBERS_CERTS).put(member.id, member.pem));
  const header = serialiseGovernanceRequestHeader({
    algorithm: COSE_ALGORITHMS["P-384"],
    keyId: member.id,
    type: "proposal",
    createdAtSeconds: 1,
    proposalId: undefined,
  });
  const signature = ecdsaSign(member.key, toBeSigned(header, toUtf8("elsewhere")));
  assert.deepEqual(ask([ANY], tx, serialiseCoseSign1(withSignature(header, undefined, signature))), [
    "member_cose_sign1: Failed to validate COSE Sign1",
  ]);
});

Deno.test("a user signs what an app then sees, alone or together with other proofs", () => {
  const user = person("P-384");
  const tx = tables((tx) => {
    tx.open(USERS_CERTS).put(user.id, user.pem);
    tx.open(USERS_INFO).put(user.id, { user_data: { role: "writer" } });
  });
  const protectedBytes = encodeCbor(new Map<number, number | Uint8Array>([[1, -35], [4, toUtf8(user.id)]]));
  const signature = ecdsaSign(user.key, toBeSigned(protectedBytes, toUtf8("hello")));
  const body = serialiseCoseSign1(withSignature(protectedBytes, toUtf8("hello"), signature));
  const expected = {
    cose: { content: toUtf8("hello") },
    policy: "user_cose_sign1",
    id: user.id,
    data: { role: "writer" },
    cert: user.pem,
  };
  assert.deepEqual(ask(["user_cose_sign1"], tx, body), expected);
  assert.deepEqual(ask([{ all_of: ["user_cose_sign1", "no_auth"] }], tx, body), {
    policy: ["no_auth", "user_cose_sign1"],
    no_auth: { policy: "no_auth" },
    user_cose_sign1: expected,
  });
  assert.deepEqual(ask([{ all_of: ["user_cose_sign1", "user_cert"] }], tx, body), [
    "user_cert+user_cose_sign1: user_cert:No caller user certificate",
  ]);
  assert.equal(ask(["user_cose_sign1", "no_auth"], tx, toUtf8("x")), "500 Failed to parse COSE_Sign1 outer array");
  assert.deepEqual(ask(["user_cose_sign1", "no_auth"], tx, toUtf8("x"), "text/plain"), { policy: "no_auth" });
});

Deno.test("no changed byte of a signed message is believed, and none breaks more than its own request", () => {
  const member = person("P-256");
  const tx = tables((tx) => {
    tx.open(MEMBERS_CERTS).put(member.id, member.pem);
    tx.open(MEMBERS_INFO).put(member.id, { status: "Active" });
  });
  const body = message(member, '{"actions":[]}');
  fc.assert(
    fc.property(fc.nat(body.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const spoilt = body.slice();
      spoilt[at]! ^= change;
      const answer = ask([ACTIVE], tx, spoilt);
      assert(typeof answer === "string" || Array.isArray(answer), "it is refused");
    }),
    { numRuns: 300 },
  );
});
