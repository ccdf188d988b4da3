/**
 * The headers of forwarded requests and of the answers to them: what the channel authenticates but does not hide.
 *
 * In: a header. Out: its bytes, and back.
 * Knows nothing of what follows: session, certificate and request or response are for whoever forwards.
 * Format: nodes-and-attestation.md §2, "Forward": packed, little-endian
 *
 *     command  u64 4, u8 frame format, u64 command id, u64 view     25 bytes
 *     answer   u64 5, u8 frame format, u64 command id, u8 terminate 18 bytes
 */

import { FormatError } from "../../shared/assert.ts";
import { Reader, Writer } from "../../shared/bytes.ts";
import type { View } from "../../shared/tx_id.ts";

/** The only frame format there is: HTTP. */
const HTTP_FRAME = 0;

/** Size in bytes by the first u64. Kinds 0 to 3 were two older pairs; nobody writes them any more. */
const HEADER_BYTES: Readonly<Record<number, number>> = { 4: 25, 5: 18 };

export type ForwardedHeader =
  /** `view`: that of the session in which the request came. */
  | { readonly kind: "command"; readonly commandId: number; readonly view: View }
  /** `terminate`: the session of the client is to be closed. */
  | { readonly kind: "answer"; readonly commandId: number; readonly terminate: boolean };

/**
 * How many bytes at the front of a message are its header.
 *
 * @param start at least the first eight bytes of the message
 * @throws FormatError where no message begins so
 */
export function forwardedHeaderBytes(start: Uint8Array): number {
  const kind = new Reader(start).u64();
  const bytes = HEADER_BYTES[kind];
  if (bytes === undefined) throw new FormatError(`Cannot read a forwarded message of kind ${kind}: 4 and 5 are known`);
  return bytes;
}

/** @throws FormatError where it is none, or has bytes too many */
export function parseForwardedHeader(header: Uint8Array): ForwardedHeader {
  const bytes = forwardedHeaderBytes(header);
  if (header.length !== bytes) {
    throw new FormatError(`Cannot read the header of a forwarded message: it has ${header.length} bytes, not ${bytes}`);
  }
  const reader = new Reader(header);
  const kind = reader.u64();
  const format = reader.u8();
  if (format !== HTTP_FRAME) throw new FormatError(`Cannot read a forwarded message in format ${format}: 0 is HTTP`);
  const commandId = reader.u64();
  if (kind === 4) return { kind: "command", commandId, view: reader.u64() };
  const terminate = reader.u8();
  if (terminate > 1) throw new FormatError(`Cannot read a forwarded answer: ${terminate} is neither 0 nor 1`);
  return { kind: "answer", commandId, terminate: terminate === 1 };
}

export function serialiseForwardedHeader(header: ForwardedHeader): Uint8Array {
  const writer = new Writer(25).u64(header.kind === "command" ? 4 : 5).u8(HTTP_FRAME).u64(header.commandId);
  return header.kind === "command" ? writer.u64(header.view).finish() : writer.u8(header.terminate ? 1 : 0).finish();
}
