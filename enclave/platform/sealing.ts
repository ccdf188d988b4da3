/**
 * Secrets that a node leaves for its own next start: sealed with a key that only this code on this machine is given.
 *
 * In: the hardware's key, a secret. Out: the text of a file, and back. Knows nothing of what is in the secret, where the file
 * lies, and how the key is asked for (`Platform.sealingKey`).
 * Format: nodes-and-attestation.md §6. The key is drawn from the hardware's as CCF does it (src/node/local_sealing.h). Nobody
 * else can read these files, since other code gets another key: the form is CCF's, the bytes need not be.
 *
 *     {"aad_text":"{\"tcb_version\":\"db18000000000104\",\"version\":1}","ciphertext":"<base64: tag 16, IV 12, the rest>"}
 */

import { assert, FormatError } from "../../shared/assert.ts";
import { concat, fromBase64, toBase64, toUtf8 } from "../../shared/bytes.ts";
import { tcbFromHex, tcbToHex } from "../../shared/attestation/snp_report.ts";
import { GCM_HEADER_BYTES, GCM_IV_BYTES, GCM_KEY_BYTES, GCM_TAG_BYTES } from "../../shared/crypto/aes_gcm.ts";
import { hkdfSha256 } from "../../shared/crypto/hkdf.ts";
import type { Primitives, Random } from "../../shared/crypto/primitives.ts";
import { parseJsonText, stableJson } from "../../shared/json.ts";
import { base64, number, object, text } from "../../shared/json_shape.ts";
import { MAX_SEALED_BYTES } from "../../shared/limits.ts";

type Gcm = Pick<Primitives, "gcmSeal" | "gcmOpen">;

/** Of how the key is drawn. */
const VERSION = 1;
const LABEL = toUtf8("CCF AMD Local Sealing Key");

/** A sealed secret, read and not yet opened. */
export interface SealedSecret {
  /** For which TCB version the hardware is to be asked for the key: 8 bytes as in a report. */
  readonly tcbVersion: Uint8Array;
  readonly additionalData: Uint8Array;
  /** Tag, IV, ciphertext. */
  readonly box: Uint8Array;
}

/**
 * Seals a secret.
 *
 * @param hardwareKey 32 bytes, for this TCB version
 * @returns the text of the file
 */
export function sealSecret(
  primitives: Gcm,
  random: Random,
  hardwareKey: Uint8Array,
  tcbVersion: Uint8Array,
  secret: Uint8Array,
): string {
  assert(secret.length <= MAX_SEALED_BYTES, "What is sealed is no longer than what will be opened");
  const aadText = stableJson({ tcb_version: tcbToHex(tcbVersion), version: VERSION });
  const iv = random(GCM_IV_BYTES);
  const { ciphertext, tag } = primitives.gcmSeal(sealingKey(hardwareKey), iv, toUtf8(aadText), secret);
  return stableJson({ aad_text: aadText, ciphertext: toBase64(concat(tag, iv, ciphertext)) });
}

const file = object({ aad_text: text, ciphertext: base64 });
const additional = object({ tcb_version: text, version: number });

/** @throws FormatError where the text is none of `sealSecret` */
export function parseSealedSecret(fileText: string): SealedSecret {
  // Four characters of base64 are three bytes.
  if (fileText.length > 2 * MAX_SEALED_BYTES) {
    throw new FormatError(`Cannot read a sealed secret: it is longer than ${2 * MAX_SEALED_BYTES} characters`);
  }
  const { aad_text, ciphertext } = file(parseJsonText(fileText), "");
  const { tcb_version, version } = additional(parseJsonText(aad_text), "/aad_text");
  if (version !== VERSION) throw new FormatError(`Cannot read a sealed secret: version ${version} is not ${VERSION}`);
  const box = fromBase64(ciphertext);
  if (box.length < GCM_HEADER_BYTES) throw new FormatError("Cannot read a sealed secret: it is too short to be one");
  return { tcbVersion: tcbFromHex(tcb_version), additionalData: toUtf8(aad_text), box };
}

/**
 * Opens a sealed secret.
 *
 * @param hardwareKey 32 bytes, for the secret's TCB version
 * @returns undefined where it was sealed by other code, on another machine, or has changed since
 */
export function openSecret(primitives: Gcm, hardwareKey: Uint8Array, sealed: SealedSecret): Uint8Array | undefined {
  const { additionalData, box } = sealed;
  const tag = box.subarray(0, GCM_TAG_BYTES);
  const iv = box.subarray(GCM_TAG_BYTES, GCM_HEADER_BYTES);
  return primitives.gcmOpen(sealingKey(hardwareKey), iv, additionalData, box.subarray(GCM_HEADER_BYTES), tag);
}

/** Not the hardware's key itself, which may serve for other things too. */
function sealingKey(hardwareKey: Uint8Array): Uint8Array {
  assert(hardwareKey.length === GCM_KEY_BYTES, "The hardware's key has 32 bytes");
  return hkdfSha256(hardwareKey, new Uint8Array(), LABEL, GCM_KEY_BYTES);
}
