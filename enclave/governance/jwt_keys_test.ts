import { strict as assert } from "node:assert";
import fc from "fast-check";
import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromUtf8, toBase64 } from "../../shared/bytes.ts";
import { parseEcPrivateKeyFile } from "../../shared/crypto/key_file.ts";
import { serialisePublicJwk } from "../../shared/crypto/jwk.ts";
import { parsePublicKey, parsePublicKeyPem } from "../../shared/crypto/public_key.ts";
import { parseCertificate } from "../../shared/crypto/x509.ts";
import {
  JWT_PUBLIC_SIGNING_KEYS_METADATA_V2 as TABLE,
  type JwtKey,
  PROPOSALS,
} from "../../shared/governance/tables.ts";
import { parseJsonText } from "../../shared/json.ts";
import { Store } from "../../shared/kv/store.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";
import { LedgerEntry } from "../../shared/ledger/entry.ts";
import { fuzzDecoder, mutatedText } from "../../tests/mutations.ts";
import { CERTIFICATES, EC_PRIVATE_KEYS, RSA_PUBLIC_KEY } from "../../tests/openssl_fixtures.ts";
import { ledgerDirectory, readEntries } from "../../tests/services.ts";
import { teamTest } from "../../tests/team_data.ts";
import { removeJwtPublicSigningKeys, setJwtPublicSigningKeys } from "./jwt_keys.ts";

const ISSUER = "https://login.example.com/tenant";
const OTHER = "https://idp.example.org";

const rsaKey = parsePublicKeyPem(RSA_PUBLIC_KEY);
const ecKeys = Object.values(EC_PRIVATE_KEYS).map((text) => parseEcPrivateKeyFile(text).publicKey);
const rsa = (kid: string) => serialisePublicJwk(rsaKey, kid);
const ec = (kid: string, at = 0) => serialisePublicJwk(ecKeys[at]!, kid);

function apply(store: Store, change: (tx: Transaction) => void) {
  const tx = store.begin();
  change(tx);
  const changes = tx.writeSet();
  store.apply(store.version + 1, changes);
  return changes.publicTables.find(({ name }) => name === TABLE.name);
}

function rows(store: Store): Record<string, readonly JwtKey[]> {
  return Object.fromEntries(store.beginReadOnly().open(TABLE).entries());
}

/** What a set of keys leaves in an empty table. */
function stored(issuer: string, ...keys: unknown[]): Record<string, readonly JwtKey[]> {
  const store = new Store();
  apply(store, (tx) => setJwtPublicSigningKeys(tx, issuer, { keys }));
  return rows(store);
}

teamTest("JWT keys are written and removed byte for byte as a real service did", () => {
  const store = new Store();
  const proposals = new Map<string, { name: string; args: { issuer: string; jwks?: unknown } }[]>();
  let compared = 0;
  for (const entry of readEntries(ledgerDirectory("recorded_governance")).map((bytes) => LedgerEntry.parse(bytes))) {
    for (const { name, writes, removes } of entry.publicTables()) {
      if (name === PROPOSALS.name) {
        for (const [id, value] of writes) proposals.set(id, JSON.parse(fromUtf8(value)).actions);
      }
      if (name !== TABLE.name) continue;
      // A later proposal takes the place of an earlier one, so the last with such an action is the one accepted here.
      const accepted = [...proposals.values()].reverse().find((actions) =>
        actions.some(({ name }) => /jwt/.test(name))
      );
      const ours = apply(store, (tx) => {
        for (const { name, args: { issuer, jwks } } of accepted!) {
          if (name === "remove_jwt_issuer") removeJwtPublicSigningKeys(tx, issuer);
          else if (jwks !== undefined) setJwtPublicSigningKeys(tx, issuer, jwks);
        }
      });
      assert.deepEqual(ours, { name, writes, removes });
      compared++;
    }
  }
  assert.equal(compared, 3);
});

