/**
 * Intel TDX: a quote of the whole virtual machine, from configfs-tsm.
 *
 * In: report data. Out: a DCAP quote of version 4 or 5. How it is asked for: attestation/formats.md §5.1
 */

import { FormatError } from "../../shared/assert.ts";
import { MAX_TDX_QUOTE_BYTES } from "../../shared/limits.ts";
import { tsmReport } from "./configfs_tsm.ts";
import { dcapMeasurement, withoutPadding } from "./dcap_quote.ts";
import { PlatformFailure, type Protocol } from "./devices.ts";
import type { Platform, RawEvidence } from "./platform.ts";

/** @param name for directories of one's own, which nobody else uses */
export function tdxPlatform(name: string): Platform {
  return { kind: "tdx", evidence: (reportData) => fromConfigfs(name, reportData), measure: dcapMeasurement };
}

function* fromConfigfs(name: string, reportData: Uint8Array): Protocol<RawEvidence> {
  const { outblob } = yield* tsmReport("tdx_guest", name, reportData);
  if (outblob.length > MAX_TDX_QUOTE_BYTES) {
    throw new PlatformFailure(
      `Cannot use the evidence of TDX: ${outblob.length} bytes, more than ${MAX_TDX_QUOTE_BYTES}, are a token of DICE and ` +
        "no quote, which this version does not know; use a machine whose host has Intel's quote generation service",
    );
  }
  try {
    return { quote: withoutPadding(outblob, "tdx"), certificates: new Uint8Array() };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new PlatformFailure(
      `Cannot use the evidence of TDX: ${error.message}; is the host's quote service up to date?`,
    );
  }
}
