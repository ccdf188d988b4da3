/**
 * A request between its two halves, as a file that goes to where the key is and back.
 *
 * In: a prepared request; or the text of such a file. Out: the text; or the request. Of the file only the bytes of
 * header and payload are believed: all else in it is made from them, and compared.
 *
 *     {
 *       "quorate_member_request": 1,
 *       "words": ["A ballot on proposal ac60cf1a…", …],
 *       "algorithm": "ES384",
 *       "digest": { "algorithm": "SHA-384", "hex": "…", "base64": "…" },      what most devices sign
 *       "to_be_signed": "hGpTaWduYXR1cmUx…",                                  what others hash and sign, base64
 *       "method": "POST",
 *       "target": "/gov/members/proposals/ac60cf1a…/ballots/dad803e5…:submit?api-version=2024-07-01",
 *       "protected_header": "pQE4IgRYQGRh…",
 *       "payload": "eyJiYWxsb3Qi…"
 *     }
 */

import { FormatError } from "../assert.ts";
import { fromBase64, toBase64, toHex } from "../bytes.ts";
import { EC_CURVES } from "../crypto/ecdsa.ts";
import { hash } from "../crypto/hashes.ts";
import type { CurveName } from "../crypto/primitives.ts";
import { type PreparedRequest, readMemberRequest, requestToBeSigned } from "./member_request.ts";
import { parseJsonText, stableJson } from "../json.ts";
import { anything, object, oneOf, text } from "../json_shape.ts";
import { MAX_PREPARED_FILE_BYTES } from "../limits.ts";
import { requestLines } from "./request_words.ts";

/** As COSE calls them (RFC 9053 §2.1). */
export const ALGORITHM_NAMES: Readonly<Record<CurveName, string>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
};

const VERSION = 1;

const FILE = object({
  quorate_member_request: anything,
  words: anything,
  algorithm: text,
  digest: anything,
  to_be_signed: text,
  method: oneOf("POST"),
  target: text,
  protected_header: text,
  payload: text,
});

/** The members of the file, in its order. @throws FormatError */
export function describePrepared(prepared: PreparedRequest): Record<string, unknown> {
  const { signer: { curve }, target } = readMemberRequest(prepared);
  const signed = requestToBeSigned(prepared);
  const digest = hash(EC_CURVES[curve].hash, signed);
  return {
    quorate_member_request: VERSION,
    words: requestLines(prepared),
    algorithm: ALGORITHM_NAMES[curve],
    digest: { algorithm: EC_CURVES[curve].hash, hex: toHex(digest), base64: toBase64(digest) },
    to_be_signed: toBase64(signed),
    method: "POST",
    target,
    protected_header: toBase64(prepared.protectedBytes),
    payload: toBase64(prepared.payload),
  };
}

export function serialisePrepared(prepared: PreparedRequest): string {
  return `${JSON.stringify(describePrepared(prepared), null, 2)}\n`;
}

/** @throws FormatError also where one part of the file says something else than the others */
export function parsePrepared(content: string): PreparedRequest {
  if (content.length > MAX_PREPARED_FILE_BYTES) {
    throw new FormatError(`Cannot read a prepared request of more than ${MAX_PREPARED_FILE_BYTES} bytes`);
  }
  const file = FILE(parseJsonText(content), "");
  if (file.quorate_member_request !== VERSION) {
    throw new FormatError(`Cannot read a prepared request of version ${JSON.stringify(file.quorate_member_request)}`);
  }
  const prepared = { protectedBytes: fromBase64(file.protected_header), payload: fromBase64(file.payload) };
  const expected = describePrepared(prepared);
  for (const [name, value] of Object.entries(file)) {
    if (!Object.hasOwn(expected, name) || stableJson(value) !== stableJson(expected[name])) {
      throw new FormatError(
        `Cannot use a prepared request: its ${JSON.stringify(name)} does not go with its header and payload`,
      );
    }
  }
  return prepared;
}
