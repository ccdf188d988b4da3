/**
 * A signature that was made elsewhere, in whatever form a device or a tool left it.
 *
 * In: the contents of a file: raw r ‖ s or DER, as bytes, hex, base64 or base64url, or such a text in the JSON that key
 * services answer (`{"value": …}`, `{"signature": …}`, `{"Signature": …}`). Out: r ‖ s.
 * The forms overlap (hex digits are base64 too), so every reading is tried, and what verifies is right.
 */

import { FormatError } from "../assert.ts";
import { fromBase64, fromBase64Url, fromHex, fromUtf8Lenient } from "../bytes.ts";
import { EC_CURVES, parseDerSignature } from "../crypto/ecdsa.ts";
import type { CurveName } from "../crypto/primitives.ts";
import { parseJsonText } from "../json.ts";
import { MAX_SIGNATURE_FILE_BYTES } from "../limits.ts";

/**
 * Every r ‖ s that the bytes may stand for on this curve, at most eight; none where they can be no signature on it.
 *
 * @throws FormatError where the file is longer than any signature
 */
export function signatureReadings(curve: CurveName, file: Uint8Array): Uint8Array[] {
  if (file.length > MAX_SIGNATURE_FILE_BYTES) {
    throw new FormatError(
      `Cannot read a signature of ${file.length} bytes: a file with one has at most ${MAX_SIGNATURE_FILE_BYTES}`,
    );
  }
  const text = textInJson(fromUtf8Lenient(file)).replace(/\s+/g, "");
  const contents = [
    file,
    ...attempt(() => fromHex(text)),
    ...attempt(() => fromBase64(text)),
    ...attempt(() => fromBase64Url(text.replace(/=+$/, ""))),
  ];
  const width = 2 * EC_CURVES[curve].widthBytes;
  return contents.flatMap((bytes) => [
    ...(bytes.length === width ? [bytes] : []),
    ...attempt(() => parseDerSignature(curve, bytes)),
  ]);
}

/** What key services call the signature in their answers: Azure, its command line, AWS. */
const JSON_NAMES = ["value", "signature", "Signature"];

/** The signature's text where the file is such JSON, else the file as it is. */
function textInJson(text: string): string {
  if (!text.trimStart().startsWith("{")) return text;
  try {
    const answer = parseJsonText(text) as Record<string, unknown>;
    const name = JSON_NAMES.find((each) => Object.hasOwn(answer, each) && typeof answer[each] === "string");
    return name === undefined ? text : answer[name] as string;
  } catch (error) {
    if (error instanceof FormatError) return text;
    throw error;
  }
}

function attempt(read: () => Uint8Array): Uint8Array[] {
  try {
    return [read()];
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}
