/**
 * Intel SGX: the enclave that Gramine runs this process in, by a DCAP quote of version 3.
 *
 * In: report data. Out: the quote. Format: attestation/formats.md §3.1, §3.2; how it is asked for: §5.3
 */

import { FormatError } from "../../shared/assert.ts";
import { Reader } from "../../shared/bytes.ts";
import { PlatformFailure, type Protocol } from "./devices.ts";
import { gramineQuote } from "./gramine.ts";
import type { Platform, RawEvidence } from "./platform.ts";

const VERSION = 3;
const HEADER_BYTES = 48;
const BODY_BYTES = 384;
/** From the beginning of the quote. */
const MRENCLAVE = { from: HEADER_BYTES + 64, to: HEADER_BYTES + 96 };

export function sgxPlatform(): Platform {
  return {
    kind: "sgx",
    evidence: fromGramine,
    measure: (quote) => {
      requireQuote(quote);
      return quote.slice(MRENCLAVE.from, MRENCLAVE.to);
    },
  };
}

function* fromGramine(reportData: Uint8Array): Protocol<RawEvidence> {
  const quote = yield* gramineQuote(reportData);
  try {
    requireQuote(quote);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PlatformFailure(`Cannot use Gramine's evidence: ${error.message}; is Gramine up to date?`);
  }
  return { quote, certificates: new Uint8Array() };
}

/** @throws FormatError where it is no quote of SGX, or not as long as it says */
function requireQuote(quote: Uint8Array): void {
  const reader = new Reader(quote);
  const version = reader.u8() + 0x100 * reader.u8();
  if (version !== VERSION) {
    throw new FormatError(`Cannot read a quote of SGX: it has version ${version}, not ${VERSION}`);
  }
  reader.bytes(HEADER_BYTES + BODY_BYTES - reader.position);
  reader.bytes(reader.u32());
  if (!reader.done) {
    throw new FormatError(`Cannot read a quote of SGX: after its ${reader.position} bytes there is more`);
  }
}
