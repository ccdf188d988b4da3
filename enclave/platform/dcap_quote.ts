/**
 * A quote of Intel's DCAP as a driver hands it over, of TDX and of SGX alike.
 *
 * In: the driver's buffer. Out: the quote without the zeros behind it; the measurement in a quote.
 * Format: attestation/formats.md §3.1 to §3.3; traps: §0.7
 */

import { FormatError } from "../../shared/assert.ts";
import { concat } from "../../shared/bytes.ts";
import { parseQuote, TEE_TDX } from "../../shared/attestation/dcap/quote.ts";

/** @throws FormatError where it is no quote of that kind, or has something other than zeros behind it */
export function withoutPadding(buffer: Uint8Array, kind: "tdx" | "sgx"): Uint8Array {
  const { header, trailing } = parseQuote(buffer);
  if ((header.teeType === TEE_TDX) !== (kind === "tdx")) {
    throw new FormatError(`Cannot use a quote: its type 0x${header.teeType.toString(16)} is not that of ${kind}`);
  }
  const quoteBytes = buffer.length - trailing.length;
  if (trailing.some((byte) => byte !== 0)) {
    throw new FormatError(`Cannot read a quote: after its ${quoteBytes} bytes there is something else`);
  }
  return buffer.slice(0, quoteBytes);
}

/**
 * As the join policy has it: of an enclave MRENCLAVE; of a trust domain MRTD and all four RTMRs, since MRTD alone is the
 * firmware, under which anybody starts what he likes.
 *
 * @throws FormatError
 */
export function dcapMeasurement(quote: Uint8Array): Uint8Array {
  const { body } = parseQuote(quote);
  if (body.kind === "sgx") return body.mrenclave.slice();
  return concat(body.mrtd, body.rtmr0, body.rtmr1, body.rtmr2, body.rtmr3);
}
