/**
 * Text as HTTP has it and text as programs have it.
 *
 * Targets and header values cross the door as byte strings, one character a byte. Inside, and for scripts, they are what
 * those bytes mean in UTF-8; what means nothing becomes U+FFFD, as everywhere in CCF (http-api.md §9).
 */

import { type ByteString, fromByteString, fromUtf8Lenient, toByteString, toUtf8 } from "../../shared/bytes.ts";

const BEYOND_ASCII = /[\x80-\uffff]/;

export function fromHttp(bytes: ByteString): string {
  return BEYOND_ASCII.test(bytes) ? fromUtf8Lenient(fromByteString(bytes)) : bytes;
}

export function toHttp(text: string): ByteString {
  return BEYOND_ASCII.test(text) ? toByteString(toUtf8(text)) : text;
}
