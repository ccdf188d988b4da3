/**
 * Intel SGX: the enclave that Gramine runs this process in, by a DCAP quote.
 *
 * In: report data. Out: the quote. How it is asked for: attestation/formats.md §5.3
 */

import { FormatError } from "../../shared/assert.ts";
import { dcapMeasurement, withoutPadding } from "./dcap_quote.ts";
import { PlatformFailure, type Protocol } from "./devices.ts";
import { gramineQuote } from "./gramine.ts";
import type { Platform, RawEvidence } from "./platform.ts";

export function sgxPlatform(): Platform {
  return { kind: "sgx", evidence: fromGramine, measure: dcapMeasurement };
}

function* fromGramine(reportData: Uint8Array): Protocol<RawEvidence> {
  const quote = yield* gramineQuote(reportData);
  try {
    return { quote: withoutPadding(quote, "sgx"), certificates: new Uint8Array() };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PlatformFailure(`Cannot use Gramine's evidence: ${error.message}; is Gramine up to date?`);
  }
}
