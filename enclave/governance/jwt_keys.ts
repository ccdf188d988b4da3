/**
 * Keys that sign tokens: whose they are, and for which issuers of tokens they count.
 *
 * In: a JSON Web Key Set of one issuer. Out: rows of `jwt.public_signing_keys_metadata_v2`, one list of keys a key ID.
 * Knows nothing of tokens, nor of how a key set was got. Rules: governance.md §6
 *
 *     "kid-1" → [{"constraint":"https://idp.example/tenant","issuer":"https://idp.example","public_key":"MIIB…"}]
 */

import { FormatError } from "../../shared/assert.ts";
import { fromBase64, fromBase64Url, toBase64, toBase64Url } from "../../shared/bytes.ts";
import { type JwkPublicKey, parsePublicJwk } from "../../shared/crypto/jwk.ts";
import { parseCertificate, publicKeyOf } from "../../shared/crypto/x509.ts";
import { JWT_PUBLIC_SIGNING_KEYS_METADATA_V2, type JwtKey } from "../../shared/governance/tables.ts";
import { listOf, object, type Of, text } from "../../shared/json_shape.ts";
import type { Transaction } from "../../shared/kv/transaction.ts";

const webKey = object({ kty: text }, {
  kid: text,
  issuer: text,
  n: text,
  e: text,
  crv: text,
  x: text,
  y: text,
  x5c: listOf(text),
});
type WebKey = Of<typeof webKey>;
const webKeySet = object({ keys: listOf(webKey) });

/** What one issuer's key set says about one key ID. */
interface NamedKey {
  /** SPKI DER, base64. */
  readonly publicKey: string;
  readonly constraint: string | undefined;
}

/**
 * Puts an issuer's keys in place of those it had. Keys of other issuers stay, also under the same key ID.
 *
 * What is already so is not written again, so that refreshing unchanged keys leaves the ledger alone.
 *
 * @param jwks a JSON Web Key Set (RFC 7517)
 * @throws FormatError where a key cannot be read or names an issuer of tokens that is not this one's to speak for
 */
export function setJwtPublicSigningKeys(tx: Transaction, issuer: string, jwks: unknown): void {
  const keys = readKeys(issuer, jwks);
  const table = tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2);
  for (const [kid, list] of [...table.entries()]) {
    if (!keys.has(kid) && list.some((entry) => entry.issuer === issuer)) {
      putOrRemove(tx, kid, list.filter((entry) => entry.issuer !== issuer));
    }
  }
  for (const [kid, { publicKey, constraint }] of keys) {
    const entry: JwtKey = { public_key: publicKey, issuer, ...(constraint !== undefined && { constraint }) };
    const list = table.get(kid) ?? [];
    const at = list.findIndex((other) => other.issuer === issuer);
    const present = list[at];
    if (present?.public_key === publicKey && present.constraint === constraint) continue;
    table.put(kid, present === undefined ? [...list, entry] : list.with(at, entry));
  }
}

/** Takes away every key of an issuer; one that has none is no error. */
export function removeJwtPublicSigningKeys(tx: Transaction, issuer: string): void {
  for (const [kid, list] of [...tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2).entries()]) {
    if (list.some((entry) => entry.issuer === issuer)) {
      putOrRemove(tx, kid, list.filter((entry) => entry.issuer !== issuer));
    }
  }
}

function putOrRemove(tx: Transaction, kid: string, list: readonly JwtKey[]): void {
  const table = tx.open(JWT_PUBLIC_SIGNING_KEYS_METADATA_V2);
  if (list.length === 0) table.remove(kid);
  else table.put(kid, list);
}

/** By key ID. Of two keys with one ID the first counts, and of their constraints the first that there is. */
function readKeys(issuer: string, jwks: unknown): ReadonlyMap<string, NamedKey> {
  // The shape is checked on a copy: it takes away members that are null.
  const { keys } = webKeySet(structuredClone(jwks), "");
  if (keys.length === 0) throw new FormatError("JWKS has no keys");
  const named = new Map<string, NamedKey>();
  for (const key of keys) {
    const { kid, issuer: constraint } = key;
    if (kid === undefined) throw new FormatError("Missing kid for JWT signing key");
    const publicKey = toBase64(readKey(kid, key));
    if (constraint !== undefined && !mayConstrain(issuer, constraint)) {
      throw new FormatError(
        `JWKS kid ${kid} with issuer constraint ${constraint} fails validation against issuer ${issuer}`,
      );
    }
    const first = named.get(kid);
    named.set(kid, { publicKey: first?.publicKey ?? publicKey, constraint: first?.constraint ?? constraint });
  }
  return named;
}

/** SPKI DER. What a key is made of decides how it is read, not its `kty`: so does CCF. */
function readKey(kid: string, { n, e, crv, x, y, x5c }: WebKey): Uint8Array {
  const why = (what: string, read: () => Uint8Array) => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new FormatError(`JWKS kid ${kid} has an invalid ${what}: ${error.message}`);
    }
  };
  if (n && e) {
    return why("RSA public key", () => spkiOf(parsePublicJwk({ kty: "RSA", n: shortest(n), e: shortest(e) })));
  }
  if (x && y && crv !== undefined) {
    return why("EC public key", () => spkiOf(parsePublicJwk({ kty: "EC", crv, x, y })));
  }
  const leaf = x5c?.[0];
  if (leaf !== undefined) {
    return why("X.509 certificate", () => publicKeyOf(parseCertificate(fromBase64(leaf))).spki);
  }
  throw new FormatError(`JWKS kid ${kid} has neither RSA/EC public key or x5c`);
}

function spkiOf(key: JwkPublicKey): Uint8Array {
  if (key.kind === "OKP") throw new FormatError("keys of kind OKP sign no tokens here");
  return key.spki;
}

/** Some issuers write a zero byte in front of a number, against RFC 7518 §2; it is read all the same. */
function shortest(number: string): string {
  const bytes = fromBase64Url(number);
  const start = bytes.findIndex((byte) => byte !== 0);
  return toBase64Url(bytes.subarray(Math.max(0, start)));
}

/** Whether an issuer's keys may be bound to an issuer of tokens: on the same host, or on a domain above it. */
function mayConstrain(issuer: string, constraint: string): boolean {
  const domain = hostOf(constraint);
  const host = hostOf(issuer);
  return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
}

/** As it is written: CCF compares hosts by their letters. */
function hostOf(url: string): string {
  const match = /^[^:/?#]+:\/\/(?:\[([^\]]*)\]|([^:/?#[\]]*))/.exec(url);
  if (match === null) throw new FormatError(`"${url}" is not a URL with a host`);
  return match[1] ?? match[2]!;
}