Deno.test("a key is read from n and e, from x, y and crv, or from its certificate, in this order", () => {
  const certificate = parseCertificate(CERTIFICATES.many);
  const x5c = [toBase64(certificate.der), "not looked at"];
  const publicKey = (keys: Record<string, readonly JwtKey[]>) => keys["a"]![0]!.public_key;
  assert.deepEqual(stored(ISSUER, rsa("a")), { a: [{ public_key: toBase64(rsaKey.spki), issuer: ISSUER }] });
  for (const at of ecKeys.keys()) assert.equal(publicKey(stored(ISSUER, ec("a", at))), toBase64(ecKeys[at]!.spki));
  assert.equal(publicKey(stored(ISSUER, { kty: "RSA", kid: "a", x5c })), toBase64(certificate.spki));
  assert.equal(publicKey(stored(ISSUER, { ...rsa("a"), x5c })), toBase64(rsaKey.spki));
  assert.equal(publicKey(stored(ISSUER, { ...ec("a"), ...rsa("a"), kty: "EC" })), toBase64(rsaKey.spki));
  assert.equal(publicKey(stored(ISSUER, { ...ec("a"), n: null, e: "" })), toBase64(ecKeys[0]!.spki));
});

Deno.test("a modulus with a zero byte in front is the same modulus", () => {
  const { n } = rsa("a");
  const bytes = Uint8Array.of(0, ...Uint8Array.fromBase64(n!, { alphabet: "base64url" }));
  const padded = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  assert.deepEqual(stored(ISSUER, { ...rsa("a"), n: padded }), stored(ISSUER, rsa("a")));
});

Deno.test("a key set that cannot be used says why, and writes nothing", () => {
  const bad: [unknown, string][] = [
    [{ keys: [] }, "JWKS has no keys"],
    [{}, 'Cannot read JSON at "/keys": it must be an array'],
    ["text", 'Cannot read JSON at "": it must be an object'],
    [{ keys: [{ kty: "RSA" }] }, "Missing kid for JWT signing key"],
    [{ keys: [{ kid: "a" }] }, 'Cannot read JSON at "/keys/0/kty": it must be text'],
    [{ keys: [{ kty: "RSA", kid: "a", n: "AQ" }] }, "JWKS kid a has neither RSA/EC public key or x5c"],
    [{ keys: [{ kty: "RSA", kid: "a", x5c: [] }] }, "JWKS kid a has neither RSA/EC public key or x5c"],
    [
      { keys: [{ ...ec("a"), crv: "P-192" }] },
      "JWKS kid a has an invalid EC public key: Cannot read a JWK: its crv must be one of P-256, P-384, P-521",
    ],
    [
      { keys: [rsa("b"), { kty: "RSA", kid: "a", x5c: ["AAAA"] }] },
      "JWKS kid a has an invalid X.509 certificate: Cannot read a certificate: tag 0x00 where 0x30 is expected (a certificate)",
    ],
  ];
  for (const [jwks, message] of bad) {
    const store = new Store();
    const tx = store.begin();
    assert.throws(() => setJwtPublicSigningKeys(tx, ISSUER, jwks), (error: Error) => {
      assert(error instanceof FormatError);
      assert.equal(error.message.slice(0, 60), message.slice(0, 60));
      return true;
    });
    assert.equal(tx.hasWrites, false);
  }
});

Deno.test("a key may be bound to issuers of tokens on the issuer's own host or on a domain above it", () => {
  const constrained = (issuer: string, constraint: string) => stored(issuer, { ...rsa("a"), issuer: constraint });
  const good = [
    ["https://login.example.com/tenant", "https://login.example.com"],
    ["https://login.example.com", "https://login.example.com/{tenantid}/v2.0"],
    ["https://login.example.com:8443/a", "https://example.com"],
    ["https://login.example.com", "http://com/"],
    ["https://[::1]:8443/", "https://[::1]/"],
  ];
  for (const [issuer, constraint] of good) {
    assert.equal(constrained(issuer!, constraint!)["a"]![0]!.constraint, constraint);
  }
  const bad = [
    ["https://login.example.com", "https://other.example.com"],
    ["https://example.com", "https://login.example.com"],
    ["https://notexample.com", "https://example.com"],
    ["https://login.example.com", "https:///path"],
  ];
  for (const [issuer, constraint] of bad) {
    assert.throws(() => constrained(issuer!, constraint!), {
      name: "FormatError",
      message: `JWKS kid a with issuer constraint ${constraint} fails validation against issuer ${issuer}`,
    });
  }
  for (const [issuer, constraint] of [["example.com", "https://example.com"], ["https://example.com", "example.com"]]) {
    assert.throws(() => constrained(issuer!, constraint!), {
      name: "FormatError",
      message: /is not a URL with a host$/,
    });
  }
});

