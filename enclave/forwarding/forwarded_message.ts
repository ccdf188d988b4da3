/**
 * What is encrypted of the messages by which nodes have a client's request run on the primary: a command, an answer.
 *
 * In: a command or an answer. Out: its bytes, or the other way. Their headers, which are not hidden, are the channel's
 * (`channels/forwarded_header.ts`).
 * Format: nodes-and-attestation.md §2, "Forward": little-endian, packed.
 */

import { FormatError } from "../../shared/assert.ts";
import { Reader, Writer } from "../../shared/bytes.ts";

export interface CommandContent {
  /** The client's, on the node that forwards. */
  readonly session: number;
  /** DER; null where the client showed none. */
  readonly certificate: Uint8Array | null;
  /** A whole HTTP/1.1 request. */
  readonly request: Uint8Array;
}

export interface AnswerContent {
  readonly session: number;
  /** A whole HTTP/1.1 response. */
  readonly response: Uint8Array;
}

/** `session` (u64), whether a certificate follows (u8), its length (u64) and bytes, the request. */
export function serialiseCommandContent({ session, certificate, request }: CommandContent): Uint8Array {
  const writer = new Writer(17 + (certificate?.length ?? 0) + request.length);
  writer.u64(session).u8(certificate === null ? 0 : 1);
  if (certificate !== null) writer.lengthPrefixed(certificate);
  return writer.bytes(request).finish();
}

/** @throws FormatError */
export function parseCommandContent(bytes: Uint8Array): CommandContent {
  const reader = new Reader(bytes);
  const session = reader.u64();
  const certificate = flag(reader) ? reader.lengthPrefixed() : null;
  return { session, certificate, request: reader.rest() };
}

/** `session` (u64), the response. */
export function serialiseAnswerContent({ session, response }: AnswerContent): Uint8Array {
  return new Writer(8 + response.length).u64(session).bytes(response).finish();
}

/** @throws FormatError */
export function parseAnswerContent(bytes: Uint8Array): AnswerContent {
  const reader = new Reader(bytes);
  return { session: reader.u64(), response: reader.rest() };
}

function flag(reader: Reader): boolean {
  const value = reader.u8();
  if (value > 1) throw new FormatError(`Cannot read a forwarded message: ${value} is no flag`);
  return value === 1;
}
