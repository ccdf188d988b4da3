import { strict as assert } from "node:assert";
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { FormatError } from "../assert.ts";
import { toBase64Url, toHex } from "../bytes.ts";
import { parsePrivateJwk, parsePublicJwk, serialisePrivateJwk, serialisePublicJwk } from "./jwk.ts";

// RFC 7517, appendix A.1 and A.2.
const EC = {
  kty: "EC",
  crv: "P-256",
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
};
const EC_PRIVATE = { ...EC, d: "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE" };
const RSA = {
  kty: "RSA",
  n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
  e: "AQAB",
};
const RSA_PRIVATE = {
  ...RSA,
  d: "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6NqXSzUvxT0_YSfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8MN6TNwm0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lGVkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4jfcKoAC8Q",
  p: "83i-7IvMGXoMXCskv73TKr8637FiO7Z27zv8oj6pbWUQyLPQBQxtPVnwD20R-60eTDmD2ujnMt5PoqMrm8RfmNhVWDtjjMmCMjOpSXicFHj7XOuVIYQyqVWlWEh6dN36GVZYk93N8Bc9vY41xy8B9RzzOGVQzXvNEvn7O0nVbfs",
  q: "3dfOR9cuYq-0S-mkFLzgItgMEfFzB2q3hWehMuG0oCuqnb3vobLyumqjVZQO1dIrdwgTnCdpYzBcOfW5r370AFXjiWft_NGEiovonizhKpo9VVS78TzFgxkIdrecRezsZ-1kYd_s1qDbxtkDEgfAITAG9LUnADun4vIcb6yelxk",
  dp:
    "G4sPXkc6Ya9y8oJW9_ILj4xuppu0lzi_H7VTkS8xj5SdX3coE0oimYwxIi2emTAue0UOa5dpgFGyBJ4c8tQ2VF402XRugKDTP8akYhFo5tAA77Qe_NmtuYZc3C3m3I24G2GvR5sSDxUyAN2zq8Lfn9EUms6rY3Ob8YeiKkTiBj0",
  dq:
    "s9lAH9fggBsoFR8Oac2R_E2gw282rT2kGOAhvIllETE1efrA6huUUvMfBcMpn8lqeW6vzznYY5SSQF7pMdC_agI3nG8Ibp1BUb0JUiraRNqUfLhcQb_d9GF4Dh7e74WbRsobRonujTYN1xCaP6TO61jvWrX-L18txXw494Q_cgk",
  qi:
    "GyM_p6JrXySiz1toFgKbWV-JdI3jQ4ypu9rbMWx3rQJBfmt0FoYzgUIZEVFEcOqwemRN81zoDAaa-Bk0KWNGDjJHZDdDmFhW3AN7lI-puxk_mHZGJ11rxyR8O55XLSe3SPmRfKwZI6yU24ZxvQKFYItdldUKGzO6Ia6zTKhAVRU",
};
// RFC 8037, appendix A.1 and A.2.
const ED25519 = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
const ED25519_PRIVATE = { ...ED25519, d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" };

const PAIRS = [[EC, EC_PRIVATE], [RSA, RSA_PRIVATE], [ED25519, ED25519_PRIVATE]] as const;

Deno.test("parsePublicJwk() reads the RFCs' keys, and serialisePublicJwk() writes them", () => {
  for (const [jwk] of PAIRS) {
    assert.deepEqual(serialisePublicJwk(parsePublicJwk(jwk)), jwk);
    const named = serialisePublicJwk(parsePublicJwk({ ...jwk, use: "sig", alg: "x", x5c: [1] }), "the key");
    assert.deepEqual(named, { ...jwk, kid: "the key" });
    assert.deepEqual(Object.keys(named), Object.keys(named).sort());
  }
});

Deno.test("parsePrivateJwk() reads the RFCs' keys, and serialisePrivateJwk() writes them", () => {
  for (const [jwk, privateJwk] of PAIRS) {
    const key = parsePrivateJwk(privateJwk);
    assert.deepEqual(serialisePrivateJwk(key), privateJwk);
    assert.deepEqual(serialisePrivateJwk(key, "1"), { ...privateJwk, kid: "1" });
    assert.deepEqual(serialisePublicJwk(key.publicKey), jwk);
    assert.deepEqual(parsePublicJwk(privateJwk), parsePublicJwk(jwk));
  }
});

Deno.test("parsePrivateJwk() reads the keys of another implementation, and serialisePrivateJwk() writes the same", () => {
  const pairs: { privateKey: KeyObject; publicKey: KeyObject }[] = [
    ...["prime256v1", "secp384r1", "secp521r1"].map((namedCurve) => generateKeyPairSync("ec", { namedCurve })),
    generateKeyPairSync("rsa", { modulusLength: 1024 }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("x25519"),
  ];
  for (const { privateKey, publicKey } of pairs) {
    const key = parsePrivateJwk(privateKey.export({ format: "jwk" }));
    assert.deepEqual(serialisePrivateJwk(key), sorted(privateKey.export({ format: "jwk" })));
    assert.deepEqual(serialisePublicJwk(key.publicKey), sorted(publicKey.export({ format: "jwk" })));
    if (key.kind === "OKP") continue;
    const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
    assert.equal(toHex(key.publicKey.spki), spki.toString("hex"));
  }
});

Deno.test("parsePublicJwk() refuses what is no key", () => {
  const zeros = (length: number) => toBase64Url(new Uint8Array(length));
  const refused: [unknown, string][] = [
    [undefined, "Cannot read a JWK: it must be an object"],
    [null, "Cannot read a JWK: it must be an object"],
    [[EC], "Cannot read a JWK: it must be an object"],
    ["EC", "Cannot read a JWK: it must be an object"],
    [{}, "Cannot read a JWK: its kty must be one of EC, RSA, OKP"],
    [{ kty: "oct", k: "AA" }, "Cannot read a JWK: its kty must be one of EC, RSA, OKP"],
    [{ ...EC, crv: "secp256k1" }, "Cannot read a JWK: its crv must be one of P-256, P-384, P-521"],
    [{ ...EC, crv: "toString" }, "Cannot read a JWK: its crv must be one of P-256, P-384, P-521"],
    [{ ...EC, crv: "P-384" }, "Cannot read a JWK: its x has 32 bytes and must have 48"],
    [{ ...EC, x: undefined }, "Cannot read a JWK: its x must be text"],
    [{ ...EC, x: 5 }, "Cannot read a JWK: its x must be text"],
    [{ ...EC, x: EC.x + "=" }, "Cannot read a JWK: its x must be base64url without padding"],
    [{ ...EC, x: EC.x.replace("M", "+") }, "Cannot read a JWK: its x must be base64url without padding"],
    // The last two bits of the text belong to no byte.
    [{ ...EC, x: EC.x.slice(0, -1) + "5" }, "Cannot read a JWK: its x must be base64url without padding"],
    [{ ...EC, y: zeros(31) }, "Cannot read a JWK: its y has 31 bytes and must have 32"],
    [{ ...EC, y: zeros(32) }, "Cannot read a public key: its point is not on P-256"],
    [{ ...RSA, n: "AQ" }, "Cannot read an RSA key: its modulus has 1 bits and must be an odd number of 1024 to 8192"],
    [{ ...RSA, e: "" }, "Cannot read a JWK: its e is not a positive number in its shortest form"],
    [{ ...RSA, e: "AAEAAQ" }, "Cannot read a JWK: its e is not a positive number in its shortest form"],
    [{ ...RSA, e: "AQ" }, "Cannot read an RSA key: its public exponent must be an odd number from 3 to 2^64"],
    [
      { ...RSA, n: toBase64Url(new Uint8Array(1025).fill(255)) },
      "Cannot read a JWK: its n has 1025 bytes and may have 1024",
    ],
    [{ ...ED25519, crv: "Ed448" }, "Cannot read a JWK: its crv must be one of Ed25519, X25519"],
    [{ ...ED25519, x: zeros(31) }, "Cannot read a JWK: its x has 31 bytes and must have 32"],
    [
      { ...ED25519, x: toBase64Url(Uint8Array.of(2, ...new Uint8Array(31))) },
      "Cannot read a JWK: its x is no point of Ed25519",
    ],
  ];
  for (const [jwk, message] of refused) assert.throws(() => parsePublicJwk(jwk), new FormatError(message));
});

Deno.test("parsePrivateJwk() refuses what is no private key, and shows none of it", () => {
  const MISMATCH = "Cannot read a JWK: its private part does not belong to its public part";
  const refused: [unknown, string][] = [
    [EC, "Cannot read a JWK: its d must be text"],
    [{ ...EC, d: "secret!" }, "Cannot read a JWK: its d must be base64url without padding"],
    [{ ...EC, d: ED25519_PRIVATE.d }, MISMATCH],
    [{ ...EC, d: toBase64Url(new Uint8Array(32)) }, "Cannot read a private key: 32 bytes are no scalar of P-256"],
    [{ ...ED25519, d: EC_PRIVATE.d }, MISMATCH],
    [{ ...RSA_PRIVATE, d: RSA_PRIVATE.dp }, "Cannot read an RSA private key: its numbers do not fit together"],
    [
      { ...RSA_PRIVATE, p: RSA_PRIVATE.q, q: RSA_PRIVATE.p },
      "Cannot read an RSA private key: its numbers do not fit together",
    ],
    [{ ...RSA_PRIVATE, qi: undefined }, "Cannot read a JWK: its qi must be text"],
    [{ ...RSA_PRIVATE, oth: [] }, "Cannot read a JWK: RSA keys of more than two primes are not supported"],
    [{ kty: "oct" }, "Cannot read a JWK: its kty must be one of EC, RSA, OKP"],
  ];
  for (const [jwk, message] of refused) assert.throws(() => parsePrivateJwk(jwk), new FormatError(message));
});

Deno.test("parsePublicJwk() and parsePrivateJwk() read any JSON as a key that is written the same, or refuse it", () => {
  const members = fc.constantFrom("kty", "crv", "x", "y", "d", "n", "e", "p", "q", "dp", "dq", "qi", "kid");
  const values = fc.oneof(
    fc.constantFrom(...PAIRS.flat().flatMap((jwk) => Object.values(jwk))),
    fc.jsonValue({ maxDepth: 1 }),
    fc.uint8Array({ minLength: 30, maxLength: 34 }).map(toBase64Url),
  );
  const changed = fc.tuple(fc.constantFrom(...PAIRS.flat()), fc.dictionary(members, values, { maxKeys: 2 }))
    .map(([jwk, changes]): unknown => ({ ...jwk, ...changes }));
  let read = 0;
  fc.assert(
    fc.property(fc.oneof({ arbitrary: changed, weight: 4 }, { arbitrary: fc.jsonValue(), weight: 1 }), (jwk) => {
      const attempts = [
        () => serialisePublicJwk(parsePublicJwk(jwk)),
        () => serialisePrivateJwk(parsePrivateJwk(jwk)),
      ];
      for (const attempt of attempts) {
        let written: unknown;
        try {
          written = attempt();
        } catch (error) {
          assert(error instanceof FormatError, String(error));
          continue;
        }
        read++;
        assert.deepEqual({ ...jwk as object, ...written as object }, jwk);
      }
    }),
    { numRuns: 200 },
  );
  assert(read > 20, `${read} read`);
});

function sorted(jwk: object): object {
  return Object.fromEntries(Object.entries(jwk).sort());
}
