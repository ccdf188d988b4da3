/**
 * JSON Web Keys: EC, RSA and the two Edwards/Montgomery kinds, public and private.
 *
 * In: a parsed JSON value, or a key. Out: a key that is what it says, or a JWK.
 * Knows nothing of key IDs, certificates (`x5c`) or tokens; members it does not use are passed over (RFC 7517 §4).
 * Format: RFC 7518 §6, RFC 8037 §2; who uses which: js-apps.md §8.6, governance.md §6
 *
 *     {"crv":"P-256","kty":"EC","x":"<base64url, 32 bytes>","y":"<base64url, 32 bytes>"}
 *     {"e":"AQAB","kty":"RSA","n":"<base64url, no zero byte in front>"}
 *     {"crv":"Ed25519","kty":"OKP","x":"<base64url, 32 bytes>"}
 *
 * Members are written in ascending order, as CCF's JSON has them.
 */

import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { bytesToNumberBE, numberToVarBytesBE } from "@noble/curves/utils.js";
import { FormatError } from "../assert.ts";
import { concat, equalBytes, fromBase64Url, toBase64Url } from "../bytes.ts";
import { MAX_RSA_MODULUS_BITS } from "../limits.ts";
import { readDer, writeSequence, writeUnsigned } from "./der.ts";
import { EC_CURVES, type EcPrivateKey, ecPrivateKey, type EcPublicKey, ecPublicKey } from "./ecdsa.ts";
import { parsePrivateKeyInfo } from "./key_info.ts";
import type { CurveName } from "./primitives.ts";
import { parsePkcs1PrivateKey, type RsaPrivateKey, type RsaPublicKey, rsaPublicKey } from "./rsa.ts";

export type OkpCurveName = "Ed25519" | "X25519";

/** A key to sign (Ed25519) or to agree on secrets with (X25519); the name is JOSE's, "octet key pair". */
export interface OkpPublicKey {
  readonly kind: "OKP";
  readonly curve: OkpCurveName;
  /** 32 bytes, as in RFC 8032 or RFC 7748. */
  readonly bytes: Uint8Array;
}

export interface OkpPrivateKey {
  readonly kind: "OKP";
  readonly curve: OkpCurveName;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  readonly publicKey: OkpPublicKey;
}

export type JwkPublicKey = EcPublicKey | RsaPublicKey | OkpPublicKey;
export type JwkPrivateKey = EcPrivateKey | RsaPrivateKey | OkpPrivateKey;

/** A JWK that was written here: every member is text. */
export type Jwk = Readonly<Record<string, string>>;

const OKP_CURVES = { Ed25519: ed25519, X25519: x25519 } as const;
const OKP_BYTES = 32;

/** Reads a public key. Private members are passed over. @throws FormatError */
export function parsePublicJwk(jwk: unknown): JwkPublicKey {
  const members = new Members(jwk);
  switch (members.kty) {
    case "EC":
      return parseEcPublic(members);
    case "RSA":
      return rsaPublicKey(members.number("n"), members.number("e"));
    case "OKP":
      return parseOkpPublic(members);
    default:
      throw members.unknownType();
  }
}

/** Reads a private key. @throws FormatError also where its private and public parts do not belong together */
export function parsePrivateJwk(jwk: unknown): JwkPrivateKey {
  const members = new Members(jwk);
  switch (members.kty) {
    case "EC": {
      const { curve, point } = parseEcPublic(members);
      const key = ecPrivateKey(curve, members.bytes("d", EC_CURVES[curve].widthBytes));
      if (!equalBytes(key.publicKey.point, point)) throw members.mismatch();
      return key;
    }
    case "RSA": {
      if (members.has("oth")) {
        throw new FormatError("Cannot read a JWK: RSA keys of more than two primes are not supported");
      }
      return parsePkcs1PrivateKey(
        writeSequence(writeUnsigned(0), ...PKCS1_MEMBERS.map((name) => writeUnsigned(members.number(name)))),
      );
    }
    case "OKP": {
      const publicKey = parseOkpPublic(members);
      const secret = members.bytes("d", OKP_BYTES);
      if (!equalBytes(OKP_CURVES[publicKey.curve].getPublicKey(secret), publicKey.bytes)) throw members.mismatch();
      return { kind: "OKP", curve: publicKey.curve, secret, publicKey };
    }
    default:
      throw members.unknownType();
  }
}

export function serialisePublicJwk(key: JwkPublicKey, keyId?: string): Jwk {
  return sorted(publicMembers(key), keyId);
}

export function serialisePrivateJwk(key: JwkPrivateKey, keyId?: string): Jwk {
  return sorted({ ...publicMembers(key.publicKey), ...privateMembers(key) }, keyId);
}