Deno.test("of two keys with one ID the first counts, with the first constraint that either has", () => {
  const constraint = "https://example.com";
  assert.deepEqual(stored(ISSUER, rsa("a"), { ...ec("a"), issuer: constraint }), {
    a: [{ public_key: toBase64(rsaKey.spki), issuer: ISSUER, constraint }],
  });
});

Deno.test("two issuers share a key ID, each with its own key; unchanged keys are not written again", () => {
  const store = new Store();
  apply(store, (tx) => setJwtPublicSigningKeys(tx, ISSUER, { keys: [rsa("a"), rsa("b")] }));
  apply(store, (tx) => setJwtPublicSigningKeys(tx, OTHER, { keys: [ec("a")] }));
  const [mine, theirs] = [
    { public_key: toBase64(rsaKey.spki), issuer: ISSUER },
    { public_key: toBase64(ecKeys[0]!.spki), issuer: OTHER },
  ];
  assert.deepEqual(rows(store), { a: [mine, theirs], b: [mine] });
  assert.equal(apply(store, (tx) => setJwtPublicSigningKeys(tx, ISSUER, { keys: [rsa("b"), rsa("a")] })), undefined);
  const changes = apply(store, (tx) => setJwtPublicSigningKeys(tx, ISSUER, { keys: [ec("a", 1)] }));
  assert.deepEqual(changes?.writes.map(([kid]) => kid), ["a"]);
  assert.deepEqual(changes?.removes, ["b"]);
  assert.deepEqual(rows(store), { a: [{ ...mine, public_key: toBase64(ecKeys[1]!.spki) }, theirs] });
  apply(store, (tx) => removeJwtPublicSigningKeys(tx, ISSUER));
  assert.deepEqual(rows(store), { a: [theirs] });
  assert.equal(apply(store, (tx) => removeJwtPublicSigningKeys(tx, ISSUER)), undefined, "again is no error");
});

Deno.test("whatever issuers set and remove, each has exactly the keys of its last set", () => {
  const step = fc.record({
    issuer: fc.constantFrom(ISSUER, OTHER, "https://third.example"),
    /** Of each key ID, which key; none of any: removed. */
    keys: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.nat({ max: 2 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const store = new Store();
      const model = new Map<string, Record<string, string>>();
      for (const { issuer, keys } of steps) {
        const set = Object.entries(keys);
        const jwks = { keys: set.map(([kid, at]) => ec(kid, at)) };
        apply(store, (tx) => {
          if (set.length === 0) removeJwtPublicSigningKeys(tx, issuer);
          else setJwtPublicSigningKeys(tx, issuer, jwks);
        });
        model.set(issuer, Object.fromEntries(set.map(([kid, at]) => [kid, toBase64(ecKeys[at]!.spki)])));
      }
      const found = new Map<string, Record<string, string>>();
      for (const [kid, list] of Object.entries(rows(store))) {
        assert.notEqual(list.length, 0, "a row without keys is removed");
        for (const { issuer, public_key } of list) {
          const keys = found.get(issuer) ?? {};
          assert.equal(keys[kid], undefined, "an issuer has one key under an ID");
          found.set(issuer, { ...keys, [kid]: public_key });
        }
      }
      assert.deepEqual(found, new Map([...model].filter(([, keys]) => Object.keys(keys).length > 0)));
    }),
    { numRuns: 60 },
  );
});

Deno.test("key sets of any form are stored or refused", () => {
  const certificate = toBase64(CERTIFICATES.many);
  const sample = JSON.stringify({
    keys: [{ ...rsa("a"), issuer: "https://example.com" }, ec("b"), { kty: "RSA", kid: "c", x5c: [certificate] }],
  });
  fuzzDecoder(mutatedText(sample), (text) => {
    const store = new Store();
    apply(store, (tx) => setJwtPublicSigningKeys(tx, ISSUER, parseJsonText(text)));
    return rows(store);
  }, (rows) => {
    for (const list of Object.values(rows)) {
      for (const { public_key } of list) assert(parsePublicKey(fromBase64(public_key)).spki.length > 0);
    }
  });
});
