/**
 * COSE_Sign1: one payload, one signature, and the headers that say how it was made.
 *
 * In: bytes; or a header, a payload and a signature made elsewhere. Out: the parts; or bytes; a verdict.
 * Knows nothing of what the headers of CCF's messages mean (`cose_headers.ts`), and never signs.
 * Format: RFC 9052 §4.2 and §4.4
 *
 *     d2 84                tag 18, array of four
 *        58 8c a5…         protected header, a map inside a byte string: these bytes are what is signed
 *        a0                unprotected header
 *        f6                payload, here detached
 *        58 60 3f1e…       signature, r ‖ s
 */

import { FormatError } from "../assert.ts";
import { asArray, asBytes, asMap, type CborMap, CborTag, type CborValue, decodeCbor, encodeCbor } from "./cbor.ts";
import { type EcdsaVerifier, ecdsaVerify } from "./ecdsa.ts";
import type { HashName } from "./hashes.ts";
import type { CurveName } from "./primitives.ts";
import type { PublicKey } from "./public_key.ts";
import { rsaVerifyPss } from "./rsa.ts";

/** Labels of header parameters (RFC 9052 §3.1, RFC 9360, RFC 9597, draft-ietf-cose-merkle-tree-proofs). */
export const COSE_LABELS = { alg: 1, kid: 4, cwtClaims: 15, x5chain: 33, vds: 395, vdp: 396 } as const;

/** The algorithm that goes with a curve: ES256, ES384, ES512 (RFC 9053 §2.1). */
export const COSE_ALGORITHMS: Readonly<Record<CurveName, number>> = { "P-256": -7, "P-384": -35, "P-521": -36 };

/** RSASSA-PSS with one hash for message and mask, and a salt as long as it: PS256, PS384, PS512 (RFC 8230 §2). */
export const COSE_PSS_ALGORITHMS: Readonly<Record<HashName, number>> = {
  "SHA-256": -37,
  "SHA-384": -38,
  "SHA-512": -39,
};
/** Shorter RSA keys sign nothing here (RFC 8230 §6.1). */
const MIN_RSA_BITS = 2048;
const PSS_HASHES: readonly HashName[] = ["SHA-256", "SHA-384", "SHA-512"];

export interface CoseSign1 {
  /** The protected header as it was received: the signature covers these bytes. Empty where there is no parameter. */
  readonly protectedBytes: Uint8Array;
  readonly protectedHeader: CborMap;
  readonly unprotectedHeader: CborMap;
  /** Absent where it is detached, that is, known to the verifier from elsewhere. */
  readonly payload: Uint8Array | undefined;
  readonly signature: Uint8Array;
}

const SIGN1_TAG = 18;
const NO_BYTES = new Uint8Array();
const NO_HEADER: CborMap = new Map();

/**
 * The bytes to sign.
 *
 * @param payload also where the message will not carry it
 */
export function toBeSigned(protectedBytes: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeCbor(["Signature1", protectedBytes, NO_BYTES, payload]);
}

/**
 * The message, given the signature of what `toBeSigned` gave.
 *
 * @param payload undefined to leave it detached
 * @param signature r ‖ s
 */
export function withSignature(
  protectedBytes: Uint8Array,
  payload: Uint8Array | undefined,
  signature: Uint8Array,
): CoseSign1 {
  return {
    protectedBytes,
    protectedHeader: parseHeader(protectedBytes),
    unprotectedHeader: NO_HEADER,
    payload,
    signature,
  };
}

/**
 * Whether this key signed this message. The algorithm must be the one that goes with an elliptic key's curve, or one of
 * PSS for an RSA key.
 *
 * @param detachedPayload must be given where the message does not carry its payload, and must not where it does
 */
export function verifyCoseSign1(
  primitives: EcdsaVerifier,
  key: PublicKey,
  message: CoseSign1,
  detachedPayload?: Uint8Array,
): boolean {
  if ((message.payload === undefined) === (detachedPayload === undefined)) return false;
  const payload = message.payload ?? detachedPayload!;
  const algorithm = message.protectedHeader.get(COSE_LABELS.alg);
  const signed = toBeSigned(message.protectedBytes, payload);
  if (key.kind === "EC") {
    return algorithm === COSE_ALGORITHMS[key.curve] && ecdsaVerify(primitives, key, signed, message.signature);
  }
  const hashName = PSS_HASHES.find((name) => COSE_PSS_ALGORITHMS[name] === algorithm);
  if (hashName === undefined || key.modulusBits < MIN_RSA_BITS) return false;
  return rsaVerifyPss(key, hashName, signed, message.signature);
}

/**
 * Reads a message, which must be tagged.
 *
 * @throws FormatError also where a parameter stands in both headers (RFC 9052 §3)
 */
export function parseCoseSign1(bytes: Uint8Array): CoseSign1 {
  const tagged = decodeCbor(bytes);
  if (!(tagged instanceof CborTag) || tagged.tag !== SIGN1_TAG) {
    throw new FormatError(`Cannot read a COSE_Sign1 message: it must have the tag ${SIGN1_TAG}`);
  }
  const parts = asArray(tagged.value, "a COSE_Sign1 message");
  if (parts.length !== 4) {
    throw new FormatError(`Cannot read a COSE_Sign1 message: it has ${parts.length} parts and must have 4`);
  }
  const protectedBytes = asBytes(parts[0], "the protected header of a COSE_Sign1 message");
  const protectedHeader = parseHeader(protectedBytes);
  const unprotectedHeader = asMap(parts[1], "the unprotected header of a COSE_Sign1 message");
  for (const label of unprotectedHeader.keys()) {
    if (protectedHeader.has(label)) {
      throw new FormatError(
        `Cannot read a COSE_Sign1 message: both headers have the parameter ${JSON.stringify(label)}`,
      );
    }
  }
  const payload = parts[2] === null ? undefined : asBytes(parts[2], "the payload of a COSE_Sign1 message");
  const signature = asBytes(parts[3], "the signature of a COSE_Sign1 message");
  return { protectedBytes, protectedHeader, unprotectedHeader, payload, signature };
}

export function serialiseCoseSign1(message: CoseSign1): Uint8Array {
  const parts: CborValue[] = [
    message.protectedBytes,
    message.unprotectedHeader,
    message.payload ?? null,
    message.signature,
  ];
  return encodeCbor(new CborTag(SIGN1_TAG, parts));
}

/** A header without parameters may be written as no bytes at all (RFC 9052 §3). */
function parseHeader(protectedBytes: Uint8Array): CborMap {
  if (protectedBytes.length === 0) return NO_HEADER;
  return asMap(decodeCbor(protectedBytes), "the protected header of a COSE_Sign1 message");
}