function parseEcPublic(members: Members): EcPublicKey {
  const curve = members.oneOf("crv", Object.keys(EC_CURVES) as CurveName[]);
  const { widthBytes } = EC_CURVES[curve];
  return ecPublicKey(curve, concat(Uint8Array.of(4), members.bytes("x", widthBytes), members.bytes("y", widthBytes)));
}

function parseOkpPublic(members: Members): OkpPublicKey {
  const curve = members.oneOf("crv", Object.keys(OKP_CURVES) as OkpCurveName[]);
  const bytes = members.bytes("x", OKP_BYTES);
  // Every 32 bytes are a key of X25519; of Ed25519 only the points of the curve.
  if (curve === "Ed25519" && !ed25519.utils.isValidPublicKey(bytes, false)) {
    throw new FormatError("Cannot read a JWK: its x is no point of Ed25519");
  }
  return { kind: "OKP", curve, bytes };
}

function publicMembers(key: JwkPublicKey): Jwk {
  switch (key.kind) {
    case "EC": {
      const { widthBytes } = EC_CURVES[key.curve];
      const x = toBase64Url(key.point.subarray(1, 1 + widthBytes));
      const y = toBase64Url(key.point.subarray(1 + widthBytes));
      return { kty: "EC", crv: key.curve, x, y };
    }
    case "RSA":
      return { kty: "RSA", n: toBase64Url(numberToVarBytesBE(key.n)), e: toBase64Url(numberToVarBytesBE(key.e)) };
    case "OKP":
      return { kty: "OKP", crv: key.curve, x: toBase64Url(key.bytes) };
  }
}

/** The numbers of RFC 8017's RSAPrivateKey behind its version, by the names that JOSE gives them. */
const PKCS1_MEMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"] as const;

function privateMembers(key: JwkPrivateKey): Jwk {
  switch (key.kind) {
    case "EC":
      return { d: toBase64Url(key.scalar) };
    case "RSA": {
      // The private exponent is not among what the key keeps: several fit, and its file has the one meant.
      const reader = readDer(parsePrivateKeyInfo(key.pkcs8).key, "an RSA private key");
      reader.smallInteger("the version");
      const numbers = PKCS1_MEMBERS.map((name) => [name, toBase64Url(reader.unsigned(name))]);
      return Object.fromEntries(numbers);
    }
    case "OKP":
      return { d: toBase64Url(key.secret) };
  }
}

function sorted(members: Jwk, keyId: string | undefined): Jwk {
  const all = Object.entries(keyId === undefined ? members : { ...members, kid: keyId });
  return Object.fromEntries(all.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Members of a JWK, each checked when it is asked for. */
class Members {
  readonly #jwk: Readonly<Record<string, unknown>>;
  readonly kty: unknown;

  constructor(jwk: unknown) {
    if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) {
      throw new FormatError("Cannot read a JWK: it must be an object");
    }
    this.#jwk = jwk as Readonly<Record<string, unknown>>;
    this.kty = this.#member("kty");
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#jwk, name);
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#member(name);
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) {
      throw new FormatError(`Cannot read a JWK: its ${name} must be one of ${allowed.join(", ")}`);
    }
    return found;
  }

  bytes(name: string, length: number): Uint8Array {
    const bytes = this.#bytes(name);
    if (bytes.length !== length) {
      throw new FormatError(`Cannot read a JWK: its ${name} has ${bytes.length} bytes and must have ${length}`);
    }
    return bytes;
  }

  /** Base64urlUInt of RFC 7518 §2. */
  number(name: string): bigint {
    const bytes = this.#bytes(name);
    if (bytes.length === 0 || bytes[0] === 0) {
      throw new FormatError(`Cannot read a JWK: its ${name} is not a positive number in its shortest form`);
    }
    if (bytes.length > MAX_RSA_MODULUS_BITS / 8) {
      throw new FormatError(
        `Cannot read a JWK: its ${name} has ${bytes.length} bytes and may have ${MAX_RSA_MODULUS_BITS / 8}`,
      );
    }
    return bytesToNumberBE(bytes);
  }

  unknownType(): FormatError {
    return new FormatError("Cannot read a JWK: its kty must be one of EC, RSA, OKP");
  }

  mismatch(): FormatError {
    return new FormatError("Cannot read a JWK: its private part does not belong to its public part");
  }

  #bytes(name: string): Uint8Array {
    const text = this.#member(name);
    if (typeof text !== "string") throw new FormatError(`Cannot read a JWK: its ${name} must be text`);
    try {
      return fromBase64Url(text);
    } catch {
      // The text may be secret, so it is not shown.
      throw new FormatError(`Cannot read a JWK: its ${name} must be base64url without padding`);
    }
  }

  #member(name: string): unknown {
    return this.has(name) ? this.#jwk[name] : undefined;
  }
}
